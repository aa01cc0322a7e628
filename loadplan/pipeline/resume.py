"""Single stages done again on an existing run folder: the same laws with other prices, another live run, a new page."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from loadplan import clock
from loadplan.catalog.price import Catalog
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.fit.records import CapacityFit
from loadplan.machine import read_machine
from loadplan.pipeline import artifacts, question, service_steps, steps
from loadplan.pipeline.artifacts import read_findings
from loadplan.pipeline.catalogue import catalog_for
from loadplan.pipeline.elsewhere import graph_costs, measured_elsewhere
from loadplan.pipeline.ledger import read_ledger
from loadplan.pipeline.observer import Nobody, Observer
from loadplan.pipeline.profiles import GivenProfile, ProfileFile, read_profiles
from loadplan.pipeline.question import is_of_service
from loadplan.pipeline.road import disappointment
from loadplan.pipeline.service_resume import plan_service_again, searching_again, verify_service
from loadplan.pipeline.stage import NO_PRICES, Road
from loadplan.pipeline.verification import Known, VerificationRequest, verify_shares
from loadplan.plan.answer import Search, answer
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import searching
from loadplan.report.findings import Findings
from loadplan.scenario.spec import Scenario, StageName
from loadplan.store.run_folder import hold_run_folder
from loadplan.verify import Verdict

T = TypeVar("T")


def fit_again(run: Path, *, observer: Observer | None = None) -> CapacityFit:
    """Fit the laws to the run's own measurements.

    Raises:
        InputError: when the folder holds no bench or no load runs.
    """
    with _reopened(run, observer=observer) as (road, known):
        _need_model(road.scenario, run)
        return steps.fit(road, _need(known.bench, "bench", run), _need(known.loads, "load", run))


def fit_with_ledger(run: Path, *, observer: Observer | None = None) -> CapacityFit:
    """The same, with intervals widened where earlier verifications in the results folder showed them too narrow.

    Raises:
        InputError: when the folder holds no bench or no load runs, or nothing was ever verified.
    """
    with _reopened(run, observer=observer) as (road, known):
        _need_model(road.scenario, run)
        benched, loads = _need(known.bench, "bench", run), _need(known.loads, "load", run)
        return steps.fit(road, benched, loads, ledger=read_ledger(road.folder.path))


def plan_again(
    run: Path,
    *,
    as_of: date | None = None,
    prices: Mapping[str, Decimal] = NO_PRICES,
    profiles: Sequence[ProfileFile] = (),
    fleets: question.Fleets = question.AS_ASKED,
    observer: Observer | None = None,
) -> Plan:
    """Plan on the run's own fit with the prices of today, or of `as_of`, and the user's own over them.

    Offers of the types that `profiles` were measured on are planned on what was measured there. `fleets` stand
    in place of those that the scenario names.

    Raises:
        InputError: when the folder holds no fit, a price names no known machine, or a profile can't be used.
    """
    with _reopened(run, as_of=as_of, prices=prices, observer=observer) as (reopened, known):
        scenario = question.with_fleets(reopened.scenario, fleets)
        road = replace(reopened, profiles=_profiles_for(reopened, profiles), scenario=scenario)
        if known.service is not None:
            return plan_service_again(road, known, known.service)
        fitted = _need(known.fit, "fit", run)
        planned = steps.plan(road, fitted)
        steps.drop_other_verification(road, fitted, planned)
        return planned


def plans_at(run: Path, peaks_rps: Sequence[float]) -> tuple[Plan, ...]:
    """What the run's fit would be planned to at other peaks, on the prices of today; nothing is written.

    Raises:
        InputError: when the folder holds no fit, or nobody said what the service of it runs on.
    """
    with _reopened(run) as (road, known):
        scenario = road.scenario
        catalog = catalog_for(scenario, scenario_file=Path(road.scenario_file), as_of=road.as_of, prices=road.prices)
        search = _searching(road, known, catalog, run)
        asked = [replace(scenario, traffic=replace(scenario.traffic, peak_rps=peak_rps)) for peak_rps in peaks_rps]
        return tuple(answer(search(one), scenario=one, catalog=catalog) for one in asked)


def verify_again(run: Path, *, request: VerificationRequest | None = None, observer: Observer | None = None) -> Verdict:
    """Drive the run's plan live once more; what neighbours spoiled does not take the place of an earlier verdict.

    The lower rate with all replicas there is driven beside it, and what else the `request` asks for.

    Raises:
        InputError: when the folder holds no plan, or the request names a machine that the plan says nothing of.
        InvalidMeasurement: when this is another machine than the one that was fitted.
    """
    asked = request or VerificationRequest()
    with _reopened(run, observer=observer) as (road, known):
        if is_of_service(road.scenario):
            return _verify_service_again(road, known, run, asked)
        here = read_machine()
        if here.fingerprint != known.machine.fingerprint and asked.url is None:
            raise InvalidMeasurement(
                what=f"the run was measured on {known.machine.cpu_model} with {known.machine.n_usable_cores} usable "
                f"cores, this machine is {here.cpu_model} with {here.n_usable_cores}",
                where=str(run),
                fix="run `loadplan run` on the scenario here; it measures this machine on its own",
            )
        exported, payloads = _need(known.export, "export", run), _need(known.payloads, "export", run)
        fitted, planned = _need(known.fit, "fit", run), _need(known.plan, "plan", run)
        verified = verify_shares(road, Known(exported, payloads, fitted, planned), asked)
        is_spoiled = not (verified.verdict.valid and all(beside.verdict.valid for beside in verified.beside))
        if is_spoiled and known.verdict is not None and known.verdict.valid:
            return verified.verdict
        road.folder.forget("verify")
        steps.verify(road, exported, payloads, fitted, planned, already=verified)
        return verified.verdict


def _verify_service_again(road: Road, known: Findings, run: Path, request: VerificationRequest) -> Verdict:
    fitted, planned = _need(known.service, "fit", run), _need(known.plan, "plan", run)
    verified = verify_service(road, fitted, planned, request)
    is_spoiled = not (verified.verdict.valid and all(beside.verdict.valid for beside in verified.beside))
    if not (is_spoiled and known.verdict is not None and known.verdict.valid):
        service_steps.keep_verification(road, verified)
    return verified.verdict


def report_again(run: Path, *, observer: Observer | None = None) -> Path:
    """Write the page and the budget of what the run found, as far as it came."""
    with _reopened(run, observer=observer) as (road, known):
        return steps.report(road, known, disappointment(known))


def report_split(run: Path, *, observer: Observer | None = None) -> Path:
    """Write the page with its style and scripts in files of their own, for viewers that let nothing in a page run."""
    with _reopened(run, observer=observer) as (road, known):
        return steps.split_report(road, known, disappointment(known))


def budget_page_again(run: Path, *, observer: Observer | None = None) -> Path:
    """Write the page for whoever owns the budget, beside the other files that are made of a finished run."""
    with _reopened(run, observer=observer) as (road, known):
        return steps.budget_page(road, known, disappointment(known))


@contextmanager
def _reopened(
    run: Path,
    *,
    as_of: date | None = None,
    prices: Mapping[str, Decimal] = NO_PRICES,
    observer: Observer | None = None,
) -> Iterator[tuple[Road, Findings]]:
    now = clock.utc_now()
    with hold_run_folder(run, now=now) as folder:
        known = read_findings(folder)
        road = Road(
            folder=folder,
            scenario=known.scenario,
            scenario_file=folder.require("scenario").inputs["file"],
            scenario_text=(folder.path / artifacts.SCENARIO_TEXT).read_text(encoding="utf-8"),
            machine=known.machine,
            observer=observer or Nobody(),
            as_of=as_of or now.date(),
            prices=prices,
        )
        yield road, known


def _profiles_for(road: Road, files: Sequence[ProfileFile]) -> tuple[GivenProfile, ...]:
    if not files:
        return ()
    file = Path(road.scenario_file)
    return read_profiles(files, catalog_for(road.scenario, scenario_file=file, as_of=road.as_of, prices=road.prices))


def _searching(road: Road, known: Findings, catalog: Catalog, run: Path) -> Search:
    if known.service is not None:
        return searching_again(road, known.service, catalog)
    return searching(
        fit=_need(known.fit, "fit", run),
        catalog=catalog,
        as_of=road.as_of,
        measured=measured_elsewhere(road),
        costs=graph_costs(road),
    )


def _need_model(scenario: Scenario, run: Path) -> None:
    if is_of_service(scenario):
        raise InputError(
            what="this run is of a running service, whose fit belongs to its runs",
            where=str(run),
            fix="fit it again with `loadplan quick URL … --fresh`, or plan on it with `loadplan plan RUN`",
        )


def _need(found: T | None, stage: StageName, run: Path) -> T:
    if found is None:
        raise InputError(
            what=f"the run was stopped before its stage `{stage}` was finished",
            where=str(run),
            fix="run `loadplan run` on the scenario again; it goes on where it was",
        )
    return found
