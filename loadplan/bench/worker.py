"""Process entry: times inferences in a process of its own, so that a crash of the runtime is a result, not an end.

Reads one `BenchJob` line, then one cell number per line; answers each with one `Visit` line. The runner decides which
cell is visited when; this process only times. It ends when its parent does.
"""

import ctypes
import gc
import itertools
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, CellRound
from loadplan.errors import LoadplanError
from loadplan.execution import ExecutionConfig
from loadplan.inference import Session, Tensors, open_session, run
from loadplan.noise import lost_ratio, robbed_calls
from loadplan.scenario.payload_file import load_payloads
from loadplan.store import codec

_VISIT_S = 0.02
_CALLS_LEAST = 5
_CALLS_MOST = 250
# Several different inputs in turn: a constant one would flatter caches and branch predictors.
_N_FEEDS = 8
_WARM_UP_S = 0.01
_WARM_UP_CALLS_LEAST = 3
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchJob:
    """What the worker may be asked for."""

    models: dict[str, str]  # variant -> path of its ONNX file
    payloads: str  # path of the payload file
    cells: tuple[BenchCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The answer to one visit: the times, or why there are none."""

    times: CellRound | None
    failure: str | None


def main() -> None:
    """Serve visits until standard input ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to handle
    lines = iter(sys.stdin.readline, "")
    job = codec.loads(next(lines), BenchJob, where="the benchmark job")
    bench = _Bench(job)
    gc.disable()
    for line in lines:
        i_cell, i_round = (int(number) for number in line.split())
        sys.stdout.write(codec.dumps(bench.visit(job.cells[i_cell], i_round)) + "\n")
        sys.stdout.flush()


class _Bench:
    """Open sessions and prepared inputs, kept between visits."""

    def __init__(self, job: BenchJob) -> None:
        self._models = {variant: Path(path) for variant, path in job.models.items()}
        self._rows = load_payloads(Path(job.payloads)).inputs
        self._sessions: dict[ExecutionConfig, Session] = {}
        self._feeds: dict[int, tuple[Tensors, ...]] = {}
        self._warm: set[BenchCell] = set()

    def visit(self, cell: BenchCell, i_round: int) -> Visit:
        """Time one cell for about 20 ms."""
        try:
            session = self._session(cell.execution)
            feeds = self._feeds_of(cell.batch_size)
            if cell not in self._warm:
                _warm_up(session, feeds)
                self._warm.add(cell)
            durations_s = _time_calls(session, feeds)
        except LoadplanError as error:
            return Visit(times=None, failure=error.what)
        except Exception as error:  # whatever the runtime raises belongs to this cell alone
            return Visit(times=None, failure=f"{type(error).__name__}: {str(error)[:300]}")
        robbed = robbed_calls(durations_s)
        times = CellRound(
            cell=cell,
            i_round=i_round,
            service_times_s=durations_s[~robbed],
            lost_ratio=lost_ratio(durations_s),
            dropped_ratio=float(robbed.mean()),
        )
        return Visit(times=times, failure=None)

    def _session(self, execution: ExecutionConfig) -> Session:
        if execution not in self._sessions:
            self._sessions[execution] = open_session(self._models[execution.variant], execution)
        return self._sessions[execution]

    def _feeds_of(self, batch_size: int) -> tuple[Tensors, ...]:
        if batch_size not in self._feeds:
            n_rows = len(next(iter(self._rows.values())))
            starts = np.linspace(0, n_rows, _N_FEEDS, endpoint=False).astype(np.intp)
            rows = [(start + np.arange(batch_size)) % n_rows for start in starts]
            self._feeds[batch_size] = tuple(
                {name: np.ascontiguousarray(values[index]) for name, values in self._rows.items()} for index in rows
            )
        return self._feeds[batch_size]


def _warm_up(session: Session, feeds: tuple[Tensors, ...]) -> None:
    """First calls allocate and tune; they also show whether the answers are numbers at all."""
    begin_s, i = time.perf_counter(), 0
    while i < _WARM_UP_CALLS_LEAST or time.perf_counter() - begin_s < _WARM_UP_S:
        outputs = run(session, feeds[i % len(feeds)])
        i += 1
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"the output {name!r} holds NaN or infinity")


def _time_calls(session: Session, feeds: tuple[Tensors, ...]) -> NDArray[np.float64]:
    """Single calls one after the other; one call's end is the next one's begin, so the clock is read once a call."""
    infer, names = session.handle.run, [spec.name for spec in session.outputs]
    clock_ns = time.perf_counter_ns
    stamps_ns = [clock_ns()]
    end_ns = stamps_ns[0] + int(_VISIT_S * 1e9)
    for feed in itertools.islice(itertools.cycle(feeds), _CALLS_MOST):
        infer(names, feed)
        stamps_ns.append(clock_ns())
        if stamps_ns[-1] > end_ns and len(stamps_ns) > _CALLS_LEAST:
            break
    # From the first stamp: a float holds nanoseconds exactly over months, not over the age of the machine's clock.
    stamps_s = np.array([stamp - stamps_ns[0] for stamp in stamps_ns], dtype=np.float64) * 1e-9
    return stamps_s[1:] - stamps_s[:-1]


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the runner is gone
        os._exit(0)
