"""Requests to any JSON API: a document in which some texts stand for the rows that a request carries.

    {"model": "v3", "instances": "$rows"}

| text | what it becomes |
|---|---|
| `$inputs.NAME` | the rows of this input of the model, as nested lists: (rows, …) |
| `$rows` | a list with an object per row: each input's name and its value; a value of one number is a bare number |
| `$row` | the object of the only row; of requests that carry one row each |
| `$row.NAME` | one input of the only row |
| `$n_rows` | the number of rows |
| `$$…` | the text `$…` itself |

Nothing else is computed, and only whole texts are replaced, so rows can never break out of their place in the document.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from loadplan.errors import InputError

Inputs = Mapping[str, NDArray[np.generic]]

_PLACE = re.compile(r"\$(rows|row|n_rows|row\..+|inputs\..+)", re.DOTALL)
_WORDS = "$inputs.NAME, $rows, $row, $row.NAME, $n_rows, or $$ for a plain dollar"


def parse_template(text: bytes, *, where: str) -> object:
    """The document. Raises InputError when it is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(
            what=f"the request is not JSON: {error}", where=where, fix="write the body that the API takes, as JSON"
        ) from error


def needs_rows(document: object) -> bool:
    """Whether anything in the document stands for rows."""
    if isinstance(document, dict):
        return any(map(needs_rows, document.values()))
    if isinstance(document, list):
        return any(map(needs_rows, document))
    return isinstance(document, str) and _PLACE.fullmatch(document) is not None


def fill(document: object, inputs: Inputs, *, where: str) -> object:
    """The document with the rows of one request in their places; all inputs have as many rows.

    Raises:
        InputError: for a text that stands for nothing, or for one row where there are several.
    """
    if isinstance(document, dict):
        return {key: fill(value, inputs, where=where) for key, value in document.items()}
    if isinstance(document, list):
        return [fill(value, inputs, where=where) for value in document]
    if not isinstance(document, str) or not document.startswith("$"):
        return document
    if document.startswith("$$"):
        return document[1:]
    return _rows_for(document, inputs, where)


def _rows_for(word: str, inputs: Inputs, where: str) -> object:
    n_rows = max((len(values) for values in inputs.values()), default=0)
    kind, _, name = word[1:].partition(".")
    if word == "$rows":
        return [_row(inputs, i) for i in range(n_rows)]
    if word == "$n_rows":
        return n_rows
    if kind == "row":
        if n_rows != 1:
            raise InputError(
                what=f"{word} stands for one row, and requests carry {n_rows}",
                where=where,
                fix="use $rows or $inputs.NAME, or set traffic.rows_per_request to 1",
            )
        return _row(inputs, 0) if word == "$row" else _plain(_input(name, word, inputs, where)[0])
    if kind == "inputs":
        return _input(name, word, inputs, where).tolist()
    raise InputError(what=f"{word[:60]!r} stands for nothing", where=where, fix=f"write {_WORDS}")


def _row(inputs: Inputs, i: int) -> dict[str, object]:
    return {name: _plain(values[i]) for name, values in inputs.items()}


def _plain(value: Any) -> object:
    """One row's value of one input; a column of a table is (rows, 1) to the model and a bare value to an API."""
    array = np.asarray(value)
    plain: object = array.reshape(()).tolist() if array.shape == (1,) else array.tolist()
    return plain


def _input(name: str, word: str, inputs: Inputs, where: str) -> NDArray[np.generic]:
    try:
        return inputs[name]
    except KeyError:
        raise InputError(
            what=f"{word[:60]!r} names no input of the model",
            where=where,
            fix=f"it has {', '.join(inputs)}" if inputs else "give the scenario a model, whose rows are sent",
        ) from None
