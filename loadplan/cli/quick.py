"""The command for a first answer: a model file, a peak and a limit, and no scenario."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import (
    DEFAULT_OUTPUT,
    DebugOption,
    FreshOption,
    JsonOption,
    OutputOption,
    QuietOption,
    parse_today,
)
from loadplan.cli.road import TodayOption, UntilOption
from loadplan.errors import InputError
from loadplan.units import SECONDS_PER_MS

if TYPE_CHECKING:
    from loadplan.cli.figures import Document
    from loadplan.pipeline.quick import QuickEnd

ModelArgument = Annotated[list[str], typer.Argument(metavar="MODEL.onnx", help="The model to serve.")]
PeakOption = Annotated[
    float | None, typer.Option("--peak-rps", metavar="R", help="Requests per second in the busiest hour. Needed.")
]
LimitOption = Annotated[
    float | None, typer.Option("--p99-ms", metavar="MS", help="All but 1 in 100 are answered within it. Needed.")
]
ProviderOption = Annotated[
    list[str] | None, typer.Option("--provider", metavar="P", help="Such as aws; repeatable. By default all three.")
]
RegionOption = Annotated[
    list[str] | None, typer.Option("--region", metavar="REGION", help="Such as us-east-1; repeatable.")
]
LogOption = Annotated[Path | None, typer.Option("--log", hidden=True)]  # people will try it: it has its own message


def register(app: typer.Typer) -> None:
    """Hang this command into the tree."""
    app.command()(quick)


def quick(
    model: ModelArgument,
    peak_rps: PeakOption = None,
    p99_ms: LimitOption = None,
    provider: ProviderOption = None,
    region: RegionOption = None,
    today: TodayOption = None,
    log: LogOption = None,
    until: UntilOption = "report",
    fresh: FreshOption = False,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """A first answer without a scenario, in about a minute: it is written for you, with all that was assumed."""
    from loadplan.pipeline.quick import quick as run_quick
    from loadplan.scenario.draft import QuickQuestion

    target = _one_file(model)
    if log is not None:
        raise InputError(
            what="a log can't be read here yet",
            where=f"--log {log}",
            fix="give its peak with --peak-rps; a scenario takes recorded arrivals, as traffic.arrivals: {process: "
            "trace, file: log.csv}",
        )
    if peak_rps is None or p99_ms is None:
        raise InputError(
            what="how much traffic, and how fast it must be answered, is yours to say",
            where="--peak-rps, --p99-ms",
            fix=f"give both, such as `loadplan quick {target} --peak-rps 300 --p99-ms 50`",
        )
    question = QuickQuestion(
        model=target,
        peak_rps=peak_rps,
        p99_s=p99_ms * SECONDS_PER_MS,
        providers=tuple(provider or ()),
        regions=tuple(region or ()),
        today=parse_today(today or []),
    )
    with console.watching(quiet=quiet or as_json) as observer:
        done = run_quick(question, results=output, fresh=fresh, until=until, observer=observer)
    console.result(_summary(done, output), _document(done), as_json=as_json)
    return console.exit_code(done.end.failure, debug=debug)


def _one_file(targets: list[str]) -> Path:
    """The model's file. Raises InputError for whatever else may be meant."""
    target = Path(targets[0])
    if len(targets) > 1:
        raise InputError(
            what=f"{len(targets)} models are named, and a fleet that serves several can't be planned yet",
            where="loadplan quick",
            fix="name one model; run it once for each",
        )
    if "://" in targets[0]:
        url = targets[0].partition("?")[0]
        raise InputError(
            what="a service can be driven, but no fleet of it can be planned yet",
            where=url,
            fix=f"name the model's ONNX file, or see how the service answers with `loadplan load {url} --rate R`",
        )
    if target.suffix != ".onnx":
        is_scenario = target.suffix in {".yaml", ".yml"}
        raise InputError(
            what="this is a scenario already" if is_scenario else "this is no ONNX file by its name",
            where=str(target),
            fix=f"run `loadplan run {target}`" if is_scenario else "write a scenario for it, as docs/models.md shows",
        )
    return target


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
