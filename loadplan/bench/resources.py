"""What a column of the grid costs besides time: how fast a process of it starts, and what it holds and burns.

Every start of a column is a process of its own (`start_process`): in the sweep's worker many sessions share one
memory, and a first inference there finds the runtime warm. A figure that this machine can't tell is None, and `lacks`
says why; nothing is 0 because it is unknown.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadplan.execution import ExecutionConfig
from loadplan.stats import percentile

# Figures that a machine may not tell, as `lacks` names them.
MEMORY, PACKAGE, GPU = "peak_memory_bytes", "package_energy_j", "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """What the management library said of one GPU after some inferences; None: this GPU doesn't tell."""

    memory_bytes: int | None  # in use on the GPU beyond what was before the model was opened
    busy_ratio: float | None  # share of about the last second in which a kernel ran
    power_w: float | None
    energy_j: float | None  # of the whole GPU per inference, what it takes idle included


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReading:
    """What one process needed for inferences of one batch size, after those of all smaller ones."""

    batch_size: int
    peak_memory_bytes: int | None  # most resident memory so far, opening included, beyond `base_memory_bytes`
    busy_cores: float  # CPU seconds of the process per second, all its threads; less where neighbours held the cores
    package_energy_j: float | None  # of all processor packages per inference, idle and neighbours included
    gpu: GpuReading | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReading:
    """One process that opened the model, answered once, and then worked through batch sizes in ascending order."""

    execution: ExecutionConfig
    i_start: int
    base_memory_bytes: int  # resident before the model was opened: Python, the runtime, the inputs
    load_s: float  # opening all sessions of the column, the file being in the page cache
    first_inference_s: float  # of the smallest batch
    batches: tuple[BatchReading, ...]
    lacks: dict[str, str] = field(default_factory=dict)  # why a figure is None, by its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One figure over several starts, in its own unit. They are too few for an interval, so the extremes stand here."""

    median: float
    least: float
    most: float
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResources:
    """The readings of one batch size; see `BatchReading` and `GpuReading` for what each figure is."""

    batch_size: int
    peak_memory_bytes: Reading | None
    busy_cores: Reading
    package_energy_j: Reading | None
    gpu_memory_bytes: Reading | None
    gpu_busy_ratio: Reading | None
    gpu_power_w: Reading | None
    gpu_energy_j: Reading | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnResources:
    """What the starts of one column say together."""

    execution: ExecutionConfig
    base_memory_bytes: Reading
    load_s: Reading
    first_inference_s: Reading
    batches: tuple[BatchResources, ...]
    lacks: dict[str, str]  # why a figure of `batches` is None: `peak_memory_bytes`, `package_energy_j`, `gpu`


def column_resources(starts: Iterable[StartReading]) -> tuple[ColumnResources, ...]:
    """The starts of each column together, in the order in which the columns were first started."""
    grouped: dict[ExecutionConfig, list[StartReading]] = {}
    for start in starts:
        grouped.setdefault(start.execution, []).append(start)
    return tuple(_together(own) for own in grouped.values())


def told_batch_sizes(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes at which resources are read: the least, each that at least doubles the last one, and the most.

    Memory grows steadily with the batch, and a start goes through all of them.
    """
    told: list[int] = []
    for size in sorted(set(batch_sizes)):
        if not told or size >= 2 * told[-1]:
            told.append(size)
    most = max(batch_sizes)
    return tuple(told) if told[-1] == most else (*told, most)


def _together(starts: Sequence[StartReading]) -> ColumnResources:
    first = starts[0]
    return ColumnResources(
        execution=first.execution,
        base_memory_bytes=_known([start.base_memory_bytes for start in starts]),
        load_s=_known([start.load_s for start in starts]),
        first_inference_s=_known([start.first_inference_s for start in starts]),
        batches=tuple(
            _batch([start.batches[i] for start in starts]) for i in range(min(len(start.batches) for start in starts))
        ),
        lacks={name: why for start in starts for name, why in start.lacks.items()},
    )


def _batch(readings: Sequence[BatchReading]) -> BatchResources:
    def of_gpu(figure: Callable[[GpuReading], float | None]) -> Reading | None:
        return _if_told([None if reading.gpu is None else figure(reading.gpu) for reading in readings])

    return BatchResources(
        batch_size=readings[0].batch_size,
        peak_memory_bytes=_if_told([reading.peak_memory_bytes for reading in readings]),
        busy_cores=_known([reading.busy_cores for reading in readings]),
        package_energy_j=_if_told([reading.package_energy_j for reading in readings]),
        gpu_memory_bytes=of_gpu(lambda gpu: gpu.memory_bytes),
        gpu_busy_ratio=of_gpu(lambda gpu: gpu.busy_ratio),
        gpu_power_w=of_gpu(lambda gpu: gpu.power_w),
        gpu_energy_j=of_gpu(lambda gpu: gpu.energy_j),
    )


def _if_told(values: Sequence[float | None]) -> Reading | None:
    told = [value for value in values if value is not None]
    return _known(told) if told else None


def _known(values: Sequence[float]) -> Reading:
    samples = np.array(values, dtype=np.float64)
    return Reading(
        median=percentile(samples, 0.5), least=float(samples.min()), most=float(samples.max()), n_samples=samples.size
    )
