"""What a fleet carries behind each balancer, and how it bears the loss of a replica."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from scipy.optimize import brentq

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError
from loadplan.execution import Balancing
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.fleet_capacity import LossEffect, bear_losses, planned_fleet, usable_fleet_rps
from loadplan.fit.fleet_records import Loss, Retries
from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import SERVICE_S, slo, waits_at_most

MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]

OBJECTIVE = slo(0.99, 6e-3)
LOST_AT_S, DETECTED_AFTER_S = 5.0, 0.5


@pytest.fixture
def fit(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> CapacityFit:
    """Of an M/D/1 queue: every inference takes a millisecond, and nothing else costs anything."""
    know(make_overhead())
    return fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(OBJECTIVE,)))


def usable_rps(fit: CapacityFit, n_replicas: int, balancing: Balancing) -> float:
    (capacity,) = fit.capacities
    return usable_fleet_rps(fit, capacity.setting, (OBJECTIVE,), n_replicas=n_replicas, balancing=balancing)


@pytest.mark.parametrize("balancing", ["random", "round_robin", "least_outstanding", "per_connection", "shared_queue"])
def test_a_fleet_of_one_carries_what_the_single_server_does(fit: CapacityFit, balancing: Balancing) -> None:
    assert usable_rps(fit, 1, balancing) == pytest.approx(fit.capacities[0].usable_capacity_rps, rel=1e-9)


def test_replicas_that_are_chosen_at_random_carry_as_much_each_as_one_alone(fit: CapacityFit) -> None:
    """Poisson traffic dealt out at random is Poisson traffic: each is the M/D/1 queue of Crommelin."""
    rho = brentq(lambda u: waits_at_most(6e-3 - SERVICE_S, u) - 0.99, 0.01, 0.97)
    assert usable_rps(fit, 4, "random") == pytest.approx(4.0 * rho / SERVICE_S, rel=0.03)


def test_one_queue_for_all_carries_more_than_a_queue_each_and_unequal_shares_carry_less(fit: CapacityFit) -> None:
    """By how much the largest share of 64 connections, dealt at random, is above a quarter."""
    shared, each, unequal = (usable_rps(fit, 4, kind) for kind in ("shared_queue", "random", "per_connection"))
    assert shared > 1.05 * each
    assert unequal < 0.95 * each


def lose_one(fit: CapacityFit, *, rate_rps: float, back_after_s: float, **changes: Any) -> LossEffect:
    setting = fit.capacities[0].setting
    loss = Loss(
        at_s=LOST_AT_S, replica=1, detected_after_s=DETECTED_AFTER_S, back_after_s=back_after_s, noticed_after_s=0.01
    )
    fleet = planned_fleet(fit, setting, n_replicas=3, balancing="round_robin")
    return bear_losses(fit, setting, replace(fleet, losses=(loss,), **changes), (OBJECTIVE,), rate_rps=rate_rps)


def test_two_replicas_that_carry_the_peak_recover_as_soon_as_the_third_is_known_to_be_lost(fit: CapacityFit) -> None:
    """A third of what is sent until then fails, 600 / 3 · 0.5 requests or thereabouts, and no later slice misses."""
    effect = lose_one(fit, rate_rps=600.0, back_after_s=math.inf)
    assert effect.n_failed == pytest.approx(100, abs=20)
    assert 0.0 < effect.recovered_after_s < 4.0


def test_clients_that_try_again_after_the_detection_lose_nothing(fit: CapacityFit) -> None:
    effect = lose_one(fit, rate_rps=600.0, back_after_s=math.inf, retries=Retries(n_most=1, backoff_s=DETECTED_AFTER_S))
    assert effect.n_failed == 0
    assert effect.n_tried_again == pytest.approx(100, abs=20)


def test_two_replicas_that_do_not_carry_the_peak_recover_when_the_replacement_is_there(fit: CapacityFit) -> None:
    """They carry 2,000 of 2,400 requests/s: the queues grow until the third is back, 5.5 s after the loss."""
    effect = lose_one(fit, rate_rps=2400.0, back_after_s=5.0)
    assert 5.0 < effect.recovered_after_s < 20.0
    assert lose_one(fit, rate_rps=2400.0, back_after_s=math.inf).recovered_after_s == math.inf


def test_a_fleet_that_loses_nothing_has_nothing_to_bear(fit: CapacityFit) -> None:
    setting = fit.capacities[0].setting
    fleet = planned_fleet(fit, setting, n_replicas=3, balancing="round_robin")
    with pytest.raises(InputError, match="loses no replica"):
        bear_losses(fit, setting, fleet, (OBJECTIVE,), rate_rps=100.0)
