"""Draws charts: the one module that knows plotly, imported when asked for.

A drawing is the JSON that plotly.js takes, so that the page draws with one script. The decision a reader would
question: colours stand in it as on a light page; the page's script swaps them on a dark one. Names are escaped,
because plotly reads tags in every text that it shows.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from loadplan.report.chart import DARK_HUES, LIGHT_HUES, Axis, Chart, Mark, Series
from loadplan.report.view import plain

# The kinds of trace that are drawn; a bundle without one of them would draw something else without a word.
TRACE_TYPES = ("scatter",)
N_POINTS_MOST = 1_500

_INK, _FAINT, _GRID, _PAPER = "#1b2430", "#5a6675", "#e3e7ec", "#ffffff"
_DARK_INK, _DARK_FAINT, _DARK_GRID, _DARK_PAPER = "#e6ebf1", "#a3afbd", "#2c3540", "#14181d"
_BAND_ALPHA = 0.16
_DIAGONAL_RATIO = 0.15
_N_TICKS_LEAST, _N_TICKS_MOST = 3, 9
_MARKERS = ("circle", "diamond", "square", "triangle-up")


def draw(chart: Chart) -> str:
    """The chart as plotly's JSON; the same chart gives the same text."""
    import plotly.graph_objects as go

    traces = [trace for series in chart.series for trace in _traces(go, series)]
    if chart.has_diagonal:
        traces = [*_diagonal(go, chart), *traces]
    figure = go.Figure(data=traces, layout={"template": "none", **_layout(chart)})
    for mark in chart.marks:
        _add_mark(figure, chart, mark)
    return cast("str", figure.to_json())


def swapped_colours() -> dict[str, str]:
    """Each colour of the light drawing and what takes its place on a dark page."""
    fixed = {_INK: _DARK_INK, _FAINT: _DARK_FAINT, _GRID: _DARK_GRID, _PAPER: _DARK_PAPER}
    hues = {**dict(zip(LIGHT_HUES, DARK_HUES, strict=True)), _FAINT: _DARK_FAINT}
    return {**fixed, **hues, **{_faded(light): _faded(dark) for light, dark in hues.items()}}


def _traces(go: Any, series: Series) -> list[Any]:
    hue = _FAINT if series.hue is None else LIGHT_HUES[series.hue % len(LIGHT_HUES)]
    kept = _kept(series.y)
    x, y = _array(series.x)[kept], _array(series.y)[kept]
    name = _said(series.name)
    hover = {"text": [_said(series.labels[i]) for i in kept], "hoverinfo": "text+x+y"} if series.labels else {}
    common = {"x": x, "y": y, "name": name, "legendgroup": name, **hover}
    if series.style == "points":
        marker = {
            "color": _PAPER if series.is_hollow else hue,
            "line": {"color": hue, "width": 2},
            "size": 9,
            "symbol": "x" if series.hue is None else _MARKERS[series.hue % len(_MARKERS)],
        }
        whiskers = _whiskers(series, kept, hue)
        return [go.Scatter(mode="markers", marker=marker, **whiskers, **common)]
    line = {
        "color": hue,
        "width": 2,
        "dash": "dash" if series.is_dashed else "solid",
        "shape": "hv" if series.style == "step" else "linear",
    }
    mode = "lines+markers" if len(x) <= 24 and series.style == "line" else "lines"
    marker = {"color": _PAPER if series.is_hollow else hue, "line": {"color": hue, "width": 1.5}, "size": 6}
    return [*_band(go, series, kept, hue, name), go.Scatter(mode=mode, line=line, marker=marker, **common)]


def _whiskers(series: Series, kept: Sequence[int], hue: str) -> dict[str, Any]:
    if series.low is None or series.high is None:
        return {}
    y, low, high = (_array(values)[list(kept)] for values in (series.y, series.low, series.high))
    return {
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": high - y,
            "arrayminus": y - low,
            "color": hue,
            "thickness": 1.5,
            "width": 4,
        }
    }


def _band(go: Any, series: Series, kept: Sequence[int], hue: str, name: str) -> list[Any]:
    if series.low is None or series.high is None:
        return []
    x, low, high = (_array(values)[list(kept)] for values in (series.x, series.low, series.high))
    return [
        go.Scatter(
            x=np.concatenate((x, x[::-1])),
            y=np.concatenate((high, low[::-1])),
            fill="toself",
            fillcolor=_faded(hue),
            line={"width": 0, "color": _faded(hue)},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
    ]


def _diagonal(go: Any, chart: Chart) -> list[Any]:
    values = [value for series in chart.series for value in (*series.x, *series.y)]
    ends = np.array([min(values) / 1.3, max(values) * 1.3], dtype=np.float32)
    below, above = ends * (1 - _DIAGONAL_RATIO), ends * (1 + _DIAGONAL_RATIO)
    return [
        go.Scatter(
            x=np.concatenate((ends, ends[::-1])),
            y=np.concatenate((above, below[::-1])),
            fill="toself",
            fillcolor=_GRID,
            line={"width": 0, "color": _GRID},
            mode="lines",
            hoverinfo="skip",
            name="within 15 %",
        ),
        go.Scatter(x=ends, y=ends, mode="lines", line={"color": _FAINT, "width": 1}, hoverinfo="skip", name="equal"),
    ]


def _layout(chart: Chart) -> dict[str, Any]:
    return {
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": _INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
        "height": 360,
        "showlegend": len(chart.series) > 1 or chart.has_diagonal,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.04, "x": 0},
        "hovermode": "closest",
        "dragmode": False,
        "hoverlabel": {"bgcolor": _PAPER, "bordercolor": _FAINT, "font": {"color": _INK}},
        "xaxis": _axis(chart.x, _extent(chart, "x")),
        "yaxis": _axis(chart.y, _extent(chart, "y")),
    }


