from dataclasses import replace
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
from loadplan.scenario.spec import ParityLimits

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


def within(max_abs_error: float | None) -> ParityLimits:
    return ParityLimits(max_abs_error=max_abs_error, top1_agreement_ratio=None, min_cosine=None)


def changed(row: int, column: int, value: float) -> NDArray[np.float32]:
    scores = SCORES.copy()
    scores[row, column] = value
    return scores


def test_an_equal_answer_has_no_error_at_any_batch_size(session: Session) -> None:
    checks = check_parity(session, payloads(), variant="fp32", limits=within(1e-5)).checks
    assert [(check.batch_size, check.n_rows) for check in checks] == [(1, 4), (2, 4), (4, 4)]
    assert all(check.max_abs_error == check.mean_abs_error == 0.0 for check in checks)


def test_errors_are_the_largest_and_the_mean_over_all_scores(session: Session) -> None:
    checks = check_parity(session, payloads(inputs=changed(1, 0, 0.625)), variant="fp32", limits=within(0.05)).checks
    assert checks[0].max_abs_error == pytest.approx(0.025, abs=1e-7)
    assert checks[0].mean_abs_error == pytest.approx(0.025 / 8, abs=1e-7)


def test_the_worst_element_is_named(session: Session) -> None:
    with pytest.raises(ObjectiveMissed) as caught:
        check_parity(session, payloads(inputs=changed(3, 1, 0.75)), variant="fp32", limits=within(1e-5))
    assert "by 0.05 (allowed: 1e-05): in output scores, element 1 is 0.75, not 0.8" in caught.value.what
    assert caught.value.where.startswith("evaluation row 3 (segment app) at batch size 1, x starting 0.2, 0.75")


def test_an_answer_that_is_no_number_is_beyond_any_tolerance(session: Session) -> None:
    with pytest.raises(ObjectiveMissed, match="beyond any tolerance: in output scores, element 0 is nan"):
        check_parity(session, payloads(inputs=changed(0, 0, np.nan)), variant="fp32", limits=within(1.0))


def test_another_label_is_a_miss_though_the_scores_agree(session: Session) -> None:
    with pytest.raises(ObjectiveMissed, match="in output label, 0, not 1"):
        check_parity(session, payloads(labels=(1, 1, 0, 1)), variant="fp32", limits=within(1e-5))


def test_a_wrong_label_is_worse_than_any_error_of_a_score(session: Session) -> None:
    given = payloads(inputs=changed(3, 1, 0.75), labels=(1, 1, 0, 1))
    with pytest.raises(ObjectiveMissed, match="in output label, 0, not 1"):
        check_parity(session, given, variant="fp32", limits=within(1e-5))


def test_a_tie_within_the_tolerance_may_go_either_way(session: Session) -> None:
    checks = check_parity(session, payloads(labels=(1, 0, 1, 1)), variant="fp32", limits=within(1e-5)).checks
    assert len(checks) == 3


def test_a_lossy_variant_is_held_to_the_best_class_of_its_source(session: Session) -> None:
    given = payloads(inputs=changed(1, 0, 0.3))  # the second of four rows turns to the other class
    lax = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.75, min_cosine=1.0)
    checks = check_parity(session, given, variant="int8_static", limits=lax).checks
    assert [check.top1_agreement_ratio for check in checks] == [0.75, 0.75, 0.75]
    with pytest.raises(ObjectiveMissed) as caught:
        check_parity(session, given, variant="int8_static", limits=replace(lax, top1_agreement_ratio=0.76))
    assert "best class in 75.00% of the rows (at least 76.00% must be)" in caught.value.what
    assert "model.parity.int8_static.top1_agreement_ratio" in caught.value.fix


def test_relative_errors_and_cosines_are_those_of_the_formula(session: Session) -> None:
    # (0.8, 0.6) against (0.6, 0.8): cosine 0.96; the other three rows are the same.
    inputs, scores = SCORES.copy(), SCORES.copy()
    inputs[1], scores[1] = (0.6, 0.8), (0.8, 0.6)
    check = check_parity(session, payloads(inputs=inputs, scores=scores), variant="fp32", limits=within(None)).checks[0]
    assert check.min_cosine == pytest.approx(0.96, abs=1e-6)
    assert check.mean_cosine == pytest.approx(0.99, abs=1e-6)
    assert check.max_rel_error == pytest.approx(0.2 / 0.6, abs=1e-6)
    assert check.mean_rel_error == pytest.approx((0.2 / 0.8 + 0.2 / 0.6) / 8, abs=1e-6)


def test_no_number_is_refused_even_without_a_limit_on_errors(session: Session) -> None:
    nothing = ParityLimits(max_abs_error=None, top1_agreement_ratio=None, min_cosine=None)
    with pytest.raises(ObjectiveMissed, match="answers 1 times with NaN or Inf"):
        check_parity(session, payloads(inputs=changed(0, 0, np.nan)), variant="fp16", limits=nothing)


