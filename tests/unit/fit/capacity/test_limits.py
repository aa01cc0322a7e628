"""What one server process carries within its objectives, held to closed forms."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import brentq

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.latency import predict
from loadplan.fit.records import OverheadFit, SettingCapacity
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo
from tests.unit.fit.capacity.queues import (
    ALONE_S,
    BUSY_S,
    COSTS,
    HIGHEST_RATIO,
    NOISY,
    SERVICE_S,
    quantile_s,
    slo,
    waits_at_most,
)

MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]


@pytest.mark.parametrize(("quantile", "limit_s"), [(0.99, 3e-3), (0.99, 6e-3), (0.95, 3e-3), (0.5, 2.5e-3)])
def test_usable_capacity_is_the_rate_at_which_the_waits_of_md1_reach_the_limit(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead, quantile: float, limit_s: float
) -> None:
    """The luck of one simulated run moves it by 2 %, so it is the mean over some that must be right."""
    know(make_overhead())
    rho = brentq(lambda u: waits_at_most(limit_s - SERVICE_S, u) - quantile, 0.01, 0.97)
    found = [capacity(slo(quantile, limit_s), seed=seed) for seed in range(1, 6)]
    assert np.mean([each.usable_capacity_rps for each in found]) == pytest.approx(rho / SERVICE_S, rel=0.02)
    assert found[0].saturated_rps == pytest.approx(1.0 / SERVICE_S)


@pytest.mark.parametrize(("rho", "tolerance"), [(0.3, 0.02), (0.6, 0.02), (0.8, 0.05)])
def test_predicted_latency_is_that_of_md1(
    bench: BenchRun,
    run: LoadRun,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
    rho: float,
    tolerance: float,
) -> None:
    """Again the mean over some simulated runs, of which each moves by twice the tolerance."""
    know(make_overhead(transfer_s=2e-3))
    fits = [fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), seed=seed)) for seed in range(1, 6)]
    found = [predict(fit, fit.capacities[0].setting, rate_rps=rho / SERVICE_S) for fit in fits]
    assert found[0].offered_rate_rps == pytest.approx(rho / SERVICE_S)
    assert found[0].utilisation_ratio == pytest.approx(rho)
    predicted_s = np.mean([(each.p50_s, each.p95_s, each.p99_s) for each in found], axis=0)
    expected_s = [quantile_s(q, rho) + 2e-3 for q in (0.5, 0.95, 0.99)]
    np.testing.assert_allclose(predicted_s, expected_s, rtol=tolerance)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_the_interval_of_a_predicted_latency_holds_the_luck_of_a_run(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead, rho: float
) -> None:
    know(make_overhead(), *[make_overhead()] * 16)
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,)))
    found = predict(fit, fit.capacities[0].setting, rate_rps=rho / SERVICE_S)
    assert found.p99_interval.low < quantile_s(0.99, rho) < found.p99_interval.high
    assert found.p50_interval.low - 1e-9 < quantile_s(0.5, rho) < found.p50_interval.high + 1e-9


def test_a_limit_below_what_a_request_alone_takes_leaves_nothing_but_how_far_it_is(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead(**COSTS))
    found = capacity(slo(0.5, ALONE_S - 1e-6))
    assert (found.usable_capacity_rps, found.usable_capacity_rps_low, found.usable_capacity_rps_high) == (0.0, 0.0, 0.0)
    assert found.saturated_rps == pytest.approx(1.0 / BUSY_S)
    (idle,) = found.curve
    assert idle.offered_rate_rps == pytest.approx(0.02 / BUSY_S)
    assert idle.p50_s == pytest.approx(ALONE_S)


def test_a_limit_just_above_it_holds_while_half_of_the_requests_find_the_server_free(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    """Poisson arrivals find it busy as often as it is."""
    know(make_overhead(**COSTS))
    assert capacity(slo(0.5, ALONE_S + 1e-6)).usable_capacity_rps == pytest.approx(0.5 / BUSY_S, rel=0.02)


def test_a_limit_that_always_holds_leaves_nearly_all_of_the_saturated_rate(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead(**COSTS))
    assert capacity(slo(0.99, 60.0)).usable_capacity_rps == pytest.approx(HIGHEST_RATIO / BUSY_S)


def test_every_objective_must_hold(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    loose, tight = slo(0.99, 10e-3), slo(0.95, 2.5e-3)

    def usable_rps(*objectives: Slo) -> float:
        scenario = make_scenario(max_batch_sizes=(1,), objectives=objectives)
        return fit_capacity(bench, [run], scenario).capacities[0].usable_capacity_rps

    assert usable_rps(loose, tight) == usable_rps(tight, loose) == usable_rps(tight) < usable_rps(loose)
    both = Slo(limits=(*loose.limits, *tight.limits))
    assert usable_rps(both) == usable_rps(tight)


def test_a_looser_limit_never_carries_less(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    law = make_overhead(**NOISY)
    know(law, *(replace(law, request_s=factor * law.request_s) for factor in (0.9, 1.1)))
    found = []
    for limit_s in (1e-3, 2e-3, 2.5e-3, 3e-3, 4e-3, 6e-3, 10e-3, 50e-3, 1.0):
        scenario = make_scenario(max_batch_sizes=(1, 8), objectives=(slo(0.99, limit_s),))
        found.append([each.usable_capacity_rps for each in fit_capacity(bench, [run], scenario).capacities])
    for tighter, looser in pairwise(found):
        assert all(less <= more for less, more in zip(tighter, looser, strict=True))
    assert found[0] == [0.0, 0.0]
    assert found[-1][0] < found[-1][1]
