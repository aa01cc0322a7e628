"""The requests that are sent: real input rows with the answers they must get."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSet:
    """Input rows, the answers the source model gives to them, and which segment of users each row stands for.

    All arrays have the same first dimension, n_rows; the others are the model's own.
    """

    inputs: Mapping[str, NDArray[np.generic]]  # by ONNX input name, dtype as the model takes it
    expected: Mapping[str, NDArray[np.generic]]  # by ONNX output name, from the source framework
    segments: tuple[str, ...]  # one name per row; all "" where the model has no segments
    labels: NDArray[np.generic] | None  # the truth, where the data has one

    @property
    def n_rows(self) -> int:
        """Rows in the set."""
        return len(self.segments)


def take_rows(payloads: PayloadSet, rows: NDArray[np.intp]) -> PayloadSet:
    """The set with these rows only."""
    return PayloadSet(
        inputs={name: values[rows] for name, values in payloads.inputs.items()},
        expected={name: values[rows] for name, values in payloads.expected.items()},
        segments=tuple(payloads.segments[row] for row in rows),
        labels=None if payloads.labels is None else payloads.labels[rows],
    )
