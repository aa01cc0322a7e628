"""A chart as plain data: what `figures` draws and what the table beside it lists.

The decision a reader would question: never more than four hues; they stay apart for every kind of colour vision, and
beyond four, dash and marker shape carry on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SeriesStyle = Literal["line", "step", "points"]
Scale = Literal["linear", "log"]

# Smallest distance under simulated protan, deutan and tritan vision 19 ΔE; contrast on white at least 3.9.
LIGHT_HUES = ("#0072B2", "#D55E00", "#117733", "#882255")
DARK_HUES = ("#56B4E9", "#E69F00", "#44AA77", "#DD88BB")

# What a hue stands for, wherever it is drawn: whoever has learnt it in one figure reads it in the next.
CHOSEN = MIDDLE = ANSWERED = 0  # what is recommended, the median, and right answers
OTHERS = SLOWEST = 1  # what was not chosen, and the p99 or the slowest
NEIGHBOURS = 2  # time that they took
GENERATOR = 3  # its own lateness
ASKED = None  # the colour of text: what the callers ask for, and what is no figure of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One named row of points, with an interval where there is one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None  # interval of y: a band for lines, whiskers for points
    high: Sequence[float] | None = None
    style: SeriesStyle = "line"
    hue: int | None = 0  # index into the palette; None: the colour of text
    is_dashed: bool = False
    is_hollow: bool = False  # points that are not to be trusted as the others
    labels: Sequence[str] = ()  # one per point, for the table and on hovering


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What is on an axis."""

    title: str  # with its unit
    scale: Scale = "linear"
    ticks: Sequence[tuple[float, str]] = ()  # own ticks; empty: the drawing chooses
    starts_at_zero: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A straight line with a word at it: a limit, an operating point."""

    word: str
    x: float | None = None  # exactly one of both is given
    y: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that is drawn."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    has_diagonal: bool = False  # the line y = x, with a band of 15 % about it
