"""A plan looks up what whole fleets carry: every count is that of the fit's table, none is multiplied out."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.records import Balancer, CapacityFit, FleetCapacity
from loadplan.plan.fleets.sizing import carried_rps, multiple_of, n_replicas_needed
from loadplan.plan.records.fleet import Plan, Rung
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario

# One replica carries 100, two 150, four 250, and from there on each has 62.5.
RUNGS = (Rung(n_replicas=1, multiple=1.0), Rung(n_replicas=2, multiple=1.5), Rung(n_replicas=4, multiple=2.5))


@pytest.mark.parametrize(
    ("n_replicas", "multiple"),
    [(1, 1.0), (2, 1.5), (3, 2.0), (4, 2.5), (8, 5.0)],
    ids=["a rung", "the next", "between two", "the last", "beyond: in proportion to the last"],
)
def test_what_replicas_carry_together_is_read_off_the_rungs(n_replicas: int, multiple: float) -> None:
    assert multiple_of(n_replicas, RUNGS) == multiple


@pytest.mark.parametrize(
    ("peak_rps", "expected"),
    [(80.0, 2), (80.1, 3), (120.0, 3), (120.1, 4), (160.0, 4), (200.0, 5), (200.1, 6), (400.0, 9)],
)
def test_the_least_count_whose_rest_carries_the_peak_with_a_fifth_kept_free(
    scenario: Scenario, peak_rps: float, expected: int
) -> None:
    """With one spare and 20 % free: 100 x 0.8 = 80 are carried by one, 120 by two, 160 by three, 200 by four."""
    assert n_replicas_needed(peak_rps, 100.0, rules=scenario.plan, rungs=RUNGS) == expected


@given(
    peak=st.floats(1.0, 1e5),
    capacity=st.floats(1.0, 1e3),
    gains=st.lists(st.integers(0, 1500), min_size=1, max_size=6),
    n_spare=st.integers(0, 3),
)
def test_no_smaller_fleet_would_carry_the_peak(
    scenario: Scenario, peak: float, capacity: float, gains: list[int], n_spare: int
) -> None:
    rungs, multiple = [Rung(n_replicas=1, multiple=1.0)], 1.0
    for i, gain in enumerate(gains):
        multiple = round(multiple + gain / 1000, 3)
        rungs.append(Rung(n_replicas=2 + 2 * i, multiple=multiple))
    rules = replace(scenario.plan, n_spare_replicas=n_spare)
    n = n_replicas_needed(peak, capacity, rules=rules, rungs=rungs)
    assert carried_rps(n, capacity, rules=rules, rungs=rungs) >= peak * (1 - 1e-12)
    if n > n_spare + 1:
        assert carried_rps(n - 1, capacity, rules=rules, rungs=rungs) < peak * (1 + 1e-12)


def with_ladder(fit: CapacityFit, *, low: dict[tuple[int, int], float]) -> CapacityFit:
    """The one setting with fleets of which each process has this share of its 1,080 requests per second."""
    (one,) = fit.capacities
    fleets = tuple(
        FleetCapacity(
            n_server_processes=n_processes,
            n_replicas=n_replicas,
            usable_capacity_rps=n_processes * n_replicas * one.usable_capacity_rps,
            usable_capacity_rps_low=n_processes * n_replicas * one.usable_capacity_rps_low * share,
            usable_capacity_rps_high=n_processes * n_replicas * one.usable_capacity_rps_high,
        )
        for (n_processes, n_replicas), share in low.items()
    )
    balancer = Balancer(balancing="random", connections_per_process=8)
    return replace(fit, balancer=balancer, capacities=(replace(one, fleets=fleets),))


def planned(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24))


def test_a_replica_of_four_processes_counts_as_the_table_says_and_so_do_several(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    """Half as much each in one replica and a quarter in two: two carry what one does, and four twice that."""
    even = planned(fit, scenario, catalog).recommended
    assert even is not None
    one_rps = even.capacity.usable_capacity_rps_low
    uneven_fit = with_ladder(fit, low={(1, 1): 1.0, (4, 1): 0.5, (4, 2): 0.25, (4, 4): 0.25})
    question = replace(scenario, traffic=replace(scenario.traffic, peak_rps=0.79 * one_rps))
    fleet = planned(uneven_fit, question, catalog).recommended
    assert fleet is not None
    assert fleet.capacity.usable_capacity_rps_low == pytest.approx(one_rps / 2)
    assert [rung.multiple for rung in fleet.capacity.rungs] == [1.0, 1.0, 2.0]
    assert fleet.items[0].n_replicas == 5  # four carry 2 x one_rps / 2, and one is spare
    assert fleet.utilisation_ratio_degraded == pytest.approx(0.79)


def test_a_replica_between_two_rungs_of_processes_is_between_them(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, offer: Offer
) -> None:
    """Four is half-way from two to eight in doublings: 0.75 of 0.9 and 0.6."""
    even, uneven = (
        planned(each, scenario, catalog).recommended
        for each in (fit, with_ladder(fit, low={(1, 1): 1.0, (2, 1): 0.9, (8, 1): 0.6}))
    )
    assert even is not None
    assert uneven is not None
    assert uneven.capacity.usable_capacity_rps_low == pytest.approx(0.75 * even.capacity.usable_capacity_rps_low)
    assert uneven.usd_per_month >= even.usd_per_month > Decimal(0)


def test_a_plan_says_behind_which_balancer_it_was_simulated(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    names = [one.name for one in planned(with_ladder(fit, low={(1, 1): 1.0}), scenario, catalog).assumptions]
    assert "connections open to each server process, behind a balancer that goes by random" in names
    assert "share of the traffic that each of n replicas gets" not in names
