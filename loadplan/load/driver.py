"""Drives one load run: draws its arrivals, starts the generator in a process of its own, and judges what comes back.

Everything random comes from the spec's seed before the start, so the same spec sends the same payloads at the same
times. The generator is a process of its own because Locust patches the one it lives in, and because it spins.
"""

import math
import os
import resource
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InputError
from loadplan.load.crew import Crew, CrewResult, LocalCrew, drive_together
from loadplan.load.generator_process import Hearers, ended_early, start_locust, watch_generator
from loadplan.load.handoff import GeneratorJob, read_result, write_job
from loadplan.load.open_loop import LoopOrder, LoopResult
from loadplan.load.records import AskAgain, LoadRun, LoadSpec, Outcome
from loadplan.load.requests import PreparedRequests, wire_messages
from loadplan.load.target import find_target
from loadplan.load.verdict import judge
from loadplan.load.watch import watching
from loadplan.machine import Machine
from loadplan.scenario.arrivals import (
    Callers,
    GammaArrivals,
    MarkovArrivals,
    ReplayArrivals,
    described,
    requests_to_show,
)
from loadplan.scenario.traffic import schedule

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Enough connections for the answers that are usually under way, and for the clusters of bursty arrivals; more are
# opened as the backlog asks for them, which costs the server more than a request does.
_WARM_CONNECTIONS_S = 0.02
_WARM_CONNECTIONS_MOST = 64
_WARM_CONNECTIONS_PER_CLUSTER = 4.0
_WARM_CONNECTIONS_OF_CLUSTERS_MOST = 512
# The backlog of a stall this long must fit into the files this process may open, beside those it has; where a longer
# one does not, the run says so and is invalid.
_STALL_S = 0.25
_OTHER_FILES = 64
_CLOSED = Caveat(
    code="load.closed_loop",
    what="callers who wait for their answers ask less when the server is slow, so these latencies and this rate are "
    "kinder than what traffic that doesn't wait would meet: for comparison only",
    fix="offer a rate with --rate, which keeps coming whatever the server does",
)
_STRAY_RATIO = 0.05  # from the rate that was asked for


def run_load(
    spec: LoadSpec,
    *,
    url: str,
    requests: PreparedRequests,
    machine: Machine,
    core: int | None,
    on_progress: Callable[[float], None] | None = None,
    allow_remote: tuple[str, ...] = (),
    crew: Crew | None = None,
) -> LoadRun:
    """Drive `url` (http://host:port) as the spec says, from a generator pinned to `core`, or from a crew of several.

    The server is watched meanwhile, its Prometheus page at /metrics included.
    `on_progress` hears the share that is done, 0 to 1, a few times a second.

    Raises:
        InputError: when the target is not loopback and not in `allow_remote`, or the URL, the rate
            or the core can't be used.
        EnvironmentFault: when the target gave no answer at all, or this machine can't open enough connections.
        InvalidMeasurement: when the generator itself failed. A run in which it was merely too slow is returned,
            with the reasons in its verdict.
    """
    if crew is not None and isinstance(spec.arrivals, Callers):
        raise InputError(
            what="callers who wait for their answers are driven from one process",
            where="the callers",
            fix="leave out the other processes",
        )
    arrival_rng, payload_rng = np.random.default_rng(spec.seed).spawn(2)
    due_s = _due_s(spec, arrival_rng)
    target = find_target(url, allow_remote=allow_remote)
    _check_core(core)
    _check_files(spec, n_requests=due_s.size)
    job = GeneratorJob(
        order=LoopOrder(
            family=target.family,
            address=target.address,
            due_s=due_s,
            payload=_shuffled_rounds(due_s.size, n_payloads=len(requests.bodies), rng=payload_rng),
            messages=wire_messages(requests, host=target.host),
            timeout_s=spec.timeout_s,
            n_warm_connections=_n_warm_connections(spec),
            again=_again(spec),
        ),
        expected=requests.expected,
        core=core,
    )
    page = f"{url.rstrip('/')}/metrics"
    away_from = crew.cores if isinstance(crew, LocalCrew) else () if core is None else (core,)
    with watching(target.address, metrics_url=page, duration_s=spec.duration_s, away_from=away_from) as watcher:
        hearers = Hearers(began=watcher.begin, progress=on_progress or _nobody)
        driven = _alone(job, spec, hearers) if crew is None else drive_together(job, spec, crew, hearers)
    result = driven.result
    if isinstance(spec.arrivals, Callers):
        spec = replace(spec, offered_rate_rps=result.requests.n_requests / spec.duration_s)
    if result.requests.n_requests and result.n_answered == 0 and result.own_fault is None:
        raise _no_answer(url, result)
    verdict = judge(spec, result.requests, result.lost, own_fault=result.own_fault)
    reasons = (*driven.invalid_reasons, *verdict.invalid_reasons)
    return LoadRun(
        spec=spec,
        url=url.rstrip("/") + requests.path.partition("?")[0],  # what follows may hold a key
        machine=machine,
        requests=result.requests,
        lost=result.lost,
        verdict=replace(verdict, valid=not reasons, invalid_reasons=reasons),
        caveats=(*_caveats(spec, result), *driven.caveats, *_stretch_caveats(spec, n_due=due_s.size)),
        payload_rows=None if requests.n_rows is None else np.array(requests.n_rows, dtype=np.int32),
        server=watcher.result(),
    )


