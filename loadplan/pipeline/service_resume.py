"""Single stages done again on the run folder of a running service: another plan, another live run of it.

The decision a reader would question: `--url` names another place where the same service runs, such as the machine that
the plan buys; that it is the same one is what the user says, for a service that answers fixed bodies can't be told.
"""

from dataclasses import replace

from loadplan.catalog.price import Catalog
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.pipeline import service_steps
from loadplan.pipeline.question import need_service
from loadplan.pipeline.service import drive_in_stage
from loadplan.pipeline.service_machine import ServiceMachine, machine_of
from loadplan.pipeline.stage import Road
from loadplan.pipeline.verification import Verification, VerificationRequest
from loadplan.plan.answer import Search
from loadplan.plan.records.fleet import Plan
from loadplan.plan.service import searching_service
from loadplan.report.findings import Findings
from loadplan.scenario.spec import Service
from loadplan.service_check import FittedService, check_spec, judge_check, judge_more, more_spec
from loadplan.verify import with_shares


def plan_service_again(road: Road, known: Findings, fitted: FittedService) -> Plan:
    """Plan on the run's own fit; the verdict is told anew of the run that was driven for it.

    Raises:
        InputError: when a profile is given, or nobody said what the service runs on.
    """
    if road.profiles:
        raise InputError(
            what="profiles are of models, and this run is of a service as it is",
            where="--profiles",
            fix="run `loadplan quick URL` on a machine of the other type",
        )
    _runs_on(road)
    planned = service_steps.plan(road, fitted)
    if planned.feasible and known.verification is not None:
        service_steps.verify(road, fitted, planned, known.verification)
    else:
        road.folder.forget("verify")
    return planned


def searching_again(road: Road, fitted: FittedService, catalog: Catalog) -> Search:
    """What finds the machines that could carry other traffic of the same service.

    Raises:
        InputError: when nobody said what the service runs on.
    """
    measured_on = _runs_on(road).machine.instance_type
    return searching_service(fitted.capacity, catalog=catalog, as_of=road.as_of, measured_on=measured_on)


def verify_service(road: Road, fitted: FittedService, planned: Plan, request: VerificationRequest) -> Verification:
    """Drive the service near the capacity that it was fitted with; nothing is kept.

    Raises:
        InputError: when its host is neither loopback nor allowed.
        ObjectiveMissed: when there is no plan, or the service carries nothing.
    """
    service, scenario = _asked(need_service(road.scenario), request), road.scenario
    spec = check_spec(fitted.capacity, scenario)
    spec = replace(spec, seed=spec.seed + 1)  # not the arrivals that the fit was checked with
    run = _drive(road, service, spec)
    verdict = judge_check(planned, fitted, scenario, run)
    verdict = replace(verdict, caveats=(*verdict.caveats, *_told(road.scenario.target, service)))
    if not (verdict.valid and request.is_sharp):
        return Verification(verdict=verdict, run=run)
    more = _drive(road, service, more_spec(spec))
    sharpness = judge_more(planned, fitted, scenario, more)
    return Verification(verdict=with_shares(verdict, None, sharpness), run=run, beside=(more,))


def _runs_on(road: Road) -> ServiceMachine:
    found = machine_of(need_service(road.scenario), road.scenario.plan, road.machine)
    if not found.is_known:
        raise InputError(what=found.caveats[0].what, where="target.instance_type", fix=found.caveats[0].fix)
    return found


def _asked(service: Service, request: VerificationRequest) -> Service:
    """The service where it is to be driven: an address without a path has the service's own."""
    url = request.url or service.url
    has_path = "/" in url.partition("://")[2].rstrip("/")
    if not has_path:
        own_path = service.url.partition("://")[2].partition("/")[2]
        url = f"{url.rstrip('/')}/{own_path}" if own_path else url
    return replace(
        service,
        url=url,
        allow_remote=(*service.allow_remote, *request.allow_remote),
        instance_type=request.instance_type or service.instance_type,
    )


def _drive(road: Road, service: Service, spec: LoadSpec) -> LoadRun:
    said = f"{spec.offered_rate_rps:,.0f} requests/s for {spec.duration_s:.0f} s"
    road.observer.begin("verify", f"does {service.url.partition('?')[0]} hold at {said}?")
    run = drive_in_stage(
        service,
        spec,
        requests=service_steps.requests_for(road.scenario, service),
        machine=machine_of(service, road.scenario.plan, road.machine).machine,
        on_progress=lambda ratio: road.observer.progress(ratio, said),
    )
    road.observer.end("verify", f"{run.requests.n_requests:,} requests")
    return run


def _told(planned: Service | None, driven: Service) -> tuple[Caveat, ...]:
    if planned is None or planned.url == driven.url:
        return ()
    return (
        Caveat(
            code="verify.told",
            what=f"the verdict rests on what was said: that {driven.url.partition('?')[0]} is the service that was "
            "planned",
            fix="drive the address that was planned, or run `loadplan quick` on this one",
        ),
    )
