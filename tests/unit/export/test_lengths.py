"""Rows of different lengths: models that answer with the mean of their tokens' vectors, with and without a mask."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.errors import InputError, ObjectiveMissed
from loadplan.execution import ExecutionConfig
from loadplan.export.parity import Tolerance, check_parity, padding_holds
from loadplan.export.variants import calibration_batches, calibration_rows
from loadplan.inference import Session, open_session
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ParityLimits

LIMITS = ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None)
WITHIN = Tolerance(absolute=1e-5)

# Token i stands for the vector (i, 10 - i), so the mean of tokens 1, 2 and 6 is (3, 7) and a padded 0 pulls it away.
VECTORS = np.array([[i, 10 - i] for i in range(10)], dtype=np.float32)

Open = Callable[..., Session]


def saved(path: Path, nodes: list[onnx.NodeProto], *, masked: bool, output: list[str | int | None]) -> Path:
    names = ["ids", "mask"] if masked else ["ids"]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [
            numpy_helper.from_array(VECTORS, "vectors"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "two"),
            numpy_helper.from_array(np.array(0.5, dtype=np.float32), "half"),
            numpy_helper.from_array(np.array(4, dtype=np.int64), "four"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def masked_mean(result: str = "y") -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", ["vectors", "ids"], ["found"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "two"], ["each"]),
        helper.make_node("Mul", ["found", "each"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "one"], ["n"], keepdims=1),
        helper.make_node("Div", ["sum", "n"], [result]),
    ]


def plain_mean() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", ["vectors", "ids"], ["found"]),
        helper.make_node("ReduceMean", ["found", "one"], ["y"], keepdims=0),
    ]


def sentences(*rows: list[int], masked: bool = True) -> PayloadSet:
    """The tokens side by side, and the mean of each row's vectors, computed by hand's rule: (mean, 10 - mean)."""
    lengths = np.array([len(row) for row in rows])
    ids = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    means = np.array([[sum(row) / len(row), 10 - sum(row) / len(row)] for row in rows], dtype=np.float32)
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    return PayloadSet(
        inputs={"ids": ids, "mask": mask} if masked else {"ids": ids},
        expected={"y": means},
        segments=tuple(f"of {n}" for n in lengths),
        labels=None,
        lengths=lengths,
        sequences=("ids", "mask") if masked else ("ids",),
    )


ROWS = ([1, 2, 6], [4], [7, 8, 9, 3, 1], [2, 2], [5, 5, 5, 5], [9], [1, 9, 8], [6, 4])


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def make(
        nodes: list[onnx.NodeProto], *, masked: bool = True, output: tuple[str | int | None, ...] = ("batch", 2)
    ) -> Session:
        path = saved(tmp_path / "tokens.onnx", nodes, masked=masked, output=list(output))
        return open_session(path, ExecutionConfig(variant="fp32"))

    return make


def test_the_mean_of_a_row_is_its_hand_computed_answer_in_mixed_company(opened: Open) -> None:
    session, given = opened(masked_mean()), sentences(*ROWS)
    parity = check_parity(session, given, variant="fp32", limits=LIMITS, pads=True)
    assert [(check.batch_size, check.n_rows) for check in parity.checks] == [(1, 8), (2, 8), (7, 8), (8, 8)]
    assert all(check.max_abs_error < WITHIN.absolute for check in parity.checks)
    assert {(check.shortest, check.longest) for check in parity.checks} == {(1, 5)}


def test_rows_that_are_alike_have_no_lengths_to_tell(opened: Open) -> None:
    given = replace(sentences([1, 2], [3, 4]), lengths=None, sequences=())
    checks = check_parity(opened(masked_mean()), given, variant="fp32", limits=LIMITS).checks
    assert {(check.shortest, check.longest) for check in checks} == {(None, None)}


def test_padding_holds_with_a_mask_and_not_without(opened: Open) -> None:
    assert padding_holds(opened(masked_mean()), sentences(*ROWS), tolerance=WITHIN)
    assert not padding_holds(opened(plain_mean(), masked=False), sentences(*ROWS, masked=False), tolerance=WITHIN)


def test_rows_of_one_length_prove_nothing_about_padding(opened: Open) -> None:
    assert not padding_holds(opened(masked_mean()), sentences([1, 2], [3, 4], [5, 6]), tolerance=WITHIN)


def test_rows_sorted_by_length_are_padded_too(opened: Open) -> None:
    rows = [[1 + i % 9] * (1 + i // 64) for i in range(512)]
    with pytest.raises(ObjectiveMissed, match="differs from its source by"):
        check_parity(
            opened(plain_mean(), masked=False), sentences(*rows, masked=False), variant="fp32", limits=LIMITS, pads=True
        )
    assert not padding_holds(opened(plain_mean(), masked=False), sentences(*rows, masked=False), tolerance=WITHIN)


def test_a_model_without_a_mask_holds_among_rows_of_its_own_length(opened: Open) -> None:
    session, given = opened(plain_mean(), masked=False), sentences(*ROWS, masked=False)
    parity = check_parity(session, given, variant="fp32", limits=LIMITS, pads=False)
    assert all(check.max_abs_error < WITHIN.absolute for check in parity.checks)
    assert parity.batch_spread < WITHIN.absolute


def test_a_row_that_is_wrong_in_company_is_named(opened: Open) -> None:
    given = sentences([1, 2, 6], [4], masked=False)
    with pytest.raises(ObjectiveMissed) as caught:
        check_parity(opened(plain_mean(), masked=False), given, variant="fp32", limits=LIMITS, pads=True)
    # In company the 4 becomes 4, 0, 0: the mean of the vectors is (4, 26) / 3.
    assert "by 2.67 (allowed: 1e-05)" in caught.value.what
    assert caught.value.where.startswith("evaluation row 1 (segment of 1) at batch size 2, ids starting 4, 0, 0")


def wrong_at_four() -> list[onnx.NodeProto]:
    """Half a unit too much for rows of exactly four positions, and for these alone."""
    return [
        *masked_mean("mean"),
        helper.make_node("Shape", ["ids"], ["axis"], start=1, end=2),
        helper.make_node("Equal", ["axis", "four"], ["is_four"]),
        helper.make_node("Cast", ["is_four"], ["once"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["once", "half"], ["more"]),
        helper.make_node("Add", ["mean", "more"], ["y"]),
    ]


@pytest.mark.parametrize("pads", [True, False])
def test_a_model_that_is_wrong_at_one_length_only_is_caught(opened: Open, *, pads: bool) -> None:
    with pytest.raises(ObjectiveMissed) as caught:
        check_parity(opened(wrong_at_four()), sentences(*ROWS), variant="fp32", limits=LIMITS, pads=pads)
    assert "by 0.5 (allowed: 1e-05)" in caught.value.what
    assert "(segment of 4) at batch size 1" in caught.value.where


def test_a_graph_with_a_frozen_length_is_one_message(opened: Open) -> None:
    frozen = [
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 5, 2]),
        helper.make_node("Gather", ["vectors", "ids"], ["found"]),
        helper.make_node("Reshape", ["found", "shape"], ["five"]),
        helper.make_node("ReduceMean", ["five", "one"], ["y"], keepdims=0),
    ]
    with pytest.raises(ObjectiveMissed, match=r"the model fails on a batch of 2, 1 positions long: .*Reshape"):
        check_parity(opened(frozen, masked=False), sentences(*ROWS, masked=False), variant="fp32", limits=LIMITS)


def test_answers_as_long_as_their_rows_are_refused(opened: Open) -> None:
    whole = [helper.make_node("Gather", ["vectors", "ids"], ["y"])]
    session = opened(whole, masked=False, output=("batch", "length", 2))
    with pytest.raises(InputError, match="it is as long as its rows"):
        check_parity(session, sentences(*ROWS, masked=False), variant="fp32", limits=LIMITS)


def test_the_largest_batch_of_long_rows_is_bounded(opened: Open) -> None:
    long: NDArray[np.int64] = np.ones(1 << 12, dtype=np.int64)
    given = sentences(*([*long[: 4096 - i]] for i in range(20)))
    checks = check_parity(opened(masked_mean()), given, variant="fp32", limits=LIMITS, pads=True).checks
    assert [(check.batch_size, check.n_rows) for check in checks] == [(1, 20), (2, 20), (7, 20), (8, 8)]


def test_calibrating_batches_are_as_long_as_their_longest_row() -> None:
    rows = [[1 + i % 9] * (1 + i % 50) for i in range(400)]
    given = sentences(*rows, [7] * 90)
    chosen = calibration_rows(given.n_rows)
    assert 400 not in chosen  # the longest row of all isn't among them
    batches = calibration_batches(given)
    assert [len(batch["ids"]) for batch in batches] == [32, 32, 16]
    for batch, own in zip(batches, (chosen[:32], chosen[32:64], chosen[64:]), strict=True):
        assert batch["ids"].shape[1] == max(len(rows[row]) for row in own) == batch["mask"].sum(axis=1).max()
