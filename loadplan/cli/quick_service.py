"""`loadplan quick URL`: what is said before a running service is driven, and what of it comes after."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from loadplan.cli import console
from loadplan.cli.options import DEFAULT_OUTPUT
from loadplan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadplan.cli.figures import Document
    from loadplan.pipeline.quick_service import QuickServiceEnd
    from loadplan.scenario.service_draft import ServiceQuestion
    from loadplan.scenario.spec import StageName

_N_OF_LOG = 3


def quick_service(
    question: "ServiceQuestion",
    *,
    logs: "Sequence[Path]",
    peak_rps: float | None,
    output: Path,
    fresh: bool,
    until: "StageName",
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Say what will be driven, walk the road, and say what came of it; returns the exit code.

    Raises:
        InputError: when both a log and a peak are given, or neither.
    """
    from loadplan.pipeline.quick_service import quick_service as run_quick_service

    if bool(logs) == (peak_rps is not None):
        raise InputError(
            what="how much traffic there is, the log says or you do" + ("; both were given" if logs else ""),
            where="--log, --peak-rps",
            fix="give one of the two: an access log, or the requests per second in the busiest hour",
        )
    if not quiet and not as_json:
        console.note("\n".join(_before(question)))
    with console.watching(quiet=quiet or as_json) as observer:
        done = run_quick_service(
            question,
            logs=logs,
            peak_rps=peak_rps,
            results=output,
            fresh=fresh,
            until=until,
            observer=observer,
        )
    console.result(_summary(done, output), _document(done), as_json=as_json)
    return console.exit_code(done.end.failure, debug=debug)


def _before(question: "ServiceQuestion") -> list[str]:
    """What is about to be done to the service, before it is."""
    from loadplan.cli.lines import line
    from loadplan.load.target.address import is_loopback

    url, is_here = question.url.partition("?")[0], is_loopback(question.url)
    is_checked = is_here if question.may_check is None else question.may_check
    lines = [
        line(
            "will do",
            f"about a minute of requests to {url}: none above half of what it carries, but some come in "
            "bursts of up to 40 at once, which is a small load test",
        ),
    ]
    check = "half a minute or so at nine tenths of what it carries, to check the answer (--no-check leaves it out)"
    lines.append(line("", f"then {check}" if is_checked else "nothing near its limits: --check allows a check there"))
    if not is_here:
        lines.append(line("", "who owns the service should know, and nobody else should test it meanwhile"))
    return lines


def _summary(done: "QuickServiceEnd", output: Path) -> str:
    """What was assumed before what was found: nobody should take the one without the other."""
    from loadplan.cli.lines import line
    from loadplan.cli.summary import road_summary

    where = [] if output == DEFAULT_OUTPUT else ["-o", str(output)]
    again = ["loadplan", "run", str(done.scenario), *where]
    lines = [line("" if i else "assumed", text) for i, text in enumerate(done.assumed)]
    if done.demand is not None:
        said = [*done.demand.corrections, *(caveat.what for caveat in done.demand.caveats)]
        lines += [line("" if i else "from log", text) for i, text in enumerate(said[:_N_OF_LOG])]
        lines += [line("", f"and {len(said) - _N_OF_LOG} more, in the scenario")] if len(said) > _N_OF_LOG else []
    lines.append(road_summary(done.end))
    lines.append(line("next", f"correct what is assumed in {done.scenario}, then `{shlex.join(again)}`"))
    if done.end.findings.verdict is None and done.end.findings.plan is not None:
        lines.append(line("", f"`loadplan verify {done.end.folder}` drives it near its capacity, as a proof"))
    return "\n".join(lines)


def _document(done: "QuickServiceEnd") -> "Document":
    """What `loadplan run` prints, the scenario that was walked, and what it assumes."""
    from loadplan.cli.documents import run_document

    return {
        **run_document(done.end),
        "schema": "loadplan.quick/1",
        "scenario": str(done.scenario),
        "assumed": list(done.assumed),
    }
