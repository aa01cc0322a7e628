"""Plans on what was measured on machines of other types, worked out by hand.

A profile of the offer's own type says 1,080 requests per second (low) for each of its 4 processes; taken from this
machine, which is twice as fast, they would be 360 each.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.price import Catalog, Offer
from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import CapacityFit
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo
from loadplan.trial import verification_spec


@pytest.fixture
def scenario(scenario: Scenario) -> Scenario:
    return replace(scenario, objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.1),)),))


def solve(fit: CapacityFit, scenario: Scenario, catalog: Catalog, measured: Sequence[MeasuredType] = ()) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24), measured=measured)


def carrying(fit: CapacityFit, low: float, middle: float, high: float) -> CapacityFit:
    capacity = replace(
        fit.capacities[0],
        usable_capacity_rps=middle,
        usable_capacity_rps_low=low,
        usable_capacity_rps_high=high,
    )
    return replace(fit, capacities=(capacity,))


def fleets(plan: Plan) -> dict[str, Fleet]:
    assert plan.recommended is not None
    return {fleet.items[0].offer.instance_type.name: fleet for fleet in (plan.recommended, *plan.runners_up)}


@pytest.mark.parametrize(
    ("low_rps", "expected"),
    [
        # 4 x 1,080 x 0.8 = 3,456 carry 2,400: 1 + 1 replicas x 0.10 x 730.
        pytest.param(1080.0, (2, Decimal("146.00")), id="faster than was thought"),
        # 4 x 200 x 0.8 = 640; 2,400 / 640 = 3.75: 4 + 1 replicas.
        pytest.param(200.0, (5, Decimal("365.00")), id="slower than was thought"),
    ],
)
def test_an_offer_of_a_measured_type_is_planned_on_what_was_measured(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, low_rps: float, expected: tuple[int, Decimal]
) -> None:
    before = fleets(solve(fit, scenario, catalog))["h.xlarge"]
    assert (before.items[0].n_replicas, before.basis) == (4, "extrapolated")
    there = MeasuredType(type_name="aws/h.xlarge", fit=carrying(fit, low_rps, 1200.0, 1320.0))
    fleet = fleets(solve(fit, scenario, catalog, [there]))["h.xlarge"]
    assert (fleet.items[0].n_replicas, fleet.usd_per_month) == expected
    assert fleet.basis == fleet.capacity.basis == "simulated"
    assert fleet.capacity.measured_on == "aws/h.xlarge"
    assert fleet.capacity.speed_ratio == 1.0
    assert fleet.capacity.usable_capacity_rps == pytest.approx(4 * 1200.0)
    assert fleet.capacity.usable_capacity_rps_low == pytest.approx(4 * low_rps)


def test_others_of_its_family_are_extrapolated_from_it_and_the_rest_from_this_machine(
    fit: CapacityFit, scenario: Scenario, offer: Offer, catalog: Catalog
) -> None:
    here = catalog.cpu_families[1]
    bigger = replace(offer, instance_type=replace(offer.instance_type, name="h.2xlarge", n_vcpus=8))
    other = replace(offer, instance_type=replace(offer.instance_type, name="f.xlarge", cpu_family=here))
    all_three = replace(catalog, offers=(offer, bigger, other))
    there = MeasuredType(type_name="aws/h.xlarge", fit=carrying(fit, 1080.0, 1200.0, 1320.0))
    found = fleets(solve(fit, scenario, all_three, [there]))
    # The same processor, so as fast, less the factor of 1.5: 1,080 / 1.5 = 720 for each of 8 processes.
    assert found["h.2xlarge"].capacity.measured_on == "aws/h.xlarge"
    assert found["h.2xlarge"].basis == "extrapolated"
    assert found["h.2xlarge"].capacity.usable_capacity_rps_low == pytest.approx(8 * 720.0)
    assert found["f.xlarge"].capacity.measured_on is None
    assert found["f.xlarge"].basis == "extrapolated"


def test_each_of_two_measured_types_of_a_family_rests_on_its_own(
    fit: CapacityFit, scenario: Scenario, offer: Offer, catalog: Catalog
) -> None:
    bigger = replace(offer, instance_type=replace(offer.instance_type, name="h.2xlarge", n_vcpus=8))
    measured = [
        MeasuredType(type_name="aws/h.xlarge", fit=carrying(fit, 1080.0, 1200.0, 1320.0)),
        MeasuredType(type_name="aws/h.2xlarge", fit=carrying(fit, 900.0, 1000.0, 1100.0)),
    ]
    found = fleets(solve(fit, scenario, replace(catalog, offers=(offer, bigger)), measured))
    assert {name: fleet.capacity.usable_capacity_rps_low for name, fleet in found.items()} == {
        "h.xlarge": pytest.approx(4 * 1080.0),
        "h.2xlarge": pytest.approx(8 * 900.0),
    }
    assert {fleet.basis for fleet in found.values()} == {"simulated"}


def test_a_setting_that_was_measured_there_only_cannot_be_driven_here(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    two_threads = ExecutionConfig(variant="fp32", n_threads=2)
    elsewhere = replace(
        carrying(fit, 2000.0, 2100.0, 2200.0), service_times=(replace(fit.service_times[0], execution=two_threads),)
    )
    setting = replace(elsewhere.capacities[0].setting, execution=two_threads)
    elsewhere = replace(elsewhere, capacities=(replace(elsewhere.capacities[0], setting=setting),))
    plan = solve(fit, scenario, catalog, [MeasuredType(type_name="aws/h.xlarge", fit=elsewhere)])
    assert plan.recommended is not None
    assert plan.recommended.capacity.setting == setting
    with pytest.raises(InvalidMeasurement, match=re.escape("the profile of aws/h.xlarge")):
        verification_spec(plan, fit, scenario)


def test_a_measured_type_without_an_allowed_price_is_named(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    plan = solve(fit, scenario, catalog, [MeasuredType(type_name="gcp/c3", fit=fit)])
    assert [one.offer_name for one in plan.not_offered] == ["gcp/*/c3"]
    assert "no price" in plan.not_offered[0].reason
    assert fleets(plan)["h.xlarge"].capacity.measured_on is None


def test_doubts_about_another_machine_say_which(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    doubted = replace(fit, caveats=(Caveat(code="bench.noisy", what="it was noisy", fix="rest"),))
    plan = solve(fit, scenario, catalog, [MeasuredType(type_name="aws/h.xlarge", fit=doubted)])
    said = {caveat.code: caveat.what for caveat in plan.caveats}
    assert said["bench.noisy"] == "on aws/h.xlarge: it was noisy"
    # The fixture's machine is a Zen 5; the catalogue says that h.xlarge has a Zen 2.
    assert "measured on Zen 5" in said["plan.profile_processor"]
