"""What a log, or the figures of a business, say of the traffic: one record, and why where it can't say something.

Times are seconds, moments are seconds since 1970 in UTC. Rates are requests per second as callers sent them: what was
refused, or answered with an error, is demand as well.
"""

from dataclasses import dataclass
from typing import Literal

from loadplan.caveat import Basis, Caveat
from loadplan.scenario.arrivals import Recording
from loadplan.stats import Interval

LogFormat = Literal["csv", "jsonl", "parquet", "nginx", "apache"]
Stamps = Literal["start", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A figure that can't be had, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The busiest stretch of a length."""

    window_s: int
    rate_rps: float  # on average over the stretch
    at_s: float | None  # when it began; None: the log has no calendar, or there is no log
    interval: Interval | None  # of the busiest stretch of as long a time again, of a week at the least
    interval_reason: str = ""  # why there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    """Variance over mean of the requests in windows of a length, within hours: 1 for Poisson arrivals."""

    window_s: int
    index: float
    n_windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekSeen:
    """The rate in each hour of the week, as a share of the peak; hour 0 is Monday 00:00 UTC."""

    shares: tuple[float, ...]  # 168, the largest is 1
    n_hours_seen: int  # of the 168; the others are the mean of the same hour on the days that were seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How the weekly volume changes, by a straight line through its logarithm."""

    per_month_ratio: float  # 0.03: 3 % more each month
    interval: Interval
    n_weeks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSeen:
    """Rows of a request."""

    mean: float
    p95: float
    most: int
    n_requests: int  # of which the log tells it


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSeen:
    """Bytes of what a column holds, of a request or of its answer."""

    column: str  # its name in the log
    mean_bytes: float
    p95_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSeen:
    """A segment of the requests."""

    name: str
    share: float  # of all; those of all classes sum to 1
    n_requests: float
    rows: RowsSeen | None  # None: the log doesn't tell


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSeen:
    """What was asked for, without what follows a question mark."""

    method: str  # empty where the log doesn't tell
    path: str
    share: float  # of the requests in the log, whichever of them count
    is_counted: bool  # whether its requests are part of the demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A figure that may be another one, and the peak if it is."""

    code: str  # of the caveat that says why
    what: str  # such as "the peak share is 20 % and not 10 %"
    peak_rps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What requests are, beside when they come."""

    classes: tuple[ClassSeen, ...] = ()  # empty: the log tells of none
    rows: RowsSeen | None = None
    sizes: tuple[SizeSeen, ...] = ()
    paths: tuple[PathSeen, ...] = ()  # the most frequent first
    failed_ratio: float | None = None  # answers of 500 and above, and 429; None: the log doesn't tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The traffic to plan for."""

    source: str  # such as "access.log" or "250,000 users a day"
    basis: Basis
    peak_hour: Peak  # its rate is the `peak_rps` of a scenario
    peak_minute: Peak | Absent
    peak_second: Peak | Absent
    mean_rps: float  # over the time that was recorded
    n_requests: float  # as callers sent them, so that those which a sample left out count
    span_s: float  # from the first to the last request; 0 where there is no log
    missing_s: float  # of that without a recording
    began_at_s: float | None  # None: no calendar, or no log
    dispersion: tuple[Dispersion | Absent, ...]  # in windows of 1, 10 and 60 s
    week: WeekSeen | Absent
    growth: Growth | Absent
    contents: Contents
    recording: Recording | Absent  # of the busiest hour, to be replayed
    corrections: tuple[str, ...]  # what was found in the log and put right, each with its size
    doubts: tuple[Doubt, ...]
    caveats: tuple[Caveat, ...]
