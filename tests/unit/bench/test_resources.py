"""The starts of a column together, and the batch sizes that they go through."""

import pytest

from loadplan.bench.resources import (
    GPU,
    BatchReading,
    GpuReading,
    Reading,
    StartReading,
    column_resources,
    told_batch_sizes,
)
from loadplan.execution import ExecutionConfig

SMALL, LARGE = ExecutionConfig(variant="int8"), ExecutionConfig(variant="fp32")


def start(
    i: int,
    *,
    execution: ExecutionConfig = LARGE,
    load_s: float = 1.0,
    peak_bytes: int | None = 100,
    energy_j: float | None = None,
    gpu: GpuReading | None = None,
    lacks: dict[str, str] | None = None,
) -> StartReading:
    return StartReading(
        execution=execution,
        i_start=i,
        base_memory_bytes=1000 + i,
        load_s=load_s,
        first_inference_s=load_s / 10,
        batches=tuple(
            BatchReading(
                batch_size=size,
                peak_memory_bytes=peak_bytes and peak_bytes * size,
                busy_cores=0.5,
                package_energy_j=energy_j,
                gpu=gpu,
            )
            for size in (1, 8)
        ),
        lacks=lacks or {},
    )


def test_each_figure_of_a_column_is_the_middle_of_its_starts_between_their_extremes() -> None:
    starts = [start(0, load_s=5.0), start(0, execution=SMALL), start(1, load_s=2.0), start(2, load_s=3.0)]
    large, small = column_resources(starts)
    assert (large.execution, small.execution) == (LARGE, SMALL)
    assert large.load_s == Reading(median=3.0, least=2.0, most=5.0, n_samples=3)
    assert large.base_memory_bytes == Reading(median=1001.0, least=1000.0, most=1002.0, n_samples=3)
    assert small.load_s == Reading(median=1.0, least=1.0, most=1.0, n_samples=1)
    assert [batch.batch_size for batch in large.batches] == [1, 8]
    assert large.batches[1].peak_memory_bytes == Reading(median=800.0, least=800.0, most=800.0, n_samples=3)


def test_what_no_start_could_tell_is_none_with_its_reason_and_never_0() -> None:
    (column,) = column_resources(
        [start(0, peak_bytes=None, lacks={GPU: "it ran on no GPU"}), start(1, peak_bytes=None)]
    )
    assert [batch.peak_memory_bytes for batch in column.batches] == [None, None]
    assert (column.batches[0].package_energy_j, column.batches[0].gpu_energy_j) == (None, None)
    assert column.lacks == {GPU: "it ran on no GPU"}


def test_what_one_start_of_several_told_counts_alone() -> None:
    told = GpuReading(memory_bytes=7, busy_ratio=0.5, power_w=None, energy_j=2.0)
    (column,) = column_resources([start(0, energy_j=0.3), start(1, gpu=told)])
    assert column.batches[0].package_energy_j == Reading(median=0.3, least=0.3, most=0.3, n_samples=1)
    assert column.batches[0].gpu_memory_bytes == Reading(median=7.0, least=7.0, most=7.0, n_samples=1)
    assert column.batches[0].gpu_energy_j == Reading(median=2.0, least=2.0, most=2.0, n_samples=1)
    assert column.batches[0].gpu_power_w is None


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ((1,), (1,)),
        ((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32), (1, 2, 4, 8, 16, 32)),
        ((20, 6, 3, 24, 3), (3, 6, 20, 24)),
        ((1, 3, 4), (1, 3, 4)),
    ],
)
def test_memory_is_told_at_the_ends_and_at_every_doubling(measured: tuple[int, ...], told: tuple[int, ...]) -> None:
    assert told_batch_sizes(measured) == told
