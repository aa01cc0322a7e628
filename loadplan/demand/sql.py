"""Small pieces of SQL, and numbers that queries give."""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LAST_S = 253_402_300_800.0  # the year 10000


def quoted(name: str) -> str:
    """A column's name."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text."""
    return "'" + value.replace("'", "''") + "'"


def number(database: "DuckDBPyConnection", query: str) -> float:
    """The one number that a query gives; NaN where it is NULL."""
    row = database.execute(query).fetchone()
    return math.nan if row is None or row[0] is None else float(row[0])


def moment(at_s: float) -> str:
    """A moment as people write it, to the minute; one that no calendar holds in seconds."""
    if not 0.0 <= at_s < _LAST_S:
        return f"{at_s:.4g} s after the beginning of 1970"
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
