"""A right answer passes in whatever form it comes, and a wrong one is seen."""

import json
from dataclasses import replace

import numpy as np
import pytest

from loadplan.load.messages.judges import judge_of
from loadplan.load.messages.requests import ExpectedAnswers

EXPECTED = ExpectedAnswers(
    outputs={
        "label": (np.array([3, 1], dtype=np.int64), np.array([2, 2], dtype=np.int64)),
        "p": (
            np.array([[0.1, 0.9], [0.5, 0.5]], dtype=np.float32),
            np.array([[0.0, 1.0], [1.0, 0.0]], dtype=np.float32),
        ),
        "word": (np.array(["a", "b"], dtype=np.object_), np.array(["c", "d"], dtype=np.object_)),
    }
)


def answer(
    *,
    label: object = (3, 1),
    p: object = (0.1, 0.9, 0.5, 0.5),
    shape: object = (2, 2),
    word: object = ("a", "b"),
) -> bytes:
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [2], "data": label},
        {"name": "p", "datatype": "FP32", "shape": shape, "data": p},
        {"name": "word", "datatype": "BYTES", "shape": [2], "data": word},
        {"name": "more", "datatype": "FP32", "shape": [1], "data": [0.0]},
    ]
    return json.dumps({"model_name": "m", "outputs": outputs}).encode()


@pytest.mark.parametrize(
    "body",
    [answer(), answer(p=[0.10009, 0.9009, 0.49991, 0.5]), answer(p=[[0.1, 0.9], [0.5, 0.5]])],
    ids=["same", "other last digits", "nested"],
)
def test_a_right_answer_passes(body: bytes) -> None:
    assert judge_of(EXPECTED)(0, body, -1)


@pytest.mark.parametrize(
    "body",
    [
        answer(p=[0.0, 0.0, 0.0, 0.0]),
        answer(p=[0.5, 0.5, 0.1, 0.9]),
        answer(p=[0.1, 0.9, 0.5, 0.502]),
        answer(p=[0.1, 0.9, 0.5]),
        answer(p=[0.1, 0.9, 0.5, None]),
        answer(p=[0.1, 0.9, 0.5, float("nan")]),
        answer(p=["a", "b", "c", "d"]),
        answer(p=[[0.1, 0.9], [0.5]]),
        answer(p=[0.1]),
        answer(p=[0.5], label=[3, 1]),
        answer(p=None),
        answer(shape=[4]),
        answer(label=[3, 2]),
        answer(label=[3.5, 1]),
        answer(word=["a", "c"]),
        b'{"error":"out of memory"}',
        b'{"outputs":[]}',
        b'{"outputs":[1]}',
        b"[]",
        b"ok",
        b"",
    ],
)
def test_a_wrong_answer_fails(body: bytes) -> None:
    assert not judge_of(EXPECTED)(0, body, -1)


def test_the_answer_to_another_payload_is_wrong() -> None:
    assert not judge_of(EXPECTED)(1, answer(), -1)


@pytest.mark.parametrize(("shape", "data"), [([2, 2], [0.5]), ([1], [0.5]), ([1, 2], [0.5, 0.5]), ([2, 1], [0.5, 0.5])])
def test_one_value_is_not_taken_for_as_many_as_are_asked_for(shape: list[int], data: list[float]) -> None:
    same = ExpectedAnswers(outputs={"p": (np.full((2, 2), 0.5),)})
    short = {"name": "p", "datatype": "FP32", "shape": shape, "data": data}
    assert not judge_of(same)(0, json.dumps({"outputs": [short]}).encode(), -1)
    anywhere = replace(same, form="json", pointers={"p": ""})
    assert not judge_of(anywhere)(0, json.dumps(np.reshape(data, [-1]).tolist()).encode(), -1)
    assert not judge_of(anywhere)(0, b"0.5", -1)


# The same answer with binary tensors: two INT64, four FP32, two BYTES.
TAIL = np.array([3, 1], dtype="<i8").tobytes() + np.array([0.1, 0.9, 0.5, 0.5], dtype="<f4").tobytes()
TAIL += b"\x01\x00\x00\x00a\x01\x00\x00\x00b"
SIZES = (16, 16, 10)


def binary(*, sizes: tuple[object, ...] = SIZES, shape: object = (2, 2), datatype: str = "FP32") -> bytes:
    heads = (("label", "INT64", [2]), ("p", datatype, shape), ("word", "BYTES", [2]))
    outputs = [
        {"name": name, "datatype": kind, "shape": axes, "parameters": {"binary_data_size": size}}
        for (name, kind, axes), size in zip(heads, sizes, strict=True)
    ]
    return json.dumps({"outputs": outputs}).encode()


