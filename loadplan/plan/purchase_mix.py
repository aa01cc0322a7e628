"""How to pay for one fleet: the i-th replica is committed to only where its share of hours beats the discount.

Replica i is needed in the hours of the week whose traffic takes i or more replicas, spares and headroom included. By
the hour it costs its price times that share; a commitment is paid for all hours, so it is worth it where the share is
above 1 - discount. Replicas above a floor may be spot instead: as many are started that enough are left with a stated
share of them interrupted at once. Every number of firm replicas from the floor up is tried and the cheapest kept; ties
go to more firm ones. Money is exact `Decimal` in USD.

The decision a reader would question: what is paid by the hour is started and stopped on the hour. A start-up takes
longer, which `plan.scaling` reckons with; here it is the bound of what scheduling can save.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from loadplan.catalog.price import Offer, PurchaseKind
from loadplan.plan.candidate import Candidate, n_needed
from loadplan.plan.commitments import TERM_MONTHS
from loadplan.plan.demand import Demand
from loadplan.plan.fleet import Assumption
from loadplan.plan.purchase_record import Bought, PurchaseMix
from loadplan.plan.sizing import as_written
from loadplan.scenario.spec import PlanRules

_KIND_ORDER: tuple[PurchaseKind, ...] = ("commit_3y", "commit_1y", "on_demand", "spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One replica, or all spot replicas together, for a week."""

    offer: Offer
    n_replicas: int
    n_hours: int  # replica-hours paid for

    @property
    def usd(self) -> Decimal:
        return self.offer.usd_per_hour * self.n_hours


def purchase_mix(
    candidate: Candidate, offers: Sequence[Offer], *, demand: Demand, rules: PlanRules
) -> PurchaseMix | None:
    """The cheapest mix of the ways to pay for a fleet of this candidate's type and region.

    None where the scenario allows nothing but one way, where the machines are one's own, and for burstable types, whose
    credits are reckoned for machines that are always on.

    Args:
        candidate: what was recommended.
        offers: everything that may be bought, spot included.
        demand: its first week is planned for.
        rules: spares, headroom, and the rules for spot.
    """
    ways = _ways(candidate, offers)
    firm = [offer for kind, offer in ways.items() if kind != "spot"]
    if not firm or len(ways) == 1:
        return None
    n_each_hour = [n_needed(candidate, peak_rps=rate, rules=rules) for rate in demand.hourly_rps]
    n_peak = max(n_each_hour)
    n_floor = min(math.ceil(as_written(rules.spot.floor_ratio) * n_peak), n_peak)
    spot = ways.get("spot")
    tried = range(n_peak, (n_peak if spot is None else n_floor) - 1, -1)
    parts = min((_parts(n_firm, firm, spot, n_each_hour, rules) for n_firm in tried), key=_usd)
    always_on = ways.get("on_demand", candidate.offer)
    items = _items(parts, rules.hours_per_month, len(n_each_hour))
    usd_per_month = sum((item.usd_per_month for item in items), Decimal(0))
    always_usd = always_on.usd_per_hour * n_peak * rules.hours_per_month
    return PurchaseMix(
        items=items,
        usd_per_month=usd_per_month,
        always_on=always_on,
        n_always_on=n_peak,
        usd_per_month_always_on=always_usd,
        n_floor=n_floor,
        gone_ratio=rules.spot.gone_ratio,
        reason=_reason(ways, items, n_floor, rules),
    )


def mix_assumptions(mix: PurchaseMix | None, rules: PlanRules) -> tuple[Assumption, ...]:
    """What a mix rests on that nobody measured."""
    if mix is None:
        return ()
    by_the_hour = Assumption(
        name="start-up of replicas that are paid by the hour, in the purchase mix",
        value=0.0,
        unit="hours",
        source="assumed: started and stopped on the hour",
    )
    if not any(item.offer.purchase == "spot" for item in mix.items):
        return (by_the_hour,)
    return (
        by_the_hour,
        Assumption(
            name="share of the spot replicas that may be interrupted at once",
            value=float(rules.spot.gone_ratio),
            unit="ratio",
            source="assumed: plan.spot.gone_ratio",
        ),
        Assumption(
            name="share of the replicas needed at the peak that never are spot",
            value=float(rules.spot.floor_ratio),
            unit="ratio",
            source="assumed: plan.spot.floor_ratio",
        ),
    )


