"""Runs a sweep: visits the cells in shuffled, interleaved rounds until every mean is known well enough.

Interleaving spreads a drift of the machine's speed evenly over the cells, so that it can't pass for a difference
between them. Each visit is handed to a callback as it is made; a sweep that was cut short goes on from those.
Durations are seconds on the monotonic clock.
"""

import math
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadplan.bench.handoff import Visit
from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import ROUNDS_AT_LEAST, by_cell, is_settled, noise_caveats, summarise_cell
from loadplan.bench.worker_process import WorkerProcess
from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine
from loadplan.scenario.payloads import PayloadSet

_SHUFFLE_SEED = 20261124
# The two visits that each cell gets in any case may overrun the budget by this much.
_OVERRUN_ALLOWED_RATIO = 1.0
_OVERRUN_ALLOWED_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """One sweep, complete."""

    models: Mapping[str, Path]  # by variant
    payloads: PayloadSet  # real rows; never a constant
    cells: tuple[BenchCell, ...]
    budget_s: float
    machine: Machine
    caveats: tuple[Caveat, ...] = ()  # from choosing the cells
    visit_limit_s: float = 120.0  # loading a large model and its first inference may take long; beyond, it hangs


def run_bench(
    request: BenchRequest,
    *,
    done: Sequence[CellRound] = (),
    on_record: Callable[[CellRound], None] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> BenchRun:
    """Measure every cell at least twice, then whichever isn't settled, until the budget is spent.

    A cell that crashes the runtime, hangs, is rejected by the model or answers NaN is left out, with a caveat.

    Args:
        request: the cells and what they run on.
        done: visits of an earlier, unfinished sweep; the time that they took counts against the budget.
        on_record: hears of each visit as it is made.
        on_progress: hears the share that is done, 0 to 1, and what is going on.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed, or a provider that was asked for can't run here.
        InvalidMeasurement: when no cell could be measured at all, or the budget is too small for any figure.
    """
    sweep = _Sweep(request, done)
    spent_before_s = sum(float(visit.service_times_s.sum()) for visit in done)
    begin_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="loadplan-bench-") as folder,
        WorkerProcess(
            request.models,
            payloads=request.payloads,
            cells=request.cells,
            visit_limit_s=request.visit_limit_s,
            folder=Path(folder),
        ) as worker,
    ):
        while (cell := sweep.next_cell(spent_s=spent_before_s + time.monotonic() - begin_s)) is not None:
            visit = worker.visit(cell, sweep.n_visits(cell))
            sweep.take(cell, visit)
            if visit.times is not None and on_record is not None:
                on_record(visit.times)
            if on_progress is not None:
                on_progress(*sweep.progress(spent_before_s + time.monotonic() - begin_s))
    return sweep.finished()


class _Sweep:
    """What has been visited, what failed, and what is visited next."""

    def __init__(self, request: BenchRequest, done: Sequence[CellRound]) -> None:
        self._request = request
        self._rounds = {cell: list(visits) for cell, visits in by_cell(done).items() if cell in set(request.cells)}
        self._settled = {cell for cell, visits in self._rounds.items() if is_settled(visits)}
        self._failures: dict[BenchCell, str] = {}
        self._queue: list[BenchCell] = []  # what is left of this round
        self._order = random.Random(_SHUFFLE_SEED)  # noqa: S311 -- an order, not a secret

    def n_visits(self, cell: BenchCell) -> int:
        return len(self._rounds.get(cell, ()))

    def next_cell(self, *, spent_s: float) -> BenchCell | None:
        """The next of this round, which is shuffled when it begins; None when all is settled or the budget spent."""
        self._queue = self._wanted(self._queue, spent_s)
        if not self._queue:
            self._queue = self._wanted(self._request.cells, spent_s)
            self._order.shuffle(self._queue)
        if self._queue and spent_s > self._request.budget_s * (1.0 + _OVERRUN_ALLOWED_RATIO) + _OVERRUN_ALLOWED_S:
            raise self._too_small_a_budget(spent_s)
        return self._queue.pop() if self._queue else None

    def take(self, cell: BenchCell, visit: Visit) -> None:
        if visit.lack is not None:
            raise EnvironmentFault(what=visit.lack.what, where=visit.lack.where, fix=visit.lack.fix)
        if visit.times is not None:
            self._rounds.setdefault(cell, []).append(visit.times)
            if is_settled(self._rounds[cell]):
                self._settled.add(cell)
            return
        self._failures[cell] = visit.failure or "no reason given"
        if visit.process_ended:
            self._leave_out_larger(cell)

    def progress(self, spent_s: float) -> tuple[float, str]:
        n_cells = len(self._request.cells)
        budget_ratio = spent_s / self._request.budget_s if self._request.budget_s > 0 else 1.0
        done_ratio = max((len(self._settled) + len(self._failures)) / n_cells, min(budget_ratio, 0.99))
        return min(done_ratio, 1.0), f"{len(self._settled)} of {n_cells} cells known to ±2 %"

    def finished(self) -> BenchRun:
        measured = [cell for cell in self._request.cells if cell in self._rounds and cell not in self._failures]
        if not measured:
            reasons = "; ".join(sorted(set(self._failures.values()))) or "the grid is empty"
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
            caveats=(*self._request.caveats, *_failure_caveats(self._failures), *noise_caveats(cells)),
        )

    def _wanted(self, cells: Sequence[BenchCell], spent_s: float) -> list[BenchCell]:
        is_over = spent_s >= self._request.budget_s
        return [
            cell
            for cell in cells
            if cell not in self._failures
            and (self.n_visits(cell) < ROUNDS_AT_LEAST or not (is_over or cell in self._settled))
        ]

    def _leave_out_larger(self, cell: BenchCell) -> None:
        """Larger batches of the same column would end the same way, at the price of another crash."""
        for larger in self._request.cells:
            is_new = larger not in self._rounds and larger not in self._failures
            if is_new and larger.execution == cell.execution and larger.batch_size > cell.batch_size:
                self._failures[larger] = f"not tried, because batch size {cell.batch_size} ended the worker"

    def _too_small_a_budget(self, spent_s: float) -> InvalidMeasurement:
        n_visits = sum(len(visits) for visits in self._rounds.values()) + len(self._failures)
        n_cells = len(self._request.cells)
        enough_s = math.ceil(spent_s / max(n_visits, 1) * n_cells * ROUNDS_AT_LEAST)
        return InvalidMeasurement(
            what=f"the budget of {self._request.budget_s:g} s is too small for any figure: "
            f"{_counted(n_visits, 'visit')} took {spent_s:.0f} s, and {n_cells} cells need {ROUNDS_AT_LEAST} each",
            where="bench",
            fix=f"set bench.budget_s to {enough_s} or more, or measure fewer batch sizes and thread counts",
        )


def _failure_caveats(failures: Mapping[BenchCell, str]) -> tuple[Caveat, ...]:
    grouped: dict[tuple[ExecutionConfig, str], list[int]] = {}
    for cell, reason in sorted(failures.items()):
        grouped.setdefault((cell.execution, reason), []).append(cell.batch_size)
    return tuple(
        Caveat(
            code="bench.cell_failed",
            what=f"{execution.variant} with {_counted(execution.n_threads, 'thread')} was not measured at "
            f"{_counted(len(sizes), 'batch size')} ({', '.join(map(str, sizes))}): {reason}",
            fix="leave these out of bench.batch_sizes, or mend the model",
            number=float(len(sizes)),
        )
        for (execution, reason), sizes in grouped.items()
    )


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
