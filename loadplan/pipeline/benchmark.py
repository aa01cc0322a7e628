"""The whole benchmark of a model on this machine: the sweep, then how each column kept starts, then the machine alone.

Pieces are journalled as they are made, so a walk that is cut short repeats at most one of them. The probe comes last
and once: it says what the machine attains whatever the model is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loadplan.bench.records import BenchRun, CellRound
from loadplan.bench.resources import StartReading
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.bench.starts import measure_starts, measured_columns, started_processes
from loadplan.probe import probe_machine
from loadplan.speed import ProbeResult

# What these two take beside the sweep, as a share of its budget: a short benchmark is asked for by who is in a hurry.
_STARTS_BUDGET_RATIO = 1 / 6
_PROBE_BUDGET_RATIO, _PROBE_BUDGET_LEAST_S, _PROBE_BUDGET_MOST_S = 1 / 5, 0.2, 3.0
# How far along the whole is when the sweep, and then the starts, are done.
_SWEPT_RATIO, _STARTED_RATIO = 0.75, 0.85

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPiece:
    """One piece of a benchmark, as it is journalled: exactly one of these."""

    visit: CellRound | None = None
    start: StartReading | None = None
    probe: ProbeResult | None = None


def benchmark(
    request: BenchRequest,
    *,
    done: Sequence[BenchPiece] = (),
    on_record: Callable[[BenchPiece], None] | None = None,
    on_progress: OnProgress | None = None,
) -> BenchRun:
    """Sweep, starts and probe.

    Args:
        request: the sweep.
        done: pieces of an earlier, unfinished benchmark.
        on_record: hears of each piece as it is made.
        on_progress: hears the share that is done, 0 to 1, and what is going on.

    Raises:
        EnvironmentFault, InvalidMeasurement: as `run_bench`.
    """
    run = benchmark_without_probe(request, done=done, on_record=on_record, on_progress=on_progress)
    probe = next((piece.probe for piece in done if piece.probe is not None), None)
    if probe is None:
        _share(on_progress, _STARTED_RATIO, 1.0)(0.0, "what this machine attains")
        wanted_s = max(_PROBE_BUDGET_RATIO * request.budget_s, _PROBE_BUDGET_LEAST_S)
        probe = probe_machine(request.machine, budget_s=min(wanted_s, _PROBE_BUDGET_MOST_S))
        if on_record is not None:
            on_record(BenchPiece(probe=probe))
    return replace(run, probe=probe)


def benchmark_without_probe(
    request: BenchRequest,
    *,
    done: Sequence[BenchPiece] = (),
    on_record: Callable[[BenchPiece], None] | None = None,
    on_progress: OnProgress | None = None,
) -> BenchRun:
    """As `benchmark`, for a model that nothing is planned of."""

    def keep(made: CellRound | StartReading) -> None:
        if on_record is not None:
            on_record(BenchPiece(visit=made) if isinstance(made, CellRound) else BenchPiece(start=made))

    run = run_bench(
        request,
        done=[piece.visit for piece in done if piece.visit is not None],
        on_record=keep,
        on_progress=_share(on_progress, 0.0, _SWEPT_RATIO),
    )
    columns = measured_columns(run)
    with started_processes(
        columns, models=request.models, payloads=request.payloads, limit_s=request.visit_limit_s
    ) as start_column:
        starts = measure_starts(
            columns,
            start_column,
            budget_s=_STARTS_BUDGET_RATIO * request.budget_s,
            done=[piece.start for piece in done if piece.start is not None],
            on_record=keep,
            on_progress=_share(on_progress, _SWEPT_RATIO, _STARTED_RATIO),
        )
    return replace(run, starts=starts.readings, caveats=(*run.caveats, *starts.caveats))


def _share(on_progress: OnProgress | None, begin_ratio: float, end_ratio: float) -> OnProgress:
    """What hears of one part, and tells it as part of the whole."""

    def tell(done_ratio: float, said: str) -> None:
        if on_progress is not None:
            on_progress(begin_ratio + done_ratio * (end_ratio - begin_ratio), said)

    return tell
