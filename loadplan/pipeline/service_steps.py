"""One function per stage of the road of a running service: what its result depends on, how it is made and read again.

The decision a reader would question: the live check near its capacity belongs to the fit. It decides whether the laws
are believed at all; where they are not, what was driven says what the service carries, and the plan rests on that.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loadplan.fit.black_box.calibration import N_RUNS_EXPECTED, next_service_run
from loadplan.fit.black_box.capacity import capacity_at_measured_rates, service_capacity
from loadplan.fit.black_box.doubt import structure_doubt
from loadplan.fit.black_box.fit import fit_service
from loadplan.fit.black_box.records import ServiceFit, asked_of
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.first_answer import ask_once
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.messages.service_requests import service_requests
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.load.target.address import is_loopback
from loadplan.pipeline import artifacts
from loadplan.pipeline.artifacts import read_load, write_load
from loadplan.pipeline.catalogue import catalog_for
from loadplan.pipeline.question import need_service, portable
from loadplan.pipeline.service import drive_in_stage, origin_of
from loadplan.pipeline.service_answers import require_answer
from loadplan.pipeline.service_machine import ServiceMachine, machine_of
from loadplan.pipeline.stage import Made, Road, digest, kept_loads, made_by, once, plan_inputs, version
from loadplan.pipeline.steps import plan_outcome
from loadplan.pipeline.verification import Verification
from loadplan.plan.records.fleet import Plan
from loadplan.plan.service import searching_service
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.scenario.spec import Scenario, Service
from loadplan.service_check import FittedService, check_spec, judge_check
from loadplan.store.codec import read_record, write_record
from loadplan.store.manifest import Artifact, stage_key
from loadplan.trial import verification_timeout_s
from loadplan.verify import Verdict, verdict_word

_ATTEMPTS = 3  # at a run that neighbours spoil
# Doubts about what is sent, which is the same in all runs: one of them says it.
_SAID_ONCE, _SAID_BY = "load.one_payload", "half"


def load(road: Road) -> tuple[LoadRun, ...]:
    """A few gentle runs, none above half of what it carries, each kept as it is made."""
    service, path = need_service(road.scenario), road.folder.path
    requests = requests_for(road.scenario, service)
    inputs = {**_driven(road, service, requests), "machine": road.machine.fingerprint, "locust": version("locust")}

    def make() -> Made:
        first = ask_once(origin_of(service.url), requests, allow_remote=service.allow_remote)
        require_answer(first, service, requests)
        journal = road.folder.journal("load", stage_key("load", inputs))
        kept = [read_load(path / artifact.path) for artifact in journal.entries(Artifact)]
        # What neighbours or a failing service spoiled before the command was given again is driven again.
        runs = {run.spec.name: run for run in kept if not reasons_against(run) and not run.verdict.n_failed}
        machine = machine_of(service, road.scenario.plan, road.machine)
        timeout_s, seed = verification_timeout_s(road.scenario), road.scenario.load.seed
        while (spec := next_service_run(tuple(runs.values()), seed=seed, timeout_s=timeout_s)) is not None:
            said = f"run {len(runs) + 1}: {spec.name} at {spec.offered_rate_rps:,.0f} requests/s"
            driven = _drive(road, service, requests, spec, machine, said=said, n_done=len(runs))
            runs[spec.name] = driven if spec.name == _SAID_BY else _without_what_is_said_once(driven)
            write_load(path / _load_path(spec.name), runs[spec.name])
            journal.append(road.folder.artifact(_load_path(spec.name)))
        n_requests = sum(run.requests.n_requests for run in runs.values())
        return Made(paths=[*map(_load_path, runs)], outcome=f"{len(runs)} runs, {n_requests:,} requests")

    once(road, "load", inputs, make)
    return kept_loads(road, "load")


def fit(road: Road, loads: Sequence[LoadRun]) -> tuple[FittedService, LoadRun | None]:
    """The laws behind the runs, what one copy carries, and the live check of both where the service may be checked."""
    scenario, service, path = road.scenario, need_service(road.scenario), road.folder.path
    inputs = {
        **made_by(road, "load"),
        "objectives": digest((scenario.objectives, scenario.vantage)),
        "traffic": digest((scenario.traffic.arrivals, scenario.traffic.rows_per_request, scenario.traffic.classes)),
        "seed": str(scenario.load.seed),
        "check": digest((may_check(service), scenario.plan.headroom_ratio)),
        **{name: version(name) for name in ("numpy", "scipy", "numba")},
    }
    if not all(run.verdict.valid for run in kept_loads(road, "fit")):
        road.folder.forget("fit")  # what neighbours spoiled is driven again

    def make() -> Made:
        road.observer.progress(0.0, "which structure explains the runs")
        known = _by_law(fit_service(loads, seed=scenario.load.seed), scenario)
        driven: dict[str, LoadRun] = {}
        said = ""
        if may_check(service) and known.capacity.usable_capacity_rps > 0.0:
            check = _check(road, service, known)
            known, said = _after_check(known, [*loads, check], scenario), ", checked live"
            driven = {artifacts.CHECK: check}
            if not known.is_by_law:
                said = ", as driven: no structure suits it"
                # What the plan then rests on is put to a test of its own.
                again = _check(road, service, known) if known.capacity.usable_capacity_rps > 0.0 else check
                driven = {artifacts.CHECK: again, artifacts.REFUTED: check}
        for name, run in driven.items():
            write_load(path / name, run)
        write_record(path / artifacts.SERVICE, known, schema="loadplan.service/1")
        return Made(paths=[artifacts.SERVICE, *driven], outcome=f"{_carries(known)}{said}")

    once(road, "fit", inputs, make)
    known = read_record(path / artifacts.SERVICE, FittedService, schema="loadplan.service/1")
    return known, next(iter(kept_loads(road, "fit")), None)


def plan(road: Road, known: FittedService) -> Plan:
    """The cheapest fleet of machines that run copies of the service, over today's catalogue."""
    scenario, path = road.scenario, road.folder.path
    catalog = catalog_for(scenario, scenario_file=Path(road.scenario_file), as_of=road.as_of, prices=road.prices)
    runs_on = machine_of(need_service(scenario), scenario.plan, road.machine)
    inputs = {
        **plan_inputs(road, catalog),
        "runs_on": digest(runs_on),
    }

    def make() -> Made:
        search = searching_service(
            known.capacity, catalog=catalog, as_of=road.as_of, measured_on=runs_on.machine.instance_type
        )
        planned = plan_with_outlook(search, scenario=scenario, catalog=catalog)
        planned = _for_services(planned, runs_on)
        write_record(path / artifacts.PLAN, planned, schema="loadplan.plan/1")
        return Made(paths=[artifacts.PLAN], outcome=plan_outcome(planned))

    once(road, "plan", inputs, make)
    return read_record(path / artifacts.PLAN, Plan, schema="loadplan.plan/1")


