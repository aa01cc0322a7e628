"""One stage on a plain thing: a model file without a scenario, a URL, the model of a run."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadplan.bench.devices import providers_here
from loadplan.bench.grid import bench_cells, cold_cells
from loadplan.bench.records import BenchRun
from loadplan.bench.runner import BenchRequest
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, ServingConfig, Setting, takes_one_row
from loadplan.export.guard import inspect_model
from loadplan.load.crew.together import ALONE, Launch, RemoteCrew
from loadplan.load.messages.requests import ABS_TOLERANCE
from loadplan.load.messages.service_requests import service_requests
from loadplan.load.records import LoadRun, LoadSpec, asked
from loadplan.machine import read_machine
from loadplan.pipeline.artifacts import read_findings
from loadplan.pipeline.benchmark import benchmark_without_probe
from loadplan.pipeline.drive import drive
from loadplan.pipeline.observer import Observer
from loadplan.pipeline.road import run
from loadplan.pipeline.service import drive_service
from loadplan.scenario.arrivals import Arrivals, Callers, PoissonArrivals, ReplayArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import Scenario, Service
from loadplan.scenario.synthetic import synthetic_payloads
from loadplan.scenario.traffic import replayed_rate_rps
from loadplan.slo import Slo
from loadplan.store.run_folder import read_run_folder
from loadplan.trial import verification_timeout_s

_VARIANT = "given"
_N_SYNTHETIC_ROWS = 256
_TIMEOUT_S = 10.0
_ONE_ROW = Caveat(
    code="bench.fixed_batch",
    what="the model's first axis is fixed at 1 row, so it was timed at batch 1 only and its requests can't be batched",
    fix="export the model with a dynamic first axis",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What to offer, and from where."""

    rate_rps: float | None = None  # None: the scenario's peak, or what was recorded
    duration_s: float = 10.0
    arrivals: Arrivals | Callers | None = None  # None: the scenario's own, or Poisson
    seed: int = 0
    max_rate_rps: float = 10_000.0  # the most that may be offered
    launch: Launch = ALONE
    warm_up_s: float = 0.0  # driven alike before, and not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model and how to serve it."""

    model: Path
    name: str
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGrid:
    """What to benchmark of a model file."""

    batch_sizes: tuple[int, ...]
    n_threads: tuple[int, ...]
    providers: tuple[str, ...]
    budget_s: float
    exhaustive: bool  # nothing is given up because it can't win


def bench_model(model: Path, grid: ModelGrid, *, observer: Observer) -> BenchRun:
    """Benchmark an ONNX file on made-up rows; one that takes a single row at a time, at batch 1 alone.

    Raises:
        InputError: when the file is no model or a hostile one, or rows can't be made up for it.
        EnvironmentFault: when no usable ONNX Runtime is installed, or a provider can't run a model here.
    """
    given = inspect_model(model)
    payloads = synthetic_payloads(given.inputs, n_rows=_N_SYNTHETIC_ROWS, rng=np.random.default_rng(0))
    machine = read_machine()
    cells, caveats = bench_cells(
        [_VARIANT],
        n_threads=grid.n_threads,
        batch_sizes=(1,) if takes_one_row(given.inputs) else grid.batch_sizes,
        n_usable_cores=machine.n_usable_cores,
        providers=providers_here(grid.providers),
    )
    if takes_one_row(given.inputs):
        caveats = (*caveats, _ONE_ROW)
    observer.begin("bench", f"how long does one batch of {model.name} take on this machine?")
    measured = benchmark_without_probe(
        BenchRequest(
            models={_VARIANT: Path(given.path)},
            payloads=payloads,
            cells=(*cells, *cold_cells(cells)),
            budget_s=grid.budget_s,
            machine=machine,
            caveats=caveats,
            exhaustive=grid.exhaustive,
        ),
        on_progress=observer.progress,
    )
    observer.end("bench", f"{len(measured.cells)} cells")
    return measured


def load_url(service: Service, request: LoadRequest, *, observer: Observer) -> LoadRun:
    """Drive any HTTP address with fixed requests.

    Raises:
        InputError: when no rate is given, the requests can't be made, or the host is neither loopback nor allowed.
        EnvironmentFault: when the target gives no answer at all.
    """
    arrivals = request.arrivals or PoissonArrivals()
    rate_rps = _rate_rps(request)
    if rate_rps is None:
        raise InputError(what="no rate is given", where="--rate", fix="say how many requests per second to offer")
    return drive_service(
        service,
        _spec(request, arrivals, rate_rps=rate_rps, timeout_s=_TIMEOUT_S, setting=None),
        requests=service_requests(service, None, rows_per_request=always(1)),
        machine=read_machine(),
        observer=observer,
        launch=request.launch,
    )


