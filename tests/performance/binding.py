"""What the benchmark adds to a call whose inputs and outputs are bound: `python -m tests.performance.binding [CUDA]`.

Prints, asserts nothing. A bare loop over ONNX Runtime's IOBinding, as its documentation writes it, and the benchmark's
own timing of a bound session of the same model take turns in one process, loop by loop; the median of their ratios
should be within 2 % of 1 on a GPU, whose shortest calls take some 50 microseconds. The copies are told beside it, and
what a call costs that is not bound. On the CPU nothing is copied and nothing is ever bound but here: there the ratio
shows what feeding any model by its names costs, some 0.6 microseconds.
"""

import sys
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.bench.timing import LOOP_S, time_copies, time_loops, warm_up
from loadplan.execution import ExecutionConfig
from loadplan.inference import Session, Tensors, bind, open_session
from loadplan.stats import percentile, quantile_interval

_N_TURNS = 400
_N_INPUTS, _N_FEEDS = 64, 8


def main(provider: str) -> None:
    """The ratio of a cell's loops to bare ones, and on a GPU the parts of a call."""
    rows = np.random.default_rng(1).random((_N_FEEDS, _N_INPUTS), dtype=np.float32)
    feeds: list[Tensors] = [{"x": rows[i : i + 1]} for i in range(_N_FEEDS)]
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(_model(), Path(folder) / "small.onnx")
        session = open_session(Path(folder) / "small.onnx", ExecutionConfig(variant="small", provider=provider))
    bound = session if session.binding is not None else bind(session, device="cpu")
    device = "cpu" if session.binding is None else "cuda"
    n_calls = int(np.ceil(LOOP_S / warm_up(bound, feeds, block_s=0.01)))
    turns = [_turn(bound, feeds, n_calls, device) for _ in range(_N_TURNS)]
    own_s, bare_s = (np.array(times_s) for times_s in zip(*turns, strict=True))
    interval = quantile_interval(own_s / bare_s, 0.5)
    assert interval is not None  # there are enough turns for one
    sys.stdout.write(
        f"binding on {provider}: a cell's call takes {1e6 * percentile(own_s, 0.5):.2f} µs, a bare one "
        f"{1e6 * percentile(bare_s, 0.5):.2f} µs; the median ratio is {percentile(own_s / bare_s, 0.5):.3f} "
        f"({interval.low:.3f} to {interval.high:.3f}, 95 % interval over {_N_TURNS} turns)\n"
    )
    plain = replace(session, binding=None)
    plain_s = percentile(time_loops(plain, feeds, n_loops=50, calls_per_loop=n_calls), 0.5) / n_calls
    copies = time_copies(bound, feeds * 8) or (0.0, 0.0)
    sys.stdout.write(
        f"of it {1e6 * copies[0]:.2f} µs to bind and copy in and {1e6 * copies[1]:.2f} µs to copy out; a call that is "
        f"not bound takes {1e6 * plain_s:.2f} µs\n"
    )


def _turn(session: Session, feeds: list[Tensors], n_calls: int, device: str) -> tuple[float, float]:
    """Seconds of one call of the benchmark's loop and of a bare one, right after each other."""
    own_s = float(time_loops(session, feeds, n_loops=1, calls_per_loop=n_calls)[0]) / n_calls
    return own_s, _bare_loop_s(session.handle, [feed["x"] for feed in feeds], n_calls, device) / n_calls


def _bare_loop_s(handle: Any, inputs: list[NDArray[Any]], n_calls: int, device: str) -> float:
    binding = handle.io_binding()
    turns = list(islice(cycle(inputs), n_calls))
    begin_s = time.perf_counter()
    for x in turns:
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", device, 0)
        handle.run_with_iobinding(binding)
        binding.copy_outputs_to_cpu()
    return time.perf_counter() - begin_s


def _model() -> onnx.ModelProto:
    """A classifier of 64 inputs, 64 hidden units and 10 classes: some 10 µs on a core."""
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
    main(sys.argv[1] if len(sys.argv) > 1 else "CPU")
