"""The busiest hour of a log as a recording that a scenario replays."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadplan.demand.counts import SecondCounts
from loadplan.demand.records import Absent
from loadplan.scenario.arrivals import IntervalCounts, Recording, RequestTimes
from loadplan.scenario.trace_file import MAX_REQUESTS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_INTERVALS_AT_LEAST = 10
_REQUESTS_AT_LEAST = 100
_DIGITS = 6  # a microsecond
_FILE = "the log"


def cut_recording(
    database: "DuckDBPyConnection", counts: SecondCounts, *, begins: int, length_s: int, has_fine_times: bool
) -> Recording | Absent:
    """The requests of [begins, begins + length): each with its time where the log tells it, else by the step of times.

    Args:
        database: the log.
        counts: the same, by second.
        begins: first second of the stretch.
        length_s: its length.
        has_fine_times: whether times are finer than seconds, and every line is one request.
    """
    inside = (counts.second >= begins) & (counts.second < begins + length_s)
    n = float(counts.count[inside].sum())
    if n < _REQUESTS_AT_LEAST:
        return Absent(reason=f"its busiest hour holds {n:,.0f} requests, and a replay needs {_REQUESTS_AT_LEAST}")
    if has_fine_times and n <= MAX_REQUESTS:
        return _times(database, begins=begins, length_s=length_s)
    n_intervals = -(-length_s // counts.step_s)
    if n_intervals < _INTERVALS_AT_LEAST:
        return Absent(reason=f"its times come in steps of {counts.step_s:,} s, which say nothing of bursts")
    at = (counts.second[inside] - begins) // counts.step_s
    per_interval = np.bincount(at, weights=counts.count[inside], minlength=n_intervals)
    return IntervalCounts(
        file=_FILE, interval_s=float(counts.step_s), counts=tuple(round(count) for count in per_interval)
    )


def _times(database: "DuckDBPyConnection", *, begins: int, length_s: int) -> Recording | Absent:
    found = database.execute(
        f"SELECT at_s - {begins} AS due_s FROM requests WHERE at_s >= {begins} AND at_s < {begins + length_s} "
        "ORDER BY due_s"
    ).fetchnumpy()
    at_s: NDArray[np.float64] = np.asarray(found["due_s"], dtype=np.float64)
    times_s = np.round(at_s - at_s[0], _DIGITS)
    if times_s[-1] <= 0.0:
        return Absent(reason="all of its requests came at the same time")
    # As the reader of such a file has it: the first comes again one mean gap after the last.
    length = float(times_s[-1]) * (1.0 + 1.0 / (times_s.size - 1))
    return RequestTimes(file=_FILE, times_s=tuple(times_s.tolist()), length_s=length)
