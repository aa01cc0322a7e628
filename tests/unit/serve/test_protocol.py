"""Documents to tensors and back, for every type of tensor, and for nonsense."""

import contextlib
import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.execution import TensorSpec
from loadplan.serve.protocol import read_request, write_answer
from loadplan.serve.signature import BadRequest, read_signature
from loadplan.v2_tensors import DATATYPES

_TYPED = {
    "float64": ([0.1, -2], [0.1, -2.0]),
    "float32": ([0.1, 1], [0.1, 1.0]),
    "float16": ([0.5, 2], [0.5, 2.0]),
    "int64": ([2**63 - 1, -1], [2**63 - 1, -1]),
    "int32": ([-(2**31), 7], [-(2**31), 7]),
    "int8": ([-128, 127], [-128, 127]),
    "uint8": ([0, 255], [0, 255]),
    "bool": ([True, False], [True, False]),
}
_TOO_LARGE = {
    "float32": 1e39,
    "float16": 1e6,
    "int64": 2**63,
    "int32": 2**31,
    "int8": 128,
    "uint8": -1,
    "float64": 10**400,
}


def _spec(name: str, dtype: str, *axes: int | None) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=(None, *axes))


def _body(*tensors: tuple[str, str, list[int], object]) -> bytes:
    keys = ("name", "datatype", "shape", "data")
    return orjson.dumps({"inputs": [dict(zip(keys, tensor, strict=True)) for tensor in tensors]})


@pytest.mark.parametrize("dtype", _TYPED)
def test_values_of_every_type_come_back_as_they_went(dtype: str) -> None:
    given_values, expected = _TYPED[dtype]
    signature = read_signature((_spec("x", dtype, 2),), (_spec("x", dtype, 2),))
    request = read_request(_body(("x", DATATYPES[dtype], [1, 2], given_values)), signature)
    assert request.inputs["x"].dtype == np.dtype(dtype)
    answer = orjson.loads(write_answer("m", request, request.inputs, signature)[0])
    assert answer["outputs"] == [{"name": "x", "datatype": DATATYPES[dtype], "shape": [1, 2], "data": expected}]


@pytest.mark.parametrize("dtype", _TOO_LARGE)
def test_a_value_that_does_not_fit_is_refused(dtype: str) -> None:
    signature = read_signature((_spec("x", dtype),), ())
    body = b'{"inputs": [{"name": "x", "datatype": "%b", "shape": [1], "data": [%b]}]}'
    with pytest.raises(BadRequest):
        read_request(body % (DATATYPES[dtype].encode(), str(_TOO_LARGE[dtype]).encode()), signature)


@pytest.mark.parametrize(("dtype", "value"), [("int64", 1.0), ("bool", 1), ("float32", True), ("int32", False)])
def test_a_value_of_another_kind_is_refused(dtype: str, value: object) -> None:
    signature = read_signature((_spec("x", dtype),), ())
    with pytest.raises(BadRequest, match="values only"):
        read_request(_body(("x", DATATYPES[dtype], [1], [value])), signature)


def test_several_inputs_must_agree_on_their_rows_and_all_be_there() -> None:
    signature = read_signature((_spec("a", "int64"), _spec("b", "float32", 2)), ())
    a, b = ("a", "INT64", [2], [1, 2]), ("b", "FP32", [2, 2], [[1, 2], [3, 4]])
    assert read_request(_body(b, a), signature).n_rows == 2
    with pytest.raises(BadRequest, match="'b' is missing"):
        read_request(_body(a), signature)
    with pytest.raises(BadRequest, match=r"different numbers of rows: \[1, 2\]"):
        read_request(_body(("a", "INT64", [1], [1]), b), signature)


def test_an_axis_of_any_length_takes_any_length() -> None:
    signature = read_signature((_spec("tokens", "int64", None),), ())
    assert read_request(_body(("tokens", "INT64", [1, 3], [1, 2, 3])), signature).inputs["tokens"].shape == (1, 3)


def test_a_model_of_fixed_rows_takes_no_other_number() -> None:
    signature = read_signature((TensorSpec(name="x", dtype="int64", shape=(1, 2)),), ())
    with pytest.raises(BadRequest, match="exactly 1 rows"):
        read_request(_body(("x", "INT64", [2, 2], [1, 2, 3, 4])), signature)


def test_text_is_answered_as_bytes() -> None:
    signature = read_signature((_spec("x", "int64"),), (_spec("label", "object"),))
    request = read_request(_body(("x", "INT64", [2], [1, 2])), signature)
    answer = orjson.loads(write_answer("m", request, {"label": np.array(["a", "b"], dtype=object)}, signature)[0])
    assert answer["outputs"] == [{"name": "label", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
_NEARLY_RIGHT = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | _JSON,
        "datatype": st.just("FP32") | _JSON,
        "shape": st.just([1, 2]) | _JSON,
        "data": st.just([1.0, 2.0]) | _JSON,
    },
)


@settings(max_examples=500, deadline=None)
@given(st.fixed_dictionaries({"inputs": st.lists(_NEARLY_RIGHT, max_size=2) | _JSON}, optional={"outputs": _JSON}))
def test_any_document_is_either_run_or_refused(document: dict[str, Any]) -> None:
    signature = read_signature((_spec("x", "float32", 2),), (_spec("y", "float32"),))
    with contextlib.suppress(BadRequest):
        request = read_request(json.dumps(document).encode(), signature)
        assert request.inputs["x"].shape == (request.n_rows, 2)
