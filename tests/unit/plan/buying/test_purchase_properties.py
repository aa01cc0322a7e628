"""What must hold for every catalogue with burstable, committed, spare and owned machines in it, and for every mix."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.purchase_rules import OwnedMachine, SpotRules
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo


@dataclass(frozen=True)
class Kind:
    """A machine for rent: prices in thousandths of a dollar, requests per second, ms; a baseline in percent or none."""

    usd_per_1000h: int
    committed_ratio: int | None  # percent of the price on demand; None: no price is known
    rps: int
    p99_ms: int
    baseline: int | None
    surplus_per_1000h: int | None


@dataclass(frozen=True)
class Own:
    """A machine of one's own: whole dollars, requests per second, how many there are."""

    purchase_usd: int
    operations_usd: int
    rps: int
    count: int


@dataclass(frozen=True)
class Market:
    """All that can be had."""

    kinds: tuple[Kind, ...]
    own: tuple[Own, ...]


KIND = st.builds(
    Kind,
    st.integers(1, 5000),
    st.none() | st.integers(20, 100),
    st.integers(1, 3000),
    st.integers(1, 100),
    st.none() | st.integers(5, 95),
    st.none() | st.integers(1, 100),
)
OWN = st.builds(Own, st.integers(0, 50_000), st.integers(0, 500), st.integers(1, 3000), st.integers(1, 40))
MARKETS = st.builds(Market, st.lists(KIND, min_size=1, max_size=5).map(tuple), st.lists(OWN, max_size=2).map(tuple))
PEAKS = st.integers(1, 20_000)
HARD = settings(max_examples=12, deadline=None)


def _rents(offer: Offer, name: str, kind: Kind, times: int) -> list[Offer]:
    usd = Decimal(kind.usd_per_1000h) * times / 1000
    surplus = None if kind.surplus_per_1000h is None else Decimal(kind.surplus_per_1000h) * times / 1000
    own = replace(
        offer.instance_type,
        name=name,
        baseline_ratio=None if kind.baseline is None else kind.baseline / 100,
        surplus_usd_per_vcpu_hour=surplus,
    )
    on_demand = replace(offer, instance_type=own, usd_per_hour=usd)
    spot = replace(on_demand, purchase="spot", usd_per_hour=usd / 4)
    if kind.committed_ratio is None:
        return [on_demand, spot]
    return [
        on_demand,
        spot,
        replace(on_demand, purchase="commit_1y", usd_per_hour=usd * kind.committed_ratio / 100),
    ]


def _machine(name: str, own: Own, times: int) -> OwnedMachine:
    return OwnedMachine(
        name=name,
        region="site",
        like=None,
        n_vcpus=4,
        memory_gib=8.0,
        n_available=own.count,
        purchase_usd=Decimal(own.purchase_usd * times),
        residual_usd=Decimal(0),
        n_months=36,
        power_watts=Decimal(0),
        pue_ratio=Decimal(1),
        usd_per_kwh=Decimal(0),
        operations_usd_per_month=Decimal(own.operations_usd * times),
        rack_usd_per_month=Decimal(0),
        is_sunk=False,
    )


def _row(provider: str, name: str, rps: int, p99_ms: int) -> GivenCapacity:
    return GivenCapacity(
        provider=provider,
        region=None,
        instance_type=name,
        batch_size=None,
        usable_capacity_rps=Decimal(rps),
        p99_s=Decimal(p99_ms) / 1000,
    )


def solve(
    scenario: Scenario,
    offer: Offer,
    market: Market,
    peak_rps: float,
    *,
    limit_s: float = 0.05,
    times: int = 1,
    step: int = 1,
) -> Plan:
    """`times`: all prices; `step` -1: every list of rows the other way round."""
    offers = [one for i, kind in enumerate(market.kinds) for one in _rents(offer, f"t{i}", kind, times)]
    rows = [
        *(_row("aws", f"t{i}", kind.rps, kind.p99_ms) for i, kind in enumerate(market.kinds)),
        *(_row("own", f"o{i}", own.rps, 1) for i, own in enumerate(market.own)),
    ]
    question = replace(
        scenario,
        traffic=replace(scenario.traffic, peak_rps=peak_rps),
        objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=limit_s),)),),
        plan=replace(
            scenario.plan,
            purchases=("on_demand", "spot", "commit_1y", "owned"),
            owned=tuple(_machine(f"o{i}", own, times) for i, own in enumerate(market.own)),
        ),
    )
    catalog = Catalog(version="test", offers=tuple(offers[::step]), cpu_families=())
    return plan_on_given(rows[::step], scenario=question, catalog=catalog, as_of=date(2026, 11, 24))


