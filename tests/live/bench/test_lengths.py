"""A real sweep over rows of different lengths."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.bench.grid import length_cells
from loadplan.bench.records import BenchCell
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.execution import ExecutionConfig
from loadplan.scenario.payloads import PayloadSet

MakeRequest = Callable[..., BenchRequest]

SHORT, LONG = 1, 250


@pytest.fixture
def looping(tmp_path: Path) -> Path:
    """A matrix product for each position; fails where no row of the batch reaches the last one."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "w"], ["state_out"]), helper.make_node("Identity", ["go"], ["go_out"])],
        "work",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [48, 48]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [48, 48]),
        ],
    )
    nodes = [
        helper.make_node("Gather", ["ids", "last"], ["end"], axis=1),
        helper.make_node("ReduceMax", ["end"], ["furthest"], keepdims=0),
        helper.make_node("Sub", ["one", "furthest"], ["place"]),
        helper.make_node("Gather", ["table", "place"], ["nothing"]),  # fails for any place but 0
        helper.make_node("Shape", ["ids"], ["axis"], start=1, end=2),
        helper.make_node("Squeeze", ["axis"], ["trips"]),
        helper.make_node("Loop", ["trips", "yes", "w"], ["worked"], body=body),
        helper.make_node("ReduceMax", ["worked"], ["trace"], keepdims=0),
        helper.make_node("Cast", ["ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats", "axis_one"], ["most"], keepdims=0),
        helper.make_node("Mul", ["trace", "nothing"], ["zero"]),
        helper.make_node("Add", ["most", "zero"], ["y"]),
    ]
    constants = {
        "w": np.eye(48, dtype=np.float32),
        "last": np.int64(-1),
        "one": np.int64(1),
        "axis_one": np.array([1], dtype=np.int64),
        "table": np.zeros(1, dtype=np.float32),
        "yes": np.bool_(True),
    }
    graph = helper.make_graph(
        nodes,
        "looping",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = tmp_path / "looping.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def rows_of(lengths: NDArray[np.int64]) -> PayloadSet:
    ids = (np.arange(LONG) < lengths[:, None]).astype(np.int64)
    return PayloadSet(
        inputs={"ids": ids},
        expected={},
        segments=("",) * len(lengths),
        labels=None,
        lengths=lengths,
        sequences=("ids",),
    )


def test_rows_of_one_length_are_cells_beside_those_of_the_mix(make_request: MakeRequest, looping: Path) -> None:
    mix = tuple(BenchCell(execution=ExecutionConfig(variant="looping"), batch_size=n) for n in (1, 2, 3))
    lengths = length_cells(mix, (SHORT, LONG))
    assert [(cell.length, cell.batch_size) for cell in lengths] == [(SHORT, 1), (SHORT, 3), (LONG, 1), (LONG, 3)]
    # Two rows alone are long, yet three of that length share a batch.
    payloads = rows_of(np.repeat([SHORT, LONG], [18, 2]))
    swept = run_bench(
        replace(make_request(), models={"looping": looping}, payloads=payloads, cells=(*mix, *lengths)),
    )
    assert not [caveat for caveat in swept.caveats if caveat.code == "bench.cell_failed"]
    assert [cell.cell for cell in swept.cells] == list(mix)
    assert [cell.cell for cell in swept.by_length] == list(lengths)
    short_s, long_s = (
        np.concatenate([visit.service_times_s for visit in swept.rounds if visit.cell.length == length])
        for length in (SHORT, LONG)
    )
    # Each has one length only: 250 products against one.
    assert np.median(long_s) > 10.0 * np.median(short_s)
    assert np.quantile(long_s, 0.1) > 0.3 * np.median(long_s)


def test_long_batches_are_timed_as_often_as_traffic_has_them_and_not_taken_for_robbed(
    make_request: MakeRequest, looping: Path
) -> None:
    lengths = np.repeat([SHORT, LONG], [15, 5])
    payloads = rows_of(lengths)
    cells = tuple(BenchCell(execution=ExecutionConfig(variant="looping"), batch_size=n) for n in (1, 2))
    swept = run_bench(
        replace(make_request(), models={"looping": looping}, payloads=payloads, cells=cells),
    )
    assert not [caveat for caveat in swept.caveats if caveat.code == "bench.cell_failed"]
    shares = {}
    for cell in cells:
        times_s = np.concatenate([visit.service_times_s for visit in swept.rounds if visit.cell == cell])
        # 250 products against one: even a machine that is five times slower for a moment can't mix them up.
        shares[cell.batch_size] = float(np.mean(times_s > 10.0 * times_s.min()))
    assert shares[1] == pytest.approx(0.25, abs=0.03)
    assert shares[2] == pytest.approx(1.0 - 15 / 20 * 14 / 19, abs=0.06)  # neither of two is short in the others
