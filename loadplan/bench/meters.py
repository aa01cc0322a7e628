"""What is read of the system around inferences: memory, cores, and the energy counters that this machine has.

Inferences last longer where an energy counter is read: the processor's moves each millisecond, a GPU's each tenth of a
second, and a GPU's utilisation and power are those of about a second.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadplan.bench.resources import GpuReading
from loadplan.gpu import GpuState
from loadplan.sysfs import EnergyCounter, forget_peak_memory, joules_between, read_package_energy, read_resident_bytes

_STRETCH_S, _STRETCH_OF_PACKAGE_S, _STRETCH_OF_GPU_S = 0.02, 0.1, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """All counters at one moment."""

    wall_s: float
    cpu_s: float
    packages: tuple[EnergyCounter, ...]
    gpu: GpuState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used between two moments; see `resources.BatchReading` for the figures."""

    busy_cores: float
    package_energy_j: float | None
    gpu: GpuReading | None


class Meters:
    """The counters of this process and of what it runs on, from a moment before it opens a model."""

    def __init__(self, *, gpu: Callable[[], GpuState] | None = None, root: Path = Path("/")) -> None:
        """Note what is there already.

        Args:
            gpu: reads the state of the GPU that is used; None: none is.
            root: of `/proc` and `/sys`.
        """
        self._gpu, self._root = gpu, root
        self._gpu_base_bytes = None if gpu is None else gpu().used_memory_bytes
        self._was_forgotten = forget_peak_memory(root)
        self._base_peak_bytes = self._resident_bytes("VmHWM")
        self.base_bytes = self._resident_bytes("VmRSS")

    @property
    def stretch_s(self) -> float:
        """How long inferences must last for all counters to mean something."""
        if self._gpu is not None:
            return _STRETCH_OF_GPU_S
        return _STRETCH_OF_PACKAGE_S if read_package_energy(self._root) else _STRETCH_S

    def peak_memory_bytes(self) -> int | None:
        """Most resident memory beyond the base since the beginning; None where an older peak hides it."""
        peak_bytes = self._resident_bytes("VmHWM")
        is_told = self._was_forgotten or peak_bytes > self._base_peak_bytes
        return max(peak_bytes - self.base_bytes, 0) if is_told else None

    def mark(self) -> Mark:
        """All counters now."""
        return Mark(
            wall_s=time.perf_counter(),
            cpu_s=time.process_time(),
            packages=read_package_energy(self._root),
            gpu=None if self._gpu is None else self._gpu(),
        )

    def used(self, before: Mark, after: Mark, n_calls: int) -> Used:
        """What `n_calls` inferences between two marks used."""
        joules = joules_between(before.packages, after.packages)
        return Used(
            busy_cores=(after.cpu_s - before.cpu_s) / (after.wall_s - before.wall_s),
            package_energy_j=None if joules is None else joules / n_calls,
            gpu=None if before.gpu is None or after.gpu is None else self._gpu_use(before.gpu, after.gpu, n_calls),
        )

    def _gpu_use(self, before: GpuState, after: GpuState, n_calls: int) -> GpuReading:
        used, base = after.used_memory_bytes, self._gpu_base_bytes
        joules = None if before.energy_j is None or after.energy_j is None else after.energy_j - before.energy_j
        return GpuReading(
            memory_bytes=None if used is None or base is None else max(used - base, 0),
            busy_ratio=after.busy_ratio,
            power_w=after.power_w,
            energy_j=None if joules is None else joules / n_calls,
        )

    def _resident_bytes(self, figure: str) -> int:
        found = read_resident_bytes(self._root, figure)
        if found is None:
            raise OSError(f"/proc/self/status has no {figure}")
        return found
