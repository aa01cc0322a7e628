"""What a page is made of: sections of blocks that the template draws and that know nothing of where they came from.

Texts are plain: the template escapes them. The decision a reader would question: every chart carries the table of its
own numbers, so that the page is complete where no script runs.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from loadplan.report.chart import Chart

N_SHADES = 6  # of a heat map
Tone = Literal["good", "bad", "doubt", "plain"]
Audience = Literal["engineer", "budget"]  # whom a page is for
ColumnKind = Literal["text", "reason", "number", "basis", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str  # with its unit
    kind: ColumnKind = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under titled columns."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: tuple[int, ...] = ()  # rows that stand out


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Terms and what is said of each."""

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart, what it shows in one sentence with the number, and its numbers as a table."""

    kind: ClassVar[str] = "figure"
    name: str  # unique on the page
    title: str
    sentence: str
    chart: Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something to type, with a button that copies it."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file inside the page."""

    kind: ClassVar[str] = "download"
    name: str
    media_type: str
    text: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A caveat with its place on the page."""

    kind: ClassVar[str] = "doubt"
    name: str  # unique on the page
    code: str
    what: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """A figure, and how good it is beside the others."""

    text: str
    note: str = ""  # below it, in small letters
    shade: int = 0  # from 0 to N_SHADES - 1, the darker the better; 0: none
    is_marked: bool = False  # the one that the sentence is about


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatTable:
    """A heat map as a table, which is read without scripts and without colours too."""

    kind: ClassVar[str] = "heat"
    name: str  # unique on the page
    title: str
    sentence: str
    corner: str  # what the rows are, and what the columns
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell | None, ...]], ...]  # None: there is no such cell


Simple = Text | Table | Facts | Figure | HeatTable | Command | Download | Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Blocks that open on request; print opens them all."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: tuple[Simple, ...]


Block = Simple | Fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question and its answer."""

    name: str  # unique on the page
    title: str  # empty: the chapter's own is enough
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One of the few questions that a reader comes with, and the sections that answer it."""

    name: str  # unique on the page, also among sections
    title: str
    sections: tuple[Section, ...]


def shade_of(value: float, best: float) -> int:
    """By the share of the best that a value comes to; the best alone is darkest."""
    return min(int(N_SHADES * value / best), N_SHADES - 1) if best > 0.0 else 0


def number(title: str) -> Column:
    """A column of figures."""
    return Column(title=title, kind="number")


def text(title: str) -> Column:
    """A column of words."""
    return Column(title=title)


def reason(title: str) -> Column:
    """A column of sentences, which keeps room for them beside many others."""
    return Column(title=title, kind="reason")


def basis(title: str = "evidence") -> Column:
    """A column that says where a figure comes from."""
    return Column(title=title, kind="basis")