def test_one_number_for_each_row_has_a_direction_over_all_rows_only(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "echo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "echo.onnx"
    )
    echo = open_session(tmp_path / "echo.onnx", ExecutionConfig(variant="fp16"))
    wanted = np.array([[101.0], [102.0], [103.0]], dtype=np.float32)
    limits = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.9)
    # All answers alike in sign and size, yet they fall where the source's rise.
    given = PayloadSet(inputs={"x": wanted[::-1].copy()}, expected={"y": wanted}, segments=("",) * 3, labels=None)
    with pytest.raises(ObjectiveMissed, match=r"cosine with its source's is -1\.0000"):
        check_parity(echo, given, variant="fp16", limits=limits)


def test_an_answer_of_another_shape_is_a_miss(session: Session) -> None:
    wider = np.concatenate([SCORES, SCORES], axis=1)
    with pytest.raises(ObjectiveMissed, match="with the shape"):
        check_parity(session, payloads(scores=wider), variant="fp32", limits=within(1.0))


def numbers(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32).reshape(-1, 1)


@pytest.fixture
def echo(tmp_path: Path) -> Session:
    """A model that answers with its input, one number for each row."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "echo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "number.onnx"
    )
    return open_session(tmp_path / "number.onnx", ExecutionConfig(variant="fp32"))


def answered(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> PayloadSet:
    return PayloadSet(inputs={"x": got}, expected={"y": wanted}, segments=("",) * len(got), labels=None)


def test_large_answers_may_differ_by_a_share_of_their_own_size(echo: Session) -> None:
    limits = replace(within(1e-5), max_rel_error=1e-6)
    given = answered(numbers(100.0001, 0.5), numbers(100.0, 0.5))
    assert check_parity(echo, given, variant="fp32", limits=limits).checks[0].max_abs_error > 9e-5
    with pytest.raises(ObjectiveMissed, match="differs from its source by"):
        check_parity(echo, given, variant="fp32", limits=within(1e-5))


def test_the_worst_answer_is_the_one_that_is_furthest_beyond_what_it_may_be(echo: Session) -> None:
    limits = replace(within(1e-5), max_rel_error=1e-6)
    given = answered(numbers(100.0001, 0.50005), numbers(100.0, 0.5))  # the first error is larger, and allowed
    with pytest.raises(ObjectiveMissed, match=r"by 5e-05 \(allowed: 1\.05e-05\): in output y, element 0 is 0\.50005"):
        check_parity(echo, given, variant="fp32", limits=limits)


def test_the_rank_correlation_is_spearmans_and_equal_answers_share_their_ranks(echo: Session) -> None:
    got, wanted = numbers(1, 2, 2, 3, 9), numbers(10, 30, 20, 20, 40)
    check = check_parity(echo, answered(got, wanted), variant="fp16", limits=within(None)).checks[-1]
    # Ranks 1, 2.5, 2.5, 4, 5 against 1, 4, 2.5, 2.5, 5: less their mean 3, products 4 - 0.5 + 0.25 - 0.5 + 4 = 7.25.
    assert check.rank_correlation == pytest.approx(7.25 / 9.5)


def test_a_lossy_ranker_is_held_to_the_order_of_its_source(echo: Session) -> None:
    # The far row makes the direction agree; the order of all others is turned round.
    got, wanted = numbers(4, 3, 2, 1, 1000), numbers(1, 2, 3, 4, 1000)
    limits = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.99, min_rank_correlation=0.9)
    with pytest.raises(ObjectiveMissed) as caught:
        check_parity(echo, answered(got, wanted), variant="int8_dynamic", limits=limits)
    # Squared differences of ranks: 9 + 1 + 1 + 9; 1 - 6 · 20 / (5 · 24) = 0.
    assert "ranks the rows otherwise: Spearman's correlation is 0.0000 (at least 0.9 must be)" in caught.value.what
    assert "model.parity.int8_dynamic.min_rank_correlation" in caught.value.fix
    lax = replace(limits, min_rank_correlation=-1.0)
    assert check_parity(echo, answered(got, wanted), variant="int8_dynamic", limits=lax).checks


def test_rows_of_scores_and_a_source_that_answers_all_alike_have_no_order(echo: Session, session: Session) -> None:
    limits = replace(within(None), min_rank_correlation=1.0)
    alike = check_parity(echo, answered(numbers(1, 2), numbers(5, 5)), variant="fp16", limits=limits)
    assert {check.rank_correlation for check in alike.checks} == {None}
    scores = check_parity(session, payloads(), variant="fp16", limits=limits)
    assert {check.rank_correlation for check in scores.checks} == {None}
