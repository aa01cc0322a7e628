"""What fleets of several sizes carry, as a fit keeps it for the planner."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy.optimize import brentq

from loadplan.bench.records import BenchRun
from loadplan.execution import Balancing
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.fleet_ladder import RUNGS, fleet_capacities, with_fleets
from loadplan.fit.records import Balancer, CapacityFit, FleetCapacity, OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import FleetRules, Scenario
from tests.unit.fit.capacity.queues import HIGHEST_RATIO, SERVICE_S, slo, waits_at_most

MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]
RungsAlone = Callable[[dict[int, tuple[int, ...]]], None]

OBJECTIVE = slo(0.99, 6e-3)


@pytest.fixture
def fit(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> CapacityFit:
    """Of an M/D/1 queue, with two other laws that are as plausible and the same."""
    know(make_overhead(), make_overhead(), make_overhead())
    return fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(OBJECTIVE,)))


def ladder(
    fit: CapacityFit, balancing: Balancing, *, connections: int = 64, limit_s: float = 6e-3
) -> dict[tuple[int, int], FleetCapacity]:
    (capacity,) = fit.capacities
    balancer = Balancer(balancing=balancing, connections_per_process=connections)
    found = fleet_capacities(fit, capacity, (slo(0.99, limit_s),), balancer=balancer)
    return {(one.n_server_processes, one.n_replicas): one for one in found}


@pytest.fixture
def rungs_alone(monkeypatch: pytest.MonkeyPatch) -> RungsAlone:
    """Simulate these sizes of fleets and no others."""
    return lambda rungs: monkeypatch.setattr("loadplan.fit.fleet_ladder.RUNGS", rungs)


def test_each_of_several_replicas_that_are_chosen_at_random_carries_what_crommelin_says(
    fit: CapacityFit, rungs_alone: RungsAlone
) -> None:
    """Poisson traffic dealt out at random is Poisson traffic, whatever the number of replicas."""
    rungs_alone({1: (1, 4, 16)})
    rho = brentq(lambda u: waits_at_most(6e-3 - SERVICE_S, u) - 0.99, 0.01, 0.97)
    rungs = ladder(fit, "random")
    for n in (1, 4, 16):
        assert rungs[1, n].usable_capacity_rps == pytest.approx(n * rho / SERVICE_S, rel=0.04)


def test_no_process_is_planned_beyond_its_own_saturation_however_loose_the_limit(
    know: Know,
    make_overhead: MakeOverhead,
    bench: BenchRun,
    run: LoadRun,
    make_scenario: MakeScenario,
    rungs_alone: RungsAlone,
) -> None:
    """Of 16 connections dealt out at random over 16 processes, one has two or more: 8 processes' worth at most."""
    rungs_alone({1: (1,), 16: (1,)})
    know(make_overhead())
    loose = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 10.0),)))
    few = ladder(loose, "round_robin", connections=1, limit_s=10.0)[16, 1]
    assert few.usable_capacity_rps_high <= 8.0 * HIGHEST_RATIO / SERVICE_S * 1.001
    many = ladder(loose, "round_robin", connections=1024, limit_s=10.0)[16, 1]
    assert many.usable_capacity_rps > 14.0 * HIGHEST_RATIO / SERVICE_S


def test_a_larger_fleet_never_carries_less_and_its_interval_holds_its_middle_and_that_of_a_process(
    fit: CapacityFit,
) -> None:
    """Of one process the half is all that is sure, so it is no more of any fleet."""
    (capacity,) = fit.capacities
    unsure = replace(capacity, usable_capacity_rps_low=0.5 * capacity.usable_capacity_rps)
    rungs = ladder(replace(fit, capacities=(unsure,)), "per_connection", connections=2)
    assert set(rungs) == {(n_processes, n) for n_processes, sizes in RUNGS.items() for n in sizes}
    for (n_processes, n_replicas), one in rungs.items():
        assert one.usable_capacity_rps_low <= 0.5 * one.usable_capacity_rps * (1 + 1e-9)
        assert one.usable_capacity_rps <= one.usable_capacity_rps_high
        smaller = [each for (p, n), each in rungs.items() if p == n_processes and n < n_replicas]
        assert all(each.usable_capacity_rps <= one.usable_capacity_rps for each in smaller)
        assert all(each.usable_capacity_rps_low <= one.usable_capacity_rps_low for each in smaller)


def test_only_the_best_setting_has_a_ladder_and_the_fit_says_behind_which_balancer(
    bench: BenchRun,
    run: LoadRun,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
    rungs_alone: RungsAlone,
) -> None:
    rungs_alone({1: (1, 2)})
    know(make_overhead())
    scenario = make_scenario(max_batch_sizes=(1, 8), objectives=(OBJECTIVE,))
    scenario = replace(scenario, fleet=FleetRules(balancing="shared_queue", connections_per_process=3))
    fit = with_fleets(fit_capacity(bench, [run], scenario), scenario)
    assert fit.balancer == Balancer(balancing="shared_queue", connections_per_process=3)
    assert [bool(one.fleets) for one in fit.capacities] == [False, True]


def test_where_one_process_carries_nothing_there_is_no_ladder(fit: CapacityFit) -> None:
    (capacity,) = fit.capacities
    assert ladder(replace(fit, capacities=(replace(capacity, usable_capacity_rps=0.0),)), "random") == {}
