"""Start-up, memory, energy and the machine's own speed as JSON: each figure with its spread, `null` with its reason."""

from collections.abc import Mapping
from dataclasses import asdict, fields

from loadplan.bench.records import BenchRun
from loadplan.bench.resources import GPU, MEMORY, PACKAGE, BatchResources, ColumnResources, Reading, column_resources
from loadplan.speed import ProbedFigure, ProbeResult

Document = dict[str, object]

_UNTOLD = "no start told it"
_LACK_OF = {
    "peak_memory_bytes": MEMORY,
    "package_energy_j": PACKAGE,
    "gpu_memory_bytes": GPU,
    "gpu_busy_ratio": GPU,
    "gpu_power_w": GPU,
    "gpu_energy_j": GPU,
}


def resource_documents(run: BenchRun) -> list[Document]:
    """What the starts of each column told; a column that didn't start is among the caveats."""
    return [_column(column, run.machine.n_usable_cores) for column in column_resources(run.starts)]


def probe_document(probe: ProbeResult | None) -> Document:
    """What the machine attains."""
    if probe is None:
        return {"probe": None, "probe_reason": "the machine is probed for scenarios alone, which are planned"}
    figures = {field.name: getattr(probe, field.name) for field in fields(probe)}
    told = {name: _probed(figure) for name, figure in figures.items() if isinstance(figure, ProbedFigure)}
    return {"probe": {"n_threads": probe.n_threads, **told}}


def _column(column: ColumnResources, n_usable_cores: int) -> Document:
    return {
        **asdict(column.execution),
        "base_memory_bytes": asdict(column.base_memory_bytes),
        "load_s": asdict(column.load_s),
        "first_inference_s": asdict(column.first_inference_s),
        "batches": [_batch(batch, column.lacks, n_usable_cores) for batch in column.batches],
    }


def _batch(batch: BatchResources, lacks: Mapping[str, str], n_usable_cores: int) -> Document:
    document: Document = {
        "batch_size": batch.batch_size,
        "busy_cores": asdict(batch.busy_cores),
        "cpu_utilisation_ratio": batch.busy_cores.median / n_usable_cores,
    }
    for name, lack in _LACK_OF.items():
        reading: Reading | None = getattr(batch, name)
        document[name] = None if reading is None else asdict(reading)
        if reading is None:
            document[f"{name}_reason"] = lacks.get(lack, _UNTOLD)
    return document


def _probed(figure: ProbedFigure) -> Document:
    return {
        "mean": figure.mean,
        "mean_low": figure.interval.low,
        "mean_high": figure.interval.high,
        "n_samples": figure.n_samples,
    }
