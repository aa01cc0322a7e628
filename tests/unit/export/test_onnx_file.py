"""A ready ONNX file as a source: what it is fed with, what that proves, and what is wrong with it."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadplan.errors import InputError, ObjectiveMissed
from loadplan.export.artifact import ExportRun
from loadplan.export.onnx_file import identity
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, ParityLimits

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
NO_LIMITS = ParityLimits(max_abs_error=None, top1_agreement_ratio=None, min_cosine=None)
WEIGHTS = np.arange(6, dtype=np.float32).reshape(3, 2)


def write_model(folder: Path, *, rows: str | int = "rows", data: bool = False) -> None:
    """y = x · w, on request with the weights in a file beside it."""
    weights = numpy_helper.from_array(WEIGHTS, "w")
    if data:
        (folder / "foreign.bin").write_bytes(WEIGHTS.tobytes())
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="foreign.bin")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "given",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def source(folder: Path, *, payload: str | None = None) -> ModelSource:
    return ModelSource(
        kind="onnx",
        factory=None,
        folder=str(folder),
        variants=("fp32",),
        parity={"fp32": ParityLimits(max_abs_error=1e-4, top1_agreement_ratio=None, min_cosine=None)},
        file="model.onnx",
        payload=payload,
    )


def export(folder: Path, **arrays: Any) -> tuple[ExportRun, PayloadSet]:
    """Export `model.onnx`, with these arrays as its rows if there are any."""
    if arrays:
        np.savez(folder / "rows.npz", **arrays)
    models = folder / "models"
    models.mkdir(exist_ok=True)
    return export_model(source(folder, payload="rows.npz" if arrays else None), models_folder=models)


def codes(run: ExportRun) -> list[str]:
    return [caveat.code for caveat in run.caveats]


def test_a_file_without_rows_gets_made_up_ones_and_says_what_that_proves(tmp_path: Path) -> None:
    write_model(tmp_path)
    run, payloads = export(tmp_path)
    assert run.source == "onnx model.onnx (file)"
    assert codes(run) == ["export.made_up_rows", "export.own_answers"]
    assert payloads.n_rows == 256
    assert np.allclose(payloads.expected["y"], np.matmul(payloads.inputs["x"].astype(np.float32), WEIGHTS), atol=1e-4)


def test_rows_with_answers_labels_and_segments_leave_no_doubt(tmp_path: Path) -> None:
    write_model(tmp_path)
    rest: dict[str, Any] = {"expected.y": ROWS @ WEIGHTS, "labels": np.arange(40), "segments": ["a", "b"] * 20}
    run, payloads = export(tmp_path, x=ROWS, **rest)
    assert codes(run) == []
    assert payloads.segments == ("a", "b") * 20
    assert payloads.labels is not None
    assert payloads.labels.tolist() == list(range(40))
    assert np.array_equal(payloads.inputs["x"], ROWS)


def test_rows_without_answers_are_compared_with_single_rows(tmp_path: Path) -> None:
    write_model(tmp_path)
    run, payloads = export(tmp_path, x=ROWS)
    assert codes(run) == ["export.own_answers"]
    assert np.allclose(payloads.expected["y"], ROWS @ WEIGHTS, atol=1e-4)


def test_answers_that_the_file_does_not_give_are_a_broken_parity(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(ObjectiveMissed, match="differs from its source"):
        export(tmp_path, x=ROWS, **{"expected.y": ROWS @ WEIGHTS + 1})
    assert list((tmp_path / "models").iterdir()) == []


def test_external_data_moves_into_the_one_file_that_is_kept(tmp_path: Path) -> None:
    write_model(tmp_path, data=True)
    before = identity(source(tmp_path))
    run, _ = export(tmp_path)
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["fp32.onnx"]
    assert WEIGHTS.tobytes() in (tmp_path / "models" / "fp32.onnx").read_bytes()
    assert run.models[0].n_parameters == 6
    (tmp_path / "foreign.bin").write_bytes((WEIGHTS + 1).tobytes())
    assert identity(source(tmp_path)) != before


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": ROWS}, "the rows hold the inputs z; the model has x"),
        ({"x": ROWS, "expected.q": ROWS}, "the rows hold the outputs q; the model has y"),
        ({"x": ROWS.astype(np.float64)}, "of the type float64, the model takes float32"),
        ({"x": ROWS[:, :2]}, "have the shape (40, 2), the model takes (any, 3)"),
        ({"x": ROWS[0, 0]}, "need one first axis of rows; they have x 0"),
        ({"x": ROWS, "labels": np.arange(39)}, "they have x 40, labels 39"),
        ({"x": np.array([[print] * 3], dtype=object)}, "holds Python objects"),
    ],
)
def test_rows_that_do_not_fit_have_a_message_each(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    write_model(tmp_path)
    with pytest.raises(InputError) as caught:
        export(tmp_path, **arrays)
    assert said in caught.value.what
    assert caught.value.where.endswith("rows.npz")


@pytest.mark.parametrize(("shape", "said"), [((1 << 40, 3), "not as long as its shape"), ((0, 3), "they have x 0")])
def test_a_header_that_lies_allocates_nothing(tmp_path: Path, shape: tuple[int, int], said: str) -> None:
    write_model(tmp_path)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(InputError, match=said):
        export_model(source(tmp_path, payload="rows.npz"), models_folder=tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path) -> None:
    write_model(tmp_path)
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("x.npy", b"small")
    data = (tmp_path / "rows.npz").read_bytes()
    assert data.count((5).to_bytes(4, "little") * 2) == 2
    (tmp_path / "rows.npz").write_bytes(data.replace((5).to_bytes(4, "little") * 2, b"\xff\xff\xff\xf0" * 2))
    with pytest.raises(InputError, match="unpacks to more than 2 GB"):
        export_model(source(tmp_path, payload="rows.npz"), models_folder=tmp_path)


def test_rows_that_are_no_file_are_named(tmp_path: Path) -> None:
    write_model(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for name, said in {"absent": "no such file", "pipe": "not a regular file", "model.onnx": "can't be read"}.items():
        with pytest.raises(InputError, match=said):
            export_model(source(tmp_path, payload=name), models_folder=tmp_path)


def test_a_fixed_batch_axis_says_how_to_mend_it(tmp_path: Path) -> None:
    write_model(tmp_path, rows=4)
    with pytest.raises(InputError, match="the first axis of 'x' is fixed at 4 rows") as caught:
        export(tmp_path)
    assert "dynamic first axis" in caught.value.fix


def test_a_model_of_one_fixed_row_is_judged_row_by_row_and_says_so(tmp_path: Path) -> None:
    write_model(tmp_path, rows=1)
    rows = np.abs(ROWS) + 1  # no answer near 0, which eight bits would lose
    given = replace(
        source(tmp_path, payload="rows.npz"),
        variants=("fp32", "int8_static"),
        parity=dict.fromkeys(("fp32", "int8_static"), NO_LIMITS),
    )
    truth: dict[str, Any] = {"expected.y": rows @ WEIGHTS, "labels": (rows @ WEIGHTS)[:, 0]}
    np.savez(tmp_path / "rows.npz", x=rows, **truth)
    (tmp_path / "models").mkdir()
    run, payloads = export_model(given, models_folder=tmp_path / "models")
    assert [model.variant for model in run.models] == ["fp32", "int8_static"]
    assert [[(check.batch_size, check.n_rows) for check in model.parity] for model in run.models] == [
        [(1, 40)],
        [(1, 32)],  # the other eight calibrated
    ]
    assert run.models[0].inputs[0].shape == (1, 3)
    assert payloads.n_rows == 40
    (caveat,) = [caveat for caveat in run.caveats if caveat.code == "export.fixed_batch"]
    assert "batch 1 only" in caveat.what
