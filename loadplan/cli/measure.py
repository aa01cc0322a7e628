"""The commands that measure or serve one plain thing: a model file, a URL, a scenario's model."""

import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loadplan.cli import console, generators
from loadplan.cli.options import (
    DEFAULT_OUTPUT,
    DebugOption,
    FreshOption,
    JsonOption,
    OutputOption,
    QuietOption,
    parse_counts,
    parse_headers,
    parse_pointer,
)
from loadplan.errors import InputError
from loadplan.scenario.arrivals import Arrivals, Callers
from loadplan.scenario.spec import HttpMethod
from loadplan.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadplan.load.records import LoadRun
    from loadplan.slo import Slo

InferencePlace = Literal["inline", "thread", "auto"]
LogFormat = Literal["text", "json"]
BenchArgument = Annotated[Path, typer.Argument(metavar="SCENARIO or MODEL.onnx", help="What to benchmark.")]
ServeArgument = Annotated[Path, typer.Argument(metavar="MODEL.onnx or RUN", help="What to serve.")]
LoadArgument = Annotated[
    str | None, typer.Argument(metavar="SCENARIO or URL", help="What to drive; a worker's master tells.")
]
SizesOption = Annotated[str, typer.Option("--batch-sizes", help="Of a MODEL.onnx: rows in one inference.")]
ThreadsOption = Annotated[str, typer.Option("--threads", help="Of a MODEL.onnx: intra-op threads.")]
BudgetOption = Annotated[str, typer.Option("--budget", help="Of a MODEL.onnx: time to measure, such as 60s.")]
ProvidersOption = Annotated[str, typer.Option("--providers", help="Of a MODEL.onnx: such as CPU,CUDA.")]
KeepOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Keep it there too, for `loadplan compare`.")
]
ExhaustiveOption = Annotated[bool, typer.Option("--exhaustive", help="Give up nothing that can't win.")]
RateOption = Annotated[float | None, typer.Option("--rate", metavar="R", help="Requests per second offered.")]
DurationOption = Annotated[str, typer.Option("--duration", help="How long, such as 60s.")]
WarmUpOption = Annotated[str, typer.Option("--warm-up", help="Drive so long before, uncounted, such as 5s.")]
ArrivalsOption = Annotated[
    str | None,
    typer.Option(
        "--arrivals",
        metavar="LAW",
        help="constant, poisson, gamma, or as a scenario has it: '{process: markov, busy_ratio: 3, …}'.",
    ),
]
CvOption = Annotated[float | None, typer.Option("--cv", help="Of gamma arrivals: variation of the gaps.")]
TraceOption = Annotated[
    Path | None,
    typer.Option("--trace", metavar="FILE", help="CSV of recorded arrivals: as they were, or as fast as --rate says."),
]
CallersOption = Annotated[
    int | None,
    typer.Option("--callers", metavar="N", min=1, help="To compare only: callers who wait for answers."),
]
ThinkOption = Annotated[str | None, typer.Option("--think-time", help="Of callers: from an answer on, such as 100ms.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Draws the arrivals.")]
BodyOption = Annotated[
    Path | None, typer.Option("--body", metavar="FILE", help="Of a URL: the body to send, or a .jsonl with one a line.")
]
MethodOption = Annotated[
    HttpMethod | None, typer.Option("--method", help="Of a URL: by default POST with a body, GET without.")
]
AnswerOption = Annotated[
    str | None, typer.Option("--answer", metavar="/POINTER", help="Of a URL: what a right answer holds.")
]
FindOption = Annotated[
    bool,
    typer.Option("--find-capacity", help="Search the largest rate that holds --p99-ms, from --rate on."),
]
P99Option = Annotated[float | None, typer.Option("--p99-ms", metavar="MS", help="Of --find-capacity: the limit.")]
SearchBudgetOption = Annotated[str, typer.Option("--budget", help="Of --find-capacity: all probes, such as 5m.")]
MaxRateOption = Annotated[float, typer.Option("--max-rps", help="Never offer more than this without --yes.")]
YesOption = Annotated[bool, typer.Option("--yes", help="The target may be loaded beyond --max-rps.")]
HeaderOption = Annotated[list[str] | None, typer.Option("--header", metavar="'K: $ENV'", help="May be repeated.")]
RemoteOption = Annotated[list[str] | None, typer.Option("--allow-remote", metavar="HOST", help="May be driven.")]
ProcessesOption = Annotated[int, typer.Option("--processes", help="Whole servers behind the port.")]
GrpcPortOption = Annotated[int | None, typer.Option("--grpc-port", help="Serve gRPC too; 0 takes a free port.")]
InferenceOption = Annotated[InferencePlace, typer.Option("--inference", help="inline, thread, or auto.")]
LogFormatOption = Annotated[LogFormat, typer.Option("--log-format", help="text, or json: one event a line.")]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen on.")]


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    for command in (bench, serve, load):
        app.command()(command)


