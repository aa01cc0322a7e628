"""Weights that the rows say nothing about are named, and no others."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.export.parity import Tolerance
from loadplan.export.sensitivity import unproved_weights
from loadplan.scenario.payloads import PayloadSet

WITHIN = Tolerance(absolute=1e-5, relative=1e-5)


def graph(nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], dtype: int = TensorProto.FLOAT) -> bytes:
    made = helper.make_graph(
        nodes,
        "given",
        [helper.make_tensor_value_info("x", dtype, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()  # type: ignore[no-any-return]


def rows(x: NDArray[Any]) -> PayloadSet:
    return PayloadSet(inputs={"x": x}, expected={}, segments=("",) * len(x), labels=None)


def test_a_weight_that_the_rows_never_use_is_named_and_those_they_use_are_not() -> None:
    # y = relu(x · used) + relu(x · dead - 9): for rows below 1 the second branch is never taken.
    nodes = [
        helper.make_node("MatMul", ["x", "used"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["x", "dead"], ["c"]),
        helper.make_node("Sub", ["c", "nine"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Add", ["b", "e"], ["f"]),
        helper.make_node("Add", ["f", "zero"], ["y"]),
    ]
    weights: dict[str, NDArray[Any]] = {
        "used": np.eye(2, dtype=np.float32),
        "dead": np.eye(2, dtype=np.float32),
        "nine": np.array(9.0, dtype=np.float32),  # no axis: a constant of the formula
        "zero": np.zeros(2, dtype=np.float32),  # scaled, it stays what it is
    }
    x = np.random.default_rng(0).uniform(0.1, 0.9, size=(100, 2)).astype(np.float32)
    found = unproved_weights(graph(nodes, weights), rows(x), WITHIN)
    assert (found.n_rows, found.n_weights, found.n_examined, found.unproved) == (100, 2, 2, ("dead",))
    x[99] = 9.5  # one row, beyond the first 32, takes the branch
    assert unproved_weights(graph(nodes, weights), rows(x), WITHIN).unproved == ()


def test_a_table_that_is_looked_up_counts_for_little_where_the_limit_hides_it() -> None:
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"])]
    model = graph(nodes, {"table": np.full(5, 1e-4, dtype=np.float32)}, TensorProto.INT64)
    assert unproved_weights(model, rows(np.array([[0, 4]])), Tolerance(absolute=1e-5)).unproved == ("table",)
    assert unproved_weights(model, rows(np.array([[0, 4]])), Tolerance(absolute=1e-7)).unproved == ()


def test_what_linear_models_and_trees_hold_in_attributes_is_looked_at_too() -> None:
    nodes = [
        helper.make_node(
            "LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", targets=2, coefficients=[1.0, 0.0, 0.0, 1.0]
        ),
    ]
    found = unproved_weights(graph(nodes, {}), rows(np.ones((4, 2), dtype=np.float32)), WITHIN)
    assert (found.n_weights, found.unproved) == (1, ())
    nothing = unproved_weights(graph(nodes, {}), rows(np.zeros((4, 2), dtype=np.float32)), WITHIN)
    assert nothing.unproved == ("LinearRegressor.coefficients",)


def test_when_the_time_is_up_it_says_how_many_were_looked_at() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    found = unproved_weights(
        graph(nodes, {"w": np.eye(2, dtype=np.float32)}), rows(np.zeros((4, 2), dtype=np.float32)), WITHIN, budget_s=0.0
    )
    assert (found.n_weights, found.n_examined, found.unproved) == (1, 0, ())