def _extent(chart: Chart, direction: Literal["x", "y"]) -> tuple[float, float]:
    """The least and the greatest value along an axis, marks and intervals included; on a log axis of those above 0."""
    values = [value for series in chart.series for value in getattr(series, direction)]
    if direction == "y":
        values += [value for series in chart.series for ends in (series.low, series.high) for value in ends or ()]
    marks = [getattr(mark, direction) for mark in chart.marks]
    values += [value for value in marks if value is not None]
    is_log = getattr(chart, direction).scale == "log"
    values = [value for value in values if math.isfinite(value) and (value > 0.0 or not is_log)]
    return min(values, default=1.0), max(values, default=1.0)


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Three to nine round values: 1, 2, 5 of each decade, only 1 over many decades, even steps within one."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        values = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [value for value in values if low / 1.2 <= value <= high * 1.2]
        if len(ticks) <= _N_TICKS_MOST:
            break
    if len(ticks) < _N_TICKS_LEAST and high > low:
        rough = (high - low) / 4.0
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(decade * digit for digit in (1, 2, 5, 10) if decade * digit >= rough)
        ticks = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [(value, f"{value:,.6g}") for value in ticks]


def _axis(axis: Axis, extent: tuple[float, float]) -> dict[str, Any]:
    wanted = axis.ticks or (_log_ticks(*extent) if axis.scale == "log" else ())
    ticks = (
        {"tickmode": "array", "tickvals": [at for at, _ in wanted], "ticktext": [_said(said) for _, said in wanted]}
        if wanted
        else {"tickformat": ","}
    )
    return {
        "title": {"text": _said(axis.title), "font": {"size": 13}, "standoff": 8},
        "type": axis.scale,
        "gridcolor": _GRID,
        "linecolor": _FAINT,
        "tickcolor": _FAINT,
        "tickfont": {"color": _FAINT},
        "ticks": "outside",
        "ticklen": 4,
        "zeroline": False,
        "automargin": True,
        **({"rangemode": "tozero"} if axis.starts_at_zero else {}),
        **ticks,
    }


def _add_mark(figure: Any, chart: Chart, mark: Mark) -> None:
    line = {"color": _FAINT, "width": 1.5, "dash": "dot"}
    font = {"color": _FAINT, "size": 12}
    word = {"text": _said(mark.word), "showarrow": False, "font": font}
    if mark.y is not None:
        figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=mark.y, y1=mark.y, line=line)
        at = _position(mark.y, chart.y)
        figure.add_annotation(xref="paper", x=_clear_of_uprights(chart), y=at, xanchor="left", yanchor="bottom", **word)
    if mark.x is not None:
        figure.add_shape(type="line", yref="paper", y0=0, y1=1, x0=mark.x, x1=mark.x, line=line)
        at = _position(mark.x, chart.x)
        free = {"y": 1, "yanchor": "top"} if _is_low_at(chart, mark.x) else {"y": 0, "yanchor": "bottom"}
        figure.add_annotation(yref="paper", x=at, xanchor="right", textangle=-90, **free, **word)


def _clear_of_uprights(chart: Chart) -> float:
    """Where a word along the width reads best: at the beginning of the widest stretch that no upright mark crosses."""
    edges = sorted([0.0, *(_along(chart, "x", mark.x) for mark in chart.marks if mark.x is not None), 1.0])
    begins, _ = max(pairwise(edges), key=lambda stretch: stretch[1] - stretch[0])
    return begins + 0.01


def _is_low_at(chart: Chart, x: float) -> bool:
    """Whether what is drawn there leaves the upper half free, where a word along the height would stand else."""
    drawn = [series for series in chart.series if len(series.x) and min(series.x) <= x <= max(series.x)]
    near = [series.y[int(np.argmin(np.abs(np.subtract(series.x, x))))] for series in drawn]
    at = [_along(chart, "y", value) for value in near if math.isfinite(value) and (value > 0 or chart.y.scale != "log")]
    return bool(at) and float(np.mean(at)) < 0.5


def _along(chart: Chart, direction: Literal["x", "y"], value: float) -> float:
    """How far along an axis, from 0 to 1."""
    axis = chart.x if direction == "x" else chart.y
    low, high = (_position(end, axis) for end in _extent(chart, direction))
    if axis.starts_at_zero:
        low = 0.0
    return (_position(value, axis) - low) / ((high - low) or 1.0)


def _position(value: float, axis: Axis) -> float:
    """Annotations take the exponent on a log axis, shapes the value."""
    return math.log10(value) if axis.scale == "log" else value


def _kept(y: Sequence[float]) -> list[int]:
    """Which points are drawn: all, or the least and the greatest of each of so many stretches."""
    n = len(y)
    if n <= N_POINTS_MOST:
        return list(range(n))
    values = _array(y)
    kept = {0, n - 1}
    for stretch in np.array_split(np.arange(n), N_POINTS_MOST // 2 - 1):
        kept.add(int(stretch[np.argmin(values[stretch])]))
        kept.add(int(stretch[np.argmax(values[stretch])]))
    return sorted(kept)


def _array(values: Sequence[float]) -> NDArray[np.float32]:
    # Half the bytes, and six digits are more than a screen shows.
    return np.asarray(values, dtype=np.float32)


def _said(text: str) -> str:
    return escape(plain(text), quote=False)


def _faded(hue: str) -> str:
    red, green, blue = (int(hue[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{_BAND_ALPHA})"
