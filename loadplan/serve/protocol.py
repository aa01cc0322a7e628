"""The Open Inference Protocol, version 2, over HTTP: bodies in, tensors out, and back.

Values in JSON are strict: a number where the model takes numbers, no NaN, nothing that overflows the tensor's type.
Tensors may be given flat or nested, and are answered flat, in row-major order. Text is BYTES, its values JSON strings.
A NaN or an infinity in an answer can't be written in JSON and becomes `null`.

With the binary-tensor extension a body is JSON and then the raw bytes of those tensors that name a `binary_data_size`;
a header says how long the JSON is. An output is answered so where the request asks for it: `binary_data` of the output,
or `binary_data_output` of the whole. Of the other parameters `timeout` is followed, and the rest are ignored.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from loadplan.execution import TensorSpec
from loadplan.inference import Tensors
from loadplan.serve.signature import (
    MODEL_VERSION,
    PLATFORM,
    BadRequest,
    InferRequest,
    InputRule,
    Signature,
    check_outputs,
    check_shape,
    count_rows,
    find_rule,
    read_timeout,
)
from loadplan.v2_tensors import DATATYPES, BadTensor, decode, encode, split_message, take_parts

EXTENSIONS: Final = ("binary_tensor_data",)

# Kind of a numpy type -> types of the JSON values.
_KINDS: Final[dict[str, frozenset[type]]] = {
    "f": frozenset({float, int}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
    "O": frozenset({str}),
}
_NO_OBJECT: Final = "every input must be a JSON object"
_SHAPE_KINDS: Final = {int}
_NO_OUTPUTS: Final[frozenset[str]] = frozenset()
_NOTHING: Final[Mapping[str, object]] = {}


def read_request(body: bytes, signature: Signature, *, n_json_bytes: int | None = None) -> InferRequest:
    """Parse and check one inference request; `n_json_bytes` where tensors follow its JSON. Raises BadRequest."""
    try:
        json, tail = (body, None) if n_json_bytes is None else split_message(body, n_json_bytes)
        document = orjson.loads(json)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    except BadTensor as error:
        raise BadRequest(str(error)) from error
    if type(document) is not dict:
        raise BadRequest("the body must be a JSON object")
    items = document.get("inputs")
    if type(items) is not list:
        raise BadRequest('"inputs" must be a list of tensors')
    tensors = _read_tensors(items, signature) if tail is None else _read_mixed(items, tail, signature)
    identity = document.get("id")
    if identity is not None and type(identity) is not str:
        raise BadRequest('"id" must be a string')
    n_rows = count_rows(tensors, signature)
    wanted, parameters = document.get("outputs"), document.get("parameters")
    if not wanted and parameters is None:  # as most requests are
        return InferRequest(tensors, n_rows, signature.outputs, _NO_OUTPUTS, identity, None)
    parameters = _parameters(document)
    outputs, raw = _read_outputs(wanted, parameters, signature)
    return InferRequest(tensors, n_rows, outputs, raw, identity, read_timeout(parameters.get("timeout")))


def write_answer(model: str, request: InferRequest, answers: Tensors, signature: Signature) -> tuple[bytes, int | None]:
    """The answer to one request, and the length of its JSON where raw tensors follow; `answers` are its own rows."""
    document: dict[str, object] = {"model_name": model, "model_version": MODEL_VERSION}
    if request.id is not None:
        document["id"] = request.id
    tail: list[bytes] = []
    items: list[dict[str, object]] = []
    for name in request.outputs:
        answer = answers[name]
        item: dict[str, object] = {"name": name, "datatype": signature.datatypes[name], "shape": answer.shape}
        if name in request.raw_outputs:
            tail.append(encode(answer))
            item["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            item["data"] = _flat(answer)
        items.append(item)
    document["outputs"] = items
    json = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([json, *tail]), len(json)) if request.raw_outputs else (json, None)


def server_metadata(version: str) -> bytes:
    """The answer to `GET /v2`."""
    return orjson.dumps({"name": "loadplan", "version": version, "extensions": EXTENSIONS})


def model_metadata(model: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
    """The answer to `GET /v2/models/{name}`; -1 stands for an axis of any length."""
    return orjson.dumps(
        {
            "name": model,
            "versions": [MODEL_VERSION],
            "platform": PLATFORM,
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


def _parameters(item: Mapping[str, object]) -> Mapping[str, object]:
    parameters = item.get("parameters")
    if parameters is None:
        return _NOTHING
    if type(parameters) is not dict:
        raise BadRequest('"parameters" must be an object')
    return parameters


def _read_tensors(items: list[object], signature: Signature) -> Tensors:
    tensors: Tensors = {}
    for item in items:
        if type(item) is not dict:
            raise BadRequest(_NO_OBJECT)
        rule, shape = _read_head(item, tensors, signature)
        tensors[rule.name] = _read_values(item, shape, rule)
    return tensors


def _read_mixed(items: list[Any], tail: memoryview, signature: Signature) -> Tensors:
    """Tensors of which some, those with a `binary_data_size`, stand in the tail, in their order."""
    if not all(type(item) is dict for item in items):
        raise BadRequest(_NO_OBJECT)
    sizes = [_parameters(item).get("binary_data_size") for item in items]
    tensors: Tensors = {}
    try:
        parts = iter(take_parts(tail, [size for size in sizes if size is not None]))
        for item, size in zip(items, sizes, strict=True):
            rule, shape = _read_head(item, tensors, signature)
            tensors[rule.name] = (
                _read_values(item, shape, rule)
                if size is None
                else decode(next(parts), datatype=rule.datatype, shape=shape)
            )
    except BadTensor as error:
        raise BadRequest(f"a binary tensor can't be read: {error}") from error
    return tensors


def _read_head(item: dict[str, Any], before: Tensors, signature: Signature) -> tuple[InputRule, list[int]]:
    rule = find_rule(item.get("name"), item.get("datatype"), signature)
    if rule.name in before:
        raise BadRequest(f"the input {rule.name!r} is given twice")
    shape = item.get("shape")
    if type(shape) is not list or set(map(type, shape)) != _SHAPE_KINDS:
        raise BadRequest(f"the input {rule.name!r} needs a shape of whole numbers")
    check_shape(shape, rule)
    return rule, shape


def _read_values(item: dict[str, Any], shape: list[int], rule: InputRule) -> np.ndarray[Any, Any]:
    data = item.get("data")
    if type(data) is not list:
        raise BadRequest(f"the input {rule.name!r} needs its values as a list in data")
    kinds = _KINDS[rule.dtype.kind]
    if not kinds.issuperset(map(type, data)):
        data = _flatten(data, shape, rule, kinds)
    if len(data) != math.prod(shape):
        raise BadRequest(f"the input {rule.name!r} has {len(data)} values, its shape {shape} asks for another number")
    return _to_array(data, rule).reshape(shape)


@np.errstate(over="raise")
def _to_array(data: list[Any], rule: InputRule) -> np.ndarray[Any, Any]:
    try:
        return np.array(data, dtype=rule.dtype)
    except (OverflowError, FloatingPointError):
        raise BadRequest(f"a value of the input {rule.name!r} does not fit into {rule.datatype}") from None


def _flatten(data: list[Any], shape: list[int], rule: InputRule, kinds: frozenset[type]) -> list[Any]:
    """Values of a nested list. Looks no deeper than the shape, so hostile nesting costs nothing."""
    level = data
    for size in shape[1:]:
        if not all(type(part) is list and len(part) == size for part in level):
            break
        level = [value for part in level for value in part]
    if not kinds.issuperset(map(type, level)):
        raise BadRequest(f"the input {rule.name!r} must hold {rule.datatype} values only, flat or nested by its shape")
    return level


def _read_outputs(
    wanted: object, parameters: Mapping[str, object], signature: Signature
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The outputs to answer with, and which of them as raw bytes."""
    is_raw = bool(parameters.get("binary_data_output", False))
    if not wanted:
        return signature.outputs, frozenset(signature.outputs if is_raw else ())
    if type(wanted) is not list or not all(type(item) is dict for item in wanted):
        raise BadRequest('"outputs" must be a list of objects with a name')
    names = check_outputs([item.get("name") for item in wanted], signature)
    return names, frozenset(
        name for name, item in zip(names, wanted, strict=True) if _parameters(item).get("binary_data", is_raw)
    )


def _flat(answer: np.ndarray[Any, Any]) -> object:
    # Text has no fast way through orjson; numbers go straight from the array's memory.
    return answer.ravel().tolist() if answer.dtype.kind == "O" else answer.ravel()
