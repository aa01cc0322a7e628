"""What a user's factory returns, and what a framework's module makes of it. Light: factories import it.

A factory is a function without arguments in a Python file beside the scenario:

    from loadplan.export.source import TrainedModel

    def build() -> TrainedModel:
        ...
        return TrainedModel(estimator=fitted, rows=held_out, labels=truth, segments=names)

Rows are held out: the model never saw them, so they are fit to judge it, and they become the requests that are sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A fitted model and the rows to judge it by. All sequences are as long as `rows`."""

    estimator: Any  # of the scenario's framework, fitted
    # Held out from training. (n_rows, n_features), served as float32; a DataFrame may hold text as well. Of torch:
    # (n_rows, …), or one such array for each input by the name that forward() gives it. Of transformers: sentences.
    rows: "NDArray[np.generic] | DataFrame | Mapping[str, NDArray[np.generic]] | Sequence[str]"
    labels: NDArray[np.generic] | None = None  # the truth about each row, as the estimator was taught it
    segments: Sequence[str] | None = None  # the kind of user or input that each row stands for
    groups: Sequence[object] | None = None  # of a ranker: the list (a query, a user) in which each row was ranked
    # Of torch, where rows differ in length: (n_rows,), positions that are real; inputs are as wide as the longest row
    # and hold zeros beyond the end of each.
    lengths: NDArray[np.integer[Any]] | None = None

    @property
    def n_rows(self) -> int:
        """Rows to judge the model by."""
        return len(next(iter(self.rows.values())) if isinstance(self.rows, Mapping) else self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoder:
    """The estimator of source transformers: what turns a sentence into one vector."""

    model: Any  # transformers.PreTrainedModel that answers with `last_hidden_state`
    tokenizer: Any  # transformers.PreTrainedTokenizerBase
    pooling: Literal["mean", "cls"]  # the mean of the sentence's positions, or its first one
    is_normalised: bool  # whether vectors are brought to length 1, as the encoder was trained to be used
    max_tokens: int | None = None  # longer sentences are cut; None: at the model's own maximum


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The fp32 ONNX graph of a model, and the source framework's own answers to the rows."""

    onnx: bytes
    inputs: dict[str, NDArray[np.generic]]  # by ONNX input name, as the graph takes them
    answers: dict[str, NDArray[np.generic]]  # by ONNX output name, from the source framework
    label_output: str | None  # the output that holds the predicted class; None for other tasks
    takes_one_row: bool = False  # the graph's first axis is fixed at 1
    note: str | None = None  # what was changed in a copy of the model to make it convertible, its answers left the same
    # Of rows that differ in length, as in a PayloadSet: zeros beyond the end of each, `answers` given to each alone.
    lengths: NDArray[np.int64] | None = None
    sequences: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()  # what is doubtful about the rows or the figures that they will give
