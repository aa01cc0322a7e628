"""A CSV file that several processes append to: a row is there whole or not at all, whoever is killed at which moment.

The lock is the kernel's (`flock`) on the file itself, so it dies with its holder. A last line without its end is what
a kill left behind: readers leave it out, the next writer cuts it off.
"""

import csv
import fcntl
import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadplan.errors import InputError
from loadplan.store import files


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvLog:
    """The whole rows of such a file."""

    rows: tuple[dict[str, str], ...]  # by column, in the order in which they were written
    sha256: str  # of the bytes that these rows were read from


def append_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Add rows for good; the first writer writes the columns' names.

    Raises:
        InputError: when the file has other columns.
        EnvironmentFault: when the disk is full, read-only or failing; no part of the rows is kept then.
    """
    text = _lines(rows)
    with files.disk_errors(path, n_bytes=len(text)):
        files.make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            whole = _whole(_read_all(descriptor))
            if whole:
                _require_columns(path, whole, columns)
            _write_at(descriptor, len(whole), text if whole else _lines([columns]) + text)
        finally:
            os.close(descriptor)
        files.sync_folder(path.parent)


def read_log(path: Path) -> CsvLog | None:
    """The rows written so far; None where there is no such file or no row.

    Raises:
        InputError: when a line has more or fewer cells than there are columns.
        EnvironmentFault: when the file can't be read.
    """
    with files.disk_errors(path, n_bytes=0):
        if not path.is_file():
            return None
        whole = _whole(path.read_bytes())
    columns, *lines = csv.reader(io.StringIO(whole.decode(errors="replace"))) if whole else [[]]
    for i_line, cells in enumerate(lines, start=2):
        if len(cells) != len(columns):
            raise InputError(
                what=f"a row has {len(cells)} cells, there are {len(columns)} columns",
                where=f"{path}, line {i_line}",
                fix="take the line out",
            )
    if not lines:
        return None
    rows = tuple(dict(zip(columns, cells, strict=True)) for cells in lines)
    return CsvLog(rows=rows, sha256=hashlib.sha256(whole).hexdigest())


def _write_at(descriptor: int, end: int, text: bytes) -> None:
    """Put `text` behind the first `end` bytes; where the disk won't have all of it, nothing of it stays."""
    try:
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)
        files.write_all(descriptor, text)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


def _whole(data: bytes) -> bytes:
    """Up to the end of the last line that has one."""
    return data[: data.rfind(b"\n") + 1]


def _require_columns(path: Path, whole: bytes, columns: Sequence[str]) -> None:
    found = next(csv.reader([whole.partition(b"\n")[0].decode(errors="replace")]), [])
    if found != list(columns):
        raise InputError(
            what="the file was written by another version of loadplan, with other columns",
            where=str(path),
            fix="keep it under another name; a new one is begun",
        )


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    """One line each: a cell with a line break in it would be torn in two."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([" ".join(cell.split()) for cell in row] for row in rows)
    return text.getvalue().encode()