def verify(road: Road, known: FittedService, planned: Plan, check: LoadRun) -> tuple[Verdict, LoadRun]:
    """Hold the check that was driven against the objectives and the law; nothing is driven again for another plan."""
    path = road.folder.path

    def make() -> Made:
        verdict = judge_check(planned, known, road.scenario, check)
        return _written(path, Verification(verdict=verdict, run=check))

    once(road, "verify", _verdict_inputs(road), make)
    verdict = read_record(path / artifacts.VERDICT, Verdict, schema="loadplan.verify/2")
    return verdict, read_load(path / artifacts.VERIFICATION)


def keep_verification(road: Road, verified: Verification) -> None:
    """Put a later verification in the place of the one before."""
    road.folder.forget("verify")
    once(road, "verify", _verdict_inputs(road), lambda: _written(road.folder.path, verified))


def _verdict_inputs(road: Road) -> dict[str, str]:
    return {**made_by(road, "fit", "plan"), "objectives": digest(road.scenario.objectives)}


def _written(path: Path, verified: Verification) -> Made:
    names = [artifacts.VERIFICATION, *(_load_path(one.spec.name) for one in verified.beside)]
    for one, name in zip((verified.run, *verified.beside), names, strict=True):
        write_load(path / name, one)
    write_record(path / artifacts.VERDICT, verified.verdict, schema="loadplan.verify/2")
    return Made(paths=[artifacts.VERDICT, *names], outcome=verdict_word(verified.verdict))


