"""The live run in detail: how response times spread, how late the generator itself was, and how it went in time.

The decision a reader would question: single seconds show their slowest request, not a p99, since a second holds too
few requests for one. An invalid run shows the generator's lateness, which is why it is invalid, and no latency.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadplan.load.records import LoadRun, Outcome, ServerWatch, WatchedSeries
from loadplan.load.verdict import clean_response_times_s, response_times_s, send_delay_summary
from loadplan.report.chart import Axis, Chart, Series
from loadplan.report.findings import Findings
from loadplan.report.limits import limit_marks
from loadplan.report.page import Block, Column, Figure, Section, Table, Text
from loadplan.report.sections.classes import class_spread, class_table
from loadplan.report.spread import curve, ticks
from loadplan.report.view import counted, digits, ms, percent, to_ms
from loadplan.stats import percentile, supported_percentile

Times = NDArray[np.float64]


def live_run_section(known: Findings) -> Section | None:
    """The verification run; where there is none, the last calibration run that offered a steady rate."""
    run = known.verification or _last_steady(known)
    if run is None or not run.requests.n_requests:
        return None
    blocks: list[Block] = [Text(text=_lateness(run), tone="plain" if run.verdict.valid else "doubt")]
    figures = (_spread(known, run), class_spread(known, run), _rates(run), _seconds(run))
    blocks += [figure for figure in figures if figure is not None]
    if run.classes is not None:
        blocks.insert(1, class_table(run))
    if run.server is not None and run.server.at_s.size:
        blocks.append(_server_table(run.server))
    title = "What happened in the live run?"
    return Section(name="live", title=title, blocks=tuple(blocks))


def _last_steady(known: Findings) -> LoadRun | None:
    steady = [run for run in known.loads or () if run.spec.purpose == "steady"]
    return steady[-1] if steady else None


def _lateness(run: LoadRun) -> str:
    delay = send_delay_summary(run)
    said = f"Run {run.spec.name}: {counted(run.requests.n_requests, 'request')} due in {run.spec.duration_s:.3g} s. "
    if not run.verdict.valid:
        said += f"INVALID: {'; '.join(run.verdict.invalid_reasons)}. "
    if delay is None:
        return f"{said}Nothing was sent."
    slowest = f"the slowest {ms(delay.max)}"
    late = slowest if delay.p99 is None else f"p99 {ms(delay.p99)}, {slowest}"
    return (
        f"{said}The generator's own lateness (sent minus due) is part of every response time: {late} (measured, "
        f"n = {delay.n_samples:,}); its core was undisturbed in {percent(run.verdict.clean_ratio)} of the windows."
    )


def _server_table(watch: ServerWatch) -> Table:
    """What the server used and how it batched, each with its median and its most, or why it isn't known."""
    return Table(
        caption=f"What did the server do meanwhile? {watch.processes or 'A server elsewhere'}, "
        f"looked at {counted(watch.at_s.size, 'time')} (measured).",
        columns=(
            Column(title="figure"),
            Column(title="median", kind="number"),
            Column(title="most", kind="number"),
            Column(title="why it is missing"),
        ),
        rows=tuple(_server_row(series) for series in watch.series),
    )


def _server_row(series: WatchedSeries) -> tuple[str, ...]:
    name, shown = _OF_THE_SERVER[series.name]
    if series.values is None:
        return name, "–", "–", series.absent_reason or ""
    known = series.values[np.isfinite(series.values)]
    return name, shown(percentile(known, 0.5)), shown(float(known.max())), ""


_OF_THE_SERVER: dict[str, tuple[str, Callable[[float], str]]] = {
    "cores_busy": ("cores that it kept busy", digits),
    "rss_bytes": ("memory, MiB", lambda n_bytes: f"{n_bytes / (1 << 20):,.0f}"),
    "gpu_busy_ratio": ("time in which its GPU was busy", percent),
    "gpu_memory_bytes": ("memory on the GPU, MiB", lambda n_bytes: f"{n_bytes / (1 << 20):,.0f}"),
    "waiting": ("rows or requests that waited in it", digits),
    "rows_per_batch": ("rows in a batch", digits),
}