def load_scenario(
    scenario_file: Path,
    request: LoadRequest,
    *,
    results: Path,
    observer: Observer,
    allow_remote: tuple[str, ...] = (),
) -> LoadRun:
    """Drive a scenario's own service, or its model as served here with its largest batch size, at a rate or its peak.

    Hosts in `allow_remote` may be driven beside those that the scenario names.

    Raises:
        LoadplanError: whatever keeps the model from being exported or served, or the service from being driven.
    """
    scenario = read_scenario(scenario_file)
    service = scenario.target
    if service is not None:
        service = replace(service, allow_remote=(*service.allow_remote, *allow_remote))
    if service is not None and scenario.model is None:
        return _load_service(scenario, service, request, payloads=None, observer=observer)
    end = run(scenario_file, results=results, until="export", observer=observer)
    found = end.findings
    if end.failure is not None or found.export is None or found.payloads is None:
        raise end.failure or InputError(what="nothing was exported", where=str(scenario_file), fix="run it again")
    if service is not None:
        return _load_service(scenario, service, request, payloads=found.payloads, observer=observer)
    if isinstance(request.launch.crew, RemoteCrew):
        raise InputError(
            what="the embedded server listens on loopback, where no other machine reaches it",
            where=f"{scenario_file}, --master",
            fix="start it with `loadplan serve --host …` and drive its URL, or use --processes",
        )
    serving = found.scenario.serving
    setting = Setting(
        execution=ExecutionConfig(variant=found.export.models[0].variant, n_threads=min(serving.n_threads)),
        serving=ServingConfig(max_batch_size=max(serving.max_batch_sizes), batch_window_s=min(serving.batch_windows_s)),
    )
    spec = _spec(
        request,
        request.arrivals or found.scenario.traffic.arrivals,
        rate_rps=_rate_rps(request) or found.scenario.traffic.peak_rps,
        timeout_s=verification_timeout_s(found.scenario),
        setting=setting,
    )
    observer.begin("load", f"how does the embedded server answer {asked(spec)}?")
    driven = drive(
        spec,
        folder=end.folder,
        exported=found.export,
        payloads=found.payloads,
        scenario=found.scenario,
        machine=found.machine,
        on_progress=lambda ratio: observer.progress(ratio, asked(spec)),
        launch=request.launch,
    )
    observer.end("load", f"{driven.requests.n_requests:,} requests")
    return driven


def objectives_to_judge(scenario_file: Path, driven: LoadRun) -> tuple[Slo, ...]:
    """What a run of several classes is held to: its scenario's objectives, for its average may hide one of them.

    A run of one kind of requests is shown as it came: it may be offered any rate, which no objective is about.
    """
    return read_scenario(scenario_file).objectives if driven.classes is not None else ()


def served_by(target: Path) -> Served:
    """What `loadplan serve` serves: an ONNX file with plain defaults, or a run's model with its planned setting.

    Raises:
        InputError: when `target` is neither, the file is no model or a hostile one, or the run has no model yet.
        EnvironmentFault: when no usable ONNX Runtime is installed.
    """
    if target.suffix == ".onnx":
        given = inspect_model(target)
        serving = ServingConfig(max_batch_size=1 if takes_one_row(given.inputs) else 32)
        setting = Setting(execution=ExecutionConfig(variant=_VARIANT), serving=serving)
        return Served(model=Path(given.path), name=target.stem, setting=setting)
    folder = read_run_folder(target)
    found = read_findings(folder)
    if found.export is None:
        raise InputError(
            what="the run has no exported model yet",
            where=str(target),
            fix="run `loadplan run` on the scenario again; it goes on where it was",
        )
    planned = found.plan.recommended.capacity.setting if found.plan and found.plan.recommended else None
    variant = planned.execution.variant if planned else found.export.models[0].variant
    setting = planned or Setting(execution=ExecutionConfig(variant=variant), serving=ServingConfig(max_batch_size=32))
    model = next(model for model in found.export.models if model.variant == variant)
    return Served(model=folder.path / model.path, name=found.scenario.name, setting=setting)


def _load_service(
    scenario: Scenario, service: Service, request: LoadRequest, *, payloads: PayloadSet | None, observer: Observer
) -> LoadRun:
    """The rows and the right answers are those of the source model; the service may run any variant of it."""
    parity = {} if scenario.model is None else scenario.model.parity
    return drive_service(
        service,
        _spec(
            request,
            request.arrivals or scenario.traffic.arrivals,
            rate_rps=_rate_rps(request) or scenario.traffic.peak_rps,
            timeout_s=verification_timeout_s(scenario),
            setting=None,
        ),
        requests=service_requests(
            service,
            payloads,
            rows_per_request=scenario.traffic.rows_per_request,
            classes=scenario.traffic.classes,
            abs_tolerance=max(
                (limits.max_abs_error or ABS_TOLERANCE for limits in parity.values()), default=ABS_TOLERANCE
            ),
        ),
        machine=read_machine(),
        observer=observer,
        launch=request.launch,
    )


def _rate_rps(request: LoadRequest) -> float | None:
    """What was asked for, or what the stretch that is replayed holds; None where neither says.

    What callers come to who wait for their answers is known afterwards only.
    """
    if isinstance(request.arrivals, Callers):
        return math.nan
    if not isinstance(request.arrivals, ReplayArrivals):
        return request.rate_rps
    return replayed_rate_rps(request.arrivals.recording, duration_s=request.duration_s)


def _spec(
    request: LoadRequest, arrivals: Arrivals | Callers, *, rate_rps: float, timeout_s: float, setting: Setting | None
) -> LoadSpec:
    if rate_rps > request.max_rate_rps:
        raise InputError(
            what=f"{rate_rps:g} requests/s are more than the {request.max_rate_rps:g} that may be offered unasked",
            where="the rate",
            fix="add --yes if the target is yours to load like that, or allow more with --max-rps",
        )
    return LoadSpec(
        name="ad-hoc",
        purpose="ad_hoc",
        arrivals=arrivals,
        offered_rate_rps=rate_rps,
        duration_s=request.duration_s,
        seed=request.seed,
        timeout_s=timeout_s,
        setting=setting,
        warm_up_s=request.warm_up_s,
    )
