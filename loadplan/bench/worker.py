"""Process entry: times inferences in a process of its own, so that a crash of the runtime is a result, not an end.

Reads one `BenchJob` line, then one cell and round number per line; answers each with one `Visit` line. The runner
decides which cell is visited when; this process only times (`timing` says how). It ends when its parent does.

A visit warms up and then times for about 20 ms: single calls, and loops where calls are shorter than a millisecond.
Calls during which a neighbour had the core are dropped, the share of them is told (`noise` says how they are found and
why). What the system did meanwhile is told as well.

Where rows differ in length, a visit's calls have the lengths of the traffic (`length_mix`). A robbed call is then known
by another call of the same batch, and made again before it is dropped: long ones are robbed most, and without them the
mean would be that of shorter rows. For that every call is timed singly, so the clock's 0.1 µs is within their figures.
"""

import gc
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.between_cores import BetweenCores
from loadplan.bench.conditions import conditions_now, conditions_since
from loadplan.bench.feeds import read_feeds
from loadplan.bench.grid import CPU
from loadplan.bench.handoff import BenchJob, Lack, Visit
from loadplan.bench.length_mix import STRATA_MOST, LengthMix, as_if_alike, draw, length_mix
from loadplan.bench.records import BenchCell, CellRound
from loadplan.bench.timing import (
    LOOP_S,
    clock_cost_s,
    time_after_pauses,
    time_calls,
    time_copies,
    time_loops,
    time_side_by_side,
    warm_up,
)
from loadplan.child_process import die_with_parent
from loadplan.errors import EnvironmentFault, InvalidMeasurement, LoadplanError
from loadplan.execution import ExecutionConfig
from loadplan.inference import Session, Tensors, is_out_of_memory, open_session, reason_of, run
from loadplan.machine import usable_cores
from loadplan.noise import lost_ratio, robbed_calls
from loadplan.scenario.payloads import inputs_of, inputs_of_length
from loadplan.store import codec

# Long enough for many calls, short enough that a visit lies within one mood of the machine.
_VISIT_S = 0.02
_CALLS_LEAST = 5
_CALLS_MOST = 1000  # of a 10 µs model; more would only swell the journal
# Calls after pauses: a visit of them takes longer, so that it holds a few.
_PAUSED_VISIT_S, _PAUSED_CALLS_MOST = 0.05, 25
# Several different inputs in turn: a constant one would flatter caches and branch predictors.
_N_FEEDS = 8
# Of batches of different lengths: calls of each, one to know the other by, and how often a robbed one is made again.
_PASSES_LEAST = 2
_TRIES_AGAIN = 3
_SEED = 20261126
# A block of the warm-up: the first calls of a session, and of a batch size, allocate and tune.
_BLOCK_S = 0.0025


