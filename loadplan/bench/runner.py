"""Runs a sweep: visits the cells in shuffled, interleaved rounds until every mean is known well enough.

Interleaving spreads a drift of the machine's speed evenly over the cells, so that it can't pass for a difference
between them. Each visit is handed to a callback as it is made; a sweep that was cut short goes on from those.
Columns are first compared at a few batch sizes, and those that can't win (`pruning`) get no more visits.
Durations are seconds on the monotonic clock.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadplan.bench.doubts import (
    counted,
    dropped_caveats,
    failure_caveats,
    moved_caveats,
    noise_caveats,
    pruned_caveats,
    system_caveats,
)
from loadplan.bench.handoff import Visit
from loadplan.bench.pruning import N_COLUMNS_KEPT, Beaten, Column, beaten_columns, probe_sizes, rivals
from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import ROUNDS_AT_LEAST, by_cell, is_settled, nearest_ratio, summarise_cell
from loadplan.bench.worker_process import WorkerProcess
from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine, state_caveats
from loadplan.scenario.payloads import PayloadSet
from loadplan.scratch import scratch_folder
from loadplan.stats import Interval

_SHUFFLE_SEED = 20261124
# Visits to each probed cell before columns are compared: of two the interval is many times as wide as of three.
_PROBE_ROUNDS = 3
# The two visits that each cell gets in any case may overrun the budget by this much; two processes start for them.
_OVERRUN_ALLOWED_RATIO = 1.0
_OVERRUN_ALLOWED_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """One sweep, complete."""

    models: Mapping[str, Path]  # by variant
    payloads: PayloadSet  # real rows; never a constant
    cells: tuple[BenchCell, ...]
    budget_s: float
    machine: Machine
    caveats: tuple[Caveat, ...] = ()  # from choosing the cells
    objective_s: float = math.inf  # an inference that takes longer is of no use
    exhaustive: bool = False  # no column is given up
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
    with (
        scratch_folder() as folder,
        WorkerProcess(
            request.models,
            payloads=request.payloads,
            cells=request.cells,
            visit_limit_s=request.visit_limit_s,
            folder=folder,
        ) as worker,
    ):
        return sweep(request, worker.visit, done=done, on_record=on_record, on_progress=on_progress)


def sweep(
    request: BenchRequest,
    visit_cell: Callable[[BenchCell, int], Visit],
    *,
    now_s: Callable[[], float] = time.monotonic,
    done: Sequence[CellRound] = (),
    on_record: Callable[[CellRound], None] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> BenchRun:
    """As `run_bench`, with whoever times a cell in its given round, on any clock."""
    state = _Sweep(request, done)
    begin_s = now_s() - sum(visit.took_s for visit in done)
    while (cell := state.next_cell(spent_s=now_s() - begin_s)) is not None:
        visit = visit_cell(cell, state.n_visits(cell))
        state.take(cell, visit)
        if visit.times is not None and on_record is not None:
            on_record(visit.times)
        if on_progress is not None:
            on_progress(*state.progress(now_s() - begin_s))
    return state.finished()


class _Sweep:
    """What has been visited, what failed, what was given up, and what is visited next."""

    def __init__(self, request: BenchRequest, done: Sequence[CellRound]) -> None:
        self._request = request
        self._rounds = {cell: list(visits) for cell, visits in by_cell(done).items() if cell in set(request.cells)}
        self._nearest = nearest_ratio(done)  # as far as was known when this round began
        self._settled = {cell for cell, visits in self._rounds.items() if is_settled(visits, self._nearest)}
        self._failures: dict[BenchCell, str] = {}
        self._probes = _probes(request)
        self._beaten: dict[ExecutionConfig, Beaten] = {}
        self._queue: list[BenchCell] = []  # what is left of this round
        self._order = random.Random(_SHUFFLE_SEED)  # noqa: S311 -- an order, not a secret

    def n_visits(self, cell: BenchCell) -> int:
        return len(self._rounds.get(cell, ()))

    def next_cell(self, *, spent_s: float) -> BenchCell | None:
        """The next of this round, which is shuffled when it begins; None when all is settled or the budget spent."""
        is_over = spent_s >= self._request.budget_s
        self._queue = [cell for cell in self._queue if self._is_wanted(cell, is_over=is_over)]
        if not self._queue:
            self._queue = self._next_round(is_over=is_over)
            self._order.shuffle(self._queue)
        if self._queue and spent_s > self._request.budget_s * (1.0 + _OVERRUN_ALLOWED_RATIO) + _OVERRUN_ALLOWED_S:
            raise self._too_small_a_budget(spent_s)
        return self._queue.pop() if self._queue else None

    def take(self, cell: BenchCell, visit: Visit) -> None:
        if visit.lack is not None:
            raise EnvironmentFault(what=visit.lack.what, where=visit.lack.where, fix=visit.lack.fix)
        if visit.times is not None:
            self._rounds.setdefault(cell, []).append(visit.times)
            if is_settled(self._rounds[cell], self._nearest):
                self._settled.add(cell)
            return
        self._failures[cell] = visit.failure or "no reason given"
        if visit.process_ended:
            self._leave_out_larger(cell, "ended the worker")
        elif visit.does_not_fit:
            self._leave_out_larger(cell, "does not fit into the memory")

    def progress(self, spent_s: float) -> tuple[float, str]:
        n_cells = len(self._kept_cells())
        budget_ratio = spent_s / self._request.budget_s if self._request.budget_s > 0 else 1.0
        n_settled = sum(cell.execution not in self._beaten for cell in self._settled)
        done_ratio = max((n_settled + len(self._failures)) / n_cells, min(budget_ratio, 0.99))
        return min(done_ratio, 1.0), f"{n_settled} of {n_cells} cells known to ±2 %"

    def finished(self) -> BenchRun:
        measured = [cell for cell in self._kept_cells() if cell in self._rounds and cell not in self._failures]
        rounds = tuple(visit for cell in measured for visit in self._rounds[cell])
        nearest = nearest_ratio(rounds)
        summaries = [summarise_cell(self._rounds[cell], nearest) for cell in measured]
        cells = tuple(summary for summary in summaries if summary.cell.is_of_table)
        if not cells:
            reasons = "; ".join(sorted(set(self._failures.values()))) or "the grid is empty"
            raise InvalidMeasurement(
                what=f"no cell of the benchmark could be measured: {reasons}",
                where="bench",
                fix="look at the reason; a model that fails on every batch size can't be planned",
            )
        return BenchRun(
            machine=self._request.machine,
            rounds=rounds,
            cells=cells,
            cold=tuple(summary for summary in summaries if summary.cell.idle_gap_s),
            by_length=tuple(summary for summary in summaries if summary.cell.length),
            caveats=(
                *self._request.caveats,
                *state_caveats(self._request.machine),
                *failure_caveats(self._failures),
                *pruned_caveats(tuple(self._beaten.values())),
                *noise_caveats(cells),
                *dropped_caveats(rounds),
                *moved_caveats(rounds),
                *system_caveats(rounds),
            ),
        )

    def _next_round(self, *, is_over: bool) -> list[BenchCell]:
        """The probes until they are known; then, of the columns that may still win, whatever is wanted."""
        self._look_again()
        unknown = [cell for cell in self._probes if self._is_wanted(cell, is_over=is_over)]
        unknown = [cell for cell in unknown if self.n_visits(cell) < _PROBE_ROUNDS]
        if unknown:
            return unknown
        if self._probes:
            self._give_up_beaten()
        return [cell for cell in self._request.cells if self._is_wanted(cell, is_over=is_over)]

    def _look_again(self) -> None:
        """Where the cores were found closer than before, a cell that was settled may no longer be."""
        nearest = nearest_ratio(visit for visits in self._rounds.values() for visit in visits)
        if nearest != self._nearest:
            self._nearest = nearest
            self._settled = {cell for cell, visits in self._rounds.items() if is_settled(visits, nearest)}

    def _is_wanted(self, cell: BenchCell, *, is_over: bool) -> bool:
        if cell in self._failures or cell.execution in self._beaten:
            return False
        return self.n_visits(cell) < ROUNDS_AT_LEAST or not (is_over or cell in self._settled)

    def _give_up_beaten(self) -> None:
        columns: dict[ExecutionConfig, dict[int, Interval]] = {}
        for cell in self._kept_cells():
            visits = self._rounds.get(cell, ())
            if len(visits) >= ROUNDS_AT_LEAST and cell.is_of_table and cell not in self._failures:
                summary = summarise_cell(visits, self._nearest)
                interval = Interval(low=summary.mean_s_low, high=summary.mean_s_high)
                columns.setdefault(cell.execution, {})[cell.batch_size] = interval
        needed = {cell.execution for cell in self._request.cells if not cell.is_of_table}
        known: Mapping[ExecutionConfig, Column] = columns
        found = beaten_columns(known, objective_s=self._request.objective_s, keep=needed)
        self._beaten |= {each.execution: each for each in found}

    def _kept_cells(self) -> list[BenchCell]:
        return [cell for cell in self._request.cells if cell.execution not in self._beaten]

    def _leave_out_larger(self, cell: BenchCell, why: str) -> None:
        """Larger batches of the same column would end the same way, at the price of another crash."""
        for larger in self._request.cells:
            is_new = larger not in self._rounds and larger not in self._failures
            if is_new and larger.execution == cell.execution and larger.batch_size > cell.batch_size:
                self._failures[larger] = f"not tried, because batch size {cell.batch_size} {why}"

    def _too_small_a_budget(self, spent_s: float) -> InvalidMeasurement:
        n_visits = sum(len(visits) for visits in self._rounds.values()) + len(self._failures)
        n_cells = len(self._kept_cells())
        enough_s = math.ceil(spent_s / max(n_visits, 1) * n_cells * ROUNDS_AT_LEAST)
        return InvalidMeasurement(
            what=f"the budget of {self._request.budget_s:g} s is too small for any figure: "
            f"{counted(n_visits, 'visit')} took {spent_s:.0f} s, and {n_cells} cells need {ROUNDS_AT_LEAST} each",
            where="bench",
            fix=f"set bench.budget_s to {enough_s} or more, or measure fewer batch sizes and thread counts",
        )


def _probes(request: BenchRequest) -> tuple[BenchCell, ...]:
    """The cells at which columns are compared; none where all are to be measured, or there is nothing to give up."""
    if request.exhaustive:
        return ()
    loops = [cell for cell in request.cells if cell.is_of_table]
    groups = rivals(dict.fromkeys(cell.execution for cell in loops))
    compared = {execution for group in groups if len(group) > N_COLUMNS_KEPT for execution in group}
    sizes = probe_sizes([cell.batch_size for cell in loops])
    return tuple(cell for cell in loops if cell.execution in compared and cell.batch_size in sizes)
