"""Starts every measured column a few times, each in a process of its own, for what `resources` tells.

Columns take turns, as cells do in the sweep. Every column is started once whatever it takes, and again while that fits
into the time given. A start that fails, crashes or hangs costs its column these figures, and is a caveat.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadplan.bench.doubts import column_name
from loadplan.bench.handoff import StartAnswer, StartJob
from loadplan.bench.records import BenchRun
from loadplan.bench.resources import StartReading, told_batch_sizes
from loadplan.caveat import Caveat
from loadplan.child_process import how_it_ended
from loadplan.execution import ExecutionConfig
from loadplan.scenario.payload_file import save_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.scratch import scratch_folder
from loadplan.store import codec

_STARTS_WANTED = 3

Columns = Mapping[ExecutionConfig, Sequence[int]]  # batch sizes
StartColumn = Callable[[ExecutionConfig, int], StartAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """All starts that came to something, and what did not."""

    readings: tuple[StartReading, ...]
    caveats: tuple[Caveat, ...]


def measured_columns(run: BenchRun) -> Columns:
    """The columns of a finished sweep, each with the batch sizes at which its resources are read."""
    sizes: dict[ExecutionConfig, list[int]] = {}
    for cell in run.cells:
        sizes.setdefault(cell.cell.execution, []).append(cell.cell.batch_size)
    return {execution: told_batch_sizes(own) for execution, own in sizes.items()}


@contextmanager
def started_processes(
    columns: Columns, *, models: Mapping[str, Path], payloads: PayloadSet, limit_s: float
) -> Iterator[StartColumn]:
    """What starts a column in a child process; a crash and a hang are answers too.

    Args:
        columns: what may be started.
        models: ONNX files by variant.
        payloads: real rows.
        limit_s: after this many seconds a start counts as hung.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        save_payloads(folder / "payloads.npz", payloads)

        def start(execution: ExecutionConfig, i_start: int) -> StartAnswer:
            job = StartJob(
                model=str(models[execution.variant]),
                payloads=str(folder / "payloads.npz"),
                execution=execution,
                i_start=i_start,
                batch_sizes=tuple(columns[execution]),
            )
            return _ask(job, limit_s=limit_s)

        yield start


def measure_starts(
    columns: Columns,
    start_column: StartColumn,
    *,
    budget_s: float,
    done: Sequence[StartReading] = (),
    on_record: Callable[[StartReading], None] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
    now_s: Callable[[], float] = time.monotonic,
) -> Starts:
    """Start every column once, then again up to three times while the time lasts.

    Args:
        columns: what to start.
        start_column: starts one for the given time.
        budget_s: seconds after which no column is started again.
        done: starts of an earlier walk that was cut short.
        on_record: hears of each start as it is made.
        on_progress: hears the share that is done, 0 to 1, and what is going on.
        now_s: a clock.
    """
    readings = {(start.execution, start.i_start): start for start in done if start.execution in columns}
    failures: dict[ExecutionConfig, str] = {}
    begin_s = now_s()
    for n_begun, (i_start, execution) in enumerate((i, each) for i in range(_STARTS_WANTED) for each in columns):
        is_over = i_start > 0 and now_s() - begin_s >= budget_s
        if is_over or (execution, i_start) in readings or execution in failures:
            continue
        if on_progress is not None:
            on_progress(n_begun / (_STARTS_WANTED * len(columns)), f"how {column_name(execution)} starts")
        answer = start_column(execution, i_start)
        if answer.reading is None:
            failures[execution] = answer.failure or "no reason given"
            continue
        readings[execution, i_start] = answer.reading
        if on_record is not None:
            on_record(answer.reading)
    return Starts(readings=tuple(readings[key] for key in sorted(readings)), caveats=_caveats(failures))


def _ask(job: StartJob, *, limit_s: float) -> StartAnswer:
    command = [sys.executable, "-m", "loadplan.bench.start_process"]
    try:
        child = subprocess.run(
            command,
            input=codec.dumps(job),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            start_new_session=True,  # Ctrl-C reaches this process alone, whose end is the child's
        )
    except subprocess.TimeoutExpired:
        return StartAnswer(failure=f"no answer within {limit_s:g} s")
    if child.returncode != 0:
        said = child.stderr.strip().splitlines()[-1:]
        return StartAnswer(
            failure=f"its process ended {how_it_ended(child.returncode)}{''.join(f': {line[:200]}' for line in said)}"
        )
    return codec.loads(child.stdout, StartAnswer, where="the process of a start")


def _caveats(failures: Mapping[ExecutionConfig, str]) -> tuple[Caveat, ...]:
    return tuple(
        Caveat(
            code="bench.resources",
            what=f"memory and start-up of {column_name(execution)} are not known: {reason}",
            fix="look at the reason, and run the benchmark again with --fresh",
        )
        for execution, reason in failures.items()
    )
