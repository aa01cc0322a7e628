"""The week of a log as shares of the peak, and how its volume grows from week to week."""

import math

import numpy as np
from numpy.typing import NDArray

from loadplan.demand.counts import SECONDS_PER_DAY, Holes, SecondCounts, covered
from loadplan.demand.records import Absent, Growth, WeekSeen
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.stats import Interval
from loadplan.units import HOURS_PER_WEEK

_HOUR_S = 3600
_HOURS_PER_DAY = 24
_MONDAY_S = 4 * SECONDS_PER_DAY  # the first Monday after the beginning of 1970, which was a Thursday
_WEEK_S = 7 * SECONDS_PER_DAY
_MONTH_S = 365.25 / 12 * SECONDS_PER_DAY
_SEEN_RATIO = 0.5  # of an hour of the week, at the least, to be told
_WEEKS_AT_LEAST = 8
_CONFIDENCE_RATIO = 0.95


def hour_of_week(second: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 is Monday 00:00 UTC."""
    return (second - _MONDAY_S) // _HOUR_S % HOURS_PER_WEEK


def week_seen(counts: SecondCounts, *, peak_rps: float, holes: Holes) -> WeekSeen | Absent:
    """The mean rate in each hour of the week over the peak's rate; the busiest hour is the peak's and has the share 1.

    So the volume of the week stays true, where the peak was in another week or across two hours of the clock. An hour
    that was never seen is taken to be as the same hour of the days that were.
    """
    if counts.step_s > _HOUR_S:
        return Absent(reason=f"the log's times come in steps of {counts.step_s:,} s")
    first, last = int(counts.second[0]) // _HOUR_S, (counts.end - 1) // _HOUR_S
    starts = np.arange(first, last + 1, dtype=np.int64) * _HOUR_S
    clipped = np.clip([starts, starts + _HOUR_S], int(counts.second[0]), counts.end)
    seen_s = covered(holes, clipped[0], clipped[1])
    requests = np.bincount(counts.second // _HOUR_S - first, weights=counts.count, minlength=starts.size)
    hours = hour_of_week(starts)
    seen_of_hour = np.bincount(hours, weights=seen_s, minlength=HOURS_PER_WEEK)
    requests_of_hour = np.bincount(hours, weights=requests, minlength=HOURS_PER_WEEK)
    is_seen = seen_of_hour >= _SEEN_RATIO * _HOUR_S
    rate = np.divide(requests_of_hour, seen_of_hour, out=np.zeros(HOURS_PER_WEEK), where=is_seen)
    by_day, seen_by_day = rate.reshape(7, _HOURS_PER_DAY), is_seen.reshape(7, _HOURS_PER_DAY)
    n_days = seen_by_day.sum(axis=0)
    if not n_days.all():
        missing = int(np.count_nonzero(n_days == 0))
        return Absent(reason=f"{missing} of the 24 hours of a day were never recorded")
    of_any_day = by_day.sum(axis=0) / n_days
    shares = np.where(seen_by_day, by_day, of_any_day).ravel() / peak_rps
    shares[int(shares.argmax())] = 1.0
    rounded = tuple(round(min(float(share), 1.0), 6) for share in shares)
    return WeekSeen(shares=rounded, n_hours_seen=int(np.count_nonzero(is_seen)))


def growth_seen(counts: SecondCounts, *, holes: Holes) -> Growth | Absent:
    """A straight line through the logarithms of the mean rates of whole weeks, by ordinary least squares.

    With b its slope per week and s(b) that slope's standard error, the growth is exp(b w) - 1 with w the weeks of a
    month, and its interval the same of b ± t s(b), Student's t on n - 2 degrees of freedom.
    """
    begin = int(counts.second[0])
    n_weeks = (counts.end - begin) // _WEEK_S
    if n_weeks < _WEEKS_AT_LEAST:
        return Absent(reason=f"the log spans {n_weeks} whole weeks, and growth is told of {_WEEKS_AT_LEAST} or more")
    starts = begin + _WEEK_S * np.arange(n_weeks, dtype=np.int64)
    seen_s = covered(holes, starts, starts + _WEEK_S)
    requests = np.bincount((counts.second - begin) // _WEEK_S, weights=counts.count, minlength=n_weeks)[:n_weeks]
    is_told = (seen_s >= _SEEN_RATIO * _WEEK_S) & (requests > 0.0)
    n = int(np.count_nonzero(is_told))
    if n < _WEEKS_AT_LEAST:
        return Absent(reason=f"only {n} weeks were recorded by half or more")
    week = np.flatnonzero(is_told).astype(np.float64)
    logs = np.log(requests[is_told] / seen_s[is_told])
    week -= week.mean()
    slope = float(week @ logs / (week @ week))
    rest = logs - logs.mean() - slope * week
    error = math.sqrt(float(rest @ rest) / (n - 2) / float(week @ week))
    from scipy.special import stdtrit

    half = float(stdtrit(n - 2, 0.5 + _CONFIDENCE_RATIO / 2.0)) * error
    weeks_per_month = _MONTH_S / _WEEK_S
    low, middle, high = (math.expm1(weeks_per_month * b) for b in (slope - half, slope, slope + half))
    return Growth(per_month_ratio=middle, interval=Interval(low=low, high=high), n_weeks=n)


def times_the_recorded_hours(hours: NDArray[np.int64], profile: str) -> float:
    """How many times as busy a named week's busiest hour is as the busiest of these hours of the week."""
    shares = WEEK_PROFILES[profile]()
    return max(shares) / max(shares[int(hour)] for hour in hours)
