"""Drives a service of the user's own, which loadplan neither started nor may overload by driving it again."""

from loadplan.load.crew import ALONE, Launch
from loadplan.load.driver import run_load
from loadplan.load.records import LoadRun, LoadSpec, asked
from loadplan.load.requests import PreparedRequests
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
    """One live run against the service, with requests made for it (`load.service_requests`).

    Raises:
        InputError: when the host is neither loopback nor allowed.
        EnvironmentFault: when the service gives no answer at all.
        InvalidMeasurement: when the generator died.
    """
    rate = asked(spec)
    observer.begin("load", f"how does {service.url.partition('?')[0]} answer {rate}?")
    run = run_load(
        spec,
        url=_origin(service.url),
        requests=requests,
        machine=machine,
        core=usable_cores()[-1] if len(usable_cores()) > 1 else None,
        on_progress=lambda ratio: observer.progress(ratio, rate),
        allow_remote=service.allow_remote,
        launch=launch,
    )
    observer.end("load", f"{run.requests.n_requests:,} requests")
    return run


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"
