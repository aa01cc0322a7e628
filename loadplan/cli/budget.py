"""`loadplan budget`: the bill of a run's plan, for whoever owns the budget."""

from pathlib import Path
from typing import Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import AsOfOption, DebugOption, JsonOption, RunArgument, parse_date

LinesOption = Annotated[
    list[str] | None,
    typer.Option("--line", metavar="NAME=USD", help="What else a month costs: load balancer, disk, control plane or "
                 "data transfer; may be repeated."),
]  # fmt: skip
FolderOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where the files go; by default RUN/budget.")
]


def register(app: typer.Typer) -> None:
    """Hang the command into the tree."""
    app.command()(budget)


def budget(
    run: RunArgument,
    line: LinesOption = None,
    output: FolderOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """The budget of a run's plan: its months as CSV on standard output, and a workbook that computes."""
    from loadplan.clock import utc_now
    from loadplan.pipeline.artifacts import BUDGET
    from loadplan.pipeline.budget import BUDGET_FOLDER, read_planned, write_budget
    from loadplan.plan.offers import bought, require_recent_prices
    from loadplan.report.budget.lines import parse_lines

    day = parse_date(as_of) or utc_now().date()
    given, planned = parse_lines(line or []), read_planned(run)
    require_recent_prices(bought(planned.plan), as_of=day)
    folder = output or run / BUDGET_FOLDER
    names = write_budget(folder, planned.plan, planned.scenario, origin=planned.origin, given=given)
    text = (folder / BUDGET).read_text(encoding="utf-8")
    files = [str(folder / name) for name in names]
    if not as_json:
        console.note(f"written: {', '.join(files)}")
    console.result(text.rstrip("\n"), {"schema": "loadplan.budget/1", "csv": text, "files": files}, as_json=as_json)
    return console.exit_code(None, debug=debug)
