"""What the callers of a live run should have waited, by the very requests that fell due in it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.fit.run_prediction import predict_runs
from loadplan.fit.simulate import draw, scale, simulate
from loadplan.load.records import LoadRun, LoadSpec, PayloadClasses
from loadplan.scenario.arrivals import Callers, MarkovArrivals
from loadplan.scenario.class_mix import pooled_rows
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, Scenario
from loadplan.scenario.traffic import schedule
from loadplan.stats import percentile
from tests.unit.fit.capacity.queues import NOISY, SERVICE_S, slo

MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeRun = Callable[..., LoadRun]
MakeScenario = Callable[..., Scenario]
MakeSpec = Callable[..., LoadSpec]
Know = Callable[..., None]


@pytest.fixture
def plain(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> CapacityFit:
    """Of a server that takes a millisecond for each request, and nothing else."""
    know(make_overhead(), make_overhead())
    return fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),)))


@pytest.fixture
def asked(plain: CapacityFit, make_run: MakeRun, make_spec: MakeSpec) -> Callable[..., LoadRun]:
    """A run of these due times; what was answered when plays no part."""

    def of(due_s: NDArray[np.float64], *, rate_rps: float = 100.0, duration_s: float = 4.0) -> LoadRun:
        spec = make_spec(setting=plain.capacities[0].setting, rate_rps=rate_rps, duration_s=duration_s)
        return make_run(spec, due_s, due_s + 1.0)

    return of


def test_requests_that_came_together_wait_for_each_other(plain: CapacityFit, asked: Callable[..., LoadRun]) -> None:
    """Of ten at once the last waits for ten milliseconds; as many one by one wait for nobody."""
    together = asked(np.repeat(0.1 * np.arange(40), 10))
    apart = asked(0.01 * np.arange(400))

    tens, ones = predict_runs(plain, [together, apart])

    assert (tens.p50_s, tens.p95_s, tens.p99_s) == pytest.approx((5 * SERVICE_S, 10 * SERVICE_S, 10 * SERVICE_S))
    assert (ones.p50_s, ones.p99_s) == pytest.approx((SERVICE_S, SERVICE_S))
    assert (tens.offered_rate_rps, tens.utilisation_ratio) == pytest.approx((100.0, 0.1))


def test_the_figures_are_of_the_requests_that_count(plain: CapacityFit, asked: Callable[..., LoadRun]) -> None:
    """Of two at once the second waits for two milliseconds."""
    pairs = asked(np.repeat(0.02 * np.arange(200), 2))
    (seconds,) = predict_runs(plain, [pairs], counted=lambda run: np.arange(run.requests.n_requests) % 2 == 1)
    assert seconds.p50_s == pytest.approx(2 * SERVICE_S)
    with pytest.raises(InvalidMeasurement, match="has no request that counts"):
        predict_runs(plain, [pairs], counted=lambda run: np.zeros(run.requests.n_requests, dtype=np.bool_))


def test_a_run_that_met_more_than_is_carried_by_its_luck_has_a_queue_that_grew(
    plain: CapacityFit, asked: Callable[..., LoadRun]
) -> None:
    """A second of 1,200 requests: request k, from 0 on, waits for 1 + k (1 - 1 / 1.2) ms, or until it is given up."""
    run = asked(np.arange(1200) / 1200.0, rate_rps=900.0, duration_s=1.0)
    (grown,) = predict_runs(plain, [run])
    assert grown.p50_s == pytest.approx(1e-3 + 599 * (1e-3 - 1 / 1200.0))
    assert grown.utilisation_ratio == pytest.approx(1.2)
    (given_up,) = predict_runs(plain, [replace(run, spec=replace(run.spec, timeout_s=0.05))])
    assert given_up.p99_s == pytest.approx(0.05)


def test_what_has_no_latency_is_not_predicted(plain: CapacityFit, asked: Callable[..., LoadRun]) -> None:
    run = asked(0.01 * np.arange(400))
    with pytest.raises(InputError, match="unstable: 1,000 requests/s are offered"):
        predict_runs(plain, [replace(run, spec=replace(run.spec, offered_rate_rps=1000.0))])
    callers = Callers(n_callers=4, think_time_s=0.0)
    with pytest.raises(InputError, match="callers wait for their answers"):
        predict_runs(plain, [replace(run, spec=replace(run.spec, arrivals=callers))])
    with pytest.raises(InvalidMeasurement, match="does not say how its server ran"):
        predict_runs(plain, [replace(run, spec=replace(run.spec, setting=None))])


def test_each_class_is_predicted_by_its_own_name_and_rows(
    make_bench: MakeBench,
    run: LoadRun,
    make_run: MakeRun,
    make_spec: MakeSpec,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
) -> None:
    """One row takes 1 ms and eight take 10; the run lists its classes the other way round."""
    know(make_overhead(), make_overhead())
    classes = tuple(
        RequestClass(name=name, share=0.5, rows_per_request=always(n)) for name, n in (("small", 1), ("large", 8))
    )
    scenario = make_scenario(max_batch_sizes=(1,), n_rows=pooled_rows(classes), objectives=(slo(0.99, 60.0),))
    scenario = replace(scenario, traffic=replace(scenario.traffic, classes=classes))
    fit = fit_capacity(make_bench({1: 1e-3, 8: 10e-3}), [run], scenario)
    due_s = 0.05 * np.arange(80)
    driven = make_run(
        make_spec(setting=fit.capacities[0].setting, rate_rps=20.0), due_s, due_s + 1.0, n_rows=np.tile([1, 8], 40)
    )
    of_payload = np.array([1, 0], dtype=np.int16)  # payloads of one row, and of eight
    named = replace(driven, classes=PayloadClasses(names=("large", "small"), shares=(0.5, 0.5), of_payload=of_payload))
    other = replace(driven, classes=PayloadClasses(names=("web", "small"), shares=(0.5, 0.5), of_payload=of_payload))

    told, unknown, none = predict_runs(fit, [named, other, driven])

    assert {one.name: one.p50_s for one in told.classes} == pytest.approx({"small": 1e-3, "large": 10e-3})
    assert (unknown.classes, none.classes) == ((), ())
    assert (told.p50_s, told.p99_s) == pytest.approx((1e-3, 10e-3))


def test_a_run_of_slow_bursts_is_predicted_nearer_by_its_requests_than_by_their_law(
    bench: BenchRun,
    run: LoadRun,
    make_run: MakeRun,
    make_spec: MakeSpec,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
) -> None:
    """Eight seconds hold two busy periods, or four: the law's p99 is that of a long run, which none of them is."""
    law = make_overhead(**NOISY)
    know(law, law)
    busy = MarkovArrivals(busy_ratio=2.0, busy_share=0.25, mean_busy_s=1.0)
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),), arrivals=busy))
    setting = fit.capacities[0].setting
    spec = replace(make_spec(setting=setting, rate_rps=400.0, duration_s=8.0), arrivals=busy)
    runs = []
    for seed in range(8):
        rng = np.random.default_rng((7, seed))
        sent_s = schedule(busy, rate_rps=400.0, duration_s=8.0, rng=rng)
        done_s = simulate(
            sent_s,
            np.ones(sent_s.size, dtype=np.int64),
            service_s=np.full(2, SERVICE_S),
            overhead=law,
            serving=setting.serving,
            noise=scale(draw(rng), law, service_spread_ratio=0.0),
        )
        runs.append(make_run(spec, sent_s, done_s))

    measured_s = np.array(
        [[percentile(live.requests.response_time_s, quantile) for quantile in (0.5, 0.99)] for live in runs]
    )
    of_law = predict(fit, setting, rate_rps=400.0)
    of_runs = predict_runs(fit, runs)

    by_law, by_requests = (
        np.median(np.abs(np.log(told_s / measured_s)), axis=0)
        for told_s in (
            np.array([of_law.p50_s, of_law.p99_s]),
            np.array([[one.p50_s, one.p99_s] for one in of_runs]),
        )
    )
    assert (by_requests < 0.5 * by_law).all()
    assert (by_requests < 0.1).all()
