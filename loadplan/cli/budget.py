"""`loadplan budget`: the bill of a run's plan, for whoever owns the budget."""

from pathlib import Path
from typing import Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import AsOfOption, DebugOption, JsonOption, RunArgument, parse_date
from loadplan.errors import InputError

LinesOption = Annotated[
    list[str] | None,
    typer.Option("--line", metavar="NAME=USD", help="What else a month costs: load balancer, disk, control plane or "
                 "data transfer; may be repeated."),
]  # fmt: skip
FocusOption = Annotated[
    str | None, typer.Option("--focus", metavar="VERSION", help="Forecast rows in the shape of FOCUS 1.2 or 1.4.")
]
ActualsOption = Annotated[
    Path | None,
    typer.Option("--actuals", metavar="FILE", help="The forecast beside what was billed: FOCUS rows of this service."),
]
MonthOption = Annotated[
    str | None,
    typer.Option("--from", metavar="YYYY-MM", help="The plan's first month; by default the one after the run."),
]
FolderOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where the files go; by default RUN/budget.")
]


def register(app: typer.Typer) -> None:
    """Hang the command into the tree."""
    app.command()(budget)


def budget(
    run: RunArgument,
    line: LinesOption = None,
    focus: FocusOption = None,
    actuals: ActualsOption = None,
    month: MonthOption = None,
    output: FolderOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """The budget of a run's plan: a workbook that computes, and its months as CSV on standard output.

    With --focus or --actuals the table on standard output is that one.
    """
    from loadplan.clock import utc_now
    from loadplan.pipeline.artifacts import BUDGET
    from loadplan.pipeline.budget import BUDGET_FOLDER, read_planned, write_budget, write_focus, write_variance
    from loadplan.plan.buying.offers import bought, require_recent_prices
    from loadplan.report.budget.focus import parse_version
    from loadplan.report.budget.lines import parse_lines

    if focus is not None and actuals is not None:
        raise InputError(
            what="--focus and --actuals are two tables",
            where="the command line",
            fix="ask for one, then for the other",
        )
    version = None if focus is None else parse_version(focus)
    given, planned = parse_lines(line or []), read_planned(run)
    require_recent_prices(bought(planned.plan), as_of=parse_date(as_of) or utc_now().date())
    folder = output or run / BUDGET_FOLDER
    table = None
    if version is not None:
        table = write_focus(folder, planned, version=version, month=month, given=given)
    elif actuals is not None:
        table = write_variance(folder, planned, actuals=actuals, month=month, given=given)
    names = write_budget(folder, planned.plan, planned.scenario, origin=planned.origin, given=given)
    text = table.text if table is not None else (folder / BUDGET).read_text(encoding="utf-8")
    files = [str(folder / name) for name in names] + ([] if table is None else [str(table.path)])
    if not as_json:
        console.note(f"written: {', '.join(files)}")
    console.result(text.rstrip("\n"), {"schema": "loadplan.budget/1", "csv": text, "files": files}, as_json=as_json)
    return console.exit_code(None, debug=debug)
