"""Sweeps set against each other: hand-made rounds whose answer is known, and how often equal sweeps raise alarm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from loadplan.bench.compare import BenchComparison, cell_name, compare_benches, failure_of
from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.errors import InputError, InvalidMeasurement, ObjectiveMissed
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine, read_machine

MakeRound = Callable[..., CellRound]
N_CELLS = 21


@pytest.fixture(scope="module")
def machine() -> Machine:
    return read_machine()


def sweep_of(machine: Machine, rounds: list[CellRound]) -> BenchRun:
    summaries = [summarise_cell(visits) for visits in by_cell(rounds).values()]
    return BenchRun(
        machine=machine,
        rounds=tuple(rounds),
        cells=tuple(each for each in summaries if each.cell.is_of_table),
        cold=tuple(each for each in summaries if each.cell.idle_gap_s),
        by_length=tuple(each for each in summaries if each.cell.length),
        caveats=(),
    )


def drifting_sweep(
    machine: Machine, seed: int, *, n_rounds: int = 8, mood: float, persistence: float = 0.0, slower: int | None = None
) -> BenchRun:
    """21 cells whose means move together from round to round by `mood`, and each by 0.5 % on its own.

    Args:
        machine: what it was measured on.
        seed: draws everything.
        n_rounds: visits to each cell.
        mood: standard deviation of the machine's speed.
        persistence: correlation of the mood in neighbouring rounds.
        slower: the batch size that takes a tenth longer.
    """
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=n_rounds)
    steps[1:] *= np.sqrt(1.0 - persistence**2)
    moods = mood * lfilter([1.0], [1.0, -persistence], steps)
    rounds = [
        CellRound(
            cell=BenchCell(execution=ExecutionConfig(variant="fp32"), batch_size=size),
            i_round=i,
            service_times_s=np.full(
                3, 1e-4 * size * np.exp(moods[i] + 5e-3 * rng.normal()) * (1 + 0.1 * (size == slower))
            ),
            lost_ratio=0.0,
            dropped_ratio=0.0,
        )
        for i in range(n_rounds)
        for size in range(1, N_CELLS + 1)
    ]
    return sweep_of(machine, rounds)


def changed(comparison: BenchComparison) -> dict[int, str]:
    return {c.cell.batch_size: c.change for c in comparison.cells if c.change in ("slower", "faster")}


def test_the_ratio_and_its_interval_by_hand(machine: Machine, make_round: MakeRound) -> None:
    # Logarithms of the visits' means: base ∓0.01 around 0, head ∓0.01 around ln 1.2, two visits of each level a side.
    low, high = np.exp(-0.01), np.exp(0.01)
    times = [low, high, low, high]
    base = sweep_of(machine, [make_round([t, t], i=i) for i, t in enumerate(times)])
    head = sweep_of(machine, [make_round([1.2 * t], i=i) for i, t in enumerate(times)])
    (cell,) = compare_benches(base, head).cells
    assert cell.ratio == pytest.approx(1.2)
    # s² = 4 · 0.01² / 3, of the mean s² / 4, of the difference twice that: error 0.0081650; t(0.975, 6) = 2.446912.
    assert cell.interval.low == pytest.approx(1.2 * np.exp(-2.446912 * 0.0081650), rel=1e-5)
    assert cell.interval.high == pytest.approx(1.2 * np.exp(2.446912 * 0.0081650), rel=1e-5)
    assert cell.change == "slower"


def test_a_visit_counts_once_however_many_calls_it_holds(machine: Machine, make_round: MakeRound) -> None:
    few = sweep_of(machine, [make_round([t], i=i) for i, t in enumerate([1.0, 1.01, 0.99, 1.0])])
    many = sweep_of(machine, [make_round([t] * 500, i=i) for i, t in enumerate([1.0, 1.01, 0.99, 1.0])])
    one, other = compare_benches(few, few).cells[0], compare_benches(many, many).cells[0]
    assert one.interval.low == pytest.approx(other.interval.low)
    assert one.interval.high == pytest.approx(other.interval.high)


def test_a_slower_cell_among_twenty_equal_ones_is_found_and_no_other(machine: Machine) -> None:
    comparison = compare_benches(
        drifting_sweep(machine, 1, mood=0.005), drifting_sweep(machine, 2, mood=0.005, slower=5)
    )
    assert changed(comparison) == {5: "slower"}
    (cell,) = [cell for cell in comparison.cells if cell.cell.batch_size == 5]
    assert cell.interval.low < 1.1 < cell.interval.high
    failure = failure_of(comparison)
    assert isinstance(failure, ObjectiveMissed)
    assert failure.what.startswith("fp32 CPU, threads 1, sessions 1, batch 5 is slower: ×1.")
    assert changed(
        compare_benches(drifting_sweep(machine, 2, mood=0.005, slower=5), drifting_sweep(machine, 1, mood=0.005))
    ) == {5: "faster"}


def test_a_change_within_what_is_allowed_is_none(machine: Machine) -> None:
    base, head = drifting_sweep(machine, 1, mood=0.002), drifting_sweep(machine, 2, mood=0.002, slower=5)
    assert changed(compare_benches(base, head, allowed_ratio=0.15)) == {}
    assert failure_of(compare_benches(base, head, allowed_ratio=0.15)) is None


@pytest.mark.nightly
@pytest.mark.parametrize(("allowed_ratio", "persistence"), [(0.0, 0.0), (0.03, 0.0), (0.03, 0.7)])
def test_of_two_hundred_pairs_of_equal_sweeps_at_most_one_in_twenty_raises_alarm(
    machine: Machine, allowed_ratio: float, persistence: float
) -> None:
    """Any of 21 cells would do. Where moods outlast rounds, that holds only beyond what is allowed."""
    n_alarms = sum(
        bool(
            changed(
                compare_benches(
                    drifting_sweep(machine, 2 * seed, mood=0.01, persistence=persistence),
                    drifting_sweep(machine, 2 * seed + 1, mood=0.01, persistence=persistence),
                    allowed_ratio=allowed_ratio,
                )
            )
        )
        for seed in range(200)
    )
    assert n_alarms <= 10


def test_noisy_cells_are_told_and_decide_nothing(machine: Machine, make_round: MakeRound) -> None:
    calm, wild = [1.0, 1.001, 0.999, 1.0, 1.0], [2.0, 3.0, 2.5, 4.0, 2.0]
    base = sweep_of(machine, [make_round([t], i=i, batch_size=b) for i, t in enumerate(calm) for b in (1, 2)])
    rounds = [make_round([t], i=i, batch_size=1) for i, t in enumerate(calm)]
    head = sweep_of(machine, [*rounds, *(make_round([t], i=i, batch_size=2) for i, t in enumerate(wild))])
    comparison = compare_benches(base, head)
    assert [(cell.cell.batch_size, cell.change) for cell in comparison.cells] == [(1, "same"), (2, "noisy")]
    assert [cell.p_value is None for cell in comparison.cells] == [False, True]
    assert [caveat.code for caveat in comparison.caveats] == ["compare.noisy"]
    assert failure_of(comparison) is None


def test_a_visit_with_a_neighbour_in_it_is_left_out(machine: Machine, make_round: MakeRound) -> None:
    calm = [make_round([t], i=i) for i, t in enumerate([1.0, 1.001, 0.999, 1.0, 1.0])]
    robbed = make_round([1.5], i=5, lost_ratio=0.4)
    (cell,) = compare_benches(sweep_of(machine, calm), sweep_of(machine, [*calm, robbed])).cells
    assert cell.change == "same"
    assert cell.ratio == pytest.approx(1.0)


def test_where_every_cell_is_noisy_nothing_is_said(machine: Machine, make_round: MakeRound) -> None:
    wild = sweep_of(machine, [make_round([t], i=i) for i, t in enumerate([2.0, 3.0, 2.5])])
    failure = failure_of(compare_benches(wild, wild))
    assert isinstance(failure, InvalidMeasurement)
    assert "too noisy to say" in failure.what


def test_cells_of_one_sweep_alone_are_told_and_fail_when_asked(machine: Machine, make_round: MakeRound) -> None:
    def sizes(*batch_sizes: int) -> BenchRun:
        return sweep_of(machine, [make_round([1.0], i=i, batch_size=b) for i in range(5) for b in batch_sizes])

    comparison = compare_benches(sizes(1, 2), sizes(1, 4))
    assert [cell.batch_size for cell in comparison.only_in_base] == [2]
    assert [cell.batch_size for cell in comparison.only_in_head] == [4]
    assert failure_of(comparison) is None
    failure = failure_of(comparison, fail_on=("slower", "missing"))
    assert isinstance(failure, ObjectiveMissed)
    assert "batch 2 is missing" in failure.what
    with pytest.raises(InputError, match="no cell in common"):
        compare_benches(sizes(1), sizes(2))


def test_sweeps_of_two_machines_say_nothing_of_the_code_unless_asked(machine: Machine, make_round: MakeRound) -> None:
    rounds = [make_round([1.0], i=i) for i in range(5)]
    other = replace(machine, cpu_model="another")
    comparison = compare_benches(sweep_of(machine, rounds), sweep_of(other, rounds))
    failure = failure_of(comparison)
    assert isinstance(failure, InvalidMeasurement)
    assert "different machines" in failure.what
    assert failure_of(comparison, across_machines=True) is None
    assert [caveat.code for caveat in comparison.caveats] == ["compare.machines"]


def test_cells_of_several_threads_are_not_compared_across_cores_apart_and_close_together(
    machine: Machine, make_round: MakeRound
) -> None:
    def sweep_with(apart_ratio: float, time_s: float) -> BenchRun:
        alone = [make_round([1.0, 1.0 + 1e-3 * (i % 2)], i=i) for i in range(6)]
        shared = [
            make_round([time_s, time_s + 1e-3 * (i % 2)], i=i, n_threads=2, apart_ratio=apart_ratio) for i in range(6)
        ]
        return sweep_of(machine, [*alone, *shared])

    close, also_close, apart = sweep_with(2.3, 1.0), sweep_with(2.5, 1.3), sweep_with(4.4, 1.3)
    assert [cell.change for cell in compare_benches(close, also_close).cells] == ["same", "slower"]
    comparison = compare_benches(close, apart)
    assert [cell.change for cell in comparison.cells] == ["same", "noisy"]
    assert [caveat.code for caveat in comparison.caveats] == ["compare.noisy", "compare.moved"]


def test_pauses_and_lengths_are_compared_too(machine: Machine, make_round: MakeRound) -> None:
    def sweep_with(*, paused_s: float, long_s: float) -> BenchRun:
        visits = [make_round([1.0, 1.0 + 1e-3 * (i % 2)], i=i) for i in range(6)]
        cell = visits[0].cell
        beside = [
            replace(visit, cell=replace(cell, **axis), service_times_s=visit.service_times_s * factor)
            for axis, factor in (({"idle_gap_s": 0.007}, paused_s), ({"length": 64}, long_s))
            for visit in visits
        ]
        return sweep_of(machine, [*visits, *beside])

    comparison = compare_benches(sweep_with(paused_s=3.0, long_s=2.0), sweep_with(paused_s=3.6, long_s=2.0))
    assert {cell_name(cell.cell): cell.change for cell in comparison.cells} == {
        "fp32 CPU, threads 1, sessions 1, batch 1": "same",
        "fp32 CPU, threads 1, sessions 1, batch 1, length 64": "same",
        "fp32 CPU, threads 1, sessions 1, batch 1, after 7 ms": "slower",
    }
