"""Drives BASE and HEAD in turn for a gate: two model files or run folders, served anew for each visit, or two services.

The decision a reader would question: every visit of a model starts a server of its own, for where the allocator put
the weights makes one process some percent faster than another, and only new processes average that out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from loadplan.errors import EnvironmentFault, InvalidMeasurement
from loadplan.export.guard import inspect_model
from loadplan.gate import GateDesign, GateVerdict, Side, Visit, run_gate
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests, v2_requests
from loadplan.load.messages.service_requests import service_requests
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.load.target.metrics_page import MetricsPage, read_metrics_page
from loadplan.load.target.server_process import start_server
from loadplan.load.verdict import times_of_all_s
from loadplan.machine import read_machine
from loadplan.pipeline.adhoc import Served, served_by
from loadplan.pipeline.artifacts import read_findings
from loadplan.pipeline.drive import split_cores
from loadplan.pipeline.observer import Observer
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RowsPerRequest, Service
from loadplan.scenario.synthetic import synthetic_payloads
from loadplan.slo import LatencyLimit
from loadplan.stats import percentile
from loadplan.store.run_folder import read_run_folder

_N_SYNTHETIC_ROWS = 256
_TIMEOUT_S = 10.0
_ATTEMPTS = 2  # for a visit that the neighbours spoiled
# Without a rate given, the server is to be busy for about a third of the time: queueing would hide what changed in
# its own luck, and the last percent of a busy server says more of the arrivals than of the code.
_BUSY_RATIO, _RATE_AT_MOST_RPS, _FIRST_RATE_RPS = 0.3, 300.0, 20.0
_REQUESTS_OF_VISIT = 30  # for a median of it

Drive = Callable[[LoadSpec], tuple[LoadRun, float | None]]  # the run, and the mean of an inference in it


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What is driven in each visit."""

    rate_rps: float | None  # None: about a third of what BASE's answers to a few requests leave room for
    duration_s: float
    service: Service | None  # how URLs are asked; its own address is not used


def gate(base: str, head: str, design: GateDesign, request: GateRequest, *, observer: Observer) -> GateVerdict:
    """Compare two model files, run folders or URLs.

    Raises:
        InputError: when one of them can't be served or asked.
        EnvironmentFault: when a server doesn't start, or one gives no answer at all.
        InvalidMeasurement: when a server or the generator died.
    """
    drivers: dict[Side, Drive] = {"base": driver_of(base, request), "head": driver_of(head, request)}
    observer.begin("gate", f"is {head} slower than {base}?")
    rate_rps = request.rate_rps or _calm_rate_rps(drivers["base"])
    n_visits, n_done = 4 * design.n_blocks, 0

    def visit(side: Side, i_block: int) -> Visit:
        nonlocal n_done
        said = f"visit {n_done + 1} of {n_visits}" if n_done < n_visits else "once more for what neighbours spoiled"
        observer.progress(min(n_done / n_visits, 1.0), f"{said}: {side} at {rate_rps:,.0f} requests/s")
        n_done += 1
        return _visit(drivers[side], _spec(request, rate_rps, seed=design.seed + i_block))

    verdict = run_gate(replace(design, limits=design.limits or _limits_of(head)), visit)
    observer.end("gate", f"{verdict.n_visits} visits")
    return verdict


def _limits_of(head: str) -> tuple[LatencyLimit, ...]:
    """The objectives on all requests of a run's scenario; of anything else none are known."""
    if "://" in head or not Path(head).is_dir():
        return ()
    objectives = read_findings(read_run_folder(Path(head))).scenario.objectives
    return tuple(limit for slo in objectives if slo.class_name is None for limit in slo.limits)


def driver_of(target: str, request: GateRequest) -> Drive:
    """How one side is driven for one visit.

    Raises:
        InputError: when it is no URL, model file or run folder that can be used.
    """
    if "://" in target:
        service = replace(request.service, url=target) if request.service else _plain(target)
        return partial(_drive_url, service, service_requests(service, None, rows_per_request=always(1)))
    served = served_by(Path(target))
    payloads, rows = _payloads(Path(target), served)
    requests = v2_requests(payloads, model=served.name, rows_per_request=rows)
    return partial(
        _drive_served, served, replace(requests, expected=None)
    )  # whether it answers right is for the export


