"""Which instance type to measure next."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.price import Catalog, Offer
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.records import CapacityFit
from loadplan.plan.fleets.candidate import Candidate, least_fleet
from loadplan.plan.measuring import Chosen, worth_measuring
from loadplan.plan.records.fleet import ReplicaCapacity
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import PlanRules, Scenario

SETTING = Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig())


def candidate(offer: Offer, low: float, middle: float, high: float, *, measured: bool = False) -> Candidate:
    return Candidate(
        offer=offer,
        capacity=ReplicaCapacity(
            usable_capacity_rps=middle,
            usable_capacity_rps_low=low,
            usable_capacity_rps_high=high,
            setting=SETTING,
            speed_ratio=1.0,
            n_server_processes=1,
            basis="simulated" if measured else "extrapolated",
        ),
        sizing_rps=low,
        predict_p99=lambda _: None,
    )


@pytest.fixture
def rules(scenario: Scenario) -> PlanRules:
    """No spares and no headroom, so that 1,000 requests/s take ⌈1,000 / capacity⌉ replicas."""
    return replace(scenario.plan, n_spare_replicas=0, headroom_ratio=0.0)


@pytest.fixture
def dearer(offer: Offer) -> Offer:
    """Another type for 15 cents an hour."""
    instance_type = replace(offer.instance_type, name="d.xlarge")
    return replace(offer, instance_type=instance_type, usd_per_hour=Decimal("0.15"))


def chosen_of(one: Candidate, rules: PlanRules) -> Chosen:
    return Chosen(fleet=least_fleet(one, peak_rps=1000.0, rules=rules), peak_rps=1000.0, rules=rules)


def test_the_expected_saving_is_that_over_what_a_replica_may_carry(
    offer: Offer, dearer: Offer, scenario: Scenario, rules: PlanRules, catalog: Catalog
) -> None:
    """The chosen one needs 4 at 73.00 a month: 292. The other needs 1 (109.50) from 1,000 on, else 2 (219) from 500.

    Its middle is 1,000, so half of what is likely saves 182.50, and between 500, its 5th percentile, and 1,000 it is
    45 % that saves 73; below it takes 3 (328.50) or more.
    """
    chosen = chosen_of(candidate(offer, 250.0, 250.0, 250.0, measured=True), rules)
    (found,) = worth_measuring(
        [candidate(dearer, 500.0, 1000.0, 2000.0)], chosen, certainty_ratio=1.0, scenario=scenario, catalog=catalog
    )
    assert chosen.fleet.usd_per_month == Decimal("292.00")
    assert float(found.expected_saving_usd_per_month) == pytest.approx(0.5 * 182.5 + 0.45 * 73.0)
    assert found.chance_ratio == pytest.approx(0.95)
    assert (found.type_name, found.best_usd_per_month) == ("aws/d.xlarge", Decimal("109.50"))
    assert "500 to 2,000 requests per second" in found.reason
    assert found.command == "loadplan profile SCENARIO --on aws/d.xlarge"


def test_what_is_measured_is_still_counted_on_with_care(
    offer: Offer, dearer: Offer, scenario: Scenario, rules: PlanRules, catalog: Catalog
) -> None:
    """Sized on half of what it carries, it takes 2 from the middle on, and more than 2 below."""
    chosen = chosen_of(candidate(offer, 250.0, 250.0, 250.0, measured=True), rules)
    (found,) = worth_measuring(
        [candidate(dearer, 500.0, 1000.0, 1500.0)], chosen, certainty_ratio=0.5, scenario=scenario, catalog=catalog
    )
    assert float(found.expected_saving_usd_per_month) == pytest.approx(0.5 * 73.0)


def test_measuring_costs_the_rent_of_its_minutes(
    offer: Offer, dearer: Offer, scenario: Scenario, rules: PlanRules, catalog: Catalog
) -> None:
    """1 s of benchmark and 5 of live runs are a minute, with 15 more: 16 of 60 at 15 cents an hour, rounded up."""
    chosen = chosen_of(candidate(offer, 250.0, 250.0, 250.0, measured=True), rules)
    other = candidate(dearer, 500.0, 1000.0, 2000.0)
    (found,) = worth_measuring([other], chosen, certainty_ratio=1.0, scenario=scenario, catalog=catalog)
    assert (found.minutes, found.measuring_usd) == (16, Decimal("0.04"))


def test_what_can_not_become_cheaper_or_is_measured_already_is_not_named(
    offer: Offer, dearer: Offer, scenario: Scenario, rules: PlanRules, catalog: Catalog
) -> None:
    chosen = chosen_of(candidate(offer, 1000.0, 1000.0, 1000.0, measured=True), rules)  # one replica
    for other in (
        candidate(dearer, 500.0, 1000.0, 9000.0),
        candidate(replace(dearer, usd_per_hour=Decimal("0.01")), 10.0, 10.0, 10.0, measured=True),
    ):
        assert worth_measuring([other], chosen, certainty_ratio=1.0, scenario=scenario, catalog=catalog) == ()


def test_the_chosen_type_itself_may_need_fewer(
    offer: Offer, scenario: Scenario, rules: PlanRules, catalog: Catalog
) -> None:
    own = candidate(offer, 250.0, 1000.0, 4000.0)
    chosen = chosen_of(own, rules)
    (found,) = worth_measuring([own], chosen, certainty_ratio=1.0, scenario=scenario, catalog=catalog)
    assert found.best_usd_per_month == Decimal("73.00")
    assert "fewer of it" in found.reason


def test_a_plan_on_hardware_that_nobody_measured_says_what_to_measure_next(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    planned = plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24))
    (found,) = planned.worth_measuring
    assert found.type_name == "aws/h.xlarge"
    assert planned.recommended is not None
    assert found.best_usd_per_month < planned.recommended.usd_per_month
    there = replace(fit, machine=replace(fit.machine, instance_type="aws/h.xlarge"))
    known = plan_fleet(fit=there, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24))
    assert known.worth_measuring == ()
