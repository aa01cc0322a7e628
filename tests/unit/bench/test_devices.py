"""The providers that are asked for, on machines made up by what a discovery finds."""

from collections.abc import Sequence

import pytest

from loadplan.bench.devices import providers_here
from loadplan.errors import EnvironmentFault
from loadplan.providers import Provider


def found(name: str, index: int | None = None, *, reason: str | None = None) -> Provider:
    return Provider(name=name, device_index=index, device_name=None, usable=reason is None, reason=reason)


CPU = found("CPU")


def test_nothing_is_tried_for_the_cpu_alone() -> None:
    def discover() -> Sequence[Provider]:
        raise AssertionError

    assert providers_here(["CPU"], discover=discover) == ("CPU",)
    assert providers_here(["cpu"], discover=discover) == ("CPU",)


def test_a_provider_with_one_device_has_its_plain_name() -> None:
    here = [CPU, found("CUDA", 0), found("CUDA", 1, reason="invalid device ordinal")]
    assert providers_here(["CPU", "cuda"], discover=lambda: here) == ("CPU", "CUDA")


def test_each_of_several_devices_counts_by_its_number() -> None:
    here = [found("CUDA", 0, reason="in use"), found("CUDA", 1), found("CUDA", 2), CPU]
    assert providers_here(["CUDA"], discover=lambda: here) == ("CUDA:1", "CUDA:2")
    assert providers_here(["CUDA"], discover=lambda: here[:2]) == ("CUDA:1",)  # the first would be taken without it


def test_a_provider_that_runs_no_model_is_a_fault_with_its_reason() -> None:
    here = [CPU, found("CUDA", 0, reason="libcublas.so.13 is missing"), found("OpenVINO", 0)]
    with pytest.raises(EnvironmentFault) as caught:
        providers_here(["CPU", "CUDA"], discover=lambda: here)
    assert caught.value.what == "the provider CUDA can't run a model here: libcublas.so.13 is missing"
    assert "ask for CPU or OpenVINO" in caught.value.fix


def test_a_provider_that_the_runtime_does_not_know_is_a_fault() -> None:
    with pytest.raises(EnvironmentFault, match="the installed ONNX Runtime has no such provider"):
        providers_here(["TensorRT"], discover=lambda: [CPU])
