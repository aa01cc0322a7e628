"""Process entry: times inferences in a process of its own, so that a crash of the runtime is a result, not an end.

Reads one `BenchJob` line, then one cell and round number per line; answers each with one `Visit` line. The runner
decides which cell is visited when; this process only times. It ends when its parent does.

A sample is the time from the end of one call to the end of the next on the monotonic clock, so the clock is read once
a call; with keeping the reading that adds about 0.1 µs to each. The input changes from call to call. Calls during
which a neighbour had the core are dropped, the share of them is told (`noise` says how they are found and why).

Where rows differ in length, a visit's calls have the lengths of the traffic (`length_mix`). A robbed call is then known
by another call of the same batch, and made again before it is dropped: long ones are robbed most, and without them the
mean would be that of shorter rows.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.handoff import BenchJob, Lack, Visit
from loadplan.bench.length_mix import STRATA_MOST, LengthMix, as_if_alike, draw, length_mix
from loadplan.bench.records import BenchCell, CellRound
from loadplan.child_process import die_with_parent
from loadplan.errors import EnvironmentFault, InvalidMeasurement, LoadplanError
from loadplan.execution import ExecutionConfig
from loadplan.inference import Session, Tensors, open_session, reason_of, run
from loadplan.noise import lost_ratio, robbed_calls
from loadplan.scenario.payload_file import load_payloads
from loadplan.scenario.payloads import inputs_of
from loadplan.store import codec

# Long enough for many calls, short enough that a visit lies within one mood of the machine.
_VISIT_S = 0.02
_CALLS_LEAST = 5
_CALLS_MOST = 1000  # of a 10 µs model; more would only swell the journal
# Several different inputs in turn: a constant one would flatter caches and branch predictors.
_N_FEEDS = 8
# Of batches of different lengths: calls of each, one to know the other by, and how often a robbed one is made again.
_PASSES_LEAST = 2
_TRIES_AGAIN = 3
_SEED = 20261126
# The first calls of a session allocate and tune. The first calls of a later visit find other cells' weights in the
# caches, and the core awake for less than they need.
_FIRST_WARM_UP_S, _FIRST_WARM_UP_CALLS = 0.01, 3
_WARM_UP_S, _WARM_UP_CALLS = 0.001, 1


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
        bench = _Bench(codec.loads(job, BenchJob, where="the benchmark job"))
        gc.freeze()
        gc.disable()
        for line in iter(sys.stdin.readline, ""):
            i_cell, i_round = (int(number) for number in line.split())
            answers.write(codec.dumps(bench.visit(i_cell, i_round)) + "\n")
            answers.flush()


class _Bench:
    """Open sessions and prepared inputs, kept between visits; a session serves every batch size."""

    def __init__(self, job: BenchJob) -> None:
        self._cells = job.cells
        self._models = {variant: Path(path) for variant, path in job.models.items()}
        payloads = load_payloads(Path(job.payloads))
        # Text as Python strings, as the server feeds it: the runtime reads NumPy's own text at another speed.
        as_fed = {name: v.astype(object) if v.dtype.kind == "U" else v for name, v in payloads.inputs.items()}
        self._payloads = replace(payloads, inputs=as_fed)
        self._sessions: dict[ExecutionConfig, Session] = {}
        self._feeds: dict[int, tuple[Tensors, ...]] = {}
        self._mixes: dict[int, LengthMix] = {}
        self._warm: set[BenchCell] = set()

    def visit(self, i_cell: int, i_round: int) -> Visit:
        """Time one cell for about 20 ms."""
        cell = self._cells[i_cell]
        try:
            times = self._time(cell, i_round)
        except EnvironmentFault as error:
            return Visit(lack=Lack(what=error.what, where=error.where, fix=error.fix))
        except LoadplanError as error:
            return Visit(failure=error.what)
        except Exception as error:  # whatever the runtime raises belongs to this cell alone
            return Visit(failure=reason_of(error))
        return Visit(times=times)

    def _time(self, cell: BenchCell, i_round: int) -> CellRound:
        session = self._session(cell.execution)
        if self._payloads.lengths is not None:
            return self._time_mix(cell, i_round, session, self._mix_of(cell.batch_size, self._payloads.lengths))
        feeds = self._feeds_of(cell.batch_size)
        n_calls = min(max(round(_VISIT_S / self._warmed(cell, session, feeds)), _CALLS_LEAST), _CALLS_MOST)
        durations_s = _time_calls(session, list(islice(cycle(feeds), n_calls)))
        return _round(cell, i_round, durations_s, robbed_calls(durations_s), lost=lost_ratio(durations_s))

    def _time_mix(self, cell: BenchCell, i_round: int, session: Session, mix: LengthMix) -> CellRound:
        """A drawn mix, the same for every variant and number of threads, so that they can be compared."""
        usual_s = self._warmed(cell, session, (inputs_of(self._payloads, mix.usual),))
        n_feeds = min(max(round(_VISIT_S / usual_s / _PASSES_LEAST), mix.n_strata_least), STRATA_MOST)
        drawn = draw(mix, n_feeds, np.random.default_rng((_SEED, cell.batch_size, i_round)))
        feeds = [inputs_of(self._payloads, rows) for rows in drawn]
        first_s = _time_calls(session, feeds)
        n_passes = max(min(round(_VISIT_S / first_s.sum()), _CALLS_MOST // n_feeds), _PASSES_LEAST)
        durations_s = np.stack([first_s, *(_time_calls(session, feeds) for _ in range(n_passes - 1))])
        robbed, lost = _robbed_of_mix(durations_s)
        n_robbed_at_first = int(robbed.sum())
        for _ in range(_TRIES_AGAIN):
            again = [feeds[i] for i in np.nonzero(robbed)[1]]
            if not again:
                break
            durations_s[robbed] = _time_calls(session, again)
            robbed, _ = _robbed_of_mix(durations_s)
        return replace(
            _round(cell, i_round, durations_s.ravel(), robbed.ravel(), lost=lost),
            dropped_ratio=n_robbed_at_first / durations_s.size,
        )

    def _warmed(self, cell: BenchCell, session: Session, feeds: Sequence[Tensors]) -> float:
        """Seconds of the shortest call."""
        if cell in self._warm:
            return _warm_up(session, feeds, least_s=_WARM_UP_S, least_calls=_WARM_UP_CALLS)
        _require_numbers(run(session, feeds[0]))
        shortest_s = _warm_up(session, feeds, least_s=_FIRST_WARM_UP_S, least_calls=_FIRST_WARM_UP_CALLS)
        self._warm.add(cell)
        return shortest_s

    def _session(self, execution: ExecutionConfig) -> Session:
        if execution not in self._sessions:
            self._sessions[execution] = open_session(self._models[execution.variant], execution)
        return self._sessions[execution]

    def _feeds_of(self, batch_size: int) -> tuple[Tensors, ...]:
        if batch_size not in self._feeds:
            n_rows = self._payloads.n_rows
            starts = np.linspace(0, n_rows, _N_FEEDS, endpoint=False).astype(np.intp)
            rows = [(start + np.arange(batch_size)) % n_rows for start in starts]
            self._feeds[batch_size] = tuple(inputs_of(self._payloads, index) for index in rows)
        return self._feeds[batch_size]

    def _mix_of(self, batch_size: int, lengths: NDArray[np.int64]) -> LengthMix:
        if batch_size not in self._mixes:
            self._mixes[batch_size] = length_mix(lengths, batch_size, np.random.default_rng((_SEED, batch_size)))
        return self._mixes[batch_size]


def _round(
    cell: BenchCell, i_round: int, durations_s: NDArray[np.float64], robbed: NDArray[np.bool_], *, lost: float
) -> CellRound:
    return CellRound(
        cell=cell,
        i_round=i_round,
        service_times_s=durations_s[~robbed],
        lost_ratio=lost,
        dropped_ratio=float(robbed.mean()),
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


def _warm_up(session: Session, feeds: Sequence[Tensors], *, least_s: float, least_calls: int) -> float:
    """Call until the session, its memory and the core are warm; seconds of the shortest call."""
    begin_s = before_s = time.perf_counter()
    shortest_s, n_calls = float("inf"), 0
    while n_calls < least_calls or before_s - begin_s < least_s:
        run(session, feeds[n_calls % len(feeds)])
        now_s = time.perf_counter()
        shortest_s, before_s = min(shortest_s, now_s - before_s), now_s
        n_calls += 1
    return shortest_s


def _time_calls(session: Session, feeds: Sequence[Tensors]) -> NDArray[np.float64]:
    """Seconds of single calls one after the other, one for each of the feeds."""
    infer, names = session.handle.run, [spec.name for spec in session.outputs]
    clock_ns = time.perf_counter_ns
    stamps_ns = [clock_ns()]
    keep = stamps_ns.append
    for feed in feeds:
        infer(names, feed)
        keep(clock_ns())
    # Whole nanoseconds until after the difference: a float doesn't hold them over the age of the machine's clock.
    ends_ns = np.array(stamps_ns, dtype=np.int64)
    return (ends_ns[1:] - ends_ns[:-1]).astype(np.float64) * 1e-9


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the runner is gone
        os._exit(0)
