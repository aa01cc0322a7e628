"""What the generator's process reads is what the driver wrote, answers of every size included."""

import socket
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.load.generator.handoff import GeneratorJob, read_job, write_job
from loadplan.load.generator.loop_order import LoopOrder
from loadplan.load.messages.requests import ExpectedAnswers

ORDER = LoopOrder(
    family=socket.AF_INET,
    address=("127.0.0.1", 8000),
    due_s=np.array([0.1, 0.2]),
    payload=np.array([1, 0], dtype=np.int32),
    messages=(b"one", b"three more"),
    timeout_s=1.0,
    n_warm_connections=2,
)


def test_answers_of_different_sizes_come_back_in_their_shapes(tmp_path: Path) -> None:
    outputs: dict[str, tuple[NDArray[np.generic], ...]] = {
        "score": (np.array([[0.5], [0.25]], dtype=np.float32), np.array([[1.0], [2.0], [3.0]], dtype=np.float32)),
        "label": (np.array([7, 8], dtype=np.int64), np.array([1, 2, 3], dtype=np.int64)),
        "word": (np.array(["a", "ab"], dtype=np.object_), np.array(["bcd", "", "é"], dtype=np.object_)),
    }
    write_job(tmp_path, GeneratorJob(order=ORDER, expected=ExpectedAnswers(outputs=outputs), core=None))
    back = read_job(tmp_path)
    assert back.order.messages == ORDER.messages
    assert back.expected is not None
    for name, answers in outputs.items():
        assert [each.tolist() for each in back.expected.outputs[name]] == [each.tolist() for each in answers]
    assert [each.dtype for each in back.expected.outputs["score"]] == [np.float32] * 2


def test_a_job_without_expected_answers_stays_without(tmp_path: Path) -> None:
    write_job(tmp_path, GeneratorJob(order=ORDER, expected=None, core=3))
    assert read_job(tmp_path).expected is None


def test_what_to_send_is_readable_for_nobody_else(tmp_path: Path) -> None:
    write_job(tmp_path, GeneratorJob(order=ORDER, expected=None, core=None))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_where_outputs_stand_in_an_answer_comes_back(tmp_path: Path) -> None:
    expected = ExpectedAnswers(outputs={}, form="json", pointers={"": "/predictions"})
    write_job(tmp_path, GeneratorJob(order=ORDER, expected=expected, core=None))
    assert read_job(tmp_path).expected == expected
