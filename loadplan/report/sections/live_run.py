"""The live run in detail: how response times spread, how late the generator itself was, and how it went in time.

The decision a reader would question: single seconds show their slowest request, not a p99, since a second holds too
few requests for one. An invalid run shows the generator's lateness, which is why it is invalid, and no latency.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadplan.load.records import LoadRun, LostTime, Outcome, ServerWatch, WatchedSeries
from loadplan.load.verdict import clean_response_times_s, response_times_s, send_delay_summary
from loadplan.report.chart import ANSWERED, ASKED, GENERATOR, MIDDLE, NEIGHBOURS, SLOWEST, Axis, Chart, Series
from loadplan.report.findings import Findings
from loadplan.report.limits import limit_marks
from loadplan.report.page import Block, Column, Figure, Section, Table, Text
from loadplan.report.sections.classes import class_spread, class_table
from loadplan.report.spread import curve, ticks
from loadplan.report.stretches import Stretches, figures_in, rates_in, stretches_of
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
    whole = _whole_spread(run) if run.verdict.valid else None
    if whole is None:
        return None
    n_answers, sentence, series = whole
    # One after the other: of a long run the times alone are hundreds of megabytes.
    others = (_clean_curve(run, n_answers), _delay_curve(run))
    return Figure(
        name="response-times",
        title="How are response times spread?",
        sentence=sentence,
        chart=Chart(
            x=Axis(title="share of requests that were faster", scale="log", ticks=ticks(n_answers)),
            y=Axis(title="response time from due time, ms", scale="log"),
            series=(series, *(one for one in others if one is not None)),
            marks=limit_marks(known.scenario),
        ),
    )


def _whole_spread(run: LoadRun) -> tuple[int, str, Series] | None:
    """How many answers there were, what is said of them, and their curve; None where there were none."""
    times_s = response_times_s(run)
    if not times_s.size:
        return None
    p50_s, p99_s = (supported_percentile(times_s, q) for q in (0.5, 0.99))
    sentence = (
        f"Half of the {times_s.size:,} answers took {ms(p50_s)} or less, "
        f"{'too few for a p99' if p99_s is None else f'99 % took {ms(p99_s)} or less'}, the slowest "
        f"{ms(float(times_s.max()))} (measured from due time)."
    )
    return times_s.size, sentence, curve("response time, all requests", times_s, hue=MIDDLE)


def _clean_curve(run: LoadRun, n_answers: int) -> Series | None:
    clean_s = clean_response_times_s(run)
    if not 0 < clean_s.size < n_answers:
        return None
    return curve("response time, undisturbed windows only", clean_s, hue=MIDDLE, is_dashed=True)


def _delay_curve(run: LoadRun) -> Series | None:
    delays_s = run.requests.send_delay_s
    if not (delays_s > 0.0).any():
        return None
    return curve("send delay of the generator", np.maximum(delays_s, 1e-7, out=delays_s), hue=GENERATOR)


def _rates(run: LoadRun) -> Figure:
    requests = run.requests
    is_right = requests.outcome == np.uint8(Outcome.OK)
    stretches = stretches_of(run.spec.duration_s)
    title = "requests in each second" if stretches.length_s == 1 else f"requests/s, mean of each {stretches.name}"
    return Figure(
        name="rates-in-time",
        title="Was the rate offered, and was it answered?",
        sentence=(
            f"{digits(run.verdict.achieved_rate_rps)} of {digits(run.spec.offered_rate_rps)} requests/s were sent and "
            f"{digits(run.verdict.throughput_rps)} answered right; {run.verdict.n_failed:,} of "
            f"{requests.n_requests:,} failed (measured)."
        ),
        chart=Chart(
            x=_time_axis(stretches),
            y=Axis(title=title, starts_at_zero=True),
            series=(
                Series(name="due", x=stretches.ends_s, y=rates_in(stretches, requests.due_s), hue=ASKED),
                Series(
                    name="answered right",
                    x=stretches.ends_s,
                    y=rates_in(stretches, requests.done_s[is_right]),
                    hue=ANSWERED,
                    is_dashed=True,
                ),
            ),
        ),
    )


def _seconds(run: LoadRun) -> Figure | None:
    requests, stretches = run.requests, stretches_of(run.spec.duration_s)

    def delay_s(part: slice) -> Times:
        return requests.sent_s[part] - requests.due_s[part]

    def response_s(part: slice) -> Times:
        is_right = requests.outcome[part] == np.uint8(Outcome.OK)
        return np.where(is_right, requests.done_s[part] - requests.due_s[part], math.nan)

    def in_time(name: str, of: Callable[[slice], Times], figure: Callable[[Times], np.floating], *, hue: int) -> Series:
        found = figures_in(stretches, requests.due_s, of, figure)
        at_s, values_s = [at_s for at_s, _ in found], [to_ms(value_s) for _, value_s in found]
        return Series(name=name, x=at_s, y=values_s, hue=hue)

    series = [in_time("send delay, slowest", delay_s, np.max, hue=GENERATOR)]
    if run.verdict.valid:
        series = [
            in_time("response time, slowest", response_s, np.max, hue=SLOWEST),
            in_time("response time, median", response_s, np.median, hue=MIDDLE),
            *series,
        ]
    series = [one for one in series if len(one.x)]
    if not series:
        return None
    slowest = f"{digits(max(series[0].y))} ms"
    sentence = (
        f"In the worst {stretches.name} the slowest response took {slowest}"
        if run.verdict.valid
        else f"In the worst {stretches.name} a request was sent {slowest} late"
    )
    taken_s = _taken_s(run.lost, stretches)
    sentence += f"; neighbours took {digits(to_ms(float(taken_s.sum())))} ms of the generator's core in all (measured)."
    series += _taken(taken_s, stretches)
    return Figure(
        name="latency-in-time",
        title="How did it go, second by second?"
        if stretches.length_s == 1
        else f"How did it go, {stretches.name} by {stretches.name}?",
        sentence=sentence,
        chart=Chart(
            x=_time_axis(stretches),
            y=Axis(title=f"in each {stretches.name}, ms", scale="log"),
            series=tuple(series),
        ),
    )


def _taken_s(lost: LostTime, stretches: Stretches) -> Times:
    """What neighbours took of each stretch; of several workers their mean."""
    edges_s = np.array(stretches.edges_s)
    taken_s = np.zeros(len(stretches.ends_s))
    for start_s, length_s in zip(lost.start_s, lost.length_s, strict=True):
        taken_s += np.diff(np.clip(edges_s, start_s, start_s + length_s))
    return taken_s / lost.n_workers


def _taken(taken_s: Times, stretches: Stretches) -> list[Series]:
    """Only the stretches of which something was taken, since a log axis has no zero."""
    some = [int(i) for i in np.flatnonzero(taken_s > 0.0)]
    if not some:
        return []
    return [
        Series(
            name="taken by neighbours",
            x=[stretches.ends_s[i] for i in some],
            y=[to_ms(float(taken_s[i])) for i in some],
            style="points",
            hue=NEIGHBOURS,
        )
    ]


def _time_axis(stretches: Stretches) -> Axis:
    if stretches.length_s > 1:
        return Axis(title="seconds since the run began")
    n_seconds = len(stretches.ends_s)
    ticks = [(float(i), str(i)) for i in range(1, n_seconds + 1)] if n_seconds <= 12 else ()
    return Axis(title="second of the run", ticks=ticks)
