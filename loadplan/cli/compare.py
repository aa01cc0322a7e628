"""The command that sets two sweeps or two whole runs against each other, for people and for CI."""

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
    from loadplan.comparison import RunComparison
    from loadplan.errors import LoadplanError

_DEARER = "dearer"  # of whole runs: the second plan costs more

BaseArgument = Annotated[
    Path, typer.Argument(metavar="A", help="Before: a run folder, or a file that `loadplan bench --out` wrote.")
]
HeadArgument = Annotated[Path, typer.Argument(metavar="B", help="After: another one.")]
ThresholdOption = Annotated[str, typer.Option("--threshold", help="A change of the mean up to this is none.")]
FailOnOption = Annotated[
    str,
    typer.Option("--fail-on", metavar="WHAT", help="Exit 1 on slower, faster, missing, dearer; or none."),
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
    """What changed from one run or benchmark to another, and why, as far as the noise lets one say."""
    from loadplan.bench.compare import compare_benches
    from loadplan.cli.documents import compare_document
    from loadplan.pipeline.artifacts import read_bench_at

    allowed_ratio, findings = parse_percent(threshold), _findings(fail_on)
    whole = _whole_runs(base, head, allowed_ratio) if base.is_dir() and head.is_dir() else None
    if whole is None:
        _refuse_dearer(fail_on)
        comparison: BenchComparison | None = compare_benches(
            read_bench_at(base), read_bench_at(head), allowed_ratio=allowed_ratio
        )
    else:
        comparison = whole.bench
    failure = _failure(comparison, whole, fail_on, across_machines=across_machines)
    if junit is not None:
        from loadplan.cli.junit import write_junit

        cases = _run_cases(whole, failure) if whole else []
        cases += _cases(comparison, failure, findings) if comparison else []
        write_junit(junit, suite="loadplan compare", cases=cases)
    lines = _lines(comparison) if comparison else []
    document = compare_document(comparison, failure)
    if whole is not None:
        from loadplan.cli.run_comparison import comparison_document, comparison_lines, comparison_markdown
        from loadplan.cli.step_summary import append_step_summary

        append_step_summary(comparison_markdown(whole))
        lines, document = [*comparison_lines(whole), *lines], {**document, **comparison_document(whole)}
    console.result("\n".join(lines), document, as_json=as_json)
    return console.exit_code(failure, debug=debug)


def _failure(
    comparison: "BenchComparison | None", whole: "RunComparison | None", fail_on: str, *, across_machines: bool
) -> "LoadplanError | None":
    """Of the benchmarks first: where they can't be believed, nothing else is."""
    from loadplan.bench.compare import failure_of
    from loadplan.comparison import dearer

    found = None
    if comparison is not None:
        found = failure_of(comparison, fail_on=_findings(fail_on), across_machines=across_machines)
    if found is None and whole is not None and _DEARER in _words(fail_on):
        found = dearer(whole)
    return found


def _refuse_dearer(fail_on: str) -> None:
    if _DEARER in _words(fail_on):
        raise InputError(
            what="a benchmark has no bill, so none can be dearer",
            where="--fail-on",
            fix="compare two run folders, or leave `dearer` out",
        )


def _whole_runs(base: Path, head: Path, allowed_ratio: float) -> "RunComparison":
    from loadplan.comparison import compare_runs
    from loadplan.pipeline.artifacts import read_findings
    from loadplan.store.run_folder import read_run_folder

    before, after = (read_findings(read_run_folder(path)) for path in (base, head))
    return compare_runs(before, after, names=(str(base), str(head)), allowed_ratio=allowed_ratio)


def _run_cases(whole: "RunComparison", failure: "LoadplanError | None") -> "list[CheckedCase]":
    """One for the bill, which fails only where that was asked for."""
    from loadplan.cli.junit import CheckedCase
    from loadplan.comparison import dearer

    found = dearer(whole)
    is_failed = found is not None and failure is not None and failure.what == found.what
    return [
        CheckedCase(name="the bill", outcome="failure" if is_failed else "passed", message=found.what if found else "")
    ]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _findings(text: str) -> "tuple[Finding, ...]":
    from loadplan.bench.compare import Finding

    words = [word for word in _words(text) if word != _DEARER]
    if words in ([], ["none"]):
        return ()
    known = {name: name for name in get_args(Finding)}
    if unknown := [word for word in words if word not in known]:
        raise InputError(
            what=f"{unknown[0]!r} is nothing that a comparison finds",
            where="--fail-on",
            fix=f"write one or more of {', '.join((*known, _DEARER))}, separated by commas, or none",
        )
    return tuple(known[word] for word in words)


def _lines(comparison: "BenchComparison") -> list[str]:
    from loadplan.bench.compare import cell_name
    from loadplan.cli.lines import doubt_text

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
    return [*lines, *(f"doubt     {doubt_text(caveat)}" for caveat in comparison.caveats)]


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
