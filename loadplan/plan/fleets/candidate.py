"""One offer with what a replica of it carries, and the fleets that can be made of it.

Rates are requests per second, times seconds, money is `Decimal` in USD. The decision a reader would question: a
candidate is sized on `sizing_rps`, the low end of its capacity, so utilisations are shares of that end too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from loadplan.catalog.price import Offer
from loadplan.fit.records import Breakdown, StartTimes
from loadplan.plan.fleets.sizing import as_written, carried_rps, multiple_of, n_gone, n_replicas_needed, usd_per_month
from loadplan.plan.hardware.transfer import PredictedP99
from loadplan.plan.records.fleet import Fleet, FleetItem, ReplicaCapacity
from loadplan.plan.records.loss import LossOutcome
from loadplan.plan.records.time_split import TimeSplit
from loadplan.scenario.spec import PlanRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that could carry the traffic."""

    offer: Offer
    capacity: ReplicaCapacity
    sizing_rps: float | Decimal  # the capacity of one replica that is counted on, above zero
    predict_p99: Callable[[float], PredictedP99 | None]  # from the rate of one replica
    # From the replicas and the share of the rest that is used at the peak: what the loss of the spares does.
    lose: Callable[[int, float], LossOutcome | None] = lambda _n_replicas, _used: None
    start: StartTimes | None = None  # of a server process where it was measured; None: no start was
    breakdown: Breakdown | None = None  # of a server process where it was measured; None: nobody looked
    # From the rate of one replica, and the p99 that is predicted for it.
    split: Callable[[float, float], TimeSplit | None] = lambda _rate_rps, _p99_s: None


def n_needed(candidate: Candidate, *, peak_rps: float, rules: PlanRules) -> int:
    """The least replicas of this candidate that carry a peak and bear the loss of the spares."""
    capacity = candidate.capacity
    return n_replicas_needed(peak_rps, candidate.sizing_rps, rules=rules, rungs=capacity.rungs) + capacity.n_more


def n_missing(candidate: Candidate, *, peak_rps: float, rules: PlanRules) -> int:
    """Machines that the least fleet of this candidate takes and that there aren't; 0 where there are enough."""
    n_available = candidate.offer.n_available
    if n_available is None:
        return 0
    return max(n_needed(candidate, peak_rps=peak_rps, rules=rules) - n_available, 0)


def carried_by(candidate: Candidate, n_replicas: int, *, rules: PlanRules) -> float:
    """What so many replicas of this candidate carry with the spares gone and the headroom free."""
    return carried_rps(n_replicas, candidate.sizing_rps, rules=rules, rungs=candidate.capacity.rungs)


def counted_rps(candidate: Candidate) -> Fraction:
    """What each replica is counted at beside those of other kinds: the least that one has in any fleet of its own."""
    shares = (as_written(rung.multiple) / rung.n_replicas for rung in candidate.capacity.rungs)
    return as_written(candidate.sizing_rps) * min(shares, default=Fraction(1))


def least_fleet(candidate: Candidate, *, peak_rps: float, rules: PlanRules) -> Fleet:
    """The least replicas of this candidate that carry the peak; the reason is left empty."""
    n_replicas = n_needed(candidate, peak_rps=peak_rps, rules=rules)
    return fleet_of(candidate, n_replicas, peak_rps=peak_rps, rules=rules)


def fleet_of(candidate: Candidate, n_replicas: int, *, peak_rps: float, rules: PlanRules) -> Fleet:
    """So many replicas of this candidate, more than the spares, at the peak."""
    sizing_rps, rungs = float(candidate.sizing_rps), candidate.capacity.rungs
    used = peak_rps / (sizing_rps * float(multiple_of(n_replicas, rungs)))
    used_degraded = peak_rps / (sizing_rps * float(multiple_of(n_replicas - n_gone(n_replicas, rules), rungs)))
    # A fleet keeps its callers waiting as one replica does of which as large a share is used.
    p99 = candidate.predict_p99(used_degraded * sizing_rps)
    return Fleet(
        items=(FleetItem(offer=candidate.offer, n_replicas=n_replicas),),
        capacity=candidate.capacity,
        usd_per_hour=candidate.offer.usd_per_hour * n_replicas,
        usd_per_month=usd_per_month(candidate.offer, n_replicas, rules=rules),
        utilisation_ratio=used,
        utilisation_ratio_degraded=used_degraded,
        predicted_p99_s=None if p99 is None else p99.middle_s,
        predicted_p99_s_low=None if p99 is None else p99.low_s,
        predicted_p99_s_high=None if p99 is None else p99.high_s,
        basis=candidate.capacity.basis,
        reason="",
    )
