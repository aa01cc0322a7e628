"""Messages to tensors and back: typed values and raw bytes, and what a client can get wrong in them."""

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from loadplan import v2_messages
from loadplan.execution import TensorSpec
from loadplan.serve.grpc_messages import read_request, write_answer
from loadplan.serve.signature import BadRequest, Signature, read_signature
from loadplan.v2_tensors import DATATYPES

_TYPED: dict[str, tuple[str, list[Any]]] = {
    "float64": ("fp64_contents", [0.1, -2.0]),
    "float32": ("fp32_contents", [0.5, -2.0]),
    "int64": ("int64_contents", [2**63 - 1, -1]),
    "int32": ("int_contents", [-(2**31), 7]),
    "int8": ("int_contents", [-128, 127]),
    "uint8": ("uint_contents", [0, 255]),
    "bool": ("bool_contents", [True, False]),
    "object": ("bytes_contents", ["é".encode(), b""]),
}


def _signature(dtype: str) -> Signature:
    spec = TensorSpec(name="x", dtype=dtype, shape=(None, 2))
    return read_signature((spec,), (spec,))


def _message(dtype: str, shape: tuple[int, ...] = (1, 2), **fields: Any) -> Any:
    message = v2_messages.ModelInferRequest(**fields)
    message.inputs.add(name="x", datatype=DATATYPES[dtype], shape=shape)
    return message


@pytest.mark.parametrize("dtype", _TYPED)
def test_typed_values_are_read_and_answered_as_another_client_reads_them(dtype: str) -> None:
    field, values = _TYPED[dtype]
    message = _message(dtype, id="a7")
    getattr(message.inputs[0].contents, field).extend(values)
    request = read_request(message, _signature(dtype))
    expected = np.array([value.decode() for value in values] if dtype == "object" else values, dtype=dtype)
    assert request.inputs["x"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(request.inputs["x"], expected.reshape(1, 2))
    answer = service_pb2.ModelInferResponse.FromString(write_answer("m", request, request.inputs, _signature(dtype)))
    assert (answer.model_name, answer.id, answer.outputs[0].datatype) == ("m", "a7", DATATYPES[dtype])
    assert list(answer.outputs[0].shape) == [1, 2]
    (raw,) = answer.raw_output_contents
    if dtype == "object":
        assert raw == b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00"
    else:
        np.testing.assert_array_equal(np.frombuffer(raw, dtype=dtype), expected)


def test_raw_bytes_go_one_for_each_input() -> None:
    raw = np.array([1.5, 2.5], dtype="<f4").tobytes()
    request = read_request(_message("float32", raw_input_contents=[raw]), _signature("float32"))
    assert request.inputs["x"].tolist() == [[1.5, 2.5]]
    assert (request.id, request.timeout_s, request.outputs) == (None, None, ("x",))
    half = np.array([1.5, 2.5], dtype="<f2").tobytes()
    request = read_request(_message("float16", raw_input_contents=[half]), _signature("float16"))
    assert request.inputs["x"].tolist() == [[1.5, 2.5]]


def test_a_timeout_counts_microseconds_and_nought_is_none() -> None:
    for given, expected in ((1500, 0.0015), (0, None)):
        message = _message("float32", raw_input_contents=[bytes(8)])
        message.parameters["timeout"].int64_param = given
        assert read_request(message, _signature("float32")).timeout_s == expected
    message.parameters["timeout"].string_param = "1500"
    with pytest.raises(BadRequest, match="timeout"):
        read_request(message, _signature("float32"))


def _with_contents(dtype: str, field: str, values: list[Any], **fields: Any) -> Any:
    message = _message(dtype, **fields)
    getattr(message.inputs[0].contents, field).extend(values)
    return message


@pytest.mark.parametrize(
    ("dtype", "message", "said"),
    [
        ("int8", _with_contents("int8", "int_contents", [128, 0]), "does not fit"),
        ("uint8", _with_contents("uint8", "uint_contents", [256, 0]), "does not fit"),
        ("float32", _with_contents("float32", "fp64_contents", [1.0, 2.0]), "0 values in fp32_contents"),
        ("float32", _with_contents("float32", "fp32_contents", [1.0]), "1 values"),
        ("float16", _with_contents("float16", "fp32_contents", [1.0, 2.0]), "raw_input_contents only"),
        ("object", _with_contents("object", "bytes_contents", [b"\xff", b""]), "not UTF-8"),
        ("float32", _message("float32", raw_input_contents=[bytes(8), bytes(8)]), "one for each"),
        ("float32", _message("float32", raw_input_contents=[bytes(7)]), "7 bytes"),
        (
            "float32",
            _with_contents("float32", "fp32_contents", [1.0, 2.0], raw_input_contents=[bytes(8)]),
            "raw_input_contents as well",
        ),
        ("float32", _message("float32", (2**62, 2), raw_input_contents=[bytes(8)]), "bytes are not"),
        ("float32", _message("float32", (-1, 2), raw_input_contents=[bytes(8)]), "negative"),
        ("float32", v2_messages.ModelInferRequest(), "'x' is missing"),
    ],
)
def test_what_is_wrong_is_said(dtype: str, message: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read_request(message, _signature(dtype))


def test_outputs_are_answered_in_the_order_asked_for() -> None:
    x, z = (TensorSpec(name=name, dtype="float32", shape=(None,)) for name in "xz")
    signature = read_signature((x,), (x, z))
    message = v2_messages.ModelInferRequest(raw_input_contents=[bytes(4)])
    message.inputs.add(name="x", datatype="FP32", shape=[1])
    for name in "zx":
        message.outputs.add(name=name)
    assert read_request(message, signature).outputs == ("z", "x")
    message.outputs.add(name="z")
    with pytest.raises(BadRequest, match="twice"):
        read_request(message, signature)
