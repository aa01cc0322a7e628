"""The commands that walk the road: the whole of it, up to one stage, or one stage of an existing run again."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from loadplan.cli import console
from loadplan.cli.options import (
    DEFAULT_OUTPUT,
    AsOfOption,
    DebugOption,
    FreshOption,
    JsonOption,
    OutputOption,
    QuietOption,
    RunArgument,
    ScenarioArgument,
    parse_date,
    parse_prices,
    parse_profiles,
    parse_proposal,
    parse_today,
)
from loadplan.errors import InputError
from loadplan.scenario.spec import StageName

AssetsPlace = Literal["inline", "split"]
UntilOption = Annotated[StageName, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")]
PlanArgument = Annotated[Path, typer.Argument(metavar="SCENARIO or RUN", help="A scenario file or a run folder.")]
CapacitiesOption = Annotated[
    Path | None, typer.Option("--capacities", metavar="FILE.csv", help="Plan on capacities measured elsewhere.")
]
ProfilesOption = Annotated[
    list[str] | None,
    typer.Option("--profiles", metavar="FILE[=P/TYPE]", help="What `loadplan profile` wrote elsewhere; repeatable."),
]
LedgerOption = Annotated[
    bool, typer.Option("--ledger", help="Widen intervals that earlier verifications showed to be too narrow.")
]
PriceOption = Annotated[
    list[str] | None, typer.Option("--price", metavar="P/R/TYPE=X", help="Your own USD per hour; may be repeated.")
]
TodayOption = Annotated[
    list[str] | None, typer.Option("--today", metavar="OFFER=N", help="What runs now, for the difference; repeatable.")
]
ProposalOption = Annotated[
    list[str] | None,
    typer.Option("--proposal", metavar="OFFER=N", help="What somebody would buy: how much stands idle; repeatable."),
]
UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Drive this server (protocol v2), not loadplan's own.")
]
RemoteOption = Annotated[
    list[str] | None, typer.Option("--allow-remote", metavar="HOST", help="A host that may be driven; repeatable.")
]
InstanceTypeOption = Annotated[
    str | None, typer.Option("--instance-type", metavar="P/TYPE", help="What the server runs on, where nothing tells.")
]
AssetsOption = Annotated[
    AssetsPlace,
    typer.Option(
        "--assets",
        metavar="WHERE",
        help="`split` writes RUN/report/ with style and scripts in files of their own, for viewers such as Jenkins "
        "that let nothing in a page run.",
    ),
]
SharpnessOption = Annotated[
    bool, typer.Option("--sharpness", help="Also drive 1.25 × the rate, to see what is left on the table.")
]

AudienceOption = Annotated[
    Literal["engineer", "budget"],
    typer.Option("--audience", metavar="WHO", help="engineer, or budget: money first, no benchmarks, every term told."),
]


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    for command in (run, export, fit, plan, verify, report):
        app.command()(command)


def run(
    scenario: ScenarioArgument,
    until: UntilOption = "report",
    fresh: FreshOption = False,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """The whole road: from a model to a priced, verified plan. The same command again resumes."""
    from loadplan.cli.documents import run_document
    from loadplan.cli.summary import road_summary
    from loadplan.pipeline.road import run as run_road

    with console.watching(quiet=quiet or as_json) as observer:
        end = run_road(scenario, results=output, fresh=fresh, until=until, observer=observer)
    console.result(road_summary(end), run_document(end), as_json=as_json)
    return console.exit_code(end.failure, debug=debug)


def export(
    scenario: ScenarioArgument,
    fresh: FreshOption = False,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """ONNX variants of the scenario's model, with proof that they still answer like it."""
    from loadplan.cli.documents import export_document
    from loadplan.cli.summary import export_lines
    from loadplan.pipeline.road import run as run_road

    with console.watching(quiet=quiet or as_json) as observer:
        end = run_road(scenario, results=output, fresh=fresh, until="export", observer=observer)
    exported = end.findings.export
    if exported is None and end.failure is not None:
        raise end.failure
    if exported is not None:
        console.result(
            "\n".join(export_lines(exported, end.folder)), export_document(exported, end.folder), as_json=as_json
        )
    return console.exit_code(end.failure, debug=debug)


