"""What the bill would be if the capacity were another than the one that the fleet is sized on.

A fleet is sized on the low end of what a replica may carry. The interval of the cost comes from the other end: fewer
replicas would have done if each carries more. Rates are requests per second, money is exact.
"""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.fleets.sizing import n_replicas_needed, usd_per_month
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.view import counted, digits, usd
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
