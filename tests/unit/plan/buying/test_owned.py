"""Machines of one's own: what they cost, worked out by hand to the cent, and how many there are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.fit.records import CapacityFit
from loadplan.plan.buying.owned import owned_cost
from loadplan.plan.given import plan_on_given, searching_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet, searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.outlook_text import unit_costs_text
from loadplan.scenario.purchase_rules import OwnedMachine
from loadplan.scenario.spec import Scenario

AS_OF = date(2026, 11, 24)

# (3,960 - 360) / 36 = 100.00; 100 W x 1.5 x 730 h = 109.5 kWh at 0.20 = 21.90; 10.00 and 8.10: 140.00 a month.
RACK = OwnedMachine(
    name="rack",
    region="site",
    like=None,
    n_vcpus=4,
    memory_gib=8.0,
    n_available=6,
    purchase_usd=Decimal(3960),
    residual_usd=Decimal(360),
    n_months=36,
    power_watts=Decimal(100),
    pue_ratio=Decimal("1.5"),
    usd_per_kwh=Decimal("0.20"),
    operations_usd_per_month=Decimal(10),
    rack_usd_per_month=Decimal("8.10"),
    is_sunk=False,
)


def allowing(scenario: Scenario, *machines: OwnedMachine, peak_rps: float = 2400.0, growth: float = 0.0) -> Scenario:
    """2,400 requests per second take 3 + 1 replicas of 1,000."""
    return replace(
        scenario,
        traffic=replace(scenario.traffic, peak_rps=peak_rps, growth_per_month_ratio=growth),
        plan=replace(scenario.plan, purchases=("on_demand", "owned"), owned=machines),
    )


def given(provider: str, name: str) -> GivenCapacity:
    return GivenCapacity(
        provider=provider,
        region=None,
        instance_type=name,
        batch_size=None,
        usable_capacity_rps=Decimal(1000),
        p99_s=Decimal("0.01"),
    )


def plan(scenario: Scenario, offers: Sequence[Offer]) -> Plan:
    rows = [given("own", "rack"), *(given("aws", offer.instance_type.name) for offer in offers)]
    catalog = Catalog(version="test", offers=tuple(offers), cpu_families=())
    return plan_on_given(rows, scenario=scenario, catalog=catalog, as_of=AS_OF)


def test_a_month_is_purchase_less_residual_and_power_and_hands_and_rack() -> None:
    cost = owned_cost(RACK, hours_per_month=730)
    parts = (cost.purchase_usd, cost.power_usd, cost.operations_usd, cost.rack_usd)
    assert parts == (Decimal(100), Decimal("21.90"), Decimal(10), Decimal("8.10"))
    assert cost.total_usd == Decimal("140.00")


@pytest.mark.parametrize(
    ("is_sunk", "winner", "usd"),
    [
        pytest.param(False, "aws/east/h.xlarge/on_demand", "292.00", id="to be bought: 4 x 140.00 = 560.00 loses"),
        pytest.param(True, "own/site/rack/owned", "160.00", id="paid for already: 4 x 40.00 wins"),
    ],
)
def test_owned_hardware_wins_only_when_sunk(
    scenario: Scenario, offer: Offer, is_sunk: bool, winner: str, usd: str
) -> None:
    result = plan(allowing(scenario, replace(RACK, is_sunk=is_sunk)), [offer])
    assert result.recommended is not None
    assert result.recommended.items[0].offer.name == winner
    assert result.recommended.usd_per_month == Decimal(usd)


def test_a_month_of_a_price_that_no_hour_divides_is_exact_all_the_same(scenario: Scenario, offer: Offer) -> None:
    # 2 / 730 has no end in decimals; four machines at 2.00 a month cost 8.00 all the same.
    cheap = replace(
        RACK, is_sunk=True, power_watts=Decimal(0), operations_usd_per_month=Decimal(2), rack_usd_per_month=Decimal(0)
    )
    fleet = plan(allowing(scenario, cheap), [offer]).recommended
    assert fleet is not None
    assert fleet.usd_per_month == Decimal(8)


def test_what_costs_nothing_any_more_can_be_compared(scenario: Scenario, offer: Offer) -> None:
    free = replace(
        RACK, is_sunk=True, power_watts=Decimal(0), operations_usd_per_month=Decimal(0), rack_usd_per_month=Decimal(0)
    )
    result = plan(allowing(scenario, free), [offer])
    assert result.recommended is not None
    assert result.recommended.usd_per_month == 0
    assert result.runners_up[0].reason.startswith("$292.00 a month dearer: needs 4 replicas")


def test_a_fifth_more_for_ones_own_is_a_fifth_more_a_month(scenario: Scenario, offer: Offer) -> None:
    question = allowing(scenario, replace(RACK, is_sunk=True))
    search = searching_given(
        [given("own", "rack"), given("aws", "h.xlarge")],
        catalog=(catalog := Catalog(version="test", offers=(offer,), cpu_families=())),
        as_of=AS_OF,
    )
    outlook = plan_with_outlook(search, scenario=question, catalog=catalog).outlook
    assert outlook is not None
    found = {one.changed: one.choice.usd_per_month for one in outlook.cases if one.choice is not None}
    assert found["price of own/rack +20 %"] == Decimal("192.00")


def test_no_fleet_takes_more_machines_than_there_are(scenario: Scenario, offer: Offer) -> None:
    few = replace(RACK, is_sunk=True, n_available=3)
    result = plan(allowing(scenario, few), [offer])
    assert result.recommended is not None
    assert result.recommended.items[0].offer.name == "aws/east/h.xlarge/on_demand"
    assert ("own/site/rack/owned", "4 are needed, and there are 3") in [
        (one.offer_name, one.reason) for one in result.not_offered
    ]


def test_as_many_as_are_needed_are_enough(scenario: Scenario, offer: Offer) -> None:
    result = plan(allowing(scenario, replace(RACK, is_sunk=True, n_available=4)), [offer])
    assert result.recommended is not None
    assert result.recommended.items[0].offer.purchase == "owned"


def test_where_there_is_nothing_else_the_machines_that_lack_are_the_nearest_miss(scenario: Scenario) -> None:
    result = plan(allowing(scenario, replace(RACK, n_available=3)), [])
    assert not result.feasible
    assert result.nearest_miss is not None
    assert result.nearest_miss.items[0].n_replicas == 4
    assert result.binding_constraint == (
        "machines: of own/site/rack/owned 4 are needed, and there are 3; add some, or allow other kinds of purchase"
    )


def test_growth_beyond_the_machines_there_are_is_told(scenario: Scenario, offer: Offer) -> None:
    # 2,400, 2,880, 3,456 requests per second take 4, 5, 6 replicas of 1,000.
    result = plan(allowing(scenario, replace(RACK, is_sunk=True, n_available=5), growth=0.2), [offer])
    assert [month.n_replicas for month in result.months] == [4, 5, 6]
    assert [(caveat.code, caveat.number) for caveat in result.caveats] == [("plan.runs_out", 3.0)]


def test_the_parts_of_the_cost_are_assumptions_of_the_plan(scenario: Scenario, offer: Offer) -> None:
    found = {one.name: one.value for one in plan(allowing(scenario, RACK), [offer]).assumptions}
    assert found["rack: purchase, less residual, over 36 months"] == 100.0
    assert found["rack: power, 100 W x PUE 1.5 at 0.20 USD per kWh"] == 21.9


def test_one_that_is_like_a_type_carries_what_that_type_carries(
    scenario: Scenario, fit: CapacityFit, catalog: Catalog, offer: Offer
) -> None:
    like = replace(RACK, like="aws/h.xlarge", n_vcpus=None, memory_gib=None, is_sunk=True)
    result = plan_fleet(fit=fit, scenario=allowing(scenario, like), catalog=catalog, as_of=AS_OF)
    assert result.recommended is not None
    assert result.recommended.items[0].offer.name == "own/site/rack/owned"
    assert result.recommended.capacity.usable_capacity_rps == result.runners_up[0].capacity.usable_capacity_rps
    assert result.runners_up[0].items[0].offer == offer


def test_one_that_is_like_nothing_known_names_the_nearest(scenario: Scenario, offer: Offer) -> None:
    with pytest.raises(InputError, match=r"rack is like 'aws/h\.xlarg'") as caught:
        plan(allowing(scenario, replace(RACK, like="aws/h.xlarg")), [offer])
    assert "did you mean aws/h.xlarge?" in caught.value.fix


def test_machines_of_ones_own_are_left_out_unless_allowed(scenario: Scenario, offer: Offer) -> None:
    question = allowing(scenario, replace(RACK, is_sunk=True))
    result = plan(replace(question, plan=replace(question.plan, purchases=("on_demand",))), [offer])
    assert result.recommended is not None
    assert result.recommended.items[0].offer.purchase == "on_demand"
    assert not result.runners_up


def test_where_there_is_nothing_else_no_other_machine_wins_at_a_higher_peak(scenario: Scenario) -> None:
    # 4 of the 6 are needed; from 4,001 requests per second on, 1.67 times the peak, even 6 are too few.
    question = allowing(scenario, RACK)
    question = replace(question, plan=replace(question.plan, purchases=("owned",)))
    catalog = Catalog(version="test", offers=(), cpu_families=())
    search = searching_given([given("own", "rack")], catalog=catalog, as_of=AS_OF)
    outlook = plan_with_outlook(search, scenario=question, catalog=catalog).outlook
    assert outlook is not None
    assert outlook.switches == ()


def test_the_case_for_which_there_are_too_few_machines_says_so(scenario: Scenario) -> None:
    # A fifth more, 2,880, takes a fifth machine.
    question = allowing(scenario, replace(RACK, n_available=4))
    catalog = Catalog(version="test", offers=(), cpu_families=())
    search = searching_given([given("own", "rack")], catalog=catalog, as_of=AS_OF)
    outlook = plan_with_outlook(search, scenario=question, catalog=catalog).outlook
    assert outlook is not None
    found = {one.changed: one.reason for one in outlook.cases if one.choice is None}
    assert found["traffic +20 %"] == "there are too few machines"
    assert outlook.unit_costs is not None
    assert unit_costs_text(outlook.unit_costs).endswith("; 10 % more traffic takes more machines than there are")


def test_nothing_around_the_plan_takes_more_machines_than_there_are(
    scenario: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    """Six are needed (see conftest) and there are seven; clusters would take eleven."""
    clustered = replace(fit, capacities=tuple(replace(one, overdispersed_rps=600.0) for one in fit.capacities))
    like = replace(RACK, like="aws/h.xlarge", n_vcpus=None, memory_gib=None, n_available=7)
    question = allowing(scenario, like)
    question = replace(question, plan=replace(question.plan, purchases=("owned",)))
    search = searching(fit=clustered, catalog=catalog, as_of=AS_OF)
    found = plan_with_outlook(search, scenario=question, catalog=catalog)
    assert found.outlook is not None
    assert [n for point in found.outlook.front for _, n in point.choice.offers] == [6, 7]
    assert found.overdispersed is not None
    assert (found.overdispersed.n_replicas, found.overdispersed.cheapest_offer) == (None, None)


def test_machines_of_ones_own_may_run_today(scenario: Scenario, offer: Offer) -> None:
    # Five of 140.00 a month where four on demand at 73.00 would do.
    question = allowing(scenario, RACK)
    question = replace(question, plan=replace(question.plan, today=(("own/site/rack/owned", 5),)))
    catalog = Catalog(version="test", offers=(offer,), cpu_families=())
    search = searching_given([given("own", "rack"), given("aws", "h.xlarge")], catalog=catalog, as_of=AS_OF)
    outlook = plan_with_outlook(search, scenario=question, catalog=catalog).outlook
    assert outlook is not None
    assert outlook.today is not None
    assert outlook.today.choice.usd_per_month == Decimal("700.00")
    assert (outlook.today.usd_less_per_month, outlook.today.holds) == (Decimal("408.00"), True)


def test_where_machines_lack_it_is_said_what_those_there_are_would_do_for(scenario: Scenario) -> None:
    # Of three, one spare, two carry 2 x 1,000 x 0.8; without the spare three carry 2,400.
    question = allowing(scenario, replace(RACK, n_available=3))
    catalog = Catalog(version="test", offers=(), cpu_families=())
    search = searching_given([given("own", "rack")], catalog=catalog, as_of=AS_OF)
    outlook = plan_with_outlook(search, scenario=question, catalog=catalog).outlook
    assert outlook is not None
    assert [(one.rule, one.change) for one in outlook.relaxations] == [
        ("plan.spare_replicas", "0 in place of 1"),
        ("traffic.peak_rps", "1,600 at most"),
    ]
