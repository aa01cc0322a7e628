"""The command that sets two sweeps against each other, for people and for CI."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption
from loadplan.errors import InputError
from loadplan.units import parse_percent

if TYPE_CHECKING:
    from loadplan.bench.compare import BenchComparison, CellChange, Finding
    from loadplan.cli.junit import CheckedCase, Outcome
    from loadplan.errors import LoadplanError

BaseArgument = Annotated[
    Path, typer.Argument(metavar="A", help="Before: a run folder, or a file that `loadplan bench --out` wrote.")
]
HeadArgument = Annotated[Path, typer.Argument(metavar="B", help="After: another one.")]
ThresholdOption = Annotated[str, typer.Option("--threshold", help="A change of the mean up to this is none.")]
FailOnOption = Annotated[
    str, typer.Option("--fail-on", metavar="WHAT", help="Exit 1 on slower, faster, missing (by commas); or none.")
]
AcrossOption = Annotated[bool, typer.Option("--across-machines", help="A and B may be of different machines.")]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a test case per cell.")
]


def register(app: typer.Typer) -> None:
    """Hang this command into the tree."""
    app.command()(compare)


def compare(
    base: BaseArgument,
    head: HeadArgument,
    threshold: ThresholdOption = "3%",
    fail_on: FailOnOption = "slower",
    across_machines: AcrossOption = False,
    junit: JunitOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """What changed from one benchmark to another, cell by cell, as far as the noise lets one say."""
    from loadplan.bench.compare import compare_benches, failure_of
    from loadplan.cli.documents import compare_document
    from loadplan.pipeline.artifacts import read_bench_at

    allowed_ratio, findings = parse_percent(threshold), _findings(fail_on)
    comparison = compare_benches(read_bench_at(base), read_bench_at(head), allowed_ratio=allowed_ratio)
    failure = failure_of(comparison, fail_on=findings, across_machines=across_machines)
    if junit is not None:
        from loadplan.cli.junit import write_junit

        write_junit(junit, suite="loadplan compare", cases=_cases(comparison, failure, findings))
    console.result("\n".join(_lines(comparison)), compare_document(comparison, failure), as_json=as_json)
    return console.exit_code(failure, debug=debug)


def _findings(text: str) -> "tuple[Finding, ...]":
    from loadplan.bench.compare import Finding

    words = [word.strip() for word in text.split(",")]
    if words == ["none"]:
        return ()
    known = {name: name for name in get_args(Finding)}
    if unknown := [word for word in words if word not in known]:
        raise InputError(
            what=f"{unknown[0]!r} is nothing that a comparison finds",
            where="--fail-on",
            fix=f"write one or more of {', '.join(known)}, separated by commas, or none",
        )
    return tuple(known[word] for word in words)


def _lines(comparison: "BenchComparison") -> list[str]:
    from loadplan.bench.compare import cell_name

    counts = {
        change: sum(cell.change == change for cell in comparison.cells)
        for change in ("slower", "faster", "same", "noisy")
    }
    said = f"{counts['same']} with no change beyond {comparison.allowed_ratio:.1%}"
    lines = [
        f"{counts['slower']} slower, {counts['faster']} faster, {said}, {counts['noisy']} too noisy to say",
        f"{'':<50} after/before  95 % interval       p",
    ]
    lines += [
        f"{cell_name(cell.cell):<50} {cell.ratio:>12.3f}  {cell.interval.low:.3f} to {cell.interval.high:.3f}  "
        f"{'' if cell.p_value is None else format(cell.p_value, '8.2g'):>8}  {_word(cell)}".rstrip()
        for cell in comparison.cells
    ]
    lines += [f"{cell_name(cell):<50} only in the first" for cell in comparison.only_in_base]
    lines += [f"{cell_name(cell):<50} only in the second" for cell in comparison.only_in_head]
    return [*lines, *(f"doubt     {caveat.what}" for caveat in comparison.caveats)]


def _word(cell: "CellChange") -> str:
    return "" if cell.change == "same" else cell.change


def _cases(
    comparison: "BenchComparison", failure: "LoadplanError | None", fail_on: "tuple[Finding, ...]"
) -> "list[CheckedCase]":
    from loadplan.bench.compare import cell_name
    from loadplan.cli.junit import CheckedCase
    from loadplan.errors import InvalidMeasurement

    if isinstance(failure, InvalidMeasurement):
        return [
            CheckedCase(name=cell_name(cell.cell), outcome="error", message=failure.what) for cell in comparison.cells
        ]
    gone: Outcome = "failure" if "missing" in fail_on else "skipped"
    return [
        *(
            CheckedCase(name=cell_name(cell.cell), outcome=_outcome(cell, fail_on), message=_said(cell))
            for cell in comparison.cells
        ),
        *(
            CheckedCase(name=cell_name(cell), outcome=gone, message="missing in the second benchmark")
            for cell in comparison.only_in_base
        ),
    ]


def _outcome(cell: "CellChange", fail_on: "tuple[Finding, ...]") -> "Outcome":
    if cell.change == "noisy":
        return "skipped"
    return "failure" if cell.change in fail_on else "passed"


def _said(cell: "CellChange") -> str:
    return f"{cell.change}: ×{cell.ratio:.3f} ({cell.interval.low:.3f} to {cell.interval.high:.3f})"