def _drive_served(served: Served, requests: PreparedRequests, spec: LoadSpec) -> tuple[LoadRun, float | None]:
    cores, generator_core = split_cores(served.setting.execution.n_threads)
    with start_server(served.model, setting=served.setting, model_name=served.name, cores=cores) as server:
        page = f"{server.url}/metrics"
        before = read_metrics_page(page)
        run = run_load(
            replace(spec, setting=served.setting),
            url=server.url,
            requests=requests,
            machine=read_machine(),
            core=generator_core,
        )
        return run, _mean_inference_s(before, read_metrics_page(page))


def _drive_url(service: Service, requests: PreparedRequests, spec: LoadSpec) -> tuple[LoadRun, float | None]:
    cores = split_cores(1)
    run = run_load(
        spec,
        url="/".join(service.url.split("/", 3)[:3]),
        requests=requests,
        machine=read_machine(),
        core=cores[1],
        allow_remote=service.allow_remote,
    )
    return run, None


def _visit(drive: Drive, spec: LoadSpec) -> Visit:
    """One visit, again where neighbours spoiled it. Nothing right answered at all is a fault, not a slow answer."""
    for _ in range(_ATTEMPTS):
        run, service_s = drive(spec)
        if run.verdict.valid:
            return Visit(times_s=times_of_all_s(run.requests), service_s=service_s)
    return Visit(times_s=np.empty(0), service_s=None, invalid_reasons=run.verdict.invalid_reasons)


def _calm_rate_rps(drive: Drive) -> float:
    run, _ = drive(_spec_at(_FIRST_RATE_RPS, duration_s=1.0, seed=0))
    times_s = run.requests.response_time_s
    if not times_s.size:
        raise EnvironmentFault(
            what=f"none of {run.requests.n_requests} first requests was answered right",
            where=run.url,
            fix="check path, body and headers with a single request, or the server's log",
        )
    return min(_BUSY_RATIO / percentile(times_s, 0.5), _RATE_AT_MOST_RPS)


def _spec(request: GateRequest, rate_rps: float, *, seed: int) -> LoadSpec:
    return _spec_at(rate_rps, duration_s=max(request.duration_s, _REQUESTS_OF_VISIT / rate_rps), seed=seed)


def _spec_at(rate_rps: float, *, duration_s: float, seed: int) -> LoadSpec:
    return LoadSpec(
        name="gate",
        purpose="ad_hoc",
        arrivals=PoissonArrivals(),
        offered_rate_rps=rate_rps,
        duration_s=duration_s,
        seed=seed,
        timeout_s=_TIMEOUT_S,
        setting=None,
    )


def _mean_inference_s(before: MetricsPage, after: MetricsPage) -> float | None:
    counts = (before.inference_s, after.inference_s, before.n_batches, after.n_batches)
    if any(count is None for count in counts):
        return None
    first_s, last_s, n_first, n_last = (count if count is not None else math.nan for count in counts)
    if n_last <= n_first:
        raise InvalidMeasurement(
            what="the server counted no inference while it was driven", where="gate", fix="offer more with --rate"
        )
    return (last_s - first_s) / (n_last - n_first)


def _payloads(target: Path, served: Served) -> tuple[PayloadSet, RowsPerRequest]:
    """The rows of a run's own traffic; of a bare model made-up ones, one at a time."""
    if target.is_dir():
        found = read_findings(read_run_folder(target))
        if found.payloads is not None:
            return found.payloads, found.scenario.traffic.rows_per_request
    given = inspect_model(served.model)
    made_up = synthetic_payloads(given.inputs, n_rows=_N_SYNTHETIC_ROWS, rng=np.random.default_rng(0))
    return made_up, always(1)


def _plain(url: str) -> Service:
    return Service(
        url=url,
        protocol="json",
        folder=str(Path.cwd()),
        request=None,
        method=None,
        answers={},
        model="",
        headers=(),
        allow_remote=(),
    )