def _alone(job: GeneratorJob, spec: LoadSpec, hearers: Hearers) -> CrewResult:
    with tempfile.TemporaryDirectory(prefix="loadplan-load-") as name:
        folder = Path(name)
        write_job(folder, job)
        with start_locust(folder, _LOCUSTFILE, "--headless", "--users", "1") as process:
            watch_generator(process, folder, spec=spec, hearers=hearers)
        result = read_result(folder)
        if result is None:
            raise ended_early(process, folder, spec=spec)
        return CrewResult(result=result, invalid_reasons=(), caveats=())


def _due_s(spec: LoadSpec, rng: np.random.Generator) -> NDArray[np.float64]:
    """The whole schedule; of callers their first requests, spread over the time that they think."""
    if not isinstance(spec.arrivals, Callers):
        return schedule(spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=rng)
    callers = spec.arrivals
    if callers.n_callers < 1 or not 0.0 <= callers.think_time_s < spec.duration_s:
        raise InputError(
            what=f"{callers.n_callers} callers who think for {callers.think_time_s:g} s ask nothing in "
            f"{spec.duration_s:g} s",
            where="the callers",
            fix="give at least one caller, and a think time shorter than the run",
        )
    return np.arange(callers.n_callers) / callers.n_callers * callers.think_time_s


def _again(spec: LoadSpec) -> AskAgain | None:
    if not isinstance(spec.arrivals, Callers):
        return None
    return AskAgain(think_time_s=spec.arrivals.think_time_s, until_s=spec.duration_s)


