"""Providers found out by trying them: the installed runtime's own, and a fake runtime whose faults are known."""

from pathlib import Path

import pytest

from loadplan.gpu import Gpu
from loadplan.inference import reason_in_log
from loadplan.providers import Provider, discover_providers

# What children import in place of ONNX Runtime: each of its providers behaves as its branch says.
FAKE_RUNTIME = """
import os, sys, time, types
import numpy as np

class SessionOptions:
    def __init__(self): self.entries = {}
    def add_session_config_entry(self, key, value): self.entries[key] = value

def get_available_providers():
    return [name + "ExecutionProvider" for name in LISTED]

class InferenceSession:
    def __init__(self, path, sess_options, providers, enable_fallback):
        (self.name, self.choice), = providers
        assert not enable_fallback
        self.refuses_cpu = sess_options.entries.get("session.disable_cpu_ep_fallback") == "1"
        print("a library says hello")
        device = self.choice.get("device_id")
        if self.name.startswith("CUDA") and device not in ("0", "1"):
            raise RuntimeError("/src/cuda.cc:129 bool CudaCall(int) CUDA failure 101: invalid device ordinal")
        if self.name.startswith("Tensorrt"): time.sleep(300)
        if self.name.startswith("OpenVINO") and self.choice["device_type"] == "GPU.0": os.abort()
        if self.name.startswith(("ROCM", "Qnn")) and self.refuses_cpu:
            if self.name.startswith("ROCM"):
                sys.stderr.write("\\x1b[1;31m2026 [E:onnxruntime:Default, bridge.cc:2458 operator()] "
                    "/src/bridge.cc:2043 "
                    "P& Library::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /x/rocm.so with error: "
                    "libhip.so.6: cannot open shared object file\\n\\x1b[m\\n")
            raise RuntimeError("This session contains graph nodes that are assigned to the default CPU EP, "
                "but fallback to CPU EP has been explicitly disabled by the user.")
    def get_providers(self):
        return ["CPUExecutionProvider" if self.name.startswith(("Dnnl", "ROCM")) else self.name]
    def get_provider_graph_assignment_info(self):
        nodes = [types.SimpleNamespace(op_type="MatMul")]
        left = self.name.startswith("Qnn")  # it is there, and takes nothing
        return [types.SimpleNamespace(ep_name="CPUExecutionProvider" if left else self.name, get_nodes=lambda: nodes)]
    def get_inputs(self): return [types.SimpleNamespace(name="x", type="tensor(float)", shape=[2, 2])]
    def get_outputs(self): return [types.SimpleNamespace(name="y", type="tensor(float)", shape=[2, 2])]
    def run(self, names, feed): return [(3.0 if self.name.startswith("Xnnpack") else 2.0) * feed["x"]]
    def io_binding(self): return IOBinding()
    def run_with_iobinding(self, binding):
        assert binding.output == ("y", "cuda", int(self.choice["device_id"]))
        binding.answers = self.run(["y"], binding.feed)

class IOBinding:
    def __init__(self): self.feed = {}
    def bind_cpu_input(self, name, values): self.feed[name] = values
    def bind_output(self, *output): self.output = output
    def copy_outputs_to_cpu(self): return self.answers
"""
FELL_BACK = "the provider Dnnl can't run this model here: ONNX Runtime fell back to CPUExecutionProvider"
LEFT_ALL = "it leaves nodes of the model to the CPU"
FAKE_OPENVINO = 'def get_available_openvino_device_ids(): return ["CPU", "GPU.0"]'


