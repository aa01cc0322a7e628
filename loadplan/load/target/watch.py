"""Watches the server while it is driven: processor, memory, GPU, what waits in it and how it batches.

A thread of the driver looks once a second, never on the generator's core. A reading of the server's own page costs it
about as much as a request does, so once a second is rare enough not to show in its answers.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from loadplan.gpu import GpuUse, watched_gpus
from loadplan.load.records import ServerWatch, WatchedSeries
from loadplan.load.target.metrics_page import MetricsPage, read_metrics_page
from loadplan.load.target.processes import TargetProcesses, Usage, target_processes, usage

_EVERY_S = 1.0
_LEAST_S = 0.05  # a shorter stretch says little of a processor whose time is counted in steps of 10 ms
_ENDED = "the server's processes ended"
_NO_GPU = "no NVIDIA GPU that tells it runs the server"

SERIES = ("cores_busy", "rss_bytes", "gpu_busy_ratio", "gpu_memory_bytes", "waiting", "rows_per_batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at the server. `at_s` is CLOCK_MONOTONIC."""

    at_s: float
    usage: Usage | None
    gpu: GpuUse | None
    page: MetricsPage


class Watcher:
    """Collects looks between `begin` and the end of the block that made it."""

    def __init__(
        self, target: TargetProcesses, *, metrics_url: str, duration_s: float, away_from: Sequence[int]
    ) -> None:
        self._target = target
        self._duration_s = duration_s
        self._metrics_url = metrics_url
        self._away_from = frozenset(away_from)
        # The first page is read before any load: a server without one is not asked again.
        self._first_page = read_metrics_page(metrics_url)
        self._looks: list[_Look] = []
        self._began_s: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loadplan-watch", daemon=True)

    def begin(self) -> None:
        """The schedule starts now."""
        if self._began_s is None:
            self._began_s = time.monotonic()
            self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def result(self) -> ServerWatch | None:
        """What was seen; None where the run never began."""
        if self._began_s is None:
            return None
        at_s = np.array([look.at_s for look in self._looks[1:]]) - self._began_s
        return ServerWatch(processes=self._target.names, at_s=at_s, series=tuple(self._series(n) for n in SERIES))

    def _run(self) -> None:
        cores = os.sched_getaffinity(0) - self._away_from
        if cores:
            os.sched_setaffinity(0, cores)  # of this thread alone
        with watched_gpus({process.pid for process in self._target.processes}) as ask_gpus:
            ends_s = time.monotonic() + self._duration_s
            while True:
                self._looks.append(
                    _Look(
                        at_s=time.monotonic(),
                        usage=usage(self._target),
                        gpu=ask_gpus(),
                        page=self._first_page if self._first_page.absent_reason else self._page(),
                    )
                )
                left_s = ends_s - time.monotonic()
                # The last look is at the end of the schedule: what the server does afterwards is no load.
                if left_s < _LEAST_S or self._ended.wait(min(_EVERY_S, left_s)):
                    return

    def _page(self) -> MetricsPage:
        return read_metrics_page(self._metrics_url)

    def _series(self, name: str) -> WatchedSeries:
        values = np.array([_figure(name, a, b) for a, b in zip(self._looks, self._looks[1:], strict=False)])
        if np.isfinite(values).any():
            return WatchedSeries(name=name, values=values, absent_reason=None)
        return WatchedSeries(name=name, values=None, absent_reason=self._why_absent(name))

    def _why_absent(self, name: str) -> str:
        if len(self._looks) < 2:
            return "the run was over before the second look"
        if name in ("cores_busy", "rss_bytes"):
            return self._target.absent_reason or _ENDED
        if name.startswith("gpu_"):
            return self._target.absent_reason or _NO_GPU
        if self._first_page.absent_reason:
            return self._first_page.absent_reason
        if name == "rows_per_batch" and self._first_page.n_batches is not None:
            return "no batch was made"
        return "the server's metrics have no such figure that loadplan knows"


def _figure(name: str, before: _Look, now: _Look) -> float:
    """One figure of the stretch between two looks; NaN where there is none."""
    value: float | None = None
    if name == "cores_busy" and before.usage and now.usage:
        value = (now.usage.cpu_s - before.usage.cpu_s) / (now.at_s - before.at_s)
    elif name == "rss_bytes" and now.usage:
        value = now.usage.rss_bytes
    elif name == "gpu_busy_ratio" and now.gpu:
        value = now.gpu.busy_ratio
    elif name == "gpu_memory_bytes" and now.gpu:
        value = now.gpu.memory_bytes
    elif name == "waiting":
        value = now.page.waiting
    elif name == "rows_per_batch":
        value = _rows_per_batch(before.page, now.page)
    return float("nan") if value is None else float(value)


def _rows_per_batch(before: MetricsPage, now: MetricsPage) -> float | None:
    if before.n_batches is None or now.n_batches is None or now.n_batches <= before.n_batches:
        return None
    assert now.n_batched_rows is not None  # noqa: S101 -- the two are read together
    assert before.n_batched_rows is not None  # noqa: S101
    return (now.n_batched_rows - before.n_batched_rows) / (now.n_batches - before.n_batches)


@contextmanager
def watching(
    address: tuple[str, int], *, metrics_url: str, duration_s: float, away_from: Sequence[int] = ()
) -> Iterator[Watcher]:
    """Watch the server at this numeric address for so long from `begin()`, at most to the end of the block.

    `away_from`: cores that the watching must not disturb.
    """
    watcher = Watcher(target_processes(address), metrics_url=metrics_url, duration_s=duration_s, away_from=away_from)
    try:
        yield watcher
    finally:
        watcher.end()
