"""How many servers a machine's memory holds."""

from dataclasses import replace
from datetime import date

import pytest

from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.records import CapacityFit
from loadplan.plan.hardware.memory import n_held, usable_gib
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario

GIB = 2**30


def plan_with(fit: CapacityFit, scenario: Scenario, catalog: Catalog, server_gib: float | None) -> Plan:
    n_bytes = None if server_gib is None else int(server_gib * GIB)
    laws = tuple(replace(law, server_bytes=n_bytes) for law in fit.service_times)
    return plan_fleet(
        fit=replace(fit, service_times=laws), scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24)
    )


def test_of_eight_gib_six_point_nine_are_usable(offer: Offer) -> None:
    # 7.5 % for firmware and hypervisor, half a gibibyte for the system.
    assert usable_gib(offer.instance_type) == pytest.approx(6.9)
    assert n_held(offer.instance_type, int(2.3 * GIB)) == 3
    assert n_held(offer.instance_type, int(2.4 * GIB)) == 2
    assert n_held(offer.instance_type, None) is None
    assert usable_gib(replace(offer.instance_type, memory_gib=0.4)) == 0.0


def test_what_the_catalogue_tells_of_a_machine_goes_before_what_is_assumed(offer: Offer) -> None:
    told = replace(offer.instance_type, usable_memory_gib=6.42)
    assert usable_gib(told) == 6.42
    assert n_held(told, int(2.2 * GIB)) == 2


@pytest.mark.parametrize(("server_gib", "n_processes"), [(None, 4), (1.0, 4), (1.9, 3), (3.0, 2)])
def test_no_more_servers_are_planned_on_a_machine_than_its_memory_holds(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, server_gib: float | None, n_processes: int
) -> None:
    planned = plan_with(fit, scenario, catalog, server_gib)
    assert planned.recommended is not None
    assert planned.recommended.capacity.n_server_processes == n_processes


def test_a_machine_that_holds_no_server_is_not_offered_with_the_reason(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    planned = plan_with(fit, scenario, catalog, 7.0)
    assert not planned.feasible
    (refused,) = planned.not_offered
    assert refused.reason == "one server takes 7 GiB; of its 8 GiB of memory 6.9 are usable"
