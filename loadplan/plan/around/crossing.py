"""From which peak on something holds, such as that one fleet is cheaper than another.

Costs of fleets are steps, so between two peaks it may hold, cease to, and hold again: a fleet that is cheaper ceases to
be where it needs one machine more. Peaks are tried from a 64th of the given one to 64 times as much, each 19 % above
the last, and just beyond the steps that the caller names; what is told is where it begins to hold at all that follow,
halved down to half a percent. The decision a reader would question: steps of fleets of many machines are small, so only
the first sixteen of each kind are looked at.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.fleets.candidate import Candidate, carried_by, least_fleet, n_missing, n_needed
from loadplan.plan.fleets.mixed import undominated
from loadplan.plan.fleets.sizing import n_gone, usd_per_month
from loadplan.plan.records.fleet import Fleet
from loadplan.scenario.spec import PlanRules

_STEPS_PER_DOUBLING = 4
_N_STEPS = 24  # down and up: 2^(24/4) = 64
_NEAR = 1.005
_N_FLEETS = 16
_JUST_BEYOND = 1.00001


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Of one question."""

    from_rps: float | None  # None: not at the highest peak that was tried
    is_always: bool  # at every peak that was tried
    tried_from_rps: float
    tried_to_rps: float


def crossing(holds: Callable[[float], bool], *, peak_rps: float, steps_rps: Iterable[float] = ()) -> Crossing:
    """From which peak on it holds.

    Args:
        holds: whether it does at a peak.
        peak_rps: to start from, above 0.
        steps_rps: peaks beyond which it may cease to.
    """
    grid = [_rounded(peak_rps * 2.0 ** (i / _STEPS_PER_DOUBLING)) for i in range(-_N_STEPS, _N_STEPS + 1)]
    beyond = (_rounded(step_rps * _JUST_BEYOND) for step_rps in steps_rps)
    peaks = sorted({*grid, *(rate_rps for rate_rps in beyond if grid[0] < rate_rps < grid[-1])})
    i_last = next((i for i in reversed(range(len(peaks))) if not holds(peaks[i])), None)
    if i_last is None:
        from_rps: float | None = peaks[0]
    elif i_last == len(peaks) - 1:
        from_rps = None
    else:
        from_rps = _between(holds, peaks[i_last], peaks[i_last + 1])
    return Crossing(from_rps=from_rps, is_always=i_last is None, tried_from_rps=peaks[0], tried_to_rps=peaks[-1])


def cheapest_fleet(candidates: Iterable[Candidate], *, peak_rps: float, rules: PlanRules) -> Fleet | None:
    """The cheapest fleet of one type; None where of each there are too few. No latency but its own is predicted."""

    def rank(one: Candidate) -> tuple[Decimal, int, str]:
        n = n_needed(one, peak_rps=peak_rps, rules=rules)
        return usd_per_month(one.offer, n, rules=rules), n, one.offer.name

    enough = (one for one in candidates if n_missing(one, peak_rps=peak_rps, rules=rules) == 0)
    best = min(enough, key=rank, default=None)
    return None if best is None else least_fleet(best, peak_rps=peak_rps, rules=rules)


def steps_of(candidates: Sequence[Candidate], *, rules: PlanRules) -> Iterable[float]:
    """The peaks beyond which fleets of these take one machine more, of the first few machines."""
    for one in undominated(candidates, rules=rules):
        steps = (carried_by(one, n, rules=rules) for n in range(1, _N_FLEETS + n_gone(1, rules) + 1))
        yield from (step_rps for step_rps in steps if step_rps > 0.0)


def cheapest_usd(candidates: Sequence[Candidate], *, rules: PlanRules) -> Callable[[float], Decimal | None]:
    """From a peak: what the cheapest fleet of one type costs a month; None where of each there are too few."""
    able = undominated(candidates, rules=rules)

    def usd(peak_rps: float) -> Decimal | None:
        costs = (
            usd_per_month(one.offer, n_needed(one, peak_rps=peak_rps, rules=rules), rules=rules)
            for one in able
            if n_missing(one, peak_rps=peak_rps, rules=rules) == 0
        )
        return min(costs, default=None)

    return usd


def _between(holds: Callable[[float], bool], low_rps: float, high_rps: float) -> float:
    """Where it begins to hold; it doesn't at the first and does at the second."""
    while high_rps > _NEAR * low_rps:
        middle_rps = _rounded(math.sqrt(low_rps * high_rps))
        low_rps, high_rps = (low_rps, middle_rps) if holds(middle_rps) else (middle_rps, high_rps)
    return high_rps


def _rounded(rate_rps: float) -> float:
    """Six digits: fractions of rates as they are written stay small."""
    return float(f"{rate_rps:.6g}")
