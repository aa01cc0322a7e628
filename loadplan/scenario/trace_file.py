"""A recording of real arrivals from a CSV: a time for each request, or counts per interval.

The first column holds the time: a date with a time of day as ISO 8601 writes it, or seconds from any start. A second
column named `count`, `counts`, `requests` or `value` makes it counts: how many requests came from that time on until
the next interval begins. Any other column is passed over, and so is the header where there is none but one column.
Times must not fall: a file that is not in order was put together wrongly, and is refused with its line. Requests at
the same time are as many requests; an interval that the file leaves out had none.
"""

import csv
import io
import math
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from loadplan.errors import InputError
from loadplan.scenario.arrivals import IntervalCounts, Recording, RequestTimes
from loadplan.scenario.text_file import read_text

MAX_BYTES = 32_000_000
MAX_REQUESTS = 200_000  # single times; counts may add up to any number
MAX_INTERVALS = 200_000

_COUNT_COLUMNS = frozenset({"count", "counts", "requests", "value"})
_LATEST_S = 1e11  # 5138 AD in seconds: whatever is above was written in milliseconds
_OFF_INTERVAL_RATIO = 0.01  # how far a row may be from a whole number of intervals

Row = tuple[int, list[str]]  # with the number of its line, the first of the file being 1


def read_trace(path: Path) -> Recording:
    """The recording in a file.

    Raises:
        InputError: when the file can't be read, or with the line that is wrong: no time, no count, out of order, off
            the intervals.
    """
    rows = _rows(path)
    header = rows[0][1] if rows and not _is_time(rows[0][1][0]) else None
    body = rows if header is None else rows[1:]
    if header is None and any(len(cells) > 1 for _, cells in body):
        raise _refusal(path, body[0][0], "expected a header that names the columns", "add one, such as timestamp,value")
    if len(body) < 2:
        raise _refusal(path, None, "fewer than two rows hold a time", "name a file with more of them")
    times_s = _times_s(body, path)
    column = None if header is None else _count_column(header)
    if column is None:
        return _request_times(times_s, path)
    return _interval_counts(times_s, [_count(number, cells, column, path) for number, cells in body], body, path)


def _rows(path: Path) -> list[Row]:
    reader = csv.reader(io.StringIO(read_text(path, max_bytes=MAX_BYTES), newline=""))
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise _refusal(path, reader.line_num, f"this is not a CSV: {error}", "save the file as a CSV") from error
    return [(number, cells) for number, cells in rows if any(cells)]  # a blank line says nothing


def _count_column(header: list[str]) -> int | None:
    return next((i for i, name in enumerate(header) if i > 0 and name.lower() in _COUNT_COLUMNS), None)


# Times


def _times_s(body: list[Row], path: Path) -> list[float]:
    """Seconds from the first row on."""
    first = _time(*body[0], path)
    times_s: list[float] = []
    for number, cells in body:
        time = _time(number, cells, path)
        since_s = _since_s(time, first)
        if since_s is None:
            raise _refusal(path, number, f"{cells[0]!r:.60} is of another kind than the first time", "write all alike")
        if times_s and since_s < times_s[-1]:
            raise _refusal(path, number, f"{cells[0]!r:.60} is earlier than the row before", "sort the file by time")
        times_s.append(since_s)
    if times_s[-1] <= 0.0:
        raise _refusal(path, None, "all requests came at the same time, so no rate can be told", "name a longer file")
    return times_s


def _is_time(text: str) -> bool:
    return _read_time(text) is not None


def _time(number: int, cells: list[str], path: Path) -> float | datetime:
    time = _read_time(cells[0])
    if time is None:
        fix = "write dates as 2025-03-01T12:00:00.5 or seconds as 0.5"
        raise _refusal(path, number, f"expected a time, read {cells[0]!r:.60}", fix)
    if isinstance(time, float) and abs(time) > _LATEST_S:
        raise _refusal(path, number, f"{cells[0]!r:.60} is no time in seconds", "divide milliseconds by 1000")
    return time


def _read_time(text: str) -> float | datetime | None:
    try:
        seconds = math.nan if "_" in text else float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None
    return seconds if math.isfinite(seconds) else None


def _since_s(time: float | datetime, first: float | datetime) -> float | None:
    """None where one has a time zone, or is a date, and the other not."""
    if isinstance(time, datetime):
        if not isinstance(first, datetime) or (time.tzinfo is None) != (first.tzinfo is None):
            return None
        return (time - first).total_seconds()
    return None if isinstance(first, datetime) else round(time - first, 9)


def _request_times(times_s: list[float], path: Path) -> RequestTimes:
    if len(times_s) > MAX_REQUESTS:
        what = f"the file holds {len(times_s):,} requests, and {MAX_REQUESTS:,} at most are replayed one by one"
        raise _refusal(path, None, what, "keep a stretch of it, or write counts per second: timestamp,count")
    mean_gap_s = times_s[-1] / (len(times_s) - 1)
    return RequestTimes(file=path.name, times_s=tuple(times_s), length_s=times_s[-1] + mean_gap_s)


# Counts


def _interval_counts(times_s: list[float], counts: list[int], body: list[Row], path: Path) -> IntervalCounts:
    """The counts by interval, whose length is the shortest step of the file; rows of the same time add up."""
    interval_s = min(later - now for now, later in pairwise(times_s) if later > now)
    n_intervals = round(times_s[-1] / interval_s) + 1
    if n_intervals > MAX_INTERVALS:
        what = (
            f"the file spans {n_intervals:,} intervals of {interval_s:g} s, and {MAX_INTERVALS:,} at most are replayed"
        )
        raise _refusal(path, None, what, "keep a stretch of it, or count over longer intervals")
    per_interval = [0] * n_intervals
    for (number, cells), time_s, count in zip(body, times_s, counts, strict=True):
        at = time_s / interval_s
        if abs(at - round(at)) > _OFF_INTERVAL_RATIO:
            what = f"{cells[0]!r:.60} is not a whole number of intervals of {interval_s:g} s after the first row"
            raise _refusal(path, number, what, "count over equal intervals; those without requests may be left out")
        per_interval[round(at)] += count
    if not any(per_interval):
        raise _refusal(path, None, "all counts are 0", "name a file with requests in it")
    return IntervalCounts(file=path.name, interval_s=interval_s, counts=tuple(per_interval))


def _count(number: int, cells: list[str], column: int, path: Path) -> int:
    text = cells[column] if column < len(cells) else ""
    try:
        count = math.nan if "_" in text else float(text)
    except ValueError:
        count = math.nan
    if not (count >= 0.0 and count.is_integer() and count <= 2**53):
        raise _refusal(
            path, number, f"expected a count of requests, read {text!r:.60}", "write whole numbers from 0 up"
        )
    return int(count)


def _refusal(path: Path, line: int | None, what: str, fix: str) -> InputError:
    return InputError(what=what if line is None else f"line {line}: {what}", where=str(path), fix=fix)