def fit(
    run: RunArgument,
    ledger: LedgerOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """Fit the laws to a run's bench and load runs, and say what one server carries with each setting."""
    from loadplan.cli.documents import fit_document
    from loadplan.cli.summary import fit_lines
    from loadplan.pipeline.resume import fit_again, fit_with_ledger

    with console.watching(quiet=quiet or as_json) as observer:
        fitted = fit_with_ledger(run, observer=observer) if ledger else fit_again(run, observer=observer)
    console.result("\n".join(fit_lines(fitted)), fit_document(fitted), as_json=as_json)
    return console.exit_code(None, debug=debug)


def plan(
    target: PlanArgument,
    capacities: CapacitiesOption = None,
    profiles: ProfilesOption = None,
    price: PriceOption = None,
    as_of: AsOfOption = None,
    today: TodayOption = None,
    proposal: ProposalOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> int:
    """The cheapest fleet that meets every objective, and why each other one lost."""
    prices, day, files = parse_prices(price or []), parse_date(as_of), parse_profiles(profiles or [])
    running, proposed = parse_today(today or []), parse_proposal(proposal or [])
    if capacities is not None and files:
        raise InputError(
            what="--capacities and --profiles are two ways to know a capacity",
            where="the command line",
            fix="give one of the two",
        )
    from loadplan.cli.documents import plan_document
    from loadplan.cli.summary import plan_summary
    from loadplan.pipeline.question import Fleets
    from loadplan.pipeline.resume import plan_again
    from loadplan.pipeline.road import plan_given
    from loadplan.pipeline.road import run as run_road

    fleets = Fleets(today=running, proposal=proposed)
    with console.watching(quiet=quiet or as_json) as observer:
        if capacities is not None:
            planned = plan_given(target, capacities, as_of=day, prices=prices, fleets=fleets)
        elif target.is_dir():
            planned = plan_again(target, as_of=day, prices=prices, profiles=files, fleets=fleets, observer=observer)
        else:
            end = run_road(target, results=output, until="fit", observer=observer)
            if end.failure is not None:
                raise end.failure
            planned = plan_again(end.folder, as_of=day, prices=prices, profiles=files, fleets=fleets, observer=observer)
    console.result(plan_summary(planned), plan_document(planned), as_json=as_json)
    return 0 if planned.feasible else 1


def verify(
    run: RunArgument,
    url: UrlOption = None,
    allow_remote: RemoteOption = None,
    instance_type: InstanceTypeOption = None,
    sharpness: SharpnessOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """Drive a run's plan live: PASS or FAIL, and of what."""
    from loadplan.cli.documents import verify_document
    from loadplan.cli.verdict_lines import verdict_lines
    from loadplan.pipeline.resume import report_again, verify_again
    from loadplan.pipeline.verification import VerificationRequest
    from loadplan.verify import failure_of

    if instance_type is not None and not all(instance_type.partition("/")):
        raise InputError(
            what=f"{instance_type!r} is no instance type",
            where="--instance-type",
            fix="write provider/type, such as aws/c7i.large",
        )
    request = VerificationRequest(
        url=url, allow_remote=tuple(allow_remote or ()), instance_type=instance_type, is_sharp=sharpness
    )
    with console.watching(quiet=quiet or as_json) as observer:
        verdict = verify_again(run, request=request, observer=observer)
        report_again(run, observer=observer)
    console.result("\n".join(verdict_lines(verdict)), verify_document(verdict), as_json=as_json)
    return console.exit_code(failure_of(verdict), debug=debug)


def report(
    run: RunArgument,
    assets: AssetsOption = "inline",
    audience: AudienceOption = "engineer",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """Write the HTML page and the budget of a run, as far as it came; or the page for whoever owns the budget."""
    from loadplan.pipeline.resume import budget_page_again, report_again, report_split

    if audience == "budget" and assets == "split":
        raise InputError(
            what="the page for the budget is one file",
            where="--audience budget --assets split",
            fix="leave one of both away",
        )
    write = report_split if assets == "split" else report_again
    with console.watching(quiet=quiet or as_json) as observer:
        path = budget_page_again(run, observer=observer) if audience == "budget" else write(run, observer=observer)
    console.result(str(path), {"schema": "loadplan.report/1", "report": str(path)}, as_json=as_json)
    return console.exit_code(None, debug=debug)
