"""Which requests may share a batch, and how their tensors become those of one inference.

Where every axis but the rows is fixed, all may. Where requests differ in length, all may if the model was proved to
answer the same when the shorter are padded with zeros (the export measures it); else those of one shape.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loadplan.execution import TensorSpec
from loadplan.inference import Tensors

ShapeKey = tuple[tuple[int, ...], ...]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Requests with the same key may share a batch."""

    key: Callable[[Tensors], ShapeKey | None]
    join: Callable[[Sequence[Tensors]], Tensors]  # of two requests or more with the same key, rows in their order


def joining_of(inputs: Sequence[TensorSpec], *, pads: bool) -> Joining:
    """The rule for a model with these inputs; `pads` where padding along their free axes changes no answer."""
    sequences = sequence_names(inputs)
    if not sequences:
        return Joining(key=_any, join=_side_by_side)
    if pads:
        return Joining(key=_any, join=partial(_padded, sequences))
    return Joining(key=_shapes, join=_side_by_side)


def sequence_names(inputs: Sequence[TensorSpec]) -> frozenset[str]:
    """The inputs that may be of any length besides any number of rows."""
    return frozenset(spec.name for spec in inputs if None in spec.shape[1:])


def _any(_: Tensors) -> None:
    """The key of a request that may share its batch with every other."""


def _shapes(inputs: Tensors) -> ShapeKey:
    return tuple(inputs[name].shape[1:] for name in sorted(inputs))


def _side_by_side(requests: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}


def _padded(sequences: Collection[str], requests: Sequence[Tensors]) -> Tensors:
    parts = {name: [request[name] for request in requests] for name in requests[0]}
    return {name: _pad(own) if name in sequences else np.concatenate(own) for name, own in parts.items()}


def _pad(parts: Sequence[Array]) -> Array:
    """The rows of all parts, as long as the longest; beyond the end of each, zeros."""
    longest = max(part.shape[1] for part in parts)
    whole = np.zeros((sum(map(len, parts)), longest, *parts[0].shape[2:]), dtype=parts[0].dtype)
    first = 0
    for part in parts:
        whole[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    return whole
