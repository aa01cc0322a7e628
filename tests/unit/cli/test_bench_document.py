"""Starts and probe as `loadplan bench --json` and its screen tell them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.resources import GPU, PACKAGE, BatchReading, GpuReading, StartReading
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.cli.documents import bench_document
from loadplan.cli.summary import bench_lines
from loadplan.execution import ExecutionConfig
from loadplan.machine import read_machine
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval

FIGURES_OF_A_GPU = ("gpu_memory_bytes", "gpu_busy_ratio", "gpu_power_w", "gpu_energy_j")


def start(i: int, *, load_s: float, gpu: GpuReading | None = None) -> StartReading:
    batch = BatchReading(batch_size=4, peak_memory_bytes=12_300_000, busy_cores=3.0, package_energy_j=None, gpu=gpu)
    return StartReading(
        execution=ExecutionConfig(variant="fp32"),
        i_start=i,
        base_memory_bytes=60_000_000,
        load_s=load_s,
        first_inference_s=0.001,
        batches=(batch,),
        lacks={PACKAGE: "only root may", **({GPU: "it ran on no GPU"} if gpu is None else {})},
    )


@pytest.fixture
def run() -> BenchRun:
    rounds = tuple(
        CellRound(
            cell=BenchCell(execution=ExecutionConfig(variant="fp32"), batch_size=4),
            i_round=i,
            service_times_s=np.full(3, 1e-3),
            lost_ratio=0.0,
            dropped_ratio=0.0,
        )
        for i in range(3)
    )
    return BenchRun(
        machine=replace(read_machine(), n_usable_cores=4),
        rounds=rounds,
        cells=tuple(summarise_cell(visits) for visits in by_cell(rounds).values()),
        caveats=(),
        starts=(start(0, load_s=0.5), start(1, load_s=0.2), start(2, load_s=0.3)),
    )


def test_each_figure_has_its_spread_and_what_is_null_its_reason(run: BenchRun) -> None:
    document = json.loads(json.dumps(bench_document(run)))
    (column,) = document["resources"]
    assert (column["variant"], column["provider"], column["n_threads"], column["n_sessions"]) == ("fp32", "CPU", 1, 1)
    assert column["load_s"] == {"median": 0.3, "least": 0.2, "most": 0.5, "n_samples": 3}
    assert column["base_memory_bytes"]["median"] == 60_000_000
    (batch,) = column["batches"]
    assert batch["batch_size"] == 4
    assert batch["peak_memory_bytes"]["most"] == 12_300_000
    assert (batch["busy_cores"]["median"], batch["cpu_utilisation_ratio"]) == (3.0, 0.75)
    assert (batch["package_energy_j"], batch["package_energy_j_reason"]) == (None, "only root may")
    for name in FIGURES_OF_A_GPU:
        assert (batch[name], batch[f"{name}_reason"]) == (None, "it ran on no GPU")
    assert document["probe"] is None
    assert document["probe_reason"]


def test_a_gpu_that_tells_has_figures_and_no_reasons(run: BenchRun) -> None:
    told = GpuReading(memory_bytes=7, busy_ratio=0.5, power_w=100.0, energy_j=0.25)
    document = json.loads(json.dumps(bench_document(replace(run, starts=(start(0, load_s=1.0, gpu=told),)))))
    (batch,) = document["resources"][0]["batches"]
    assert [batch[name]["median"] for name in FIGURES_OF_A_GPU] == [7.0, 0.5, 100.0, 0.25]
    assert not any(f"{name}_reason" in batch for name in FIGURES_OF_A_GPU)


def test_the_probe_stands_in_the_document_and_on_the_screen(run: BenchRun) -> None:
    def figure(mean: float) -> ProbedFigure:
        return ProbedFigure(mean=mean, interval=Interval(low=mean - 0.5, high=mean + 0.5), n_samples=10)

    probe = ProbeResult(
        n_threads=4,
        gflops_one_thread=figure(80.0),
        gflops_all_threads=figure(300.0),
        gb_per_s_one_core=figure(10.0),
        gb_per_s_all_cores=figure(25.0),
        turns_per_s=figure(9000.0),
        lost_ratio=figure(0.5),
    )
    probed = replace(run, probe=probe)
    document = json.loads(json.dumps(bench_document(probed)))
    assert "probe_reason" not in document
    assert document["probe"]["n_threads"] == 4
    assert document["probe"]["gflops_all_threads"] == {
        "mean": 300.0,
        "mean_low": 299.5,
        "mean_high": 300.5,
        "n_samples": 10,
    }
    assert set(document["probe"]) == {
        *("n_threads", "gflops_one_thread", "gflops_all_threads", "gb_per_s_one_core", "gb_per_s_all_cores"),
        *("turns_per_s", "lost_ratio"),
    }
    (line,) = [line for line in bench_lines(probed) if line.startswith("attains")]
    assert line.endswith("80 GFLOP/s and 10 GB/s on one core, 300 and 25 on 4")


def test_the_screen_says_how_the_best_column_starts(run: BenchRun) -> None:
    (line,) = [line for line in bench_lines(run) if line.startswith("starts")]
    assert "fp32 with 1 thread opens in 300 ms and first answers in 1 ms; at 4 rows it holds 12.3 MB" in line
    assert line.endswith("(middle of 3 starts)")
    assert not any(line.startswith(("starts", "attains")) for line in bench_lines(replace(run, starts=())))
