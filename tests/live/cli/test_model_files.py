"""`loadplan bench MODEL.onnx` and `loadplan serve MODEL.onnx`: a file that a user hands over is looked at first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[3]


def write_model(path: Path, *, rows: str | int = "rows", location: str | None = None) -> Path:
    """y = x · w, on request with the weights elsewhere."""
    weights = numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "w")
    if location is not None:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "given",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def loadplan(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "loadplan", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("command", [["bench"], ["serve", "--port", "0"]], ids=["bench", "serve"])
def test_a_hostile_model_is_refused_before_anything_opens_it(tmp_path: Path, command: list[str]) -> None:
    os.mkfifo(tmp_path / "canary")
    model = write_model(tmp_path / "models" / "model.onnx", location="../canary")
    done = loadplan(command[0], model, *command[1:])
    assert done.returncode == 2, done.stderr
    assert "leads out of the model's folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_model_of_one_row_is_timed_at_batch_1_with_a_caveat(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.onnx", rows=1)
    done = loadplan("bench", model, "--batch-sizes", "1,2,4", "--budget", "1s", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [cell["batch_size"] for cell in document["cells"]] == [1]
    assert "bench.fixed_batch" in [caveat["code"] for caveat in document["caveats"]]
    assert [batch["batch_size"] for column in document["resources"] for batch in column["batches"]] == [1]
    assert document["resources"][0]["load_s"]["median"] > 0.0


def test_a_model_of_several_fixed_rows_says_how_to_mend_it(tmp_path: Path) -> None:
    done = loadplan("bench", write_model(tmp_path / "model.onnx", rows=8))
    assert done.returncode == 2
    assert "fixed at 8 rows" in done.stderr
    assert "dynamic first axis" in done.stderr


@pytest.mark.slow
def test_two_kept_benchmarks_of_a_model_file_are_compared_cell_by_cell(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.onnx")
    for name in ("before", "after"):
        kept = loadplan(
            "bench", model, "--batch-sizes", "1,2", "--budget", "1s", "--out", tmp_path / f"{name}.parquet", "--json"
        )
        assert kept.returncode == 0, kept.stderr
    done = loadplan("compare", tmp_path / "before.parquet", tmp_path / "after.parquet", "--fail-on", "none", "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == "loadplan.compare/1"
    loops = [(cell["variant"], cell["batch_size"]) for cell in document["cells"] if not cell["idle_gap_s"]]
    assert loops == [("given", 1), ("given", 2)]
    assert document["only_in_base"] == document["only_in_head"] == []
    # 3: the machine was too noisy to say anything in this second.
    assert done.returncode in {0, 3}, done.stderr


def test_a_folder_as_the_file_to_keep_a_benchmark_in_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    done = loadplan("bench", write_model(tmp_path / "model.onnx"), "--budget", "300s", "--out", tmp_path)
    assert done.returncode == 2
    assert "this is a folder" in done.stderr
