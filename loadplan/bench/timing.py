"""Times calls of open sessions: in loops, one by one, beside other sessions, and after pauses. Seconds.

A single call is the time from the end of one to the end of the next on the monotonic clock, so the clock is read once a
call; with keeping the reading that adds about 0.1 µs, which `clock_cost_s` measures. A call of 10 µs would be 1 % too
long, so what is shorter than a millisecond is timed in loops as well, with the clock read before and after alone; only
percentiles need single calls. Inputs change from call to call.

Loops long beside the clock are how Google Benchmark (`--benchmark_min_time`) and pyperf (`--min-time`, its number of
loops calibrated) time what is short, and as in pyperf the first calls are left out; here they end by what they took.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from loadplan.inference import Session, Tensors, caller, run
from loadplan.stats import percentile

Times = NDArray[np.float64]

LOOP_S = 0.001  # a loop is at least as long
# Warm is when so many blocks of calls in a row brought no median that is lower than the lowest before by more than
# this. A run of blocks that all are above it by chance merely begins the measurement.
_WARM_BLOCKS, _WARM_RATIO = 3, 0.02
_WARM_UP_LIMIT_S = 0.3
_BLOCKS_LEAST = 2
_N_CLOCK_READINGS = 2000


def is_warm(medians_s: Sequence[float]) -> bool:
    """Whether calls have stopped getting faster, by the medians of successive blocks of calls.

    A fixed number of calls would be too few for a model that tunes itself and too many for one that takes a second;
    that a steady state must be seen, not assumed: Georges, Buytaert & Eeckhout, Statistically Rigorous Java Performance
    Evaluation, OOPSLA 2007.
    """
    lowest_s, n_since = float("inf"), 0
    for median_s in medians_s:
        if median_s < lowest_s * (1.0 - _WARM_RATIO):
            lowest_s, n_since = median_s, 0
        else:
            n_since += 1
    return n_since >= _WARM_BLOCKS


def warm_up(session: Session, feeds: Sequence[Tensors], *, block_s: float) -> float:
    """Call until session, memory, caches and core are warm, for 0.3 s at most; seconds of the shortest call.

    Args:
        session: what is called.
        feeds: its inputs, taken in turn.
        block_s: length of a block; a block is one call at least.
    """
    turns = cycle(feeds)
    begin_s = before_s = time.perf_counter()
    medians_s: list[float] = []
    shortest_s = float("inf")
    while len(medians_s) < _BLOCKS_LEAST or not (is_warm(medians_s) or before_s - begin_s > _WARM_UP_LIMIT_S):
        block: list[float] = []
        block_begin_s = before_s
        while not block or before_s - block_begin_s < block_s:
            run(session, next(turns))
            now_s = time.perf_counter()
            block.append(now_s - before_s)
            before_s = now_s
        medians_s.append(percentile(np.array(block), 0.5))
        shortest_s = min(shortest_s, *block)
    return shortest_s


def time_calls(session: Session, feeds: Sequence[Tensors]) -> Times:
    """Single calls one after the other, one for each of the feeds."""
    infer = caller(session)
    clock_ns = time.perf_counter_ns
    stamps_ns = [clock_ns()]
    keep = stamps_ns.append
    for feed in feeds:
        infer(feed)
        keep(clock_ns())
    return _gaps_s(stamps_ns)


def time_loops(session: Session, feeds: Sequence[Tensors], *, n_loops: int, calls_per_loop: int) -> Times:
    """Loops over the feeds in turn, seconds of each whole loop: (n_loops,)."""
    infer = caller(session)
    clock_ns = time.perf_counter_ns
    turns = list(islice(cycle(feeds), calls_per_loop))
    loops_ns = []
    for _ in range(n_loops):
        begin_ns = clock_ns()
        for feed in turns:
            infer(feed)
        loops_ns.append(clock_ns() - begin_ns)
    return np.array(loops_ns, dtype=np.float64) * 1e-9


def time_side_by_side(sessions: Sequence[Session], feeds: Sequence[Tensors]) -> Times:
    """Single calls of sessions that all are busy all the time, each in a thread of its own: (n_sessions, n_feeds).

    Every thread calls untimed until all of them do, and again once it has its times, until all have theirs. The
    runtime lets go of Python's lock during a call; what a call waits for the lock is part of its time, which weighs on
    models of some ten microseconds.
    """
    begun: list[int] = []
    ended: list[int] = []

    def work(i: int) -> Times:
        session = sessions[i]
        own = [*feeds[i % len(feeds) :], *feeds[: i % len(feeds)]]
        try:
            _keep_busy(session, own[0], until=begun, i=i, n=len(sessions))
            times_s = time_calls(session, own)
            _keep_busy(session, own[0], until=ended, i=i, n=len(sessions))
        finally:  # the others must not wait for one that failed
            for reached in (begun, ended):
                if i not in reached:
                    reached.append(i)
        return np.roll(times_s, i % len(feeds))  # back into the order of the feeds

    with ThreadPoolExecutor(len(sessions)) as pool:
        return np.stack(list(pool.map(work, range(len(sessions)))))


def time_after_pauses(session: Session, feeds: Sequence[Tensors], *, gap_s: float) -> Times:
    """Single calls, each after the process slept for `gap_s`, as an idle server does: it gives its core away."""
    infer = caller(session)
    clock_ns, nap = time.perf_counter_ns, time.sleep
    spans_ns = []
    for feed in feeds:
        nap(gap_s)
        begin_ns = clock_ns()
        infer(feed)
        spans_ns.append(clock_ns() - begin_ns)
    return np.array(spans_ns, dtype=np.float64) * 1e-9


def time_copies(session: Session, feeds: Sequence[Tensors]) -> tuple[float, float] | None:
    """Mean seconds a call of the copies to the device and back, by calls of their own; None where nothing is copied.

    Each part is waited for, so that none hides behind another: in the calls that count they may overlap.
    """
    if session.binding is None:
        return None
    parts = [session.binding.infer_in_parts(feed) for feed in feeds]
    return float(np.mean([one.copy_in_s for one in parts])), float(np.mean([one.copy_out_s for one in parts]))


def clock_cost_s() -> float:
    """What reading the clock and keeping the reading adds to a single call: the median of readings in a row."""
    clock_ns = time.perf_counter_ns
    stamps_ns = [clock_ns()]
    keep = stamps_ns.append
    for _ in range(_N_CLOCK_READINGS):
        keep(clock_ns())
    return percentile(_gaps_s(stamps_ns), 0.5)


def _keep_busy(session: Session, feed: Tensors, *, until: list[int], i: int, n: int) -> None:
    infer = caller(session)
    until.append(i)  # atomic, as is the length
    while len(until) < n:
        infer(feed)


def _gaps_s(stamps_ns: Sequence[int]) -> Times:
    # Whole nanoseconds until after the difference: a float doesn't hold them over the age of the machine's clock.
    ends_ns = np.array(stamps_ns, dtype=np.int64)
    return (ends_ns[1:] - ends_ns[:-1]).astype(np.float64) * 1e-9
