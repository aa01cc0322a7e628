"""Plans on what one copy of a running service carries, worked out by hand.

The copy carries 1,080 (low), 1,200, 1,320 requests per second on one core where it was driven. The other type has half
the clock and half the peak, so its speed ratio is 1/2, a third to three quarters with the factor of 1.5.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.instance_type import CpuFamily
from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.black_box.records import ServiceCapacity
from loadplan.fit.records import Breakdown, CapacityFit, PartRatio, TimeShares
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.plan.service import plan_on_service, searching_service
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.around_text import levers_text, split_text
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo

AS_OF = date(2026, 11, 24)


@pytest.fixture
def capacity(fit: CapacityFit) -> ServiceCapacity:
    """One copy on one core of the machine that the fit of these tests was made on."""
    (one,) = fit.capacities
    return ServiceCapacity(
        machine=fit.machine,
        n_cores=1,
        usable_capacity_rps=one.usable_capacity_rps,
        usable_capacity_rps_low=one.usable_capacity_rps_low,
        usable_capacity_rps_high=one.usable_capacity_rps_high,
        saturated_rps=one.saturated_rps,
        saturated_rps_low=one.saturated_rps_low,
        saturated_rps_high=one.saturated_rps_high,
        curve=one.curve,
        basis="measured",
        caveats=(),
    )


@pytest.fixture
def both(offer: Offer, here: CpuFamily) -> Catalog:
    """The slow type for 10 cents, and one of two cores like the machine at hand for 12."""
    own = replace(offer.instance_type, name="own.large", n_vcpus=2, cpu_family=here)
    return Catalog(
        version="test",
        offers=(offer, replace(offer, instance_type=own, usd_per_hour=Decimal("0.12"))),
        cpu_families=(here,),
    )


def solve(
    capacity: ServiceCapacity, scenario: Scenario, catalog: Catalog, measured_on: str | None = "aws/own.large"
) -> Plan:
    return plan_on_service(capacity, scenario=scenario, catalog=catalog, as_of=AS_OF, measured_on=measured_on)


def within(scenario: Scenario, limit_s: float) -> Scenario:
    return replace(scenario, objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=limit_s),)),))


def recommended(plan: Plan) -> Fleet:
    assert plan.recommended is not None
    return plan.recommended


def of_type(plan: Plan, name: str) -> Fleet:
    fleets = [recommended(plan), *plan.runners_up]
    return next(fleet for fleet in fleets if fleet.items[0].offer.instance_type.name == name)


def test_where_it_was_driven_the_capacity_is_measured(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    # 2 copies x 1,080 = 2,160; 2,400 / 0.8 = 3,000: 2 + 1 replicas x 0.12 x 730 = 262.80.
    plan = solve(capacity, within(scenario, 0.1), both)
    fleet = recommended(plan)
    assert fleet.items[0].offer.instance_type.name == "own.large"
    assert (fleet.items[0].n_replicas, fleet.usd_per_month) == (3, Decimal("262.80"))
    assert (fleet.basis, fleet.capacity.n_server_processes, fleet.capacity.setting) == ("measured", 2, None)
    assert fleet.capacity.usable_capacity_rps_low == pytest.approx(2160.0)
    # With one of three gone, 2,400 / 4,320 of the low end is used: 600 of 1,080 requests/s of each copy.
    assert fleet.utilisation_ratio_degraded == pytest.approx(2400 / 4320)
    assert fleet.predicted_p99_s is not None
    assert any(caveat.code == "plan.service_copies" and caveat.number == 4.0 for caveat in plan.caveats)


def test_half_the_fetch_saves_a_machine_and_half_the_work_none(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    """2 copies x 1,080 x 1.5 = 3,240 carry the 3,000: 1 + 1 replicas, one fewer than three of 87.60.

    The p99 of a copy that gets 600 is 10 ms + 500 / 1,100 of 10 ms (see conftest), of which each part has a quarter.
    """
    shares = tuple(PartRatio(part=part, ratio=0.25) for part in ("fetch", "work"))
    breakdown = Breakdown(
        shares=(TimeShares(usable_ratio=1.0, parts=shares, n_requests=900),),
        halved=(PartRatio(part="fetch", ratio=1.5), PartRatio(part="work", ratio=1.0)),
    )
    known = replace(capacity, breakdown=breakdown)
    search = searching_service(known, catalog=both, as_of=AS_OF, measured_on="aws/own.large")
    outlook = plan_with_outlook(search, scenario=within(scenario, 0.1), catalog=both).outlook
    assert outlook is not None
    assert outlook.split is not None
    assert split_text(outlook.split).endswith("3.64 ms fetch, 7.27 ms waiting, 3.64 ms work on the CPU (measured)")
    assert levers_text(outlook.levers) == (
        "halving the fetch saves 1 replica: $87.60 a month; halving the work on the CPU saves none"
    )


def test_elsewhere_it_is_extrapolated_by_the_processor(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    # 4 copies x 1,080 / 3 = 1,440; 3,000 / 1,440 = 2.08: 3 + 1 replicas x 0.10 x 730 = 292.
    fleet = of_type(solve(capacity, within(scenario, 0.1), both), "h.xlarge")
    assert (fleet.basis, fleet.items[0].n_replicas, fleet.usd_per_month) == ("extrapolated", 4, Decimal("292.00"))
    assert fleet.capacity.usable_capacity_rps_high == pytest.approx(4 * 990.0)
    assert fleet.capacity.measured_on == "aws/own.large"


def test_a_copy_that_works_on_two_cores_fills_two(capacity: ServiceCapacity, scenario: Scenario, both: Catalog) -> None:
    plan = solve(replace(capacity, n_cores=2), within(scenario, 0.1), both)
    assert of_type(plan, "own.large").capacity.n_server_processes == 1
    assert of_type(plan, "h.xlarge").capacity.n_server_processes == 2


def test_where_nobody_counted_its_cpu_time_a_copy_takes_all_the_cores_that_were_there(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    # The type that it was driven on has two cores, the other one four.
    plan = solve(replace(capacity, n_cores=None), within(scenario, 0.1), both)
    assert of_type(plan, "own.large").capacity.n_server_processes == 1
    assert of_type(plan, "h.xlarge").capacity.n_server_processes == 2


def test_a_machine_with_fewer_cores_than_it_works_on_is_not_offered_unless_it_was_there(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    plan = solve(replace(capacity, n_cores=8), within(scenario, 0.1), both)
    assert of_type(plan, "own.large").capacity.n_server_processes == 1
    assert [one.reason for one in plan.not_offered] == ["it has fewer cores than the 8 that the service works on"]


def test_a_service_bound_by_its_slots_is_no_faster_on_a_faster_machine(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog, half: CpuFamily
) -> None:
    # Driven on the slow type: the other one is twice as fast, 1.33 to 3 times.
    on_slow = solve(capacity, within(scenario, 0.1), both, "aws/h.xlarge")
    assert of_type(on_slow, "own.large").capacity.usable_capacity_rps_high == pytest.approx(2 * 3.0 * 1320.0)
    bound = solve(replace(capacity, is_bound_by_slots=True), within(scenario, 0.1), both, "aws/h.xlarge")
    assert of_type(bound, "own.large").capacity.usable_capacity_rps_high == pytest.approx(2 * 1320.0)


def test_waits_without_cpu_get_no_shorter_elsewhere(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    """On a slower machine a p99 of 10 to 20 ms is 30 to 60 ms at the low end, unless all of it is waiting."""
    limit = within(scenario, 0.025)
    reasons = [one.reason for one in solve(capacity, limit, both).not_offered]
    assert reasons == ["the objectives hold at no rate there"]
    waiting = replace(capacity, unscaled_least_s=9e-3, unscaled_most_s=9e-3)
    assert of_type(solve(waiting, limit, both), "h.xlarge").capacity.usable_capacity_rps_low > 0.0


@pytest.mark.parametrize(
    ("measured_on", "code"),
    [
        pytest.param(None, "plan.service_machine_unknown", id="nobody told"),
        pytest.param("gcp/n2-standard-4", "plan.service_machine_not_offered", id="has no price"),
    ],
)
def test_a_machine_that_can_t_be_bought_is_doubted_and_all_is_extrapolated(
    measured_on: str | None, code: str, capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    plan = solve(capacity, within(scenario, 0.1), both, measured_on)
    assert code in [caveat.code for caveat in plan.caveats]
    assert {fleet.basis for fleet in [recommended(plan), *plan.runners_up]} == {"extrapolated"}


def test_no_rate_at_all_says_what_an_idle_service_needs_and_what_of_it_is_waiting(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    nothing = replace(
        capacity,
        usable_capacity_rps=0.0,
        usable_capacity_rps_low=0.0,
        usable_capacity_rps_high=0.0,
        curve=capacity.curve[:1],
        unscaled_least_s=4e-3,
        unscaled_most_s=8e-3,
    )
    plan = solve(nothing, within(scenario, 0.005), both)
    assert not plan.feasible
    assert plan.binding_constraint is not None
    assert "p99 of at most 5 ms" in plan.binding_constraint
    assert "no number of machines mends it" in plan.binding_constraint
    assert "4 to 8 ms of a request are waits without CPU" in plan.binding_constraint
    assert plan.nearest_miss is not None
    assert plan.nearest_miss.items[0].offer.instance_type.name == "own.large"


def test_an_accelerator_of_which_nobody_knows_what_the_service_does_with_it_is_not_offered(
    capacity: ServiceCapacity, scenario: Scenario, both: Catalog
) -> None:
    slow, own = both.offers
    gpu = replace(slow, instance_type=replace(slow.instance_type, accelerator="L4"))
    plan = solve(capacity, within(scenario, 0.1), replace(both, offers=(gpu, own)))
    assert [one.reason for one in plan.not_offered] == ["nobody knows what the service does with its accelerator (L4)"]
