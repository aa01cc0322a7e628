"""Records as JSON and arrays as parquet, there and back without loss.

JSON files read `{"schema": "loadplan.plan/1", "record": {…}}` with sorted keys, so the same record gives the same
bytes. Money is text, dates are ISO, arrays are their little-endian bytes in base64; NaN and infinity are refused.
Parquet goes through DuckDB, which needs neither pandas nor pyarrow.
"""

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_origin

import numpy as np
from cattrs import Converter, transform_error
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.store import files

T = TypeVar("T")
Columns = dict[str, NDArray[np.generic]]


def dumps(record: object) -> str:
    """One record as one line of JSON."""
    plain = _converter().unstructure(record)
    return json.dumps(plain, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def loads(text: str, kind: type[T], *, where: str) -> T:
    """The record in a line of JSON.

    Raises:
        InputError: when the text is not a `kind`, to the letter: unknown and missing fields are refused.
    """
    try:
        return _converter().structure(json.loads(text), kind)
    except Exception as error:  # cattrs raises groups, json raises ValueError: one message for the user
        reason = "; ".join(transform_error(error))[:300] if not isinstance(error, ValueError) else str(error)
        raise _unreadable(reason, where) from error


def write_record(path: Path, record: object, *, schema: str) -> None:
    """Keep one record in a file of its own."""
    plain = {"schema": schema, "record": _converter().unstructure(record)}
    files.write_text(path, json.dumps(plain, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def read_record(path: Path, kind: type[T], *, schema: str) -> T:
    """Read what `write_record` kept.

    Raises:
        InputError: when the file is missing, damaged, or of another schema than `schema`.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found, record = document["schema"], document["record"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(str(error) or type(error).__name__, str(path)) from error
    if found != schema:
        raise InputError(
            what=f"the file has the schema {found!r}, this loadplan reads {schema!r}",
            where=str(path),
            fix="run again with this version, or use the version that wrote it",
        )
    return loads(json.dumps(record), kind, where=str(path))


def write_columns(path: Path, columns: Mapping[str, NDArray[np.generic]], *, metadata: Mapping[str, str]) -> None:
    """Keep columns of equal length as parquet, with texts beside them in the file's own metadata."""
    import duckdb

    temporary = path.with_name(f"{files.UNFINISHED}parquet-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = ", ".join(f"{_quoted(name, chr(39))}: {_quoted(text, chr(39))}" for name, text in metadata.items())
    with duckdb.connect() as database:
        database.execute("SET threads = 1; SET preserve_insertion_order = true")
        database.register("columns", dict(columns))
        names = ", ".join(_quoted(name, '"') for name in columns)
        try:
            database.execute(  # COPY takes no parameters; names, path and texts are quoted above
                f"COPY (SELECT {names} FROM columns) TO {_quoted(str(temporary), chr(39))} "  # noqa: S608
                f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{pairs}}})"
            )
            files.write_bytes(path, temporary.read_bytes())
        except duckdb.IOException as error:
            raise files.disk_fault(
                OSError(str(error)), path, n_bytes=sum(c.nbytes for c in columns.values())
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def read_columns(path: Path) -> tuple[Columns, dict[str, str]]:
    """Read what `write_columns` kept: columns by name, and the metadata.

    Raises:
        InputError: when the file is missing or is not parquet.
    """
    import duckdb

    try:
        with duckdb.connect() as database:
            database.execute("SET threads = 1; SET preserve_insertion_order = true")
            masked = database.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchnumpy()
            pairs = database.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]).fetchall()
    except duckdb.Error as error:
        raise _unreadable(str(error).splitlines()[0], str(path)) from error
    columns = {name: _unmasked(values) for name, values in masked.items()}
    return columns, {bytes(key).decode(): bytes(value).decode() for key, value in pairs}


def _unmasked(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """DuckDB takes NaN for a missing value, and hands texts out as Python objects: both back to what was written."""
    if values.dtype.kind == "f":
        return np.ma.filled(values, np.nan)
    return values.astype(np.str_) if values.dtype.hasobject else np.ma.getdata(values)


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark + mark) + mark


def _unreadable(reason: str, where: str) -> InputError:
    return InputError(what=f"the artefact can't be read: {reason}", where=where, fix="run again to make it anew")


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook_func(_is_array, _array_to_json)
    converter.register_structure_hook_func(_is_array, lambda value, _: _array_from_json(value))
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    for kind in (datetime, date):
        converter.register_unstructure_hook(kind, kind.isoformat)
        converter.register_structure_hook(kind, lambda value, kind: kind.fromisoformat(value))
    converter.register_structure_hook(bool, _strictly_bool)
    # cattrs would turn the text "1" into the number 1; a file in which that happens is not ours.
    for number, accepted in ((int, int), (float, (int, float))):
        converter.register_structure_hook(number, _strictly(number, accepted))
    return converter


def _strictly(kind: type, accepted: type | tuple[type, ...]) -> Any:
    def structure(value: object, _: object) -> object:
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise TypeError(f"{value!r} is not a number")
        return kind(value)

    return structure


def _strictly_bool(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _is_array(kind: Any) -> bool:
    return kind is np.ndarray or get_origin(kind) is np.ndarray


def _array_to_json(array: NDArray[np.generic]) -> dict[str, str]:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": little.dtype.str, "base64": base64.b64encode(little.tobytes()).decode()}


def _array_from_json(value: Mapping[str, str]) -> NDArray[np.generic]:
    return np.frombuffer(base64.b64decode(value["base64"], validate=True), dtype=value["dtype"]).copy()
