"""A scenario file to begin with: every key there is, its default and what it means, made from what reads it.

A key is off where it has no default or would mean nothing: its line begins with # and no single space after it, so that
it stands at its place once the # is taken away. The decision a reader would question: defaults are written, not left
out, so the file goes on meaning the same when a later version has others.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from loadplan.execution import TensorSpec
from loadplan.scenario.document import Document
from loadplan.scenario.model_keys import wrong_keys
from loadplan.scenario.model_section import Model
from loadplan.scenario.section import annotation_parts, section_in
from loadplan.scenario.spec import ModelSourceKind

Given = Mapping[str, object]

_HEADER = """\
# The question that loadplan answers, on one page: which machines serve this model, at this traffic, within these
# limits, and what do they cost a month?    loadplan run THIS_FILE
#
# What is marked YOURS holds an example: only you know it. Every other value is loadplan's default and may go. A key
# with a # before it is off, because it has no default or means nothing here: take the # away, and write a value of your
# own in place of each …
"""
_NOTE_COLUMN = 44
_WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(:[A-Za-z0-9_]+)?")
# Readers of YAML 1.1, as many editors are, take all of these for something else than text.
_NO_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_INPUTS_SHOWN, _NAME_SHOWN = 32, 60
_MODULE = "my_model:build"
_ROWS = "rows.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterModel:
    """The model that the scenario is to be about."""

    source: ModelSourceKind
    file: str  # as the scenario names it
    inputs: tuple[TensorSpec, ...] = ()  # none: this kind of file doesn't tell


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterText:
    """The file, and what in it nobody but the user knows."""

    text: str
    yours: tuple[str, ...]  # keys that hold an example or are off, such as `traffic.peak_rps`


@dataclass(frozen=True, slots=True)
class _Yours:
    """An example in place of what only the user knows."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a key stands."""

    column: int
    off_from: int | None = None  # column of the # that takes it, and what is in it, out of the file; None: it is on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A key with its indentation, and what is said about it."""

    key: str
    note: str = ""


def starter_text(model: StarterModel | None = None) -> StarterText:
    """The text of a scenario that reads, about `model`; with None the section `model` is off."""
    given: dict[str, object] = {"traffic": {"peak_rps": _Yours(300)}, "objectives": [{"p99_ms": _Yours(50)}]}
    if model is not None:
        given["model"] = _model_keys(model)
    seen: set[type[BaseModel]] = set()
    blocks = [_HEADER.rstrip("\n")]
    for key, field in _fields(Document).items():
        lines = list(_key(key, field, _value(given, key, field), _Place(column=0), seen))
        if key == "model" and model is not None:
            lines[1:1] = _input_lines(model)
        rows = [row for line in lines for row in _laid_out(line)]
        blocks.append("\n".join(rows if section_in(field.annotation) is None else ["", *rows]))
    yours = tuple(sorted(_yours_in(given)))
    return StarterText(text="\n".join(blocks) + "\n", yours=yours if model is not None else ("model", *yours))


def _model_keys(model: StarterModel) -> Given:
    named: dict[str, object] = {"source": model.source, "file": model.file}
    if model.source == "torch":
        return {**named, "factory": _Yours(_MODULE)}  # what the weights are loaded into
    return named if model.source == "onnx" else {**named, "payload": _Yours(_ROWS)}


def _input_lines(model: StarterModel) -> Iterator[_Line]:
    """What the model takes. Names come from a file of anybody's: a line feed in one must not end the comment."""
    for spec in model.inputs[:_INPUTS_SHOWN]:
        free = ("rows", *("any" for _ in spec.shape[1:]))
        shape = " × ".join(word if axis is None else str(axis) for axis, word in zip(spec.shape, free, strict=False))
        kind = "text" if spec.dtype == "object" else spec.dtype
        yield _Line(key=f"  # it takes {spec.name!r:.{_NAME_SHOWN}}: {kind}, {shape or 'one value'}")
    if len(model.inputs) > _INPUTS_SHOWN:
        yield _Line(key=f"  # and {len(model.inputs) - _INPUTS_SHOWN} more")


def _section(
    section: type[BaseModel], keys: Iterable[str], given: Given, place: _Place, seen: set[type[BaseModel]]
) -> Iterator[_Line]:
    """The keys of a section; of one that stood here before only those that have a value."""
    is_first = section not in seen
    seen.add(section)
    fields = _fields(section)
    for key in keys:
        value = _value(given, key, fields[key])
        if is_first or value is not None:
            here = place if _means_something(section, key, given) else _off(place)
            yield from _key(key, fields[key], value, here, seen)


