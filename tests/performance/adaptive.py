"""What giving columns up saves, and whether it costs the winner: `python -m tests.performance.adaptive`.

On 100 made-up surfaces, in virtual time: 12 columns (4 variants, 1, 2 and 4 threads) by the default batch sizes, with
steps, threads that don't pay in full, an objective that often cuts the large batches off, noise of the calls and of the
visits, and a mood of the machine that outlasts several visits. Each is swept with and without giving up; both sweeps
stop when every cell is settled. Prints; `tests/unit/bench/test_pruning.py` asserts the same figures.
"""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from loadplan.bench.handoff import Visit
from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.runner import BenchRequest, sweep
from loadplan.execution import ExecutionConfig
from loadplan.machine import read_machine
from loadplan.scenario.payloads import PayloadSet

N_SURFACES = 100
_SIZES = (*range(1, 8), *range(8, 16, 2), *range(16, 33, 4))
_THREADS = (1, 2, 4)
_N_VARIANTS = 4
_N_CALLS, _VISIT_S = 20, 0.025
# Scatter of single calls, of visits among each other, and of the mood with the share of it that the next visit keeps.
_CALLS, _VISITS, _MOOD, _MOOD_KEPT = 0.04, 0.01, 0.005, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """True times by cell, and the objective."""

    times_s: dict[BenchCell, float]
    objective_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Two sweeps of one surface."""

    is_same_winner: bool
    n_visits: int
    n_visits_exhaustive: int
    n_columns_kept: int


def main() -> None:
    """The shares over all surfaces."""
    outcomes = [outcome(seed) for seed in range(N_SURFACES)]
    n_columns = _N_VARIANTS * len(_THREADS)
    kept = sum(each.n_columns_kept for each in outcomes) / N_SURFACES
    sys.stdout.write(
        f"same winner: {n_same(outcomes)} of {N_SURFACES}\n"
        f"visits: {visits_ratio(outcomes):.1%} of the exhaustive sweep's; {kept:.1f} of {n_columns} columns kept\n"
    )


def n_same(outcomes: Iterable[Outcome]) -> int:
    return sum(each.is_same_winner for each in outcomes)


def visits_ratio(outcomes: Iterable[Outcome]) -> float:
    outcomes = list(outcomes)
    return sum(each.n_visits for each in outcomes) / sum(each.n_visits_exhaustive for each in outcomes)


def outcome(seed: int) -> Outcome:
    surface = make_surface(np.random.default_rng(seed))
    adaptive = _swept(surface, exhaustive=False, seed=seed)
    exhaustive = _swept(surface, exhaustive=True, seed=seed + N_SURFACES)
    winners = [_winner(run, surface.objective_s) for run in (adaptive[0], exhaustive[0])]
    return Outcome(
        is_same_winner=winners[0] == winners[1],
        n_visits=adaptive[1],
        n_visits_exhaustive=exhaustive[1],
        n_columns_kept=len({cell.cell.execution for cell in adaptive[0].cells}),
    )


def make_surface(rng: np.random.Generator) -> Surface:
    """S(b) = fixed + per row × b rounded up to the step, where n threads are n^e times as fast, and cost some µs."""
    times_s: dict[BenchCell, float] = {}
    for i in range(_N_VARIANTS):
        fixed_s = 20e-6 * math.exp(0.5 * rng.standard_normal())
        row_s = 40e-6 * math.exp(0.5 * rng.standard_normal())
        step, power = int(rng.choice([1, 2, 4, 8])), rng.uniform(0.4, 0.95)
        for n in _THREADS:
            for size in _SIZES:
                work_s = row_s * step * math.ceil(size / step) / n**power
                execution = ExecutionConfig(variant=f"v{i}", n_threads=n)
                times_s[BenchCell(execution=execution, batch_size=size)] = fixed_s + work_s + 4e-6 * (n - 1)
    objective_s = float(rng.choice(list(times_s.values()))) * rng.uniform(1.0, 4.0)
    return Surface(times_s=times_s, objective_s=objective_s)


def request_for(
    cells: tuple[BenchCell, ...], *, budget_s: float, objective_s: float = math.inf, exhaustive: bool = False
) -> BenchRequest:
    """A sweep in virtual time, which needs neither models nor rows."""
    return BenchRequest(
        models={},
        payloads=PayloadSet(inputs={}, expected={}, segments=(), labels=None),
        cells=cells,
        budget_s=budget_s,
        machine=read_machine(),
        objective_s=objective_s,
        exhaustive=exhaustive,
    )


def _swept(surface: Surface, *, exhaustive: bool, seed: int) -> tuple[BenchRun, int]:
    rng = np.random.default_rng((1, seed))
    clock_s = mood = 0.0
    n_visits = 0

    def visit(cell: BenchCell, i_round: int) -> Visit:
        nonlocal clock_s, mood, n_visits
        clock_s, n_visits = clock_s + _VISIT_S, n_visits + 1
        mood = _MOOD_KEPT * mood + math.sqrt(1.0 - _MOOD_KEPT**2) * _MOOD * rng.standard_normal()
        of_visit = mood + _VISITS * rng.standard_normal()
        times_s = surface.times_s[cell] * np.exp(of_visit + _CALLS * rng.standard_normal(_N_CALLS))
        return Visit(
            times=CellRound(cell=cell, i_round=i_round, service_times_s=times_s, lost_ratio=0.0, dropped_ratio=0.0)
        )

    cells = tuple(surface.times_s)
    request = request_for(cells, budget_s=3600.0, objective_s=surface.objective_s, exhaustive=exhaustive)
    return sweep(request, visit, now_s=lambda: clock_s), n_visits


def _winner(run: BenchRun, objective_s: float) -> ExecutionConfig | None:
    """The column with the most rows per second and core within the objective."""
    within = [cell for cell in run.cells if cell.mean_s <= objective_s]
    best = max(
        within, key=lambda cell: cell.cell.batch_size / (cell.mean_s * cell.cell.execution.n_threads), default=None
    )
    return None if best is None else best.cell.execution


if __name__ == "__main__":
    main()
