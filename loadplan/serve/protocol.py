"""The Open Inference Protocol, version 2, as JSON: documents in, tensors out, and back.

Everything a client can get wrong is found here, before its request joins a batch, and raised as `BadRequest`. Values
are strict: a number where the model takes numbers, no NaN, nothing that overflows the tensor's type. Tensors may be
given flat or nested, and are answered flat, in row-major order. `parameters` of the protocol are ignored.
Text is BYTES, its values JSON strings.
A NaN or an infinity in an answer can't be written in JSON and becomes `null`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from loadplan.execution import TensorSpec
from loadplan.inference import Tensors

# numpy name -> name in the protocol.
DATATYPES: Final = {
    "float64": "FP64",
    "float32": "FP32",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "int8": "INT8",
    "uint8": "UINT8",
    "bool": "BOOL",
    "object": "BYTES",
}
MODEL_VERSION: Final = "1"

_FLOAT_KINDS: Final = frozenset({float, int})
_INTEGER_KINDS: Final = frozenset({int})
_BOOLEAN_KINDS: Final = frozenset({bool})
_TEXT_KINDS: Final = frozenset({str})
_SHAPE_KINDS: Final = {int}


class BadRequest(Exception):
    """A request that can't be run; the message is for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRule:
    """What one input tensor of a request must be."""

    name: str
    dtype: np.dtype[Any]
    datatype: str
    shape: tuple[int | None, ...]  # without the rows
    is_fixed: bool  # no axis but the rows may vary
    kinds: frozenset[type]  # types of the JSON values


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
    id: str | None


def read_signature(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], *, padded: frozenset[str] = frozenset()
) -> Signature:
    """The rules for requests to a model with these tensors, whose first axis is the rows.

    `padded` names the inputs that are padded to share a batch. Alone the model itself refuses a mask that is shorter
    than its tokens; padded to the same length, both would get an answer.
    """
    rules = {spec.name: _input_rule(spec) for spec in inputs}
    fixed_rows = [spec.shape[0] for spec in inputs if spec.shape[0] is not None]
    return Signature(
        inputs=rules,
        n_rows=fixed_rows[0] if fixed_rows else None,
        outputs=tuple(spec.name for spec in outputs),
        datatypes={spec.name: DATATYPES[spec.dtype] for spec in outputs},
        padded=padded,
    )


def read_request(body: bytes, signature: Signature) -> InferRequest:
    """Parse and check one inference request. Raises BadRequest."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if type(document) is not dict:
        raise BadRequest("the body must be a JSON object")
    items = document.get("inputs")
    if type(items) is not list:
        raise BadRequest('"inputs" must be a list of tensors')
    tensors: Tensors = {}
    for item in items:
        name, tensor = _read_tensor(item, signature)
        if name in tensors:
            raise BadRequest(f"the input {name!r} is given twice")
        tensors[name] = tensor
    identity = document.get("id")
    if identity is not None and type(identity) is not str:
        raise BadRequest('"id" must be a string')
    wanted = document.get("outputs")
    return InferRequest(
        tensors,
        _count_rows(tensors, signature),
        signature.outputs if not wanted else _read_outputs(wanted, signature),
        identity,
    )


def write_answer(model: str, request: InferRequest, answers: Tensors, signature: Signature) -> bytes:
    """The answer to one request; `answers` holds its own rows only."""
    document: dict[str, object] = {"model_name": model, "model_version": MODEL_VERSION}
    if request.id is not None:
        document["id"] = request.id
    document["outputs"] = [
        {
            "name": name,
            "datatype": signature.datatypes[name],
            "shape": answers[name].shape,
            "data": _flat(answers[name]),
        }
        for name in request.outputs
    ]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def server_metadata(version: str) -> bytes:
    """The answer to `GET /v2`."""
    return orjson.dumps({"name": "loadplan", "version": version, "extensions": []})


def model_metadata(model: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> bytes:
    """The answer to `GET /v2/models/{name}`; -1 stands for an axis of any length."""
    return orjson.dumps(
        {
            "name": model,
            "versions": [MODEL_VERSION],
            "platform": "onnx_onnxv1",
            "inputs": [_tensor_metadata(spec) for spec in inputs],
            "outputs": [_tensor_metadata(spec) for spec in outputs],
        }
    )


def write_error(message: str) -> bytes:
    """The protocol's error object."""
    return orjson.dumps({"error": message})