def _key(key: str, field: FieldInfo, value: object, place: _Place, seen: set[type[BaseModel]]) -> Iterator[_Line]:
    section = section_in(field.annotation)
    note = _note(field, value, section)
    held = value.value if isinstance(value, _Yours) else value
    if section is None or isinstance(held, str | int | float):
        yield from _plain_key(key, held, note, place)
        if section is not None and section not in seen:  # a shape that it may have in place of the plain value
            yield _Line(key=f"{_margin(place)}# or, in its place:")
            yield _line(_off(place), f"{key}:")
            yield from _section(section, _fields(section), {}, _deeper(_off(place)), seen)
    elif held is None and section in seen:
        yield _line(_off(place), f"{key}: …", note)
    elif _is_list(field):
        here = _off(place) if held is None else place
        yield _line(here, f"{key}:", note)
        for item in held if isinstance(held, list) else [{}]:
            yield from _item(section, item, here, seen)
    else:
        own = held if isinstance(held, Mapping) else {}
        here = place if held is not None and _has_values(section, own) else _off(place)
        yield _line(here, f"{key}:", note)
        yield from _section(section, _fields(section), own, _deeper(here), seen)


def _plain_key(key: str, held: object, note: str, place: _Place) -> Iterator[_Line]:
    if held is None:
        yield _line(_off(place), f"{key}: …", note)
    else:
        yield _line(place, f"{key}: {_scalar(held)}", note)


def _item(section: type[BaseModel], given: Given, place: _Place, seen: set[type[BaseModel]]) -> Iterator[_Line]:
    """One item of a list; what is given comes first, for a key that is off can't carry the dash of one that is on."""
    keys = sorted(_fields(section), key=lambda key: key not in given)
    lines = _section(section, keys, given, _deeper(_deeper(place)), seen)
    first = next(lines)
    at = len(first.key) - len(first.key.lstrip(" #"))
    yield replace(first, key=f"{first.key[: at - 2]}- {first.key[at:]}")
    yield from lines


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """By the name that a file gives them."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _value(given: Given, key: str, field: FieldInfo) -> object:
    """What is given, or the default; None where there is neither, or the default is nothing."""
    if key in given:
        return given[key]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return None if default in ([], {}) else default


def _has_values(section: type[BaseModel], given: Given) -> bool:
    return any(_value(given, key, field) is not None for key, field in _fields(section).items())


def _means_something(section: type[BaseModel], key: str, given: Given) -> bool:
    """Whether a key goes with those that are given; of `model` not all go with every source."""
    source = given.get("source")
    if section is not Model or not isinstance(source, str):
        return True
    return len(wrong_keys(source, {*given, key})) <= len(wrong_keys(source, set(given)))


def _is_list(field: FieldInfo) -> bool:
    return any(get_origin(part) is list for part in annotation_parts(field.annotation))


def _note(field: FieldInfo, value: object, section: type[BaseModel] | None) -> str:
    said = field.description or ("" if section is None else _purpose(section))
    choices = [
        str(choice)
        for part in annotation_parts(field.annotation)
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    named = set(re.findall(r"\w+", said))
    of = "some of" if _is_list(field) else "one of"
    parts = [said, f"{of} {', '.join(choices)}" if len(choices) > 1 and not named.issuperset(choices) else ""]
    if value is None and field.is_required():
        parts.append("needed")
    elif value is None and not re.search(r"\bdefault|\bleft out", said):
        parts.append("by default none")
    whole = "; ".join(part for part in parts if part)
    return f"YOURS: {whole}" if isinstance(value, _Yours) else whole


def _purpose(section: type[BaseModel]) -> str:
    """The first line of what the section says of itself, as the end of a line."""
    first = (section.__doc__ or "").partition("\n")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def _yours_in(given: object, path: str = "") -> Iterator[str]:
    if isinstance(given, _Yours):
        yield path
    elif isinstance(given, Mapping):
        for key, value in given.items():
            yield from _yours_in(value, f"{path}.{key}" if path else key)
    elif isinstance(given, list):
        for i, value in enumerate(given):
            yield from _yours_in(value, f"{path}[{i}]")


def _deeper(place: _Place) -> _Place:
    return replace(place, column=place.column + 2)


def _off(place: _Place) -> _Place:
    return place if place.off_from is not None else replace(place, off_from=place.column)


def _margin(place: _Place) -> str:
    return " " * (place.column if place.off_from is None else place.off_from)


def _line(place: _Place, text: str, note: str = "") -> _Line:
    inside = "" if place.off_from is None else f"#{' ' * (place.column - place.off_from)}"
    return _Line(key=f"{_margin(place)}{inside}{text}", note=note)


def _laid_out(line: _Line) -> list[str]:
    """The key on the left, the note on the right, below each other where they don't fit beside each other."""
    wrapped = textwrap.wrap(line.note, _WIDTH - _NOTE_COLUMN - 2, break_long_words=False, break_on_hyphens=False)
    rows = [f"{' ' * _NOTE_COLUMN}# {part}" for part in wrapped]
    if not rows or len(line.key) + 2 > _NOTE_COLUMN:
        return [line.key, *rows]
    return [f"{line.key:<{_NOTE_COLUMN}}{rows[0].lstrip()}", *rows[1:]]


def _scalar(value: object) -> str:
    """As YAML has it on one line, for readers of its versions 1.1 and 1.2 alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    text = str(value)
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _NO_TEXT
    return text if is_plain or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    """Without a fraction where it has none; with one before an exponent, or YAML 1.1 would take it for text."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{int(exponent)}"
