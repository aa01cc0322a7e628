"""How much memory one server process of each execution takes, so that no more are planned on a machine than it holds.

What the live server held while it was driven is the figure; of executions that were benchmarked and not driven, what
the benchmark's own process held, and as much more as the driven server held beyond the benchmark's process of the same
execution: another program around the same session. Bytes, resident.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from loadplan.bench.resources import StartReading
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import ServiceTimeFit
from loadplan.load.records import LoadRun

_SERIES = "rss_bytes"


def with_server_memory(
    laws: Sequence[ServiceTimeFit], starts: Iterable[StartReading], runs: Iterable[LoadRun]
) -> tuple[ServiceTimeFit, ...]:
    """The laws with the memory of a server of each; None where nobody looked."""
    benched, driven = _benched_bytes(starts), _driven_bytes(runs)
    beside = [n_bytes - benched[execution] for execution, n_bytes in driven.items() if execution in benched]
    server_bytes = max([0, *beside])

    def of(execution: ExecutionConfig) -> int | None:
        if execution in driven:
            return driven[execution]
        return benched[execution] + server_bytes if execution in benched else None

    return tuple(replace(law, server_bytes=of(law.execution)) for law in laws)


def _benched_bytes(starts: Iterable[StartReading]) -> dict[ExecutionConfig, int]:
    """The most that a process of the benchmark held, by execution; those that can't tell their peak are left out."""
    most: dict[ExecutionConfig, int] = {}
    for start in starts:
        peaks = [batch.peak_memory_bytes for batch in start.batches if batch.peak_memory_bytes is not None]
        if peaks:
            held = start.base_memory_bytes + max(peaks)
            most[start.execution] = max(held, most.get(start.execution, 0))
    return most


def _driven_bytes(runs: Iterable[LoadRun]) -> dict[ExecutionConfig, int]:
    """The most that a server held in any live run, by execution."""
    most: dict[ExecutionConfig, int] = {}
    for run in runs:
        series = () if run.server is None else run.server.series
        values = next((one.values for one in series if one.name == _SERIES and one.values is not None), None)
        if run.spec.setting is not None and values is not None and np.isfinite(values).any():
            execution = run.spec.setting.execution
            most[execution] = max(int(np.nanmax(values)), most.get(execution, 0))
    return most
