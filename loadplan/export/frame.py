"""A pandas DataFrame of rows, as the numbers and words that a graph takes: one array of shape (n_rows, 1) a column.

pandas is imported by whoever made the frame; here its types are only asked.
"""

from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

_NOT_SENT = "\0"  # NumPy's own text, in which the requests are stored, ends at it


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as the graph takes it: float32 or NumPy text."""

    name: str
    values: NDArray[np.generic]  # (n_rows, 1)

    @property
    def is_text(self) -> bool:
        """Whether it holds words."""
        return self.values.dtype.kind == "U"


def is_frame(rows: object) -> TypeGuard[Any]:
    """Whether these are the rows of a DataFrame rather than of an array."""
    return hasattr(rows, "columns") and hasattr(rows, "dtypes")


def read_columns(frame: Any) -> tuple[Column, ...]:
    """Every column in its order. The frame has passed `problem_of_frame`."""
    return tuple(Column(name=str(name), values=_values(frame[name]).reshape(-1, 1)) for name in frame.columns)


def rounded(frame: Any) -> Any:
    """The frame with its fractions rounded to float32, so that the source is asked what the graph is asked."""
    return frame.astype({name: np.float32 for name, dtype in frame.dtypes.items() if dtype.kind == "f"})


def problem_of_frame(frame: Any) -> str | None:
    """Why these rows can't be sent, or None."""
    if 0 in frame.shape:
        return f"the rows have the shape {frame.shape}, not (rows, features)"
    names = list(frame.columns)
    unusable = next((name for name in names if not isinstance(name, str) or names.count(name) > 1), None)
    if unusable is not None:
        return f"the column name {unusable!r} is no text, or given twice"
    return next(filter(None, (_problem_of_column(name, frame[name]) for name in names)), None)


def _problem_of_column(name: str, column: Any) -> str | None:
    n_missing = int(column.isna().sum())
    if n_missing:
        return f"the column {name!r} lacks {n_missing} of {len(column)} values, and requests can't carry a gap"
    if _holds_numbers(column):
        return _problem_of_numbers(name, column)
    words = list(column)
    others = sorted({type(word).__name__ for word in words if not isinstance(word, str)})
    if others:
        return (
            f"the column {name!r} of the type {column.dtype} holds {', '.join(others)}, neither numbers nor text only"
        )
    if any(_NOT_SENT in word for word in words):
        return f"the column {name!r} holds text with a NUL character"
    return None


def _problem_of_numbers(name: str, column: Any) -> str | None:
    values = column.to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        as_float32 = values.astype(np.float32)
        is_rounded = values.dtype.kind in "iu" and not np.array_equal(as_float32.astype(values.dtype), values)
    if not np.isfinite(as_float32).all():
        return f"the column {name!r} holds values that are not finite in float32"
    if is_rounded:
        return f"the column {name!r} holds whole numbers beyond 2^24, which float32 would round"
    return None


def _holds_numbers(column: Any) -> bool:
    return column.dtype.kind in "fiub"  # pandas' own types have NumPy's letters too; text and categories are "O"


def _values(column: Any) -> NDArray[np.generic]:
    if _holds_numbers(column):
        return np.asarray(column.to_numpy(), dtype=np.float32)
    return np.array(list(column), dtype=np.str_)
