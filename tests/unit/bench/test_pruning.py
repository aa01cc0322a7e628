"""Which columns are given up, by hand-computed cases and on made-up surfaces whose winner is known."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from loadplan.bench.handoff import Visit
from loadplan.bench.pruning import beaten_columns, probe_sizes
from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.runner import sweep
from loadplan.execution import ExecutionConfig
from loadplan.stats import Interval
from tests.performance.adaptive import N_SURFACES, n_same, outcome, request_for, visits_ratio

NEVER = float("inf")


def column(times_s: Mapping[int, float], *, half_width_ratio: float = 0.0) -> dict[int, Interval]:
    return {
        size: Interval(low=time_s * (1.0 - half_width_ratio), high=time_s * (1.0 + half_width_ratio))
        for size, time_s in times_s.items()
    }


def named(variant: str, *, n_threads: int = 1, provider: str = "CPU", n_sessions: int = 1) -> ExecutionConfig:
    return ExecutionConfig(variant=variant, n_threads=n_threads, provider=provider, n_sessions=n_sessions)


# 4000 rows/s, another column that is about as good, and one that is the fastest with one row.
BEST = {named("best"): column({1: 1.0e-3, 8: 2.0e-3}), named("second"): column({1: 1.0e-3, 8: 2.1e-3})}
FASTEST = {named("fastest"): column({1: 0.5e-3, 8: 4.0e-3})}


def test_columns_are_compared_at_the_ends_and_at_powers_of_two_between() -> None:
    assert probe_sizes([*range(1, 8), *range(8, 16, 2), *range(16, 33, 4)]) == (1, 4, 8, 32)
    assert probe_sizes([6, 3, 5]) == (3, 5, 6)
    assert probe_sizes([3, 5, 6, 7, 9, 11, 24]) == (3, 6, 11, 24)


@pytest.mark.parametrize(
    ("batch_of_8_s", "is_beaten"),
    # A quarter more than 3200 rows/s is 4000: not below the best.
    [(2.4e-3, False), (2.5e-3, False), (2.51e-3, True), (9.0e-3, True)],
)
def test_a_column_goes_where_a_quarter_more_would_not_reach_the_best(batch_of_8_s: float, is_beaten: bool) -> None:
    rival = named("rival")
    columns = {**BEST, **FASTEST, rival: column({1: 2.0e-3, 8: batch_of_8_s})}
    found = beaten_columns(columns, objective_s=NEVER)
    assert [each.execution for each in found] == [rival] * is_beaten
    if is_beaten:
        assert found[0].by == named("best")
        assert found[0].rows_per_s_most == pytest.approx(8 / batch_of_8_s)
        assert found[0].rows_per_s_least == pytest.approx(4000.0)


def test_what_is_not_known_well_is_not_given_up() -> None:
    columns = {**BEST, **FASTEST, named("rival"): column({1: 2.0e-3, 8: 3.0e-3}, half_width_ratio=0.3)}
    assert beaten_columns(columns, objective_s=NEVER) == ()
    columns[named("rival")] = column({1: 2.0e-3, 8: 3.0e-3}, half_width_ratio=1.0)  # may take no time at all
    assert beaten_columns(columns, objective_s=NEVER) == ()


def test_the_two_best_stay_and_so_does_the_fastest_with_a_single_row() -> None:
    columns = {
        named("best"): column({1: 1.0e-3, 8: 1.0e-3}),
        named("second"): column({1: 3.0e-3, 8: 3.0e-3}),
        named("third"): column({1: 4.0e-3, 8: 4.0e-3}),
        named("fastest"): column({1: 0.9e-3, 8: 9.0e-3}),
    }
    assert [each.execution.variant for each in beaten_columns(columns, objective_s=NEVER)] == ["third"]
    assert beaten_columns(columns, objective_s=NEVER, keep=[named("third")]) == ()


def test_threads_are_paid_for() -> None:
    # Twice as fast with four threads is half as much for each.
    columns = {**BEST, **FASTEST, named("best", n_threads=4): column({1: 0.6e-3, 8: 1.0e-3})}
    (found,) = beaten_columns(columns, objective_s=NEVER)
    assert found.execution.n_threads == 4
    assert found.rows_per_s_most == pytest.approx(2000.0)


def test_columns_compete_with_their_like_alone() -> None:
    slow = column({1: 50e-3, 8: 50e-3})
    others = {named("best", provider="CUDA"): slow, named("best", n_sessions=2): slow}
    assert beaten_columns({**BEST, **FASTEST, **others}, objective_s=NEVER) == ()


def test_batches_that_miss_the_objective_by_themselves_do_not_count() -> None:
    quick = column({1: 1.0e-3, 2: 1.1e-3, 32: 20.0e-3})
    columns = {named(name): quick for name in ("a", "b")}
    # 3200 rows/s with 32 rows, but they take 10 ms; with 2 rows it reaches 667 against 1818.
    columns[named("bulky")] = column({1: 2.9e-3, 2: 3.0e-3, 3: 6.0e-3, 32: 10.0e-3})
    assert named("bulky") not in [each.execution for each in beaten_columns(columns, objective_s=NEVER)]
    (found,) = beaten_columns(columns, objective_s=5e-3)
    assert found.execution == named("bulky")
    # 2 rows in 3 ms, and with the 5 ms of the objective 2.67 rows on the line to 3 rows in 6 ms: 533 rows/s.
    assert found.rows_per_s_most == pytest.approx(2 / 3.0e-3)


def test_where_the_objective_cuts_between_two_sizes_the_one_on_the_line_counts() -> None:
    columns = {named(name): column({1: 1.0e-3, 8: 3.0e-3}) for name in ("a", "b")}
    # 1 row in 2 ms, 8 in 6: just below 6 ms nearly 8 rows, 1333 rows/s, half of the others' 2667. With the objective at
    # 2.8 ms the others reach 1000 rows/s, as measured; this one 2.4 rows on the line, 857, and a quarter more is 1071.
    columns[named("rival")] = column({1: 2.0e-3, 8: 6.0e-3})
    assert beaten_columns(columns, objective_s=2.8e-3) == ()
    (found,) = beaten_columns(columns, objective_s=5.99e-3)
    assert found.rows_per_s_most == pytest.approx(8 / 6e-3, rel=1e-3)


TIMES_S = {f"v{speed}": 1e-3 * speed for speed in (1, 2, 3, 4, 5)}
SIZES = (1, 2, 3, 4, 5, 6, 7, 8)


def timed(times_s: Mapping[str, float], *, stray_ratio: float = 1e-3) -> Callable[[BenchCell, int], Visit]:
    """Visits that take the time of their variant, every second one a little longer."""

    def visit(cell: BenchCell, i_round: int) -> Visit:
        calls_s = np.full(9, times_s[cell.execution.variant]) * (1.0 + stray_ratio * (i_round % 2))
        return Visit(
            times=CellRound(cell=cell, i_round=i_round, service_times_s=calls_s, lost_ratio=0.0, dropped_ratio=0.0)
        )

    return visit


def ticking() -> Callable[[], float]:
    """A clock that is 10 ms later each time it is read."""
    readings = count()
    return lambda: 0.01 * next(readings)


def swept(
    *, exhaustive: bool = False, budget_s: float = 3600.0, stray_ratio: float = 1e-3
) -> tuple[BenchRun, list[BenchCell]]:
    """Five columns, of which the n-th takes n ms a batch whatever its size; a visit takes 10 ms."""
    order: list[BenchCell] = []

    def visit(cell: BenchCell, i_round: int) -> Visit:
        order.append(cell)
        return timed(TIMES_S, stray_ratio=stray_ratio)(cell, i_round)

    cells = tuple(BenchCell(execution=named(variant), batch_size=size) for variant in TIMES_S for size in SIZES)
    request = request_for(cells, budget_s=budget_s, exhaustive=exhaustive)
    return sweep(request, visit, now_s=lambda: 0.01 * len(order)), order


def test_a_column_that_stays_is_measured_at_every_size_and_one_that_goes_is_told_with_the_reason() -> None:
    run, order = swept()
    measured = [(cell.cell.execution.variant, cell.cell.batch_size) for cell in run.cells]
    assert measured == [(variant, size) for variant in ("v1", "v2") for size in SIZES]
    given_up = [cell for cell in order if cell.execution.variant in ("v3", "v4", "v5")]
    assert {cell.batch_size for cell in given_up} == {1, 2, 4, 8}
    assert len(given_up) == 3 * 4 * 3
    (caveat,) = [caveat for caveat in run.caveats if caveat.code == "bench.pruned"]
    assert caveat.number == 3.0
    assert "v4 with 1 thread: at most 2,00" in caveat.what
    assert "v1 with 1 thread at least 7,9" in caveat.what


def test_an_exhaustive_sweep_gives_nothing_up() -> None:
    run, _ = swept(exhaustive=True)
    assert len(run.cells) == len(TIMES_S) * len(SIZES)
    assert not [caveat for caveat in run.caveats if caveat.code == "bench.pruned"]


def test_a_spent_budget_keeps_what_was_not_proved_to_be_slow() -> None:
    # Two visits to each of 20 probes are 0.4 s, and the interval of two that stray by 20 % reaches down to 0: every
    # cell gets its two visits.
    run, order = swept(budget_s=0.4, stray_ratio=0.2)
    assert len(run.cells) == len(TIMES_S) * len(SIZES)
    assert len(order) == 2 * len(run.cells)


def test_the_column_on_which_pauses_are_measured_stays() -> None:
    cells = tuple(BenchCell(execution=named(variant), batch_size=size) for variant in TIMES_S for size in SIZES)
    paused = BenchCell(execution=named("v5"), batch_size=1, idle_gap_s=0.007)
    run = sweep(request_for((*cells, paused), budget_s=60.0), timed(TIMES_S), now_s=ticking())
    assert {cell.cell.execution.variant for cell in run.cells} == {"v1", "v2", "v5"}
    assert [cell.cell for cell in run.cold] == [paused]


def test_where_a_batch_does_not_fit_larger_ones_of_its_column_are_not_tried() -> None:
    sizes = tuple(range(1, 41))
    cells = tuple(BenchCell(execution=named(variant), batch_size=size) for variant in ("v1", "v2") for size in sizes)
    tried: list[int] = []

    def visit(cell: BenchCell, i_round: int) -> Visit:
        if cell.execution.variant == "v1" and cell.batch_size > 10:
            tried.append(cell.batch_size)
            return Visit(failure="it does not fit", does_not_fit=True)
        return timed(TIMES_S)(cell, i_round)

    run = sweep(request_for(cells, budget_s=0.0), visit, now_s=lambda: 0.0)
    assert [cell.cell.batch_size for cell in run.cells] == [*range(1, 11), *sizes]
    # In shuffled order each one that is tried is smaller than all before; of 30 some four are.
    assert tried == sorted(tried, reverse=True)
    assert len(tried) < 15
    said = [caveat.what for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert any(f"not tried, because batch size {tried[0]} does not fit into the memory" in what for what in said)


def test_the_state_of_the_machine_is_a_doubt_about_what_was_measured_in_it() -> None:
    request = request_for((BenchCell(execution=named("v1"), batch_size=1),), budget_s=0.0)
    slow = replace(request, machine=replace(request.machine, governor="powersave"))
    run = sweep(slow, timed(TIMES_S), now_s=lambda: 0.0)
    assert "machine.governor" in [caveat.code for caveat in run.caveats]


def test_giving_up_finds_the_winner_of_the_exhaustive_sweep() -> None:
    outcomes = [outcome(seed) for seed in range(5)]
    assert n_same(outcomes) == len(outcomes)
    assert visits_ratio(outcomes) <= 0.45


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_giving_up_finds_the_winner_of_95_surfaces_in_100_with_two_fifths_of_the_visits() -> None:
    outcomes = [outcome(seed) for seed in range(N_SURFACES)]
    assert n_same(outcomes) >= 95
    assert visits_ratio(outcomes) <= 0.40