def _spread(known: Findings, run: LoadRun) -> Figure | None:
    times_s = response_times_s(run) if run.verdict.valid else np.array([])
    if not times_s.size:
        return None
    series = [curve("response time, all requests", times_s, hue=0)]
    clean_s = clean_response_times_s(run)
    if 0 < clean_s.size < times_s.size:
        series.append(curve("response time, undisturbed windows only", clean_s, hue=0, is_dashed=True))
    delays_s = run.requests.send_delay_s
    if delays_s.size and (delays_s > 0.0).any():
        series.append(curve("send delay of the generator", np.maximum(delays_s, 1e-7), hue=1))
    p50_s, p99_s = (supported_percentile(times_s, q) for q in (0.5, 0.99))
    return Figure(
        name="response-times",
        title="How are response times spread?",
        sentence=(
            f"Half of the {times_s.size:,} answers took {ms(p50_s)} or less, "
            f"{'too few for a p99' if p99_s is None else f'99 % took {ms(p99_s)} or less'}, the slowest "
            f"{ms(float(times_s.max()))} (measured from due time)."
        ),
        chart=Chart(
            x=Axis(title="share of requests that were faster", scale="log", ticks=ticks(times_s.size)),
            y=Axis(title="ms", scale="log"),
            series=tuple(series),
            marks=limit_marks(known.scenario),
        ),
    )


def _rates(run: LoadRun) -> Figure:
    requests = run.requests
    is_right = requests.outcome == np.uint8(Outcome.OK)
    n_seconds = _n_seconds(run)
    due = _per_second(requests.due_s, n_seconds)
    done = _per_second(requests.done_s[is_right], n_seconds)
    seconds = [i + 1.0 for i in range(n_seconds)]
    return Figure(
        name="rates-in-time",
        title="Was the rate offered, and was it answered?",
        sentence=(
            f"{digits(run.verdict.achieved_rate_rps)} of {digits(run.spec.offered_rate_rps)} requests/s were sent and "
            f"{digits(run.verdict.throughput_rps)} answered right; {run.verdict.n_failed:,} of "
            f"{requests.n_requests:,} failed (measured)."
        ),
        chart=Chart(
            x=_second_axis(n_seconds),
            y=Axis(title="requests in each second", starts_at_zero=True),
            series=(
                Series(name="due", x=seconds, y=due, hue=0),
                Series(name="answered right", x=seconds, y=done, hue=2, is_dashed=True),
            ),
        ),
    )


def _seconds(run: LoadRun) -> Figure | None:
    requests = run.requests
    n_seconds = _n_seconds(run)
    series = [
        _in_time("send delay, slowest", requests.due_s, requests.sent_s - requests.due_s, n_seconds, np.max, hue=1)
    ]
    if run.verdict.valid:
        is_right = requests.outcome == np.uint8(Outcome.OK)
        times_s = np.where(is_right, requests.done_s - requests.due_s, math.nan)
        series = [
            _in_time("response time, slowest", requests.due_s, times_s, n_seconds, np.max, hue=0, is_dashed=True),
            _in_time("response time, median", requests.due_s, times_s, n_seconds, np.median, hue=0),
            *series,
        ]
    series = [one for one in series if len(one.x)]
    if not series:
        return None
    slowest = f"{digits(max(series[0].y))} ms"
    sentence = (
        f"In the worst second the slowest response took {slowest} (measured)."
        if run.verdict.valid
        else f"In the worst second a request was sent {slowest} late (measured)."
    )
    return Figure(
        name="latency-in-time",
        title="How did it go, second by second?",
        sentence=sentence,
        chart=Chart(
            x=_second_axis(n_seconds),
            y=Axis(title="ms", scale="log"),
            series=tuple(series),
        ),
    )


def _in_time(
    name: str,
    due_s: Times,
    values_s: Times,
    n_seconds: int,
    of: Callable[[Times], np.floating],
    *,
    hue: int,
    is_dashed: bool = False,
) -> Series:
    at, figures = [], []
    for i in range(n_seconds):
        in_second = values_s[(due_s >= i) & (due_s < i + 1) & ~np.isnan(values_s)]
        if in_second.size and float(of(in_second)) > 0.0:
            at.append(i + 1.0)
            figures.append(to_ms(float(of(in_second))))
    return Series(name=name, x=at, y=figures, hue=hue, is_dashed=is_dashed)


def _per_second(times_s: Times, n_seconds: int) -> list[float]:
    counts, _ = np.histogram(times_s[~np.isnan(times_s)], bins=n_seconds, range=(0.0, float(n_seconds)))
    return [float(count) for count in counts]


def _second_axis(n_seconds: int) -> Axis:
    ticks = [(float(i), str(i)) for i in range(1, n_seconds + 1)] if n_seconds <= 12 else ()
    return Axis(title="second of the run", ticks=ticks)


def _n_seconds(run: LoadRun) -> int:
    return max(1, math.ceil(run.spec.duration_s))
