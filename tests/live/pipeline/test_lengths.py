"""The whole road with an encoder whose rows differ in length, with a mask and without."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadplan.scenario.payload_file import load_payloads

from .conftest import make_place

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

N_ROWS, LONGEST = 200, 24
LENGTHS = 1 + np.arange(N_ROWS) % LONGEST
MASK = (np.arange(LONGEST) < LENGTHS[:, None]).astype(np.int64)
IDS = np.random.default_rng(0).integers(1, 50, (N_ROWS, LONGEST)) * MASK
VECTORS = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)


def walk(folder: Path, *, masked: bool, load_s: int) -> tuple[dict[str, Any], Path]:
    place = make_place(
        folder,
        changes=[
            ("source: sklearn\n  factory: tiny_model:build", "source: onnx\n  file: given.onnx\n  payload: rows.npz"),
            ("duration_s: 1", f"duration_s: {load_s}"),
            ("bench: {", "bench: {sequence_lengths: [4, 24], "),
        ],
    )
    inputs = {"ids": IDS, "mask": MASK} if masked else {"ids": IDS}
    answers = np.stack([VECTORS[ids[:length]].mean(axis=0) for ids, length in zip(IDS, LENGTHS, strict=True)])
    np.savez(folder / "rows.npz", allow_pickle=False, lengths=LENGTHS, **inputs, **{"expected.y": answers})
    nodes = [helper.make_node("Gather", ["vectors", "ids"], ["found"])]
    if masked:
        nodes += [
            helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["weights", "two"], ["each"]),
            helper.make_node("Mul", ["found", "each"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
            helper.make_node("ReduceSum", ["weights", "one"], ["n"], keepdims=1),
            helper.make_node("Div", ["sum", "n"], ["y"]),
        ]
    else:
        nodes.append(helper.make_node("ReduceMean", ["found", "one"], ["y"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])],
        [
            numpy_helper.from_array(VECTORS, "vectors"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "two"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "given.onnx")
    said = place.walk()
    assert said.code == 0, said.err
    run = Path(said.document["run"])
    exported: dict[str, Any] = json.loads((run / "export.json").read_text())["record"]
    return exported, run


def test_an_encoder_with_a_mask_walks_the_road_padded(tmp_path: Path) -> None:
    exported, run = walk(tmp_path, masked=True, load_s=1)
    assert [model["pads"] for model in exported["models"]] == [True]
    payloads = load_payloads(run / "payloads" / "samples.npz")
    assert payloads.sequences == ("ids", "mask")
    assert np.array_equal(payloads.lengths, LENGTHS) if payloads.lengths is not None else False
    page = (run / "report.html").read_text()
    assert "What the length of the rows costs" in page
    assert "rows of 1 to 24 positions: each alone at its own length, and padded in batches of mixed lengths" in page
    verdict = json.loads((run / "verify.json").read_text())["record"]
    assert verdict["passed"]


def test_an_encoder_without_a_mask_walks_it_with_a_doubt(tmp_path: Path) -> None:
    exported, run = walk(tmp_path, masked=False, load_s=1)
    assert [model["pads"] for model in exported["models"]] == [False]
    page = (run / "report.html").read_text()
    assert "with rows of its own length, as it is served" in page
    assert "the plan reckons with larger batches than the server will form" in page
