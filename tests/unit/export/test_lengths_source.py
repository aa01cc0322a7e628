"""A ready encoder with rows of different lengths in an archive: what is exported, what is said, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadplan.errors import InputError, ObjectiveMissed
from loadplan.export.artifact import ExportRun
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet, inputs_of
from loadplan.scenario.spec import ModelSource, ParityLimits

N_ROWS, LONGEST = 60, 7
LENGTHS = 1 + np.arange(N_ROWS) % LONGEST
IDS = np.random.default_rng(0).integers(1, 20, (N_ROWS, LONGEST)) * (np.arange(LONGEST) < LENGTHS[:, None])
MASK = (np.arange(LONGEST) < LENGTHS[:, None]).astype(np.int64)
VECTORS = np.random.default_rng(1).normal(size=(20, 8)).astype(np.float32)
WEIGHTS = np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32)
# Each sentence alone: the mean of its own tokens' vectors, times the weights.
ANSWERS = np.array(
    [VECTORS[ids[:length]].mean(axis=0) @ WEIGHTS for ids, length in zip(IDS, LENGTHS, strict=True)], dtype=np.float32
)


def write_encoder(folder: Path, *, masked: bool) -> None:
    nodes = [
        helper.make_node("Gather", ["vectors", "ids"], ["found"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "two"], ["each"]),
        helper.make_node("Mul", ["found", "each"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "one"], ["n"], keepdims=1),
        helper.make_node("Div", ["sum", "n"], ["mean"]),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
    ]
    unmasked = [
        helper.make_node("Gather", ["vectors", "ids"], ["found"]),
        helper.make_node("ReduceMean", ["found", "one"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
    ]
    names = ("ids", "mask") if masked else ("ids",)
    graph = helper.make_graph(
        nodes if masked else unmasked,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(VECTORS, "vectors"),
            numpy_helper.from_array(WEIGHTS, "w"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "two"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "encoder.onnx")


def export(folder: Path, *variants: str, **arrays: Any) -> tuple[ExportRun, PayloadSet]:
    np.savez(folder / "rows.npz", **arrays)
    exact = ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None)
    alike = ParityLimits(max_abs_error=None, top1_agreement_ratio=None, min_cosine=0.9)
    source = ModelSource(
        kind="onnx",
        factory=None,
        folder=str(folder),
        variants=variants or ("fp32",),
        parity={name: exact if name.startswith("fp32") else alike for name in variants or ("fp32",)},
        file="encoder.onnx",
        payload="rows.npz",
    )
    (folder / "models").mkdir()
    return export_model(source, models_folder=folder / "models")


def test_every_variant_keeps_its_length_free_and_answers_alike_in_mixed_company(tmp_path: Path) -> None:
    write_encoder(tmp_path, masked=True)
    variants = ("fp32", "fp16", "int8_dynamic", "int8_static")
    answers = {"expected.y": ANSWERS}
    run, payloads = export(tmp_path, *variants, ids=IDS, mask=MASK, lengths=LENGTHS, **answers)
    assert not run.refused
    assert [model.variant for model in run.models] == list(variants)
    assert all(model.pads for model in run.models)
    assert {spec.shape for model in run.models for spec in model.inputs} == {(None, None)}
    assert {(c.shortest, c.longest) for model in run.models for c in model.parity} == {(1, LONGEST)}
    assert "export.not_padded" not in [caveat.code for caveat in run.caveats]
    assert payloads.sequences == ("ids", "mask")
    assert inputs_of(payloads, np.array([0, 2]))["ids"].shape == (2, 3)


def test_the_answers_of_a_file_without_any_are_those_at_each_rows_own_length(tmp_path: Path) -> None:
    write_encoder(tmp_path, masked=False)
    run, payloads = export(tmp_path, ids=IDS, lengths=LENGTHS)
    assert np.allclose(payloads.expected["y"], ANSWERS, atol=1e-5)
    assert not run.models[0].pads


@pytest.mark.parametrize("variant", ["fp32", "int8_dynamic"])
def test_without_a_mask_no_variant_is_padded_and_the_plan_is_doubted(tmp_path: Path, variant: str) -> None:
    write_encoder(tmp_path, masked=False)
    run, _ = export(tmp_path, variant, ids=IDS, lengths=LENGTHS, **{"expected.y": ANSWERS})
    assert not run.models[0].pads
    (doubt,) = [caveat for caveat in run.caveats if caveat.code == "export.not_padded"]
    assert "1 to 7 positions long" in doubt.what
    assert "padding changes what it answers" in doubt.what


def test_answers_to_padded_rows_are_not_those_of_the_rows(tmp_path: Path) -> None:
    """The source was asked with zeros beyond the end: its answers are to other rows than are served."""
    write_encoder(tmp_path, masked=False)
    padded = VECTORS[IDS].mean(axis=1) @ WEIGHTS
    with pytest.raises(ObjectiveMissed, match="differs from its source"):
        export(tmp_path, ids=IDS, lengths=LENGTHS, **{"expected.y": padded})


def test_rows_in_wider_arrays_are_cut_to_the_longest(tmp_path: Path) -> None:
    write_encoder(tmp_path, masked=True)
    wide = {name: np.pad(rows, ((0, 0), (0, 9))) for name, rows in (("ids", IDS), ("mask", MASK))}
    _, payloads = export(tmp_path, **wide, lengths=LENGTHS)
    assert payloads.inputs["ids"].shape == (N_ROWS, LONGEST)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"lengths": LENGTHS + 1}, "have 7 positions, the longest is said to have 8"),
        ({"lengths": np.where(LENGTHS == 7, 6, LENGTHS)}, "row 6 of the input 'mask' is not zero beyond its length, 6"),
        ({"lengths": LENGTHS - 1}, "its lengths are not one whole number from 1 up for each row"),
        ({"lengths": LENGTHS / 1.0}, "its lengths are not one whole number from 1 up for each row"),
        ({"lengths": LENGTHS[1:]}, "lengths 59"),
    ],
)
def test_lengths_that_do_not_fit_have_a_message_each(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    write_encoder(tmp_path, masked=True)
    with pytest.raises(InputError) as caught:
        export(tmp_path, ids=IDS, mask=MASK, **arrays)
    assert said in caught.value.what


def test_a_model_of_any_length_gets_no_made_up_rows(tmp_path: Path) -> None:
    write_encoder(tmp_path, masked=True)
    source = ModelSource(
        kind="onnx", factory=None, folder=str(tmp_path), variants=("fp32",), parity={}, file="encoder.onnx"
    )
    with pytest.raises(InputError) as caught:
        export_model(source, models_folder=tmp_path)
    assert "rows can't be made up for the input 'ids'" in caught.value.what
    assert "rows.npz, with `lengths`" in caught.value.fix


def test_a_model_that_takes_one_row_shares_no_batch_and_needs_no_doubt_about_padding(tmp_path: Path) -> None:
    write_encoder(tmp_path, masked=True)
    model = onnx.load(tmp_path / "encoder.onnx")
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "encoder.onnx")
    run, _ = export(tmp_path, ids=IDS, mask=MASK, lengths=LENGTHS, **{"expected.y": ANSWERS})
    assert not run.models[0].pads
    assert [caveat.code for caveat in run.caveats] == ["export.fixed_batch"]
