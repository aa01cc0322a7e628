"""What a model's requests must be, whichever wire they come by, and the request that is left when all is checked.

Everything a client can get wrong is found before its request joins a batch, and raised as `BadRequest`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from loadplan.execution import TensorSpec
from loadplan.inference import Tensors
from loadplan.v2_tensors import DATATYPES

MODEL_VERSION: Final = "1"
PLATFORM: Final = "onnx_onnxv1"
_US_PER_S: Final = 1e6
# Of a timeout, in microseconds: beyond 64 bits gRPC can't say it, and no clock counts so far.
_TIMEOUT_MOST_US: Final = 2**63 - 1


class BadRequest(Exception):
    """A request that can't be run; the message is for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRule:
    """What one input tensor of a request must be."""

    name: str
    dtype: np.dtype[Any]
    datatype: str
    shape: tuple[int | None, ...]  # without the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What requests for a model must hold and what answers do."""

    inputs: Mapping[str, InputRule]
    n_rows: int | None  # rows every request must have; None: any number
    outputs: tuple[str, ...]
    datatypes: Mapping[str, str]  # of the outputs
    padded: frozenset[str]  # inputs that are padded to share a batch, so those of one request must be equally long


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A valid request: tensors as the model takes them."""

    inputs: Tensors
    n_rows: int
    outputs: tuple[str, ...]  # the outputs to answer with, in this order
    raw_outputs: frozenset[str]  # those of them to be answered as raw bytes, where the wire leaves a choice
    id: str | None
    timeout_s: float | None  # from its arrival; work begun later is of no use to the client


def read_signature(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, padded: frozenset[str] = frozenset()
) -> Signature:
    """The rules for requests to a model with these tensors, whose first axis is the rows.

    `padded` names the inputs that are padded to share a batch. Alone the model itself refuses a mask that is shorter
    than its tokens; padded to the same length, both would get an answer.
    """
    rules = {
        spec.name: InputRule(
            name=spec.name, dtype=np.dtype(spec.dtype), datatype=DATATYPES[spec.dtype], shape=spec.shape[1:]
        )
        for spec in inputs
    }
    fixed_rows = [spec.shape[0] for spec in inputs if spec.shape[0] is not None]
    return Signature(
        inputs=rules,
        n_rows=fixed_rows[0] if fixed_rows else None,
        outputs=tuple(spec.name for spec in outputs),
        datatypes={spec.name: DATATYPES[spec.dtype] for spec in outputs},
        padded=padded,
    )


def find_rule(name: object, datatype: object, signature: Signature) -> InputRule:
    """The rule of the input that a request names. Raises BadRequest where there is none, or it has another type."""
    rule = signature.inputs.get(name) if type(name) is str else None
    if rule is None:
        raise BadRequest(f"the model has no input {name!r}; it takes {', '.join(signature.inputs)}")
    if datatype != rule.datatype:
        raise BadRequest(f"the input {rule.name!r} must be {rule.datatype}: its datatype is {datatype!r}")
    return rule


def check_shape(shape: list[int], rule: InputRule) -> None:
    """Raises BadRequest where the input can't have this shape."""
    if len(shape) != len(rule.shape) + 1:
        raise BadRequest(f"the input {rule.name!r} must have {len(rule.shape) + 1} dimensions, it has {len(shape)}")
    if min(shape) < 0:
        raise BadRequest(f"the shape {shape} of the input {rule.name!r} has a negative dimension")
    if shape[0] == 0:
        raise BadRequest(f"the input {rule.name!r} has no rows")
    for given, expected in zip(shape[1:], rule.shape, strict=True):
        if expected is not None and given != expected:
            wanted = [-1, *(-1 if axis is None else axis for axis in rule.shape)]
            raise BadRequest(f"the input {rule.name!r} has the shape {shape}, the model takes {wanted}")


def count_rows(tensors: Tensors, signature: Signature) -> int:
    """The rows of a request with these inputs. Raises BadRequest where one is missing or they don't fit together."""
    missing = signature.inputs.keys() - tensors.keys()
    if missing:
        raise BadRequest(f"the input {min(missing)!r} is missing")
    counts = {len(tensor) for tensor in tensors.values()}
    if len(counts) != 1:
        raise BadRequest(f"the inputs have different numbers of rows: {sorted(counts)}")
    n_rows = counts.pop()
    if signature.n_rows not in (None, n_rows):
        raise BadRequest(f"the model takes exactly {signature.n_rows} rows, the request has {n_rows}")
    lengths = {tensors[name].shape[1] for name in signature.padded}
    if len(lengths) > 1:
        named = " and ".join(sorted(signature.padded))
        raise BadRequest(f"the inputs {named} have different lengths: {sorted(lengths)}")
    return n_rows


def check_outputs(names: Sequence[object], signature: Signature) -> tuple[str, ...]:
    """The outputs that a request names. Raises BadRequest where the model has none of a name, or it comes twice."""
    chosen: list[str] = []
    for name in names:
        if type(name) is not str or name not in signature.outputs:
            raise BadRequest(f"the model has no output {name!r}; it gives {', '.join(signature.outputs)}")
        if name in chosen:
            raise BadRequest(f"the output {name!r} is asked for twice")
        chosen.append(name)
    return tuple(chosen)


def read_timeout(value: object) -> float | None:
    """Seconds of the protocol's `timeout` parameter, which counts microseconds; 0 and nothing mean none."""
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _TIMEOUT_MOST_US:
        raise BadRequest('the parameter "timeout" must be a whole number of microseconds')
    return value / _US_PER_S if value else None
