"""The Open Inference Protocol, version 2, over gRPC: messages in, tensors out, and back.

Inputs are raw bytes, one for each tensor of the message, or typed values in each of them; never both in one message.
Answers are raw bytes: that is what clients of the protocol read first, and the only form that holds FP16.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from loadplan import v2_messages
from loadplan.inference import Tensors
from loadplan.serve.signature import (
    MODEL_VERSION,
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
from loadplan.v2_tensors import BadTensor, decode, encode


def read_request(message: Any, signature: Signature) -> InferRequest:
    """Check one ModelInferRequest. Raises BadRequest."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise BadRequest(f"{len(raw)} raw_input_contents for {len(message.inputs)} inputs: they go one for each")
    tensors: Tensors = {}
    for index, item in enumerate(message.inputs):
        rule = find_rule(item.name, item.datatype, signature)
        if rule.name in tensors:
            raise BadRequest(f"the input {rule.name!r} is given twice")
        shape = list(item.shape)
        check_shape(shape, rule)
        if raw and item.HasField("contents"):
            raise BadRequest(f"the input {rule.name!r} has contents, and the message raw_input_contents as well")
        tensors[rule.name] = _raw(raw[index], shape, rule) if raw else _values(item.contents, shape, rule)
    names = [item.name for item in message.outputs]
    return InferRequest(
        tensors,
        count_rows(tensors, signature),
        check_outputs(names, signature) if names else signature.outputs,
        frozenset(),
        message.id or None,
        read_timeout(_whole_number(message.parameters, "timeout")),
    )


def write_answer(model: str, request: InferRequest, answers: Tensors, signature: Signature) -> bytes:
    """The ModelInferResponse to one request; `answers` are its own rows."""
    message = v2_messages.ModelInferResponse(model_name=model, model_version=MODEL_VERSION, id=request.id or "")
    for name in request.outputs:
        answer = answers[name]
        message.outputs.add(name=name, datatype=signature.datatypes[name], shape=answer.shape)
        message.raw_output_contents.append(encode(answer))
    written: bytes = message.SerializeToString()
    return written


def _raw(data: bytes, shape: list[int], rule: InputRule) -> np.ndarray[Any, Any]:
    try:
        return decode(data, datatype=rule.datatype, shape=shape)
    except BadTensor as error:
        raise BadRequest(f"the input {rule.name!r} can't be read: {error}") from error


def _values(contents: Any, shape: list[int], rule: InputRule) -> np.ndarray[Any, Any]:
    field = v2_messages.CONTENTS.get(rule.datatype)
    if field is None:
        raise BadRequest(f"the input {rule.name!r} is {rule.datatype}, which goes as raw_input_contents only")
    values = getattr(contents, field)
    if len(values) != math.prod(shape):
        raise BadRequest(
            f"the input {rule.name!r} has {len(values)} values in {field}, its shape {shape} asks for another number"
        )
    if rule.datatype == "BYTES":
        return _texts(values, rule).reshape(shape)
    wide = np.array(values)
    if rule.dtype.kind in "iu" and wide.size and not _holds(rule.dtype, wide):
        raise BadRequest(f"a value of the input {rule.name!r} does not fit into {rule.datatype}")
    return wide.astype(rule.dtype).reshape(shape)


def _holds(dtype: np.dtype[Any], values: np.ndarray[Any, Any]) -> bool:
    limits = np.iinfo(dtype)
    return limits.min <= int(values.min()) and int(values.max()) <= limits.max


def _texts(values: Any, rule: InputRule) -> np.ndarray[Any, Any]:
    try:
        return np.array([value.decode() for value in values], dtype=np.object_)
    except UnicodeDecodeError:
        raise BadRequest(f"a value of the input {rule.name!r} is not UTF-8") from None


def _whole_number(parameters: Mapping[str, Any], name: str) -> object:
    if name not in parameters:  # reading a missing key would put it there
        return None
    parameter = parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind in ("int64_param", "uint64_param") else kind
