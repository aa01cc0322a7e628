"""Which kind of log a file is, by what stands in it: its ending says too little, and a rotated one has none."""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from loadplan.demand.records import LogFormat
from loadplan.errors import InputError
from loadplan.store.files import path_of_open

Kind = Literal["access", "csv", "jsonl", "parquet"]
Compression = Literal["none", "gzip"]

# The common log format and whatever follows it, after anything: `[time] "request" status bytes …`. Quotes within the
# request are written with a backslash, by nginx as \x22.
ACCESS_LINE = r'\[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-)(.*)$'

_HEAD_BYTES = 1 << 18
_N_LINES = 200
_DELIMITERS = ",;\t|"
_KIND_OF: dict[LogFormat, Kind] = {
    "nginx": "access",
    "apache": "access",
    "csv": "csv",
    "jsonl": "jsonl",
    "parquet": "parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A file that is open for the data base to read."""

    path: Path
    opened: str  # what the data base opens: by descriptor, because it takes *, ? and [ in a path for patterns
    kind: Kind
    compression: Compression = "none"
    columns: tuple[str, ...] = ()  # of a CSV or of JSON lines, as they are called there
    delimiter: str = ","  # of a CSV
    has_header: bool = True  # of a CSV


@contextmanager
def open_logs(paths: Sequence[Path], *, log_format: LogFormat | None) -> Iterator[tuple[LogFile, ...]]:
    """The files, of one kind all of them.

    Raises:
        InputError: when one can't be read, is empty, or is of another kind than the first.
    """
    if not paths:
        raise InputError(what="no log is named", where="the command line", fix="name one or more files")
    with ExitStack() as stack:
        files = tuple(_open(path, stack, log_format=log_format) for path in paths)
        other = next((file for file in files if file.kind != files[0].kind), None)
        if other is not None:
            raise InputError(
                what=f"this is a log of another kind ({_named(other.kind)}) than {files[0].path} "
                f"({_named(files[0].kind)})",
                where=str(other.path),
                fix="read the logs of one kind at a time, or name the kind with --format",
            )
        yield files


def _open(path: Path, stack: ExitStack, *, log_format: LogFormat | None) -> LogFile:
    if path.is_dir():
        raise _refusal(path, "this is a folder, not a log", "name the files in it, such as logs/access.log*")
    if not path.exists():
        raise _refusal(path, "there is no such file", "check the path")
    if not path.is_file():  # opening a named pipe would wait for ever, and it can be read only once
        raise _refusal(path, "this is not a regular file", "write the log to a file first")
    try:
        opened = stack.enter_context(path.open("rb"))
        head = opened.read(_HEAD_BYTES)
        compression: Compression = "none"
        if head.startswith(b"\x1f\x8b"):
            compression = "gzip"
            with gzip.open(path) as unpacked:
                head = unpacked.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise _refusal(
            path, f"the file can't be read: {error}", "check its permissions, and that it is whole"
        ) from None
    if not head.strip():
        raise _refusal(
            path, "the log is empty", "name one with requests in it; after a rotation that is the one before"
        )
    return _described(path, head, opened=path_of_open(opened.fileno()), compression=compression, named=log_format)


def _described(path: Path, head: bytes, *, opened: str, compression: Compression, named: LogFormat | None) -> LogFile:
    if head.startswith(b"PAR1"):
        return LogFile(path=path, opened=opened, kind="parquet")
    lines = _lines(head, path)
    kind = _KIND_OF[named] if named else _kind(lines)
    if kind == "parquet":
        raise _refusal(path, "this is no parquet file", "leave out --format, or name the one it has")
    if kind == "jsonl":
        return LogFile(path=path, opened=opened, kind=kind, compression=compression, columns=_keys(lines, path))
    if kind == "access":
        return LogFile(path=path, opened=opened, kind=kind, compression=compression)
    delimiter = max(_DELIMITERS, key=lines[0].count)
    first = [cell.strip() for cell in next(csv.reader([lines[0]], delimiter=delimiter), [])]
    has_header = not any(_is_value(cell) for cell in first)
    names = first if has_header else []
    unique = tuple(
        name if name and name not in names[:i] else f"column{i + 1}"
        for i, name in enumerate(names or [""] * len(first))
    )
    return LogFile(
        path=path,
        opened=opened,
        kind=kind,
        compression=compression,
        columns=unique,
        delimiter=delimiter,
        has_header=has_header,
    )


def _lines(head: bytes, path: Path) -> list[str]:
    """The first lines that are not blank; the last is left out where the head may have cut it."""
    if b"\0" in head[:4096]:
        raise _refusal(
            path, "this is no text", "name a log in text, or as parquet; unpack what is packed other than by gzip"
        )
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    whole = lines[:-1] if len(head) == _HEAD_BYTES and len(lines) > 1 else lines
    return [line for line in whole[:_N_LINES] if line.strip()]


def _kind(lines: list[str]) -> Kind:
    if any(re.search(ACCESS_LINE, line) for line in lines[:20]):
        return "access"
    return "jsonl" if lines[0].lstrip().startswith(("{", "[")) else "csv"


def _keys(lines: list[str], path: Path) -> tuple[str, ...]:
    """The keys of the objects in the first lines, with a dot between those of an object within another."""
    keys: dict[str, None] = {}
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            keys.update(dict.fromkeys(_dotted(value)))
    if not keys:
        raise _refusal(
            path, "no line holds a JSON object", "write one object a line, such as with jq -c '.[]' from a JSON list"
        )
    return tuple(keys)


def _dotted(value: dict[str, Any]) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from (f"{key}.{name}" for name in inner)
        else:
            yield key


def _is_value(cell: str) -> bool:
    """Whether this can't be a column's name: a number or a time."""
    try:
        float(cell)
    except ValueError:
        try:
            datetime.fromisoformat(cell)
        except ValueError:
            return False
    return True


def _named(kind: Kind) -> str:
    return {"access": "an access log", "csv": "a CSV", "jsonl": "JSON lines", "parquet": "parquet"}[kind]


def _refusal(path: Path, what: str, fix: str) -> InputError:
    return InputError(what=what, where=str(path), fix=fix)
