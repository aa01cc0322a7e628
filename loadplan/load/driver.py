"""Drives one load run: starts the generator in a process of its own, and judges what comes back.

The generator is a process of its own because Locust patches the one it lives in, and because it spins.
"""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from loadplan.errors import EnvironmentFault, InputError
from loadplan.load.crew.together import ALONE, CrewResult, Launch, LocalCrew, drive_together
from loadplan.load.doubts import doubts_of, throttled_reason
from loadplan.load.generator.handoff import GeneratorJob, read_result, write_job
from loadplan.load.generator.job import prepare_job
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.process import (
    INTERRUPTED,
    LOCUSTFILE,
    Hearers,
    ended_early,
    shown_at,
    start_locust,
    stop_sending,
    watch_generator,
)
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.load.target.watch import watching
from loadplan.load.verdict import judge
from loadplan.load.warm_up import with_warm_up, without_warm_up
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Callers
from loadplan.sysfs import read_throttled_s


class LoadInterrupted(KeyboardInterrupt):
    """Somebody stopped a run: its arrivals ended at once. `run` is what had ended by then; it is no valid run."""

    def __init__(self, run: LoadRun) -> None:
        super().__init__()
        self.run = run


def run_load(
    spec: LoadSpec,
    *,
    url: str,
    requests: PreparedRequests,
    machine: Machine,
    core: int | None,
    on_progress: Callable[[float], None] | None = None,
    allow_remote: tuple[str, ...] = (),
    launch: Launch = ALONE,
) -> LoadRun:
    """Drive `url` (http://host:port) as the spec says, from a generator pinned to `core`, or as `launch` says.

    The server is watched meanwhile, its Prometheus page at /metrics included. What falls due in the warm-up is sent and
    not counted.
    `on_progress` hears the share that is done, 0 to 1, a few times a second.

    Raises:
        InputError: when the target is not loopback and not in `allow_remote`, or the URL, the rate
            or the core can't be used.
        EnvironmentFault: when the target gave no answer at all, or this machine can't open enough connections.
        LoadInterrupted: for a KeyboardInterrupt after which the generator could still tell what it had measured.
        InvalidMeasurement: when the generator itself failed. A run in which it was merely too slow is returned,
            with the reasons in its verdict.
    """
    crew = launch.crew
    if crew is not None and isinstance(spec.arrivals, Callers):
        raise InputError(
            what="callers who wait for their answers are driven from one process",
            where="the callers",
            fix="leave out the other processes",
        )
    whole = with_warm_up(spec)
    job = prepare_job(whole, url=url, requests=requests, core=core, allow_remote=allow_remote)
    page = f"{url.rstrip('/')}/metrics"
    away_from = crew.cores if isinstance(crew, LocalCrew) else () if core is None else (core,)
    with watching(job.order.address, metrics_url=page, duration_s=spec.duration_s, away_from=away_from) as watcher:
        begin = threading.Timer(spec.warm_up_s, watcher.begin)
        hearers = Hearers(began=begin.start if spec.warm_up_s else watcher.begin, progress=on_progress or _nobody)
        throttled_s = read_throttled_s(Path("/"))
        driven = _generate(job, whole, launch, hearers)
        throttled = throttled_reason(throttled_s, read_throttled_s(Path("/")), took_s=whole.duration_s)
        begin.cancel()
    result = without_warm_up(driven.result, spec)
    if isinstance(spec.arrivals, Callers):
        spec = replace(spec, offered_rate_rps=result.requests.n_requests / spec.duration_s)
    is_interrupted = INTERRUPTED in driven.invalid_reasons
    if is_interrupted and not (result.n_answered and result.requests.n_requests):
        raise KeyboardInterrupt
    if result.requests.n_requests and result.n_answered == 0 and result.own_fault is None:
        raise _no_answer(url, result)
    verdict = judge(
        spec, result.requests, result.lost, own_fault=result.own_fault, saturation_ratio=result.saturation_ratio
    )
    reasons = (*driven.invalid_reasons, *verdict.invalid_reasons, *throttled)
    run = LoadRun(
        spec=spec,
        url=url.rstrip("/") + requests.path.partition("?")[0],  # what follows may hold a key
        machine=machine,
        requests=result.requests,
        lost=result.lost,
        verdict=replace(verdict, valid=not reasons, invalid_reasons=reasons),
        caveats=(*doubts_of(spec, result, requests), *driven.caveats),
        payload_rows=None if requests.n_rows is None else np.array(requests.n_rows, dtype=np.int32),
        server=watcher.result(),
        classes=requests.classes,
    )
    if is_interrupted:
        raise LoadInterrupted(run)
    return run


def _generate(job: GeneratorJob, spec: LoadSpec, launch: Launch, hearers: Hearers) -> CrewResult:
    if launch.crew is not None:
        return drive_together(job, spec, launch.crew, hearers, web_port=launch.web_port)
    options, variables = shown_at(launch.web_port)
    with tempfile.TemporaryDirectory(prefix="loadplan-load-") as name:
        folder = Path(name)
        write_job(folder, job)
        with start_locust(folder, LOCUSTFILE, *options, variables=variables) as process:
            try:
                watch_generator(process, folder, spec=spec, hearers=hearers)
                reasons: tuple[str, ...] = ()
            except KeyboardInterrupt:
                if not stop_sending(process, folder):
                    raise
                reasons = (INTERRUPTED,)
        result = read_result(folder)
        if result is None:
            raise ended_early(process, folder, spec=spec)
        return CrewResult(result=result, invalid_reasons=reasons, caveats=())


def _no_answer(url: str, result: LoopResult) -> EnvironmentFault:
    outcomes = result.requests.outcome
    counts = {outcome.name.lower(): int(np.count_nonzero(outcomes == outcome)) for outcome in Outcome}
    tried = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    return EnvironmentFault(
        what=f"no answer at all from {url} ({tried})",
        where="the target of the load",
        fix="check that the server is up and answers this address, or allow more time per request",
    )


def _nobody(_done_ratio: float) -> None:
    """The observer of a call that nobody watches."""
