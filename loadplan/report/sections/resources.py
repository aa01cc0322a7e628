"""What the benchmark measured besides time: how a replica starts, what it holds and burns, what the machine attains.

The decision a reader would question: starts are too few for an interval, so their extremes stand beside the middle one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from loadplan.bench.grid import CPU
from loadplan.bench.records import BenchRun
from loadplan.bench.resources import GPU, MEMORY, PACKAGE, BatchResources, ColumnResources, Reading, column_resources
from loadplan.report.page import Block, Column, Fold, Table, Text, number, text
from loadplan.report.view import UNKNOWN, counted, digits, percent, threads_text
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.units import SECONDS_PER_MS

_MB = 1e6
_MJ = 1e-3
_LACKING = {MEMORY: "Memory", PACKAGE: "Energy of the processor", GPU: "Figures of a GPU"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """One column of figures by batch size, left out where no start told it."""

    column: Column
    read: Callable[[BatchResources], Reading | None]
    unit: float = 1.0


_FIGURES = (
    _Figure(column=number("memory, MB"), read=lambda batch: batch.peak_memory_bytes, unit=_MB),
    _Figure(column=number("busy cores"), read=lambda batch: batch.busy_cores),
    _Figure(column=number("mJ an inference"), read=lambda batch: batch.package_energy_j, unit=_MJ),
    _Figure(column=number("GPU memory, MB"), read=lambda batch: batch.gpu_memory_bytes, unit=_MB),
    _Figure(column=number("GPU busy, %"), read=lambda batch: batch.gpu_busy_ratio, unit=0.01),
    _Figure(column=number("GPU power, W"), read=lambda batch: batch.gpu_power_w),
    _Figure(column=number("GPU mJ an inference"), read=lambda batch: batch.gpu_energy_j, unit=_MJ),
)


def resource_folds(bench: BenchRun) -> list[Block]:
    """Tables of the starts and of the probe, as far as there are any."""
    columns = column_resources(bench.starts)
    folds: list[Block] = []
    if columns:
        needs = _batches(columns, bench.machine.n_usable_cores)
        folds.append(Fold(title="How a replica starts, and what it holds", blocks=(_starts(columns),)))
        folds.append(Fold(title="What each batch size needs", blocks=(needs, *_lacking(columns))))
    if bench.probe is not None:
        folds.append(Fold(title="What this machine attains", blocks=(_probe(bench.probe),)))
    return folds


def _starts(columns: tuple[ColumnResources, ...]) -> Table:
    n_starts = sum(column.load_s.n_samples for column in columns)
    return Table(
        caption=f"{counted(n_starts, 'start')}, each of a process of its own that has Python, the runtime and the rows "
        "in memory and the model's file in the page cache; the middle start, least to most (measured)",
        columns=(
            text("variant"),
            text("threads"),
            number("model opened, ms"),
            number("first answer, ms"),
            number("in memory before, MB"),
            number("beyond it at most, MB"),
            number("starts"),
        ),
        rows=tuple(
            (
                column.execution.variant,
                threads_text(column.execution),
                _told(column.load_s, SECONDS_PER_MS),
                _told(column.first_inference_s, SECONDS_PER_MS),
                _told(column.base_memory_bytes, _MB),
                _told(column.batches[-1].peak_memory_bytes, _MB) if column.batches else UNKNOWN,
                str(column.load_s.n_samples),
            )
            for column in columns
        ),
    )


def _batches(columns: tuple[ColumnResources, ...], n_cores: int) -> Table:
    batches = [(column, batch) for column in columns for batch in column.batches]
    shown = [figure for figure in _FIGURES if any(figure.read(batch) is not None for _, batch in batches)]
    return Table(
        caption="Memory is the most that a process held which opened the model and answered batches up to this size; "
        f"cores are CPU seconds a second, of {counted(n_cores, 'usable core')}, less where "
        "neighbours held them; energy is of the whole processor or "
        "GPU, whoever used it, idle included (measured)",
        columns=(text("variant"), text("threads"), number("rows"), *(figure.column for figure in shown)),
        rows=tuple(
            (
                column.execution.variant,
                threads_text(column.execution),
                str(batch.batch_size),
                *(_told(figure.read(batch), figure.unit) for figure in shown),
            )
            for column, batch in batches
        ),
    )


def _lacking(columns: tuple[ColumnResources, ...]) -> tuple[Text, ...]:
    """Why there are no such figures; that a column on the CPU has none of a GPU goes without saying."""
    reasons = {
        (name, why): None
        for column in columns
        for name, why in column.lacks.items()
        if name != GPU or column.execution.provider != CPU
    }
    return tuple(Text(text=f"{_LACKING[name]}: not known, {why}.") for name, why in reasons)


def _probe(probe: ProbeResult) -> Table:
    figures = (
        ("product of float32 matrices, GFLOP/s", probe.gflops_one_thread, probe.gflops_all_threads),
        ("copy in memory, GB/s", probe.gb_per_s_one_core, probe.gb_per_s_all_cores),
        ("integer work with many branches, turns/s", probe.turns_per_s, None),
    )
    lost = probe.lost_ratio
    return Table(
        caption=f"Attained whatever the model: means of {counted(lost.n_samples, 'visit')} to each with their 95 % "
        f"intervals; neighbours took {percent(lost.mean)} of a core's time meanwhile (measured)",
        columns=(text("work"), number("one core"), number(counted(probe.n_threads, "core"))),
        rows=tuple((name, _attained(one), "–" if every is None else _attained(every)) for name, one, every in figures),
    )


def _attained(figure: ProbedFigure) -> str:
    return f"{digits(figure.mean)} ({digits(figure.interval.low)} to {digits(figure.interval.high)})"


def _told(reading: Reading | None, unit: float) -> str:
    if reading is None:
        return UNKNOWN
    middle = digits(reading.median / unit)
    low, high = digits(reading.least / unit), digits(reading.most / unit)
    return middle if low == high else f"{middle} ({low} to {high})"
