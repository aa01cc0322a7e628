"""A demand as the section `traffic` of a scenario, with where each figure comes from, and the files that it names."""

import math
from pathlib import Path

from loadplan.demand.records import Absent, Demand, Dispersion, Growth, RowsSeen, WeekSeen
from loadplan.demand.words import moment_text, rate_text, span_text
from loadplan.errors import InputError
from loadplan.scenario.arrivals import IntervalCounts
from loadplan.scenario.rows_law import P95_OF_MEAN_AT_MOST
from loadplan.store.files import write_text

_COMMENT_COLUMN = 38
_POISSON_AT_MOST = 1.2  # an index of dispersion above it is not the luck of the draw in any log of use
_CV_AT_MOST = 10.0
_LAW_WINDOW_S = 10  # gaps of a law that has as much dispersion in such windows
_BUSY_HOUR_RATIO = 0.7  # a day whose mean is above so much of its peak is as good as flat
_DIGITS = 6


def traffic_block(demand: Demand, *, trace_file: Path | None, week_file: Path | None = None) -> str:
    """The section, as YAML with comments; a scenario takes it as it is.

    Args:
        demand: what to write.
        trace_file: where the recording lies, as the scenario is to name it; None: a law stands in its place.
        week_file: where the week lies, as the scenario is to name it; None: the peak is taken to last all week.
    """
    lines = [f"# {_one_line(line)}" for line in (_head(demand), *demand.corrections)]
    lines += [f"# doubt: {_one_line(caveat.what)}" for caveat in demand.caveats]
    lines.append("traffic:")
    lines.append(_key("peak_rps", f"{demand.peak_hour.rate_rps:.6g}", _peak_comment(demand)))
    if demand.contents.rows is not None and not demand.contents.classes:
        lines.append(_rows_line(demand.contents.rows, "  "))
    lines += _class_lines(demand)
    lines.append(_arrivals_line(demand, trace_file))
    lines.append(_profile_line(demand, week_file))
    if isinstance(demand.growth, Growth):
        lines.append(_growth_line(demand.growth))
    return "\n".join(lines) + "\n"


def write_trace(demand: Demand, path: Path) -> bool:
    """Write the recording as a CSV that `traffic.arrivals: {process: trace}` reads; False where there is none.

    Raises:
        EnvironmentFault: when the disk won't have it.
    """
    recording = demand.recording
    if isinstance(recording, Absent):
        return False
    if isinstance(recording, IntervalCounts):
        rows = (f"{i * recording.interval_s:g},{count}" for i, count in enumerate(recording.counts))
        write_text(path, "\n".join(["time_s,count", *rows]) + "\n")
    else:
        write_text(path, "\n".join(["time_s", *(f"{time_s:.{_DIGITS}f}" for time_s in recording.times_s)]) + "\n")
    return True


def write_week(demand: Demand, path: Path) -> bool:
    """Write the week as a CSV that `traffic.profile` reads; False where there is none.

    Raises:
        EnvironmentFault: when the disk won't have it.
    """
    if not isinstance(demand.week, WeekSeen):
        return False
    rows = (f"{hour},{share:g}" for hour, share in enumerate(demand.week.shares))
    write_text(path, "\n".join(["hour_of_week,share_of_peak", *rows]) + "\n")
    return True


def write_traffic(demand: Demand, path: Path, *, may_replace: bool) -> tuple[Path, ...]:
    """Write the section and, beside it, the files that it names; returns their paths, the section first.

    Raises:
        InputError: when one of them is there already and may not be replaced.
        EnvironmentFault: when the disk won't have them.
    """
    trace, week = path.with_suffix(".trace.csv"), path.with_suffix(".week.csv")
    there = [file for file in (path, trace, week) if file.exists()]
    if there and not may_replace:
        raise InputError(
            what="the file is there already",
            where=str(there[0]),
            fix="name another with -o, or replace it with --force",
        )
    beside = [
        trace if write_trace(demand, trace) else None,
        week if write_week(demand, week) else None,
    ]
    trace_name, week_name = (None if file is None else Path(file.name) for file in beside)
    write_text(path, traffic_block(demand, trace_file=trace_name, week_file=week_name))
    return (path, *(file for file in beside if file is not None))


# Lines


def _head(demand: Demand) -> str:
    if not demand.span_s:
        return f"By `loadplan demand` from {demand.source}: {demand.n_requests:,.0f} requests a day."
    began = "" if demand.began_at_s is None else f" from {moment_text(demand.began_at_s)}"
    span = f"{span_text(demand.span_s)}{began}"
    return f"By `loadplan demand` from {demand.source}: {demand.n_requests:,.0f} requests in {span}"


def _peak_comment(demand: Demand) -> str:
    peak = demand.peak_hour
    if not demand.span_s:
        return f"{demand.basis}: requests per second in the busiest hour"
    at = "" if peak.at_s is None else f", from {moment_text(peak.at_s)}"
    interval = peak.interval
    if interval is None:
        return f"measured: the busiest {span_text(peak.window_s)}{at}; no interval: {peak.interval_reason}"
    return (
        f"measured: the busiest {span_text(peak.window_s)}{at}; of as long again, a week at least, "
        f"{rate_text(interval.low)} to {rate_text(interval.high)} ({interval.confidence_ratio:.0%})"
    )


