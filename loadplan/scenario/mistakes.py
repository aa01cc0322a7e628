"""From pydantic's errors to lines a person can act on: place, key, what was expected, what was read, nearest key."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from loadplan.errors import InputError
from loadplan.scenario.document import Document
from loadplan.scenario.section import TAG_MARK, section_in
from loadplan.scenario.yaml_tree import Mark, Mistake, Path, Tree

_MAX_SHOWN = 50
_MAX_ECHO_CHARACTERS = 60

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text (put it in quotes if it looks like a number)",
    "list_type": "a list, such as [1, 8]",
    "model_type": "a mapping of keys to values",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of {ge:g} or more",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of {le:g} or less",
    "literal_error": "{expected}",
    "string_too_short": "text",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
}
_PATTERNS = {
    "name": "letters, digits, dots, dashes and underscores, since it names a folder",
    "factory": "module:function, such as digits_model:build",
    "answer": "a JSON pointer, such as /predictions/0",
    "like": "a type of the catalogue, such as aws/c7i.4xlarge",
}


# Ends pydantic's path of an error about the name of a key, where names are the user's own.
_OF_A_KEY = "[key]"
_OFFERS = ("today", "proposal")  # keys below which offers are named


def from_pydantic(errors: Iterable[ErrorDetails], tree: Tree) -> list[Mistake]:
    """Each error at its place in the file; those of one contradiction become one line for each."""
    mistakes: list[Mistake] = []
    for error in errors:
        path: Path = tuple(part for part in error["loc"] if not str(part).startswith(TAG_MARK))
        if error["type"] == "contradiction":
            mistakes += [_contradiction(path, keys, text, tree) for keys, text in error["ctx"]["found"]]
        elif error["type"] == "extra_forbidden":
            mistakes.append(Mistake(mark=tree.keys[path], path=path, text=_unknown_key(path)))
        elif error["type"] == "missing":
            mistakes.append(Mistake(mark=_place(path[:-1], tree), path=path, text=f"missing{_described(path)}"))
        elif path[-1:] == (_OF_A_KEY,):
            named = path[:-1]
            mistakes.append(Mistake(mark=_place(named, tree), path=named, text=_wrong_key(error, named)))
        else:
            mistakes.append(Mistake(mark=_place(path, tree), path=path, text=_wrong_value(error, path, tree)))
    return mistakes


def empty_values(tree: Tree, named: set[Path]) -> list[Mistake]:
    """A key without a value is a slip of the pen, not a wish for the default. `named`: paths already complained of."""
    text = "has no value; give one, or remove the key"
    return [
        Mistake(mark=mark, path=path, text=text)
        for path, mark in tree.values.items()
        if path and path not in named and _at(tree.value, path) is None
    ]


def repeated_items(tree: Tree) -> list[Mistake]:
    """The second of two equal items in a list of plain values."""
    mistakes = []
    for path, mark in tree.values.items():
        if path and isinstance(path[-1], int) and path in tree.written:
            before = _at(tree.value, path[:-1])[: path[-1]]
            if _at(tree.value, path) in before:
                mistakes.append(Mistake(mark=mark, path=path, text=f"{_echo(path, tree)} stands in this list twice"))
    return mistakes


def refusal(mistakes: Iterable[Mistake], where: str) -> InputError:
    """All mistakes in the order of the file, one line each."""
    ordered = sorted(mistakes, key=lambda mistake: (mistake.mark.line, mistake.mark.column))
    lines = [_line(mistake, where) for mistake in ordered[:_MAX_SHOWN]]
    if len(ordered) > _MAX_SHOWN:
        lines.append(f"and {len(ordered) - _MAX_SHOWN} more")
    return InputError(
        what="\n".join(lines),
        where=where,
        fix="correct the line" + ("s" if len(lines) > 1 else "") + " named; `loadplan schema` lists every key",
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _line(mistake: Mistake, where: str) -> str:
    key = _shown(mistake.path)
    return f"{where}:{mistake.mark.line}:{mistake.mark.column} {key + ': ' if key else ''}{mistake.text}"


def _shown(path: Path) -> str:
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            word = part if part.isidentifier() and part.isascii() else f"{part!r:.{_MAX_ECHO_CHARACTERS}}"
            shown += f".{word}" if shown else word
    return shown


def _unknown_key(path: Path) -> str:
    known = _keys_of(_model_at(path[:-1]))
    return "unknown key" + (nearest(str(path[-1]), known) or f"; known here: {', '.join(known)}")


def _wrong_value(error: ErrorDetails, path: Path, tree: Tree) -> str:
    template = _EXPECTED.get(error["type"])
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        plain = "a plain name of letters, digits, dots, dashes and underscores"
        is_within = len(path) > 1 and path[-1] == "name"  # of a class, not of the scenario
        expected = plain if is_within else _PATTERNS.get(str(path[-1]), plain)
    elif template is not None:
        expected = template.format(**context)
    else:
        expected = error["msg"].removeprefix("Input should be ")
    read = error["input"]
    # A literal's expectation names its words in quotes.
    near = nearest(read, re.findall("'([^']*)'", expected)) if isinstance(read, str) else ""
    return f"expected {expected}, read {_echo(path, tree)}{near}"


def _wrong_key(error: ErrorDetails, path: Path) -> str:
    """Of a name that the user chose, such as that of an offer that runs today."""
    is_offer = len(path) > 1 and path[-2] in _OFFERS
    expected = "provider/region/type/purchase, such as aws/us-east-1/c7i.large/on_demand"
    said = expected if is_offer else error["msg"].removeprefix("Input should be ")
    return f"expected {said}"


def _contradiction(section: Path, keys: tuple[str, ...], text: str, tree: Tree) -> Mistake:
    """One line at the first key, with the line of the second."""
    paths = [(*section, *(int(part) if part.isdigit() else part for part in key.split("."))) for key in keys]
    written = [path for path in paths if path in tree.values]
    lines = "".join(f" ({_shown(path)} in line {_place(path, tree).line})" for path in written[1:])
    unwritten = "".join(f" ({_shown(path)} by default)" for path in paths if path not in tree.values)
    at = written[0] if written else section
    return Mistake(mark=_place(at, tree), path=at, text=text + lines + unwritten)


def _described(path: Path) -> str:
    model = _model_at(path[:-1])
    fields = model.model_fields if model is not None else {}
    description = next((field.description for name, field in fields.items() if (field.alias or name) == path[-1]), None)
    return f"; expected {description}" if description else ""


def _echo(path: Path, tree: Tree) -> str:
    """The value as it was written, safe to print."""
    value = _at(tree.value, path)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    written = tree.written.get(path, "")
    if not written:
        return "nothing" if value is None else "empty text"
    shown = repr(written)
    return shown if len(shown) <= _MAX_ECHO_CHARACTERS else shown[: _MAX_ECHO_CHARACTERS - 1] + "…"


def _place(path: Path, tree: Tree) -> Mark:
    while path and path not in tree.values:
        path = path[:-1]
    return tree.values.get(path, Mark(line=1, column=1))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _keys_of(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model is not None else []


def _model_at(path: Path) -> type[BaseModel] | None:
    """The section that the path leads to, or None when it leads to something else."""
    model: type[BaseModel] | None = Document
    for part in path:
        if isinstance(part, int):
            continue  # the item's model was found with its list
        if model is None or part not in model.model_fields:
            return None
        model = section_in(model.model_fields[part].annotation)
    return model