def _for_services(planned: Plan, runs_on: ServiceMachine) -> Plan:
    """With what is known of its machine, and with how a service is measured on another one."""
    worth = (
        replace(one, command=f"loadplan quick URL --instance-type {one.type_name}") for one in planned.worth_measuring
    )
    return replace(planned, caveats=(*runs_on.caveats, *planned.caveats), worth_measuring=tuple(worth))


def may_check(service: Service) -> bool:
    """Whether it may be driven near its capacity unasked: where it runs on this machine, unless somebody said."""
    return is_loopback(service.url) if service.may_check is None else service.may_check


def requests_for(scenario: Scenario, service: Service) -> PreparedRequests:
    """What the service is sent.

    Raises:
        InputError: when the bodies can't be used, or a variable of a header isn't set.
    """
    return service_requests(
        service, None, rows_per_request=scenario.traffic.rows_per_request, classes=scenario.traffic.classes
    )


def _driven(road: Road, service: Service, requests: PreparedRequests) -> dict[str, str]:
    """Of what the runs depend: the address, what is sent, and on which machine it is said to run."""
    asked = portable(road.scenario).target
    bodies = hashlib.sha256(b"\0".join(requests.bodies)).hexdigest()
    return {
        "service": digest(None if asked is None else replace(asked, may_check=None)),
        "bodies": bodies,
        "runs_on": digest(machine_of(service, road.scenario.plan, road.machine).machine),
        "classes": digest(road.scenario.traffic.classes),
        "timeout": digest(verification_timeout_s(road.scenario)),
        "seed": str(road.scenario.load.seed),
    }


def _drive(
    road: Road,
    service: Service,
    requests: PreparedRequests,
    spec: LoadSpec,
    runs_on: ServiceMachine,
    *,
    said: str,
    n_done: int,
) -> LoadRun:
    """The last of three tries at most: a run that stays spoiled is kept with its reasons, and tells the fit nothing."""
    for _ in range(_ATTEMPTS):
        run = drive_in_stage(
            service,
            spec,
            requests=requests,
            machine=runs_on.machine,
            on_progress=lambda ratio: road.observer.progress(min((n_done + ratio) / N_RUNS_EXPECTED, 1.0), said),
        )
        if run.verdict.n_failed or not reasons_against(run):
            break  # a service that fails is not asked again
    return run


def _without_what_is_said_once(run: LoadRun) -> LoadRun:
    return replace(run, caveats=tuple(caveat for caveat in run.caveats if caveat.code != _SAID_ONCE))


def _check(road: Road, service: Service, known: FittedService) -> LoadRun:
    spec = check_spec(known.capacity, road.scenario)
    return _drive(
        road,
        service,
        requests_for(road.scenario, service),
        spec,
        machine_of(service, road.scenario.plan, road.machine),
        said=f"does it hold live at {spec.offered_rate_rps:,.0f} requests/s, for {spec.duration_s:.0f} s?",
        n_done=N_RUNS_EXPECTED // 2,
    )


def _by_law(fitted: ServiceFit, scenario: Scenario) -> FittedService:
    capacity = service_capacity(fitted, asked_of(scenario), scenario.objectives)
    return FittedService(fit=fitted, capacity=capacity, is_by_law=True)


def _after_check(known: FittedService, driven: Sequence[LoadRun], scenario: Scenario) -> FittedService:
    """Where the check, the last of the runs, is not as the laws have it, the highest rate that held stands instead."""
    check = driven[-1]
    doubt = None if reasons_against(check) else structure_doubt(known.fit, check)
    if doubt is None:
        return known
    measured = capacity_at_measured_rates(driven, scenario.objectives)
    return replace(known, capacity=replace(measured, caveats=(doubt, *measured.caveats)), is_by_law=False)


def _load_path(name: str) -> str:
    return f"{artifacts.LOAD}/{name}.parquet"


def _carries(known: FittedService) -> str:
    capacity = known.capacity
    if capacity.usable_capacity_rps <= 0.0:
        return "it meets the objectives at no rate"
    return (
        f"one copy of it carries up to {capacity.usable_capacity_rps:,.0f} requests/s within the objectives "
        f"({capacity.usable_capacity_rps_low:,.0f} to {capacity.usable_capacity_rps_high:,.0f})"
    )
