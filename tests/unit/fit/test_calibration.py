"""Which live runs are driven, in which order and at which rates."""

from collections.abc import Callable

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.fit.calibration import N_RUNS_EXPECTED, next_run, require_enough
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.arrivals import ConstantArrivals, TraceArrivals, n_recorded
from loadplan.scenario.spec import RowsPerRequest, Scenario
from loadplan.scenario.traffic import schedule

MakeBench = Callable[..., BenchRun]
MakeScenario = Callable[..., Scenario]
MakeRun = Callable[..., LoadRun]
Answer = Callable[..., LoadRun]

# S(b) in seconds
TABLE_S = {1: 0.2e-3, 8: 0.8e-3, 32: 2.4e-3}
GUESSED_REQUEST_S, GUESSED_BATCH_S = 80e-6, 100e-6  # beside inference, until a run tells
GUESSED_ROW_S = 10e-6  # of each row but the first


@pytest.fixture
def bench(make_bench: MakeBench) -> BenchRun:
    return make_bench(TABLE_S)


@pytest.fixture
def answer(make_run: MakeRun) -> Answer:
    """Does what a spec asks: 600 requests at once that leave one every `gap_s`; without it, no request ever waits."""

    def run(spec: LoadSpec, gap_s: float | None = None, *, invalid: bool = False) -> LoadRun:
        n = np.arange(600, dtype=np.float64)
        sent_s = 0.0 * n if gap_s is not None else spec.duration_s * n / 600
        done_s = (n + 1.0) * gap_s if gap_s is not None else sent_s + 1e-4
        return make_run(spec, sent_s, done_s, invalid_reasons=("the machine was too noisy",) if invalid else ())

    return run


def following(bench: BenchRun, scenario: Scenario, runs: list[LoadRun]) -> LoadSpec:
    spec = next_run(bench, scenario, runs)
    assert spec is not None
    return spec


def size_of(spec: LoadSpec) -> int:
    assert spec.setting is not None
    return spec.setting.serving.max_batch_size


