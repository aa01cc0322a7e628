"""Objectives that are measured outside the replica, and arrivals in clusters beside Poisson's."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.fleet_capacity import usable_fleet_rps
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit, OutsideSpan, OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import ConstantArrivals, GammaArrivals
from loadplan.scenario.outside import AT_THE_SERVER, ConstantDelay, LognormalDelay, OutsideDelay, RecordedDelay, Vantage
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo
from tests.unit.fit.capacity.queues import HIGHEST_RATIO, SERVICE_S, quantile_s, slo, waits_at_most

Fit = Callable[..., CapacityFit]


@pytest.fixture
def fit(
    bench: BenchRun,
    run: LoadRun,
    make_scenario: Callable[..., Scenario],
    know: Callable[..., None],
    make_overhead: Callable[..., OverheadFit],
) -> Fit:
    """Of an M/D/1 queue whose objectives are measured behind a delay; only inference takes time, 1 ms."""

    def fitted(objective: Slo, outside: OutsideDelay | None = None, **options: object) -> CapacityFit:
        know(make_overhead())
        scenario = make_scenario(max_batch_sizes=(1,), objectives=(objective,), **options)
        vantage = AT_THE_SERVER if outside is None else Vantage(at="edge", outside=outside)
        return fit_capacity(bench, [run], replace(scenario, vantage=vantage))

    return fitted


def test_a_constant_delay_outside_leaves_so_much_less_of_the_limit(fit: Fit) -> None:
    """The same requests in the same order, so the capacity is that of a limit that is shorter by the delay."""
    (beyond,) = fit(slo(0.99, 9e-3), ConstantDelay(delay_s=3e-3)).capacities
    (at_the_server,) = fit(slo(0.99, 6e-3)).capacities
    assert beyond.usable_capacity_rps == pytest.approx(at_the_server.usable_capacity_rps, rel=5e-3)
    assert beyond.usable_capacity_rps < 0.95 * HIGHEST_RATIO / SERVICE_S
    assert beyond.outside == OutsideSpan(least_s=3e-3, most_s=3e-3)


def test_a_delay_that_varies_is_added_request_by_request_and_not_as_a_percentile(fit: Fit) -> None:
    """P(W + S + D ≤ t) of M/D/1 and a delay of 0 or 4 ms by equal chance, after Crommelin; Poisson stays Poisson."""
    outside = RecordedDelay(file="two.csv", delays_s=(0.0, 4e-3))
    fitted = fit(slo(0.99, 9e-3), outside)

    def missed(rho: float) -> float:
        return 1.0 - 0.5 * (waits_at_most(8e-3, rho) + waits_at_most(4e-3, rho)) - 0.01

    rho = brentq(missed, 0.1, 0.97)
    found = [fit(slo(0.99, 9e-3), outside, seed=seed).capacities[0].usable_capacity_rps for seed in range(1, 5)]
    assert np.mean(found) == pytest.approx(rho / SERVICE_S, rel=0.02)
    # Added as percentiles, 4 ms of the 9 would be gone for all: a rate that is clearly lower.
    (as_percentiles,) = fit(slo(0.99, 5e-3)).capacities
    assert fitted.capacities[0].usable_capacity_rps > 1.04 * as_percentiles.usable_capacity_rps


def test_predictions_hold_what_lies_outside_and_the_servers_part_can_be_had_alone(fit: Fit) -> None:
    fitted = fit(slo(0.99, 50e-3), ConstantDelay(delay_s=20e-3))
    (capacity,) = fitted.capacities
    seen = predict(fitted, capacity.setting, rate_rps=600.0)
    alone = predict(replace(fitted, vantage=AT_THE_SERVER), capacity.setting, rate_rps=600.0)
    assert seen.p50_s == pytest.approx(alone.p50_s + 20e-3, rel=1e-3)
    assert alone.p50_s == pytest.approx(quantile_s(0.5, 0.6), rel=0.03)


def test_a_slow_way_alone_can_make_an_objective_impossible(fit: Fit) -> None:
    (capacity,) = fit(slo(0.99, 10e-3), LognormalDelay(p50_s=3e-3, p99_s=12e-3)).capacities
    assert capacity.usable_capacity_rps == 0.0


def test_a_fleet_of_one_carries_what_the_single_server_does_behind_a_delay_too(fit: Fit) -> None:
    objective = slo(0.99, 12e-3)
    fitted = fit(objective, LognormalDelay(p50_s=2e-3, p99_s=6e-3))
    (capacity,) = fitted.capacities
    of_one = usable_fleet_rps(fitted, capacity.setting, (objective,), n_replicas=1, balancing="round_robin")
    assert of_one == pytest.approx(capacity.usable_capacity_rps, rel=1e-6)


def test_clusters_stand_beside_poisson_arrivals_with_what_is_carried_of_them(fit: Fit) -> None:
    """As if they had been asked for, but for other luck."""
    objective = slo(0.99, 6e-3)
    (assumed,) = fit(objective).capacities
    (asked,) = fit(objective, arrivals=GammaArrivals(cv=2.0)).capacities
    assert assumed.overdispersed_rps == pytest.approx(asked.usable_capacity_rps, rel=0.06)
    assert assumed.overdispersed_rps is not None
    assert assumed.overdispersed_rps < 0.8 * assumed.usable_capacity_rps
    assert asked.overdispersed_rps is None
    (constant,) = fit(objective, arrivals=ConstantArrivals()).capacities
    assert constant.overdispersed_rps is None
