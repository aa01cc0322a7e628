"""A demand on one screen, and as one object."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from loadplan.cli.figures import Document, caveats, figure, interval, usd
from loadplan.cli.lines import doubt_text, line
from loadplan.demand.records import Absent, Contents, Demand, Dispersion, Growth, Peak, RowsSeen, WeekSeen
from loadplan.demand.traffic_block import arrival_law
from loadplan.demand.words import moment_text, rate_text, span_text
from loadplan.scenario.arrivals import RequestTimes
from loadplan.units import usd_text

_WINDOWS_S = (1, 10, 60)
_N_CLASSES = 5
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def demand_lines(demand: Demand, *, prices: Sequence[Decimal | None], files: Sequence[Path]) -> list[str]:
    """One labelled line for each question, in the order in which people ask.

    `prices`: what a month costs more by each doubt, None where it can't be told; empty where nobody asked.
    """
    lines = [line("peak", _peak_text(demand)), *_shorter_peaks(demand), line("mean", _mean_text(demand))]
    bursts = [f"{one.index:.3g} in {one.window_s} s" for one in demand.dispersion if isinstance(one, Dispersion)]
    if bursts:
        lines.append(line("bursts", f"index of dispersion {', '.join(bursts)}; callers who know nothing of others: 1"))
    if isinstance(demand.week, WeekSeen):
        lines.append(line("week", _week_text(demand.week)))
    lines += _content_lines(demand.contents)
    if isinstance(demand.growth, Growth):
        growth = demand.growth
        span = f"{growth.interval.low:.1%} to {growth.interval.high:.1%}"
        lines.append(line("growth", f"{growth.per_month_ratio:.1%} a month ({span}), of {growth.n_weeks} weeks"))
    lines.append(line("arrivals", _arrivals_text(demand)))
    lines += _labelled("corrected", demand.corrections)
    lines += _labelled("doubts", [doubt_text(caveat) for caveat in demand.caveats])
    lines += _labelled("price", _price_texts(demand, prices))
    lines.append(line("written", ", ".join(map(str, files))))
    lines.append(line("next", f"put {files[0]} in the place of `traffic` in a scenario beside it (`loadplan init`)"))
    return lines


def demand_document(demand: Demand, *, prices: Sequence[Decimal | None], files: Sequence[Path]) -> Document:
    """Everything that was found; a figure that can't be had is null, with the reason."""
    missing: Sequence[Decimal | None] = prices or [None] * len(demand.doubts)
    why = "no fleet that the run's plan may buy carries it" if prices else "no run was named with --run"
    return {
        "schema": "loadplan.demand/1",
        "source": demand.source,
        "basis": demand.basis,
        **_peak_document("peak_hour", demand.peak_hour),
        **_peak_document("peak_minute", demand.peak_minute),
        **_peak_document("peak_second", demand.peak_second),
        "mean_rps": demand.mean_rps,
        "n_requests": demand.n_requests,
        "span_s": demand.span_s,
        "missing_s": demand.missing_s,
        **figure("began_at", _iso(demand.began_at_s), "there is no log, or its times have no date"),
        **_dispersion_document(demand),
        **_week_document(demand),
        **_growth_document(demand),
        **_content_document(demand.contents),
        **_recording_document(demand),
        "corrections": list(demand.corrections),
        "doubts": [
            {
                "code": doubt.code,
                "what": doubt.what,
                "peak_rps": doubt.peak_rps,
                **figure("usd_per_month_more", None if more is None else usd(more), why),
            }
            for doubt, more in zip(demand.doubts, missing, strict=True)
        ],
        "caveats": caveats(demand.caveats),
        "files": [str(file) for file in files],
    }


# Lines


def _peak_text(demand: Demand) -> str:
    peak = demand.peak_hour
    if not demand.span_s:
        return f"{rate_text(peak.rate_rps)} requests/s in the busiest hour  [{demand.basis}]"
    at = "" if peak.at_s is None else f", from {moment_text(peak.at_s)}"
    stretch = "hour" if peak.window_s == 3600 else span_text(peak.window_s)
    text = f"{rate_text(peak.rate_rps)} requests/s in the busiest {stretch}"
    if peak.interval is None:
        return f"{text}{at}  [{demand.basis}]; no interval: {peak.interval_reason}"
    span = f"{rate_text(peak.interval.low)} to {rate_text(peak.interval.high)}"
    return f"{text}{at}  [{demand.basis}]; {span} in as long again, a week at least"


def _shorter_peaks(demand: Demand) -> list[str]:
    told = [
        f"{rate_text(peak.rate_rps)} requests/s in the busiest {name}"
        for name, peak in (("minute", demand.peak_minute), ("second", demand.peak_second))
        if isinstance(peak, Peak)
    ]
    return [line("", ", ".join(told))] if told else []


def _mean_text(demand: Demand) -> str:
    text = f"{rate_text(demand.mean_rps)} requests/s"
    if not demand.span_s:
        return f"{text}: {demand.n_requests:,.0f} requests a day"
    began = "" if demand.began_at_s is None else f" from {moment_text(demand.began_at_s)}"
    return f"{text}: {demand.n_requests:,.0f} requests in {span_text(demand.span_s)}{began}"


