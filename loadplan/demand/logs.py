"""Logs of a service as the demand to plan for: read, put right, and told with what they may have missed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadplan.caveat import Caveat
from loadplan.clock import utc_now
from loadplan.demand.columns import FOUND_BY_NAME, LogColumns
from loadplan.demand.contents import read_contents, read_paths
from loadplan.demand.counts import Holes, SecondCounts, busiest, daily_maxima, find_holes, step_of
from loadplan.demand.dispersion import dispersion_within_hours, unthinned
from loadplan.demand.doubts import content_doubts, holes_text, sampling_doubts, span_doubts, week_doubts
from loadplan.demand.ingest import Ingested, ingest
from loadplan.demand.log_file import open_logs
from loadplan.demand.next_peak import DAYS_AT_LEAST, next_peak
from loadplan.demand.recording import cut_recording
from loadplan.demand.records import Absent, Demand, Dispersion, Doubt, LogFormat, Peak, WeekSeen
from loadplan.demand.repairs import Repaired, repair
from loadplan.demand.sql import number
from loadplan.demand.week import growth_seen, week_seen
from loadplan.demand.words import rate_text, span_text
from loadplan.errors import InputError
from loadplan.scenario.arrivals import Recording

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HOUR_S, _MINUTE_S = 3600, 60
_DISPERSION_WINDOWS_S = (1, 10, 60)
_STEPS_PER_WINDOW = 10  # where steps don't divide a window, so many of them make its edges matter little
_STEP_NEEDS = 20  # different moments of single requests; counts come in steps anyway
_STAMPS_OF = {"nginx": "end", "apache": "start"}


def read_demand(
    paths: Sequence[Path],
    *,
    log_format: LogFormat | None = None,
    time_zone: str | None = None,
    sampled_ratio: float | None = None,
    columns: LogColumns = FOUND_BY_NAME,
    path: str | None = None,
    now: datetime | None = None,
    memory_bytes: int | None = None,
) -> Demand:
    """The demand that logs show.

    Args:
        paths: files of one service, of one kind, in any order.
        log_format: what they are; None: by what stands in them.
        time_zone: of times that name none, such as Europe/Berlin; None: UTC, with a caveat.
        sampled_ratio: share of all requests that the log holds, 0 < p <= 1; None: what the log itself says, or all.
        columns: what the user says of its columns.
        path: beginning of the paths that count; None: all.
        now: nothing can have been recorded later; None: the present.
        memory_bytes: what reading may take beside the figures; None: a quarter of what is free.

    Raises:
        InputError: when a log can't be used, with what is wrong and what would do.
    """
    if sampled_ratio is not None and not 0.0 < sampled_ratio <= 1.0:
        raise InputError(
            what=f"a share of {sampled_ratio:g} of the requests can't have been kept",
            where="--sampled",
            fix="write the share, such as 0.01 where one request in a hundred was kept",
        )
    chosen = columns
    if columns.stamps is None and log_format in _STAMPS_OF:
        chosen = replace(columns, stamps="end" if _STAMPS_OF[log_format] == "end" else "start")
    with (
        open_logs(paths, log_format=log_format) as files,
        ingest(files, chosen=chosen, memory_bytes=memory_bytes) as log,
    ):
        seen_paths = read_paths(log.database, counted=path)
        repaired = repair(log, now=now or utc_now(), time_zone=time_zone, stamps=chosen.stamps, path=path)
        sampling = _sampling(log, sampled_ratio)
        counts = _counts(log, repaired, sampling)
        contents = read_contents(log.database, log.roles, seen_paths)
        series = _series(counts, sampling=sampling, has_calendar=log.time.has_calendar)
        peak = _peak(series, _HOUR_S)
        if isinstance(peak, Absent):
            peak = _peak_of(series, counts.step_s)
        recording = _recording(log.database, series, peak, has_fine_times=_is_fine(log, repaired))
    span_caveats, span_doubt = span_doubts(counts, peak, has_calendar=series.has_calendar)
    week = _week(series, peak)
    caveats: list[Caveat] = [
        *span_caveats,
        *content_doubts(contents, n_requests=counts.total * sampling.ratio),
        *sampling_doubts(peak, sampled_ratio=sampling.ratio, varies=sampling.varies),
        *repaired.caveats,
        *week_doubts(week, has_calendar=series.has_calendar),
    ]
    span_s = float(counts.end - int(counts.second[0]))
    missing_s = float(series.holes.length_s)
    return Demand(
        source=_source(paths),
        basis="measured",
        peak_hour=peak,
        peak_minute=_peak(series, _MINUTE_S),
        peak_second=_peak(series, 1),
        mean_rps=counts.total / (span_s - missing_s),
        n_requests=counts.total,
        span_s=span_s,
        missing_s=missing_s,
        began_at_s=float(counts.second[0]) if series.has_calendar else None,
        dispersion=tuple(_dispersion(series, window_s) for window_s in _DISPERSION_WINDOWS_S),
        week=week,
        growth=growth_seen(counts, holes=series.holes),
        contents=contents,
        recording=recording,
        corrections=(*repaired.corrections, *sampling.said, *_step_text(counts, repaired), *holes_text(series.holes)),
        doubts=(*_upper_end(peak), *span_doubt),
        caveats=tuple(caveats),
    )


# Sampling and counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sampling:
    """How many of all requests the log holds."""

    ratio: float  # 1: all of them
    varies: bool  # from line to line; the ratio then says nothing
    said: tuple[str, ...]


def _sampling(log: Ingested, given: float | None) -> _Sampling:
    """What the log says of itself, times what the user says of it."""
    ratio, said = given or 1.0, []
    if given is not None and given < 1.0:
        said.append(f"the log holds {given:.3g} of all requests; rates are scaled up")
    if log.roles.weight is None:
        return _Sampling(ratio=ratio, varies=False, said=tuple(said))
    if log.roles.count is not None:  # its weights are counts as well; what share they are of stays unsaid
        return _Sampling(ratio=ratio, varies=True, said=(*said, f"counts are scaled up by {log.roles.weight}"))
    least, most = (number(log.database, f"SELECT {which}(weight) FROM requests") for which in ("min", "max"))
    if most <= 1.0:
        return _Sampling(ratio=ratio, varies=False, said=tuple(said))
    said.append(f"each line stands for as many requests as {log.roles.weight} says, {least:g} to {most:g}")
    if most - least > 1e-9 * most:
        return _Sampling(ratio=ratio, varies=True, said=tuple(said))
    return _Sampling(ratio=ratio / most, varies=False, said=tuple(said))


def _counts(log: Ingested, repaired: Repaired, sampling: _Sampling) -> SecondCounts:
    """Requests by second, as callers sent them."""
    # What the log says of its sampling is in the weights already.
    own = (
        1.0 if log.roles.weight is None or sampling.varies else number(log.database, "SELECT max(weight) FROM requests")
    )
    found = log.database.execute(
        "SELECT CAST(floor(at_s) AS BIGINT) AS second, sum(weight) AS n FROM requests GROUP BY second ORDER BY second"
    ).fetchnumpy()
    second = np.asarray(found["second"], dtype=np.int64)
    count = np.asarray(found["n"], dtype=np.float64) / (sampling.ratio * own)
    if second.size < 2 or not count.any():
        raise InputError(
            what="the log holds no requests" if not count.any() else "all requests of the log came in the same second",
            where="the log",
            fix="name a log of an hour or more; a week shows the peak",
        )
    n_least = _STEP_NEEDS if log.roles.count is None else 2
    step_s = step_of(second, n_least=n_least) if repaired.has_whole_seconds else 1
    return SecondCounts(second=second, count=count, step_s=step_s)


def _is_fine(log: Ingested, repaired: Repaired) -> bool:
    return not repaired.has_whole_seconds and log.roles.count is None


def _step_text(counts: SecondCounts, repaired: Repaired) -> tuple[str, ...]:
    if not repaired.has_whole_seconds:
        return ()
    if counts.step_s > 1:
        return (
            f"times come in steps of {span_text(counts.step_s)}: nothing shorter is told, and a replay spreads each",
        )
    return ("times were cut to whole seconds: a replay spreads the requests of each second at random",)


# Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """Counts, and what is needed to read them."""

    counts: SecondCounts
    holes: Holes
    sampling: _Sampling
    has_calendar: bool


def _series(counts: SecondCounts, *, sampling: _Sampling, has_calendar: bool) -> _Series:
    kept = replace(counts, count=counts.count * sampling.ratio)
    return _Series(counts=counts, holes=find_holes(kept), sampling=sampling, has_calendar=has_calendar)


def _peak(series: _Series, window_s: int) -> Peak | Absent:
    step_s = series.counts.step_s
    if window_s % step_s and window_s < _STEPS_PER_WINDOW * step_s:
        return Absent(reason=f"the log's times come in steps of {step_s:,} s")
    return _peak_of(series, window_s)


def _peak_of(series: _Series, window_s: int) -> Peak:
    counts = series.counts
    length_s = min(window_s, counts.end - int(counts.second[0]))
    found = busiest(counts, length_s)
    rate_rps = found.count / length_s
    maxima = daily_maxima(counts, length_s, holes=series.holes) / length_s
    interval = next_peak(maxima, observed=rate_rps)
    reason = ""
    if interval is None:
        days = "day was" if maxima.size == 1 else "days were"
        reason = f"{maxima.size} whole {days} recorded, and {DAYS_AT_LEAST} busy ones say how days differ"
    return Peak(
        window_s=length_s,
        rate_rps=rate_rps,
        at_s=float(found.begins) if series.has_calendar else None,
        interval=interval,
        interval_reason=reason,
    )


def _upper_end(peak: Peak) -> tuple[Doubt, ...]:
    if peak.interval is None or peak.interval.high <= peak.rate_rps:
        return ()
    high_rps = peak.interval.high
    what = f"the busiest hour to come brings {rate_text(high_rps)} requests/s and not {rate_text(peak.rate_rps)}"
    return (Doubt(code="demand.peak", what=what, peak_rps=high_rps),)


def _dispersion(series: _Series, window_s: int) -> Dispersion | Absent:
    if series.sampling.varies:
        return Absent(reason="lines stand for different numbers of requests")
    ratio = series.sampling.ratio
    found = dispersion_within_hours(series.counts, window_s, holes=series.holes)
    if isinstance(found, Absent) or ratio == 1.0:
        return found
    # The counts were scaled up, and with them the index of what was kept.
    return replace(found, index=unthinned(found.index * ratio, sampled_ratio=ratio))


def _week(series: _Series, peak: Peak) -> WeekSeen | Absent:
    if not series.has_calendar:
        return Absent(reason="the log's times have no date")
    return week_seen(series.counts, peak_rps=peak.rate_rps, holes=series.holes)


def _recording(
    database: "DuckDBPyConnection", series: _Series, peak: Peak, *, has_fine_times: bool
) -> Recording | Absent:
    if series.sampling.varies or series.sampling.ratio < 1.0:
        return Absent(reason="it is a sample, and those that were left out would be missing from every burst")
    found = busiest(series.counts, peak.window_s)
    return cut_recording(
        database, series.counts, begins=found.begins, length_s=peak.window_s, has_fine_times=has_fine_times
    )


def _source(paths: Sequence[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{len(paths)} logs, {paths[0].name} and others"
