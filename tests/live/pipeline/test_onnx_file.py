"""The whole road with a ready ONNX file that came without rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from .conftest import make_place

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


def test_a_ready_file_walks_the_whole_road_and_its_doubts_reach_the_report(tmp_path: Path) -> None:
    given = ("source: sklearn\n  factory: tiny_model:build", "source: onnx\n  file: given.onnx")
    place = make_place(tmp_path, changes=[given])
    weights = numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "given",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "given.onnx").write_bytes(model.SerializeToString())
    said = place.walk()
    assert said.code == 0, said.err
    run = Path(said.document["run"])
    exported = json.loads((run / "export.json").read_text())["record"]
    assert exported["source"] == "onnx given.onnx (file)"
    page = (run / "report.html").read_text()
    assert "no rows were given, so they were made up" in page.lower()
    assert "proves that batching changes nothing" in page
