"""The numbers of a chart as a table, for whoever can't see it or wants to take them away.

The decision a reader would question: lines over the same points stand side by side, one column each, since nobody
compares four times 168 hours that stand below each other.
"""

from collections.abc import Iterable

from loadplan.report.chart import Chart, Series
from loadplan.report.page import Table, number, text
from loadplan.report.view import digits


def chart_table(chart: Chart) -> Table:
    """All of its series."""
    first = chart.series[0] if chart.series else None
    if first is not None and all(list(one.x) == list(first.x) for one in chart.series):
        return _side_by_side(chart, first)
    return _one_below_the_other(chart)


def _side_by_side(chart: Chart, first: Series) -> Table:
    labels = first.labels if all(list(one.labels) == list(first.labels) for one in chart.series) else ()
    ticks = dict(chart.x.ticks) if len(chart.x.ticks) >= len(first.x) else {}
    return Table(
        caption="" if len(chart.series) == 1 else chart.y.title,
        columns=(
            *((text("point"),) if labels else ()),
            number(chart.x.title),
            *(number(one.name if len(chart.series) > 1 else chart.y.title) for one in chart.series),
        ),
        rows=tuple(
            (
                *((labels[i],) if labels else ()),
                ticks.get(x, digits(x)),
                *(_cell(one, i, is_labelled=not labels) for one in chart.series),
            )
            for i, x in enumerate(first.x)
        ),
    )


def _cell(series: Series, i: int, *, is_labelled: bool) -> str:
    """Such as `0.834 (0.566 to 1.69)` or `90.5, 2 replicas`."""
    said = digits(series.y[i])
    if series.low is not None and series.high is not None:
        said += f" ({digits(series.low[i])} to {digits(series.high[i])})"
    return f"{said}, {series.labels[i]}" if is_labelled and series.labels else said


def _one_below_the_other(chart: Chart) -> Table:
    has_labels = any(series.labels for series in chart.series)
    has_interval = any(series.low is not None for series in chart.series)
    return Table(
        caption="",
        columns=(
            text("series"),
            *((text("point"),) if has_labels else ()),
            number(chart.x.title),
            number(chart.y.title),
            *((number("low"), number("high")) if has_interval else ()),
        ),
        rows=tuple(_rows(chart, has_labels=has_labels, has_interval=has_interval)),
    )


def _rows(chart: Chart, *, has_labels: bool, has_interval: bool) -> Iterable[tuple[str, ...]]:
    for series in chart.series:
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            label = (series.labels[i] if series.labels else "",) if has_labels else ()
            ends = ("–", "–")
            if series.low is not None and series.high is not None:
                ends = (digits(series.low[i]), digits(series.high[i]))
            yield (series.name, *label, digits(x), digits(y), *(ends if has_interval else ()))
