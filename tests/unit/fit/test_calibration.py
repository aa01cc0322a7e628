"""Which live runs are driven, in which order and at which rates."""

from collections.abc import Callable

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.fit.calibration import N_RUNS_EXPECTED, next_run, require_enough
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.arrivals import Callers, ConstantArrivals, PoissonArrivals
from loadplan.scenario.spec import RowsPerRequest, Scenario

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
    """Does what a spec asks, 1,000 requests: each `gap_s` one is answered and asked again, or none ever waits."""

    def run(spec: LoadSpec, gap_s: float | None = None, *, invalid: bool = False) -> LoadRun:
        n = np.arange(1000, dtype=np.float64)
        sent_s = spec.duration_s * n / 1000
        done_s = sent_s + 1e-4
        if gap_s is not None:
            assert isinstance(spec.arrivals, Callers)
            done_s = (n + 1.0) * gap_s
            sent_s = np.append(np.zeros(spec.arrivals.n_callers), done_s)[:1000]
        return make_run(spec, sent_s, done_s, invalid_reasons=("the machine was too noisy",) if invalid else ())

    return run


def following(bench: BenchRun, scenario: Scenario, runs: list[LoadRun]) -> LoadSpec:
    spec = next_run(bench, scenario, runs)
    assert spec is not None
    return spec


def size_of(spec: LoadSpec) -> int:
    assert spec.setting is not None
    return spec.setting.serving.max_batch_size


