"""What a log can't say, told with its size."""

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.demand.counts import Holes, SecondCounts
from loadplan.demand.records import Absent, Contents, Doubt, Peak, WeekSeen
from loadplan.demand.week import hour_of_week, times_the_recorded_hours
from loadplan.demand.words import span_text
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.units import HOURS_PER_WEEK

_WEEK_S = 7 * 86_400
_HOUR_S = 3600
_FEW_REQUESTS = 1_000
_WORTH_TELLING = 1.05  # a peak that may be higher by less is within what any log misses
_MOST_FREQUENT_RATIO = 0.9
_FAILED_RATIO = 0.01


def span_doubts(
    counts: SecondCounts, peak: Peak, *, has_calendar: bool
) -> tuple[tuple[Caveat, ...], tuple[Doubt, ...]]:
    """Of a log that is shorter than a week: how much busier an hour may be that isn't in it."""
    span_s = counts.end - int(counts.second[0])
    caveats: list[Caveat] = []
    if span_s < _HOUR_S:
        caveats.append(
            Caveat(
                code="demand.under_an_hour",
                what=f"the log spans {span_text(span_s)}; its mean rate stands for the busiest hour",
                fix="take a log of a week or more",
                number=float(span_s),
            )
        )
    if counts.step_s > _HOUR_S:
        caveats.append(
            Caveat(
                code="demand.coarse_steps",
                what=f"the log counts by {span_text(counts.step_s)}: its busiest hour is not seen, and the peak is the "
                "mean of the busiest step",
                fix="count by the hour or finer",
                number=float(counts.step_s),
            )
        )
    if span_s >= _WEEK_S or not has_calendar:
        return tuple(caveats), ()
    hours = np.unique(hour_of_week(np.arange(int(counts.second[0]), counts.end, _HOUR_S, dtype=np.int64)))
    factors = {name: times_the_recorded_hours(hours, name) for name in WEEK_PROFILES}
    name, factor = max(factors.items(), key=lambda item: item[1])
    what = f"the log holds {hours.size} of the 168 hours of a week, and a busier one may be among the others"
    doubts: tuple[Doubt, ...] = ()
    if factor > _WORTH_TELLING:
        what += f": were the week like {name}, its peak would be {factor:.2g} times the busiest hour of the log"
        doubt = f"the week is like {name}, and its busiest hour isn't in the log"
        doubts = (Doubt(code="demand.short", what=doubt, peak_rps=factor * peak.rate_rps),)
    caveats.append(Caveat(code="demand.short", what=what, fix="take a log of a week or more", number=factor))
    return tuple(caveats), doubts


def content_doubts(contents: Contents, *, n_requests: float) -> tuple[Caveat, ...]:
    """Of what the requests are."""
    caveats: list[Caveat] = []
    if n_requests < _FEW_REQUESTS:
        caveats.append(
            Caveat(
                code="demand.few_requests",
                what=f"the log holds {n_requests:,.0f} requests: figures of so few are rough",
                fix=f"take a log of {_FEW_REQUESTS:,} or more",
                number=n_requests,
            )
        )
    counted = [path for path in contents.paths if path.is_counted]
    if len(counted) > 1 and counted[0].share < _MOST_FREQUENT_RATIO * sum(path.share for path in counted):
        shown = ", ".join(f"{path.path:.40} {path.share:.0%}" for path in counted[:4])
        caveats.append(
            Caveat(
                code="demand.many_paths",
                what=f"requests of every path count, whether the model answers them or not: {shown}",
                fix=f"name what counts, such as --path {counted[0].path}",
                number=1.0 - counted[0].share,
            )
        )
    if contents.failed_ratio is not None and contents.failed_ratio > _FAILED_RATIO:
        caveats.append(
            Caveat(
                code="demand.failed",
                what=f"{contents.failed_ratio:.1%} of the requests failed or were refused (429 and 500 up): callers "
                "who asked again count twice, and those who gave up are not seen",
                fix="take a log of a time when the service kept up",
                number=contents.failed_ratio,
            )
        )
    return tuple(caveats)


def sampling_doubts(peak: Peak, *, sampled_ratio: float, varies: bool) -> tuple[Caveat, ...]:
    """Of a log that holds one request for several: how far off its busiest hour may be by the luck of the draw."""
    if varies:
        return (
            Caveat(
                code="demand.sampled",
                what="lines of the log stand for different numbers of requests: rates are scaled up line by line, and "
                "how bursty the traffic is can't be told",
                fix="keep every request for an hour of the busiest day",
            ),
        )
    if sampled_ratio >= 1.0:
        return ()
    n_kept = peak.rate_rps * peak.window_s * sampled_ratio
    # Of a count N of which each is kept with the chance p, n / p is off by sqrt((1 - p) / n) of itself.
    off = ((1.0 - sampled_ratio) / max(n_kept, 1.0)) ** 0.5
    return (
        Caveat(
            code="demand.sampled",
            what=f"the log is a sample of {sampled_ratio:.3g} of all requests: {n_kept:,.0f} stand for the busiest "
            f"hour, which is off by {off:.1%} on that account, and shorter peaks by more, mostly upwards",
            fix="keep every request for an hour of the busiest day",
            number=off,
        ),
    )


def week_doubts(week: WeekSeen | Absent, *, has_calendar: bool) -> tuple[Caveat, ...]:
    """Of a week that was not seen whole."""
    if isinstance(week, WeekSeen):
        if week.n_hours_seen == HOURS_PER_WEEK:
            return ()
        what = (
            f"{HOURS_PER_WEEK - week.n_hours_seen} of the 168 hours of the week were not seen; each is taken to be as "
        )
        return (
            Caveat(
                code="demand.week_in_part",
                what=f"{what}the same hour of the days that were",
                fix="take a log of a week or more",
                number=float(HOURS_PER_WEEK - week.n_hours_seen),
            ),
        )
    reason = week.reason if has_calendar else "its times have no date"
    return (
        Caveat(
            code="demand.no_week",
            what=f"the log doesn't tell how the traffic follows the week ({reason}): the peak is taken to last",
            fix="take a log of a week or more, with dates, or name a week such as office_hours",
        ),
    )


def holes_text(holes: Holes) -> tuple[str, ...]:
    """Silences that were taken for gaps of the recording, with the longest."""
    lengths: NDArray[np.int64] = holes.end - holes.begin
    if not lengths.size:
        return ()
    many = (
        f"{lengths.size} silences, the longest of {span_text(int(lengths.max()))}, are"
        if lengths.size > 1
        else (f"a silence of {span_text(int(lengths[0]))} is")
    )
    return (f"{many} taken for a gap of the recording, since traffic stops and goes on at once; no mean counts it",)
