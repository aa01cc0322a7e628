"""Print the table of docs/models.md, source × variant × parity × size × speed: `python tools/model_table.py RUN...`.

Every figure comes from a run folder's `export.json` and `bench.parquet`. Run it on folders of one machine only: it
refuses others, since times of two machines in one table would pass for a difference between models. The decision a
reader would question: times are those of the fewest threads that were measured, on one core as a rule, so that rows
compare; medians, and rows a second by the mean, which is what a busy server delivers.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from loadplan.bench.records import BenchRun, CellSummary
from loadplan.errors import InputError, LoadplanError
from loadplan.export.artifact import ExportedModel, ParityCheck
from loadplan.pipeline.artifacts import read_findings
from loadplan.report.findings import Findings
from loadplan.report.view import digits, percent
from loadplan.store.run_folder import read_run_folder
from loadplan.units import SECONDS_PER_MS

_COLUMNS = (
    "source", "model", "variant", "bytes", "largest error", "kept of the source", "opens in (ms)", "1 row (ms)",
    "largest batch (ms)", "rows/s", "samples",
)  # fmt: skip


def main(folders: Sequence[str]) -> None:
    """Print the table, and the machine under it."""
    found = [read_findings(read_run_folder(Path(folder))) for folder in folders]
    machines = {(known.machine.cpu_model, known.machine.n_usable_cores) for known in found if known.machine}
    if len(machines) != 1:
        raise InputError(
            what=f"the runs were made on {len(machines)} machines" if folders else "no run folder was given",
            where=", ".join(folders),
            fix="give run folders of one machine",
        )
    ((cpu, n_cores),) = machines
    lines = [*table(found), "", f"Measured on {cpu}, {n_cores} usable cores."]
    sys.stdout.write("\n".join(lines) + "\n")


def table(found: Iterable[Findings]) -> list[str]:
    """The lines of a Markdown table: one row for each variant, the refused ones with their reason."""
    rows = [row for known in found for row in _rows(known)]
    return [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *(_line(row) for row in rows)]


def _rows(known: Findings) -> list[Sequence[str]]:
    if known.export is None or known.scenario is None or known.scenario.model is None:
        return []
    model_of = known.export.source.rpartition("(")[2].partition(";")[0].removesuffix(")")
    named = (known.scenario.model.kind, f"{known.scenario.name} ({model_of})")
    rows: list[Sequence[str]] = [(*named, *_variant(model, known.bench)) for model in known.export.models]
    rest = [""] * (len(_COLUMNS) - 4)
    rows += [(*named, refused.variant, f"refused: {refused.reason}", *rest) for refused in known.export.refused]
    return rows


def _variant(model: ExportedModel, bench: BenchRun | None) -> list[str]:
    error = max(check.max_abs_error for check in model.parity)
    opening = "" if model.opening is None else _ms(model.opening.median_s)
    said = [model.variant, f"{model.n_bytes:,}", f"{error:.1e}", _kept(model.parity), opening]
    cells = _cells(model.variant, bench)
    if not cells:
        return [*said, "not measured", "", "", ""]
    first, last = cells[0], cells[-1]
    largest = f"{_ms(last.median_s)} for {last.cell.batch_size}"
    samples = f"{first.n_samples:,} and {last.n_samples:,}"
    return [*said, _ms(first.median_s), largest, digits(last.cell.batch_size / last.mean_s), samples]


def _kept(parity: Sequence[ParityCheck]) -> str:
    """What is left of the source's answers at the worst batch size: its best class, else their direction and order."""
    agreed = [check.top1_agreement_ratio for check in parity if check.top1_agreement_ratio is not None]
    if agreed:
        return f"top-1 {percent(min(agreed))}"
    cosines = [check.min_cosine for check in parity if check.min_cosine is not None]
    ranks = [check.rank_correlation for check in parity if check.rank_correlation is not None]
    kept = [f"cosine {min(cosines):.5f}"] if cosines else []
    return ", ".join([*kept, *([f"rank {min(ranks):.5f}"] if ranks else [])])


def _cells(variant: str, bench: BenchRun | None) -> list[CellSummary]:
    """By batch size, with the fewest threads."""
    own = [cell for cell in (bench.cells if bench else ()) if cell.cell.execution.variant == variant]
    n_threads = min((cell.cell.execution.n_threads for cell in own), default=0)
    return sorted(
        (cell for cell in own if cell.cell.execution.n_threads == n_threads), key=lambda cell: cell.cell.batch_size
    )


def _ms(seconds: float) -> str:
    return digits(seconds / SECONDS_PER_MS)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LoadplanError as error:
        sys.exit(f"{error.what}\n  where: {error.where}\n  fix: {error.fix}")
