"""A server with known costs answers the calibration runs; the fit must find a law that answers like it elsewhere.

Single costs are not held to their true values: a longer wake is much like a longer transfer. What a plan rests on is:
the saturated rate at every batch size, and the latency at rates that were not calibrated.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.overhead import OverheadLaws, fit_overhead
from loadplan.fit.records import OverheadFit, Residual
from loadplan.fit.replay import QUANTILES
from loadplan.fit.service_time import fit_service_times, service_times_s
from loadplan.fit.simulate import draw, paused_ratio, saturated_rps, scale, simulate
from loadplan.load.records import LoadRun, LoadSpec, LostTime, Outcome
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.rows_law import draw_rows
from loadplan.scenario.spec import RowsPerRequest, Scenario
from loadplan.scenario.traffic import schedule
from loadplan.stats import percentile

Times = NDArray[np.float64]
Calibrate = Callable[..., tuple[LoadRun, ...]]
MakeBench = Callable[..., BenchRun]
MakeRun = Callable[..., LoadRun]
MakeScenario = Callable[..., Scenario]
MakeSpec = Callable[..., LoadSpec]
Server = Any  # conftest.KnownServer: modules of tests don't import each other

N_PLAUSIBLE = 16


def setting(max_batch_size: int) -> Setting:
    return Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=max_batch_size))


def fitted(server: Server, runs: Sequence[LoadRun], **options: Any) -> OverheadLaws:
    return fit_overhead(fit_service_times(server.bench), runs, **options)


def carried_rps(server: Server, law: OverheadFit, max_batch_size: int) -> float:
    return saturated_rps(setting(max_batch_size), law, service_s=server.service_s, n_rows=np.ones(64, dtype=np.int64))


def response_times_s(server: Server, law: OverheadFit, max_batch_size: int, *, rate_rps: float) -> Times:
    """100,000 requests with luck of their own, the same for every law."""
    rng = np.random.default_rng(99)
    sent_s = schedule(PoissonArrivals(), rate_rps=rate_rps, duration_s=100_000 / rate_rps, rng=rng)
    done_s = simulate(
        sent_s,
        np.ones(sent_s.size, dtype=np.int64),
        service_s=server.service_s,
        overhead=law,
        serving=ServingConfig(max_batch_size=max_batch_size),
        noise=scale(draw(rng), law, service_spread_ratio=server.service_spread_ratio),
    )
    return done_s - sent_s


@pytest.fixture(scope="module")
def laws(server: Server) -> OverheadLaws:
    return fitted(server, server.runs, n_plausible=N_PLAUSIBLE, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def two_runs(server: Server) -> tuple[LoadRun, ...]:
    """Fewer runs, where the fit's accuracy is not the point."""
    return server.runs[0], server.runs[3]


@pytest.mark.parametrize("max_batch_size", [1, 2, 4, 8, 16, 32])
def test_the_saturated_rate_is_recovered_at_every_batch_size(
    server: Server, laws: OverheadLaws, max_batch_size: int
) -> None:
    """Callers asked without rest at 1 and 32 only."""
    expected_rps = carried_rps(server, server.overhead, max_batch_size)
    assert carried_rps(server, laws.best, max_batch_size) == pytest.approx(expected_rps, rel=0.03)


@pytest.mark.parametrize(
    ("max_batch_size", "load_ratio"), [(1, 0.3), (1, 0.65), (4, 0.5), (8, 0.3), (32, 0.3), (32, 0.6)]
)
def test_the_latency_is_recovered_where_nothing_was_calibrated(
    server: Server, laws: OverheadLaws, max_batch_size: int, load_ratio: float
) -> None:
    rate_rps = load_ratio * carried_rps(server, server.overhead, max_batch_size)
    truth_s, found_s = (
        response_times_s(server, law, max_batch_size, rate_rps=rate_rps) for law in (server.overhead, laws.best)
    )
    assert percentile(found_s, 0.5) == pytest.approx(percentile(truth_s, 0.5), rel=0.07)
    assert percentile(found_s, 0.99) == pytest.approx(percentile(truth_s, 0.99), rel=0.20)


