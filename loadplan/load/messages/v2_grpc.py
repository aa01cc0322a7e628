"""Requests and answers of the Open Inference Protocol v2 over gRPC; tensors go as raw bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from loadplan.load.messages.dealing import deal_rows
from loadplan.load.messages.requests import ABS_TOLERANCE, PreparedRequests, expected_of, v2_type
from loadplan.scenario.payloads import PayloadSet, inputs_of
from loadplan.scenario.spec import RequestClass, RowsPerRequest
from loadplan.v2_messages import CONTENTS, SERVICE, ModelInferRequest, ModelInferResponse
from loadplan.v2_tensors import BadTensor, decode, encode


def v2_grpc_requests(
    payloads: PayloadSet,
    *,
    model: str,
    rows_per_request: RowsPerRequest,
    classes: Sequence[RequestClass] = (),
    abs_tolerance: float = ABS_TOLERANCE,
) -> PreparedRequests:
    """The requests of `v2_requests` as calls of gRPC.

    Raises:
        InputError: as `v2_requests` does.
    """
    rows, owners = deal_rows(payloads, rows_per_request, classes)
    return PreparedRequests(
        method="POST",
        path=f"/{SERVICE}/ModelInfer",
        headers=(),
        bodies=tuple(_message(model, inputs_of(payloads, own)) for own in rows),
        n_rows=tuple(own.size for own in rows),
        expected=expected_of(payloads, rows, abs_tolerance=abs_tolerance, form="v2_grpc"),
        wire="http/2",
        classes=owners,
    )


def outputs_of_answer(body: bytes) -> dict[str, NDArray[Any]] | None:
    """The outputs in a message of the service, raw or as lists of numbers; None where it is no such message."""
    try:
        answer = ModelInferResponse.FromString(body)
        raw = list(answer.raw_output_contents)
        if raw and len(raw) != len(answer.outputs):
            return None
        return {output.name: _values(output, raw[i] if raw else None) for i, output in enumerate(answer.outputs)}
    except (DecodeError, BadTensor, KeyError, ValueError):
        return None


def _message(model: str, inputs: dict[str, NDArray[np.generic]]) -> bytes:
    request = ModelInferRequest(model_name=model)
    for name, values in inputs.items():
        request.inputs.add(name=name, datatype=v2_type(name, values), shape=values.shape)
        request.raw_input_contents.append(encode(values))
    message: bytes = request.SerializeToString()
    return message


def _values(output: Any, raw: bytes | None) -> NDArray[Any]:
    shape = tuple(output.shape)
    if any(size < 0 for size in shape):
        raise BadTensor("a shape below zero")
    if raw is not None:
        return decode(raw, datatype=output.datatype, shape=shape)
    values = list(getattr(output.contents, CONTENTS[output.datatype]))
    if output.datatype == "BYTES":
        values = [str(value, "utf-8") for value in values]
    return np.array(values).reshape(shape)
