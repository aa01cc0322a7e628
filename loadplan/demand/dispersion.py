"""How much of the traffic comes in bursts: variance over mean of counts, around the mean of each hour.

The rhythm of a day is no burst: over a whole day the variance of the counts of minutes is mostly that of the hour. So
each window is held to the mean of its own hour. Poisson arrivals whose rate changes by the hour have an index of 1.
"""

from dataclasses import dataclass

import numpy as np

from loadplan.demand.counts import Counts, Holes, SecondCounts, Seconds
from loadplan.demand.records import Absent, Dispersion

_HOUR_S = 3600
_WINDOWS_AT_LEAST = 20  # of which a variance says something


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    """The whole windows of a log; only those with requests are kept one by one."""

    n_of_hour: Seconds  # (n_hours,) windows of each hour, whether anything came in them or not
    hour: Seconds  # (m,) of each window with requests
    count: Counts  # (m,) requests in it


def dispersion_within_hours(counts: SecondCounts, window_s: int, *, holes: Holes) -> Dispersion | Absent:
    """The index for one window: the squares around the means of the hours, over their degrees of freedom and the mean.

    With c the counts in the n_h whole windows of hour h and N the windows of all hours,
    (Σ_h Σ (c - mean_h)² / Σ_h (n_h - 1)) / (Σ c / N). Hours begin with the log; windows that a hole touches are left
    out. For a log of an hour it is the plain index of dispersion. `window_s` divides an hour.
    """
    if window_s % counts.step_s:
        return Absent(reason=f"the log's times come in steps of {counts.step_s:,} s")
    n_windows = (counts.end - int(counts.second[0])) // window_s
    if n_windows < _WINDOWS_AT_LEAST:
        return Absent(reason=f"the log is shorter than {_WINDOWS_AT_LEAST} windows of {window_s} s")
    found = _whole_windows(counts, window_s, n_windows, holes)
    freedom = int((found.n_of_hour - 1).clip(min=0).sum())
    if freedom < _WINDOWS_AT_LEAST - 1 or not found.count.any():
        return Absent(reason=f"too few whole windows of {window_s} s were recorded")
    n_hours = found.n_of_hour.size
    sum_of_hour = np.bincount(found.hour, weights=found.count, minlength=n_hours)
    mean_of_hour = np.divide(sum_of_hour, found.n_of_hour, out=np.zeros(n_hours), where=found.n_of_hour > 0)
    n_empty = found.n_of_hour - np.bincount(found.hour, minlength=n_hours)
    squares = float(((found.count - mean_of_hour[found.hour]) ** 2).sum() + (n_empty * mean_of_hour**2).sum())
    n = int(found.n_of_hour.sum())
    return Dispersion(window_s=window_s, index=squares / freedom / (float(found.count.sum()) / n), n_windows=n)


def _whole_windows(counts: SecondCounts, window_s: int, n_windows: int, holes: Holes) -> _Windows:
    """The first `n_windows` but those that a hole touches: a log of years has a thousand times as many as requests."""
    begin = int(counts.second[0])
    at = (counts.second - begin) // window_s
    n_hours = -(-n_windows * window_s // _HOUR_S)
    edges = np.minimum(np.arange(n_hours + 1, dtype=np.int64) * (_HOUR_S // window_s), n_windows)
    n_of_hour = np.diff(edges)
    is_whole, n_told = at < n_windows, 0
    for hole_begin, hole_end in zip(holes.begin, holes.end, strict=True):
        # Two holes may touch the same window, which is left out once.
        first = max((int(hole_begin) - begin) // window_s, n_told)
        n_told = min((int(hole_end) - 1 - begin) // window_s + 1, n_windows)
        n_of_hour -= np.diff(np.clip(edges, first, max(n_told, first)))
        is_whole &= (at < first) | (at >= n_told)
    window = np.unique(at[is_whole])
    place = np.searchsorted(window, at[is_whole])
    count = np.zeros(window.size)
    np.add.at(count, place, counts.count[is_whole])
    return _Windows(n_of_hour=n_of_hour, hour=window * window_s // _HOUR_S, count=count)


def unthinned(index: float, *, sampled_ratio: float) -> float:
    """The index of all requests where each was kept with the same chance, whatever the others were.

    With p that chance, a count N of all has a thinned one of mean p E N and variance p² Var N + p (1 - p) E N, so that
    I = 1 + (I_thinned - 1) / p (Cox & Isham, Point Processes, 1980, chapter 4.3). Never below 0.
    """
    return max(1.0 + (index - 1.0) / sampled_ratio, 0.0)
