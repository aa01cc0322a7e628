"""What a server process of each execution holds."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.bench.resources import BatchReading, StartReading
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.memory import with_server_memory
from loadplan.fit.service_time import fit_service_times
from loadplan.load.records import LoadRun, LoadSpec, ServerWatch, WatchedSeries

FP32, INT8 = ExecutionConfig(variant="fp32"), ExecutionConfig(variant="int8_dynamic")


def start(execution: ExecutionConfig, base_bytes: int, *peaks: int | None) -> StartReading:
    return StartReading(
        execution=execution,
        i_start=0,
        base_memory_bytes=base_bytes,
        load_s=0.1,
        first_inference_s=0.1,
        batches=tuple(
            BatchReading(batch_size=i + 1, peak_memory_bytes=peak, busy_cores=1.0, package_energy_j=None, gpu=None)
            for i, peak in enumerate(peaks)
        ),
    )


@pytest.fixture
def driven(make_run: Callable[..., LoadRun], make_spec: Callable[..., LoadSpec]) -> Callable[..., LoadRun]:
    """A live run whose server was seen holding so much, sample by sample."""

    def make(execution: ExecutionConfig, *rss_bytes: float) -> LoadRun:
        spec = make_spec(setting=Setting(execution=execution, serving=ServingConfig()))
        series = WatchedSeries(name="rss_bytes", values=np.array(rss_bytes), absent_reason=None)
        watch = ServerWatch(processes="server", at_s=np.arange(float(len(rss_bytes))), series=(series,))
        return replace(make_run(spec, np.arange(9.0), np.arange(9.0) + 0.1), server=watch)

    return make


def bytes_of(bench: BenchRun, starts: list[StartReading], runs: list[LoadRun]) -> list[int | None]:
    return [law.server_bytes for law in with_server_memory(fit_service_times(bench), starts, runs)]


def test_what_was_driven_holds_what_was_seen_and_others_as_much_more_as_the_server_did(
    make_bench: Callable[..., BenchRun], driven: Callable[..., LoadRun]
) -> None:
    bench = make_bench({1: 1.0}, executions=(FP32, INT8))
    starts = [start(FP32, 100, 10, 50), start(FP32, 90, 20, 40), start(INT8, 100, 10, 30)]
    # A server of fp32 held 180 at its most, 30 more than the benchmark's process; int8 then holds 130 + 30.
    assert bytes_of(bench, starts, [driven(FP32, 120.0, np.nan, 180.0), driven(FP32, 170.0)]) == [180, 160]


def test_without_a_live_run_the_benchmark_stands_for_it(make_bench: Callable[..., BenchRun]) -> None:
    assert bytes_of(make_bench({1: 1.0}), [start(FP32, 100, 10, 50)], []) == [150]


def test_a_server_smaller_than_the_benchmarks_process_makes_no_other_one_smaller(
    make_bench: Callable[..., BenchRun], driven: Callable[..., LoadRun]
) -> None:
    bench = make_bench({1: 1.0}, executions=(FP32, INT8))
    starts = [start(FP32, 100, 50), start(INT8, 100, 30)]
    assert bytes_of(bench, starts, [driven(FP32, 140.0)]) == [140, 130]


def test_where_nobody_looked_nothing_is_known(
    make_bench: Callable[..., BenchRun], driven: Callable[..., LoadRun]
) -> None:
    assert bytes_of(make_bench({1: 1.0}), [start(FP32, 100, None)], [driven(FP32, np.nan)]) == [None]
