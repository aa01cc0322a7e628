"""What the server adds to an inference: costs found by replaying the live runs in the simulator until both agree.

How a run is replayed, and what of it is compared, `replay` says.

The decision a reader would question: the costs are not all identifiable one by one (a longer wake is much like a longer
transfer), so each is held near its start value by a mild prior. Start values of the two that decide on capacity, the
costs per request and per batch, come in closed form from the runs in which the server never rests: while batches of b
requests wait, one request leaves every (S(b) + b c + H) / b. What a row costs beside its inference is asked only where
the requests of a run differ in their rows, for otherwise it is part of what a request costs: how much longer the third
with the most rows took than that with the fewest, beyond the difference in S, is its start value. Of the pauses the
length is fitted, for each of a few rates at which they may come; the rate itself moves every pause to another request,
which no search can follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadplan.fit.records import OverheadFit, ServiceTimeFit
from loadplan.fit.replay import Replay, misfit_of, replay_of, residuals_of
from loadplan.fit.simulate import Draws, draw, full_batches
from loadplan.load.records import LoadRun

Times = NDArray[np.float64]

# The costs that are searched for, each with one standard deviation of it from its start value, in logarithms: a factor
# of e, so hardly a constraint. Nobody can tell beforehand how long pauses are.
_PRIORS = {
    "request_s": 1.0,
    "response_s": 1.0,
    "batch_s": 1.0,
    "wake_s": 1.0,
    "transfer_s": 1.0,
    "cold_ratio": 1.0,
    "spread_ratio": 1.0,
    "stall_s": 3.0,
    "row_s": 1.0,
}
_FARTHEST = 4.0  # from its start value, in logarithms: no cost is a fiftieth or fifty times of what is usual
# Laws whose misfit is larger than that of so many laws around the best one would be are not plausible.
_PLAUSIBLE_RATIO = 0.95
_TRIES = 3
_SEED = 1  # of the replays' noise; the fit must not depend on the scenario's seed

_PAUSE_RATES_PER_S = (6.0, 2.0, 20.0)
_PAUSED_AT_MOST_RATIO = 0.1  # of the time; more, and a simulated server hardly works
_ROW_S_LEAST = 1e-6  # the start value where the runs show less: the time to look at a dozen numbers
# Batches of the runs that show what it carries must differ by this many requests to tell the two costs apart.
_REQUESTS_APART_LEAST = 0.5
# Start values for what those don't tell; costs of a small request on one core of a virtual machine.
_START = OverheadFit(
    request_s=30e-6,
    response_s=10e-6,
    batch_s=10e-6,
    wake_s=15e-6,
    transfer_s=10e-6,
    cold_ratio=0.5,
    spread_ratio=0.4,
    stall_s=0.3e-3,
    stall_rate_per_s=_PAUSE_RATES_PER_S[0],
    residuals=(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Where one search ended: the logarithms of the costs in the order of `_names`."""

    start: OverheadFit
    vector: Times
    covariance: NDArray[np.float64]
    cost: float
    misfit_ratio: float  # χ² / degrees of freedom, at least 1
    cost_at: Callable[[Times], float]  # of any other vector


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadLaws:
    """The costs that explain the runs best, and others that explain them about as well."""

    best: OverheadFit
    plausible: tuple[OverheadFit, ...]  # draws from the fit's uncertainty, without residuals of their own


