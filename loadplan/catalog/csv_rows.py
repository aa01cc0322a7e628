"""Rows of a CSV file with the number of their line, and the strict reading of their cells.

The decision a reader would question: a cell is read as `Decimal` first, so that a figure stays as it was written;
binary floats come later, where no money and no rounding up depends on them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources.abc import Traversable

from loadplan.errors import InputError

_MAX_BYTES = 20_000_000  # a full catalogue of one provider is below 5 MB
_MOST_ZEROS = 15  # before or behind the point; 1E+999999 is a number too, and takes a megabyte to write


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """One line of a CSV file."""

    file: str
    i_line: int  # 1 is the header
    cells: dict[str, str]  # by column, without surrounding blanks


def read_rows(path: Traversable, columns: Sequence[str]) -> tuple[CsvRow, ...]:
    """The rows of a CSV file that has at least `columns`, in order; empty lines are skipped.

    Raises:
        InputError: when the file can't be read, is too large, lacks a column, or a row has too many or too few cells.
    """
    reader = csv.reader(_read_text(path).splitlines(), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _require_columns(path, header, columns)
        return tuple(_row(path, reader.line_num, header, cells) for cells in reader if cells)
    except csv.Error as error:
        raise InputError(
            what=f"this is not a CSV line: {error}",
            where=f"{path}, line {reader.line_num}",
            fix="write one row a line, cells parted by commas, text with commas in double quotes",
        ) from error


def read_header(path: Traversable) -> tuple[str, ...]:
    """The names of a CSV file's columns, to tell whose file it is. Raises InputError when it can't be read."""
    lines = _read_text(path).splitlines()
    return tuple(name.strip() for name in next(csv.reader(lines[:1]), []))


def text_in(row: CsvRow, column: str) -> str:
    """The text of a cell that must not be empty. Raises InputError."""
    text = row.cells[column]
    if not text:
        raise cell_error(row, column, "is empty", "fill it in")
    return text


def decimal_in(row: CsvRow, column: str) -> Decimal:
    """The number in a cell, exactly as written: finite and above zero. Raises InputError."""
    text = text_in(row, column)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise cell_error(row, column, f"{text!r} is not a number", "write a plain number such as 0.1785") from None
    if not number.is_finite() or number <= 0:
        raise cell_error(row, column, f"{text} is not a number above 0", "write a number above 0")
    if abs(number.adjusted()) > _MOST_ZEROS:
        raise cell_error(row, column, f"{text} is no figure of a machine or a price", "write a plain number")
    return number


def date_in(row: CsvRow, column: str) -> date:
    """The day in a cell, written 2026-11-24. Raises InputError."""
    text = text_in(row, column)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise cell_error(row, column, f"{text!r} is not a date", "write it as 2026-11-24") from None


def float_if_told(row: CsvRow, column: str) -> float | None:
    """The number in a cell, above zero; None where the cell or the whole column is empty. Raises InputError."""
    return float(decimal_in(row, column)) if row.cells.get(column) else None


def count_in(row: CsvRow, column: str) -> int:
    """The whole number in a cell, above zero. Raises InputError."""
    number = decimal_in(row, column)
    if number != number.to_integral_value():
        raise cell_error(row, column, f"{number} is not a whole number", "write a whole number")
    return int(number)


def cell_error(row: CsvRow, column: str, what: str, fix: str) -> InputError:
    """The error for one cell: which file, line and column."""
    return InputError(what=f"{column}: {what}", where=place_of(row), fix=fix)


def place_of(row: CsvRow) -> str:
    """File and line of a row, as messages name them."""
    return f"{row.file}, line {row.i_line}"


def _read_text(path: Traversable) -> str:
    if not path.is_file():
        raise InputError(what="there is no such file", where=str(path), fix="check the path")
    data = path.read_bytes()
    if len(data) > _MAX_BYTES:
        raise InputError(what="the file is larger than 20 MB", where=str(path), fix="name the right file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            what="this is not UTF-8 text", where=f"{path}, line {line}", fix="save the file as UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(what="the file holds NUL characters", where=str(path), fix="save it as plain CSV text")
    return text


def _require_columns(path: Traversable, header: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(
            what=f"the header lacks {', '.join(missing)}",
            where=f"{path}, line 1",
            fix=f"start the file with the line {','.join(columns)}",
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(
            what=f"the header names {', '.join(twice)} twice", where=f"{path}, line 1", fix="name each column once"
        )


def _row(path: Traversable, i_line: int, header: Sequence[str], cells: Sequence[str]) -> CsvRow:
    if len(cells) != len(header):
        raise InputError(
            what=f"the row has {len(cells)} cells, the header {len(header)}",
            where=f"{path}, line {i_line}",
            fix="write one cell a column; an empty one is nothing between two commas",
        )
    return CsvRow(
        file=str(path), i_line=i_line, cells={name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    )
