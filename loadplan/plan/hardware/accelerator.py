"""Which offers have the GPU that was measured, by its name and its memory.

The driver says `NVIDIA A100-SXM4-80GB`, `NVIDIA A10G`, `Tesla T4`; a catalogue `A100-80GB`, `A10G`, `T4`. The decision
a reader would question: the form of a card (PCIe, SXM) is not compared, for catalogues seldom tell it; the interval of
what is taken from one host to another is wide enough for both (`transfer.OTHER_HOST_FACTOR`).
"""

import re

from loadplan.catalog.instance_type import InstanceType
from loadplan.gpu import Gpu
from loadplan.machine import Machine

_GB_BEHIND_A_NAME = re.compile(r"-\d+GB$")
# What a driver reports of the nominal memory: an L4 of 24 GB has 22.4 GiB, an H100 of 80 GB 79.6, one with parity more.
_REPORTED_RATIO_LEAST, _REPORTED_RATIO_MOST = 0.85, 1.05


def gpu_of(machine: Machine) -> Gpu | None:
    """The GPU of a machine; None where it has none, or several kinds, of which a device's number doesn't tell which."""
    kinds = {(gpu.name, gpu.memory_bytes) for gpu in machine.gpus}
    return machine.gpus[0] if len(kinds) == 1 else None


def is_same_gpu(gpu: Gpu, instance_type: InstanceType) -> bool:
    """Whether an instance type has whole GPUs of this kind."""
    if instance_type.accelerator is None or instance_type.accelerator_memory_gb is None or gpu.memory_bytes is None:
        return False
    ratio = gpu.memory_bytes / 2**30 / instance_type.accelerator_memory_gb
    wanted = _words(_GB_BEHIND_A_NAME.sub("", instance_type.accelerator))
    said = _words(gpu.name)
    is_named = any(said[i : i + len(wanted)] == wanted for i in range(len(said)))
    is_slice = "MIG" in said or instance_type.n_accelerators < 1.0
    return is_named and not is_slice and _REPORTED_RATIO_LEAST <= ratio <= _REPORTED_RATIO_MOST


def n_gpus(instance_type: InstanceType) -> int:
    """How many devices a machine of this type shows; a share of a GPU is one."""
    return 0 if instance_type.accelerator is None else max(1, int(instance_type.n_accelerators))


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z0-9]+", name.upper())
