"""ONNX Runtime's own optimisation of a graph, saved: the same answers, and no optimising when it is opened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.export.guard import inspect_model
from loadplan.export.runner import export_model
from loadplan.export.variants import make_variant
from loadplan.inference import open_session, run
from loadplan.scenario.reader import read_scenario

ROOT = Path(__file__).parents[3]
OPTIMISED = "fp32_optimised"


def images() -> bytes:
    """A convolution of 16 channels with its rectifier: what the layout level would rewrite for the processor."""
    kernels = np.random.default_rng(0).normal(size=(16, 16, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["y"])],
        "images",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16, 8, 8])],
        [numpy_helper.from_array(kernels, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return model.SerializeToString()  # type: ignore[no-any-return]


def test_the_saved_graph_is_fused_but_laid_out_for_no_processor(tmp_path: Path) -> None:
    (tmp_path / "fp32.onnx").write_bytes(images())
    (tmp_path / "optimised.onnx").write_bytes(make_variant(OPTIMISED, images(), calibration=[]))
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    assert [(node.domain, node.op_type) for node in nodes] == [("com.microsoft", "FusedConv")]
    rows = {"x": np.random.default_rng(1).normal(size=(3, 16, 8, 8)).astype(np.float32)}
    fp32, optimised = (
        run(open_session(tmp_path / f"{name}.onnx", ExecutionConfig(variant=variant)), rows)["y"]
        for name, variant in (("fp32", "fp32"), ("optimised", OPTIMISED))
    )
    assert np.allclose(fp32, optimised, atol=1e-4)
    assert inspect_model(tmp_path / "optimised.onnx").n_parameters == 16 * 16 * 9  # no foreign operator for the guard


def test_what_was_optimised_offline_is_not_optimised_again(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(images())
    again = tmp_path / "again.onnx"

    def n_fused(variant: str) -> int:
        session = open_session(tmp_path / "model.onnx", ExecutionConfig(variant=variant))
        options = session.handle.get_session_options()
        options.optimized_model_filepath = str(again)
        type(session.handle)(str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"])
        return sum(node.op_type != "Relu" for node in onnx.load(again).graph.node if node.domain)

    assert n_fused(OPTIMISED) == 0
    assert n_fused("fp32") > 0


def test_it_is_held_to_the_digits_of_fp32_and_its_answers_are_the_sources(tmp_path: Path) -> None:
    source = read_scenario(ROOT / "scenarios" / "digits.yaml").model
    assert source is not None
    limits = source.parity["fp32"]
    source = replace(source, variants=("fp32", OPTIMISED), parity={"fp32": limits, OPTIMISED: limits})
    exported, _ = export_model(source, models_folder=tmp_path)
    fp32, optimised = exported.models
    assert not optimised.is_lossy
    assert max(check.max_abs_error for check in optimised.parity) < 1e-6
    assert (optimised.inputs, optimised.outputs) == (fp32.inputs, fp32.outputs)
    assert optimised.sha256 != fp32.sha256


def test_a_graph_with_nothing_to_fuse_is_no_variant_of_its_own() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(InputError, match="ONNX Runtime finds nothing to optimise"):
        make_variant(OPTIMISED, model.SerializeToString(), calibration=[])


def test_every_variant_tells_how_long_it_took_to_open_and_what_it_costs(tmp_path: Path) -> None:
    source = read_scenario(ROOT / "scenarios" / "tabular.yaml").model
    assert source is not None
    exported, _ = export_model(source, models_folder=tmp_path)
    (model,) = exported.models
    assert model.opening is not None
    assert model.opening.n_samples >= 3
    assert 0.0 < model.opening.low_s <= model.opening.median_s <= model.opening.high_s
    assert [cost.batch_size for cost in model.costs] == [1, 2, 4, 8, 16, 32]
    assert model.costs_unknown is None
