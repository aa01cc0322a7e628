"""A sweep as parquet columns and back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.bench.records import BenchRun, CellRound
from loadplan.bench.resources import BatchReading, GpuReading, StartReading
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.bench.table import bench_columns, bench_from_columns, bench_metadata, to_frame
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.machine import read_machine
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval
from loadplan.store.codec import dumps, read_columns, write_columns

MakeRound = Callable[..., CellRound]


@pytest.fixture
def run(make_round: MakeRound) -> BenchRun:
    rng = np.random.default_rng(5)
    rounds = tuple(
        make_round(list(rng.random(3 + i)), i=i, batch_size=batch_size, lost_ratio=0.01 * i, variant=variant)
        for variant in ("fp32", "int8")
        for batch_size in (1, 8)
        for i in range(3)
    )
    return BenchRun(
        machine=read_machine(),
        rounds=rounds,
        cells=tuple(summarise_cell(visits) for visits in by_cell(rounds).values()),
        caveats=(Caveat(code="bench.noisy", what="it was noisy", fix="rest", number=1.0),),
    )


def test_a_sweep_comes_back_from_parquet_to_the_bit(run: BenchRun, tmp_path: Path) -> None:
    write_columns(tmp_path / "bench.parquet", bench_columns(run), metadata=bench_metadata(run))
    back = bench_from_columns(*read_columns(tmp_path / "bench.parquet"))
    assert (back.machine, back.cells, back.caveats) == (run.machine, run.cells, run.caveats)
    for found, kept in zip(back.rounds, run.rounds, strict=True):
        np.testing.assert_array_equal(found.service_times_s, kept.service_times_s)
        assert (found.cell, found.i_round, found.lost_ratio, found.dropped_ratio) == (
            kept.cell,
            kept.i_round,
            kept.lost_ratio,
            kept.dropped_ratio,
        )


def test_loops_pauses_and_what_the_system_did_come_back_too(make_round: MakeRound, tmp_path: Path) -> None:
    looped = replace(
        make_round([1.0, 1.1]),
        loop_times_s=np.array([0.9, 0.95, 0.99]),
        calls_per_loop=40,
        clock_s=1e-7,
        n_preempted=3,
        throttled_s=0.5,
        frequency_hz=2.5e9,
        apart_ratio=2.5,
        copy_in_s=0.1,
        copy_out_s=0.02,
    )
    paused_cell = replace(looped.cell, idle_gap_s=0.007)
    long_cell = replace(looped.cell, length=64)
    paused = [replace(make_round([2.0, 2.1], i=i), cell=paused_cell) for i in (0, 1)]
    long = [replace(make_round([3.0, 3.1], i=i), cell=long_cell) for i in (0, 1)]
    rounds = (looped, replace(looped, i_round=1), *paused, *long)
    summaries = [summarise_cell(visits) for visits in by_cell(rounds).values()]
    run = BenchRun(
        machine=read_machine(),
        rounds=rounds,
        cells=(summaries[0],),
        cold=(summaries[1],),
        by_length=(summaries[2],),
        caveats=(),
    )
    write_columns(tmp_path / "bench.parquet", bench_columns(run), metadata=bench_metadata(run))
    back = bench_from_columns(*read_columns(tmp_path / "bench.parquet"))
    assert (back.cells, back.cold, back.by_length) == (run.cells, run.cold, run.by_length)
    assert back.clock_s == run.clock_s
    assert dumps(back.rounds) == dumps(rounds)
    assert [(one.copy_in_s, one.copy_out_s) for one in summaries] == [(0.1, 0.02), (None, None), (None, None)]
    assert to_frame(run)["n_calls"].tolist() == [1, 1, 40, 40, 40, 1, 1, 40, 40, 40, 1, 1, 1, 1, 1, 1, 1, 1]


def test_starts_and_the_probe_come_back_and_no_probe_stays_none(run: BenchRun, tmp_path: Path) -> None:
    batch = BatchReading(
        batch_size=8,
        peak_memory_bytes=None,
        busy_cores=0.9,
        package_energy_j=0.25,
        gpu=GpuReading(memory_bytes=1 << 30, busy_ratio=0.5, power_w=None, energy_j=2.5),
    )
    start = StartReading(
        execution=run.cells[0].cell.execution,
        i_start=2,
        base_memory_bytes=60 << 20,
        load_s=0.5,
        first_inference_s=0.01,
        batches=(batch,),
        lacks={"peak_memory_bytes": "nobody knows"},
    )
    figure = ProbedFigure(mean=2.0, interval=Interval(low=1.0, high=3.0), n_samples=5)
    probe = ProbeResult(
        n_threads=2,
        gflops_one_thread=figure,
        gflops_all_threads=figure,
        gb_per_s_one_core=figure,
        gb_per_s_all_cores=figure,
        turns_per_s=figure,
        lost_ratio=replace(figure, mean=0.25),
    )
    for kept in (replace(run, starts=(start,), probe=probe), run):
        write_columns(tmp_path / "bench.parquet", bench_columns(kept), metadata=bench_metadata(kept))
        back = bench_from_columns(*read_columns(tmp_path / "bench.parquet"))
        assert (back.starts, back.probe) == (kept.starts, kept.probe)


def test_there_is_one_row_per_call(run: BenchRun) -> None:
    frame = to_frame(run)
    assert len(frame) == 4 * (3 + 4 + 5)
    assert set(frame["variant"]) == {"fp32", "int8"}
    assert frame.groupby(["variant", "batch_size", "i_round"]).size().tolist() == [3, 4, 5] * 4


@pytest.mark.parametrize(
    ("column", "key", "said"),
    [
        ("service_time_s", None, "no column 'service_time_s'"),
        (None, "schema", "its schema is None"),
        (None, "machine", "doesn't say its machine"),
        (None, "starts", "doesn't say its starts"),
    ],
    ids=["a column is missing", "no schema", "no machine", "no starts"],
)
def test_columns_that_are_no_sweep_are_refused(run: BenchRun, column: str | None, key: str | None, said: str) -> None:
    columns = {name: values for name, values in bench_columns(run).items() if name != column}
    metadata = {name: text for name, text in bench_metadata(run).items() if name != key}
    with pytest.raises(InputError) as caught:
        bench_from_columns(columns, metadata)
    assert said in caught.value.what


def test_another_version_of_the_schema_is_refused(run: BenchRun) -> None:
    with pytest.raises(InputError, match=r"'loadplan\.bench/0'"):
        bench_from_columns(bench_columns(run), {**bench_metadata(run), "schema": "loadplan.bench/0"})


def test_a_sweep_without_a_row_is_refused(run: BenchRun) -> None:
    columns = {name: values[:0] for name, values in bench_columns(run).items()}
    with pytest.raises(InputError, match="0 rows"):
        bench_from_columns(columns, bench_metadata(run))