def cost(plan: Plan) -> Decimal:
    return plan.recommended.usd_per_month if plan.recommended else Decimal("Infinity")


def mix_cost(plan: Plan) -> Decimal:
    return plan.purchase_mix.usd_per_month if plan.purchase_mix else cost(plan)


@given(market=MARKETS, peak=PEAKS, times=st.integers(2, 1000))
@HARD
def test_all_prices_times_k_keep_the_winner_and_its_mix(
    scenario: Scenario, offer: Offer, market: Market, peak: int, times: int
) -> None:
    before, after = solve(scenario, offer, market, peak), solve(scenario, offer, market, peak, times=times)
    assert before.feasible == after.feasible
    if before.recommended and after.recommended:
        first, second = before.recommended, after.recommended
        assert [(one.offer.name, one.n_replicas) for one in first.items] == [
            (one.offer.name, one.n_replicas) for one in second.items
        ]
        assert first.capacity.burst == second.capacity.burst
        assert round(times * first.usd_per_month, 9) == round(second.usd_per_month, 9)
    if before.purchase_mix and after.purchase_mix:
        assert [(one.offer.name, one.n_replicas) for one in before.purchase_mix.items] == [
            (one.offer.name, one.n_replicas) for one in after.purchase_mix.items
        ]


@given(market=MARKETS, peak=PEAKS, i=st.integers(0, 4))
@HARD
def test_a_dominated_offer_changes_nothing(scenario: Scenario, offer: Offer, market: Market, peak: int, i: int) -> None:
    kind = market.kinds[i % len(market.kinds)]
    worse = replace(kind, usd_per_1000h=kind.usd_per_1000h + 1)
    worse_own = tuple(replace(own, operations_usd=own.operations_usd + 1) for own in market.own)
    more = Market(kinds=(*market.kinds, worse), own=(*market.own, *worse_own))
    before, after = solve(scenario, offer, market, peak), solve(scenario, offer, more, peak)
    assert (before.recommended and before.recommended.items) == (after.recommended and after.recommended.items)
    assert before.purchase_mix == after.purchase_mix


@given(market=MARKETS, peak=PEAKS, extra=MARKETS)
@HARD
def test_more_offers_never_cost_more(
    scenario: Scenario, offer: Offer, market: Market, peak: int, extra: Market
) -> None:
    more = Market(kinds=market.kinds + extra.kinds, own=market.own + extra.own)
    assert cost(solve(scenario, offer, more, peak)) <= cost(solve(scenario, offer, market, peak))


@given(market=MARKETS, peak=PEAKS, looser_ms=st.integers(50, 100))
@HARD
def test_a_looser_objective_never_costs_more(
    scenario: Scenario, offer: Offer, market: Market, peak: int, looser_ms: int
) -> None:
    looser = solve(scenario, offer, market, peak, limit_s=looser_ms * 1e-3)
    assert cost(looser) <= cost(solve(scenario, offer, market, peak))


@given(market=MARKETS, peak=PEAKS, more=st.integers(1, 10_000))
@HARD
def test_more_traffic_never_costs_less(scenario: Scenario, offer: Offer, market: Market, peak: int, more: int) -> None:
    assert cost(solve(scenario, offer, market, peak + more)) >= cost(solve(scenario, offer, market, peak))


@given(market=MARKETS, peak=PEAKS)
@HARD
def test_the_order_of_rows_is_irrelevant(scenario: Scenario, offer: Offer, market: Market, peak: int) -> None:
    assert solve(scenario, offer, market, peak) == solve(scenario, offer, market, peak, step=-1)


