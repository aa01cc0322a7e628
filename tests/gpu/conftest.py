"""What needs an NVIDIA GPU: skipped without one, each time with the reason. `make test-gpu` runs all of it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig
from loadplan.inference import listed_providers
from loadplan.machine import Machine, read_machine
from loadplan.providers import Provider, discover_providers
from loadplan.scenario.payloads import PayloadSet

from . import graphs


@pytest.fixture(scope="session")
def cuda() -> Provider:
    """The first CUDA device that runs a model."""
    if "CUDA" not in listed_providers():
        pytest.skip("the installed ONNX Runtime has no CUDA provider: pip install 'loadplan[gpu]' in place of [cpu]")
    devices = [each for each in discover_providers() if each.name == "CUDA"]
    usable = [each for each in devices if each.usable]
    if not usable:
        pytest.skip(f"no CUDA device runs a model here: {devices[0].reason}")
    return usable[0]


@pytest.fixture(scope="session")
def machine(cuda: Provider) -> Machine:
    return read_machine()


@pytest.fixture(scope="session")
def on_gpu(cuda: Provider) -> ExecutionConfig:
    return ExecutionConfig(variant="fp32", provider="CUDA")


@pytest.fixture(scope="session")
def on_cpu() -> ExecutionConfig:
    return ExecutionConfig(variant="fp32")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="session")
def small(folder: Path) -> Path:
    return graphs.small(folder / "small.onnx")


@pytest.fixture(scope="session")
def resnet(folder: Path) -> Path:
    return graphs.resnet(folder / "resnet.onnx")


@pytest.fixture(scope="session")
def encoder(folder: Path) -> Path:
    return graphs.encoder(folder / "encoder.onnx")


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


def payloads(rows: NDArray[np.float32]) -> PayloadSet:
    """Rows of the input x; the benchmark compares no answers."""
    return PayloadSet(inputs={"x": rows}, expected={}, segments=("",) * len(rows), labels=None)


def words(n: int, length: int) -> dict[str, NDArray[np.generic]]:
    ids = np.random.default_rng(4).integers(0, 30522, (n, length))
    return {"ids": ids, "mask": np.ones((n, length), dtype=np.int64)}
