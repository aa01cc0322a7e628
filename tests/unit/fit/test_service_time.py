"""The table of service times, and what is known beyond its ends."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import LengthRatios, ServiceTimeFit
from loadplan.fit.service_time import (
    find_law,
    fit_service_times,
    not_served_caveats,
    servable_batch_sizes,
    served_laws,
    service_time_caveats,
    service_times_at_s,
    service_times_s,
)

MakeBench = Callable[..., BenchRun]


def law(times_s: dict[int, float]) -> ServiceTimeFit:
    means_s = tuple(times_s.values())
    return ServiceTimeFit(
        execution=ExecutionConfig(variant="fp32"),
        batch_sizes=tuple(times_s),
        mean_s=means_s,
        mean_s_low=means_s,
        mean_s_high=means_s,
        spread_ratio=(0.0,) * len(means_s),
    )


def test_a_measured_step_is_kept() -> None:
    times_s = service_times_s(law({1: 10.0, 6: 63.0, 7: 95.0, 8: 97.0}), 8)
    assert times_s[[1, 6, 7, 8]].tolist() == [10.0, 63.0, 95.0, 97.0]


def test_between_two_measured_sizes_time_runs_straight() -> None:
    assert service_times_s(law({1: 10.0, 5: 30.0}), 5)[1:].tolist() == [10.0, 15.0, 20.0, 25.0, 30.0]


def test_a_larger_batch_may_be_faster() -> None:
    assert service_times_s(law({1: 10.0, 3: 8.0}), 3)[1:].tolist() == [10.0, 9.0, 8.0]


def test_below_the_smallest_size_a_batch_takes_as_long_as_the_smallest() -> None:
    assert service_times_s(law({4: 40.0, 8: 60.0}), 4)[1:].tolist() == [40.0] * 4


def test_above_the_largest_size_the_slope_of_the_last_step_goes_on() -> None:
    # 5 per row between 4 and 8; the flat part before says nothing.
    assert service_times_s(law({1: 40.0, 4: 40.0, 8: 60.0}), 16)[8:].tolist() == [60.0 + 5.0 * i for i in range(9)]


def test_a_last_step_that_falls_is_not_prolonged() -> None:
    assert service_times_s(law({1: 40.0, 4: 30.0}), 8)[4:].tolist() == [30.0] * 5


def test_of_one_measured_size_a_larger_batch_takes_longer_in_proportion() -> None:
    assert service_times_s(law({4: 40.0}), 8)[1:].tolist() == [40.0] * 4 + [50.0, 60.0, 70.0, 80.0]


def test_the_table_ends_where_asked() -> None:
    assert service_times_s(law({1: 10.0, 32: 100.0}), 2).size == 3


def test_more_than_twice_the_largest_size_is_not_guessed() -> None:
    assert service_times_s(law({1: 10.0, 4: 40.0}), 8)[8] == pytest.approx(80.0)
    with pytest.raises(InputError, match="batches of 9 rows are more than twice the largest that was timed, 4"):
        service_times_s(law({1: 10.0, 4: 40.0}), 9)


def test_whoever_says_so_may_go_further() -> None:
    told = replace(law({4: 40.0, 8: 60.0}), extrapolated_at_most=4.0)
    assert service_times_s(told, 32)[32] == 60.0 + 5.0 * 24
    with pytest.raises(InputError, match="4 times the largest that was timed, 8") as caught:
        service_times_s(told, 33)
    assert "serving.extrapolate_batches: 5" in caught.value.fix


def test_rows_of_one_length_take_as_many_times_as_long_as_they_did_where_they_were_timed() -> None:
    by_length = (
        LengthRatios(length=10, batch_sizes=(1, 3), ratio=(0.5, 0.7)),
        LengthRatios(length=20, batch_sizes=(1, 3), ratio=(1.0, 1.5)),
    )
    known = replace(law({1: 10.0, 3: 20.0}), by_length=by_length)  # 10, 15 and 20
    for length, expected_s in (
        (10, [5.0, 9.0, 14.0]),
        (15, [7.5, 0.925 * 15.0, 1.1 * 20.0]),
        (20, [10.0, 1.25 * 15.0, 30.0]),
        (40, [20.0, 2.55 * 15.0, 3.1 * 20.0]),  # twice as far: the step from 10 to 20 goes on
        (3, [5.0, 9.0, 14.0]),
    ):
        assert service_times_at_s(known, 3, length=length)[1:].tolist() == pytest.approx(expected_s)
    with pytest.raises(InputError, match="more than twice as long as the longest timed, 20"):
        service_times_at_s(known, 3, length=41)
    with pytest.raises(InputError, match="no length of rows was timed"):
        service_times_at_s(law({1: 10.0}), 1, length=10)


def test_lengths_of_the_bench_become_ratios_to_the_mix(make_bench: MakeBench) -> None:
    mix = make_bench({1: 10.0, 4: 20.0})
    lengths = make_bench({1: 5.0, 4: 30.0})
    cells = tuple(replace(one, cell=replace(one.cell, length=64)) for one in lengths.cells)
    (fitted,) = fit_service_times(replace(mix, by_length=cells))
    assert fitted.by_length == (LengthRatios(length=64, batch_sizes=(1, 4), ratio=(0.5, 1.5)),)


def test_the_bench_becomes_one_table_per_execution_with_sizes_in_order(make_bench: MakeBench) -> None:
    two, one = (ExecutionConfig(variant="fp32", n_threads=n) for n in (2, 1))
    laws = fit_service_times(make_bench({8: 0.080, 1: 0.010, 4: 0.040}, executions=(two, one)))
    assert [each.execution for each in laws] == [one, two]
    assert laws[0].batch_sizes == (1, 4, 8)
    assert laws[0].mean_s == pytest.approx((0.010, 0.040, 0.080))


def visits(*times_s: list[float]) -> BenchRun:
    cell = BenchCell(execution=ExecutionConfig(variant="fp32"), batch_size=1)
    rounds = tuple(
        CellRound(cell=cell, i_round=i, service_times_s=np.array(each), lost_ratio=0.0, dropped_ratio=0.0)
        for i, each in enumerate(times_s)
    )
    cells = tuple(summarise_cell(each) for each in by_cell(rounds).values())
    return BenchRun(machine=None, rounds=rounds, cells=cells, caveats=())  # type: ignore[arg-type]  # is not looked at


def test_the_interval_of_the_bench_is_carried_over() -> None:
    bench = visits([1.0, 1.2], [1.1, 1.3], [1.0, 1.0])
    (fitted,) = fit_service_times(bench)
    assert (fitted.mean_s_low[0], fitted.mean_s_high[0]) == (bench.cells[0].mean_s_low, bench.cells[0].mean_s_high)
    assert fitted.mean_s_low[0] < 1.1 < fitted.mean_s_high[0]


def test_the_spread_is_that_within_visits_because_drift_between_them_is_no_scatter() -> None:
    # ln(time) is 0 and 1 in one visit, 3 and 4 in the other: a variance of ½ each, with one degree of freedom.
    (fitted,) = fit_service_times(visits([1.0, np.e], [np.e**3, np.e**4]))
    assert fitted.spread_ratio == pytest.approx((0.5**0.5,))


def test_how_much_processes_differ_is_the_spread_of_their_means_where_nobody_disturbed_them() -> None:
    # ln of the means is 0, 1 and 2: a standard deviation of 1.
    bench = visits([1.0, 1.0], [np.e], [np.e**2])
    assert fit_service_times(bench)[0].process_ratio == pytest.approx((1.0,))
    robbed = replace(bench.rounds[0], i_round=3, service_times_s=np.array([np.e**9]), lost_ratio=0.5)
    assert fit_service_times(replace(bench, rounds=(*bench.rounds, robbed)))[0].process_ratio == pytest.approx((1.0,))


def test_a_longer_visit_weighs_more_in_the_spread() -> None:
    # Sums of squares ½ and 2 on 1 and 2 degrees of freedom.
    (fitted,) = fit_service_times(visits([1.0, np.e], [1.0, np.e, np.e**2]))
    assert fitted.spread_ratio == pytest.approx(((2.5 / 3.0) ** 0.5,))


def test_single_calls_have_no_spread() -> None:
    (fitted,) = fit_service_times(visits([1.0], [2.0]))
    assert fitted.spread_ratio == (0.0,)


def test_a_bench_without_cells_is_no_measurement() -> None:
    with pytest.raises(InvalidMeasurement, match="no cell"):
        fit_service_times(visits())


def test_an_execution_that_was_not_benchmarked_is_refused_with_the_choice_there_is() -> None:
    laws = (law({1: 10.0}),)
    assert find_law(laws, laws[0].execution) is laws[0]
    with pytest.raises(InputError) as caught:
        find_law(laws, ExecutionConfig(variant="fp32", n_threads=4))
    assert "fp32 with 4 threads on CPU was not benchmarked" in caught.value.what
    assert "1 threads" in caught.value.fix


@pytest.mark.parametrize(
    ("times_s", "most", "codes"),
    [
        ({1: 1.0, 8: 2.0}, 8, []),
        ({1: 1.0, 8: 2.0}, 9, ["fit.batch_size_extrapolated"]),
        ({8: 1.0}, 8, ["fit.one_batch_size"]),
        ({8: 1.0}, 16, ["fit.one_batch_size", "fit.batch_size_extrapolated"]),
    ],
    ids=["long enough", "too short", "one size", "both"],
)
def test_a_table_too_short_for_what_is_planned_is_a_doubt(
    times_s: dict[int, float], most: int, codes: list[str]
) -> None:
    assert [caveat.code for caveat in service_time_caveats((law(times_s),), most)] == codes


def test_one_session_on_the_cpu_or_the_first_gpu_is_planned_with_and_the_others_are_told(
    make_bench: MakeBench,
) -> None:
    executions = [
        ExecutionConfig(variant="fp32"),
        ExecutionConfig(variant="fp32", provider="CUDA:0"),
        ExecutionConfig(variant="fp32", n_sessions=2),
        ExecutionConfig(variant="fp32", provider="CUDA:1"),
        ExecutionConfig(variant="fp32", provider="OpenVINO:0"),
    ]
    laws = fit_service_times(make_bench({1: 0.010}, executions=executions))
    assert len(laws) == 5
    assert {law.execution for law in served_laws(laws)} == set(executions[:2])
    (caveat,) = not_served_caveats(laws)
    assert caveat.number == 3.0
    assert "fp32 on CPU with 2 × 1" in caveat.what
    assert "fp32 on CUDA:1 with 1 × 1" in caveat.what
    assert not_served_caveats(served_laws(laws)) == ()
    with pytest.raises(InvalidMeasurement, match="one session on the CPU"):
        served_laws([law for law in laws if law.execution in executions[2:]])


@pytest.mark.parametrize(
    ("provider", "asked", "n_rows_most", "planned"),
    [
        ("CPU", (1, 8, 16), 1, (1, 8, 16)),
        ("CUDA", (1, 8, 16), 1, (1, 8)),  # of 16 nobody knows whether they fit
        ("CUDA", (1, 8), 9, ()),  # a request of 9 rows runs alone, and may not fit
    ],
)
def test_no_batch_is_planned_on_a_gpu_that_is_larger_than_what_ran_there(
    provider: str, asked: tuple[int, ...], n_rows_most: int, planned: tuple[int, ...]
) -> None:
    execution = ExecutionConfig(variant="fp32", provider=provider)
    table = replace(law({1: 1.0, 8: 2.0}), execution=execution)
    assert servable_batch_sizes(table, asked, n_rows_most=n_rows_most) == planned
    most = max(*asked, n_rows_most)
    codes = [caveat.code for caveat in service_time_caveats([table], most)]
    assert codes == (["fit.gpu_batches" if provider == "CUDA" else "fit.batch_size_extrapolated"] if most > 8 else [])
