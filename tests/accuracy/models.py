"""The models whose latency is predicted, each with a scenario file of its own, so that the road itself measures them.

All but the real one are compute-bound with weights that fit a core's L2 cache: weights that stream from the shared
cache or from memory change their speed twofold with what the neighbours do, and no law can tell.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.store.files import write_bytes, write_text
from tests.accuracy.design import Subject

_REAL = Path(__file__).parents[2] / "scenarios" / "digits_model.py"
_N_INPUTS, _WIDTH, _N_CLASSES = 64, 256, 10
_N_COLUMNS, _N_CANDIDATES = 8, 2048  # of the model whose requests carry many rows
_CHAIN_LENGTHS = {"chain": 12, "large": 180}  # about 0.1 ms and 1.1 ms for a row

_SCENARIO = """\
schema: 1
name: {name}
model: {model}
traffic:
  peak_rps: 100
  rows_per_request: {rows}
  arrivals: {{process: poisson}}
objectives:
  - {{p99_ms: 50, max_failed_ratio: 0.001}}
serving: {{threads: [1], max_batch_size: {sizes}, batch_window_ms: [0]}}
bench: {{budget_s: {bench_s}}}
load: {{duration_s: {run_s}, seed: 7}}
"""


def write_subject(folder: Path, subject: Subject, *, bench_s: float, run_s: float) -> Path:
    """The scenario file of a subject, with its model beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    model, rows = f"{{source: onnx, file: {subject.name}.onnx}}", "1"
    match subject.name:
        case "digits":
            shutil.copyfile(_REAL, folder / _REAL.name)
            model = "{source: sklearn, factory: digits_model:build}"
        case "rows":
            model = f"{{source: onnx, file: {subject.name}.onnx, payload: {subject.name}.npz}}"
            rows = "{mean: 120, p95: 300, max: 400}"
            random = np.random.default_rng(1)
            np.savez(folder / f"{subject.name}.npz", x=random.standard_normal((_N_CANDIDATES, _N_COLUMNS), np.float32))
            _save(folder, subject.name, ranker())
        case "small" | "pair":
            _save(folder, subject.name, small())
        case name:
            _save(folder, name, chain(_CHAIN_LENGTHS[name]))
    path = folder / f"{subject.name}.yaml"
    sizes = list(subject.max_batch_sizes)
    text = _SCENARIO.format(name=subject.name, model=model, rows=rows, sizes=sizes, bench_s=bench_s, run_s=run_s)
    write_text(path, text)
    return path


def small() -> onnx.ModelProto:
    """A classifier of some 10 µs: 64 numbers, 128 hidden units, 10 classes."""
    return _perceptron(_N_INPUTS, 128, _N_CLASSES)


def ranker() -> onnx.ModelProto:
    """A score for each of many rows of 8 numbers."""
    return _perceptron(_N_COLUMNS, 64, 1)


def chain(length: int) -> onnx.ModelProto:
    """So many products with one 256 × 256 matrix of 256 KiB, which a core's L2 cache holds.

    A loop of one product, because the runtime makes a packed copy of a constant for each place that uses it: of 180
    places 45 MB, which would stream from memory. The matrix is orthogonal: numbers neither grow nor vanish along the
    chain, and rounding errors stay small.
    """
    random = np.random.default_rng(0)
    turn, _ = np.linalg.qr(random.standard_normal((_WIDTH, _WIDTH)))
    weights = {
        "first": random.standard_normal((_N_INPUTS, _WIDTH)) / _WIDTH,
        "turn": turn,
        "last": random.standard_normal((_WIDTH, _N_CLASSES)) / _WIDTH,
    }
    nodes = [
        helper.make_node("Constant", [], ["length"], value_int=length),
        helper.make_node("MatMul", ["x", "first"], ["begin"]),
        helper.make_node("Loop", ["length", "", "begin"], ["end"], body=_product()),
        helper.make_node("MatMul", ["end", "last"], ["y"]),
    ]
    return _model(nodes, weights, n_inputs=_N_INPUTS, n_outputs=_N_CLASSES)


def _product() -> onnx.GraphProto:
    """One turn of the chain's loop."""
    return helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_next"]),
            helper.make_node("Gemm", ["t", "turn"], ["t_next"]),
        ],
        "product",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, ["n", _WIDTH]),
        ],
        [
            helper.make_tensor_value_info("goes_on_next", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t_next", TensorProto.FLOAT, ["n", _WIDTH]),
        ],
    )


def _perceptron(n_inputs: int, n_hidden: int, n_outputs: int) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    weights = {
        "w1": random.standard_normal((n_inputs, n_hidden)) / n_inputs,
        "w2": random.standard_normal((n_hidden, n_outputs)) / n_hidden,
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w2"], ["y"]),
    ]
    return _model(nodes, weights, n_inputs=n_inputs, n_outputs=n_outputs)


def _model(
    nodes: list[onnx.NodeProto], weights: dict[str, NDArray[np.float64]], *, n_inputs: int, n_outputs: int
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "subject",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", n_inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", n_outputs])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _save(folder: Path, name: str, model: onnx.ModelProto) -> None:
    write_bytes(folder / f"{name}.onnx", model.SerializeToString())
