"""Hostile model files: builders for the tests, and a sweep that flips and cuts the bytes of a model.

Started as a process by the tests: `model_flips.py FOLDER N_FLIPS SEED` prints one JSON line per damaged file. Each is
looked at in a fork, so that a sweep of hundreds needs the imports once; the fork does what the guard's child does.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from loadplan.export import guard_process
from loadplan.export.guard import GuardJob, GuardLimits
from loadplan.inference import load_runtime

_WEIGHTS = np.arange(6, dtype=np.float32).reshape(3, 2)
_LIMIT_S = 10.0
ACCEPTED, REFUSED = 0, 2


def value(name: str, shape: list[str | int], dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def initializer(array: Any, name: str) -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def model_of(nodes: list[Any], *, weights: list[Any], rows: str | int = "rows", functions: tuple[Any, ...] = ()) -> Any:
    """A model with the input x (rows, 3) and the output y (rows, 2)."""
    graph = helper.make_graph(nodes, "hostile", [value("x", [rows, 3])], [value("y", [rows, 2])], weights)
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("own", 1)] if functions else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))


def plain() -> Any:
    """y = x · w."""
    return model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], weights=[initializer(_WEIGHTS, "w")])


def rich() -> Any:
    """A model of many kinds of message: an If with two subgraphs, a function of its own, attributes, a reshape."""
    w, z = value("t", [3, 2]), initializer(np.zeros((3, 2), dtype=np.float32), "other")
    then = helper.make_graph([helper.make_node("Identity", ["w"], ["t"])], "then", [], [w])
    other = helper.make_graph([helper.make_node("Identity", ["other"], ["t"])], "else", [], [w], [z])
    double = helper.make_function(
        "own",
        "Double",
        ["a"],
        ["b"],
        [
            helper.make_node("Constant", [], ["two"], value=initializer(np.float32(2), "two")),
            helper.make_node("Mul", ["a", "two"], ["b"]),
        ],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("If", ["yes"], ["chosen"], then_branch=then, else_branch=other),
        helper.make_node("Gemm", ["x", "chosen"], ["g"], alpha=0.5, transB=0),
        helper.make_node("Double", ["g"], ["d"], domain="own"),
        helper.make_node("Reshape", ["d", "shape"], ["r"]),
        helper.make_node("Softmax", ["r"], ["y"], axis=1),
    ]
    weights = [initializer(_WEIGHTS, "w"), initializer(True, "yes"), initializer(np.array([-1, 2]), "shape")]
    return model_of(nodes, weights=weights, functions=(double,))


def send_outside(tensor: Any, **entries: str) -> None:
    """Have a tensor's bytes lie elsewhere."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text


def save(model: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def save_with_data(folder: Path, *, location: str = "w.bin", **entries: str) -> Path:
    """`plain` with its weights in a file that begins with eight bytes of something else."""
    model = plain()
    send_outside(model.graph.initializer[0], location=location, **({"offset": "8", "length": "24"} | entries))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "w.bin").write_bytes(b"\xff" * 8 + _WEIGHTS.tobytes())
    return save(model, folder / "model.onnx")


def sweep(folder: Path, n_flips: int, seed: int) -> None:
    load_runtime()
    rng = random.Random(seed)
    sources = [plain().SerializeToString(), rich().SerializeToString()]
    for source in sources:
        _report("none", source, folder)
    for source in sources:
        for n_bytes in range(0, len(source), 3):
            _report("cut", source[:n_bytes], folder)
    for i in range(n_flips):
        data = bytearray(sources[i % 2 or rng.randrange(2)])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        _report("flip", bytes(data), folder)


def _report(damage: str, data: bytes, folder: Path) -> None:
    path = folder / "damaged.onnx"
    path.write_bytes(data)
    code = _look(path)
    kept = None
    if code not in {ACCEPTED, REFUSED}:
        kept = str(path.with_name(f"killed-{len(list(folder.iterdir()))}.onnx"))
        Path(kept).write_bytes(data)
    sys.stdout.write(json.dumps({"damage": damage, "code": code, "file": kept}) + "\n")
    sys.stdout.flush()  # or each fork would write it again


def _look(path: Path) -> int:
    """0 accepted, 2 refused, negative the signal that ended it; SIGALRM stands for a hang."""
    pid = os.fork()
    if pid == 0:
        job = GuardJob(path=str(path), copy_to=None, memory_bytes=GuardLimits().memory_bytes)
        with Path(os.devnull).open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            answer = guard_process.answer(job, said)
        os._exit(ACCEPTED if answer.model is not None else REFUSED)
    give_up_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < give_up_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -signal.SIGALRM


if __name__ == "__main__":
    sweep(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