def _week_text(week: WeekSeen) -> str:
    mean = sum(week.shares) / len(week.shares)
    hour = week.shares.index(max(week.shares))
    return (
        f"busiest {_DAYS[hour // 24]} {hour % 24:02d}:00 UTC, on average {mean:.0%} of the peak, in its quietest hour "
        f"{min(week.shares):.0%}; {week.n_hours_seen} of 168 hours seen"
    )


def _content_lines(contents: Contents) -> list[str]:
    lines = []
    if contents.classes:
        shown = [f"{one.name} {one.share:.1%}" for one in contents.classes[:_N_CLASSES]]
        n_more = len(contents.classes) - len(shown)
        lines.append(line("classes", ", ".join(shown) + (f" and {n_more} more" if n_more else "")))
    elif contents.paths:
        shown = [f"{one.method} {one.path:.50} {one.share:.0%}".strip() for one in contents.paths[:3]]
        lines.append(line("paths", ", ".join(shown)))
    if contents.rows is not None:
        rows = contents.rows
        lines.append(line("rows", f"{rows.mean:.4g} on average, p95 {rows.p95:g}, most {rows.most:,}"))
    for size in contents.sizes:
        lines.append(line("size", f"{size.column}: {size.mean_bytes:,.0f} bytes on average, p95 {size.p95_bytes:,.0f}"))  # noqa: PERF401
    return lines


def _arrivals_text(demand: Demand) -> str:
    recording = demand.recording
    if isinstance(recording, Absent):
        law, comment = arrival_law(demand)
        return f"{law}  [{comment}]; nothing to replay: {recording.reason}"
    if isinstance(recording, RequestTimes):
        return f"the busiest hour is replayed, {len(recording.times_s):,} requests one by one"
    said = f"{sum(recording.counts):,} requests by their counts in {recording.interval_s:g} s"
    return f"the busiest hour is replayed, {said}"


def _price_texts(demand: Demand, prices: Sequence[Decimal | None]) -> list[str]:
    if not prices:
        return []
    return [
        f"if {doubt.what}: {'no fleet of the plan carries that' if more is None else _more(more)}"
        for doubt, more in zip(demand.doubts, prices, strict=True)
    ]


def _more(more: Decimal) -> str:
    if not more:
        return "nothing more"
    sign = "-" if more < 0 else "+"
    return f"{sign}{usd_text(abs(more))} a month"


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    return [line("" if i else label, text) for i, text in enumerate(texts)]


# The object


def _peak_document(name: str, peak: Peak | Absent) -> Document:
    if isinstance(peak, Absent):
        return {f"{name}_rps": None, f"{name}_rps_reason": peak.reason}
    ends = interval(f"{name}_rps", peak.interval)
    if peak.interval is None:
        ends[f"{name}_rps_low_reason"] = peak.interval_reason
    return {
        f"{name}_rps": peak.rate_rps,
        **ends,
        **figure(f"{name}_at", _iso(peak.at_s), "there is no log, or its times have no date"),
    }


def _dispersion_document(demand: Demand) -> Document:
    found: Document = {}
    for window_s, one in zip(_WINDOWS_S, demand.dispersion, strict=True):
        index, why = (None, one.reason) if isinstance(one, Absent) else (one.index, "")
        found.update(figure(f"dispersion_{window_s}_s", index, why))
    return found


def _week_document(demand: Demand) -> Document:
    week = demand.week
    if isinstance(week, Absent):
        return {"week_shares": None, "week_shares_reason": week.reason}
    return {"week_shares": list(week.shares), "n_hours_of_week_seen": week.n_hours_seen}


def _growth_document(demand: Demand) -> Document:
    growth, name = demand.growth, "growth_per_month_ratio"
    if isinstance(growth, Absent):
        return {name: None, f"{name}_reason": growth.reason}
    return {name: growth.per_month_ratio, **interval(name, growth.interval), "n_weeks": growth.n_weeks}


def _content_document(contents: Contents) -> Document:
    return {
        "classes": [
            {"name": one.name, "share": one.share, "n_requests": one.n_requests, **_rows_document(one.rows)}
            for one in contents.classes
        ],
        **_rows_document(contents.rows),
        "sizes": [asdict(size) for size in contents.sizes],
        "paths": [asdict(path) for path in contents.paths],
        **figure("failed_ratio", contents.failed_ratio, "the log tells no status"),
    }


def _rows_document(rows: RowsSeen | None) -> Document:
    return {"rows": None, "rows_reason": "the log tells no rows"} if rows is None else {"rows": asdict(rows)}


def _recording_document(demand: Demand) -> Document:
    recording = demand.recording
    if isinstance(recording, Absent):
        return {"replays": None, "replays_reason": recording.reason, "law": arrival_law(demand)[0]}
    return {"replays": "requests" if isinstance(recording, RequestTimes) else "counts"}


def _iso(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat()
