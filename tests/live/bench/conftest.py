"""Tiny real models and sweeps over them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadplan.bench.grid import cold_cells
from loadplan.bench.records import BenchCell
from loadplan.bench.runner import BenchRequest
from loadplan.execution import ExecutionConfig
from loadplan.machine import read_machine
from loadplan.scenario.payloads import PayloadSet

N_FEATURES = 16
MakeRequest = Callable[..., BenchRequest]


def save(path: Path, nodes: list[onnx.NodeProto], *, n_rows: int | str = "rows") -> Path:
    """A graph from `x` to `y` with some constants by name, and `w`, a square matrix."""
    constants = {
        "minus": np.float32(-1.0),
        "many": np.int64(2**62),
        "sixty_four": np.array([64], dtype=np.int64),
        "very_many": np.array([2**50], dtype=np.int64),
        "yes": np.bool_(True),
        "w": np.eye(N_FEATURES, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [n_rows, N_FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [n_rows, N_FEATURES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    plain = [helper.make_node("Gemm", ["x", "w"], ["y"])]
    body = helper.make_graph(
        [helper.make_node("Identity", [old], [new]) for old, new in (("on", "on_next"), ("v", "v_next"))],
        "for_ever",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on_next", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_next", TensorProto.FLOAT, None),
        ],
    )
    # From 64 rows on it asks for 2^50 numbers, more than a process can address.
    hungry = [
        helper.make_node("Shape", ["x"], ["n"], start=0, end=1),
        helper.make_node("Div", ["n", "sixty_four"], ["full"]),
        helper.make_node("Mul", ["full", "very_many"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    broken = folder / "broken.onnx"
    broken.write_bytes(b"\x08\x09 no model")
    return {
        "good": save(folder / "good.onnx", plain),
        "other": save(folder / "other.onnx", plain),
        "batch_of_4": save(folder / "batch_of_4.onnx", plain, n_rows=4),
        "not_a_number": save(
            folder / "nan.onnx",
            [
                helper.make_node("Mul", ["x", "x"], ["square"]),
                helper.make_node("Sub", ["minus", "square"], ["below"]),
                helper.make_node("Sqrt", ["below"], ["y"]),
            ],
        ),
        "hungry": save(folder / "hungry.onnx", hungry),
        "endless": save(folder / "endless.onnx", [helper.make_node("Loop", ["many", "yes", "x"], ["y"], body=body)]),
        "broken": broken,
    }


def request_for(
    models: Mapping[str, Path],
    *variants: str,
    batch_sizes: tuple[int, ...] = (1,),
    budget_s: float = 0.0,
    provider: str = "CPU",
    n_sessions: tuple[int, ...] = (1,),
    with_pauses: bool = False,
    visit_limit_s: float = 60.0,
) -> BenchRequest:
    """With a budget of 0 every cell gets its two visits and no more, whatever the machine is doing."""
    rows = np.random.default_rng(0).random((40, N_FEATURES), dtype=np.float32)
    cells = tuple(
        BenchCell(execution=ExecutionConfig(variant=variant, provider=provider, n_sessions=n), batch_size=batch_size)
        for variant in variants
        for n in n_sessions
        for batch_size in batch_sizes
    )
    return BenchRequest(
        models={variant: models[variant] for variant in variants},
        payloads=PayloadSet(inputs={"x": rows}, expected={"y": rows}, segments=("",) * 40, labels=None),
        cells=(*cells, *(cold_cells(cells) if with_pauses else ())),
        budget_s=budget_s,
        machine=read_machine(),
        visit_limit_s=visit_limit_s,
    )


@pytest.fixture
def make_request(models: dict[str, Path]) -> MakeRequest:
    return partial(request_for, models)