def test_a_server_that_never_pauses_is_hardly_given_any(laws: OverheadLaws) -> None:
    assert paused_ratio(laws.best) < 0.01


def test_where_all_requests_are_alike_a_row_is_part_of_the_request(laws: OverheadLaws) -> None:
    assert {law.row_s for law in (laws.best, *laws.plausible)} == {0.0}


@pytest.mark.parametrize(
    ("rows", "sizes", "row_s"),
    [
        pytest.param(RowsPerRequest(mean=6.0, p95=18.0, most=40), (1, 32), 3e-6, id="small requests"),
        pytest.param(
            RowsPerRequest(mean=120.0, p95=300.0, most=400),
            (1, 8, 32),
            15e-6,
            id="a ranker's candidates",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_what_a_row_costs_is_recovered_where_requests_differ_in_their_rows(
    make_bench: MakeBench,
    make_scenario: MakeScenario,
    server: Server,
    calibrate: Calibrate,
    rows: RowsPerRequest,
    sizes: tuple[int, ...],
    row_s: float,
) -> None:
    most = max(*sizes, rows.most)
    bench = make_bench({b: 0.15e-3 + 2e-6 * b for b in (1, 8, 32, most)}, spread_ratio=0.1)
    scenario = make_scenario(max_batch_sizes=sizes, n_rows=rows, duration_s=2.0)
    service_times = fit_service_times(bench)
    service_s = service_times_s(service_times[0], most)
    truth = replace(server.overhead, row_s=row_s)
    runs = calibrate(bench, scenario, truth, service_s=service_s, service_spread_ratio=0.1)
    law = fit_overhead(service_times, runs).best
    assert law.row_s == pytest.approx(row_s, rel=0.15)
    n_rows = draw_rows(rows, 20_000, np.random.default_rng(5))
    for size in sizes:
        found_rps, true_rps = (
            saturated_rps(setting(size), each, service_s=service_s, n_rows=n_rows) for each in (law, truth)
        )
        assert found_rps == pytest.approx(true_rps, rel=0.03)


def test_a_server_far_from_the_usual_is_recovered_too(server: Server, calibrate: Calibrate) -> None:
    """Large requests over a slow network: several times the costs that the search starts from, and hardly a batch's."""
    truth = replace(server.overhead, request_s=250e-6, response_s=120e-6, batch_s=5e-6, wake_s=60e-6, transfer_s=150e-6)
    runs = calibrate(server.bench, server.scenario, truth, service_s=server.service_s, service_spread_ratio=0.1)
    law = fitted(server, runs).best
    for size in (1, 8, 32):
        expected_rps = carried_rps(server, truth, size)
        assert carried_rps(server, law, size) == pytest.approx(expected_rps, rel=0.03)
        truth_s, found_s = (response_times_s(server, each, size, rate_rps=0.4 * expected_rps) for each in (truth, law))
        assert percentile(found_s, 0.5) == pytest.approx(percentile(truth_s, 0.5), rel=0.07)
        assert percentile(found_s, 0.99) == pytest.approx(percentile(truth_s, 0.99), rel=0.20)


def test_a_server_that_pauses_now_and_then_is_recovered_with_its_tail(server: Server, calibrate: Calibrate) -> None:
    """Fifteen pauses a second of 1.5 ms each, some turns long: they make the p99 and nothing else.

    So many that every run is hit by enough of them to show; where none is, the p99 is found a sixth too short.
    """
    truth = replace(server.overhead, stall_s=1.5e-3, stall_rate_per_s=15.0)
    runs = calibrate(server.bench, server.scenario, truth, service_s=server.service_s, service_spread_ratio=0.1, seed=1)
    law = fitted(server, runs).best
    assert law.stall_rate_per_s > 0.0
    for size in (1, 32):
        expected_rps = carried_rps(server, truth, size)
        assert carried_rps(server, law, size) == pytest.approx(expected_rps, rel=0.03)
        for load_ratio in (0.3, 0.6):
            truth_s, found_s = (
                response_times_s(server, each, size, rate_rps=load_ratio * expected_rps) for each in (truth, law)
            )
            assert percentile(found_s, 0.5) == pytest.approx(percentile(truth_s, 0.5), rel=0.07)
            assert percentile(found_s, 0.99) == pytest.approx(percentile(truth_s, 0.99), rel=0.20)


def by_run(law: OverheadFit) -> dict[str, dict[float | None, Residual]]:
    found: dict[str, dict[float | None, Residual]] = {}
    for residual in law.residuals:
        found.setdefault(residual.run, {})[residual.quantile] = residual
    return found


@pytest.mark.nightly
def test_where_pauses_of_several_rates_explain_the_runs_the_plausible_laws_hold_them(
    server: Server, calibrate: Calibrate
) -> None:
    truth = replace(server.overhead, stall_s=1.5e-3, stall_rate_per_s=15.0)
    runs = calibrate(server.bench, server.scenario, truth, service_s=server.service_s, service_spread_ratio=0.1, seed=1)
    laws = fitted(server, runs, n_plausible=40)
    rates = [law.stall_rate_per_s for law in laws.plausible]
    assert len(rates) == 40
    assert len(set(rates)) > 1
    # The best law's own rate has the most of them.
    assert max(set(rates), key=rates.count) == laws.best.stall_rate_per_s


def test_residuals_set_every_run_beside_what_the_law_says_of_it(server: Server, laws: OverheadLaws) -> None:
    residuals = by_run(laws.best)
    assert list(residuals) == [run.spec.name for run in server.runs]
    for run in server.runs:
        own = residuals[run.spec.name]
        assert set(own) == ({None} if run.spec.purpose == "saturation" else set(QUANTILES))
        assert {each.offered_rate_rps for each in own.values()} == {run.spec.offered_rate_rps}
        for q in (0.5, 0.99) if None not in own else ():
            times_s = run.requests.done_s - run.requests.sent_s
            # Of the few requests of an idle run it matters whether a quantile is one of them or lies between two.
            assert own[q].measured == pytest.approx(percentile(times_s, q), rel=0.05)
            assert own[q].predicted == pytest.approx(own[q].measured, rel=0.07 if q == 0.5 else 0.20)


def test_the_pace_without_rest_is_that_of_the_server(server: Server, laws: OverheadLaws) -> None:
    residuals = by_run(laws.best)
    for size in (1, 32):
        pace = residuals[f"saturated-{size}"][None]
        assert pace.measured == pytest.approx(carried_rps(server, server.overhead, size), rel=0.02)
        assert pace.predicted == pytest.approx(pace.measured, rel=0.02)


def test_plausible_laws_scatter_around_the_best_and_the_truth_is_among_them(server: Server, laws: OverheadLaws) -> None:
    assert len(laws.plausible) == N_PLAUSIBLE
    assert all(law.residuals == () for law in laws.plausible)
    for size in (1, 8, 32):
        rates = np.array([carried_rps(server, law, size) for law in laws.plausible])
        best, truth, spread = (
            carried_rps(server, laws.best, size),
            carried_rps(server, server.overhead, size),
            rates.std(),
        )
        assert 0.001 * best < spread < 0.05 * best
        assert abs(rates.mean() - best) < 4.0 * spread / N_PLAUSIBLE**0.5
        assert abs(truth - best) < 4.0 * spread


def test_the_best_law_does_not_depend_on_what_else_is_drawn(server: Server, two_runs: tuple[LoadRun, ...]) -> None:
    drawn = fitted(server, two_runs, n_plausible=2, rng=np.random.default_rng(1))
    alone = fitted(server, two_runs)
    assert alone.best == drawn.best
    assert (len(drawn.plausible), alone.plausible) == (2, ())


def test_where_the_server_always_rests_the_latencies_alone_tell_the_law(server: Server) -> None:
    runs = [run for run in server.runs if run.spec.purpose != "saturation"]
    law = fitted(server, runs).best
    assert None not in {residual.quantile for residual in law.residuals}
    expected_rps = carried_rps(server, server.overhead, 1)
    assert carried_rps(server, law, 1) == pytest.approx(expected_rps, rel=0.10)


def test_compared_are_right_answers_of_clean_windows_from_their_actual_send(
    server: Server, two_runs: tuple[LoadRun, ...]
) -> None:
    """A quarter is wrong, a second is robbed, a few were never sent, and all were due one second before."""
    saturated, steady = two_runs
    log = steady.requests
    i = np.arange(log.n_requests)
    is_wrong, is_never_sent = i % 4 == 0, i % 200 == 1
    is_robbed = (log.due_s >= 2.0) & (log.due_s < 3.0)
    late_s = 0.5 * (is_wrong | is_robbed)
    changed = replace(
        log,
        due_s=np.maximum(log.due_s - 1.0, 0.0),
        sent_s=np.where(is_never_sent, np.nan, log.sent_s),
        done_s=np.where(is_never_sent, np.nan, log.done_s + late_s),
        outcome=np.select(
            [is_never_sent, is_wrong], [np.uint8(Outcome.NOT_SENT), np.uint8(Outcome.WRONG_ANSWER)], log.outcome
        ),
    )
    # What was lost counts twice, for the time to catch up.
    lost = LostTime(start_s=np.array([1.0]), length_s=np.array([0.499]))
    law = fitted(server, (saturated, replace(steady, requests=changed, lost=lost))).best
    times_s = (log.done_s - log.sent_s)[~(is_wrong | is_robbed | is_never_sent)]
    for q in (0.5, 0.95, 0.99):
        assert by_run(law)[steady.spec.name][q].measured == pytest.approx(percentile(times_s, q), rel=0.02)


def test_an_invalid_run_is_refused_with_its_reason(server: Server, make_run: MakeRun) -> None:
    run = server.runs[3]
    invalid = make_run(run.spec, run.requests.sent_s, run.requests.done_s, invalid_reasons=("the cat sat on it",))
    with pytest.raises(InvalidMeasurement, match="the cat sat on it"):
        fitted(server, (*server.runs[:3], invalid))


def test_a_run_that_says_not_how_its_server_ran_is_refused(
    server: Server, make_run: MakeRun, make_spec: MakeSpec
) -> None:
    sent_s = 0.01 * np.arange(100.0)
    run = make_run(make_spec(name="theirs", has_setting=False), sent_s, sent_s + 1e-3)
    with pytest.raises(InvalidMeasurement) as caught:
        fitted(server, (run,))
    assert "does not say how its server ran" in caught.value.what
    assert caught.value.where == "load run theirs"


def test_a_run_that_says_not_what_it_sent_is_refused(server: Server) -> None:
    with pytest.raises(InvalidMeasurement, match="does not say how many rows its requests had"):
        fitted(server, (replace(server.runs[0], payload_rows=None),))


def test_too_few_right_answers_are_refused(server: Server, make_run: MakeRun, make_spec: MakeSpec) -> None:
    sent_s = 0.02 * np.arange(100.0)
    done_s = sent_s + 1e-3
    done_s[29:] = np.nan
    with pytest.raises(InvalidMeasurement, match="has 29 right answers in undisturbed time"):
        fitted(server, (make_run(make_spec(), sent_s, done_s),))


def test_a_run_of_what_was_not_benchmarked_is_refused(server: Server, make_run: MakeRun, make_spec: MakeSpec) -> None:
    sent_s = 0.02 * np.arange(100.0)
    unknown = Setting(execution=ExecutionConfig(variant="int8"), serving=ServingConfig())
    with pytest.raises(InputError, match="int8 with 1 threads on CPU was not benchmarked"):
        fitted(server, (make_run(make_spec(setting=unknown), sent_s, sent_s + 1e-3),))