def bench(
    target: BenchArgument,
    batch_sizes: SizesOption = "1,2,4,8,16,32",
    threads: ThreadsOption = "1",
    providers: ProvidersOption = "CPU",
    budget: BudgetOption = "15s",
    exhaustive: ExhaustiveOption = False,
    out: KeepOption = None,
    fresh: FreshOption = False,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """How long one batch takes on this machine, cell by cell."""
    from loadplan.cli.documents import bench_document
    from loadplan.cli.summary import bench_lines
    from loadplan.pipeline.adhoc import ModelGrid, bench_model
    from loadplan.pipeline.artifacts import write_bench
    from loadplan.pipeline.road import run as run_road

    if out is not None and out.is_dir():  # before anything is measured for it
        raise InputError(what="this is a folder", where=f"--out {out}", fix="name a file, such as bench.parquet")
    with console.watching(quiet=quiet or as_json) as observer:
        if target.suffix != ".onnx":
            end = run_road(target, results=output, fresh=fresh, until="bench", exhaustive=exhaustive, observer=observer)
            measured, failure = end.findings.bench, end.failure
        else:
            grid = ModelGrid(
                batch_sizes=parse_counts(batch_sizes, "--batch-sizes"),
                n_threads=parse_counts(threads, "--threads"),
                providers=tuple(name.strip() for name in providers.split(",")),
                budget_s=parse_duration(budget),
                exhaustive=exhaustive,
            )
            measured, failure = bench_model(target, grid, observer=observer), None
    if measured is None and failure is not None:
        raise failure
    if measured is not None:
        if out is not None:
            write_bench(out, measured)
        console.result("\n".join(bench_lines(measured)), bench_document(measured), as_json=as_json)
    return console.exit_code(failure, debug=debug)


def serve(
    target: ServeArgument,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 8080,
    max_batch_size: Annotated[int | None, typer.Option("--max-batch-size", help="Rows in one inference.")] = None,
    batch_window_ms: Annotated[float | None, typer.Option("--batch-window-ms", help="Longest wait to fill.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Intra-op threads.")] = None,
    processes: ProcessesOption = 1,
    grpc_port: GrpcPortOption = None,
    inference: InferenceOption = "inline",
    log_format: LogFormatOption = "text",
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """A live prediction API (Open Inference Protocol v2) for an ONNX file, or for a run with its planned setting."""
    from loadplan.pipeline.adhoc import served_by

    served = served_by(target)
    setting = served.setting
    options = {
        "--model": str(served.model),
        "--name": served.name,
        "--host": host,
        "--port": str(port),
        "--max-batch-size": str(max_batch_size or setting.serving.max_batch_size),
        "--batch-window-ms": repr(
            1e3 * setting.serving.batch_window_s if batch_window_ms is None else float(batch_window_ms)
        ),
        "--threads": str(threads or setting.execution.n_threads),
        "--processes": str(processes),
        "--inference": inference,
        "--log-format": log_format,
    }
    if grpc_port is not None:
        options["--grpc-port"] = str(grpc_port)
    pairs = [text for option in options.items() for text in option]
    # The server takes this process's place, so that signals and the exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", "loadplan.serve", *pairs])  # noqa: S606


def _arrivals(law: str | None, *, cv: float | None, trace: Path | None, rate: float | None) -> Arrivals | None:
    """The law that the options state; None where they state none."""
    from loadplan.scenario.arrivals import ReplayArrivals, TraceArrivals
    from loadplan.scenario.inline_arrivals import read_arrivals
    from loadplan.scenario.trace_file import read_trace

    if trace is not None:
        if law is not None or cv is not None:
            raise InputError(
                what="a recording is a law of its own", where="--trace", fix="leave out --arrivals and --cv, or --trace"
            )
        recording = read_trace(trace)
        return ReplayArrivals(recording=recording) if rate is None else TraceArrivals(recording=recording)
    if cv is not None:
        if law != "gamma":
            raise InputError(what="only gamma arrivals have a cv", where="--cv", fix="add --arrivals gamma")
        law = f"{{process: gamma, cv: {cv!r}}}"
    return None if law is None else read_arrivals(law, where="--arrivals")


def _refuse_of_urls(given: dict[str, object], scenario: str) -> None:
    """What is sent to a scenario's service stands in the scenario, so that the file says what was driven."""
    named = [option for option, value in given.items() if value]
    if named:
        key = {"--body": "request", "--header": "headers"}.get(named[0], named[0].removeprefix("--"))
        raise InputError(
            what=f"{named[0]} belongs to a URL, and {scenario} is a scenario",
            where="loadplan load",
            fix=f"write it into the scenario, as target.{key}",
        )


def _callers(n_callers: int | None, think_time: str | None, *, others: tuple[object, ...]) -> Callers | None:
    """The callers that the options ask for; None where they ask for none."""
    from loadplan.scenario.arrivals import Callers

    if n_callers is None:
        if think_time is not None:
            raise InputError(what="nobody is there to think", where="--think-time", fix="add --callers N")
        return None
    if any(other is not None for other in others):
        raise InputError(
            what="callers who wait for their answers follow no rate and no arrivals",
            where="--callers",
            fix="leave out --rate, --arrivals, --cv and --trace, or --callers",
        )
    return Callers(n_callers=n_callers, think_time_s=parse_duration(think_time or "0ms"))


def load(
    target: LoadArgument = None,
    rate: RateOption = None,
    duration: DurationOption = "10s",
    warm_up: WarmUpOption = "0s",
    arrivals: ArrivalsOption = None,
    cv: CvOption = None,
    trace: TraceOption = None,
    callers: CallersOption = None,
    think_time: ThinkOption = None,
    seed: SeedOption = 0,
    body: BodyOption = None,
    method: MethodOption = None,
    answer: AnswerOption = None,
    header: HeaderOption = None,
    allow_remote: RemoteOption = None,
    find_capacity: FindOption = False,
    p99_ms: P99Option = None,
    budget: SearchBudgetOption = "5m",
    max_rps: MaxRateOption = 10_000.0,
    yes: YesOption = False,
    processes: generators.ProcessesOption = 1,
    master: generators.MasterOption = False,
    expect_workers: generators.ExpectOption = 1,
    worker_timeout: generators.JoinOption = generators.DEFAULT_JOIN_LIMIT,
    bind: generators.BindOption = "127.0.0.1",
    worker: generators.WorkerOption = False,
    master_host: generators.MasterHostOption = "127.0.0.1",
    master_port: generators.MasterPortOption = generators.DEFAULT_MASTER_PORT,
    web: generators.WebOption = False,
    web_port: generators.WebPortOption = generators.DEFAULT_WEB_PORT,
    output: OutputOption = DEFAULT_OUTPUT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> int:
    """Drive a live API with real arrivals, and say honestly how it answered."""
    from loadplan.cli.capacity import show_capacity
    from loadplan.load.driver import LoadInterrupted
    from loadplan.pipeline.adhoc import LoadRequest, load_scenario, load_url, objectives_to_judge
    from loadplan.scenario.spec import Service

    if worker:
        return generators.be_worker(master_host, master_port)
    if target is None:
        raise InputError(what="nothing to drive is named", where="loadplan load", fix="name a scenario or a URL")
    if master and find_capacity:
        raise InputError(
            what="a search drives many runs, and workers elsewhere stay for one",
            where="--master, --find-capacity",
            fix="search with --processes on this machine",
        )
    crew = generators.crew_of(
        n_processes=processes,
        is_master=master,
        n_expected=expect_workers,
        join_limit=worker_timeout,
        host=bind,
        port=master_port,
    )
    request = LoadRequest(
        launch=generators.launch_of(crew, shows_web=web, web_port=web_port),
        rate_rps=rate,
        duration_s=parse_duration(duration),
        warm_up_s=parse_duration(warm_up),
        arrivals=_callers(callers, think_time, others=(rate, arrivals, cv, trace))
        or _arrivals(arrivals, cv=cv, trace=trace, rate=rate),
        seed=seed,
        max_rate_rps=math.inf if yes else max_rps,
    )
    with console.watching(quiet=quiet or as_json) as observer:
        drive: Callable[[LoadRequest], LoadRun]
        if "://" in target:
            service = Service(
                url=target,
                protocol="json",
                folder=str(Path.cwd()),
                request=None if body is None else str(body),
                method=method,
                answers={} if answer is None else {"": parse_pointer(answer)},
                model="",
                headers=parse_headers(header or []),
                allow_remote=tuple(allow_remote or ()),
            )
            drive = partial(load_url, service, observer=observer)
        else:
            _refuse_of_urls({"--body": body, "--method": method, "--answer": answer, "--header": header}, target)
            hosts = tuple(allow_remote or ())
            drive = partial(load_scenario, Path(target), results=output, allow_remote=hosts, observer=observer)
        if find_capacity:
            return show_capacity(
                drive, request, p99_ms=p99_ms, budget_s=parse_duration(budget), as_json=as_json, debug=debug
            )
        try:
            driven = drive(request)
        except LoadInterrupted as stopped:
            _show_stopped(stopped.run, kept_below=output, as_json=as_json)
            raise
    objectives = () if "://" in target else objectives_to_judge(Path(target), driven)
    kept_below = None if crew is None else output
    return _show_load(driven, objectives, kept_below=kept_below, as_json=as_json, debug=debug)


def _show_load(
    driven: "LoadRun", objectives: "Sequence[Slo]", *, kept_below: Path | None, as_json: bool, debug: bool
) -> int:
    """Say what came of a run; the exit code. An invalid one is kept in a folder below the given one, if any."""
    from loadplan.cli.documents import load_document
    from loadplan.cli.summary import load_lines
    from loadplan.load.verdict import (
        clean_latency_summary,
        invalid_run,
        latency_summary,
        no_right_answer,
        objectives_missed,
        send_delay_summary,
    )
    from loadplan.pipeline.partial import keep_partial

    is_valid = driven.verdict.valid
    response = latency_summary(driven) if is_valid else None
    clean = clean_latency_summary(driven) if is_valid else None
    delay = send_delay_summary(driven)
    kept = None if kept_below is None or is_valid else keep_partial(driven, kept_below)
    lines = load_lines(driven, response, delay, kept=kept)
    document = load_document(driven, response, clean, delay, kept=kept, objectives=objectives)
    console.result("\n".join(lines), document, as_json=as_json)
    failure = invalid_run(driven) or no_right_answer(driven) or objectives_missed(driven, objectives)
    return console.exit_code(failure, debug=debug)


def _show_stopped(stopped: "LoadRun", *, kept_below: Path, as_json: bool) -> None:
    """What had been measured when somebody stopped the run; its records are kept, marked, and feed no verdict."""
    from loadplan.cli.summary import load_lines
    from loadplan.load.verdict import send_delay_summary
    from loadplan.pipeline.partial import keep_partial

    kept = keep_partial(stopped, kept_below)
    lines = load_lines(stopped, None, send_delay_summary(stopped), kept=kept)
    print("\n".join(lines), file=sys.stderr if as_json else sys.stdout)
