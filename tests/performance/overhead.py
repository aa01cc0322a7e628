"""What the benchmark adds to what it measures: `python tests/performance/overhead.py`. Prints, asserts nothing.

The model takes some 10 microseconds. A bare loop over `session.run` of the same inputs stands before and after each
benchmark of one cell; the ratio of the cell's median to theirs should be within 2 % of 1. Only ratios of one turn mean
anything: the machine's speed shifts between turns. Where it shifts within one as well, the ratio of the fastest loops
still compares like with like.
"""

import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from loadplan.bench.records import BenchCell
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.execution import ExecutionConfig
from loadplan.inference import open_session
from loadplan.machine import read_machine
from loadplan.scenario.payloads import PayloadSet
from loadplan.stats import percentile

_N_TURNS = 7
_BUDGET_S = 2.0
_N_INPUTS, _N_ROWS = 64, 256
_EXECUTION = ExecutionConfig(variant="small")
# Long enough that the clock costs nothing, short enough that most loops lie between two thefts of a neighbour.
_LOOP_S, _N_LOOPS = 0.001, 500


def main() -> None:
    """One line per turn, then the median of the ratios."""
    rows = np.random.default_rng(1).random((_N_ROWS, _N_INPUTS), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "small.onnx"
        onnx.save(_model(), model)
        ratios = np.array([_turn(model, rows) for _ in range(_N_TURNS)])
    medians, fastest = (percentile(column, 0.5) for column in ratios.T)
    sys.stdout.write(
        f"overhead: the median of a cell is {medians:.3f} of a bare loop's, its fastest loop {fastest:.3f} of the "
        "fastest bare one\n"
    )


def _turn(model: Path, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> tuple[float, float]:
    """The ratio of the medians, and that of the fastest loops."""
    request = BenchRequest(
        models={_EXECUTION.variant: model},
        payloads=PayloadSet(
            inputs={"x": rows}, expected={"y": np.zeros((_N_ROWS, 10))}, segments=("",) * _N_ROWS, labels=None
        ),
        cells=(BenchCell(execution=_EXECUTION, batch_size=1),),
        budget_s=_BUDGET_S,
        machine=read_machine(),
    )
    before_s = _bare_loops_s(model, rows)
    (cell,) = run_bench(request).cells
    after_s = _bare_loops_s(model, rows)
    medians_s = [percentile(loops_s, 0.5) for loops_s in (before_s, after_s)]
    ratio = cell.median_s / (sum(medians_s) / 2.0)
    ratio_of_fastest = cell.min_s / min(before_s.min(), after_s.min())
    sys.stdout.write(
        f"bare {medians_s[0] * 1e6:.2f} and {medians_s[1] * 1e6:.2f} µs, cell {cell.median_s * 1e6:.2f} µs: "
        f"{ratio:.3f}, fastest {ratio_of_fastest:.3f}{'  noisy' if cell.is_noisy else ''}\n"
    )
    return ratio, ratio_of_fastest


def _bare_loops_s(
    model: Path, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds of one call in each of several loops without a clock in them."""
    session = open_session(model, _EXECUTION).handle
    feeds = [{"x": rows[i : i + 1]} for i in range(0, _N_ROWS, _N_ROWS // 8)]
    infer, names = session.run, ["y"]
    n_calls = 8
    while _timed(infer, names, feeds, n_calls) < _LOOP_S:
        n_calls *= 2
    return np.array([_timed(infer, names, feeds, n_calls) / n_calls for _ in range(_N_LOOPS)])


def _timed(infer, names, feeds, n_calls: int) -> float:  # type: ignore[no-untyped-def] # the runtime has no types
    turns = list(islice(cycle(feeds), n_calls))
    begin_s = time.perf_counter()
    for feed in turns:
        infer(names, feed)
    return time.perf_counter() - begin_s


def _model() -> onnx.ModelProto:
    """A classifier of 64 inputs, 64 hidden units and 10 classes."""
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(size=(_N_INPUTS, 64)).astype(np.float32),
        "w2": random.normal(size=(64, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", _N_INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
