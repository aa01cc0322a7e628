"""Pauses of a server that is simulated for longer than the pauses that are drawn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.fleet_capacity import usable_fleet_rps
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import paused_ratio
from loadplan.fit.worlds import waits_s, worlds_of
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import ConstantArrivals
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import slo

SLOW_S = 0.1  # of an inference
OBJECTIVE = slo(0.99, 0.15)


def test_a_slow_server_is_paused_for_as_long_as_it_is_simulated(
    make_bench: Callable[..., BenchRun],
    run: LoadRun,
    make_scenario: Callable[..., Scenario],
    know: Callable[..., None],
    make_overhead: Callable[..., OverheadFit],
) -> None:
    """Work x of a server that pauses in the share ρ of the time lasts x / (1 - ρ): the busy period of M/G/1 after x."""
    law = make_overhead(stall_s=4e-3, stall_rate_per_s=20.0)
    know(law, law)
    scenario = make_scenario(max_batch_sizes=(1,), objectives=(OBJECTIVE,), arrivals=ConstantArrivals())
    fit = fit_capacity(make_bench({1: SLOW_S}), [run], scenario)
    setting = fit.capacities[0].setting
    world, _ = worlds_of(fit, setting.execution, 1)

    # A hundred thousand requests take five and a half hours, and the pauses that are drawn are over after 205 s.
    waits = waits_s(world, setting, 5.0)

    expected_s = SLOW_S / (1.0 - paused_ratio(law))
    assert np.mean(waits.times_s) == pytest.approx(expected_s, rel=0.01)
    assert np.mean(waits.times_s[-1000:]) == pytest.approx(expected_s, rel=0.02)
    # The fleet of one is that server, for as long.
    one_rps = usable_fleet_rps(fit, setting, (OBJECTIVE,), n_replicas=1, balancing="round_robin")
    assert one_rps > 1.0
    assert one_rps == pytest.approx(fit.capacities[0].usable_capacity_rps, rel=1e-9)
    calm = replace(world, noise=replace(world.noise, pause_start_s=world.noise.pause_start_s[-1:]))
    assert np.mean(waits_s(calm, setting, 5.0).times_s) == pytest.approx(SLOW_S)