def _ways(candidate: Candidate, offers: Sequence[Offer]) -> Mapping[PurchaseKind, Offer]:
    """The trusted offer of each kind of purchase, of the same type and region."""
    own = candidate.offer
    if own.purchase == "owned" or candidate.capacity.burst is not None:
        return {}
    alike = {
        offer.purchase: offer
        for offer in offers
        if offer.type_name == own.type_name and offer.region == own.region and offer.quality == "ok"
    }
    return {kind: alike[kind] for kind in _KIND_ORDER if kind in alike}


def _parts(
    n_firm: int, firm: Sequence[Offer], spot: Offer | None, n_each_hour: Sequence[int], rules: PlanRules
) -> tuple[_Part, ...]:
    parts = [_firm_part(i, firm, n_each_hour) for i in range(1, n_firm + 1)]
    stays = 1 - as_written(rules.spot.gone_ratio)
    n_spot = [math.ceil(Fraction(max(n - n_firm, 0)) / stays) for n in n_each_hour]
    if spot is not None and max(n_spot) > 0:
        parts.append(_Part(offer=spot, n_replicas=max(n_spot), n_hours=sum(n_spot)))
    return tuple(parts)


def _firm_part(i: int, firm: Sequence[Offer], n_each_hour: Sequence[int]) -> _Part:
    """The i-th replica, paid for in the cheapest way; by the hour among equals, for that binds to nothing."""
    n_needed = sum(n >= i for n in n_each_hour)
    ways = [
        _Part(offer=offer, n_replicas=1, n_hours=len(n_each_hour) if offer.purchase in TERM_MONTHS else n_needed)
        for offer in firm
    ]
    return min(ways, key=lambda part: (part.usd, TERM_MONTHS.get(part.offer.purchase, 0)))


def _usd(parts: Sequence[_Part]) -> Decimal:
    return sum((part.usd for part in parts), Decimal(0))


def _items(parts: Sequence[_Part], hours_per_month: int, n_hours_of_week: int) -> tuple[Bought, ...]:
    items = []
    for kind in _KIND_ORDER:
        own = [part for part in parts if part.offer.purchase == kind]
        if own:
            n_replicas = sum(part.n_replicas for part in own)
            n_hours = sum(part.n_hours for part in own)
            items.append(
                Bought(
                    offer=own[0].offer,
                    n_replicas=n_replicas,
                    hours_ratio=Decimal(n_hours) / (n_replicas * n_hours_of_week),
                    usd_per_month=own[0].offer.usd_per_hour * n_hours * hours_per_month / n_hours_of_week,
                )
            )
    return tuple(items)


def _reason(ways: Mapping[PurchaseKind, Offer], items: Sequence[Bought], n_floor: int, rules: PlanRules) -> str:
    said = []
    on_demand = ways.get("on_demand")
    commitments = [ways[kind] for kind in TERM_MONTHS if kind in ways]
    if on_demand is not None and commitments:
        cheapest = min(commitments, key=lambda offer: offer.usd_per_hour)
        share = cheapest.usd_per_hour / on_demand.usd_per_hour
        said.append(f"a commitment pays for a replica that is needed in more than {100 * share:.1f} % of the hours")
    if any(item.offer.purchase == "spot" for item in items):
        gone = f"{(100 * rules.spot.gone_ratio).normalize():f}"
        said.append(f"spot only above {n_floor} replicas that stay, {gone} % of it may be interrupted at once")
    elif "spot" in ways:
        said.append("spot would not be cheaper")
    return "; ".join(said)
