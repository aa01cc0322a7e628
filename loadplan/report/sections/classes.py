"""Segments of users: what each met in a live run, for the average may be fine while one of them is badly served.

The decision a reader would question: no figure here is weighed or pooled. Each class has its own requests as
denominator, and one with too few answers for a p99 says so and shows none.
"""

from loadplan.load.records import LoadRun
from loadplan.load.verdict import ClassTimes, times_by_class
from loadplan.report.chart import LIGHT_HUES, Axis, Chart
from loadplan.report.findings import Findings
from loadplan.report.limits import limit_marks
from loadplan.report.page import Figure, Table, number, text
from loadplan.report.spread import curve, ticks
from loadplan.report.view import counted, ms, ms_with_interval
from loadplan.stats import n_samples_needed
from loadplan.verify import ClassVerdict, Verdict, worst_class

_OUTCOMES = {"met": "✓ met", "missed": "✗ missed", "unclear": "? can't be told", None: "none of its own"}
_N_CURVES = 2 * len(LIGHT_HUES)  # each hue twice, the second time dashed


def class_table(run: LoadRun) -> Table:
    """One row per class; the due requests of all of them are those of the run."""
    return Table(
        caption=f"What did each segment of users meet? The {counted(run.requests.n_requests, 'due request')} of run "
        f"{run.spec.name} by class (measured).",
        columns=(text("class"), number("due"), number("failed"), number("p50"), number("p99"), number("slowest")),
        rows=tuple(map(_class_row, times_by_class(run))),  # which keeps no class while it makes the next one
    )


def _class_row(own: ClassTimes) -> tuple[str, ...]:
    summary = own.summary
    row = own.name, f"{own.n_requests:,}", f"{own.n_failed:,}"
    if summary is None:
        return *row, "–", "–", "–"
    return *row, ms(summary.p50), _too_few() if summary.p99 is None else ms(summary.p99), ms(summary.max)


def _too_few() -> str:
    return f"takes {n_samples_needed(0.99):,} answers"


def class_spread(known: Findings, run: LoadRun) -> Figure | None:
    """The curve of each class, slowest first; None where there are no classes or no answers."""
    answered = ((own.name, own.times_s) for own in times_by_class(run) if own.times_s.size)
    slowest_first = sorted(answered, key=lambda one: -float(one[1].mean()))
    if not slowest_first:
        return None
    slowest, quickest = (f"{name} waited {ms(float(t.mean()))}" for name, t in (slowest_first[0], slowest_first[-1]))
    n_left_out = max(len(slowest_first) - _N_CURVES, 0)
    return Figure(
        name="response-times-by-class",
        title="Is every segment of users served alike?",
        sentence=f"On average {slowest}, {quickest} (measured from due time)."
        + (f" {n_left_out} more classes, quicker than these, are not drawn." if n_left_out else ""),
        chart=Chart(
            x=Axis(
                title="share of requests that were faster",
                scale="log",
                ticks=ticks(max(times.size for _, times in slowest_first)),
            ),
            y=Axis(title="response time from due time, ms", scale="log"),
            series=tuple(
                curve(name, times, hue=i % len(LIGHT_HUES), is_dashed=i >= len(LIGHT_HUES))
                for i, (name, times) in enumerate(slowest_first[:_N_CURVES])
            ),
            marks=limit_marks(known.scenario),
        ),
    )


def class_verdicts(verdict: Verdict) -> Table | None:
    """What was predicted of each class and what it met in the verification; None where there are no classes."""
    worst = worst_class(verdict)
    if worst is None:
        return None
    return Table(
        caption=f"The live run by segment of users; the worst is {worst.name} (measured, predictions simulated)",
        columns=(
            text("class"),
            number("due"),
            number("failed"),
            number("p99 measured"),
            number("p99 predicted"),
            text("its objectives"),
        ),
        rows=tuple(_verdict_row(one, verdict) for one in verdict.classes),
    )


def _verdict_row(one: ClassVerdict, verdict: Verdict) -> tuple[str, ...]:
    predicted, measured_s = one.predicted or verdict.predicted, one.measured_p99_s
    return (
        one.name,
        f"{one.n_requests:,}",
        f"{one.n_failed:,}",
        _too_few() if measured_s is None else ms_with_interval(measured_s, one.measured_p99_interval),
        ms_with_interval(predicted.p99_s, predicted.p99_interval) + ("" if one.predicted else ", as of all"),
        _OUTCOMES[one.outcome],
    )


def due_and_failed(verdict: Verdict, class_name: str | None) -> tuple[int, int]:
    """The requests that an objective is about, and how many of them failed."""
    own = next((one for one in verdict.classes if one.name == class_name), verdict)
    return own.n_requests, own.n_failed
