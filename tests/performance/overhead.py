"""What the benchmark adds to what it measures: `python -m tests.performance.overhead`. Prints, asserts nothing.

The model takes some 10 microseconds. A bare loop over `session.run` of the same inputs runs in a child process like the
benchmark's worker, right before and right after a visit of it. One process is not as fast as the next, by some 2 %, and
the machine's speed shifts; so each pair of fresh processes is one observation of the ratio of their medians, made
within a second, and the median over many pairs should be within 2 % of 1.
"""

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.bench.records import BenchCell
from loadplan.bench.worker_process import WorkerProcess
from loadplan.child_process import die_with_parent
from loadplan.execution import ExecutionConfig
from loadplan.inference import open_session
from loadplan.scenario.payloads import PayloadSet
from loadplan.stats import percentile, quantile_interval

_N_PAIRS, _N_TOLD = 60, 6
_N_INPUTS, _N_ROWS = 64, 256
_CELL = BenchCell(execution=ExecutionConfig(variant="small"), batch_size=1)
# Long enough that the clock costs nothing, short enough that most loops lie between two thefts of a neighbour.
_LOOP_S, _N_LOOPS, _N_LOOPS_TO_WARM_UP = 0.001, 10, 5

Times = NDArray[np.float64]
AskLoops = Callable[[], Times]


def main() -> None:
    """Some of the pairs of processes, then the median of the ratios."""
    rows = np.random.default_rng(1).random((_N_ROWS, _N_INPUTS), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(_model(), folder / "small.onnx")
        np.save(folder / "rows.npy", rows)
        ratios = np.array([_pair(folder, rows, i) for i in range(_N_PAIRS)])
    interval = quantile_interval(ratios, 0.5)
    assert interval is not None  # there are enough pairs for one
    sys.stdout.write(
        f"overhead: the median of a cell is {percentile(ratios, 0.5):.3f} of a bare loop's ({interval.low:.3f} to "
        f"{interval.high:.3f}, 95 % interval over {_N_PAIRS} pairs of processes)\n"
    )


def _pair(folder: Path, rows: NDArray[np.float32], i_pair: int) -> float:
    """The ratio of the medians of one worker and one bare process."""
    with _bare_process(folder) as ask_loops, _worker(folder, rows) as worker:
        before_s = ask_loops()
        visit = worker.visit(_CELL, i_pair)
        bare_s = percentile(np.concatenate([before_s, ask_loops()]), 0.5)
    if visit.times is None:
        raise RuntimeError(visit.failure or str(visit.lack))
    cell_s = percentile(visit.times.loop_times_s, 0.5)
    if i_pair % _N_TOLD == 0:
        sys.stdout.write(f"bare {bare_s * 1e6:.2f} µs, cell {cell_s * 1e6:.2f} µs: {cell_s / bare_s:.3f}\n")
    return cell_s / bare_s


def _worker(folder: Path, rows: NDArray[np.float32]) -> WorkerProcess:
    return WorkerProcess(
        {_CELL.execution.variant: folder / "small.onnx"},
        payloads=PayloadSet(
            inputs={"x": rows}, expected={"y": np.zeros((_N_ROWS, 10))}, segments=("",) * _N_ROWS, labels=None
        ),
        cells=(_CELL,),
        visit_limit_s=60.0,
        folder=folder,
    )


@contextmanager
def _bare_process(folder: Path) -> Iterator[AskLoops]:
    """A process that answers each line with the times of a few bare loops."""
    command = [sys.executable, __file__, str(folder / "small.onnx"), str(folder / "rows.npy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None  # both pipes were asked for
        assert answers is not None

        def ask_loops() -> Times:
            asked.write("\n")
            asked.flush()
            return np.array(json.loads(answers.readline()))

        try:
            yield ask_loops
        finally:
            process.kill()


def serve_bare_loops(model: Path, rows: Path) -> None:
    """Seconds of one call in each of several loops without a clock in them, for each line of standard input."""
    die_with_parent()
    session = open_session(model, _CELL.execution).handle
    inputs = np.load(rows)
    feeds = [{"x": inputs[i : i + 1]} for i in range(0, _N_ROWS, _N_ROWS // 8)]
    infer, names = session.run, ["y"]
    n_calls = 8
    while _timed(infer, names, feeds, n_calls) < _LOOP_S:
        n_calls *= 2
    gc.freeze()
    gc.disable()
    for _ in sys.stdin:
        for _ in range(_N_LOOPS_TO_WARM_UP):
            _timed(infer, names, feeds, n_calls)
        loops_s = [_timed(infer, names, feeds, n_calls) / n_calls for _ in range(_N_LOOPS)]
        sys.stdout.write(json.dumps(loops_s) + "\n")
        sys.stdout.flush()


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
    if len(sys.argv) > 1:
        serve_bare_loops(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
