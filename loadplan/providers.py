"""Which execution providers and devices of this machine run a model, found out by having each one run a small one.

ONNX Runtime lists what it was built with, whether or not the libraries, the driver and the device are there, and one
that can't start leaves its work to the CPU with no more than a log line. So each provider and device opens a model of
one node of which nothing may fall to the CPU, and must answer it rightly. A driver can hang or crash while it starts:
every attempt is a process of its own with a time limit.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from loadplan.child_process import die_with_parent, how_it_ended
from loadplan.errors import LoadplanError
from loadplan.execution import ExecutionConfig
from loadplan.gpu import Gpu, read_gpus
from loadplan.inference import (
    device_name,
    has_devices,
    listed_providers,
    load_runtime,
    open_session,
    reason_in_log,
    reason_of,
    run,
)
from loadplan.store import codec

T = TypeVar("T")

_DEVICES_AT_MOST = 64
_CUDA = ("CUDA", "TensorRT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One execution provider on one device, and whether it runs a model."""

    name: str  # as in `ExecutionConfig.provider`
    device_index: int | None  # None: the provider doesn't tell devices apart
    device_name: str | None
    usable: bool
    reason: str | None  # why it is not usable, in one line; None where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """What the child that lists providers answers."""

    names: tuple[str, ...]


def discover_providers(*, limit_s: float = 60.0) -> tuple[Provider, ...]:
    """Every provider that the installed ONNX Runtime lists, on each of its devices.

    Devices are tried in order until one is not there; the first is told in any case, and so is every GPU that the
    driver knows of. Takes about half a second an attempt, some seconds on a GPU.

    Args:
        limit_s: after this many seconds an attempt counts as hung. TensorRT may take ten to build even this model.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed.
    """
    load_runtime()
    gpus = read_gpus()
    listed = _ask(("list",), _Listing, limit_s=limit_s)
    if isinstance(listed, str):
        return (Provider(name="CPU", device_index=None, device_name=None, usable=False, reason=listed),)
    return tuple(attempt for name in listed.names for attempt in _attempts(name, gpus, limit_s=limit_s))


def _attempts(name: str, gpus: Sequence[Gpu], *, limit_s: float) -> Iterator[Provider]:
    if not has_devices(name):
        answer = _ask((name,), Provider, limit_s=limit_s)
        yield _unusable(name, None, answer) if isinstance(answer, str) else answer
        return
    n_known = max(1, _n_cuda_devices(gpus, os.environ)) if name in _CUDA else 1
    for index in range(_DEVICES_AT_MOST):
        answer = _ask((name, str(index)), Provider, limit_s=limit_s)
        is_lost = isinstance(answer, str)
        found = _unusable(name, index, answer) if isinstance(answer, str) else answer
        if not (is_lost or found.usable or found.device_name or index < n_known):
            return
        yield replace(found, device_name=_gpu_name(gpus, index, os.environ)) if name in _CUDA else found
        if is_lost and index + 1 >= n_known:  # nobody knows whether there is another, and it may hang as long
            return


def _unusable(name: str, device_index: int | None, reason: str) -> Provider:
    return Provider(name=name, device_index=device_index, device_name=None, usable=False, reason=reason)


def _n_cuda_devices(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> int:
    """How many devices CUDA should show; it shows one slice alone of GPUs in MIG mode."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([word for word in visible.split(",") if word.strip()])
    return len({gpu.index for gpu in gpus})


def _gpu_name(gpus: Sequence[Gpu], index: int, environment: Mapping[str, str]) -> str | None:
    """The name of a CUDA device, where its number tells which GPU it is.

    CUDA numbers GPUs from the fastest on, unless CUDA_DEVICE_ORDER says otherwise, and CUDA_VISIBLE_DEVICES renumbers
    them: only where all are alike, or none of that is at work, is it known.
    """
    names = {gpu.name for gpu in gpus}
    if len(names) == 1:
        return names.pop()
    is_in_bus_order = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if is_in_bus_order and "CUDA_VISIBLE_DEVICES" not in environment:
        return next((gpu.name for gpu in gpus if gpu.index == index), None)
    return None


def _ask(words: Sequence[str], kind: type[T], *, limit_s: float) -> T | str:
    """The answer of a child process, or why there is none."""
    command = [sys.executable, "-m", "loadplan.providers", *words]
    try:
        child = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {limit_s:g} s"
    if child.returncode != 0:
        said = child.stderr.strip().splitlines()[-1:]
        return f"it ended {how_it_ended(child.returncode)}{''.join(f': {line[:200]}' for line in said)}"
    answer = codec.loads(child.stdout, kind, where="the provider's process")
    if isinstance(answer, Provider) and not answer.usable:
        # What the runtime logs as it fails is its reason; what it raises is only that nothing was left to run.
        return replace(answer, reason=reason_in_log(child.stderr) or answer.reason)
    return answer


def main(words: Sequence[str]) -> None:
    """Process entry: `list`, or a provider's name and perhaps a device's number; answers one line of JSON."""
    die_with_parent()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not get into the answer
        if list(words) == ["list"]:
            answers.write(codec.dumps(_Listing(names=listed_providers())))
        else:
            answers.write(codec.dumps(_try(words[0], int(words[1]) if len(words) > 1 else None)))
        answers.flush()
        os._exit(0)  # some drivers crash or hang while they are unloaded


def _try(name: str, device_index: int | None) -> Provider:
    found = Provider(name=name, device_index=device_index, device_name=None, usable=False, reason=None)
    if device_index is not None:
        found = replace(found, device_name=device_name(name, device_index))
    rows = np.arange(4, dtype=np.float32).reshape(2, 2)
    try:
        with tempfile.TemporaryDirectory(prefix="loadplan-provider-") as folder:
            on_device = name if device_index is None else f"{name}:{device_index}"
            session = open_session(_doubling(Path(folder)), ExecutionConfig(variant="probe", provider=on_device))
            answer = run(session, {"x": rows})["y"]
    except LoadplanError as error:
        return replace(found, reason=reason_of(error.__cause__) if error.__cause__ else error.what)
    except Exception as error:  # whatever the runtime raises is this provider's answer
        return replace(found, reason=reason_of(error))
    if not np.array_equal(answer, 2.0 * rows):
        return replace(found, reason="it answered a matrix product wrongly")
    return replace(found, usable=True)


def _doubling(folder: Path) -> Path:
    """The model of one node: x times twice the unit matrix."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy")
    twice = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [2.0, 0.0, 0.0, 2.0])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "doubling", [x], [y], [twice])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "doubling.onnx"
    path.write_bytes(model.SerializeToString())
    return path


if __name__ == "__main__":
    main(sys.argv[1:])
