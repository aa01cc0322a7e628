"""What the bill would be if the capacity were another than the one that the fleet is sized on.

A fleet is sized on the low end of what a replica may carry. The interval of the cost comes from the other end: fewer
replicas would have done if each carries more. Rates are requests per second, money is exact.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from loadplan.plan.fleets.sizing import n_replicas_needed, usd_per_month
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.view import counted, digits, percent, usd
from loadplan.scenario.spec import PlanRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """So many replicas of a fleet's offer and their price."""

    n_replicas: int
    usd_per_month: Decimal


def bill_at(fleet: Fleet, capacity_rps: float, *, peak_rps: float, rules: PlanRules) -> Bill:
    """What a fleet's offer costs at a peak if one replica carries `capacity_rps`, above 0."""
    # Nine digits, as the planner sizes: the noise of binary floats must not buy a replica.
    n_replicas = n_replicas_needed(peak_rps, float(f"{capacity_rps:.9g}"), rules=rules, rungs=fleet.capacity.rungs)
    n_replicas += fleet.capacity.n_more
    return Bill(n_replicas=n_replicas, usd_per_month=usd_per_month(fleet.items[0].offer, n_replicas, rules=rules))


@dataclass(frozen=True, slots=True, kw_only=True)
class BillParts:
    """What the replicas of a fleet are there for; they sum to all of them."""

    n_traffic: int  # would carry the peak, with nothing kept free and none to lose
    n_headroom: int  # more, so that the headroom stays free
    n_redundancy: int  # more, for those that may be gone and for the least count that the scenario asks for
    usd_headroom: Decimal  # a month
    usd_redundancy: Decimal

    @property
    def n_replicas(self) -> int:
        """All of them."""
        return self.n_traffic + self.n_headroom + self.n_redundancy


def bill_parts(plan: Plan, fleet: Fleet, rules: PlanRules) -> BillParts | None:
    """What of the bill carries the traffic, and what is reserve; None for a fleet of several types.

    Counted by sizing again for the same peak: first with no headroom and no spares, then with the headroom.
    """
    capacity_rps = fleet.capacity.usable_capacity_rps_low
    if len(fleet.items) > 1 or capacity_rps <= 0.0:
        return None
    (item,), rungs = fleet.items, fleet.capacity.rungs
    alone = replace(rules, n_spare_replicas=0, n_zones=None, n_min_replicas=1)
    sized_rps = capacity_rps if fleet.capacity.basis == "given" else float(f"{capacity_rps:.9g}")
    bare = replace(alone, headroom_ratio=0.0)
    n_traffic = min(n_replicas_needed(plan.peak_rps, sized_rps, rules=bare, rungs=rungs), item.n_replicas)
    n_kept = min(n_replicas_needed(plan.peak_rps, sized_rps, rules=alone, rungs=rungs), item.n_replicas)
    n_redundancy = item.n_replicas - n_kept
    return BillParts(
        n_traffic=n_traffic,
        n_headroom=n_kept - n_traffic,
        n_redundancy=n_redundancy,
        usd_headroom=usd_per_month(item.offer, n_kept - n_traffic, rules=rules),
        usd_redundancy=usd_per_month(item.offer, n_redundancy, rules=rules),
    )


def parts_text(parts: BillParts) -> str:
    """Such as `2 replicas for the peak (50 % of the money), 1 more for headroom (25 %, $73.00) and 1 for …`."""
    of_all = [n / parts.n_replicas for n in (parts.n_traffic, parts.n_headroom, parts.n_redundancy)]
    traffic, headroom, redundancy = (percent(share) for share in of_all)
    return (
        f"{counted(parts.n_traffic, 'replica')} for the peak ({traffic} of the money), {parts.n_headroom} more for "
        f"headroom ({headroom}, {usd(parts.usd_headroom)}) and {parts.n_redundancy} for redundancy ({redundancy}, "
        f"{usd(parts.usd_redundancy)})"
    )


def cost_range_text(plan: Plan, fleet: Fleet, rules: PlanRules) -> str:
    """What may be needed, from the high to the low end of what a replica may carry, in one sentence."""
    if len(fleet.items) > 1:
        return "Of a fleet of several types the bill is told without an interval; each type is sized on its low end."
    capacity = fleet.capacity
    low_rps, high_rps = capacity.usable_capacity_rps_low, capacity.usable_capacity_rps_high
    if capacity.basis == "given" or low_rps <= 0.0:
        return "The capacity of a replica was given as one number, so the bill has no interval."
    least = bill_at(fleet, high_rps, peak_rps=plan.peak_rps, rules=rules)
    span = f"{digits(low_rps)} to {digits(high_rps)} requests/s, {capacity.basis}"
    if least.n_replicas == fleet.items[0].n_replicas:
        return f"The same at either end of what a replica may carry ({span})."
    return (
        f"{usd(least.usd_per_month)} to {usd(fleet.usd_per_month)} by what a replica may carry ({span}): at the high "
        f"end {counted(least.n_replicas, 'replica')} would do; this buys for the low end."
    )