def _tensor_metadata(spec: TensorSpec) -> dict[str, object]:
    shape = [-1 if axis is None else axis for axis in spec.shape]
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": shape}


def _input_rule(spec: TensorSpec) -> InputRule:
    dtype = np.dtype(spec.dtype)
    kinds = {
        "f": _FLOAT_KINDS,
        "i": _INTEGER_KINDS,
        "u": _INTEGER_KINDS,
        "b": _BOOLEAN_KINDS,
        "O": _TEXT_KINDS,
    }
    return InputRule(
        name=spec.name,
        dtype=dtype,
        datatype=DATATYPES[spec.dtype],
        shape=spec.shape[1:],
        is_fixed=None not in spec.shape[1:],
        kinds=kinds[dtype.kind],
    )


def _read_tensor(item: object, signature: Signature) -> tuple[str, np.ndarray[Any, Any]]:
    if type(item) is not dict:
        raise BadRequest("every input must be a JSON object")
    name = item.get("name")
    rule = signature.inputs.get(name) if type(name) is str else None
    if rule is None:
        raise BadRequest(f"the model has no input {name!r}; it takes {', '.join(signature.inputs)}")
    datatype = item.get("datatype")
    if datatype != rule.datatype:
        raise BadRequest(f"the input {rule.name!r} must be {rule.datatype}: its datatype is {datatype!r}")
    shape = item.get("shape")
    if type(shape) is not list or set(map(type, shape)) != _SHAPE_KINDS:
        raise BadRequest(f"the input {rule.name!r} needs a shape of whole numbers")
    _check_shape(shape, rule)
    data = item.get("data")
    if type(data) is not list:
        raise BadRequest(f"the input {rule.name!r} needs its values as a list in data")
    if not rule.kinds.issuperset(map(type, data)):
        data = _flatten(data, shape, rule)
    if len(data) != math.prod(shape):
        raise BadRequest(f"the input {rule.name!r} has {len(data)} values, its shape {shape} asks for another number")
    return rule.name, _to_array(data, rule).reshape(shape)


def _check_shape(shape: list[int], rule: InputRule) -> None:
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


@np.errstate(over="raise")
def _to_array(data: list[Any], rule: InputRule) -> np.ndarray[Any, Any]:
    try:
        return np.array(data, dtype=rule.dtype)
    except (OverflowError, FloatingPointError):
        raise BadRequest(f"a value of the input {rule.name!r} does not fit into {rule.datatype}") from None


def _flatten(data: list[Any], shape: list[int], rule: InputRule) -> list[Any]:
    """Values of a nested list. Looks no deeper than the shape, so hostile nesting costs nothing."""
    level = data
    for size in shape[1:]:
        if not all(type(part) is list and len(part) == size for part in level):
            break
        level = [value for part in level for value in part]
    if not rule.kinds.issuperset(map(type, level)):
        raise BadRequest(f"the input {rule.name!r} must hold {rule.datatype} values only, flat or nested by its shape")
    return level


def _count_rows(tensors: Tensors, signature: Signature) -> int:
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


def _read_outputs(wanted: object, signature: Signature) -> tuple[str, ...]:
    if type(wanted) is not list or not all(type(item) is dict for item in wanted):
        raise BadRequest('"outputs" must be a list of objects with a name')
    names = [item.get("name") for item in wanted]
    for name in names:
        if name not in signature.outputs:
            raise BadRequest(f"the model has no output {name!r}; it gives {', '.join(signature.outputs)}")
        if names.count(name) > 1:
            raise BadRequest(f"the output {name!r} is asked for twice")
    return tuple(names)


def _flat(answer: np.ndarray[Any, Any]) -> object:
    # Text has no fast way through orjson; numbers go straight from the array's memory.
    return answer.ravel().tolist() if answer.dtype.kind == "O" else answer.ravel()
