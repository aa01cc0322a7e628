"""What is doubted about a sweep, by hand-computed cases."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from loadplan.bench.doubts import column_name, dropped_caveats, failure_caveats, moved_caveats, system_caveats
from loadplan.bench.records import BenchCell, CellRound
from loadplan.execution import ExecutionConfig

MakeRound = Callable[..., CellRound]


def test_what_was_dropped_and_made_again_is_told(make_round: MakeRound) -> None:
    # Of 10 calls one was dropped, of 10 none: 1 of 20.
    rounds = [replace(make_round([1.0] * 9, lost_ratio=0.2), dropped_ratio=0.1), make_round([1.0] * 10, i=1)]
    (caveat,) = dropped_caveats(rounds)
    assert caveat.code == "bench.dropped"
    assert caveat.number == pytest.approx(0.05)
    assert "5.0% of the timed calls were dropped" in caveat.what
    assert "1 of 2 visits lost more than 10%" in caveat.what


def test_a_call_in_hundreds_is_no_doubt(make_round: MakeRound) -> None:
    assert dropped_caveats([replace(make_round([1.0] * 299), dropped_ratio=1 / 300)]) == ()
    assert dropped_caveats([make_round([1.0], lost_ratio=0.0)]) == ()


def test_a_quota_that_stopped_the_process_is_told_with_its_share(make_round: MakeRound) -> None:
    rounds = [
        replace(make_round([0.5, 0.5], i=i), throttled_s=throttled_s) for i, throttled_s in ((0, 0.02), (1, 0.01))
    ]
    (caveat,) = system_caveats(rounds)
    assert caveat.code == "bench.throttled"
    assert caveat.number == pytest.approx(0.03)
    assert "0.03 s of 2.0 s" in caveat.what
    assert system_caveats([replace(make_round([0.5, 0.5]), throttled_s=0.01)]) == ()  # 1 % is allowed
    assert system_caveats([make_round([0.5, 0.5])]) == ()  # nothing is counted here


def test_a_clock_that_moves_is_told_and_one_that_is_not_known_is_not(make_round: MakeRound) -> None:
    def at(*clocks_hz: float | None) -> list[CellRound]:
        return [replace(make_round([1.0], i=i), frequency_hz=hz) for i, hz in enumerate(clocks_hz)]

    (caveat,) = system_caveats(at(2.0e9, None, 3.0e9))
    assert caveat.code == "bench.clock"
    assert "between 2.00 and 3.00 GHz" in caveat.what
    assert system_caveats(at(2.0e9, 2.2e9)) == ()
    assert system_caveats(at(None, None)) == ()


def test_cells_without_a_figure_are_grouped_by_column_and_reason() -> None:
    def cell(size: int, **axes: int | str) -> BenchCell:
        return BenchCell(execution=ExecutionConfig(variant="fp16", **axes), batch_size=size)  # type: ignore[arg-type]

    caveats = failure_caveats(
        {
            cell(64, provider="CUDA:1"): "it does not fit",
            cell(128, provider="CUDA:1"): "not tried",
            cell(4): "it does not fit",
            cell(256, provider="CUDA:1"): "not tried",
        }
    )
    assert [caveat.what for caveat in caveats] == [
        "fp16 with 1 thread was not measured at 1 batch size (4): it does not fit",
        "fp16 on CUDA:1 with 1 thread was not measured at 1 batch size (64): it does not fit",
        "fp16 on CUDA:1 with 1 thread was not measured at 2 batch sizes (128, 256): not tried",
    ]


def test_a_column_is_named_with_what_is_unusual_about_it() -> None:
    assert column_name(ExecutionConfig(variant="fp32", n_threads=2)) == "fp32 with 2 threads"
    usual = ExecutionConfig(variant="fp32", provider="CUDA", n_sessions=4)
    assert column_name(usual) == "fp32 on CUDA with 1 thread in each of 4 sessions"


def test_cores_that_were_moved_apart_are_told_with_how_often(make_round: MakeRound) -> None:
    alone = [make_round([1.0], i=i) for i in range(9)]
    near = [make_round([1.0], i=i, n_threads=2, apart_ratio=2.4) for i in range(6)]
    far = [make_round([1.4], i=i, n_threads=2, apart_ratio=4.4) for i in range(6, 8)]
    assert moved_caveats([*alone, *near]) == moved_caveats(alone) == ()
    (caveat,) = moved_caveats([*alone, *near, *far])
    assert "in 2 of 8 visits with several threads" in caveat.what
    assert caveat.number == 0.25
