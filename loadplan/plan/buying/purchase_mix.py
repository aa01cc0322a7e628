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
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from loadplan.catalog.price import Offer, PurchaseKind
from loadplan.plan.buying.commitments import TERM_MONTHS
from loadplan.plan.fleets.candidate import Candidate, n_needed
from loadplan.plan.fleets.demand import Demand
from loadplan.plan.fleets.sizing import as_written
from loadplan.plan.records.fleet import Assumption
from loadplan.plan.records.purchase import Bought, PurchaseMix
from loadplan.scenario.spec import PlanRules
from loadplan.units import HOURS_PER_WEEK

_KIND_ORDER: tuple[PurchaseKind, ...] = ("commit_3y", "commit_1y", "on_demand", "spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tier:
    """Replicas that are needed in the same hours of the week, and the cheapest way to pay for each."""

    n_replicas: int
    offer: Offer
    n_hours: int  # paid for, of each

    @property
    def usd(self) -> Decimal:
        """What each costs a week."""
        return self.offer.usd_per_hour * self.n_hours


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """So many firm replicas, and spot for the rest of each hour."""

    n_firm: int
    n_spot: int  # at most at once
    n_spot_hours: int
    usd: Decimal  # a week


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
    hours_at = _hours_at(candidate, demand, rules)
    n_peak = max(hours_at)
    n_floor = min(math.ceil(as_written(rules.spot.floor_ratio) * n_peak), n_peak)
    spot = ways.get("spot")
    tiers = _tiers(firm, hours_at)
    choice = _cheapest(tiers, spot, hours_at, n_least=n_peak if spot is None else n_floor, rules=rules)
    always_on = ways.get("on_demand", candidate.offer)
    items = (*_firm_items(tiers, choice.n_firm, rules), *_spot_item(choice, spot, rules))
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
    """The offer of each kind of purchase, of the same type and region."""
    own = candidate.offer
    if own.purchase == "owned" or candidate.capacity.burst is not None:
        return {}
    alike = {
        offer.purchase: offer for offer in offers if offer.type_name == own.type_name and offer.region == own.region
    }
    return {kind: alike[kind] for kind in _KIND_ORDER if kind in alike}


def _hours_at(candidate: Candidate, demand: Demand, rules: PlanRules) -> Counter[int]:
    """In how many hours of the week just so many replicas are needed."""
    hours_at: Counter[int] = Counter()
    for rate_rps, n_hours in Counter(demand.hourly_rps).items():
        hours_at[n_needed(candidate, peak_rps=rate_rps, rules=rules)] += n_hours
    return hours_at


def _tiers(firm: Sequence[Offer], hours_at: Mapping[int, int]) -> tuple[_Tier, ...]:
    """From the replicas that are needed always to those of the busiest hours."""
    tiers = []
    n_below, n_hours = 0, HOURS_PER_WEEK
    for n in sorted(hours_at):
        offer, paid = min(((one, _n_paid(one, n_hours)) for one in firm), key=_binds_least)
        tiers.append(_Tier(n_replicas=n - n_below, offer=offer, n_hours=paid))
        n_below, n_hours = n, n_hours - hours_at[n]
    return tuple(tiers)


def _n_paid(offer: Offer, n_hours: int) -> int:
    return HOURS_PER_WEEK if offer.purchase in TERM_MONTHS else n_hours


def _binds_least(way: tuple[Offer, int]) -> tuple[Decimal, int]:
    """The cheapest first; by the hour among equals, for that binds to nothing."""
    offer, n_hours = way
    return offer.usd_per_hour * n_hours, TERM_MONTHS.get(offer.purchase, 0)


def _cheapest(
    tiers: Sequence[_Tier], spot: Offer | None, hours_at: Mapping[int, int], *, n_least: int, rules: PlanRules
) -> _Choice:
    """The best number of firm replicas, from all of them down to `n_least`; more of them among equals."""
    n_firm = sum(tier.n_replicas for tier in tiers)
    usd = sum((tier.usd * tier.n_replicas for tier in tiers), Decimal(0))
    best = _Choice(n_firm=n_firm, n_spot=0, n_spot_hours=0, usd=usd)
    if spot is None:
        return best
    stays = 1 - as_written(rules.spot.gone_ratio)
    each = (tier.usd for tier in reversed(tiers) for _ in range(tier.n_replicas))
    for usd_of_one in islice(each, n_firm - n_least):
        n_firm, usd = n_firm - 1, usd - usd_of_one
        started = {n: -(-(n - n_firm) * stays.denominator // stays.numerator) for n in hours_at if n > n_firm}
        n_spot_hours = sum(n_spot * hours_at[n] for n, n_spot in started.items())
        total = usd + spot.usd_per_hour * n_spot_hours
        if total < best.usd:
            best = _Choice(n_firm=n_firm, n_spot=max(started.values()), n_spot_hours=n_spot_hours, usd=total)
    return best


def _firm_items(tiers: Sequence[_Tier], n_firm: int, rules: PlanRules) -> Iterable[Bought]:
    left = n_firm
    replicas: Counter[PurchaseKind] = Counter()
    hours: Counter[PurchaseKind] = Counter()
    offers: dict[PurchaseKind, Offer] = {}
    for tier in tiers:
        n = min(tier.n_replicas, left)
        kind, left = tier.offer.purchase, left - n
        replicas[kind] += n
        hours[kind] += n * tier.n_hours
        offers[kind] = tier.offer
    for kind in _KIND_ORDER:
        if replicas[kind] > 0:
            yield _bought(offers[kind], replicas[kind], hours[kind], rules)


def _spot_item(choice: _Choice, spot: Offer | None, rules: PlanRules) -> Iterable[Bought]:
    if spot is not None and choice.n_spot > 0:
        yield _bought(spot, choice.n_spot, choice.n_spot_hours, rules)


def _bought(offer: Offer, n_replicas: int, n_hours: int, rules: PlanRules) -> Bought:
    """From the replica-hours of a week to a month."""
    return Bought(
        offer=offer,
        n_replicas=n_replicas,
        hours_ratio=Decimal(n_hours) / (n_replicas * HOURS_PER_WEEK),
        usd_per_month=offer.usd_per_hour * n_hours * rules.hours_per_month / HOURS_PER_WEEK,
    )


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