def test_binary_answers_are_judged_as_those_in_json_are() -> None:
    head = binary()
    assert judge_of(EXPECTED)(0, head + TAIL, len(head))
    assert not judge_of(EXPECTED)(1, head + TAIL, len(head))


def test_an_answer_may_be_json_in_part() -> None:
    mixed = json.loads(binary())
    mixed["outputs"][1] = {"name": "p", "datatype": "FP32", "shape": [2, 2], "data": [0.1, 0.9, 0.5, 0.5]}
    head = json.dumps(mixed).encode()
    assert judge_of(EXPECTED)(0, head + TAIL[:16] + TAIL[32:], len(head))


WRONG_BINARY = {
    "a row of zeros": (binary(), TAIL[:16] + bytes(16) + TAIL[32:]),
    "half an answer": (binary(), TAIL[:-1]),
    "more than it says": (binary(), TAIL + b"x"),
    "sizes that are none": (binary(sizes=(16, "16", 10)), TAIL),
    "another shape": (binary(shape=(4,)), TAIL),
    "a shape below zero": (binary(shape=(-2, -2)), TAIL),
    "another type": (binary(datatype="INT8"), TAIL),
    "a type that nobody knows": (binary(datatype="FP7"), TAIL),
}


@pytest.mark.parametrize(("head", "tail"), WRONG_BINARY.values(), ids=WRONG_BINARY)
def test_a_wrong_binary_answer_fails(head: bytes, tail: bytes) -> None:
    assert not judge_of(EXPECTED)(0, head + tail, len(head))


@pytest.mark.parametrize("n_json_bytes", [-1, 0, 5, 10_000], ids=["not said", "none", "too few", "too many"])
def test_a_length_of_json_that_is_wrong_fails(n_json_bytes: int) -> None:
    assert not judge_of(EXPECTED)(0, binary() + TAIL, n_json_bytes)


ANYWHERE = ExpectedAnswers(
    outputs={
        "label": (np.array([3, 1], dtype=np.int64), np.array([2], dtype=np.int64)),
        "p": (np.array([[0.25], [0.75]], dtype=np.float32), np.array([[0.5]], dtype=np.float32)),
    },
    form="json",
    pointers={"label": "/found/0/labels", "p": "/p", "": "/model"},
)
RIGHT_ANYWHERE = {
    "as the model gives them": (0, {"model": "m", "p": [[0.25], [0.75]], "found": [{"labels": [3, 1]}]}),
    "flat": (0, {"model": "m", "p": [0.25001, 0.75], "found": [{"labels": [3, 1]}]}),
    "one row as a bare value": (1, {"model": "m", "p": 0.5, "found": [{"labels": 2}]}),
}
WRONG_ANYWHERE = {
    "of another payload": (1, {"model": "m", "p": [0.25, 0.75], "found": [{"labels": [3, 1]}]}),
    "a label off": (0, {"model": "m", "p": [0.25, 0.75], "found": [{"labels": [3, 2]}]}),
    "a score off": (0, {"model": "m", "p": [0.25, 0.7], "found": [{"labels": [3, 1]}]}),
    "in the other order": (0, {"model": "m", "p": [0.75, 0.25], "found": [{"labels": [3, 1]}]}),
    "one value for two": (0, {"model": "m", "p": 0.25, "found": [{"labels": [3, 1]}]}),
    "ragged": (0, {"model": "m", "p": [[0.25], 0.75], "found": [{"labels": [3, 1]}]}),
    "words": (0, {"model": "m", "p": ["a", "b"], "found": [{"labels": [3, 1]}]}),
    "elsewhere": (0, {"model": "m", "p": [0.25, 0.75], "found": {"labels": [3, 1]}}),
    "without what must be there": (0, {"p": [0.25, 0.75], "found": [{"labels": [3, 1]}]}),
    "null where something must be": (0, {"model": None, "p": [0.25, 0.75], "found": [{"labels": [3, 1]}]}),
}


@pytest.mark.parametrize(("payload", "said"), RIGHT_ANYWHERE.values(), ids=RIGHT_ANYWHERE)
def test_outputs_anywhere_in_a_document_are_found_by_their_pointers(payload: int, said: object) -> None:
    assert judge_of(ANYWHERE)(payload, json.dumps(said).encode(), -1)


@pytest.mark.parametrize(("payload", "said"), WRONG_ANYWHERE.values(), ids=WRONG_ANYWHERE)
def test_a_document_with_wrong_outputs_fails(payload: int, said: object) -> None:
    assert not judge_of(ANYWHERE)(payload, json.dumps(said).encode(), -1)


def test_what_is_no_json_fails() -> None:
    assert not judge_of(ANYWHERE)(0, b"<html>", -1)
