"""Requests per second of a log, and what they say of busy stretches and of silences.

Only seconds with requests are kept: a year with one request an hour is as small as it should be. A window that is
busiest can be taken to begin at a second with requests, so those are all that need be tried.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.int64]
Counts = NDArray[np.float64]

SECONDS_PER_DAY = 86_400
_BESIDE_S = 300  # how far around a silence the traffic is looked at
_SHORTEST_HOLE_S = 60
_REQUESTS_MISSED = (
    100.0  # so many were to be expected: traffic that is twenty times as bursty as Poisson is not silent so
)
_TIMES_THE_NEXT = 5
_HOLES_AT_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondCounts:
    """How many requests began in each second that had one."""

    second: Seconds  # (n,) ascending: whole seconds since 1970, or from any start
    count: Counts  # (n,) above 0; not whole where a sample stands for more
    step_s: int  # stamps come in steps of so many seconds; 1 or less is told as 1

    @property
    def total(self) -> float:
        """All requests."""
        return float(self.count.sum())

    @property
    def end(self) -> int:
        """The second after the last step."""
        return int(self.second[-1]) + self.step_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Busiest:
    """The busiest window of a length."""

    begins: int  # its first second
    count: float


def step_of(second: Seconds, *, n_least: int) -> int:
    """The largest step of which all distances between seconds are multiples.

    1 where fewer than `n_least` different seconds are there: each further one halves the chance that all are multiples
    though the clock is finer.
    """
    distinct = np.unique(second)
    return int(np.gcd.reduce(np.diff(distinct))) if distinct.size >= max(n_least, 2) else 1


def in_windows(counts: SecondCounts, window_s: int) -> Counts:
    """Requests in the window of this length that begins at each second with requests, (n,)."""
    total = np.concatenate([[0.0], np.cumsum(counts.count)])
    ends = np.searchsorted(counts.second, counts.second + window_s)
    per_window: Counts = total[ends] - total[:-1]
    return per_window


def busiest(counts: SecondCounts, window_s: int) -> Busiest:
    """The busiest window of a length; the first of several."""
    per_window = in_windows(counts, window_s)
    at = int(per_window.argmax())
    return Busiest(begins=int(counts.second[at]), count=float(per_window[at]))


def daily_maxima(counts: SecondCounts, window_s: int, *, holes: "Holes") -> Counts:
    """Requests in the busiest window of each whole day, by the day on which it begins; days with a hole are left out.

    Days are counted from the log's first second, so that no part of a day is lost where it begins at noon.
    """
    begin = int(counts.second[0])
    n_days = (counts.end - begin) // SECONDS_PER_DAY
    day = (counts.second - begin) // SECONDS_PER_DAY
    maxima = np.zeros(n_days)
    per_window = in_windows(counts, window_s)
    inside = day < n_days
    np.maximum.at(maxima, day[inside], per_window[inside])
    is_whole = np.ones(n_days, dtype=bool)
    for hole_begin, hole_end in zip(holes.begin, holes.end, strict=True):
        first = (int(hole_begin) - begin) // SECONDS_PER_DAY
        last = (int(hole_end) - 1 - begin) // SECONDS_PER_DAY
        is_whole[first : last + 1] = False
    return maxima[is_whole]


# Stretches without a recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """Stretches in which nothing was recorded, [begin, end) in seconds, ascending."""

    begin: Seconds  # (m,)
    end: Seconds  # (m,)

    @property
    def length_s(self) -> int:
        """All of them together."""
        return int((self.end - self.begin).sum())


NO_HOLES = Holes(begin=np.empty(0, dtype=np.int64), end=np.empty(0, dtype=np.int64))


def find_holes(counts: SecondCounts) -> Holes:
    """Silences that no traffic explains: long beside all others, in the middle of much.

    A service that sleeps at night falls silent slowly; a recording stops at once. So a silence is a hole where it is a
    minute long at the least, a hundred requests or more were to be expected in it at the lower of the rates of the five
    minutes before and after it, and it is five times as long as the longest silence that is none. That last rule leaves
    traffic alone that comes in turns with silence by its nature.
    """
    gap = np.diff(counts.second) - counts.step_s
    n_kept = min(gap.size, _HOLES_AT_MOST + 1)
    order = np.argpartition(-gap, n_kept - 1)[:n_kept] if n_kept else np.empty(0, dtype=np.intp)
    order = order[np.argsort(-gap[order], kind="stable")]
    longest = np.append(gap[order], 0)
    is_far = longest[:-1] >= _TIMES_THE_NEXT * np.maximum(longest[1:], counts.step_s)
    far = np.flatnonzero(is_far[:_HOLES_AT_MOST])
    if not far.size:
        return NO_HOLES
    at = np.sort(order[: far[-1] + 1])
    begin, end = counts.second[at] + counts.step_s, counts.second[at + 1]
    length = end - begin
    is_hole = (length >= _SHORTEST_HOLE_S) & (_expected(counts, begin, end) * length >= _REQUESTS_MISSED)
    return Holes(begin=begin[is_hole], end=end[is_hole])


def _expected(counts: SecondCounts, begin: Seconds, end: Seconds) -> Counts:
    """Requests per second beside each silence, on the quieter of its sides."""
    beside_s = max(_BESIDE_S, 10 * counts.step_s)
    total = np.concatenate([[0.0], np.cumsum(counts.count)])

    def between(low: Seconds, high: Seconds) -> Counts:
        inside: Counts = total[np.searchsorted(counts.second, high)] - total[np.searchsorted(counts.second, low)]
        return inside

    return np.minimum(between(begin - beside_s, begin), between(end, end + beside_s)) / float(beside_s)


def covered(holes: Holes, begin: Seconds, end: Seconds) -> Counts:
    """Seconds of each stretch [begin, end) that no hole takes away."""
    length = (end - begin).astype(np.float64)
    for hole_begin, hole_end in zip(holes.begin, holes.end, strict=True):
        length -= np.maximum(np.minimum(end, hole_end) - np.maximum(begin, hole_begin), 0)
    return length