def fit_overhead(
    service_times: Sequence[ServiceTimeFit],
    runs: Sequence[LoadRun],
    *,
    cold_ratio: float | None = None,
    first: OverheadFit | None = None,
    n_plausible: int = 0,
    rng: np.random.Generator | None = None,
) -> OverheadLaws:
    """The costs under which the simulator answers like the live server did; the best ones don't depend on `rng`.

    Plausible ones are drawn from the normal law whose covariance is (JᵀJ)⁻¹ max(1, χ² / degrees of freedom), with J the
    Jacobian of the weighted misfit: the usual law of a least-squares estimate, widened where the misfit is larger than
    the scatter of repeated runs explains, and without laws that the runs contradict. Each rate of pauses has its share
    of them, by how well it explains the runs.

    Args:
        service_times: the tables of what the runs' servers executed.
        runs: the live runs.
        cold_ratio: how much slower work is after a pause, as measured without a server (`cold.measured_cold_ratio`):
            where the search begins, and what it is held near; None: as elsewhere.
        first: costs of such a server as another model showed them: the search begins there and is over sooner.
        n_plausible: how many further laws to draw.
        rng: draws them.

    Raises:
        InvalidMeasurement: when a run is invalid, says not how its server ran or what it was sent, or has too few
            answers.
        InputError: when a run's execution was not benchmarked.
    """
    replays = [replay_of(service_times, run) for run in runs]
    draws = draw(np.random.default_rng(_SEED))
    start = _start(replays)
    if cold_ratio is not None:
        start = replace(start, cold_ratio=cold_ratio)
    found: list[_Found] = []  # best first
    begin = None if first is None else _to_vector(_in_terms_of(start, first))
    for rate_per_s in _PAUSE_RATES_PER_S:
        rival = _search(replays, replace(start, stall_rate_per_s=rate_per_s), draws, begin=begin)
        found = sorted([*found, rival], key=lambda one: one.cost)
        begin = found[0].vector
    best = _from_vector(found[0].start, found[0].vector)
    rng = rng or np.random.default_rng(_SEED)
    return OverheadLaws(
        best=replace(best, residuals=tuple(r for replay in replays for r in residuals_of(replay, best, draws))),
        plausible=tuple(law for one, n in _shares(found, n_plausible) for law in _drawn(one, n, rng)),
    )


def _shares(ranked: Sequence[_Found], n_plausible: int) -> list[tuple[_Found, int]]:
    """How many of the plausible laws come of each search: as likely as each makes the runs, exp(-cost), best first.

    Rare long pauses and frequent short ones often explain the runs about as well, and lead to other tails.
    """
    likely = np.exp([-(one.cost - ranked[0].cost) / ranked[0].misfit_ratio for one in ranked])
    ends = np.round(np.cumsum(likely) / likely.sum() * n_plausible).astype(int)
    return list(zip(ranked, np.diff(ends, prepend=0).tolist(), strict=True))


def _drawn(one: _Found, n: int, rng: np.random.Generator) -> list[OverheadFit]:
    """Laws around the best one, none of which the runs contradict.

    The normal law knows no more than how steep the misfit is at its least: a cost that may be nearly nothing may then
    be twenty times as large too. What the runs speak against is drawn again, and after some tries moved towards the
    best law until they no longer do.
    """
    from scipy.special import chdtri

    most = one.cost + 0.5 * one.misfit_ratio * float(chdtri(one.vector.size, 1.0 - _PLAUSIBLE_RATIO))
    low, high = _bounds(one.start)
    laws = []
    for _ in range(n):
        for _ in range(_TRIES):
            vector = np.clip(rng.multivariate_normal(one.vector, one.covariance), low, high)
            if one.cost_at(vector) <= most:
                break
        else:
            while one.cost_at(vector) > most:
                vector = 0.5 * (vector + one.vector)
        laws.append(_from_vector(one.start, vector))
    return laws


def _in_terms_of(start: OverheadFit, first: OverheadFit) -> OverheadFit:
    """The costs to begin at, none of them 0: what was never seen begins where it usually does."""
    names = _names(start)
    return replace(start, **{name: getattr(first, name) or getattr(start, name) for name in names})


def _search(replays: Sequence[Replay], start: OverheadFit, draws: Draws, *, begin: Times | None) -> _Found:
    """Least squares around `start`, whose rate of pauses is kept; begun where another search ended, if one did."""
    from scipy.optimize import least_squares

    origin = _to_vector(start)
    prior = np.array([_PRIORS[name] for name in _names(start)])

    def misfit(vector: Times) -> Times:
        overhead = _from_vector(start, vector)
        parts = [misfit_of(replay, overhead, draws) for replay in replays]
        return np.concatenate([*parts, (vector - origin) / prior])

    low, high = _bounds(start)
    first = origin if begin is None else np.clip(begin, low, high)
    n_most = 30 if begin is None else 12
    found = least_squares(misfit, first, bounds=(low, high), loss="soft_l1", diff_step=0.01, max_nfev=n_most)
    n_free = max(found.fun.size - 2 * origin.size, 1)  # the priors are misfits too, one per parameter
    misfit_ratio = max(1.0, 2.0 * float(found.cost) / n_free)
    return _Found(
        start=start,
        vector=found.x,
        covariance=np.linalg.pinv(found.jac.T @ found.jac) * misfit_ratio,
        cost=float(found.cost),
        misfit_ratio=misfit_ratio,
        cost_at=lambda vector: _cost(misfit(vector)),
    )