def _rows_line(rows: RowsSeen, indent: str) -> str:
    value, comment = _rows_value(rows)
    return _key("rows_per_request", value, comment, indent=indent)


def _rows_value(rows: RowsSeen) -> tuple[str, str]:
    """Rows as a scenario writes them, and where they come from."""
    comment = f"measured of {rows.n_requests:,} requests: mean {rows.mean:.4g}, p95 {rows.p95:g}, most {rows.most:,}"
    if rows.most == 1 or (rows.mean == rows.p95 == rows.most):
        return f"{rows.most}", comment
    if rows.p95 <= rows.mean:
        return f"{math.ceil(rows.mean)}", f"{comment}; few requests carry most rows, which no law here has: the mean"
    p95 = min(rows.p95, 0.999 * P95_OF_MEAN_AT_MOST * rows.mean)
    if p95 < rows.p95:
        comment += "; no lognormal law has so large a p95"
    return f"{{mean: {rows.mean:.6g}, p95: {p95:.6g}, max: {rows.most}}}", comment


def _class_lines(demand: Demand) -> list[str]:
    """Shares that sum to 1 as they are written: the largest class takes what rounding leaves."""
    classes = demand.contents.classes
    if not classes:
        return []
    shares = [round(one.share, _DIGITS) for one in classes]
    shares[0] = round(1.0 - math.fsum(shares[1:]), _DIGITS)
    lines = ["  classes:"]
    for one, share in zip(classes, shares, strict=True):
        rows = "" if one.rows is None else f", rows_per_request: {_rows_value(one.rows)[0]}"
        item = f"    - {{name: {_plain(one.name)}, share: {share:.{_DIGITS}f}{rows}}}"
        lines.append(f"{item:<{_COMMENT_COLUMN}} # measured: {one.n_requests:,.0f} requests")
    return lines


def _arrivals_line(demand: Demand, trace_file: Path | None) -> str:
    if trace_file is not None and not isinstance(demand.recording, Absent):
        return _key(
            "arrivals", f"{{process: trace, file: {_plain(str(trace_file))}}}", "measured: the busiest hour, replayed"
        )
    law, comment = arrival_law(demand)
    return _key("arrivals", law, comment)


def arrival_law(demand: Demand) -> tuple[str, str]:
    """A law for a demand without a recording, as a scenario writes it, and where it comes from."""
    measured = [one for one in demand.dispersion if isinstance(one, Dispersion)]
    if not measured:
        return "{process: poisson}", "assumed: callers who know nothing of each other; bursts are dearer"
    best = min(measured, key=lambda one: abs(math.log(one.window_s / _LAW_WINDOW_S)))
    said = f"an index of dispersion of {best.index:.3g} in {best.window_s} s"
    if best.index <= _POISSON_AT_MOST:
        return "{process: poisson}", f"measured: {said}"
    cv = min(math.sqrt(best.index), _CV_AT_MOST)
    return f"{{process: gamma, cv: {cv:.3g}}}", f"measured: {said}, which gaps of this cv have in the long run"


def _profile_line(demand: Demand, week_file: Path | None) -> str:
    if week_file is not None and isinstance(demand.week, WeekSeen):
        n = demand.week.n_hours_seen
        return _key("profile", _plain(str(week_file)), f"measured: {n} of 168 hours seen; hour 0 is Monday 00:00 UTC")
    if not demand.span_s and demand.mean_rps < _BUSY_HOUR_RATIO * demand.peak_hour.rate_rps:
        return _key("profile", "evening_peak", "assumed: days with a busy hour, which has 9 % of their requests")
    return _key("profile", "constant", "assumed: as busy as at the peak all week, since no week was recorded")


def _growth_line(growth: Growth) -> str:
    said = f"{growth.interval.low:.2%} to {growth.interval.high:.2%} a month in {growth.n_weeks} weeks"
    is_sure = growth.interval.low > 0.0 or growth.interval.high < 0.0
    if not is_sure:
        return _key("growth_per_month_ratio", "0", f"measured: {said}, which may be none")
    # The scenario takes a doubling each month at most.
    ratio = min(max(growth.per_month_ratio, -0.99), 1.0)
    return _key("growth_per_month_ratio", f"{ratio:.4f}", f"measured: {said}")


def _key(name: str, value: str, comment: str, *, indent: str = "  ") -> str:
    return f"{f'{indent}{name}: {value}':<{_COMMENT_COLUMN}} # {_one_line(comment)}"


def _plain(text: str) -> str:
    """A text in YAML's single quotes, where it needs any."""
    is_plain = (
        text.replace(".", "").replace("-", "").replace("_", "").replace("/", "").isalnum() and not text[0].isdigit()
    )
    return text if is_plain and text.lower() not in {"null", "true", "false"} else "'" + text.replace("'", "''") + "'"


def _one_line(text: str) -> str:
    """Without line breaks and whatever else a log may have brought that a scenario doesn't take."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