@pytest.fixture
def fake_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package that children take for ONNX Runtime; append `LISTED = (…)` to it."""
    package = tmp_path / "onnxruntime"
    (package / "capi").mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE_RUNTIME)
    (package / "capi" / "__init__.py").write_text("")
    (package / "capi" / "_pybind_state.py").write_text(FAKE_OPENVINO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("loadplan.providers.read_gpus", lambda: ())
    return package


def lists(package: Path, *names: str) -> None:
    with (package / "__init__.py").open("a") as file:
        file.write(f"LISTED = {names!r}\n")


def gpu(index: int, name: str) -> Gpu:
    return Gpu(
        index=index,
        name=name,
        driver_version=None,
        memory_bytes=None,
        max_sm_clock_hz=None,
        max_memory_clock_hz=None,
        power_limit_w=None,
        is_mig_enabled=None,
    )


def test_the_processor_of_this_machine_runs_a_model() -> None:
    found = {provider.name: provider for provider in discover_providers()}
    assert found["CPU"] == Provider(name="CPU", device_index=None, device_name=None, usable=True, reason=None)
    for provider in found.values():
        assert provider.usable == (provider.reason is None)


def test_each_device_counts_and_whatever_fails_leaves_a_reason_and_the_others(fake_runtime: Path) -> None:
    lists(fake_runtime, "CUDA", "OpenVINO", "Dnnl", "Xnnpack", "ROCM", "Qnn", "CPU")
    found = [(p.name, p.device_index, p.device_name, p.usable, p.reason) for p in discover_providers(limit_s=60.0)]
    assert found == [
        ("CUDA", 0, None, True, None),
        ("CUDA", 1, None, True, None),
        ("OpenVINO", 0, "CPU", True, None),
        ("OpenVINO", 1, None, False, "it ended by SIGABRT: a library says hello"),
        ("Dnnl", None, None, False, FELL_BACK),
        ("Xnnpack", None, None, False, "it answered a matrix product wrongly"),
        ("ROCM", 0, None, False, "libhip.so.6: cannot open shared object file"),
        ("Qnn", None, None, False, LEFT_ALL),
        ("CPU", None, None, True, None),
    ]


def test_a_gpu_that_the_driver_knows_and_cuda_does_not_start_is_told(
    fake_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(fake_runtime, "CUDA")
    monkeypatch.setattr("loadplan.providers.read_gpus", lambda: tuple(gpu(i, "L4") for i in range(3)))
    found = [(p.device_index, p.device_name, p.reason) for p in discover_providers()]
    assert found == [(0, "L4", None), (1, "L4", None), (2, "L4", "CUDA failure 101: invalid device ordinal")]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, [None, None]),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["L4", "H100"]),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1,0"}, [None, None]),
    ],
    ids=["fastest first", "in the order of the bus", "renumbered"],
)
def test_a_cuda_device_is_named_only_where_its_number_tells_which_gpu_it_is(
    fake_runtime: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], names: list[str | None]
) -> None:
    lists(fake_runtime, "CUDA")
    monkeypatch.setattr("loadplan.providers.read_gpus", lambda: (gpu(0, "L4"), gpu(1, "H100")))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert [provider.device_name for provider in discover_providers()] == names


@pytest.mark.nightly
def test_a_provider_that_hangs_is_given_up(fake_runtime: Path) -> None:
    lists(fake_runtime, "Tensorrt", "CPU")
    found = discover_providers(limit_s=15.0)
    assert [(provider.name, provider.reason) for provider in found] == [
        ("TensorRT", "no answer within 15 s"),
        ("CPU", None),
    ]


def test_the_runtimes_log_tells_why_a_provider_took_nothing() -> None:
    log = (
        "2026 [W:onnxruntime:Default, a.cc:1 b] Failed to create OpenVINO. Please read the manual.\n"
        "\x1b[1;31m2026 [E:onnxruntime:Default, b.cc:2310 Create] /o/factory.cc:141 std::string onnxruntime::Parse("
        "std::shared_ptr<Core>, const Options&) [ERROR] [OpenVINO] Device NPU is not available\n\x1b[m\n"
    )
    assert reason_in_log(log) == "Device NPU is not available"
    assert reason_in_log(log.splitlines()[0]) is None
