"""What must hold for every catalogue and every traffic, on given capacities."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo


@dataclass(frozen=True)
class Kind:
    """A machine that can be bought: price in thousandths of a dollar, capacity in requests per second, p99 in ms."""

    usd_per_1000h: int
    rps: int
    p99_ms: int


KINDS = st.lists(
    st.builds(Kind, st.integers(1, 5000), st.integers(1, 3000), st.integers(1, 100)), min_size=1, max_size=8
)
PEAKS = st.integers(1, 20_000)


def solve(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak_rps: float, *, limit_s: float = 0.05, times: int = 1
) -> Plan:
    names = [f"t{i}" for i in range(len(kinds))]
    offers = tuple(
        replace(
            offer,
            instance_type=replace(offer.instance_type, name=name),
            usd_per_hour=Decimal(kind.usd_per_1000h) * times / 1000,
        )
        for name, kind in zip(names, kinds, strict=True)
    )
    rows = [
        GivenCapacity(
            provider="aws",
            region=None,
            instance_type=name,
            batch_size=None,
            usable_capacity_rps=Decimal(kind.rps),
            p99_s=Decimal(kind.p99_ms) / 1000,
        )
        for name, kind in zip(names, kinds, strict=True)
    ]
    question = replace(
        scenario,
        traffic=replace(scenario.traffic, peak_rps=peak_rps),
        objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=limit_s),)),),
    )
    catalog = Catalog(version="test", offers=offers, cpu_families=())
    return plan_on_given(rows, scenario=question, catalog=catalog, as_of=date(2026, 11, 24))


def cost(plan: Plan) -> Decimal:
    return plan.recommended.usd_per_month if plan.recommended else Decimal("Infinity")


@given(kinds=KINDS, peak=PEAKS, times=st.integers(2, 1000))
def test_all_prices_times_k_keep_the_winner(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, times: int
) -> None:
    before, after = solve(scenario, offer, kinds, peak), solve(scenario, offer, kinds, peak, times=times)
    assert before.feasible == after.feasible
    if before.recommended and after.recommended:
        assert [item.n_replicas for item in before.recommended.items] == [
            item.n_replicas for item in after.recommended.items
        ]
        assert before.recommended.items[0].offer.name == after.recommended.items[0].offer.name


@given(kinds=KINDS, peak=PEAKS, i=st.integers(0, 7))
def test_a_dominated_offer_changes_nothing(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, i: int
) -> None:
    kind = kinds[i % len(kinds)]
    worse = Kind(usd_per_1000h=kind.usd_per_1000h + 1, rps=kind.rps, p99_ms=kind.p99_ms)
    before = solve(scenario, offer, kinds, peak).recommended
    after = solve(scenario, offer, [*kinds, worse], peak).recommended
    assert (before and before.items) == (after and after.items)


@given(kinds=KINDS, peak=PEAKS, extra=KINDS)
def test_more_offers_never_cost_more(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, extra: list[Kind]
) -> None:
    assert cost(solve(scenario, offer, kinds + extra, peak)) <= cost(solve(scenario, offer, kinds, peak))


@given(kinds=KINDS, peak=PEAKS, looser_ms=st.integers(50, 100))
def test_a_looser_objective_never_costs_more(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, looser_ms: int
) -> None:
    looser = solve(scenario, offer, kinds, peak, limit_s=looser_ms * 1e-3)
    assert cost(looser) <= cost(solve(scenario, offer, kinds, peak))


@given(kinds=KINDS, peak=PEAKS, more=st.integers(1, 10_000))
def test_more_traffic_never_costs_less(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, more: int
) -> None:
    assert cost(solve(scenario, offer, kinds, peak + more)) >= cost(solve(scenario, offer, kinds, peak))


@given(kinds=KINDS, peak=PEAKS)
@settings(max_examples=50)
def test_the_recommended_fleet_carries_the_peak_and_one_fewer_would_not(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int
) -> None:
    fleet = solve(scenario, offer, kinds, peak).recommended
    if fleet is None:
        return
    n_left = fleet.items[0].n_replicas - 1
    rps = Decimal(int(fleet.capacity.usable_capacity_rps)) * Decimal("0.8")
    assert n_left * rps >= peak > (n_left - 1) * rps
