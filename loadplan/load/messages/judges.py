"""How an answer is told right from wrong, for each form in which answers come.

An answer is right when it has every expected output in the expected shape, floats lie within
abs + rel · |expected|, and whole numbers and text are the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from loadplan.load.messages.answers import Judge
from loadplan.load.messages.json_pointer import NothingThere, value_at
from loadplan.load.messages.requests import ExpectedAnswers
from loadplan.v2_tensors import BadTensor, decode, split_message, take_parts

# The outputs in an answer: from its body and the length of its JSON (-1: all of it), or None where it has none.
_Reader = Callable[[bytes, int], Mapping[str, NDArray[Any]] | None]


def judge_of(expected: ExpectedAnswers) -> Judge:
    """The judge of answers in the expected form."""
    if expected.form == "json":
        return _json_judge(expected)
    read = _grpc_outputs if expected.form == "v2_grpc" else _v2_outputs

    def is_right(payload: int, body: bytes, n_json_bytes: int) -> bool:
        outputs = read(body, n_json_bytes)
        return outputs is not None and all(
            name in outputs
            and outputs[name].shape == values[payload].shape
            # By its own shape, for numpy would take one value for as many as are asked for.
            and _is_close(outputs[name], values[payload], expected)
            for name, values in expected.outputs.items()
        )

    return is_right


def _grpc_outputs(body: bytes, _n_json_bytes: int) -> dict[str, NDArray[Any]] | None:
    from loadplan.load.messages.v2_grpc import outputs_of_answer  # protobuf, which no other form needs

    return outputs_of_answer(body)


def _v2_outputs(body: bytes, n_json_bytes: int) -> dict[str, NDArray[Any]] | None:
    """Outputs in the JSON of the protocol, each with its values in it or binary behind it."""
    try:
        json, tail = split_message(body, len(body) if n_json_bytes < 0 else n_json_bytes)
        outputs = orjson.loads(json)["outputs"]
        sizes = {i: _binary_size(output) for i, output in enumerate(outputs)}
        binary = {i: size for i, size in sizes.items() if size is not None}
        parts = dict(zip(binary, take_parts(tail, binary.values()), strict=True))
        return {output["name"]: _v2_values(output, parts.get(i)) for i, output in enumerate(outputs)}
    except (BadTensor, KeyError, TypeError, AttributeError, ValueError):  # not JSON, or not what the protocol says
        return None


def _binary_size(output: dict[str, Any]) -> object:
    return output.get("parameters", {}).get("binary_data_size")


def _v2_values(output: dict[str, Any], part: memoryview | None) -> NDArray[Any]:
    shape = output["shape"]
    if not all(type(size) is int and size >= 0 for size in shape):
        raise BadTensor("a shape of something else than lengths")
    if part is not None:
        return decode(part, datatype=output["datatype"], shape=shape)
    return np.asarray(output["data"]).reshape(shape)  # a ValueError where there are too few or too many


def _json_judge(expected: ExpectedAnswers) -> Judge:
    """Of answers of any shape: what stands at the pointer is the output, axes of length one aside."""

    def is_right(payload: int, body: bytes, _n_json_bytes: int) -> bool:
        try:
            document = orjson.loads(body)
            found = {name: value_at(document, pointer) for name, pointer in expected.pointers.items()}
        except (orjson.JSONDecodeError, NothingThere):
            return False
        return (
            all(_is_output(found[name], values[payload], expected) for name, values in expected.outputs.items())
            and None not in found.values()
        )

    return is_right


def _is_output(value: object, right: NDArray[np.generic], expected: ExpectedAnswers) -> bool:
    try:
        values = np.asarray(value)
    except ValueError:  # a ragged list
        return False
    squeezed = right.squeeze()
    return values.squeeze().shape == squeezed.shape and _is_close(values.squeeze(), squeezed, expected)


def _is_close(values: NDArray[Any], right: NDArray[np.generic], expected: ExpectedAnswers) -> bool:
    if right.dtype.kind != "f":
        return bool(values.tolist() == right.tolist())
    try:
        wanted = right.astype(np.float64)
        error = np.abs(values.astype(np.float64) - wanted)
    except (TypeError, ValueError):  # nulls, words
        return False
    return bool((error <= expected.abs_tolerance + expected.rel_tolerance * np.abs(wanted)).all())  # NaN is never
