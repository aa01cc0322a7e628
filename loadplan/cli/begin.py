"""The commands before the first run: a scenario to begin with, and what this machine can do."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption

if TYPE_CHECKING:
    from loadplan.doctor.finding import Finding
    from loadplan.pipeline.starter import Starter

ModelArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[MODEL]", help="The model's file, such as model.onnx; none: write it yourself."),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    app.command()(init)
    app.command()(doctor)


def init(
    model: ModelArgument = None,
    out: OutOption = Path("scenario.yaml"),
    force: ForceOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """Write a scenario to begin with: every key, its default, and what it means."""
    from loadplan.pipeline.starter import write_starter

    written = write_starter(out, model=model, may_replace=force)
    document = {
        "schema": "loadplan.init/1",
        "scenario": str(written.path),
        "yours": list(written.yours),
        "inputs": [{"name": each.name, "dtype": each.dtype, "shape": list(each.shape)} for each in written.inputs],
    }
    console.result("\n".join(_starter_lines(written)), document, as_json=as_json)


def doctor(as_json: JsonOption = False, debug: DebugOption = False) -> int:
    """What this machine can do, and the command that mends what it lacks; listens for neighbours for 3 s."""
    from loadplan.clock import utc_now
    from loadplan.doctor.examine import examine
    from loadplan.doctor.finding import fault_of

    findings = []
    for finding in examine(today=utc_now().date()):
        console.stop_request.heed()
        findings.append(finding)
        if not as_json:
            print("\n".join(_finding_lines(finding)), flush=True)
    fault = fault_of(findings)
    if as_json:
        head: dict[str, object] = {"schema": "loadplan.doctor/1"}
        if fault is not None:
            head = {"schema": "loadplan.error/1", "what": fault.what, "where": fault.where, "fix": fault.fix}
        console.show_json({**head, "findings": [asdict(finding) for finding in findings]})
    return console.exit_code(fault, debug=debug)


def _starter_lines(written: "Starter") -> list[str]:
    return [
        str(written.path),
        f"write your own: {', '.join(written.yours)}",
        f"then run it: loadplan run {written.path}",
    ]


def _finding_lines(finding: "Finding") -> list[str]:
    said = [f"{finding.state:<6} {finding.name:<16} {finding.what}"]
    return said if finding.fix is None else [*said, f"{'':<6} {'':<16} fix: {finding.fix}"]
