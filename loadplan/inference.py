"""The one module that opens an ONNX Runtime session.

Threads are always set (ONNX Runtime would size its pool by the machine's cores, whatever affinity or quota say),
and a provider that was asked for and fell back to the CPU is an error: a CPU figure never stands under a GPU's name.
The decision a reader would question: nodes that work out shapes may stay on the CPU, and those that look a label up.
The runtime puts shapes there on purpose, since they are known on the host and wanted there, and classifiers of
scikit-learn end in a look-up that no GPU has. Every other node must be the provider's.
"""

import contextlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import EnvironmentFault, InputError
from loadplan.execution import EXAMPLE_TEXT_KEY, ExecutionConfig, TensorSpec
from loadplan.io_binding import Binding

if TYPE_CHECKING:
    from types import ModuleType

Tensors = dict[str, NDArray[np.generic]]

# The distributions that all install a package named `onnxruntime` and overwrite each other's files.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn")
# `[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:/source/model.cc:256 Model::Model(const Path&) Too new`
_RUNTIME_NOISE = re.compile(
    r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )?(Load model from .*? failed: ?)?(/\S+:\d+ .*?\) (?=[A-Z\[]))?"
    r"(\[ONNXRuntimeError\] : \d+ : \w+ : )?(\[ERROR\] \[\w+\] )?(Failed to load library \S+ with error: )?"
)
# `2026-11-25 22:56:11.53 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] what went wrong`
_LOGGED_ERROR = re.compile(r"\[E:onnxruntime:[^\]]*\] (.+)")
_NOTHING_ON_PROVIDER = "assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled"
# What the runtime's arena, CUDA and its libraries, and C++ itself say where memory is short.
_NO_MEMORY = (
    "Failed to allocate memory for requested buffer",
    "Available memory of",  # `… is smaller than requested bytes of …`: the arena's own limit
    "out of memory",
    "cudaErrorMemoryAllocation",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "bad_alloc",
    "bad allocation",
)
# Providers are called here as people call them; the runtime's own spelling differs in one of them.
_RUNTIME_SPELLING = {"TensorRT": "Tensorrt"}
# Providers that number their devices, and take the number as an option.
_NUMBERS_DEVICES = ("CUDA", "TensorRT", "MIGraphX", "ROCM", "CANN")
_OPENVINO = "OpenVINO"  # names its devices: CPU, GPU.0, NPU
# Providers whose inputs and outputs are bound on their device, and what a binding calls it.
_BOUND_ON = {"CUDA": "cuda", "TensorRT": "cuda"}
_TEXT = "object"
_CPU_NAME = "CPUExecutionProvider"
# What may stay on the CPU: shapes, with what they are worked out with from where one is read on, and labels.
_BEGINS_ON_CPU = frozenset({"Shape", "Size", "ArrayFeatureExtractor", "LabelEncoder"})
_MAY_BE_ON_CPU = _BEGINS_ON_CPU | {
    *("Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Floor", "Gather", "Identity"),
    *("Max", "Min", "Mod", "Mul", "Range", "ReduceProd", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"),
}
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


@dataclass(frozen=True, slots=True)
class Session:
    """An open model: its signature, and the handle that `run` takes."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    handle: Any  # onnxruntime.InferenceSession, which has no usable types
    binding: Binding | None = None  # None: the provider works on host arrays, or the tensors hold text
    on_cpu: tuple[str, ...] = ()  # operators of the nodes that another provider leaves to the CPU: shapes and labels


def open_session(model: Path, execution: ExecutionConfig) -> Session:
    """Load an ONNX file on the provider and its device, with the threads asked for.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed, or the provider can't run the model here.
        InputError: when the file is missing or is not a model that this ONNX Runtime reads.
    """
    ort = load_runtime()
    if not model.is_file():
        raise InputError(what="there is no such model file", where=str(model), fix="check the path")
    name = execution.provider_name
    choice = _device_choice(name, execution.device_index)
    try:
        handle = _create(ort, model, execution, choice, refuses_cpu=name != "CPU")
    except Exception as error:  # onnxruntime raises its own unrelated classes; the message tells which case it is
        if _NOTHING_ON_PROVIDER not in str(error):
            raise _refusal(error, model, execution) from error
        handle = _with_little_on_cpu(error, _create(ort, model, execution, choice, refuses_cpu=False), execution)
    if handle.get_providers()[0] != _runtime_name(name):
        raise _missing_provider(execution, f"ONNX Runtime fell back to {handle.get_providers()[0]}")
    session = Session(
        inputs=tuple(_tensor_spec(node) for node in handle.get_inputs()),
        outputs=tuple(_tensor_spec(node) for node in handle.get_outputs()),
        handle=handle,
        on_cpu=() if name == "CPU" else _operators_on_cpu(handle),
    )
    device = _BOUND_ON.get(name)
    return session if device is None else bind(session, device=device, device_index=execution.device_index or 0)


def bind(session: Session, *, device: str, device_index: int = 0) -> Session:
    """The session with its inputs and outputs bound on a device; as it is where they hold text, which can't be bound.

    Sessions of GPUs come bound from `open_session`. On the device `cpu` nothing is copied and nothing gained.
    """
    if any(spec.dtype == _TEXT for spec in (*session.inputs, *session.outputs)):
        return session
    binding = Binding(
        session.handle,
        inputs=[spec.name for spec in session.inputs],
        outputs=[spec.name for spec in session.outputs],
        device=device,
        device_index=device_index,
    )
    return replace(session, binding=binding)


def caller(session: Session) -> Callable[[Mapping[str, NDArray[np.generic]]], Sequence[NDArray[np.generic]]]:
    """The bare call of a session, for whoever times it: a feed in, the outputs in their order back."""
    if session.binding is not None:
        return session.binding.infer
    return partial(session.handle.run, [spec.name for spec in session.outputs])


def run(session: Session, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
    """One inference: arrays of the same first dimension in, arrays by output name out."""
    names = (spec.name for spec in session.outputs)
    return dict(zip(names, caller(session)(dict(inputs)), strict=True))


def example_text(session: Session) -> dict[str, str]:
    """A word that the model knows for each text input that names one: unknown words make some models fail."""
    metadata_of_file: dict[str, str] = session.handle.get_modelmeta().custom_metadata_map
    return {
        key.removeprefix(EXAMPLE_TEXT_KEY): word
        for key, word in metadata_of_file.items()
        if key.startswith(EXAMPLE_TEXT_KEY)
    }


def listed_providers() -> tuple[str, ...]:
    """The providers that the installed ONNX Runtime was built with; whether they work is another question.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed.
    """
    names = [name.removesuffix("ExecutionProvider") for name in load_runtime().get_available_providers()]
    known = {spelling: name for name, spelling in _RUNTIME_SPELLING.items()}
    return tuple(known.get(name, name) for name in names)


def has_devices(provider: str) -> bool:
    """Whether the provider tells its devices apart."""
    return provider == _OPENVINO or provider in _NUMBERS_DEVICES


def device_name(provider: str, device_index: int) -> str | None:
    """The provider's own name of a device, where it has names; None too where there is no such device."""
    names = _openvino_devices() if provider == _OPENVINO else ()
    return names[device_index] if device_index < len(names) else None


def reason_of(error: BaseException) -> str:
    """What the runtime says in one line, without its codes, source files and C++ signatures."""
    return _plain(str(error)) or type(error).__name__


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the runtime, the CPU's allocator or a GPU's library had no memory left; only the message tells."""
    return error is not None and any(words in str(error) for words in _NO_MEMORY)


def reason_in_log(log: str) -> str | None:
    """Why a provider took nothing, from what the runtime logged when it was created; None: it doesn't say.

    The error that is raised only says that nodes were left to the CPU; the missing library is named in the log alone.
    """
    errors = (match[1] for match in _LOGGED_ERROR.finditer(log))
    return next((_plain(said) for said in errors if _NOTHING_ON_PROVIDER not in said), None)


def _plain(text: str) -> str:
    said = _RUNTIME_NOISE.sub("", " ".join(text.split()))
    if _NOTHING_ON_PROVIDER in said:
        return "it leaves nodes of the model to the CPU"
    return said.replace("\x1b[m", "").strip()[:300]


def load_runtime() -> "ModuleType":
    """Import ONNX Runtime, or say which installation is wrong and how to mend it."""
    installed = [name for name in _DISTRIBUTIONS if _is_installed(name)]
    if not installed:
        raise EnvironmentFault(
            what="no ONNX Runtime is installed",
            where="this Python environment",
            fix='run: pip install "loadplan[cpu]" (or "loadplan[gpu]" on a machine with an NVIDIA GPU)',
        )
    if len(installed) > 1:
        raise EnvironmentFault(
            what=f"{' and '.join(installed)} are both installed and overwrite each other",
            where="this Python environment",
            fix=f'run: pip uninstall -y {" ".join(installed)} && pip install "loadplan[cpu]" (or "loadplan[gpu]")',
        )
    import onnxruntime

    if not hasattr(onnxruntime, "InferenceSession"):
        raise EnvironmentFault(
            what=f"{installed[0]} is installed only in part",
            where="this Python environment",
            fix=f"run: pip install --force-reinstall --no-deps {installed[0]}",
        )
    if installed == ["onnxruntime-gpu"]:
        _load_cuda_libraries()
    runtime: ModuleType = onnxruntime
    return runtime


@cache
def _load_cuda_libraries() -> None:
    """Load the CUDA and cuDNN that `loadplan[gpu]` or PyTorch installed: the runtime looks in system folders only."""
    import onnxruntime

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what is missing; opening a session will say so
        onnxruntime.preload_dlls()


def _create(
    ort: "ModuleType", model: Path, execution: ExecutionConfig, choice: dict[str, str], *, refuses_cpu: bool
) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = execution.n_threads
    options.inter_op_num_threads = 1
    if execution.is_optimised_offline:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # errors are raised; written as well, a bad client could fill a server's log
    name = execution.provider_name
    if name != "CPU":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if refuses_cpu:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # The Python wrapper's own fall-back would print to standard output and hide what went wrong.
    return ort.InferenceSession(
        str(model), sess_options=options, providers=[(_runtime_name(name), choice)], enable_fallback=False
    )


def _with_little_on_cpu(refused: Exception, handle: Any, execution: ExecutionConfig) -> Any:
    """A session that was `refused` while nothing might be left to the CPU, if what is left is shapes and labels."""
    left = set(_operators_on_cpu(handle))
    if handle.get_providers()[0] != _runtime_name(execution.provider_name) or not left:
        raise _missing_provider(execution, reason_of(refused)) from refused
    parts = handle.get_provider_graph_assignment_info()
    # CUDA reads a shape itself, and hands what is worked out with it to the CPU: seen with an encoder on an H200.
    present = {node.op_type for part in parts for node in part.get_nodes()}
    if left - _MAY_BE_ON_CPU or not present & _BEGINS_ON_CPU or all(part.ep_name == _CPU_NAME for part in parts):
        computing = ", ".join(sorted(left - _MAY_BE_ON_CPU or left))
        raise _missing_provider(execution, f"it leaves nodes of the model to the CPU: {computing}") from refused
    return handle


def _operators_on_cpu(handle: Any) -> tuple[str, ...]:
    parts = handle.get_provider_graph_assignment_info()
    return tuple(node.op_type for part in parts if part.ep_name == _CPU_NAME for node in part.get_nodes())


def _runtime_name(provider: str) -> str:
    return f"{_RUNTIME_SPELLING.get(provider, provider)}ExecutionProvider"


def _device_choice(provider: str, device_index: int | None) -> dict[str, str]:
    """Options of the provider. On CUDA fp32 stays fp32, as its variant was proved: the runtime would round to TF32."""
    exact = {"use_tf32": "0"} if provider == "CUDA" else {}
    if device_index is None:
        return exact
    if provider in _NUMBERS_DEVICES:
        return {**exact, "device_id": str(device_index)}
    name = device_name(provider, device_index)
    if name is None:
        raise EnvironmentFault(
            what=f"the provider {provider} has no device {device_index}",
            where="this machine",
            fix="ask for a device that the provider has, or for none",
        )
    return {"device_type": name}


def _openvino_devices() -> tuple[str, ...]:
    from onnxruntime.capi import _pybind_state

    return tuple(_pybind_state.get_available_openvino_device_ids())


def runtime_version() -> str:
    """Distribution and version of the installed ONNX Runtime, such as `onnxruntime 1.32.0`."""
    return next((f"{name} {metadata.version(name)}" for name in _DISTRIBUTIONS if _is_installed(name)), "none")


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _tensor_spec(node: Any) -> TensorSpec:
    if node.type not in _DTYPES:
        raise InputError(
            what=f"the tensor {node.name!r} has the type {node.type}, which loadplan can't feed",
            where="the model's signature",
            fix="export the model with plain tensors (for scikit-learn classifiers: zipmap=False)",
        )
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return TensorSpec(name=node.name, dtype=_DTYPES[node.type], shape=shape)


def _refusal(error: Exception, model: Path, execution: ExecutionConfig) -> Exception:
    reason = reason_of(error)
    if execution.provider != "CPU":
        return _missing_provider(execution, reason)
    return InputError(
        what=f"ONNX Runtime can't load the model: {reason}",
        where=str(model),
        fix="check that the file is a complete ONNX model with an opset this ONNX Runtime knows",
    )


def _missing_provider(execution: ExecutionConfig, reason: str) -> EnvironmentFault:
    return EnvironmentFault(
        what=f"the provider {execution.provider} can't run this model here: {reason}",
        where="this machine",
        fix="install the matching ONNX Runtime and driver, or ask for the provider CPU",
    )