@given(market=MARKETS, peak=PEAKS)
@HARD
def test_no_fleet_takes_more_machines_than_there_are_nor_a_burstable_one_for_a_whole(
    scenario: Scenario, offer: Offer, market: Market, peak: int
) -> None:
    plan = solve(scenario, offer, market, peak)
    for fleet in (plan.recommended, *plan.runners_up):
        if fleet is None:
            continue
        item = fleet.items[0]
        assert item.n_replicas <= (item.offer.n_available or math.inf)
        assert (fleet.capacity.burst is None) == (item.offer.instance_type.baseline_ratio is None)


ONE_KIND = st.builds(Kind, st.integers(1, 5000), st.integers(20, 100), st.just(1000), st.just(10), st.none(), st.none())


@given(kind=ONE_KIND, peak=PEAKS, more=st.integers(1, 10_000))
@HARD
def test_a_mix_never_costs_more_than_always_on_nor_less_for_more_traffic(
    scenario: Scenario, offer: Offer, kind: Kind, peak: int, more: int
) -> None:
    market = Market(kinds=(kind,), own=())
    plan = solve(scenario, offer, market, peak)
    assert plan.purchase_mix is not None
    assert plan.purchase_mix.usd_per_month <= plan.purchase_mix.usd_per_month_always_on
    assert mix_cost(solve(scenario, offer, market, peak + more)) >= mix_cost(plan)


@given(
    usd=st.integers(1, 100),
    others=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    floor=st.integers(1, 10),
    gone=st.integers(0, 9),
    levels=st.tuples(st.integers(0, 100), st.integers(0, 60)),
    peak=st.integers(1, 3200),
)
@HARD
def test_a_mix_equals_the_best_of_all_that_could_be_bought(
    scenario: Scenario,
    offer: Offer,
    usd: int,
    others: tuple[int, int],
    floor: int,
    gone: int,
    levels: tuple[int, int],
    peak: int,
) -> None:
    """Against every way to pay for every firm replica, counted in whole hours of 168 in a month of 168."""
    shares = (0.25,) * levels[0] + (0.5,) * levels[1] + (1.0,) * (168 - sum(levels))
    committed, spot = others
    offers = (
        replace(offer, usd_per_hour=Decimal(usd)),
        replace(offer, purchase="commit_1y", usd_per_hour=Decimal(committed)),
        replace(offer, purchase="spot", usd_per_hour=Decimal(spot)),
    )
    rules = replace(
        scenario.plan,
        purchases=("on_demand", "commit_1y", "spot"),
        hours_per_month=168,
        spot=SpotRules(floor_ratio=Decimal(floor) / 10, gone_ratio=Decimal(gone) / 10),
    )
    question = replace(
        scenario, plan=rules, traffic=replace(scenario.traffic, peak_rps=float(peak), week_shares=shares)
    )
    catalog = Catalog(version="test", offers=offers, cpu_families=())
    row = _row("aws", offer.instance_type.name, 1000, 10)
    mix = plan_on_given([row], scenario=question, catalog=catalog, as_of=date(2026, 11, 24)).purchase_mix
    assert mix is not None

    needed = [math.ceil(Fraction(peak) * Fraction(str(share)) / 800) + 1 for share in shares]
    hours = [sum(n > i for n in needed) for i in range(max(needed))]
    least = math.ceil(Fraction(floor, 10) * max(needed))
    costs = []
    for n_firm in range(least, max(needed) + 1):
        spare = 0
        for n, n_hours in Counter(needed).items():
            n_spot = 0
            while n_spot * (1 - Fraction(gone, 10)) < n - n_firm:
                n_spot += 1
            spare += n_spot * spot * n_hours
        for ways in product((False, True), repeat=n_firm):
            firm = sum(168 * committed if is_committed else usd * hours[i] for i, is_committed in enumerate(ways))
            costs.append(firm + spare)
    assert round(mix.usd_per_month, 9) == min(costs)
