"""Bound inputs and outputs on the CPU's own device, by the real runtime: the answers are those of a plain call.

What a device other than the CPU makes of it is tested in tests/gpu.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from loadplan.bench.timing import time_after_pauses, time_calls, time_copies, time_loops, time_side_by_side, warm_up
from loadplan.execution import ExecutionConfig
from loadplan.inference import Session, Tensors, bind, open_session, run

DTYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}


def model(path: Path, kind: int, nodes: Sequence[tuple[str, list[str], list[str]]], outputs: str) -> Path:
    """A graph of one input x of any number of rows of three."""
    tensors = {name: helper.make_tensor_value_info(name, kind, ["rows", 3]) for name in ("x", *outputs)}
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, results) for operator, inputs, results in nodes],
        "model",
        [tensors["x"]],
        [tensors[name] for name in outputs],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Session:
    """y = x + x and z = -x."""
    path = model(tmp_path / "m.onnx", TensorProto.FLOAT, [("Add", ["x", "x"], ["y"]), ("Neg", ["x"], ["z"])], "yz")
    return open_session(path, ExecutionConfig(variant="fp32"))


@pytest.fixture
def bound(plain: Session) -> Session:
    return bind(plain, device="cpu")


def rows(n: int, first: float = 0.0) -> NDArray[np.float32]:
    return np.arange(3 * n, dtype=np.float32).reshape(n, 3) + np.float32(first)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kind_of_number_comes_back_as_it_was_sent(tmp_path: Path, dtype: str) -> None:
    path = model(tmp_path / "m.onnx", DTYPES[dtype], [("Identity", ["x"], ["y"])], "y")
    session = bind(open_session(path, ExecutionConfig(variant="fp32")), device="cpu")
    assert session.binding is not None
    sent = np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)
    answer = run(session, {"x": sent})["y"]
    assert answer.dtype == sent.dtype
    np.testing.assert_array_equal(answer, sent)


def test_answers_are_those_of_a_plain_call_for_any_number_of_rows(plain: Session, bound: Session) -> None:
    for n in (1, 5, 2, 2, 64, 1, 0, 3):
        expected, answers = run(plain, {"x": rows(n)}), run(bound, {"x": rows(n)})
        assert list(answers) == ["y", "z"]
        for name in expected:
            np.testing.assert_array_equal(answers[name], expected[name])


def test_rows_that_do_not_lie_together_are_read_right(plain: Session, bound: Session) -> None:
    scattered = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::2]
    np.testing.assert_array_equal(run(bound, {"x": scattered})["y"], run(plain, {"x": scattered})["y"])


def test_an_answer_stays_when_the_next_call_is_made_or_its_input_changes(tmp_path: Path, bound: Session) -> None:
    first = run(bound, {"x": rows(2)})["y"]
    run(bound, {"x": rows(2, 100.0)})
    np.testing.assert_array_equal(first, 2 * rows(2))
    path = model(tmp_path / "same.onnx", TensorProto.FLOAT, [("Identity", ["x"], ["y"])], "y")
    same = bind(open_session(path, ExecutionConfig(variant="fp32")), device="cpu")
    sent = rows(2)
    answer = run(same, {"x": sent})["y"]
    sent[:] = -1.0
    np.testing.assert_array_equal(answer, rows(2))


def test_an_input_that_is_left_out_is_an_error_and_not_that_of_the_last_call(bound: Session) -> None:
    run(bound, {"x": rows(2)})
    with pytest.raises(ValueError, match="the model takes"):
        run(bound, {})
    with pytest.raises(ValueError, match="the model takes"):
        run(bound, {"x": rows(2), "w": rows(2)})


def test_after_a_refused_call_the_next_is_right(bound: Session) -> None:
    with pytest.raises(RuntimeError, match="tensor\\(double\\)"):
        run(bound, {"x": rows(2).astype(np.float64)})
    with pytest.raises(RuntimeError):
        run(bound, {"x": np.zeros((2, 4), dtype=np.float32)})
    np.testing.assert_array_equal(run(bound, {"x": rows(3)})["y"], 2 * rows(3))


def test_text_is_not_bound_and_still_answered(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", TensorProto.STRING, [("Identity", ["x"], ["y"])], "y")
    session = bind(open_session(path, ExecutionConfig(variant="fp32")), device="cpu")
    assert session.binding is None
    sent = np.array([["a", "b", "ü"]], dtype=object)
    np.testing.assert_array_equal(run(session, {"x": sent})["y"], sent)
    assert time_copies(session, [{"x": sent}]) is None


def test_sessions_side_by_side_each_answer_their_own(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", TensorProto.FLOAT, [("Add", ["x", "x"], ["y"])], "y")
    sessions = [bind(open_session(path, ExecutionConfig(variant="fp32")), device="cpu") for _ in range(4)]

    def work(i: int) -> bool:
        mine = rows(1 + i, 1000.0 * i)
        return all(np.array_equal(run(sessions[i], {"x": mine})["y"], 2 * mine) for _ in range(300))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_bound_calls_are_timed_as_plain_ones_and_their_copies_apart(plain: Session, bound: Session) -> None:
    feeds: list[Tensors] = [{"x": rows(n)} for n in (1, 2, 3)]
    assert warm_up(bound, feeds, block_s=0.001) > 0.0
    assert time_calls(bound, feeds).shape == (3,)
    assert time_loops(bound, feeds, n_loops=2, calls_per_loop=5).shape == (2,)
    assert time_side_by_side([bound], feeds).shape == (1, 3)
    assert time_after_pauses(bound, feeds, gap_s=0.0001).shape == (3,)
    copies = time_copies(bound, feeds)
    assert copies is not None
    assert min(copies) > 0.0
    assert time_copies(plain, feeds) is None
