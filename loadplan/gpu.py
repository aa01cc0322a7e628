"""The one module that asks NVIDIA's management library (NVML), by `nvidia-ml-py` of the extra `gpu`.

Without the library, the driver or a GPU there is simply none: that is no fault of a machine. A figure that a GPU
doesn't tell is None; data-centre and laptop GPUs, and slices of them, differ in what they tell.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """What one GPU is at this moment, whoever uses it."""

    used_memory_bytes: int | None
    busy_ratio: float | None  # share of the last sixth of a second to second in which a kernel ran, as the GPU has it
    power_w: float | None  # on recent GPUs over the last second
    energy_j: float | None  # since the driver was loaded; Volta and later


_UNKNOWN = GpuState(used_memory_bytes=None, busy_ratio=None, power_w=None, energy_j=None)


def read_gpus() -> tuple[Gpu, ...]:
    """Every NVIDIA GPU and MIG slice of this machine, whether CUDA_VISIBLE_DEVICES shows it or not; () without one."""
    nvml = _opened()
    if nvml is None:
        return ()
    try:
        return tuple(_gpus(nvml))
    finally:
        _told(nvml, nvml.nvmlShutdown)


def _opened() -> "ModuleType | None":
    """The library, ready to be asked; None without it or a driver that fits it."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    opened: ModuleType = pynvml
    return opened


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """What some processes make of the GPUs they run on."""

    busy_ratio: float | None  # share of the last sample period, up to a second, in which a kernel ran; mean over GPUs
    memory_bytes: int | None  # of these processes, in all


@contextmanager
def watched_gpus(pids: Collection[int]) -> Iterator[Callable[[], GpuUse | None]]:
    """A function that says what the processes make of their GPUs now; None where they run on none that tells.

    The busy share is the whole GPU's, whoever keeps it busy: the driver doesn't part it by process. In a container the
    driver counts processes by the host's numbers, so none of these may be found.
    """
    nvml = _opened()
    if nvml is None:
        yield lambda: None
        return
    try:
        yield lambda: _use(nvml, pids)
    finally:
        _told(nvml, nvml.nvmlShutdown)


def _use(nvml: "ModuleType", pids: Collection[int]) -> GpuUse | None:
    busy: list[float] = []
    n_bytes: list[int] = []
    for index in range(_told(nvml, nvml.nvmlDeviceGetCount) or 0):
        device = _told(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        running = None if device is None else _told(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, device)
        own = [process for process in running or () if process.pid in pids]
        if not own:
            continue
        rates = _told(nvml, nvml.nvmlDeviceGetUtilizationRates, device)
        busy += [] if rates is None else [rates.gpu / 100.0]
        n_bytes += [process.usedGpuMemory for process in own if process.usedGpuMemory is not None]
    if not busy and not n_bytes:
        return None
    return GpuUse(busy_ratio=sum(busy) / len(busy) if busy else None, memory_bytes=sum(n_bytes) if n_bytes else None)


@contextmanager
def gpu_meter(index: int) -> Iterator[Callable[[], GpuState]]:
    """What asks one GPU (a whole one, by its number on the PCI bus) for its state; the library stays open meanwhile.

    Without the library, the driver or that GPU every figure is None.
    """
    nvml = _opened()
    if nvml is None:
        yield lambda: _UNKNOWN
        return
    try:
        device = _told(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        yield lambda: _UNKNOWN if device is None else _state(nvml, device)
    finally:
        _told(nvml, nvml.nvmlShutdown)


def bus_index(device_index: int | None, gpus: Sequence[Gpu], environment: Mapping[str, str]) -> int | None:
    """Which GPU on the PCI bus a CUDA device is; None where its number doesn't tell.

    CUDA numbers GPUs from the fastest on, unless CUDA_DEVICE_ORDER says otherwise, and CUDA_VISIBLE_DEVICES renumbers
    them: it is known where there is only one, or none of that is at work. A slice of a GPU is none that could be asked.
    """
    if any(gpu.is_mig_enabled for gpu in gpus):
        return None
    indices = sorted({gpu.index for gpu in gpus})
    if len(indices) == 1:
        return indices[0]
    is_in_bus_order = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if is_in_bus_order and "CUDA_VISIBLE_DEVICES" not in environment and (device_index or 0) in indices:
        return device_index or 0
    return None


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


def _state(nvml: "ModuleType", device: Any) -> GpuState:
    memory = _told(nvml, nvml.nvmlDeviceGetMemoryInfo, device)
    rates = _told(nvml, nvml.nvmlDeviceGetUtilizationRates, device)
    power_mw = _told(nvml, nvml.nvmlDeviceGetPowerUsage, device)
    energy_mj = _told(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, device)
    return GpuState(
        used_memory_bytes=None if memory is None else int(memory.used),
        busy_ratio=None if rates is None else rates.gpu / 100.0,
        power_w=None if power_mw is None else power_mw * 1e-3,
        energy_j=None if energy_mj is None else energy_mj * 1e-3,
    )


def _told(nvml: "ModuleType", ask: Callable[..., T], *arguments: object) -> T | None:
    """The answer, or None where this GPU or this driver has none."""
    try:
        return ask(*arguments)
    except nvml.NVMLError:
        return None
