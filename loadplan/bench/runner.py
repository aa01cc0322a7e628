"""Runs a sweep: visits the cells in shuffled, interleaved rounds until every mean is known well enough.

Interleaving spreads a drift of the machine's speed evenly over the cells, so that it can't pass for a difference
between them. Each visit is handed to a callback as it is made; a sweep that was cut short goes on from those.
"""

import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, is_settled, needs_more, noise_caveats, summarise_cell
from loadplan.bench.worker import BenchJob, Visit
from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.machine import Machine
from loadplan.scenario.payload_file import save_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.store import codec

# Loading a large model and its first inference may take this long; a visit that takes longer hangs.
_VISIT_LIMIT_S = 120.0
_SHUFFLE_SEED = 20261124


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """One sweep, complete."""

    models: Mapping[str, Path]  # by variant
    payloads: PayloadSet  # real rows; never a constant
    cells: tuple[BenchCell, ...]
    budget_s: float
    machine: Machine
    caveats: tuple[Caveat, ...] = ()  # from choosing the cells


def run_bench(
    request: BenchRequest,
    *,
    done: Sequence[CellRound] = (),
    on_record: Callable[[CellRound], None] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> BenchRun:
    """Measure every cell at least twice, then whichever isn't settled, until the budget is spent.

    Args:
        request: the cells and what they run on.
        done: visits of an earlier, unfinished sweep.
        on_record: hears of each visit as it is made.
        on_progress: hears the share that is done, 0 to 1, and what is going on.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed.
        InvalidMeasurement: when no cell could be measured at all.
    """
    sweep = _Sweep(request, done)
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="loadplan-bench-") as folder:
        payloads = Path(folder) / "payloads.npz"
        save_payloads(payloads, request.payloads)
        worker = _Worker(request, payloads)
        try:
            while wanted := sweep.next_round(spent_s=time.monotonic() - begin_s):
                for cell in wanted:
                    visit = worker.visit(cell, sweep.n_visits(cell))
                    sweep.take(cell, visit)
                    if visit.times is not None and on_record is not None:
                        on_record(visit.times)
                    if on_progress is not None:
                        on_progress(*sweep.progress(time.monotonic() - begin_s))
        finally:
            worker.stop()
    return sweep.finished()


class _Sweep:
    """What has been visited, what failed, and what is visited next."""

    def __init__(self, request: BenchRequest, done: Sequence[CellRound]) -> None:
        self._request = request
        self._rounds = {cell: list(visits) for cell, visits in by_cell(done).items() if cell in set(request.cells)}
        self._failures: dict[BenchCell, str] = {}
        self._order = random.Random(_SHUFFLE_SEED)  # noqa: S311 -- an order, not a secret

    def n_visits(self, cell: BenchCell) -> int:
        return len(self._rounds.get(cell, ()))

    def next_round(self, *, spent_s: float) -> list[BenchCell]:
        """The cells of the next round in random order; none when all is settled or the budget is spent."""
        is_over = spent_s >= self._request.budget_s
        wanted = [
            cell
            for cell in self._request.cells
            if cell not in self._failures
            and (needs_more(self._rounds.get(cell, [])) if is_over else not is_settled(self._rounds.get(cell, [])))
        ]
        self._order.shuffle(wanted)
        return wanted

    def take(self, cell: BenchCell, visit: Visit) -> None:
        if visit.times is not None:
            self._rounds.setdefault(cell, []).append(visit.times)
            return
        self._failures[cell] = visit.failure or "no reason given"
        # Larger batches of the same column would fail the same way, at the price of another crash.
        for larger in self._request.cells:
            if larger.execution == cell.execution and larger.batch_size > cell.batch_size:
                self._failures.setdefault(larger, f"not tried: batch size {cell.batch_size} failed already")

    def progress(self, spent_s: float) -> tuple[float, str]:
        n_settled = sum(is_settled(self._rounds.get(cell, [])) for cell in self._request.cells)
        n_cells = len(self._request.cells)
        done_ratio = max(n_settled / n_cells, min(spent_s / self._request.budget_s, 0.99))
        return min(done_ratio, 1.0), f"{n_settled} of {n_cells} cells known to ±2 %"

    def finished(self) -> BenchRun:
        measured = [cell for cell in self._request.cells if cell in self._rounds and cell not in self._failures]
        if not measured:
            reasons = "; ".join(sorted(set(self._failures.values())))
            raise InvalidMeasurement(
                what=f"no cell of the benchmark could be measured: {reasons}",
                where="bench",
                fix="look at the reason; a model that fails on every batch size can't be planned",
            )
        cells = tuple(summarise_cell(self._rounds[cell]) for cell in measured)
        return BenchRun(
            machine=self._request.machine,
            rounds=tuple(visit for cell in measured for visit in self._rounds[cell]),
            cells=cells,
            caveats=(*self._request.caveats, *self._failure_caveats(), *noise_caveats(cells)),
        )

    def _failure_caveats(self) -> tuple[Caveat, ...]:
        return tuple(
            Caveat(
                code="bench.cell_failed",
                what=f"{cell.execution.variant} with {cell.execution.n_threads} threads at batch size "
                f"{cell.batch_size} was not measured: {reason}",
                fix="leave the batch size out of bench.batch_sizes, or mend the model",
                number=float(cell.batch_size),
            )
            for cell, reason in sorted(self._failures.items())
        )


class _Worker:
    """The timing process, started anew when it crashed."""

    def __init__(self, request: BenchRequest, payloads: Path) -> None:
        self._cells = {cell: i for i, cell in enumerate(request.cells)}
        self._job = codec.dumps(
            BenchJob(
                models={variant: str(path) for variant, path in request.models.items()},
                payloads=str(payloads),
                cells=request.cells,
            )
        )
        self._process: subprocess.Popen[str] | None = None

    def visit(self, cell: BenchCell, i_round: int) -> Visit:
        process = self._running()
        assert process.stdin is not None  # noqa: S101 -- both pipes were asked for
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(f"{self._cells[cell]} {i_round}\n")
            process.stdin.flush()
            readable, _, _ = select.select([process.stdout], [], [], _VISIT_LIMIT_S)
            line = process.stdout.readline() if readable else ""
        except BrokenPipeError:
            readable, line = [process.stdout], ""
        if line.endswith("\n"):
            return codec.loads(line, Visit, where="the benchmark worker")
        return Visit(times=None, failure=self._ended(process) if readable else self._hung())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loadplan.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C reaches the runner alone, which then ends the worker
            )
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(self._job + "\n")
        return self._process

    def _ended(self, process: "subprocess.Popen[str]") -> str:
        code = process.wait()
        self.stop()
        return f"the runtime crashed with signal {-code}" if code < 0 else f"the worker ended with exit code {code}"

    def _hung(self) -> str:
        self.stop()
        return f"no answer within {_VISIT_LIMIT_S:.0f} s"
