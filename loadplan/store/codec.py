"""Records as JSON and arrays as parquet, there and back without loss.

JSON files read `{"schema": "loadplan.plan/1", "sha256": …, "record": {…}}` with sorted keys, so the same record gives
the same bytes; the hash, over schema and record, shows a changed byte to whoever reads the file alone. Money is text,
dates are ISO, arrays are their little-endian bytes in base64; NaN and infinity are refused. Parquet goes through
DuckDB, which needs neither pandas nor pyarrow; the file says itself which columns of which type it holds.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_origin

import numpy as np
from cattrs import Converter, transform_error
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.store import files

T = TypeVar("T")
Columns = dict[str, NDArray[np.generic]]


# The key in a parquet file's own metadata under which the columns and their types stand.
_COLUMNS = "loadplan.columns/1"


def dumps(record: object) -> str:
    """One record as one line of JSON.

    Raises:
        ValueError: when a number in it is NaN or infinite: that is never stored.
    """
    return _to_text(_converter().unstructure(record))


def loads(text: str, kind: type[T], *, where: str) -> T:
    """The record in a line of JSON.

    Raises:
        InputError: when the text is not a `kind`, to the letter: unknown and missing fields are refused.
    """
    try:
        return _structure(json.loads(text), kind, where=where)
    except (ValueError, RecursionError) as error:
        raise _unreadable(str(error), where) from error


def write_record(path: Path, record: object, *, schema: str) -> None:
    """Keep one record in a file of its own.

    Raises:
        ValueError: as `dumps`.
        EnvironmentFault: when the disk is full or failing.
    """
    plain = _converter().unstructure(record)
    document = {"schema": schema, "sha256": _digest(schema, plain), "record": plain}
    files.write_text(path, json.dumps(document, sort_keys=True, allow_nan=False, indent=1) + "\n")


def read_record(path: Path, kind: type[T], *, schema: str) -> T:
    """Read what `write_record` kept.

    Raises:
        InputError: when the file is missing, damaged, or of another schema than `schema`.
    """
    document = _read_document(path)
    found = document.get("schema")
    if found != schema:
        raise InputError(
            what=f"the file has the schema {found!r}, this loadplan reads {schema!r}",
            where=str(path),
            fix="run again with this version, or use the version that wrote it",
        )
    try:
        intact = document["sha256"] == _digest(schema, document["record"])
    except (KeyError, ValueError) as error:
        raise _unreadable(str(error), str(path)) from error
    if not intact:
        raise _unreadable("it was changed after it was written", str(path))
    return _structure(document["record"], kind, where=str(path))


def schema_of(path: Path) -> str | None:
    """The schema that a record's file names; None where the file is no record."""
    try:
        schema = _read_document(path).get("schema")
    except InputError:
        return None
    return schema if isinstance(schema, str) else None


def write_columns(path: Path, columns: Mapping[str, NDArray[np.generic]], *, metadata: Mapping[str, str]) -> None:
    """Keep columns of equal length as parquet, with texts beside them in the file's own metadata.

    Raises:
        EnvironmentFault: when the disk is full or failing.
    """
    import duckdb

    types = {name: _type_name(values) for name, values in columns.items()}
    texts = {**metadata, _COLUMNS: json.dumps(types)}
    pairs = ", ".join(f"{_quoted(name, chr(39))}: {_quoted(text, chr(39))}" for name, text in texts.items())
    names = ", ".join(_quoted(name, '"') for name in columns)
    n_bytes = sum(values.nbytes for values in columns.values())
    with files.replacing(path, n_bytes=n_bytes) as descriptor, duckdb.connect() as database:
        database.execute("SET threads = 1; SET preserve_insertion_order = true")
        database.register("columns", dict(columns))
        try:
            database.execute(  # COPY takes no parameters; names and texts are quoted above
                f"COPY (SELECT {names} FROM columns) TO '{files.path_of_open(descriptor)}' "  # noqa: S608
                f"(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{{pairs}}})"
            )
        except duckdb.IOException as error:
            raise _as_os_error(error) from error


