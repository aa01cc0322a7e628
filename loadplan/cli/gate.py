"""The gate for CI: two versions in one job, in balanced order, and an exit code that can be relied on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption, QuietOption, parse_headers
from loadplan.errors import InputError
from loadplan.units import parse_duration, parse_percent

if TYPE_CHECKING:
    from loadplan.cli.figures import Document
    from loadplan.cli.junit import CheckedCase, Outcome
    from loadplan.errors import LoadplanError
    from loadplan.gate import Compared, GateVerdict, HeldLimit
    from loadplan.slo import LatencyLimit

IfNoisy = Literal["fail", "neutral"]

BaseArgument = Annotated[str, typer.Argument(metavar="BASE", help="Before: a model.onnx, a run folder or a URL.")]
HeadArgument = Annotated[str, typer.Argument(metavar="HEAD", help="After: another one.")]
ThresholdOption = Annotated[str, typer.Option("--threshold", help="Slower by up to this is allowed.")]
BlocksOption = Annotated[int, typer.Option("--blocks", min=8, max=24, help="Blocks of four visits, two of each side.")]
DurationOption = Annotated[str, typer.Option("--duration", help="Of each visit, such as 2s.")]
RateOption = Annotated[float | None, typer.Option("--rate", help="Requests per second; else about a third of busy.")]
P99Option = Annotated[float | None, typer.Option("--p99-ms", help="HEAD must hold this too, unless BASE misses it.")]
IfNoisyOption = Annotated[IfNoisy, typer.Option("--if-noisy", help="Too noisy to say: exit 3, or let it pass.")]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a test case per objective.")
]
BodyOption = Annotated[Path | None, typer.Option("--body", metavar="FILE", help="What URLs are sent, by POST.")]
HeaderOption = Annotated[
    list[str] | None, typer.Option("--header", metavar="'K: $ENV'", help="Sent to URLs; repeatable.")
]
RemoteOption = Annotated[
    list[str] | None, typer.Option("--allow-remote", metavar="HOST", help="A host that may be driven; repeatable.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the order and the arrivals.")]


def register(app: typer.Typer) -> None:
    """Hang this command into the tree."""
    app.command()(gate)


def gate(
    base: BaseArgument,
    head: HeadArgument,
    threshold: ThresholdOption = "5%",
    blocks: BlocksOption = 10,
    duration: DurationOption = "2s",
    rate: RateOption = None,
    p99_ms: P99Option = None,
    if_noisy: IfNoisyOption = "fail",
    junit: JunitOption = None,
    body: BodyOption = None,
    header: HeaderOption = None,
    allow_remote: RemoteOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """Drive two versions in turn and say whether the second became slower, as far as the noise lets one say."""
    from loadplan.cli.step_summary import append_step_summary
    from loadplan.gate import GateDesign, failure_of
    from loadplan.pipeline.gate import GateRequest
    from loadplan.pipeline.gate import gate as run_gate
    from loadplan.scenario.spec import Service

    allowed_ratio = parse_percent(threshold)
    if allowed_ratio <= 0.0:
        raise InputError(
            what="a gate that allows no change at all can rule none out",
            where="--threshold",
            fix="allow some, such as 5%",
        )
    if rate is not None and rate <= 0.0:
        raise InputError(what=f"{rate:g} requests/s are no load", where="--rate", fix="offer more than 0")
    service = Service(
        url="",
        protocol="json",
        folder=str(Path.cwd()),
        request=None if body is None else str(body),
        method=None,
        answers={},
        model="",
        headers=parse_headers(header or []),
        allow_remote=tuple(allow_remote or ()),
    )
    design = GateDesign(n_blocks=blocks, allowed_ratio=allowed_ratio, limits=_limits(p99_ms), seed=seed)
    request = GateRequest(rate_rps=rate, duration_s=parse_duration(duration), service=service)
    with console.watching(quiet=quiet or as_json) as observer:
        verdict = run_gate(base, head, design, request, observer=observer)
    failure = failure_of(verdict, neutral_if_noisy=if_noisy == "neutral")
    if junit is not None:
        from loadplan.cli.junit import write_junit

        write_junit(junit, suite="loadplan gate", cases=gate_cases(verdict, if_noisy))
    append_step_summary(gate_markdown(verdict, failure))
    console.result("\n".join(gate_lines(verdict)), gate_document(verdict, failure), as_json=as_json)
    return console.exit_code(failure, debug=debug)


def gate_lines(verdict: "GateVerdict") -> list[str]:
    """One line per figure, one per limit."""
    lines = [f"{one.name:<14} {_said(one)}" for one in verdict.compared]
    lines += [f"{limit_name(one):<14} {_held(one)}" for one in verdict.limits]
    return [*lines, *(f"{'spoiled':<14} {reason}" for reason in verdict.invalid_reasons)]


def gate_markdown(verdict: "GateVerdict", failure: "LoadplanError | None") -> str:
    """The same as a table."""
    rows = [f"| {one.name} | {_said(one)} |" for one in verdict.compared]
    rows += [f"| {limit_name(one)} | {_held(one)} |" for one in verdict.limits]
    end = "HEAD is not slower than is allowed." if failure is None else failure.what
    return "\n".join(["### loadplan gate", "", end, "", "| figure | HEAD against BASE |", "|---|---|", *rows])


def gate_document(verdict: "GateVerdict", failure: "LoadplanError | None") -> "Document":
    """What was found, for a machine."""
    from loadplan.cli.figures import figure

    why = "too few blocks without a spoiled visit"
    return {
        "schema": "loadplan.gate/1",
        "passed": failure is None,
        "allowed_ratio": verdict.design.allowed_ratio,
        "n_visits": verdict.n_visits,
        "figures": [
            {
                "name": one.name,
                "finding": one.finding,
                "n_blocks": one.n_blocks,
                **figure("ratio", one.ratio, why),
                **figure("ratio_low", _finite(None if one.interval is None else one.interval.low), why),
                **figure("ratio_high", _finite(None if one.interval is None else one.interval.high), why),
                **figure("p_value", one.p_value, why),
            }
            for one in verdict.compared
        ],
        "objectives": [
            {
                "quantile": one.limit.quantile,
                "limit_s": one.limit.limit_s,
                "outcome": one.outcome,
                **figure("base_miss_ratio", one.base_miss_ratio, "no valid visit"),
                **figure("head_miss_ratio", one.head_miss_ratio, "no valid visit"),
            }
            for one in verdict.limits
        ],
        "invalid_reasons": list(verdict.invalid_reasons),
        "failure": None if failure is None else {"what": failure.what, "fix": failure.fix},
    }


def gate_cases(verdict: "GateVerdict", if_noisy: IfNoisy) -> "list[CheckedCase]":
    """A test case per objective: no figure slower than is allowed, every limit held."""
    from loadplan.cli.junit import CheckedCase

    noisy: Outcome = "skipped" if if_noisy == "neutral" else "error"
    of_finding: dict[str, Outcome] = {"slower": "failure", "noisy": noisy}
    of_outcome: dict[str, Outcome] = {"met": "passed", "missed": "failure"}
    return [
        *(
            CheckedCase(
                name=f"{one.name} within {verdict.design.allowed_ratio:.1%} of BASE",
                outcome=of_finding.get(one.finding, "passed"),
                message=_said(one),
            )
            for one in verdict.compared
        ),
        *(
            CheckedCase(name=limit_name(one), outcome=of_outcome.get(one.outcome, "skipped"), message=_held(one))
            for one in verdict.limits
        ),
    ]


def limit_name(one: "HeldLimit") -> str:
    """Such as `p99 ≤ 50 ms`."""
    return f"p{100.0 * one.limit.quantile:g} ≤ {1e3 * one.limit.limit_s:g} ms"


def _limits(p99_ms: float | None) -> "tuple[LatencyLimit, ...]":
    from loadplan.slo import LatencyLimit

    if p99_ms is None:
        return ()
    if p99_ms <= 0.0:
        raise InputError(what=f"{p99_ms:g} ms is no limit", where="--p99-ms", fix="write milliseconds above 0")
    return (LatencyLimit(quantile=0.99, limit_s=p99_ms / 1e3),)


def _said(one: "Compared") -> str:
    from loadplan.gate import ratio_text

    return f"{one.finding}: {ratio_text(one)} over {one.n_blocks} blocks"


def _held(one: "HeldLimit") -> str:
    from loadplan.gate import miss_text

    return f"{one.outcome}: {miss_text(one)} of HEAD's requests miss it"


def _finite(value: float | None) -> float | None:
    return value if value is not None and 0.0 < value < float("inf") else None
