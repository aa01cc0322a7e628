"""Every answer is judged, and a wrong one is seen."""

import json

import numpy as np
import pytest

from loadplan.load.answers import AnswerBook, v2_judge
from loadplan.load.requests import ExpectedAnswers

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
    assert v2_judge(EXPECTED)(0, body)


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
    assert not v2_judge(EXPECTED)(0, body)


def test_the_answer_to_another_payload_is_wrong() -> None:
    assert not v2_judge(EXPECTED)(1, answer())


@pytest.mark.parametrize("max_kept_bytes", [1 << 20, 400, 0], ids=["all kept", "some kept", "none kept"])
def test_each_answer_is_judged_by_its_own_payload_however_little_memory_there_is(max_kept_bytes: int) -> None:
    book = AnswerBook(lambda payload, body: body == b"%d" % payload, max_kept_bytes=max_kept_bytes)
    given = [(payload, b"%d" % said) for payload in range(5) for said in range(5) for _ in range(3)]
    numbers = [book.number(payload, body) for payload, body in given]
    right = book.right_by_number()
    assert [bool(right[number]) for number in numbers] == [body == b"%d" % payload for payload, body in given]
