"""Strict YAML 1.2: text becomes plain values, each with its place in the file.

Stricter than the standard, because a scenario is short and a misread number is dear: no tags, anchors or aliases,
no second document, no duplicate keys, and a plain scalar is a number only if it is written in decimal (`1_000`,
`0x1F`, `12:30` and dates stay text, which a number's key then refuses). Events are read one at a time, so an alias
bomb or a deep nest stops before anything is built. Lines and columns count from 1.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MAX_DEPTH = 20  # a scenario needs 5
MAX_NODES = 20_000  # a scenario has about 100; keeps the pure Python parser under a second
MAX_LINE_CHARACTERS = 20_000  # the parser takes seconds over a tag or an anchor of a megabyte

Path = tuple[str | int, ...]  # keys and list positions from the top, such as ("objectives", 0, "p99_ms")

_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_INT_CHARACTERS = 16  # longer ones become floats: exact integers end there, and int() of a long text is slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where something stands in the file."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to correct, at its place."""

    mark: Mark
    path: Path
    text: str


@dataclass(slots=True, kw_only=True)
class Tree:
    """Plain values and, by path, where each key and each value stands and how it was written."""

    value: Any = None  # dict, list, str, int, float, bool or None, as YAML's core schema has them
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)  # scalars only
    mistakes: list[Mistake] = field(default_factory=list)


def read_tree(text: str) -> Tree:
    """Parse one document. Mistakes that stop the parser are the last of `mistakes`; the value is then None."""
    tree = Tree()
    unreadable = _unreadable_character(text)
    if unreadable is not None:
        tree.mistakes.append(unreadable)
        return tree
    try:
        events = _checked_events(text)
        tree.value = _read_node(next(events, None), events, path=(), tree=tree)
        _refuse_second_document(next(events, None))
    except _StopReadingError as stop:
        tree.value = None
        tree.mistakes.append(Mistake(mark=_mark(stop.event.start_mark), path=(), text=stop.text))
    except MarkedYAMLError as error:
        tree.value = None
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context or "this can't be read").split())
        place = _mark(mark) if mark is not None else Mark(line=1, column=1)
        tree.mistakes.append(Mistake(mark=place, path=(), text=f"not valid YAML: {problem}"))
    except (YAMLError, ValueError, OverflowError, IndexError) as error:
        # ruamel.yaml lets a few bare Python errors through, such as chr() on an escape beyond Unicode.
        tree.value = None
        tree.mistakes.append(Mistake(mark=Mark(line=1, column=1), path=(), text=f"not valid YAML: {error!s:.200}"))
    return tree


def has_control_character(text: str) -> bool:
    """Whether the text holds what could deceive a reader or break a file name."""
    return any(_is_forbidden(character) for character in text)


class _StopReadingError(Exception):
    def __init__(self, text: str, event: Event) -> None:
        super().__init__(text)
        self.text = text
        self.event = event


def _checked_events(text: str) -> Iterator[Any]:
    """The nodes of the document, as long as they are plain, shallow and few."""
    depth = n_nodes = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            raise _StopReadingError("%YAML and %TAG directives are not allowed", event)
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            depth -= 1
        elif not isinstance(event, (ScalarEvent, AliasEvent)):
            continue
        n_nodes += 1
        _refuse_unless_plain(event)
        if depth > MAX_DEPTH:
            raise _StopReadingError(f"nested deeper than {MAX_DEPTH} levels", event)
        if n_nodes > MAX_NODES:
            raise _StopReadingError(f"more than {MAX_NODES:,} values", event)
        yield event


def _refuse_second_document(event: Any) -> None:
    if event is not None:
        raise _StopReadingError("a second document starts here; a file holds one", event)


def _refuse_unless_plain(event: Any) -> None:
    if isinstance(event, AliasEvent):
        raise _StopReadingError(f"aliases are not allowed, read {f'*{event.anchor}'!r}; write the value again", event)
    if getattr(event, "anchor", None) is not None:
        raise _StopReadingError(f"anchors are not allowed, read {f'&{event.anchor}'!r}; remove it", event)
    if getattr(event, "tag", None) is not None:
        raise _StopReadingError(f"tags are not allowed, read {event.tag!s:.60}; write the plain value", event)


def _read_node(event: Any, events: Iterator[Any], *, path: Path, tree: Tree) -> Any:
    if event is None:
        return None
    tree.values[path] = _mark(event.start_mark)
    if isinstance(event, MappingStartEvent):
        return _read_mapping(events, path=path, tree=tree)
    if isinstance(event, SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(_read_node(event, events, path=(*path, len(items)), tree=tree))
        return items
    tree.written[path] = event.value
    if has_control_character(event.value):  # written as an escape, such as "\u202e"
        tree.mistakes.append(
            Mistake(mark=_mark(event.start_mark), path=path, text=f"control characters, read {event.value!r:.60}")
        )
    return _resolve(event.value) if event.implicit[0] else event.value


def _read_mapping(events: Iterator[Any], *, path: Path, tree: Tree) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    while not isinstance(key := next(events), MappingEndEvent):
        if not isinstance(key, ScalarEvent):
            raise _StopReadingError("a key must be plain text, not a list or a mapping", key)
        here = (*path, key.value)
        if key.value in mapping:
            first = tree.keys[here].line
            tree.mistakes.append(
                Mistake(mark=_mark(key.start_mark), path=here, text=f"given twice, first in line {first}; keep one")
            )
            _read_node(next(events), events, path=here, tree=Tree())  # the first one stands
            continue
        tree.keys[here] = _mark(key.start_mark)
        mapping[key.value] = _read_node(next(events), events, path=here, tree=tree)
        if mapping[key.value] is None and not tree.written[here]:
            tree.values[here] = tree.keys[here]  # the parser places an absent value at whatever comes next
    return mapping


def _resolve(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema, without its hexadecimal, octal, infinite and leading-zero numbers."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text.lower() == "true"
    if len(text) <= _MAX_INT_CHARACTERS and _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _unreadable_character(text: str) -> Mistake | None:
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        if len(line) > MAX_LINE_CHARACTERS:
            mark = Mark(line=number, column=MAX_LINE_CHARACTERS + 1)
            return Mistake(mark=mark, path=(), text=f"a line of more than {MAX_LINE_CHARACTERS:,} characters")
        if line.isascii() and line.isprintable():
            continue
        for column, character in enumerate(line, start=1):
            if _is_forbidden(character):
                mark = Mark(line=number, column=column)
                return Mistake(mark=mark, path=(), text="a control character stands here; remove it")
    return None


def _is_forbidden(character: str) -> bool:
    if character in "\t\n\r":
        return False
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in _BIDI_CONTROLS
        or character == "\ufeff"
    )


def _mark(mark: Any) -> Mark:
    return Mark(line=mark.line + 1, column=mark.column + 1)
