"""What a month of a plan consists of, offer by offer."""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.price import Offer
from loadplan.plan.fleets.sizing import usd_of
from loadplan.plan.records.fleet import MonthCost, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """So many machines of one offer for one month."""

    offer: Offer
    n_replicas: int
    usd: Decimal


def bought_in(plan: Plan, month: MonthCost) -> tuple[Bought, ...]:
    """Every offer of the recommended fleet that the month buys, in its order; none where nothing is feasible."""
    if plan.recommended is None:
        return ()
    offers = [item.offer for item in plan.recommended.items]
    if not month.n_of_each:
        return (Bought(offer=offers[0], n_replicas=month.n_replicas, usd=month.usd),)
    return tuple(
        Bought(offer=offer, n_replicas=n, usd=usd_of(offer, n, hours_per_month=plan.hours_per_month))
        for offer, n in zip(offers, month.n_of_each, strict=True)
        if n
    )
