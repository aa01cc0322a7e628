"""Operations and bytes of small graphs, counted by hand."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.export.artifact import ModelCost
from loadplan.export.cost import model_costs
from loadplan.scenario.payloads import PayloadSet

FLOAT = 4  # bytes


def floats(*shape: int) -> NDArray[np.float32]:
    return np.full(shape, 0.5, dtype=np.float32)


def graph(
    nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], shape: list[Any], *, dtype: int = TensorProto.FLOAT
) -> bytes:
    """A graph from `x` of this shape to `y`."""
    made = helper.make_graph(
        nodes,
        "cost",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    opsets = [
        helper.make_opsetid("", 20),
        helper.make_opsetid("com.microsoft", 1),
        helper.make_opsetid("ai.onnx.ml", 3),
    ]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()  # type: ignore[no-any-return]


def cost(model: bytes, x: NDArray[Any], *, batch_size: int = 1, lengths: NDArray[np.int64] | None = None) -> ModelCost:
    rows = PayloadSet(
        inputs={"x": x},
        expected={},
        segments=("",) * len(x),
        labels=None,
        lengths=lengths,
        sequences=() if lengths is None else ("x",),
    )
    costs = model_costs(model, rows, batch_sizes=(batch_size,))
    assert costs.unknown is None
    return costs.by_batch_size[0]


def test_a_product_of_matrices_is_two_m_n_k_and_reads_its_weights_once_for_all_rows() -> None:
    weights = {"w": floats(64, 10), "b": floats(10)}
    model = graph([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], weights, ["batch", 64])
    for batch_size in (1, 2, 32):
        found = cost(model, floats(5, 64), batch_size=batch_size)
        assert found.flops_per_row == 2 * 64 * 10 + 10  # and the ten additions of the bias
        assert found.weight_bytes == (640 + 10) * FLOAT
        assert found.activation_bytes_per_row == (64 + 10) * FLOAT
        assert found.flops_per_byte == pytest.approx(1290 * batch_size / (2600 + 296 * batch_size))
        assert found.unknown_operators == ()


def test_a_turned_product_counts_along_the_axis_that_it_sums_over() -> None:
    node = helper.make_node("Gemm", ["w", "x"], ["y"], transA=1, transB=1)
    model = graph([node], {"w": floats(64, 10)}, ["batch", 64])
    assert cost(model, floats(5, 64), batch_size=4).flops_per_row == 2 * 64 * 10


def test_a_convolution_counts_its_window_and_the_channels_of_its_group() -> None:
    # 8 channels in 2 groups of 4, 6 filters of 3 x 3, 5 x 7 pixels kept by the padding.
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=2, pads=[1, 1, 1, 1])
    model = graph([node], {"w": floats(6, 4, 3, 3), "b": floats(6)}, ["batch", 8, 5, 7])
    found = cost(model, floats(2, 8, 5, 7), batch_size=2)
    assert found.flops_per_row == (6 * 5 * 7) * (2 * 4 * 3 * 3 + 1)
    assert found.weight_bytes == (6 * 4 * 9 + 6) * FLOAT
    assert found.activation_bytes_per_row == (8 * 35 + 6 * 35) * FLOAT


def test_a_transposed_convolution_spreads_each_input_over_its_window() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    model = graph([node], {"w": floats(8, 3, 2, 2)}, ["batch", 8, 5, 7])
    assert cost(model, floats(1, 8, 5, 7)).flops_per_row == 2 * (8 * 5 * 7) * (3 * 2 * 2)


def test_of_an_embedding_table_only_the_rows_looked_up_are_read() -> None:
    # In the manner of DLRM: two ids of a row look up 16 floats each, and a layer multiplies the 32.
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    model = graph(nodes, {"table": floats(10_000, 16), "w": floats(32, 8)}, ["batch", 2], dtype=TensorProto.INT64)
    found = cost(model, np.array([[1, 2], [3, 4]]), batch_size=2)
    assert found.flops_per_row == 2 * 32 * 8
    assert found.weight_bytes == 32 * 8 * FLOAT
    ids, looked_up, written, taken, answer = 2 * 8, 32 * FLOAT, 32 * FLOAT, 32 * FLOAT, 8 * FLOAT
    assert found.activation_bytes_per_row == ids + looked_up + written + taken + answer


def test_elementwise_operators_softmax_and_reductions_count_their_formulas() -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Softmax", ["r"], ["s"]),
        helper.make_node("ReduceSum", ["s", "axis"], ["y"]),
    ]
    model = graph(nodes, {"b": floats(10), "axis": np.array([1])}, ["batch", 10])
    assert cost(model, floats(3, 10), batch_size=3).flops_per_row == 10 + 10 + 5 * 10 + 10


def test_a_recurrent_layer_multiplies_its_weights_at_each_step() -> None:
    # (steps, rows, 4) into 6 units, both directions: a graph turns rows and steps round.
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r"], ["y"], hidden_size=6, direction="bidirectional"),
    ]
    model = graph(nodes, {"w": floats(2, 24, 4), "r": floats(2, 24, 6)}, ["batch", "steps", 4])
    lengths = np.array([3, 9, 5])
    found = cost(model, floats(3, 9, 4), batch_size=2, lengths=lengths)
    assert found.n_positions == 5
    assert found.flops_per_row == 2 * 5 * 2 * 24 * (4 + 6)


def test_attention_of_the_runtime_counts_projections_scores_and_sums() -> None:
    # 5 positions of width 8 in 2 heads, 24 projections: queries, keys and values.
    node = helper.make_node("Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=2)
    model = graph([node], {"w": floats(8, 24), "b": floats(24)}, ["batch", "steps", 8])
    found = cost(model, floats(2, 5, 8), batch_size=2)
    projections, scores, softmax, sums = 5 * 24 * (2 * 8 + 1), 2 * 5 * 5 * 8, 5 * 2 * 5 * 5, 2 * 5 * 5 * 8
    assert found.flops_per_row == projections + scores + softmax + sums


def test_a_tree_is_walked_along_its_longest_path() -> None:
    # Node 0 splits into a leaf and node 2, which splits into two leaves: two comparisons at most.
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4],
        nodes_featureids=[0, 0, 1, 0, 0],
        nodes_values=[0.5, 0.0, 0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 3, 0, 0],
        nodes_falsenodeids=[2, 0, 4, 0, 0],
        target_treeids=[0] * 3,
        target_nodeids=[1, 3, 4],
        target_ids=[0] * 3,
        target_weights=[1.0, 2.0, 3.0],
    )
    found = cost(graph([node], {}, ["batch", 2]), floats(3, 2), batch_size=3)
    assert found.flops_per_row == 2
    assert (
        found.activation_bytes_per_row == 2 * FLOAT + 1 * FLOAT + 2 * 20
    )  # the row, its answer, two nodes of the tree
    assert found.weight_bytes == 0


def test_weights_that_are_turned_into_floats_when_the_model_is_opened_weigh_what_is_stored() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    weights: dict[str, NDArray[Any]] = {"q": np.ones((64, 10), dtype=np.int8), "scale": np.array(0.1, dtype=np.float32)}
    found = cost(graph(nodes, weights, ["batch", 64]), floats(2, 64))
    assert found.flops_per_row == 2 * 64 * 10
    assert found.weight_bytes == 640 + FLOAT


def test_weights_that_two_operators_share_are_read_once() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    assert cost(graph(nodes, {"w": floats(8, 8)}, ["batch", 8]), floats(2, 8)).weight_bytes == 64 * FLOAT


def test_an_operator_that_is_not_known_is_named_and_counted_as_nothing() -> None:
    nodes = [helper.make_node("Hardmax", ["x"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    found = cost(graph(nodes, {}, ["batch", 8]), floats(2, 8))
    assert found.unknown_operators == ("Hardmax",)
    assert found.flops_per_row == 8
    assert found.activation_bytes_per_row == 4 * 8 * FLOAT


def test_a_graph_that_cannot_be_probed_says_why() -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"]),
        helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0),
    ]
    rows = PayloadSet(inputs={"x": floats(2, 8)}, expected={}, segments=("", ""), labels=None)
    costs = model_costs(graph(nodes, {}, ["batch", 8]), rows)
    assert costs.by_batch_size == ()
    assert costs.unknown is not None
    assert "seq(tensor(float))" in costs.unknown