def read_columns(path: Path) -> tuple[Columns, dict[str, str]]:
    """Read what `write_columns` kept: columns by name in the order written, and the metadata.

    Raises:
        InputError: when the file is missing, damaged, or was not written by `write_columns`.
    """
    import duckdb

    try:
        with path.open("rb") as file, duckdb.connect() as database:
            opened = files.path_of_open(file.fileno())
            database.execute("SET threads = 1; SET preserve_insertion_order = true")
            described = database.execute("SELECT * FROM read_parquet(?) LIMIT 0", [opened]).description or ()
            # One after the other: a query holds all that it answers a second time.
            columns = {name: _read_column(database, opened, name) for name, *_ in described}
            pairs = database.execute("SELECT key, value FROM parquet_kv_metadata(?)", [opened]).fetchall()
        metadata = {bytes(key).decode(): bytes(value).decode() for key, value in pairs}
        declared = json.loads(metadata.pop(_COLUMNS, "null"))
    except (duckdb.Error, OSError, ValueError) as error:
        raise _unreadable(str(error).splitlines()[0], str(path)) from error
    found = {name: _type_name(values) for name, values in columns.items()}
    if found != declared:
        reason = "loadplan did not write it" if declared is None else f"columns {found}, expected {declared}"
        raise _unreadable(reason, str(path))
    return columns, metadata


def _read_column(database: Any, opened: str, name: str) -> NDArray[np.generic]:
    query = f"SELECT {_quoted(name, chr(34))} FROM read_parquet(?)"  # noqa: S608 -- names take no parameter; it is quoted
    (values,) = database.execute(query, [opened]).fetchnumpy().values()
    return _unmasked(values)


def _unmasked(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """DuckDB takes NaN for a missing value, and hands texts out as Python objects: both back to what was written."""
    if values.dtype.kind == "f":
        return np.ma.filled(values, np.nan)
    return values.astype(np.str_) if values.dtype.hasobject else np.ma.getdata(values)


def _type_name(values: NDArray[np.generic]) -> str:
    return "str" if values.dtype.kind in "UO" else values.dtype.name


def _as_os_error(error: Exception) -> OSError:
    """DuckDB tells the error number of the system within its text."""
    number = re.search(r'"errno":"(\d+)"', str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark + mark) + mark


def _to_text(plain: object) -> str:
    return json.dumps(plain, sort_keys=True, allow_nan=False, separators=(",", ":"))


def _digest(schema: str, plain: object) -> str:
    return hashlib.sha256(_to_text([schema, plain]).encode()).hexdigest()


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(str(error), str(path)) from error
    if not isinstance(document, dict):
        raise _unreadable("it is no record", str(path))
    return document


def _structure(plain: object, kind: type[T], *, where: str) -> T:
    try:
        return _converter().structure(plain, kind)
    except Exception as error:  # cattrs raises groups of whatever went wrong in each field: one message for the user
        raise _unreadable("; ".join(transform_error(error))[:300], where) from error


def _unreadable(reason: str, where: str) -> InputError:
    return InputError(what=f"the artefact can't be read: {reason}", where=where, fix="run again to make it anew")


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook_func(_is_array, _array_to_json)
    converter.register_structure_hook_func(_is_array, lambda value, _: _array_from_json(value))
    converter.register_unstructure_hook(Decimal, _money_to_json)
    for kind in (datetime, date):
        converter.register_unstructure_hook(kind, kind.isoformat)
        converter.register_structure_hook(kind, lambda value, kind: kind.fromisoformat(value))
    # cattrs would turn the text "1" into the number 1 and back; a file in which that happens is not ours.
    converter.register_structure_hook(bool, _strictly(bool, bool))
    converter.register_structure_hook(int, _strictly(int, int))
    converter.register_structure_hook(float, _strictly(float, int | float))
    converter.register_structure_hook(str, _strictly(str, str))
    converter.register_structure_hook(Decimal, _strictly(Decimal, str))
    return converter


def _strictly(kind: type, accepted: type | UnionType) -> Callable[[object, object], object]:
    def structure(value: object, _: object) -> object:
        # Python counts a bool as an int.
        if not isinstance(value, accepted) or isinstance(value, bool) != (kind is bool):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        made = kind(value)
        if kind in (float, Decimal) and not math.isfinite(made):
            raise ValueError(f"{value!r} is not finite")
        return made

    return structure


def _money_to_json(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no amount of money")
    return str(value)


def _is_array(kind: Any) -> bool:
    return kind is np.ndarray or get_origin(kind) is np.ndarray


def _array_to_json(array: NDArray[np.generic]) -> dict[str, str]:
    if array.ndim != 1 or array.dtype.hasobject:
        raise TypeError(f"only one-dimensional arrays of numbers or texts are stored, not {array.shape} {array.dtype}")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": little.dtype.str, "base64": base64.b64encode(little.tobytes()).decode()}


def _array_from_json(value: Mapping[str, str]) -> NDArray[np.generic]:
    return np.frombuffer(base64.b64decode(value["base64"], validate=True), dtype=value["dtype"]).copy()
