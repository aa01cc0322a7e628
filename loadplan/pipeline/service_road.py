"""From the address of a running service to a priced, verified plan: fewer stages than a model has, kept alike."""

from collections.abc import Iterator
from dataclasses import replace

from loadplan.pipeline import service_steps, steps
from loadplan.pipeline.question import need_service
from loadplan.pipeline.service_machine import machine_of
from loadplan.pipeline.stage import Road
from loadplan.report.findings import Findings
from loadplan.scenario.spec import StageName
from loadplan.service_check import too_slow_alone


def walk_service(road: Road) -> Iterator[tuple[StageName, Findings]]:
    """Every stage in turn, with all that is known after it; whoever wants less stops asking.

    Raises:
        ObjectiveMissed: when the service is too slow even alone.
        InvalidMeasurement: when it fails under the load, or the machine is too noisy to say.
        LoadplanError: whatever keeps it from being driven.
    """
    known = steps.read_question(road)
    yield "scenario", known

    loads = service_steps.load(road)
    known = replace(known, loads=loads)
    yield "load", known

    fitted, check = service_steps.fit(road, loads)
    known = replace(known, service=fitted)
    yield "fit", known
    if (failure := too_slow_alone(fitted, road.scenario)) is not None:
        raise failure
    if not machine_of(need_service(road.scenario), road.scenario.plan, road.machine).is_known:
        return  # how many machines like that one, `machines_needed` says; none can be priced

    planned = service_steps.plan(road, fitted)
    known = replace(known, plan=planned)
    yield "plan", known

    if planned.feasible and check is not None:
        verdict, driven = service_steps.verify(road, fitted, planned, check)
        known = replace(known, verdict=verdict, verification=driven)
    yield "verify", known