def main() -> None:
    """Serve visits until standard input ends."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to handle
    # Whatever a library prints must not get between the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        job = sys.stdin.readline()
        if not job:  # the runner ended before it said anything
            return
        _serve(codec.loads(job, BenchJob, where="the benchmark job"), answers)


def _serve(job: BenchJob, answers: TextIO) -> None:
    cores = usable_cores() if any(_is_shared(cell.execution) for cell in job.cells) else ()
    with BetweenCores(cores) as between_cores:
        bench = _Bench(job, between_cores)
        gc.freeze()
        gc.disable()
        for line in iter(sys.stdin.readline, ""):
            i_cell, i_round = (int(number) for number in line.split())
            answers.write(codec.dumps(bench.visit(i_cell, i_round)) + "\n")
            answers.flush()


class _Bench:
    """Open sessions and prepared inputs of one round; a session serves every batch size, each of them once."""

    def __init__(self, job: BenchJob, between_cores: BetweenCores) -> None:
        self._between_cores = between_cores
        self._cells = job.cells
        self._models = {variant: Path(path) for variant, path in job.models.items()}
        self._payloads = read_feeds(Path(job.payloads))
        self._sessions: dict[ExecutionConfig, tuple[Session, ...]] = {}
        self._feeds: dict[tuple[int, int], tuple[Tensors, ...]] = {}  # by batch size and length
        self._mixes: dict[int, LengthMix] = {}
        self._clock_s = clock_cost_s()

    def visit(self, i_cell: int, i_round: int) -> Visit:
        """Time one cell for about 20 ms."""
        cell = self._cells[i_cell]
        try:
            times = self._time(cell, i_round)
        except EnvironmentFault as error:
            if is_out_of_memory(error.__cause__):  # the session of one cell, which says nothing of the others
                return Visit(failure="its model does not fit into the memory", does_not_fit=True)
            return Visit(lack=Lack(what=error.what, where=error.where, fix=error.fix))
        except LoadplanError as error:
            return Visit(failure=error.what)
        except Exception as error:  # whatever the runtime raises belongs to this cell alone
            if is_out_of_memory(error):
                return Visit(failure=f"it does not fit into the memory: {reason_of(error)}", does_not_fit=True)
            return Visit(failure=reason_of(error))
        return Visit(times=times)

    def _time(self, cell: BenchCell, i_round: int) -> CellRound:
        sessions = self._opened(cell.execution)
        apart_before = self._apart_ratio(cell)
        before = conditions_now()
        if self._payloads.lengths is None or cell.length:
            times = self._time_alike(cell, i_round, sessions)
        else:
            mix = self._mix_of(cell.batch_size, self._payloads.lengths)
            times = self._time_mix(cell, i_round, sessions, mix)
        met = conditions_since(before)
        apart = [ratio for ratio in (apart_before, self._apart_ratio(cell)) if ratio is not None]
        copy_in_s, copy_out_s = self._time_copies(cell, sessions[0])
        return replace(
            times,
            copy_in_s=copy_in_s,
            copy_out_s=copy_out_s,
            clock_s=self._clock_s,
            n_preempted=met.n_preempted,
            throttled_s=met.throttled_s,
            frequency_hz=met.frequency_hz,
            apart_ratio=max(apart, default=None),
        )

    def _apart_ratio(self, cell: BenchCell) -> float | None:
        return self._between_cores.apart_ratio() if _is_shared(cell.execution) else None

    def _time_alike(self, cell: BenchCell, i_round: int, sessions: Sequence[Session]) -> CellRound:
        """Rows of one length: any call stands for any other."""
        feeds = self._feeds_of(cell)
        shortest_s = _warmed(sessions, feeds)
        if cell.idle_gap_s > 0.0:
            turns = list(islice(cycle(feeds), _n_paused(cell, shortest_s)))
            return _round(cell, i_round, time_after_pauses(sessions[0], turns, gap_s=cell.idle_gap_s))
        is_looped = shortest_s < LOOP_S and len(sessions) == 1
        wanted_s = _VISIT_S / 2.0 if is_looped else _VISIT_S
        n_calls = min(max(round(wanted_s / shortest_s), _CALLS_LEAST), _CALLS_MOST)
        turns = list(islice(cycle(feeds), n_calls))
        if len(sessions) > 1:
            return _round(cell, i_round, time_side_by_side(sessions, turns).ravel())
        singles_s = time_calls(sessions[0], turns)
        if not is_looped:
            return _round(cell, i_round, singles_s)
        calls_per_loop = math.ceil(LOOP_S / shortest_s)
        n_loops = max(round(wanted_s / (calls_per_loop * shortest_s)), _CALLS_LEAST)
        loops_s = time_loops(sessions[0], feeds, n_loops=n_loops, calls_per_loop=calls_per_loop)
        return _round(cell, i_round, singles_s, loops_s=loops_s, calls_per_loop=calls_per_loop)

    def _time_mix(self, cell: BenchCell, i_round: int, sessions: Sequence[Session], mix: LengthMix) -> CellRound:
        """A drawn mix, the same for every variant and number of threads, so that they can be compared."""
        usual_s = _warmed(sessions, (inputs_of(self._payloads, mix.usual),))
        wanted = _n_paused(cell, usual_s) if cell.idle_gap_s > 0.0 else round(_VISIT_S / usual_s / _PASSES_LEAST)
        n_feeds = min(max(wanted, mix.n_strata_least), STRATA_MOST)
        drawn = draw(mix, n_feeds, np.random.default_rng((_SEED, cell.batch_size, i_round)))
        feeds = [inputs_of(self._payloads, rows) for rows in drawn]
        if cell.idle_gap_s > 0.0:  # each batch once: how long it needs shows nowhere, so none can be called robbed
            durations_s = time_after_pauses(sessions[0], feeds, gap_s=cell.idle_gap_s)
            return _round(cell, i_round, durations_s, robbed=np.zeros(n_feeds, dtype=np.bool_))
        if len(sessions) > 1:
            return _mix_round(cell, i_round, time_side_by_side(sessions, feeds))
        return _mix_round(cell, i_round, *_passes(sessions[0], feeds))

    def _time_copies(self, cell: BenchCell, session: Session) -> tuple[float | None, float | None]:
        """Once more with the clock between the parts of a call: what it costs to reach the device and come back."""
        if cell.idle_gap_s > 0.0:
            return None, None
        lengths = self._payloads.lengths
        if lengths is None or cell.length:
            feeds = self._feeds_of(cell)
        else:
            feeds = (inputs_of(self._payloads, self._mix_of(cell.batch_size, lengths).usual),)
        return time_copies(session, feeds) or (None, None)

    def _opened(self, execution: ExecutionConfig) -> tuple[Session, ...]:
        if execution not in self._sessions:
            model = self._models[execution.variant]
            self._sessions[execution] = tuple(open_session(model, execution) for _ in range(execution.n_sessions))
        return self._sessions[execution]

    def _feeds_of(self, cell: BenchCell) -> tuple[Tensors, ...]:
        size, length = cell.batch_size, cell.length
        if (size, length) not in self._feeds:
            n_rows = self._payloads.n_rows
            starts = np.linspace(0, n_rows, _N_FEEDS, endpoint=False).astype(np.intp)
            self._feeds[size, length] = tuple(
                inputs_of_length(self._payloads, size, length, start=int(start))
                if length
                else inputs_of(self._payloads, (start + np.arange(size)) % n_rows)
                for start in starts
            )
        return self._feeds[size, length]

    def _mix_of(self, batch_size: int, lengths: NDArray[np.int64]) -> LengthMix:
        if batch_size not in self._mixes:
            self._mixes[batch_size] = length_mix(lengths, batch_size, np.random.default_rng((_SEED, batch_size)))
        return self._mixes[batch_size]


def _is_shared(execution: ExecutionConfig) -> bool:
    """Whether several cores work at one call."""
    return execution.provider == CPU and execution.n_threads > 1


def _warmed(sessions: Sequence[Session], feeds: Sequence[Tensors]) -> float:
    """Seconds of the shortest call, once its answer was looked at and the sessions are warm."""
    _require_numbers(run(sessions[0], feeds[0]))
    return min(warm_up(session, feeds, block_s=_BLOCK_S) for session in sessions)


def _n_paused(cell: BenchCell, call_s: float) -> int:
    """Calls of a visit with pauses between them."""
    return min(max(round(_PAUSED_VISIT_S / (cell.idle_gap_s + call_s)), _CALLS_LEAST), _PAUSED_CALLS_MOST)


def _round(
    cell: BenchCell,
    i_round: int,
    singles_s: NDArray[np.float64],
    *,
    robbed: NDArray[np.bool_] | None = None,
    loops_s: NDArray[np.float64] | None = None,
    calls_per_loop: int = 1,
) -> CellRound:
    """Calls and whole loops of one computation, those left out that a neighbour robbed."""
    loops_s = np.zeros(0) if loops_s is None else loops_s
    robbed = robbed_calls(singles_s) if robbed is None else robbed
    robbed_loops = robbed_calls(loops_s)
    lost_s = lost_ratio(singles_s) * singles_s.sum() * robbed.any() + lost_ratio(loops_s) * loops_s.sum()
    n_dropped = int(robbed.sum()) + int(robbed_loops.sum()) * calls_per_loop
    return CellRound(
        cell=cell,
        i_round=i_round,
        service_times_s=singles_s[~robbed],
        loop_times_s=loops_s[~robbed_loops] / calls_per_loop,
        calls_per_loop=calls_per_loop,
        lost_ratio=float(lost_s / (singles_s.sum() + loops_s.sum())),
        dropped_ratio=n_dropped / (singles_s.size + loops_s.size * calls_per_loop),
    )


def _passes(session: Session, feeds: Sequence[Tensors]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Calls of a mix several times over, (n_passes, n_feeds): first as they were, then with robbed ones made again."""
    first_s = time_calls(session, feeds)
    n_passes = max(min(round(_VISIT_S / first_s.sum()), _CALLS_MOST // len(feeds)), _PASSES_LEAST)
    raw_s = np.stack([first_s, *(time_calls(session, feeds) for _ in range(n_passes - 1))])
    mended_s = raw_s.copy()
    for _ in range(_TRIES_AGAIN):
        robbed, _ = _robbed_of_mix(mended_s)
        again = [feeds[int(i)] for i in np.nonzero(robbed)[1]]
        if not again:
            break
        mended_s[robbed] = time_calls(session, again)
    return raw_s, mended_s


def _mix_round(
    cell: BenchCell, i_round: int, raw_s: NDArray[np.float64], mended_s: NDArray[np.float64] | None = None
) -> CellRound:
    """Calls of a mix, (n_passes, n_feeds): what was lost is told of all, what counts is what was made again."""
    robbed_at_first, lost = _robbed_of_mix(raw_s)
    kept_s = raw_s if mended_s is None else mended_s
    robbed, _ = _robbed_of_mix(kept_s)
    return CellRound(
        cell=cell,
        i_round=i_round,
        service_times_s=kept_s[~robbed],
        lost_ratio=lost,
        dropped_ratio=float(robbed_at_first.mean()),
    )


def _robbed_of_mix(durations_s: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Which calls of a mix were robbed, in the shape (n_passes, n_feeds), and the share of time that was lost."""
    alike_s = as_if_alike(durations_s).ravel()
    return robbed_calls(alike_s).reshape(durations_s.shape), lost_ratio(alike_s)


def _require_numbers(outputs: Tensors) -> None:
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InvalidMeasurement(
                what=f"the output {name!r} holds NaN or infinity", where="bench", fix="look at the model's export"
            )


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the runner is gone
        os._exit(0)
