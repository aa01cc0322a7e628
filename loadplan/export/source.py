"""What a user's factory returns, and what a framework's module makes of it. Light: factories import it.

A factory is a function without arguments in a Python file beside the scenario:

    from loadplan.export.source import TrainedModel

    def build() -> TrainedModel:
        ...
        return TrainedModel(estimator=fitted, rows=held_out, labels=truth, segments=names)

Rows are held out: the model never saw them, so they are fit to judge it, and they become the requests that are sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A fitted model and the rows to judge it by. All sequences are as long as `rows`."""

    estimator: Any  # of the scenario's framework, fitted
    # (n_rows, n_features), held out from training; numbers are served as float32. A DataFrame may hold text as well.
    rows: "NDArray[np.generic] | DataFrame"
    labels: NDArray[np.generic] | None = None  # the truth about each row, as the estimator was taught it
    segments: Sequence[str] | None = None  # the kind of user or input that each row stands for
    groups: Sequence[object] | None = None  # of a ranker: the list (a query, a user) in which each row was ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The fp32 ONNX graph of a model, and the source framework's own answers to the rows."""

    onnx: bytes
    inputs: dict[str, NDArray[np.generic]]  # by ONNX input name, as the graph takes them
    answers: dict[str, NDArray[np.generic]]  # by ONNX output name, from the source framework
    label_output: str | None  # the output that holds the predicted class; None for other tasks
    note: str | None = None  # what was changed in a copy of the model to make it convertible, its answers left the same
    # Of rows that differ in length, as in a PayloadSet: zeros beyond the end of each, `answers` given to each alone.
    lengths: NDArray[np.int64] | None = None
    sequences: tuple[str, ...] = ()
