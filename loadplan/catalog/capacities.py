"""Capacities that somebody measured elsewhere, read from `capacities.csv` so that a fleet can be planned on them.

Capacities are requests per second of one replica, times are seconds. The decision a reader would question: the
figures stay `Decimal`, as they were written, because the number of replicas is rounded up from them.
"""

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources.abc import Traversable

from loadplan.catalog.csv_rows import CsvRow, cell_error, decimal_in, read_rows, text_in
from loadplan.errors import InputError

_COLUMNS = ("provider", "region", "instance_type", "batch_size", "usable_capacity_rps", "p99_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCapacity:
    """What one replica of a type carries within the objectives, as somebody measured it."""

    provider: str
    region: str | None  # None: true in every region
    instance_type: str
    batch_size: int | None  # rows; None: not said
    usable_capacity_rps: Decimal
    p99_s: Decimal | None  # None: not said


def read_capacities(path: Traversable) -> tuple[GivenCapacity, ...]:
    """The rows of a capacities file, in order.

    Raises:
        InputError: with file and line, when a cell can't be read, a row stands twice, or there is no row.
    """
    lines: dict[tuple[str, ...], int] = {}
    capacities: list[GivenCapacity] = []
    for row in read_rows(path, _COLUMNS):
        key = tuple(row.cells[name] for name in _COLUMNS[:4])
        if key in lines:
            raise cell_error(row, "instance_type", f"the same row stands in line {lines[key]}", "keep one of the two")
        lines[key] = row.i_line
        capacities.append(_capacity(row))
    if not capacities:
        raise InputError(what="the file holds no row", where=str(path), fix="write at least one capacity")
    return tuple(capacities)


def _capacity(row: CsvRow) -> GivenCapacity:
    return GivenCapacity(
        provider=text_in(row, "provider"),
        region=row.cells["region"] or None,
        instance_type=text_in(row, "instance_type"),
        batch_size=_batch_size(row),
        usable_capacity_rps=decimal_in(row, "usable_capacity_rps"),
        p99_s=decimal_in(row, "p99_ms") / 1000 if row.cells["p99_ms"] else None,
    )


def _batch_size(row: CsvRow) -> int | None:
    if not row.cells["batch_size"]:
        return None
    number = decimal_in(row, "batch_size")
    if number != number.to_integral_value():
        raise cell_error(row, "batch_size", f"{number} is not a whole number", "write a whole number of rows")
    return int(number)
