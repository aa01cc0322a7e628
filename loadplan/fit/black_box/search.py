"""The law of one structure that explains the runs best: least squares over simulated runs that share their luck.

What is searched for is the CPU time of a request, how much it scatters, where requests differ in their rows which share
of it is the same for all, and a shift of the waits without CPU. Those waits have no law of their own: they are the
measured waits of the run at the lowest rate, less the CPU time, less what the requests of that run waited for each
other by the law that is tried, and with a spread that leaves room for that of the CPU time: the variance of a sum is
the sum of the variances. Seconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadplan.fit.black_box.replay import Replay, misfit
from loadplan.fit.black_box.simulate import Times, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw, ServiceStructure, cpu_s

_N_DELAYS = 400  # that the waits without CPU are kept as, at most
_SHIFT_MOST_S, _SHIFT_MOST_RATIO = 2e-3, 0.25  # of the waits without CPU; the second of the shortest wait
_CV_START, _CV_LEAST, _CV_MOST = 0.2, 0.02, 1.5
_CV_PRIOR = 0.3  # standard deviation of what is believed of it beforehand
_SHIFT_PRIOR = 0.2  # likewise of the shift, over the most that it may be
_FIXED_START = 0.3
# How far the CPU time that the system counted may be from that of a request: what else its processes do is in it.
_COUNTED_SCATTER = 0.03
# Costs that more than the simplest structure has to save before it is believed. Two cores with twice the work for each
# request are hardly told from one, but by what the system counted.
_COST_OF_CORES, _COST_OF_SLOTS = 10.0, 2.0
_CPU_FARTHEST = 3.0  # from its start, in logarithms
_CPU_OF_LOWEST = 1.2  # a request is not worked on for longer than the median of an idle service
_N_EVALUATIONS, _N_EVALUATIONS_ROUGH = 25, 5
# The parameters as the search sees them: so far from 0 that one relative step suits all, about 0.02 of each.
_ORIGIN, _STEP = 10.0, 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The runs, and what every search starts from."""

    replays: tuple[Replay, ...]  # the first is the one at the lowest rate
    spacing_s: float  # between two answers while a burst is worked off
    mean_rows: float
    has_rows: bool  # whether requests differ in them, and it is known how
    counted_s: float | None  # CPU time of a request as the system counted it; None: nobody could look

    @property
    def low(self) -> Replay:
        """The run at the lowest rate."""
        return self.replays[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where one search ended."""

    law: ServiceLaw
    cost: float  # half the sum of the softened squares of the misfits, and what the structure has to save
    start_s: float  # CPU time from which the search began
    vector: Times  # the parameters
    covariance: NDArray[np.float64]  # of the parameters


def rough(seen: Seen) -> Seen:
    """The same runs, each simulated with one luck alone."""
    return replace(seen, replays=tuple(replace(replay, lucks=replay.lucks[:1]) for replay in seen.replays))


def search(
    seen: Seen, structure: ServiceStructure, *, start_s: float, begin: Times | None = None, is_rough: bool = False
) -> Found:
    """The best law of this structure, from this CPU time of a request on; begun where another search ended, if one did.

    A rough one stops early: it tells which structures are worth a full one.
    """
    from scipy.optimize import least_squares

    low, high = _bounds(seen)

    def of(vector: Times) -> Times:
        law = law_of(seen, structure, start_s, vector)
        beliefs = [(vector[1] - _ORIGIN - _CV_START) / _CV_PRIOR, (vector[2] - _ORIGIN) / _SHIFT_PRIOR]
        if seen.counted_s is not None:
            beliefs.append(float(np.log(cpu_s(law, seen.mean_rows) / seen.counted_s)) / _COUNTED_SCATTER)
        return np.concatenate([*(misfit(replay, law) for replay in seen.replays), beliefs])

    first = np.clip(_first(seen) if begin is None else begin, low + 1e-6, high - 1e-6)
    n_most = _N_EVALUATIONS_ROUGH if is_rough else _N_EVALUATIONS
    found = least_squares(
        of, first, bounds=(low, high), loss="soft_l1", diff_step=_STEP, max_nfev=n_most, xtol=1e-5, ftol=1e-3
    )
    n_free = max(found.fun.size - first.size, 1)
    return Found(
        law=law_of(seen, structure, start_s, found.x),
        cost=float(found.cost) + _cost_of(seen, structure),
        start_s=start_s,
        vector=found.x,
        covariance=np.linalg.pinv(found.jac.T @ found.jac) * max(1.0, 2.0 * float(found.cost) / n_free),
    )


def plausible_law(seen: Seen, found: Found, rng: np.random.Generator) -> ServiceLaw:
    """A law drawn from what the runs leave open about this one."""
    low, high = _bounds(seen)
    drawn = rng.multivariate_normal(found.vector, found.covariance, method="eigh")
    return law_of(seen, found.law.structure, found.start_s, np.clip(drawn, low, high))


def law_of(seen: Seen, structure: ServiceStructure, start_s: float, vector: Times) -> ServiceLaw:
    """The law with these parameters: ln of the CPU time over its start, its cv, the shift, the share that is fixed."""
    mean_s = start_s * float(np.exp(vector[0] - _ORIGIN))
    fixed_ratio = float(vector[3] - _ORIGIN) if seen.has_rows else 1.0
    law = ServiceLaw(
        structure=structure,
        request_s=mean_s * fixed_ratio,
        row_s=mean_s * (1.0 - fixed_ratio) / seen.mean_rows if seen.has_rows else 0.0,
        cpu_cv=float(vector[1] - _ORIGIN),
        delays_s=(0.0,),
    )
    return replace(law, delays_s=_delays_s(seen, law, shift_s=float(vector[2] - _ORIGIN) * shift_most_s(seen)))


def shift_most_s(seen: Seen) -> float:
    """How far the waits without CPU may be shifted, up or down."""
    return min(_SHIFT_MOST_S, _SHIFT_MOST_RATIO * float(np.nanmin(seen.low.waited_s)))


def idle_s(seen: Seen) -> float:
    """The median wait at the lowest rate."""
    return float(np.nanmedian(seen.low.waited_s))


def longest_cpu_s(seen: Seen) -> float:
    """No request is worked on for longer."""
    return _CPU_OF_LOWEST * idle_s(seen)


def _cost_of(seen: Seen, structure: ServiceStructure) -> float:
    """What a structure has to save over a simpler one."""
    of_cores = _COST_OF_CORES * math.log2(structure.n_cores) if seen.counted_s is None else 0.0
    return of_cores + (0.0 if structure.n_slots is None else _COST_OF_SLOTS)


def _first(seen: Seen) -> Times:
    rest = [_CV_START, 0.0, *([_FIXED_START] if seen.has_rows else [])]
    return _ORIGIN + np.array([0.0, *rest])


def _bounds(seen: Seen) -> tuple[Times, Times]:
    low = [-_CPU_FARTHEST, _CV_LEAST, -1.0, *([0.0] if seen.has_rows else [])]
    high = [_CPU_FARTHEST, _CV_MOST, 1.0, *([1.0] if seen.has_rows else [])]
    return _ORIGIN + np.array(low), _ORIGIN + np.array(high)


def _delays_s(seen: Seen, law: ServiceLaw, *, shift_s: float) -> tuple[float, ...]:
    """The waits without CPU that leave room for the rest of this law in the run at the lowest rate."""
    low, luck = seen.low, seen.low.lucks[0]
    counts = low.parts[0]
    own_s = law.request_s + law.row_s * low.n_rows
    rest_s = (low.waited_s - own_s)[counts]
    guess = replace(law, delays_s=_kept(np.maximum(rest_s, 0.0)))
    went = simulate_service(guess, low.due_s, low.n_rows, luck)
    beside_s = (went.done_s - went.ready_s - own_s)[counts]  # others' work, and that its own is not the mean
    middle_s, variance = float(rest_s.mean()), float(rest_s.var())
    shrink = np.sqrt(max(1.0 - float(beside_s.var()) / variance, 0.0)) if variance > 0.0 else 0.0
    waits_s = middle_s - float(beside_s.mean()) + shrink * (rest_s - middle_s) + shift_s
    return _kept(np.maximum(waits_s, 0.0))


def _kept(values_s: Times) -> tuple[float, ...]:
    n = min(values_s.size, _N_DELAYS)
    return tuple(np.quantile(values_s, (np.arange(n) + 0.5) / n).tolist())


def replays_by_rate(replays: Sequence[Replay]) -> tuple[Replay, ...]:
    """With the one at the lowest rate first; runs of bursts behind all others, for bursts are never idle."""
    return tuple(sorted(replays, key=lambda one: (one.run.spec.purpose == "saturation", one.run.spec.offered_rate_rps)))
