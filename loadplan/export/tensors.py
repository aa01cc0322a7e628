"""Rows of any shape: one array, or a mapping from the name of each input to an array of the same first dimension.

Rows of different lengths lie side by side, zeros beyond the end of each. An input whose second axis is as long as the
longest row is taken for one that runs along these positions.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from loadplan.scenario.payloads import filled_beyond

Arrays = Mapping[str, NDArray[np.generic]]

# What the protocol, the graph and PyTorch all know, as it is; other fractions are served as float32.
_KEPT = frozenset({"float32", "int64", "int32", "bool"})


def problem_of_tensors(rows: object, lengths: object) -> str | None:
    """Why these rows can't be sent, or None."""
    named = dict(rows) if isinstance(rows, Mapping) else {"": np.asarray(rows)}
    if not named or not all(isinstance(name, str) for name in named):
        return "the rows are a mapping without names of inputs"
    arrays = {name: np.asarray(values) for name, values in named.items()}
    problem = next(filter(None, (_problem_of_array(_titled(name), array) for name, array in arrays.items())), None)
    if problem is not None:
        return problem
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        return f"the inputs differ in their rows: {', '.join(f'{name} {count}' for name, count in counts.items())}"
    return None if lengths is None else _problem_of_lengths(arrays, np.asarray(lengths))


def as_served(values: object) -> NDArray[np.generic]:
    """The array as the graph takes it."""
    array = np.asarray(values)
    return np.ascontiguousarray(array, dtype=array.dtype if array.dtype.name in _KEPT else np.float32)


def sequences_of(arrays: Arrays, lengths: NDArray[np.int64] | None) -> tuple[str, ...]:
    """The inputs whose second axis runs along the positions of a row."""
    if lengths is None:
        return ()
    longest = int(lengths.max())
    return tuple(name for name, array in arrays.items() if array.ndim > 1 and array.shape[1] == longest)


def label_output(answers: Arrays, labels: NDArray[np.generic] | None) -> str | None:
    """The output that names the class of each row, where the truth was given to compare it with."""
    if labels is None:
        return None
    return next(
        (name for name, rows in answers.items() if rows.dtype.kind in "iuUO" and rows.size == len(rows)),
        None,
    )


def _titled(name: str) -> str:
    return f"the input {name!r}" if name else "the array of rows"


def _problem_of_array(title: str, array: NDArray[np.generic]) -> str | None:
    if array.ndim < 1 or 0 in array.shape:
        return f"{title} has the shape {array.shape}, not (rows, …)"
    if array.dtype.kind != "f" and array.dtype.name not in _KEPT:
        return f"{title} is of the type {array.dtype}, not float32, int64, int32 or bool"
    if array.dtype.kind != "f":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        n_not_finite = int((~np.isfinite(array.astype(np.float32))).sum())
    return f"{n_not_finite} values of {title} are not finite in float32" if n_not_finite else None


def _problem_of_lengths(arrays: Arrays, lengths: NDArray[np.generic]) -> str | None:
    n_rows = len(next(iter(arrays.values())))
    if lengths.shape != (n_rows,) or lengths.dtype.kind not in "iu":
        return f"the lengths have the shape {lengths.shape} and the type {lengths.dtype}, not one whole number a row"
    whole = lengths.astype(np.int64)
    if whole.min() < 1 or whole.max() < 2:
        return f"the lengths run from {whole.min()} to {whole.max()}; each is 1 at least, and the longest above 1"
    sequences = sequences_of(arrays, whole)
    if not sequences:
        return f"no input has a second axis of {whole.max()}, the longest row's length"
    return next(filter(None, (_problem_of_padding(name, arrays[name], whole) for name in sequences)), None)


def _problem_of_padding(name: str, array: NDArray[np.generic], lengths: NDArray[np.int64]) -> str | None:
    row = filled_beyond(array, lengths)
    if row is None:
        return None
    return f"{_titled(name)} is not zero beyond the length of row {row}, which is {lengths[row]}"
