"""Predicted over measured latencies as one SVG: on the diagonal where they agree, both axes logarithmic."""

import math
from collections.abc import Callable, Iterator, Sequence

from tests.accuracy.compare import Case, latency_of
from tests.accuracy.design import HIGHEST_LOAD_RATIO
from tests.accuracy.truth import QUANTILES

_SIZE, _MARGIN = 560.0, 56.0
_COLOURS = {0.5: "#1b6ca8", 0.95: "#d98c10", 0.99: "#b03a2e"}
_TICKS_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_BAND = 0.15
_X_TITLE = f"measured, ms (dashed: ± {_BAND:.0%}; hollow: above {HIGHEST_LOAD_RATIO:.0%} load)"


def plot(cases: Sequence[Case]) -> str:
    """One dot for each quantile of each case; an empty frame where nothing can be compared. Hollow: told apart."""
    dots = [
        (quantile, case, 1e3 * measured, 1e3 * latency_of(case.predicted, quantile))
        for case in cases
        for i, quantile in enumerate(QUANTILES)
        if case.predicted is not None and (measured := case.truth.latencies_s[i]) is not None
    ]
    values = [value for *_, measured, predicted in dots for value in (measured, predicted)] or [1.0]
    low, high = math.log10(min(values) / 1.3), math.log10(max(values) * 1.3)

    def at(value_ms: float) -> float:
        return (math.log10(value_ms) - low) / (high - low) * (_SIZE - 2.0 * _MARGIN)

    def x(value_ms: float) -> float:
        return _MARGIN + at(value_ms)

    def y(value_ms: float) -> float:
        return _SIZE - _MARGIN - at(value_ms)

    first, last = 10.0**low, 10.0**high
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE:g} {_SIZE:g}" font-family="sans-serif">',
        "<style>text { font-size: 12px }</style>",
        "<title>Predicted over measured latencies of held-out configurations</title>",
        f'<rect width="{_SIZE:g}" height="{_SIZE:g}" fill="#ffffff"/>',
        *_ticks(x, y, first, last),
        *(
            f'<line x1="{x(first):.1f}" y1="{y(first) - shift:.1f}" x2="{x(last):.1f}" y2="{y(last) - shift:.1f}" '
            f'stroke="#888888"{dashes}/>'
            for shift, dashes in (
                (0.0, ""),
                (at(first * (1.0 + _BAND)), ' stroke-dasharray="4 4"'),
                (at(first * (1.0 - _BAND)), ' stroke-dasharray="4 4"'),
            )
        ),
        *(
            f'<circle cx="{x(measured):.1f}" cy="{y(predicted):.1f}" r="4" stroke="{_COLOURS[quantile]}" '
            f'fill="{"none" if case.is_apart else _COLOURS[quantile]}" fill-opacity="0.7">'
            f"<title>{case.name} p{100 * quantile:g}: measured {measured:.3g} ms, predicted {predicted:.3g} ms</title>"
            "</circle>"
            for quantile, case, measured, predicted in dots
        ),
        *(
            f'<text x="{_MARGIN + 8:g}" y="{_MARGIN + 16 * (i + 1):g}" fill="{_COLOURS[quantile]}">● '
            f"p{100 * quantile:g}</text>"
            for i, quantile in enumerate(QUANTILES)
        ),
        f'<text x="{_SIZE / 2:g}" y="{_SIZE - 12:g}" text-anchor="middle">{_X_TITLE}</text>',
        f'<text transform="translate(16 {_SIZE / 2:g}) rotate(-90)" text-anchor="middle">predicted, ms</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ticks(x: Callable[[float], float], y: Callable[[float], float], first: float, last: float) -> Iterator[str]:
    for value in _TICKS_MS:
        if not first <= value <= last:
            continue
        yield (
            f'<line x1="{x(value):.1f}" y1="{y(first):.1f}" x2="{x(value):.1f}" y2="{y(last):.1f}" stroke="#eeeeee"/>'
            f'<line x1="{x(first):.1f}" y1="{y(value):.1f}" x2="{x(last):.1f}" y2="{y(value):.1f}" stroke="#eeeeee"/>'
            f'<text x="{x(value):.1f}" y="{y(first) + 16:.1f}" text-anchor="middle">{value:g}</text>'
            f'<text x="{x(first) - 6:.1f}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
