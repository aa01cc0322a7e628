"""One offer with what a replica of it carries, and the fleets that can be made of it.

Rates are requests per second, times seconds, money is `Decimal` in USD. The decision a reader would question: a
candidate is sized on `sizing_rps`, the low end of its capacity, so utilisations are shares of that end too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.price import Offer
from loadplan.fit.records import StartTimes
from loadplan.plan.fleet import Fleet, FleetItem, ReplicaCapacity
from loadplan.plan.sizing import n_replicas_needed, usd_per_month
from loadplan.plan.transfer import PredictedP99
from loadplan.scenario.spec import PlanRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that could carry the traffic."""

    offer: Offer
    capacity: ReplicaCapacity
    sizing_rps: float | Decimal  # the capacity of one replica that is counted on, above zero
    predict_p99: Callable[[float], PredictedP99 | None]  # from the rate of one replica
    start: StartTimes | None = None  # of a server process where it was measured; None: no start was


def least_fleet(candidate: Candidate, *, peak_rps: float, rules: PlanRules) -> Fleet:
    """The least replicas of this candidate that carry the peak; the reason is left empty."""
    n_replicas = n_replicas_needed(peak_rps, candidate.sizing_rps, rules=rules)
    return fleet_of(candidate, n_replicas, peak_rps=peak_rps, rules=rules)


def fleet_of(candidate: Candidate, n_replicas: int, *, peak_rps: float, rules: PlanRules) -> Fleet:
    """So many replicas of this candidate, more than the spares, at the peak."""
    n_left = n_replicas - rules.n_spare_replicas
    p99 = candidate.predict_p99(peak_rps / n_left)
    sizing_rps = float(candidate.sizing_rps)
    return Fleet(
        items=(FleetItem(offer=candidate.offer, n_replicas=n_replicas),),
        capacity=candidate.capacity,
        usd_per_hour=candidate.offer.usd_per_hour * n_replicas,
        usd_per_month=usd_per_month(candidate.offer, n_replicas, rules=rules),
        utilisation_ratio=peak_rps / (n_replicas * sizing_rps),
        utilisation_ratio_degraded=peak_rps / (n_left * sizing_rps),
        predicted_p99_s=None if p99 is None else p99.middle_s,
        predicted_p99_s_low=None if p99 is None else p99.low_s,
        predicted_p99_s_high=None if p99 is None else p99.high_s,
        basis=candidate.capacity.basis,
        reason="",
    )
