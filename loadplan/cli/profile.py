"""The command that writes what was measured here into one file, or says how to measure on a rented machine."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import DEFAULT_OUTPUT, DebugOption, FreshOption, JsonOption, OutputOption, QuietOption
from loadplan.errors import InputError

if TYPE_CHECKING:
    from loadplan.pipeline.rental import Rental
    from loadplan.profile import Profile

TargetArgument = Annotated[Path, typer.Argument(metavar="SCENARIO or RUN", help="A scenario file or a run folder.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; else into the run folder.")
]
OnOption = Annotated[
    str | None,
    typer.Option("--on", metavar="INSTANCE_TYPE", help="Measure nothing: say what to run there, and what it costs."),
]

ScriptOption = Annotated[
    Path | None,
    typer.Option("--script", metavar="FILE", help="With --on: write what measures there and switches the machine off."),
]


def register(app: typer.Typer) -> None:
    """Hang this command into the tree."""
    app.command()(profile)


def profile(
    target: TargetArgument,
    out: OutOption = None,
    on: OnOption = None,
    script: ScriptOption = None,
    fresh: FreshOption = False,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> int:
    """Bench and server calibration of this machine in one file, for `loadplan plan --profiles` anywhere."""
    if on is not None:
        return _on(target, on, script, as_json=as_json)
    if script is not None:
        raise InputError(
            what="a script is for a rented machine, and none is named",
            where="--script",
            fix="name its type as well, such as --on aws/c7i.large",
        )
    from loadplan.cli.documents import profile_document
    from loadplan.pipeline.profiles import write_profile_of
    from loadplan.pipeline.road import run as run_road

    folder = target
    if not target.is_dir():
        with console.watching(quiet=quiet or as_json) as observer:
            end = run_road(target, results=output, fresh=fresh, until="fit", observer=observer)
        if end.failure is not None:
            raise end.failure
        folder = end.folder
    path, written = write_profile_of(folder, out)
    console.result("\n".join(_lines(path, written)), profile_document(path, written), as_json=as_json)
    return 0


def _on(target: Path, type_name: str, script: Path | None, *, as_json: bool) -> int:
    from loadplan.cli.documents import rental_document
    from loadplan.pipeline.rental import rental_for
    from loadplan.pipeline.rental_script import write_rental_script

    found = rental_for(target, type_name)
    if script is not None:
        found = replace(found, commands=write_rental_script(script, found))
    console.result("\n".join(_rental_lines(found, script)), rental_document(found, script), as_json=as_json)
    return 0


def _lines(path: Path, written: "Profile") -> list[str]:
    facts = written.facts
    told = facts.machine.instance_type
    named = "" if told else "=provider/type"
    said = (
        f"{facts.model.name}: {', '.join(facts.model.variants)} in {len(written.bench.cells)} cells, measured on "
        f"{facts.measured_on} on {told or facts.machine.cpu_model} ({facts.machine.n_usable_cores} usable cores)"
    )
    return [
        str(path),
        said,
        f"plan with it anywhere: loadplan plan SCENARIO --profiles {path}{named}",
    ]


def _rental_lines(found: "Rental", script: Path | None) -> list[str]:
    offer = found.offer
    duration = (
        f"about {found.minutes} minutes: {found.measured_minutes} of measuring, as the scenario has it, and an assumed "
        f"{found.minutes - found.measured_minutes} to install, export and fit: ${found.usd}"
    )
    off = "off, it costs its disk" if found.is_free_when_off else "off, it costs as before: delete it"
    limit = (
        "nothing switches it off by itself: --script FILE writes what does"
        if script is None
        else f"switched off after {found.most_minutes} minutes at most, ${found.most_usd}, by {script}; {off}"
    )
    return [
        f"rent {offer.type_name} in {offer.region} as HOST: ${offer.usd_per_hour} an hour, seen {offer.price_date}",
        duration,
        limit,
        *(f"  {command}" for command in found.commands),
    ]
