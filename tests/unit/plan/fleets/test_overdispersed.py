"""The price of clusters beside a plan for Poisson arrivals, worked out by hand."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from loadplan.catalog.price import Catalog
from loadplan.cli.documents import plan_document
from loadplan.cli.summary import plan_lines
from loadplan.fit.records import CapacityFit
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario


def planned(fit: CapacityFit, scenario: Scenario, catalog: Catalog, overdispersed_rps: float | None) -> Plan:
    capacities = tuple(replace(one, overdispersed_rps=overdispersed_rps) for one in fit.capacities)
    return plan_fleet(
        fit=replace(fit, capacities=capacities), scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24)
    )


def test_clusters_cost_the_replicas_that_a_smaller_capacity_needs(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    (here,) = fit.capacities
    plain = planned(fit, scenario, catalog, None)
    assert plain.recommended is not None
    assert plain.overdispersed is None
    plan = planned(fit, scenario, catalog, 0.5 * here.usable_capacity_rps)
    case = plan.overdispersed
    assert case is not None
    # The 622.2 requests/s that each is counted on become 311.1, of which 0.8 are used: 9.64, so ten and the spare.
    assert plain.recommended.items[0].n_replicas == 6
    assert (case.usable_ratio, case.n_replicas) == (0.5, 11)
    per_replica = plain.recommended.usd_per_month / plain.recommended.items[0].n_replicas
    assert case.usd_per_month == 11 * per_replica
    assert case.cheapest_usd_per_month is not None
    assert case.cheapest_usd_per_month <= case.usd_per_month
    (line,) = (line for line in plan_lines(plan) if line.startswith("bursts"))
    assert f"11 of the same, ${11 * per_replica:,.2f} a month" in line
    document = plan_document(plan)["overdispersed"]
    assert isinstance(document, dict)
    assert document["usd_per_month"] == f"{11 * per_replica:.2f}"


def test_a_setting_that_carries_no_clusters_at_all_is_said_to(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    case = planned(fit, scenario, catalog, 0.0).overdispersed
    assert case is not None
    assert (case.n_replicas, case.usd_per_month, case.cheapest_offer) == (None, None, None)


def test_clusters_never_make_a_fleet_cheaper(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    (here,) = fit.capacities
    plan = planned(fit, scenario, catalog, 1.3 * here.usable_capacity_rps)
    assert plan.overdispersed is not None
    assert plan.recommended is not None
    assert plan.overdispersed.usable_ratio == 1.0
    assert plan.overdispersed.usd_per_month == plan.recommended.usd_per_month > Decimal(0)