def _cost(misfit: Times) -> float:
    """As `least_squares` reckons it with its loss soft_l1: ½ Σ 2 (√(1 + f²) - 1)."""
    return float(np.sum(np.sqrt(1.0 + misfit**2) - 1.0))


def _bounds(start: OverheadFit) -> tuple[Times, Times]:
    origin = _to_vector(start)
    low, high = origin - _FARTHEST, origin + _FARTHEST
    longest_s = _PAUSED_AT_MOST_RATIO / start.stall_rate_per_s
    i_stall = _names(start).index("stall_s")
    high[i_stall] = min(high[i_stall], np.log(longest_s))
    return low, high


def _row_start_s(replays: Sequence[Replay]) -> float:
    """What a row costs beside its inference, by how much longer large requests took than small ones; 0: all are alike.

    The middle one of what the runs say in which the server rests.
    """
    varied = [replay for replay in replays if replay.thirds]
    slopes_s = [_slope_s(replay) for replay in varied if replay.run.spec.purpose != "saturation"]
    return max(float(np.median(slopes_s)) if slopes_s else 0.0, _ROW_S_LEAST) if varied else 0.0


def _slope_s(replay: Replay) -> float:
    rows = replay.n_rows[replay.counts]
    beside_s = (replay.done_s - replay.sent_s)[replay.counts] - replay.service_s[rows]
    small, large = replay.thirds
    return float((np.median(beside_s[large]) - np.median(beside_s[small])) / (rows[large].mean() - rows[small].mean()))


def _start(replays: Sequence[Replay]) -> OverheadFit:
    """Costs per request and per batch from what the server carried: H + b c = b gap - S(b), least squares over runs.

    Where the rows vary, b is the mean of the full batches that they form, and S(b) that of their times, with what the
    rows cost beside.

    With one batch size among them the two can't be told apart, and are split as elsewhere. Without any such run the fit
    starts from elsewhere's costs, and only the latencies tell what the server carries.
    """
    usual = replace(_START, row_s=_row_start_s(replays))
    rows, rest_s = [], []
    for replay in replays:
        if replay.gap_s is not None:
            full = full_batches(replay.n_rows, replay.setting.serving.max_batch_size)
            n_requests = float(full.n_requests.mean())
            inference_s = float((replay.service_s[full.n_rows] + usual.row_s * full.n_rows).mean())
            rows.append(n_requests)
            rest_s.append(n_requests * replay.gap_s - inference_s)
    if not rows:
        return usual
    share = np.array([_START.request_s + _START.response_s, _START.batch_s])
    share /= share.sum()
    per_request_s, per_batch_s = share * max(rest_s[0] / (share[0] * rows[0] + share[1]), 1e-6)
    if max(rows) - min(rows) >= _REQUESTS_APART_LEAST:
        matrix = np.column_stack([rows, np.ones(len(rows))])
        # Relative errors are alike, so a large batch must not outweigh a small one.
        weight = 1.0 / np.array(rows)
        solved = np.linalg.lstsq(matrix * weight[:, None], np.array(rest_s) * weight, rcond=None)[0]
        if solved[0] > 0.0:
            per_request_s, per_batch_s = float(solved[0]), max(float(solved[1]), 1e-6)
    if usual.row_s > 0.0:
        # The rows of a batch stray, so what is left beside the inference is uncertain, and
        # the search would not come back from a start far too low.
        per_request_s = max(per_request_s, _START.request_s + _START.response_s)
        per_batch_s = max(per_batch_s, _START.batch_s)
    incoming = _START.request_s / (_START.request_s + _START.response_s)
    return replace(
        usual, request_s=incoming * per_request_s, response_s=(1.0 - incoming) * per_request_s, batch_s=per_batch_s
    )


def _names(start: OverheadFit) -> tuple[str, ...]:
    """The costs that are searched for: all but that of a row where the rows are alike."""
    return tuple(name for name in _PRIORS if name != "row_s" or start.row_s > 0.0)


def _to_vector(overhead: OverheadFit) -> Times:
    vector: Times = np.log([getattr(overhead, name) for name in _names(overhead)])
    return vector


def _from_vector(start: OverheadFit, vector: Times) -> OverheadFit:
    costs: dict[str, Any] = dict(zip(_names(start), (float(value) for value in np.exp(vector)), strict=True))
    return replace(start, **costs)
