"""Which rows a visit times where rows differ in length: a few calls that together have the lengths of the traffic.

A batch is as long as its longest row, so its time varies with the company in it. Batches dealt at random, as traffic
forms them, are sorted by that length and cut into as many strata of equal size as a visit makes calls; each call gets
one from its own stratum. The calls of one visit then scatter as the traffic does, while the mean of a visit hardly
depends on luck: with n strata its deviation falls as n to the power of 1.5, where independent draws give the square
root (stratified sampling: Cochran, Sampling Techniques, 1977, chapter 5).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Strata of one visit. Fewer than the least would be no mix; more than the most show no more of it.
STRATA_LEAST, STRATA_MOST = 5, 64
# What luck may move the mean length of a visit by, as a share of it; the sweep wants every mean within ±2 %.
_LUCK_ALLOWED_RATIO = 0.01
# Batches dealt, to choose from: every row of a small set many times, of a large one all rows if memory allows.
_BATCHES_LEAST, _BATCHES_MOST = 1024, 16384

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthMix:
    """Batches of one size in the company that chance gives them, the shortest first."""

    batches: Rows  # (n_batches, batch_size), row numbers
    n_strata_least: int  # calls that it takes for a mean which owes at most 1 % to luck

    @property
    def usual(self) -> Rows:
        """The batch of median length, (batch_size,)."""
        middle: Rows = self.batches[len(self.batches) // 2]
        return middle


def length_mix(lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator) -> LengthMix:
    """Deal the rows out in batches, each row as often as the others.

    Args:
        lengths: positions of each row, (n_rows,).
        batch_size: rows in a batch.
        rng: deals.
    """
    n_batches = min(max(_BATCHES_LEAST, len(lengths) // batch_size), _BATCHES_MOST)
    n_turns = math.ceil(n_batches * batch_size / len(lengths))
    dealt = np.concatenate([rng.permutation(len(lengths)) for _ in range(n_turns)])
    batches = dealt[: n_batches * batch_size].reshape(n_batches, batch_size)
    longest = lengths[batches].max(axis=1)
    order = np.argsort(longest, kind="stable")
    return LengthMix(batches=batches[order], n_strata_least=_strata_needed(longest[order].astype(np.float64)))


def draw(mix: LengthMix, n_strata: int, rng: np.random.Generator) -> Rows:
    """One batch from each of `n_strata` strata, in random order: (n_strata, batch_size)."""
    places = (rng.permutation(n_strata) + rng.random(n_strata)) * (len(mix.batches) / n_strata)
    drawn: Rows = mix.batches[places.astype(np.intp)]
    return drawn


def as_if_alike(durations_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every call's time as if all batches were as long as the usual one, so that what is too long stands out.

    Args:
        durations_s: (n_passes, n_batches), two passes or more over the same batches. The lower median of a batch's
            calls is taken as what it needs: no model of how time grows with length could be trusted on every network.
    """
    needed_s = np.quantile(durations_s, 0.5, axis=0, method="lower")
    return np.asarray(durations_s / needed_s * np.median(needed_s))


def _strata_needed(longest: NDArray[np.float64]) -> int:
    for n in range(STRATA_LEAST, STRATA_MOST):
        variances = [part.var() for part in np.array_split(longest, n)]
        if math.sqrt(sum(variances)) / n <= _LUCK_ALLOWED_RATIO * longest.mean():
            return n
    return STRATA_MOST
