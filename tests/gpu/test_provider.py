"""CUDA runs every node that it should, says so, and is refused where it would leave the work to the CPU."""

import json
from pathlib import Path

import onnxruntime
import pytest

from loadplan.errors import EnvironmentFault
from loadplan.execution import ExecutionConfig
from loadplan.gpu import read_gpus
from loadplan.inference import Tensors, open_session
from loadplan.machine import Machine
from loadplan.providers import Provider

from . import graphs
from .conftest import normal, words

# Of the time in kernels: on the CPU there are only shapes, of a few numbers each.
_ON_CPU_MOST_RATIO = 0.25


def time_by_provider(model: Path, feed: Tensors, folder: Path) -> dict[str, float]:
    """Microseconds in kernels by provider over ten runs, as the runtime's own profile has them."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CUDAExecutionProvider"])
    for _ in range(10):
        session.run(None, feed)
    spent_us: dict[str, float] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            provider = event["args"]["provider"]
            spent_us[provider] = spent_us.get(provider, 0.0) + event["dur"]
    return spent_us


def test_the_device_has_the_name_that_the_driver_gives_it(cuda: Provider, machine: Machine) -> None:
    assert machine.gpus == read_gpus()
    assert machine.gpus[0].memory_bytes is not None
    if len(machine.gpus) == 1:
        assert cuda.device_name == machine.gpus[0].name


def test_every_node_of_a_convolutional_net_is_cudas(resnet: Path, on_gpu: ExecutionConfig, tmp_path: Path) -> None:
    assert open_session(resnet, on_gpu).on_cpu == ()
    spent_us = time_by_provider(resnet, {"x": normal(1, 3, 224, 224)}, tmp_path)
    assert set(spent_us) == {"CUDAExecutionProvider"}


def test_of_an_encoder_only_shapes_are_left_to_the_cpu(encoder: Path, on_gpu: ExecutionConfig, tmp_path: Path) -> None:
    left = set(open_session(encoder, on_gpu).on_cpu)
    assert left.isdisjoint({"MatMul", "Softmax", "LayerNormalization", "Erf", "Transpose", "ReduceSum"})
    spent_us = time_by_provider(encoder, words(4, 32), tmp_path)
    assert spent_us.get("CPUExecutionProvider", 0.0) < _ON_CPU_MOST_RATIO * sum(spent_us.values())


def test_a_model_with_a_node_that_cuda_lacks_is_refused(tmp_path: Path, on_gpu: ExecutionConfig) -> None:
    model = graphs.only_on_cpu(tmp_path / "m.onnx")
    with pytest.raises(EnvironmentFault, match="leaves nodes of the model to the CPU: Scaler"):
        open_session(model, on_gpu)


def test_a_device_that_is_not_there_is_refused(small: Path, machine: Machine, cuda: Provider) -> None:
    beyond = ExecutionConfig(variant="fp32", provider=f"CUDA:{len(machine.gpus) + 7}")
    with pytest.raises(EnvironmentFault, match="can't run this model here"):
        open_session(small, beyond)
