"""The command for a first answer without a scenario: of a model file, or of a service that runs already."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.cli import console
from loadplan.cli.measure import AnswerOption, BodyOption, HeaderOption, MethodOption, RemoteOption
from loadplan.cli.options import (
    DEFAULT_OUTPUT,
    DebugOption,
    FreshOption,
    JsonOption,
    OutputOption,
    QuietOption,
    parse_headers,
    parse_pointer,
    parse_proposal,
    parse_today,
)
from loadplan.cli.quick_service import quick_service
from loadplan.cli.road import InstanceTypeOption, ProposalOption, TodayOption, UntilOption
from loadplan.errors import InputError
from loadplan.units import SECONDS_PER_MS

if TYPE_CHECKING:
    from loadplan.cli.figures import Document
    from loadplan.pipeline.quick import QuickEnd

TargetArgument = Annotated[
    list[str], typer.Argument(metavar="MODEL.onnx or URL", help="The model to serve, or a service that runs already.")
]
PeakOption = Annotated[
    float | None, typer.Option("--peak-rps", metavar="R", help="Requests per second in the busiest hour.")
]
LimitOption = Annotated[
    float | None, typer.Option("--p99-ms", metavar="MS", help="All but 1 in 100 are answered within it. Needed.")
]
LogOption = Annotated[
    list[Path] | None,
    typer.Option("--log", metavar="FILE", help="Of a URL: its access log, which tells the peak; repeatable."),
]
CheckOption = Annotated[
    bool | None,
    typer.Option("--check/--no-check", help="Of a URL: drive it near its capacity in the end; by default if local."),
]
ProviderOption = Annotated[
    list[str] | None, typer.Option("--provider", metavar="P", help="Such as aws; repeatable. By default all three.")
]
RegionOption = Annotated[
    list[str] | None, typer.Option("--region", metavar="REGION", help="Such as us-east-1; repeatable.")
]


def register(app: typer.Typer) -> None:
    """Hang this command into the tree."""
    app.command()(quick)


def quick(
    target: TargetArgument,
    peak_rps: PeakOption = None,
    p99_ms: LimitOption = None,
    log: LogOption = None,
    today: TodayOption = None,
    proposal: ProposalOption = None,
    body: BodyOption = None,
    method: MethodOption = None,
    answer: AnswerOption = None,
    header: HeaderOption = None,
    allow_remote: RemoteOption = None,
    instance_type: InstanceTypeOption = None,
    check: CheckOption = None,
    provider: ProviderOption = None,
    region: RegionOption = None,
    until: UntilOption = "report",
    fresh: FreshOption = False,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """A first answer without a scenario, in a minute or two: it is written for you, with all that was assumed."""
    from loadplan.pipeline.quick import quick as run_quick
    from loadplan.scenario.draft import QuickQuestion
    from loadplan.scenario.service_draft import ServiceQuestion

    named = _only_one(target)
    if "://" in named:
        service = ServiceQuestion(
            url=named,
            p99_s=_limit_s(p99_ms, f"`loadplan quick {named.partition('?')[0]} --log access.log --p99-ms 80`"),
            request=None if body is None else str(body.absolute()),
            method=method,
            answer=None if answer is None else parse_pointer(answer),
            headers=parse_headers(header or []),
            allow_remote=tuple(allow_remote or ()),
            instance_type=instance_type,
            may_check=check,
            providers=tuple(provider or ()),
            regions=tuple(region or ()),
            today=parse_today(today or []),
            proposal=parse_proposal(proposal or []),
        )
        return quick_service(
            service,
            logs=log or [],
            peak_rps=peak_rps,
            output=output,
            fresh=fresh,
            until=until,
            as_json=as_json,
            quiet=quiet,
            debug=debug,
        )
    model = _model_file(named)
    of_services = {
        "--log": log,
        "--body": body,
        "--method": method,
        "--answer": answer,
        "--header": header,
        "--allow-remote": allow_remote,
        "--instance-type": instance_type,
        "--check": check,
    }
    _refuse_of_services(of_services, model)
    if peak_rps is None:
        raise InputError(
            what="how much traffic there is, and how fast it must be answered, is yours to say",
            where="--peak-rps, --p99-ms",
            fix=f"give both, such as `loadplan quick {model} --peak-rps 300 --p99-ms 50`",
        )
    question = QuickQuestion(
        model=model,
        peak_rps=peak_rps,
        p99_s=_limit_s(p99_ms, f"`loadplan quick {model} --peak-rps {peak_rps:g} --p99-ms 50`"),
        providers=tuple(provider or ()),
        regions=tuple(region or ()),
        today=parse_today(today or []),
        proposal=parse_proposal(proposal or []),
    )
    with console.watching(quiet=quiet or as_json) as observer:
        done = run_quick(question, results=output, fresh=fresh, until=until, observer=observer)
    console.result(_summary(done, output), _document(done), as_json=as_json)
    return console.exit_code(done.end.failure, debug=debug)


def _only_one(targets: list[str]) -> str:
    if len(targets) > 1:
        raise InputError(
            what=f"{len(targets)} models are named, and a fleet that serves several can't be planned yet",
            where="loadplan quick",
            fix="name one model; run it once for each",
        )
    return targets[0]


def _limit_s(p99_ms: float | None, example: str) -> float:
    if p99_ms is None:
        raise InputError(
            what="how fast requests must be answered, is yours to say",
            where="--p99-ms",
            fix=f"give it, such as {example}",
        )
    return p99_ms * SECONDS_PER_MS


def _model_file(named: str) -> Path:
    """The model's file. Raises InputError for whatever else may be meant."""
    target = Path(named)
    if target.suffix != ".onnx":
        is_scenario = target.suffix in {".yaml", ".yml"}
        raise InputError(
            what="this is a scenario already" if is_scenario else "this is no ONNX file by its name, and no address",
            where=named,
            fix=f"run `loadplan run {target}`" if is_scenario else "write a scenario for it, as docs/models.md shows",
        )
    return target


def _refuse_of_services(given: Mapping[str, object], model: Path) -> None:
    """What belongs to a service that runs already: a model has no log, and loadplan knows how to ask it."""
    named = next((option for option, value in given.items() if value), None)
    if named is None:
        return
    fix = "name the URL of a service that runs, or leave the option out"
    if named == "--log":
        fix = "`loadplan demand FILE` tells its peak, for --peak-rps, and the section `traffic` for the scenario"
    raise InputError(what=f"{named} belongs to a URL, and {model} is a model", where=named, fix=fix)


def _summary(done: "QuickEnd", output: Path) -> str:
    """What was assumed before what was found: nobody should take the one without the other."""
    from loadplan.cli.lines import line
    from loadplan.cli.summary import road_summary
    from loadplan.scenario.draft import ASSUMED

    again = ["loadplan", "run", str(done.scenario), *([] if output == DEFAULT_OUTPUT else ["-o", str(output)])]
    return "\n".join(
        [
            *(line("" if i else "assumed", text) for i, text in enumerate(ASSUMED)),
            road_summary(done.end),
            line("next", f"correct what is assumed in {done.scenario}, then `{shlex.join(again)}`"),
        ]
    )


def _document(done: "QuickEnd") -> "Document":
    """What `loadplan run` prints, the scenario that was walked, and what it assumes."""
    from loadplan.cli.documents import run_document
    from loadplan.scenario.draft import ASSUMED

    return {
        **run_document(done.end),
        "schema": "loadplan.quick/1",
        "scenario": str(done.scenario),
        "assumed": list(ASSUMED),
    }
