"""From a scenario to a priced, verified plan: every stage in turn, each finished one kept and never measured twice."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from loadplan import clock
from loadplan.catalog.capacities import read_capacities
from loadplan.errors import InputError, InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.machine import read_machine
from loadplan.pipeline import question, steps
from loadplan.pipeline.catalogue import catalog_for
from loadplan.pipeline.observer import Nobody, Observer
from loadplan.pipeline.service_road import walk_service
from loadplan.pipeline.stage import NO_PRICES, Road
from loadplan.plan.around.named import check_named
from loadplan.plan.buying.offers import check_places
from loadplan.plan.given import searching_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.findings import Findings
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import Scenario, StageName
from loadplan.store.run_folder import open_run_folder
from loadplan.trial import nothing_feasible
from loadplan.verify import failure_of

# The stages that drive nothing, so that it doesn't matter what the scenario's target is.
_WITHOUT_LOAD: frozenset[StageName] = frozenset({"scenario", "export", "bench"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadEnd:
    """How far a walk came: what was found, where it is kept, and what stopped it early."""

    findings: Findings
    folder: Path
    report: Path | None
    failure: LoadplanError | None  # an objective missed or a measurement that can't be believed; None: all went well


def walk(road: Road) -> Iterator[tuple[StageName, Findings]]:
    """Every stage in turn, with all that is known after it; whoever wants less stops asking."""
    known = steps.read_question(road)
    yield "scenario", known

    exported, payloads = steps.export(road)
    known = replace(known, export=exported, payloads=payloads)
    yield "export", known

    benched = steps.bench(road, exported, payloads)
    known = replace(known, bench=benched)
    yield "bench", known

    loads = steps.load(road, exported, payloads, benched)
    known = replace(known, loads=loads)
    yield "load", known

    fitted = steps.fit(road, benched, loads)
    known = replace(known, fit=fitted)
    yield "fit", known

    planned = steps.plan(road, fitted)
    known = replace(known, plan=planned)
    yield "plan", known

    if planned.feasible:
        verdict, driven = steps.verify(road, exported, payloads, fitted, planned)
        known = replace(known, verdict=verdict, verification=driven)
    yield "verify", known


def run(
    scenario: Path,
    *,
    results: Path,
    fresh: bool = False,
    until: StageName = "report",
    exhaustive: bool = False,
    observer: Observer | None = None,
) -> RoadEnd:
    """Walk the road for one scenario file, resuming whatever an earlier walk finished.

    An `exhaustive` benchmark gives nothing up, whatever the scenario says.

    Raises:
        InputError, EnvironmentFault: nothing can be said. A missed objective or an invalid measurement is not raised
            but stands in the result's `failure`, beside the report that says so.
    """
    _need_one_kind(read_scenario(scenario), scenario, until=until)
    with open_road(
        scenario, results=results, fresh=fresh, exhaustive=exhaustive, observer=observer or Nobody()
    ) as road:
        return finish(road, until=until)


def finish(road: Road, *, until: StageName) -> RoadEnd:
    """Walk an open road to the stage asked for, and write the report of whatever was found."""
    known, failure = Findings(scenario=road.scenario, machine=road.machine), None
    try:
        stages = walk_service(road) if question.is_of_service(road.scenario) else walk(road)
        for stage, known in stages:  # noqa: B007 -- the last one is what counts
            if stage == until:
                break
        failure = disappointment(known)
    except (ObjectiveMissed, InvalidMeasurement) as error:
        failure = error
    report = steps.report(road, known, failure) if until == "report" or failure else None
    return RoadEnd(findings=known, folder=road.folder.path, report=report, failure=failure)


@contextmanager
def open_road(
    scenario_file: Path, *, results: Path, fresh: bool, observer: Observer, exhaustive: bool = False
) -> Iterator[Road]:
    """Read the question, describe the machine, and lock the run folder that belongs to both."""
    scenario = read_scenario(scenario_file)
    if exhaustive:
        scenario = replace(scenario, bench=replace(scenario.bench, exhaustive=True))
    machine = read_machine()
    now = clock.utc_now()
    need_prices(scenario, scenario_file, as_of=now.date())
    planned = hashlib.sha256(question.identity(scenario)).hexdigest()
    digest = hashlib.sha256(
        "\n".join((question.canonical(scenario), planned, machine.fingerprint)).encode()
    ).hexdigest()[:10]
    with open_run_folder(results, name=scenario.name, run_hash=digest, now=now, fresh=fresh) as folder:
        yield Road(
            folder=folder,
            scenario=scenario,
            scenario_file=str(scenario_file),
            scenario_text=scenario_file.read_text(encoding="utf-8-sig"),
            machine=machine,
            observer=observer,
            as_of=now.date(),
            prices=NO_PRICES,
        )


def need_prices(scenario: Scenario, scenario_file: Path, *, as_of: date) -> None:
    """Hold what may be bought, and what runs today, to what has a price, before anything is measured for it.

    Raises:
        InputError: naming what has none.
    """
    catalog = catalog_for(scenario, scenario_file=scenario_file, as_of=as_of)
    check_places(catalog, scenario.plan)
    check_named(catalog, scenario.plan)


def plan_given(
    scenario_file: Path,
    capacities_file: Path,
    *,
    as_of: date | None = None,
    prices: Mapping[str, Decimal] = NO_PRICES,
    fleets: question.Fleets = question.AS_ASKED,
) -> Plan:
    """Plan on capacities that were measured elsewhere; nothing is measured and no run folder is made.

    `fleets`: what runs today and what is proposed, in place of what the scenario says of them.

    Raises:
        InputError: when the scenario, the capacities or a price can't be used.
    """
    day, scenario = as_of or clock.utc_now().date(), question.with_fleets(read_scenario(scenario_file), fleets)
    catalog = catalog_for(scenario, scenario_file=scenario_file, as_of=day, prices=prices)
    search = searching_given(read_capacities(capacities_file), catalog=catalog, as_of=day)
    return plan_with_outlook(search, scenario=scenario, catalog=catalog)


def disappointment(known: Findings) -> LoadplanError | None:
    """The missed objective or the invalid measurement that a finished walk ended in."""
    if known.plan is not None and not known.plan.feasible:
        return nothing_feasible(known.plan)
    return None if known.verdict is None else failure_of(known.verdict)


def _need_one_kind(scenario: Scenario, file: Path, *, until: StageName) -> None:
    """A fleet runs a model as loadplan serves it, or a service as it is: of both nobody knows which is meant."""
    if until in _WITHOUT_LOAD and scenario.model is not None:
        return
    if scenario.model is not None and scenario.target is not None:
        raise InputError(
            what="the scenario names a model and a running service, and a fleet runs one of them",
            where=f"model and target.url in {file}",
            fix="remove `model` to plan for the service as it is, with its bodies in target.request; or `target` to "
            f"plan for the model as loadplan's own server runs it; `loadplan load {file}` compares both",
        )
    if until in {"export", "bench"} and question.is_of_service(scenario):
        raise InputError(
            what=f"a running service has no stage `{until}`: it is measured as it is",
            where=f"target.url in {file}",
            fix=f"run `loadplan run {file}`",
        )
