from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from loadplan.errors import ObjectiveMissed
from loadplan.execution import ExecutionConfig
from loadplan.export.parity import check_parity
from loadplan.inference import Session, open_session
from loadplan.scenario.payloads import PayloadSet

# A model that answers with its input as scores, and with the position of the largest as the label.
SCORES = np.array([[0.1, 0.9], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    graph = helper.make_graph(
        [
            helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
            helper.make_node("Identity", ["x"], ["scores"]),
        ],
        "echo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "echo.onnx")
    return open_session(tmp_path / "echo.onnx", ExecutionConfig(variant="fp32"))


def payloads(
    *,
    inputs: NDArray[np.float32] = SCORES,
    scores: NDArray[np.float32] = SCORES,
    labels: tuple[int, ...] = (1, 0, 0, 1),
) -> PayloadSet:
    return PayloadSet(
        inputs={"x": inputs},
        expected={"label": np.array(labels), "scores": scores},
        segments=("web", "web", "app", "app"),
        labels=None,
    )


def changed(row: int, column: int, value: float) -> NDArray[np.float32]:
    scores = SCORES.copy()
    scores[row, column] = value
    return scores


def test_an_equal_answer_has_no_error_at_any_batch_size(session: Session) -> None:
    checks = check_parity(session, payloads(), variant="fp32", max_abs_error_allowed=1e-5)
    assert [(check.batch_size, check.n_rows) for check in checks] == [(1, 4), (2, 4), (4, 4)]
    assert all(check.max_abs_error == check.mean_abs_error == 0.0 for check in checks)


def test_errors_are_the_largest_and_the_mean_over_all_scores(session: Session) -> None:
    checks = check_parity(session, payloads(inputs=changed(1, 0, 0.625)), variant="fp32", max_abs_error_allowed=0.05)
    assert checks[0].max_abs_error == pytest.approx(0.025, abs=1e-7)
    assert checks[0].mean_abs_error == pytest.approx(0.025 / 8, abs=1e-7)


def test_the_worst_element_is_named(session: Session) -> None:
    with pytest.raises(ObjectiveMissed) as caught:
        check_parity(session, payloads(inputs=changed(3, 1, 0.75)), variant="fp32", max_abs_error_allowed=1e-5)
    assert "by 0.05 (allowed: 1e-05): in output scores, element 1 is 0.75, not 0.8" in caught.value.what
    assert caught.value.where.startswith("evaluation row 3 (segment app) at batch size 1, x starting 0.2, 0.75")


def test_an_answer_that_is_no_number_is_beyond_any_tolerance(session: Session) -> None:
    with pytest.raises(ObjectiveMissed, match="beyond any tolerance: in output scores, element 0 is nan"):
        check_parity(session, payloads(inputs=changed(0, 0, np.nan)), variant="fp32", max_abs_error_allowed=1.0)


def test_another_label_is_a_miss_though_the_scores_agree(session: Session) -> None:
    with pytest.raises(ObjectiveMissed, match="in output label, 0, not 1"):
        check_parity(session, payloads(labels=(1, 1, 0, 1)), variant="fp32", max_abs_error_allowed=1e-5)


def test_a_tie_within_the_tolerance_may_go_either_way(session: Session) -> None:
    checks = check_parity(session, payloads(labels=(1, 0, 1, 1)), variant="fp32", max_abs_error_allowed=1e-5)
    assert len(checks) == 3


def test_an_answer_of_another_shape_is_a_miss(session: Session) -> None:
    wider = np.concatenate([SCORES, SCORES], axis=1)
    with pytest.raises(ObjectiveMissed, match="with the shape"):
        check_parity(session, payloads(scores=wider), variant="fp32", max_abs_error_allowed=1.0)
