"""How much of the traffic comes in bursts: variance over mean of counts, around the mean of each hour.

The rhythm of a day is no burst: over a whole day the variance of the counts of minutes is mostly that of the hour. So
each window is held to the mean of its own hour. Poisson arrivals whose rate changes by the hour have an index of 1.
"""

import numpy as np

from loadplan.demand.counts import Holes, SecondCounts, covered
from loadplan.demand.records import Absent, Dispersion

_HOUR_S = 3600
_WINDOWS_AT_LEAST = 20  # of which a variance says something


def dispersion_within_hours(counts: SecondCounts, window_s: int, *, holes: Holes) -> Dispersion | Absent:
    """The index for one window: the squares around the means of the hours, over their degrees of freedom and the mean.

    With c the counts in the n_h whole windows of hour h and N the windows of all hours,
    (Σ_h Σ (c - mean_h)² / Σ_h (n_h - 1)) / (Σ c / N). Hours begin with the log; windows that a hole touches are left
    out. For a log of an hour it is the plain index of dispersion.
    """
    if window_s % counts.step_s:
        return Absent(reason=f"the log's times come in steps of {counts.step_s:,} s")
    begin = int(counts.second[0])
    n_windows = (counts.end - begin) // window_s
    if n_windows < _WINDOWS_AT_LEAST:
        return Absent(reason=f"the log is shorter than {_WINDOWS_AT_LEAST} windows of {window_s} s")
    starts = begin + window_s * np.arange(n_windows, dtype=np.int64)
    is_whole = covered(holes, starts, starts + window_s) >= window_s
    per_window = np.bincount((counts.second - begin) // window_s, weights=counts.count, minlength=n_windows)[:n_windows]
    hour = (starts - begin) // _HOUR_S
    hour, kept = hour[is_whole], per_window[is_whole]
    n_of_hour = np.bincount(hour)
    sum_of_hour = np.bincount(hour, weights=kept)
    freedom = int((n_of_hour - 1).clip(min=0).sum())
    if freedom < _WINDOWS_AT_LEAST - 1 or not sum_of_hour.any():
        return Absent(reason=f"too few whole windows of {window_s} s were recorded")
    mean_of_hour = np.divide(sum_of_hour, n_of_hour, out=np.zeros_like(sum_of_hour), where=n_of_hour > 0)
    squares = float(((kept - mean_of_hour[hour]) ** 2).sum())
    return Dispersion(
        window_s=window_s, index=squares / freedom / float(kept.mean()), n_windows=int(np.count_nonzero(is_whole))
    )


def unthinned(index: float, *, sampled_ratio: float) -> float:
    """The index of all requests where each was kept with the same chance, whatever the others were.

    With p that chance, a count N of all has a thinned one of mean p E N and variance p² Var N + p (1 - p) E N, so that
    I = 1 + (I_thinned - 1) / p (Cox & Isham, Point Processes, 1980, chapter 4.3). Never below 0.
    """
    return max(1.0 + (index - 1.0) / sampled_ratio, 0.0)