def test_five_runs_from_no_rest_to_moderate_load_tell_enough(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    runs: list[LoadRun] = []
    while (spec := next_run(bench, make_scenario(), runs)) is not None:
        runs.append(answer(spec, 1e-3 if spec.purpose == "saturation" else None))
    told = [(run.spec.name, run.spec.purpose, size_of(run.spec)) for run in runs]
    assert told == [
        ("saturated-1", "saturation", 1),
        ("saturated-32", "saturation", 32),
        ("idle-1", "idle", 1),
        ("steady-50-1", "steady", 1),
        ("steady-65-8", "steady", 8),
    ]
    assert len(runs) == N_RUNS_EXPECTED


def test_before_any_run_the_rate_is_a_share_of_what_bench_and_a_guess_of_the_overhead_say(
    bench: BenchRun, make_scenario: MakeScenario
) -> None:
    spec = following(bench, make_scenario(), [])
    assert spec.offered_rate_rps == pytest.approx(1.0 / (TABLE_S[1] + GUESSED_REQUEST_S + GUESSED_BATCH_S))


def test_the_same_runs_give_the_same_answer_in_any_order(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario = make_scenario()
    first = answer(following(bench, scenario, []), 0.4e-3)
    second = answer(following(bench, scenario, [first]), 0.1e-3)
    assert next_run(bench, scenario, [first, second]) == next_run(bench, scenario, [second, first])


def test_callers_whose_run_is_invalid_tell_no_capacity(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario = make_scenario(max_batch_sizes=(1,))
    invalid = answer(following(bench, scenario, []), 1.0, invalid=True)
    idle = following(bench, scenario, [invalid])
    assert idle.name == "idle-1"
    assert idle.offered_rate_rps == pytest.approx(0.03 / (TABLE_S[1] + GUESSED_REQUEST_S + GUESSED_BATCH_S))


def test_rates_are_shares_of_the_capacity_that_the_callers_showed(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(), list[LoadRun]()
    rates = {}
    for gap_s in (0.5e-3, 0.125e-3, None, None, None):
        spec = following(bench, scenario, runs)
        rates[spec.name] = spec.offered_rate_rps
        runs.append(answer(spec, gap_s))
    # At one row 0.5 ms a request, of which 0.2 inference: 0.3 beside it is what 32 are then expected to cost too.
    assert rates["saturated-32"] == pytest.approx(1.0 / (TABLE_S[32] / 32 + 0.3e-3))
    assert rates["idle-1"] == pytest.approx(0.03 / 0.5e-3)
    assert rates["steady-50-1"] == pytest.approx(0.5 / 0.5e-3)
    # In full batches of 32 0.125 ms, of which 0.075 inference: 0.05. Between the two, the mean of 0.3 and 0.05.
    assert rates["steady-65-8"] == pytest.approx(0.65 / (TABLE_S[8] / 8 + 0.175e-3))


def test_larger_requests_fill_a_batch_with_fewer(bench: BenchRun, make_scenario: MakeScenario, answer: Answer) -> None:
    scenario = make_scenario(n_rows=8, max_batch_sizes=(32,))
    spec = following(bench, scenario, [])
    beside_s = GUESSED_REQUEST_S + 7 * GUESSED_ROW_S + GUESSED_BATCH_S / 4
    assert spec.offered_rate_rps == pytest.approx(1.0 / (TABLE_S[32] / 4 + beside_s))


def test_requests_that_differ_in_their_rows_are_taken_as_they_come(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    """Every inference takes a millisecond, whatever its rows, so that only the number of batches counts."""
    rows = RowsPerRequest(mean=120.0, p95=300.0, most=400)
    alone = following(make_bench({1: 1e-3, 400: 1e-3}), make_scenario(n_rows=rows, max_batch_sizes=(1,)), [])
    beside_s = GUESSED_REQUEST_S + 119 * GUESSED_ROW_S + GUESSED_BATCH_S
    assert alone.offered_rate_rps == pytest.approx(1.0 / (1e-3 + beside_s))
    assert alone.setting is not None
    assert alone.setting.serving.max_queue_rows == 256 * 120
    # A batch is closed by a request that doesn't fit, so fewer than 3,000 / 118 are in one, and more than one less.
    together = following(make_bench({1: 1e-3, 3000: 1e-3}), make_scenario(n_rows=rows, max_batch_sizes=(3000,)), [])
    beside_s = GUESSED_REQUEST_S + 119 * GUESSED_ROW_S + GUESSED_BATCH_S / 25
    assert 1.0 / (1e-3 / 23.5 + beside_s) < together.offered_rate_rps < 1.0 / (1e-3 / 25.5 + beside_s)


def test_one_batch_size_needs_its_callers_once(bench: BenchRun, make_scenario: MakeScenario, answer: Answer) -> None:
    scenario, runs = make_scenario(max_batch_sizes=(8,)), list[LoadRun]()
    while (spec := next_run(bench, scenario, runs)) is not None:
        runs.append(answer(spec, 1e-3 if spec.purpose == "saturation" else None))
    assert [run.spec.name for run in runs] == ["saturated-8", "idle-8", "steady-50-8", "steady-65-8"]


def test_a_slow_model_gets_runs_long_enough_for_three_hundred_requests_but_for_half_a_minute_at_most(
    make_bench: MakeBench, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(max_batch_sizes=(1,)), list[LoadRun]()
    slow = make_bench({1: 0.02})
    lengths_s, rates_rps = {}, {}
    while (spec := next_run(slow, scenario, runs)) is not None:
        lengths_s[spec.name], rates_rps[spec.name] = spec.duration_s, spec.offered_rate_rps
        runs.append(answer(spec, 0.025 if spec.purpose == "saturation" else None))
    # 40 requests a second are the capacity: 4.8, 20 and 26 are offered; 3 % of it would be 36 requests in 30 s. 64
    # callers who ask six times are 384 requests.
    assert rates_rps["idle-1"] == pytest.approx(0.12 * 40)
    assert lengths_s == pytest.approx(
        {"saturated-1": 6 * 64 * 0.02018, "idle-1": 30.0, "steady-50-1": 15.0, "steady-65-1": 300 / 26}
    )


@pytest.mark.parametrize(
    ("size", "n_rows", "n_callers"), [(1, 1, 64), (32, 1, 96), (32, 8, 64), (64, 1, 192), (64, 2, 96)]
)
def test_callers_are_as_many_as_three_full_batches_hold_and_never_fewer_than_other_runs_have_connections(
    make_bench: MakeBench, make_scenario: MakeScenario, size: int, n_rows: int, n_callers: int
) -> None:
    scenario = make_scenario(max_batch_sizes=(size,), n_rows=n_rows)
    spec = following(make_bench({1: 1e-3, 64: 2e-3}), scenario, [])
    assert spec.arrivals == Callers(n_callers=n_callers, think_time_s=0.0)


def test_of_a_slow_model_fewer_callers_wait_so_that_none_waits_in_vain(
    make_bench: MakeBench, make_scenario: MakeScenario
) -> None:
    """At an answer every 0.5 s five of them wait for 2.5 s, which is half the timeout."""
    alone = following(make_bench({1: 0.5}), make_scenario(max_batch_sizes=(1,)), [])
    assert alone.arrivals == Callers(n_callers=4, think_time_s=0.0)  # what is beside the inference makes it 4.998
    # Slower still, there are enough to fill a batch and begin the next.
    batches = following(make_bench({1: 2.0, 8: 16.0}), make_scenario(max_batch_sizes=(8,)), [])
    assert batches.arrivals == Callers(n_callers=9, think_time_s=0.0)


def test_a_fast_model_gets_runs_as_long_as_the_scenario_says(bench: BenchRun, make_scenario: MakeScenario) -> None:
    assert following(bench, make_scenario(duration_s=7.0), []).duration_s == 7.0


def test_all_runs_but_those_of_callers_are_poisson_whatever_the_scenarios_arrivals(
    bench: BenchRun, make_scenario: MakeScenario, answer: Answer
) -> None:
    scenario, runs = make_scenario(arrivals=ConstantArrivals()), list[LoadRun]()
    while (spec := next_run(bench, scenario, runs)) is not None:
        runs.append(answer(spec, 1e-3 if spec.purpose == "saturation" else None))
    assert [type(run.spec.arrivals) for run in runs] == [Callers] * 2 + [PoissonArrivals] * 3


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
