"""Drives a service of the user's own, which loadplan neither started nor may overload by driving it again."""

from collections.abc import Callable
from dataclasses import replace

from loadplan.caveat import Caveat
from loadplan.load.crew.together import ALONE, Launch
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.records import LoadRun, LoadSpec, asked
from loadplan.load.target.address import is_loopback
from loadplan.machine import Machine, usable_cores
from loadplan.pipeline.observer import Observer
from loadplan.scenario.spec import Service


def drive_service(
    service: Service,
    spec: LoadSpec,
    *,
    requests: PreparedRequests,
    machine: Machine,
    observer: Observer,
    launch: Launch = ALONE,
) -> LoadRun:
    """One live run against the service, with requests made for it (`load.messages.service_requests`).

    Raises:
        InputError: when the host is neither loopback nor allowed.
        EnvironmentFault: when the service gives no answer at all.
        InvalidMeasurement: when the generator died.
    """
    rate = asked(spec)
    observer.begin("load", f"how does {service.url.partition('?')[0]} answer {rate}?")
    run = drive_in_stage(
        service,
        spec,
        requests=requests,
        machine=machine,
        on_progress=lambda ratio: observer.progress(ratio, rate),
        launch=launch,
    )
    observer.end("load", f"{run.requests.n_requests:,} requests")
    return run


def drive_in_stage(
    service: Service,
    spec: LoadSpec,
    *,
    requests: PreparedRequests,
    machine: Machine,
    on_progress: Callable[[float], None],
    launch: Launch = ALONE,
) -> LoadRun:
    """The same as a part of a stage that tells its progress itself. Raises as `drive_service` does."""
    run = run_load(
        spec,
        url=origin_of(service.url),
        requests=requests,
        machine=machine,
        core=usable_cores()[-1] if len(usable_cores()) > 1 else None,
        on_progress=on_progress,
        allow_remote=service.allow_remote,
        launch=launch,
    )
    return replace(run, caveats=(*run.caveats, *_shared(origin_of(service.url))))


def _shared(url: str) -> tuple[Caveat, ...]:
    """A service on this machine's only core has to share it with a loop that spins."""
    n_cores = len(usable_cores())
    if n_cores > 1 or not is_loopback(url):
        return ()
    return (
        Caveat(
            code="load.shared_cores",
            what="the service and the load generator had one core between them, so the latencies are too high",
            fix="run on a machine with more usable cores, or drive the service from another one",
            number=float(n_cores),
        ),
    )


def origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"
