"""The requests that are sent: real input rows with the answers they must get.

Rows of different lengths (sentences, histories) lie side by side in arrays as wide as the longest, zeros beyond the end
of each. They are served as they are: `inputs_of` cuts a batch to its own longest row, `inputs_of_length` to one length,
and nothing else hands out rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Inputs = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSet:
    """Input rows, the answers the source model gives to them, and which segment of users each row stands for.

    All arrays have the same first dimension, n_rows; the others are the model's own.
    """

    inputs: Mapping[str, NDArray[np.generic]]  # by ONNX input name, dtype as the model takes it
    expected: Mapping[str, NDArray[np.generic]]  # by ONNX output name, from the source framework
    segments: tuple[str, ...]  # one name per row; all "" where the model has no segments
    labels: NDArray[np.generic] | None  # the truth, where the data has one
    groups: NDArray[np.int64] | None = None  # (n_rows,) of a ranker: number of the list in which each row was ranked
    lengths: NDArray[np.int64] | None = None  # (n_rows,) positions of each row that are real; None: all rows are alike
    sequences: tuple[str, ...] = ()  # the inputs whose second axis runs along these positions

    @property
    def n_rows(self) -> int:
        """Rows in the set."""
        return len(self.segments)


def inputs_of(payloads: PayloadSet, rows: NDArray[np.intp]) -> Inputs:
    """The inputs of one inference or request over these rows, as long as the longest of them."""
    return _cut(payloads, rows, None if payloads.lengths is None else int(payloads.lengths[rows].max()))


def inputs_of_length(payloads: PayloadSet, n_rows: int, length: int, *, start: int = 0) -> Inputs:
    """The inputs of one inference over rows that all have `length` positions: the beginnings of rows at least as long.

    Args:
        payloads: rows of different lengths.
        n_rows: rows of the inference; where fewer are long enough they come again.
        length: positions, at most those of the longest row.
        start: the first of the rows that are long enough to take.
    """
    assert payloads.lengths is not None  # noqa: S101 -- rows that are all alike have one length
    enough = np.flatnonzero(payloads.lengths >= length)
    return _cut(payloads, enough[(start + np.arange(n_rows)) % enough.size], length)


def _cut(payloads: PayloadSet, rows: NDArray[np.intp], longest: int | None) -> Inputs:
    return {
        name: np.ascontiguousarray(values[rows, :longest] if name in payloads.sequences else values[rows])
        for name, values in payloads.inputs.items()
    }


def filled_beyond(values: NDArray[np.generic], lengths: NDArray[np.int64]) -> int | None:
    """The first row that isn't zero (of text: empty) beyond its length; None where all are.

    Args:
        values: (n_rows, n_positions, …).
        lengths: (n_rows,).
    """
    is_filled = (values != np.zeros(1, dtype=values.dtype)).reshape(*values.shape[:2], -1).any(axis=2)
    is_wrong = (is_filled & (np.arange(values.shape[1]) >= lengths[:, np.newaxis])).any(axis=1)
    return int(is_wrong.argmax()) if is_wrong.any() else None


def take_rows(payloads: PayloadSet, rows: NDArray[np.intp]) -> PayloadSet:
    """The set with these rows only."""
    return PayloadSet(
        inputs={name: values[rows] for name, values in payloads.inputs.items()},
        expected={name: values[rows] for name, values in payloads.expected.items()},
        segments=tuple(payloads.segments[row] for row in rows),
        labels=None if payloads.labels is None else payloads.labels[rows],
        groups=None if payloads.groups is None else payloads.groups[rows],
        lengths=None if payloads.lengths is None else payloads.lengths[rows],
        sequences=payloads.sequences,
    )
