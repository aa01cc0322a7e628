"""How long a process takes to serve, from the benchmark's starts."""

from collections.abc import Callable
from dataclasses import replace

from loadplan.bench.records import BenchRun
from loadplan.bench.resources import StartReading
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import StartTimes
from loadplan.fit.service_time import fit_service_times
from loadplan.fit.start_times import with_start_times


def test_the_middle_of_the_starts_of_each_execution_is_kept(
    make_bench: Callable[..., BenchRun], execution: ExecutionConfig
) -> None:
    other = replace(execution, n_threads=2)
    laws = fit_service_times(make_bench({1: 1e-3}, executions=(execution, other)))
    starts = [
        StartReading(
            execution=execution,
            i_start=i,
            base_memory_bytes=1,
            load_s=load_s,
            first_inference_s=load_s / 10.0,
            batches=(),
        )
        for i, load_s in enumerate((0.3, 0.2, 0.9))
    ]
    started, never_started = with_start_times(laws, starts)
    assert started.start == StartTimes(load_s=0.3, first_inference_s=0.03, n_starts=3)
    assert never_started.start is None
