"""The bill of a run's plan as files: the workbook that computes, and its months as rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from loadplan import __version__
from loadplan.errors import InputError
from loadplan.pipeline import artifacts
from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.actuals import actuals_csv, compare_months, read_actuals
from loadplan.report.budget.focus import FocusVersion, focus_csv
from loadplan.report.budget.lines import NO_LINES, BudgetLine, budget_lines
from loadplan.report.budget.months import first_month
from loadplan.report.budget.options import read_options
from loadplan.report.budget.rows import budget_csv
from loadplan.report.budget.text_sheets import Origin
from loadplan.report.budget.workbook import budget_workbook
from loadplan.scenario.spec import Scenario
from loadplan.store.codec import read_record
from loadplan.store.files import write_bytes, write_text
from loadplan.store.run_folder import RunFolder, read_run_folder
from loadplan.trial import nothing_feasible

# Beside the files of the report's stage, whose hashes the manifest keeps.
BUDGET_FOLDER = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A run's question and its plan, in which a fleet is feasible."""

    scenario: Scenario
    plan: Plan
    origin: Origin


def read_planned(run: Path) -> Planned:
    """What a budget or a manifest is made of, whatever else of the run is at hand.

    Raises:
        InputError: when the folder is no run, or the run has no plan yet.
        EnvironmentFault: when a file of it was damaged.
        ObjectiveMissed: when no fleet is feasible, so that there is nothing to buy.
    """
    folder = read_run_folder(run)
    folder.require("scenario")
    if folder.entry("plan") is None:
        raise InputError(
            what="the run has no plan yet",
            where=str(run),
            fix="run `loadplan run` on the scenario again; it goes on where it was",
        )
    folder.require("plan")
    planned = read_record(run / artifacts.PLAN, Plan, schema="loadplan.plan/1")
    if not planned.feasible:
        raise nothing_feasible(planned)
    asked = read_record(run / artifacts.SCENARIO, Scenario, schema="loadplan.scenario/1")
    return Planned(scenario=asked, plan=planned, origin=origin_of(folder))


def origin_of(folder: RunFolder) -> Origin:
    """How a budget names the run that it comes from."""
    return Origin(run=folder.path.name, created_at=folder.manifest.created_at, version=__version__)


def write_budget(
    folder: Path, plan: Plan, scenario: Scenario, *, origin: Origin, given: Mapping[str, Decimal] = NO_LINES
) -> list[str]:
    """Write the rows, and the workbook where a fleet of one type is feasible; returns the names of the files.

    Args:
        folder: where they go.
        plan: what was planned.
        scenario: the question behind it.
        origin: the run that it comes from.
        given: what else is on the bill, USD per month by name.

    Raises:
        EnvironmentFault: when the disk is full or failing.
    """
    lines: tuple[BudgetLine, ...] = budget_lines(given)
    write_text(folder / artifacts.BUDGET, budget_csv(plan, lines))
    if not read_options(plan, scenario.plan).fleets:
        return [artifacts.BUDGET]
    write_bytes(folder / artifacts.BUDGET_SHEET, budget_workbook(plan, scenario, origin=origin, lines=lines))
    return [artifacts.BUDGET, artifacts.BUDGET_SHEET]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that were written to a file."""

    path: Path
    text: str  # CSV


def write_focus(
    folder: Path, planned: Planned, *, version: FocusVersion, month: str | None, given: Mapping[str, Decimal] = NO_LINES
) -> Table:
    """Write the forecast as FOCUS rows.

    Args:
        folder: where they go.
        planned: what was planned.
        version: of the specification.
        month: in which the plan begins, such as `2027-01`; None: the one after the run was begun.
        given: what else is on the bill, USD per month by name.

    Raises:
        InputError: for a month that is none.
        EnvironmentFault: when the disk is full or failing.
    """
    text = focus_csv(
        planned.plan,
        planned.scenario,
        origin=planned.origin,
        lines=budget_lines(given),
        version=version,
        first=first_month(month, created_at=planned.origin.created_at),
    )
    return _written(folder / f"focus-{version}.csv", text)


def write_variance(
    folder: Path, planned: Planned, *, actuals: Path, month: str | None, given: Mapping[str, Decimal] = NO_LINES
) -> Table:
    """Write the forecast beside the rows of a FOCUS file of what was billed; the rest is as of `write_focus`.

    Raises:
        InputError: when the file can't be used, or no month is in both.
        EnvironmentFault: when the disk is full or failing.
    """
    first = first_month(month, created_at=planned.origin.created_at)
    months = compare_months(planned.plan, budget_lines(given), read_actuals(actuals), first=first)
    return _written(folder / "actuals.csv", actuals_csv(months))


def _written(path: Path, text: str) -> Table:
    write_text(path, text)
    return Table(path=path, text=text)
