"""Small pieces of SQL, and numbers that queries give."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


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