def _shuffled_rounds(n_requests: int, *, n_payloads: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Which payload each request carries: every payload once per round, each round in an order of its own."""
    n_rounds = math.ceil(n_requests / n_payloads)
    rounds = [rng.permutation(n_payloads) for _ in range(n_rounds)]
    return np.concatenate([*rounds, np.empty(0)]).astype(np.int32)[:n_requests]


def _n_warm_connections(spec: LoadSpec) -> int:
    if isinstance(spec.arrivals, Callers):
        return min(spec.arrivals.n_callers, _WARM_CONNECTIONS_OF_CLUSTERS_MOST)
    busiest_rps = spec.offered_rate_rps * (spec.arrivals.busy_ratio if isinstance(spec.arrivals, MarkovArrivals) else 1)
    usual = min(_WARM_CONNECTIONS_MOST, max(2, math.ceil(busiest_rps * _WARM_CONNECTIONS_S)))
    if not isinstance(spec.arrivals, GammaArrivals) or spec.arrivals.cv <= 1.0:
        return usual
    # Gamma gaps of coefficient of variation cv come in clusters of cv² on average.
    of_clusters = math.ceil(_WARM_CONNECTIONS_PER_CLUSTER * spec.arrivals.cv**2)
    return max(usual, min(of_clusters, _WARM_CONNECTIONS_OF_CLUSTERS_MOST))


def _check_core(core: int | None) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if core is not None and core not in allowed:
        raise InputError(
            what=f"core {core} is not one that this process may use",
            where="the load generator",
            fix=f"name one of {', '.join(map(str, allowed))}",
        )


def _check_files(spec: LoadSpec, *, n_requests: int) -> None:
    is_open = not isinstance(spec.arrivals, Callers)
    backlog = math.ceil(spec.offered_rate_rps * min(spec.timeout_s, _STALL_S)) if is_open else n_requests
    n_needed = min(n_requests, backlog) + _OTHER_FILES
    n_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if n_allowed != resource.RLIM_INFINITY and n_needed > n_allowed:
        raise EnvironmentFault(
            what=f"{n_needed} connections may be needed of {described(spec.arrivals)}, "
            f"and this process may open {n_allowed} files",
            where="this machine's limit on open files",
            fix=f"raise it with: ulimit -n {n_needed}",
        )


def _no_answer(url: str, result: LoopResult) -> EnvironmentFault:
    outcomes = result.requests.outcome
    counts = {outcome.name.lower(): int(np.count_nonzero(outcomes == outcome)) for outcome in Outcome}
    tried = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    return EnvironmentFault(
        what=f"no answer at all from {url} ({tried})",
        where="the target of the load",
        fix="check that the server is up and answers this address, or allow more time per request",
    )


def _caveats(spec: LoadSpec, result: LoopResult) -> tuple[Caveat, ...]:
    outcomes = result.requests.outcome
    caveats = [_CLOSED] if isinstance(spec.arrivals, Callers) else []
    n_timed_out = int(np.count_nonzero(outcomes == Outcome.TIMED_OUT))
    if n_timed_out:
        caveats.append(
            Caveat(
                code="load.timed_out",
                what=f"{n_timed_out} requests had no answer within {spec.timeout_s:g} s and count as that long, "
                "though it was longer",
                fix="allow more time per request to see how long",
                number=float(n_timed_out),
            )
        )
    n_stale = int(np.count_nonzero(outcomes == Outcome.STALE_CONNECTION))
    if n_stale:
        caveats.append(
            Caveat(
                code="load.stale_connection",
                what=f"{n_stale} requests met a kept-open connection that the server was just closing",
                fix="raise the server's keep-alive timeout; callers that don't send again lose such requests",
                number=float(n_stale),
            )
        )
    return tuple(caveats)


def _stretch_caveats(spec: LoadSpec, *, n_due: int) -> tuple[Caveat, ...]:
    """A short run of slow bursts, or of a long recording, meets a stretch that is busier or quieter than the mean."""
    due_rps = n_due / spec.duration_s
    ratio = due_rps / spec.offered_rate_rps
    is_slow = requests_to_show(spec.arrivals, rate_rps=spec.offered_rate_rps) > n_due
    if not is_slow or isinstance(spec.arrivals, ReplayArrivals) or abs(ratio - 1.0) <= _STRAY_RATIO:
        return ()
    return (
        Caveat(
            code="load.stretch",
            what=f"this run met a stretch of its arrivals ({described(spec.arrivals)}) that came at "
            f"{due_rps:,.4g} requests/s, {ratio:.2g} times the rate that was asked for",
            fix="drive it for longer, or with other seeds as well",
            number=ratio,
        ),
    )


def _nobody(_done_ratio: float) -> None:
    """The observer of a call that nobody watches."""
