"""A recommender's ranker in the manner of DLRM, in PyTorch, trained for seconds on a made-up click log.

A recommender works in two stages: a cheap first one finds some hundred candidates for a user, and this second one
scores each of them with a probability of a click. A request carries the candidates of one user. Ids go through
embedding tables of 111 MB, dense features through a small network; all pairs of the resulting vectors are multiplied,
and a second network answers (Naumov and others, Deep Learning Recommendation Model, 2019).

THE LOG IS SYNTHETIC. What is made up has the structure of a real one: tastes that a user's history reveals the better
the longer it is, items of different quality, popularity with a long tail, and ids most of which are hardly ever seen
(their vectors stay as they were drawn). The sizes and the arithmetic are those of a real ranker; its skill says
nothing about real users.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from loadplan.export.source import TrainedModel

SEED = 0  # the log and the training: the same model on every run
N_USERS, N_ITEMS, N_CATEGORIES, N_SHOPS = 500_000, 350_000, 200, 5_000
TABLE_SIZES = (N_USERS, N_ITEMS, N_CATEGORIES, N_SHOPS, 24, 6)  # user, item, category, shop, hour, device
WIDTH = 32  # numbers in the vector of an id
N_TASTES = 8  # hidden dimensions along which users and items differ
N_ACTIVE_USERS = 6_000  # users with an entry in the log
N_TRAIN_ROWS, N_HELD_OUT_USERS = 400_000, 72
MEAN_CANDIDATES, MOST_CANDIDATES = 120, 400

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Ranker(nn.Module):  # type: ignore[misc]  # PyTorch need not be installed where types are checked
    """Ids and dense features of a user and a candidate to the probability of a click."""

    def __init__(self, n_dense: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, WIDTH, sparse=True) for size in TABLE_SIZES)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.05)
        self.bottom = nn.Sequential(nn.Linear(n_dense, 128), nn.ReLU(), nn.Linear(128, WIDTH), nn.ReLU())
        n_vectors = len(TABLE_SIZES) + 1
        pairs = [row * n_vectors + column for row in range(n_vectors) for column in range(row)]
        self.register_buffer("pairs", torch.tensor(pairs))
        self.top = nn.Sequential(
            nn.Linear(WIDTH + len(pairs), 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1)
        )

    def forward(self, ids: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        """`ids` (n_rows, 6) and `dense` (n_rows, n_dense) to probabilities, (n_rows,)."""
        below = self.bottom(dense)
        vectors = torch.stack([below, *(table(ids[:, place]) for place, table in enumerate(self.tables))], dim=1)
        products = torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1)[:, self.pairs]
        return torch.sigmoid(self.top(torch.cat([below, products], dim=1))).squeeze(1)


@dataclass(frozen=True)
class World:
    """Who the users are and what the items are; the model sees of it only what the features show."""

    tastes: Floats  # (n_active, N_TASTES)
    n_past_clicks: Ints  # (n_active,); 0 for new users
    traits: Floats  # (N_ITEMS, N_TASTES)
    quality: Floats  # (N_ITEMS,)
    category: Ints  # (N_ITEMS,)
    shop: Ints  # (N_ITEMS,)
    price: Floats  # (N_ITEMS,), standardised


def build() -> TrainedModel:
    """Make the log, train on it in seconds, and hand over the ranker with the candidates of users held out."""
    rng = np.random.default_rng(SEED)
    world = _world(rng)
    user_ids = rng.permutation(N_USERS)[:N_ACTIVE_USERS]
    train = _log(world, user_ids, rng.integers(0, N_ACTIVE_USERS, N_TRAIN_ROWS), rng)
    # The candidates of one user lie side by side, so that a request of consecutive rows is one user's.
    n_candidates = rng.gamma(2.0, MEAN_CANDIDATES / 2, N_HELD_OUT_USERS).clip(10, MOST_CANDIDATES).astype(np.int64)
    held_out = np.repeat(rng.permutation(N_ACTIVE_USERS)[:N_HELD_OUT_USERS], n_candidates)
    ids, dense, clicks = _log(world, user_ids, held_out, rng)
    return TrainedModel(
        estimator=_trained(*train),
        rows={"ids": ids, "dense": dense},
        labels=clicks,
        segments=_segments(world.n_past_clicks[held_out]),
        groups=held_out.tolist(),
    )


def _world(rng: np.random.Generator) -> World:
    centres = rng.normal(size=(N_CATEGORIES, N_TASTES))
    category = rng.integers(0, N_CATEGORIES, N_ITEMS)
    # A third of the users each: new ones, regular ones, heavy ones.
    habit = rng.integers(0, 3, N_ACTIVE_USERS)
    n_past_clicks = np.where(habit == 0, 0, np.where(habit == 1, rng.integers(3, 30, N_ACTIVE_USERS), 0))
    n_past_clicks = np.where(habit == 2, rng.integers(60, 600, N_ACTIVE_USERS), n_past_clicks)
    return World(
        tastes=rng.normal(size=(N_ACTIVE_USERS, N_TASTES)).astype(np.float32),
        n_past_clicks=n_past_clicks,
        traits=(centres[category] + 0.5 * rng.normal(size=(N_ITEMS, N_TASTES))).astype(np.float32),
        quality=rng.normal(size=N_ITEMS).astype(np.float32),
        category=category,
        shop=rng.integers(0, N_SHOPS, N_ITEMS),
        price=rng.normal(size=N_ITEMS).astype(np.float32),
    )


def _log(world: World, user_ids: Ints, users: Ints, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """One shown candidate for each entry of `users`: ids (n, 6), dense features (n, 9), clicks (n,)."""
    n = len(users)
    items = np.minimum((N_ITEMS * rng.random(n) ** 3).astype(np.int64), N_ITEMS - 1)  # low numbers are popular
    hour, device = rng.integers(0, 24, n), rng.integers(0, 6, n)
    liking = (world.tastes[users] * world.traits[items]).sum(axis=1) / np.sqrt(N_TASTES)
    discount, age = rng.random(n), rng.random(n)
    score = 1.1 * liking + 0.9 * world.quality[items] - 0.4 * world.price[items] + 0.8 * discount - 0.3 * age
    clicks = (rng.random(n) < 1.0 / (1.0 + np.exp(1.8 - score))).astype(np.int64)
    # What a history shows of a taste: the more clicks, the less noise; of a new user nothing at all.
    past = world.n_past_clicks[users].astype(np.float64)
    seen_liking = np.where(past > 0, liking + rng.normal(size=n) * 3.0 / np.sqrt(past + 1.0), 0.0)
    popularity = np.log1p(N_ITEMS / (items + 1.0))
    seen_quality = world.quality[items] + rng.normal(size=n) * 1.5 / np.sqrt(popularity + 0.1)
    dense = np.column_stack(
        [
            np.log1p(past) / 3.0,
            past > 0,
            seen_liking,
            popularity / 5.0,
            seen_quality,
            world.price[items],
            discount,
            age,
            np.sin(hour / 24.0 * 2.0 * np.pi),
        ]
    ).astype(np.float32)
    ids = np.column_stack([user_ids[users], items, world.category[items], world.shop[items], hour, device])
    return ids.astype(np.int64), dense, clicks


def _trained(ids: Ints, dense: Floats, clicks: Ints) -> Ranker:
    """One pass over the log: Adagrad moves only the vectors of ids that it meets."""
    torch.manual_seed(SEED)
    torch.sparse.check_sparse_tensor_invariants.disable()  # PyTorch asks to choose; its own gradients are sound
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums in the same order on every machine
    model = Ranker(dense.shape[1])
    networks = [*model.bottom.parameters(), *model.top.parameters()]
    optimisers = (torch.optim.Adagrad(model.tables.parameters(), lr=0.02), torch.optim.Adam(networks, lr=2e-3))
    columns = torch.from_numpy(ids), torch.from_numpy(dense), torch.from_numpy(clicks.astype(np.float32))
    for batch in torch.randperm(len(clicks)).split(2048):
        some_ids, some_dense, truth = (column[batch] for column in columns)
        loss = nn.functional.binary_cross_entropy(model(some_ids, some_dense), truth)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
    torch.set_num_threads(n_threads)
    model.eval()
    return model


def _segments(n_past_clicks: Ints) -> list[str]:
    """A user's history, by its length: an average can hide that new users are served worse."""
    return ["new" if clicks == 0 else "regular" if clicks < 60 else "heavy" for clicks in n_past_clicks]
