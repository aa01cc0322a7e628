"""The one module that asks NVIDIA's management library (NVML), by `nvidia-ml-py` of the extra `gpu`.

Without the library, the driver or a GPU there is simply none: that is no fault of a machine. A figure that a GPU
doesn't tell is None; data-centre and laptop GPUs, and slices of them, differ in what they tell.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as CUDA sees it: a whole one, or one slice of a GPU in MIG mode."""

    index: int  # of the whole GPU, in the order of the PCI bus
    name: str  # such as `NVIDIA H100 80GB HBM3`; a slice's name ends in its profile, such as `MIG 1g.10gb`
    driver_version: str | None
    memory_bytes: int | None  # of the slice where it is one; None where it shares the machine's memory
    max_sm_clock_hz: float | None
    max_memory_clock_hz: float | None
    power_limit_w: float | None  # the one in force, of the whole GPU
    is_mig_enabled: bool | None  # None: this GPU can't be cut into slices


def read_gpus() -> tuple[Gpu, ...]:
    """Every NVIDIA GPU and MIG slice of this machine, whether CUDA_VISIBLE_DEVICES shows it or not; () without one."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or one that doesn't fit
        return ()
    try:
        return tuple(_gpus(pynvml))
    finally:
        _told(pynvml, pynvml.nvmlShutdown)


def _gpus(nvml: "ModuleType") -> Iterator[Gpu]:
    for index in range(_told(nvml, nvml.nvmlDeviceGetCount) or 0):
        whole = _told(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        if whole is None:  # it fell off the bus
            continue
        mode = _told(nvml, nvml.nvmlDeviceGetMigMode, whole)  # [current, pending]
        is_mig_enabled = None if mode is None else mode[0] == nvml.NVML_DEVICE_MIG_ENABLE
        slices = list(_slices(nvml, whole)) if is_mig_enabled else []
        for device in slices or [whole]:
            yield _gpu(nvml, device, whole, index=index, is_mig_enabled=is_mig_enabled)


def _slices(nvml: "ModuleType", whole: Any) -> Iterator[Any]:
    """The slices in use: the slots between them are empty."""
    for slot in range(_told(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, whole) or 0):
        device = _told(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, slot)
        if device is not None:
            yield device


def _gpu(nvml: "ModuleType", device: Any, whole: Any, *, index: int, is_mig_enabled: bool | None) -> Gpu:
    memory = _told(nvml, nvml.nvmlDeviceGetMemoryInfo, device)
    sm_mhz = _told(nvml, nvml.nvmlDeviceGetMaxClockInfo, whole, nvml.NVML_CLOCK_SM)
    memory_mhz = _told(nvml, nvml.nvmlDeviceGetMaxClockInfo, whole, nvml.NVML_CLOCK_MEM)
    limit_mw = _told(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, whole)
    return Gpu(
        index=index,
        name=_told(nvml, nvml.nvmlDeviceGetName, device) or "unnamed",
        driver_version=_told(nvml, nvml.nvmlSystemGetDriverVersion),
        memory_bytes=None if memory is None else int(memory.total),
        max_sm_clock_hz=None if sm_mhz is None else sm_mhz * 1e6,
        max_memory_clock_hz=None if memory_mhz is None else memory_mhz * 1e6,
        power_limit_w=None if limit_mw is None else limit_mw * 1e-3,
        is_mig_enabled=is_mig_enabled,
    )


def _told(nvml: "ModuleType", ask: Callable[..., T], *arguments: object) -> T | None:
    """The answer, or None where this GPU or this driver has none."""
    try:
        return ask(*arguments)
    except nvml.NVMLError:
        return None