def test_five_runs_from_bursts_to_moderate_load_tell_enough(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    runs: list[LoadRun] = []
    while (spec := next_run(bench, make_scenario(), runs)) is not None:
        runs.append(answer(spec, 1e-3 if spec.purpose == "saturation" else None))
    told = [(run.spec.name, run.spec.purpose, size_of(run.spec)) for run in runs]
    assert told == [
        ("bursts-1", "saturation", 1),
        ("bursts-32", "saturation", 32),
        ("idle-1", "idle", 1),
        ("steady-50-1", "steady", 1),
        ("steady-65-8", "steady", 8),
    ]
    assert len(runs) == N_RUNS_EXPECTED


def test_before_any_run_the_rate_is_a_share_of_what_bench_and_a_guess_of_the_overhead_say(
    bench: BenchRun, make_scenario: MakeScenario
) -> None:
    spec = following(bench, make_scenario(), [])
    assert spec.offered_rate_rps == pytest.approx(0.4 / (TABLE_S[1] + GUESSED_REQUEST_S + GUESSED_BATCH_S))


def test_the_same_runs_give_the_same_answer_in_any_order(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario = make_scenario()
    first = answer(following(bench, scenario, []), 0.4e-3)
    second = answer(following(bench, scenario, [first]), 0.1e-3)
    assert next_run(bench, scenario, [first, second]) == next_run(bench, scenario, [second, first])


def test_bursts_that_left_no_backlog_are_driven_again_louder_until_they_would_be_an_overload(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(max_batch_sizes=(1,)), list[LoadRun]()
    specs = []
    for _ in range(4):
        specs.append(following(bench, scenario, runs))
        runs.append(answer(specs[-1]))
    assert [spec.name for spec in specs] == [
        "bursts-1",
        "bursts-1-louder",
        "bursts-1-louder-louder",
        "idle-1",
    ]
    rates = [spec.offered_rate_rps for spec in specs[:3]]
    assert rates[1] == pytest.approx(1.7 * rates[0])
    # 0.4 x 1.7 x 1.7 is 1.16 of the capacity; once more would be 1.97, which is above 1.2.
    assert rates[2] == pytest.approx(1.7 * rates[1])


def test_a_backlog_after_a_louder_run_ends_the_bursts(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario = make_scenario(max_batch_sizes=(1,))
    quiet = answer(following(bench, scenario, []))
    louder = answer(following(bench, scenario, [quiet]), 1e-3)
    assert following(bench, scenario, [quiet, louder]).name == "idle-1"


def test_invalid_bursts_are_not_driven_louder_and_tell_no_capacity(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario = make_scenario(max_batch_sizes=(1,))
    invalid = answer(following(bench, scenario, []), 1.0, invalid=True)
    idle = following(bench, scenario, [invalid])
    assert idle.name == "idle-1"
    assert idle.offered_rate_rps == pytest.approx(0.03 / (TABLE_S[1] + GUESSED_REQUEST_S + GUESSED_BATCH_S))


def test_rates_are_shares_of_the_capacity_that_the_bursts_showed(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(), list[LoadRun]()
    rates = {}
    for gap_s in (0.5e-3, 0.125e-3, None, None, None):
        spec = following(bench, scenario, runs)
        rates[spec.name] = spec.offered_rate_rps
        runs.append(answer(spec, gap_s))
    # At one row 0.5 ms a request, of which 0.2 inference: 0.3 beside it is what 32 are then expected to cost too.
    assert rates["bursts-32"] == pytest.approx(0.4 / (TABLE_S[32] / 32 + 0.3e-3))
    assert rates["idle-1"] == pytest.approx(0.03 / 0.5e-3)
    assert rates["steady-50-1"] == pytest.approx(0.5 / 0.5e-3)
    # In full batches of 32 0.125 ms, of which 0.075 inference: 0.05. Between the two, the mean of 0.3 and 0.05.
    assert rates["steady-65-8"] == pytest.approx(0.65 / (TABLE_S[8] / 8 + 0.175e-3))


def test_larger_requests_fill_a_batch_with_fewer(bench: BenchRun, make_scenario: MakeScenario, answer: Answer) -> None:
    scenario = make_scenario(n_rows=8, max_batch_sizes=(32,))
    spec = following(bench, scenario, [])
    beside_s = GUESSED_REQUEST_S + 7 * GUESSED_ROW_S + GUESSED_BATCH_S / 4
    assert spec.offered_rate_rps == pytest.approx(0.4 / (TABLE_S[32] / 4 + beside_s))


def test_requests_that_differ_in_their_rows_are_taken_as_they_come(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    """Every inference takes a millisecond, whatever its rows, so that only the number of batches counts."""
    rows = RowsPerRequest(mean=120.0, p95=300.0, most=400)
    alone = following(make_bench({1: 1e-3, 400: 1e-3}), make_scenario(n_rows=rows, max_batch_sizes=(1,)), [])
    beside_s = GUESSED_REQUEST_S + 119 * GUESSED_ROW_S + GUESSED_BATCH_S
    assert alone.offered_rate_rps == pytest.approx(0.4 / (1e-3 + beside_s))
    assert alone.setting is not None
    assert alone.setting.serving.max_queue_rows == 256 * 120
    # A batch is closed by a request that doesn't fit, so fewer than 3,000 / 118 are in one, and more than one less.
    together = following(make_bench({1: 1e-3, 3000: 1e-3}), make_scenario(n_rows=rows, max_batch_sizes=(3000,)), [])
    beside_s = GUESSED_REQUEST_S + 119 * GUESSED_ROW_S + GUESSED_BATCH_S / 25
    assert 0.4 / (1e-3 / 23.5 + beside_s) < together.offered_rate_rps < 0.4 / (1e-3 / 25.5 + beside_s)


def test_one_batch_size_needs_its_bursts_once(bench: BenchRun, make_scenario: MakeScenario, answer: Answer) -> None:
    scenario, runs = make_scenario(max_batch_sizes=(8,)), list[LoadRun]()
    while (spec := next_run(bench, scenario, runs)) is not None:
        runs.append(answer(spec, 1e-3 if spec.purpose == "saturation" else None))
    assert [run.spec.name for run in runs] == ["bursts-8", "idle-8", "steady-50-8", "steady-65-8"]


def test_a_slow_model_gets_runs_long_enough_for_three_hundred_requests_but_for_half_a_minute_at_most(
    make_bench: MakeBench, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(max_batch_sizes=(1,)), list[LoadRun]()
    slow = make_bench({1: 0.02})
    lengths_s, rates_rps = {}, {}
    while (spec := next_run(slow, scenario, runs)) is not None:
        lengths_s[spec.name], rates_rps[spec.name] = spec.duration_s, spec.offered_rate_rps
        runs.append(answer(spec, 0.025 if spec.purpose == "saturation" else None))
    # 40 requests a second are the capacity: 16, 4.8, 20 and 26 are offered; 3 % of it would be 36 requests in 30 s.
    assert rates_rps["idle-1"] == pytest.approx(0.12 * 40)
    assert lengths_s == pytest.approx(
        {"bursts-1": 300 / (0.4 / 0.02018), "idle-1": 30.0, "steady-50-1": 15.0, "steady-65-1": 300 / 26}
    )


@pytest.mark.parametrize(("size", "n_rows", "n_together"), [(1, 1, 48), (32, 1, 192), (32, 8, 48), (64, 1, 384)])
def test_bursts_are_three_times_the_backlog_that_is_to_be_seen_and_all_of_one_size(
    make_bench: MakeBench, make_scenario: MakeScenario, size: int, n_rows: int, n_together: int
) -> None:
    """Two full batches are a backlog, and never fewer than 16; between bursts the server is idle for most of the time.

    At 0.4 of its capacity a burst of n is worked off in 0.4 n of the n mean gaps until the next; its requests come in
    a twentieth of a mean gap each.
    """
    scenario = make_scenario(max_batch_sizes=(size,), n_rows=n_rows)
    spec = following(make_bench({1: 1e-3, 64: 2e-3}), scenario, [])
    assert isinstance(spec.arrivals, TraceArrivals)
    due_s = schedule(
        spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=np.random.default_rng(1)
    )
    ends = np.flatnonzero(np.diff(due_s) * spec.offered_rate_rps > 1.0)
    whole = np.diff(ends)  # the first and the last may be cut
    assert set(whole) == {n_together}
    lasts = (due_s[ends[1:]] - due_s[ends[:-1] + 1]) * spec.offered_rate_rps
    assert lasts == pytest.approx(0.05 * (n_together - 1))


def test_where_a_run_holds_few_requests_it_still_has_four_bursts(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    """Three times the backlog of 64 would be 192 of the 300 requests."""
    spec = following(make_bench({1: 0.02, 32: 0.64}), make_scenario(max_batch_sizes=(32,)), [])
    assert isinstance(spec.arrivals, TraceArrivals)
    assert n_recorded(spec.arrivals.recording) == 75


def test_a_fast_model_gets_runs_as_long_as_the_scenario_says(bench: BenchRun, make_scenario: MakeScenario) -> None:
    assert following(bench, make_scenario(duration_s=7.0), []).duration_s == 7.0


def test_all_runs_but_the_bursts_are_poisson_whatever_the_scenarios_arrivals(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(arrivals=ConstantArrivals()), list[LoadRun]()
    while (spec := next_run(bench, scenario, runs)) is not None:
        runs.append(answer(spec, 1e-3 if spec.purpose == "saturation" else None))
    assert [run.spec.arrivals.process for run in runs] == ["trace"] * 2 + ["poisson"] * 3


def test_all_runs_use_what_the_embedded_server_is_planned_with(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    served = ExecutionConfig(variant="fp32")
    others = [ExecutionConfig(variant="fp32", provider="CANN"), ExecutionConfig(variant="fp16", n_sessions=2)]
    spec = following(make_bench(TABLE_S, executions=[*others, served]), make_scenario(), [])
    assert spec.setting is not None
    assert spec.setting.execution == served


def test_the_execution_with_the_fewest_threads_is_driven(make_bench: MakeBench, make_scenario: MakeScenario) -> None:
    executions = [ExecutionConfig(variant="fp32", n_threads=n) for n in (4, 2)]
    spec = following(make_bench(TABLE_S, executions=executions), make_scenario(n_threads=(4, 2)), [])
    assert spec.setting is not None
    assert spec.setting.execution == executions[1]


def test_where_the_fewest_threads_were_not_benchmarked_what_was_is_driven(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    executions = [ExecutionConfig(variant="fp32", n_threads=2)]
    spec = following(make_bench(TABLE_S, executions=executions), make_scenario(n_threads=(1, 2)), [])
    assert spec.setting is not None
    assert spec.setting.execution == executions[0]


def test_batches_far_larger_than_any_that_was_timed_are_refused(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    with pytest.raises(InputError, match="more than twice the largest"):
        next_run(make_bench({1: 0.001}), make_scenario(max_batch_sizes=(8,)), [])


def test_one_valid_run_of_bursts_is_enough(bench: BenchRun, make_scenario: MakeScenario, answer: Answer) -> None:
    spec = following(bench, make_scenario(), [])
    require_enough([answer(spec, 1e-3, invalid=True), answer(spec, 1e-3)])


def test_without_a_valid_run_of_bursts_nothing_shows_what_the_server_carries(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario = make_scenario(max_batch_sizes=(1,))
    bursts = answer(following(bench, scenario, []), 1e-3, invalid=True)
    idle = answer(following(bench, scenario, [bursts]))
    with pytest.raises(InvalidMeasurement, match="carries: the machine was too noisy"):
        require_enough([bursts, bursts, idle])
    with pytest.raises(InvalidMeasurement, match="none was driven to show it"):
        require_enough([idle])
