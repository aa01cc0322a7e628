"""How likely a replica carries so much, by the interval of its capacity, and how many would do at its ends.

The ends are the 5th and the 95th percentile of what the draws of the fit give, widened by what an earlier prediction
missed and by what is unknown of other hardware. Between and beyond them ln(capacity) is taken to be normal on either
side of the middle. The decision a reader would question: the law itself is believed; a chance of 99.9 % says nothing of
what the law leaves out.
"""

import math

import numpy as np

from loadplan.plan.fleets.sizing import multiple_of, n_gone, n_replicas_needed, usd_per_month
from loadplan.plan.records.fleet import Fleet, ReplicaCapacity
from loadplan.plan.records.outlook import Chance, SizeRange
from loadplan.scenario.spec import PlanRules

_Z_OF_THE_ENDS = 1.6449  # of the 5th and the 95th percentile


def chance_of(fleet: Fleet, *, peak_rps: float, rules: PlanRules) -> Chance | None:
    """That the objectives hold at the peak; None where the capacity is one number, or the fleet is of several kinds."""
    if len(fleet.items) > 1 or fleet.basis == "given":
        return None
    n_replicas = fleet.items[0].n_replicas
    rungs = fleet.capacity.rungs
    needed_rps = peak_rps / float(multiple_of(n_replicas - n_gone(n_replicas, rules), rungs))
    return Chance(
        with_spares_gone_ratio=chance_of_at_least(fleet.capacity, needed_rps),
        with_all_ratio=chance_of_at_least(fleet.capacity, peak_rps / float(multiple_of(n_replicas, rungs))),
        needed_rps=needed_rps,
    )


def size_range_of(fleet: Fleet, *, peak_rps: float, rules: PlanRules) -> SizeRange | None:
    """What the interval of a replica's capacity leaves open of the fleet's size and bill; None as `chance_of`.

    What whole fleets carry over one replica is taken to be the same at both ends.
    """
    if len(fleet.items) > 1 or fleet.basis == "given":
        return None
    (item,), capacity = fleet.items, fleet.capacity
    needed = n_replicas_needed(peak_rps, capacity.usable_capacity_rps_high, rules=rules, rungs=capacity.rungs)
    n_low = min(needed + capacity.n_more, item.n_replicas)
    return SizeRange(
        n_replicas_low=n_low,
        n_replicas_high=item.n_replicas,
        usd_per_month_low=usd_per_month(item.offer, n_low, rules=rules),
        usd_per_month_high=fleet.usd_per_month,
    )


def chance_of_at_least(capacity: ReplicaCapacity, rate_rps: float) -> float:
    """P(X >= r): 1 - Phi(ln(r / middle) / sigma), with the sigma of the side on which r lies."""
    below, above = _sigmas(capacity)
    distance = math.log(rate_rps / capacity.usable_capacity_rps)
    sigma = below if distance < 0.0 else above
    if sigma == 0.0:
        return 1.0 if distance <= 0.0 else 0.0
    return 0.5 * math.erfc(distance / sigma / math.sqrt(2.0))


def capacity_quantiles_rps(capacity: ReplicaCapacity, *, n: int) -> list[float]:
    """So many quantiles of what a replica carries, equally likely."""
    from scipy.special import ndtri

    below, above = _sigmas(capacity)
    z = ndtri((np.arange(n) + 0.5) / n)
    middle = capacity.usable_capacity_rps
    return [float(value) for value in middle * np.exp(np.where(z < 0.0, below, above) * z)]


def _sigmas(capacity: ReplicaCapacity) -> tuple[float, float]:
    """Standard deviations of ln(capacity) below and above its middle; the ends must be above 0."""
    middle = capacity.usable_capacity_rps
    return (
        math.log(middle / capacity.usable_capacity_rps_low) / _Z_OF_THE_ENDS,
        math.log(capacity.usable_capacity_rps_high / middle) / _Z_OF_THE_ENDS,
    )
