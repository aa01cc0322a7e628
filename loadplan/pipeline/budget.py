"""The bill of a run's plan as files: the workbook that computes, and its months as rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from loadplan import __version__
from loadplan.errors import InputError
from loadplan.export.artifact import ExportRun
from loadplan.pipeline import artifacts
from loadplan.plan.fleet import Plan
from loadplan.report.budget.lines import NO_LINES, BudgetLine, budget_lines
from loadplan.report.budget.rows import budget_csv
from loadplan.report.budget.text_sheets import Origin
from loadplan.report.budget.workbook import budget_workbook
from loadplan.scenario.spec import Scenario
from loadplan.store.codec import read_record
from loadplan.store.files import write_bytes, write_text
from loadplan.store.run_folder import RunFolder, read_run_folder
from loadplan.verify import nothing_feasible

# Beside the files of the report's stage, whose hashes the manifest keeps.
BUDGET_FOLDER = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A run's question and its plan, in which a fleet is feasible."""

    scenario: Scenario
    plan: Plan
    exported: ExportRun | None  # None: nothing was exported
    origin: Origin


def read_planned(run: Path) -> Planned:
    """What a budget or a manifest is made of.

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
    return Planned(scenario=asked, plan=planned, exported=_exported(folder), origin=origin_of(folder))


def _exported(folder: RunFolder) -> ExportRun | None:
    if folder.entry("export") is None:
        return None
    folder.require("export")
    return read_record(folder.path / artifacts.EXPORT, ExportRun, schema="loadplan.export/1")


def origin_of(folder: RunFolder) -> Origin:
    """How a budget names the run that it comes from."""
    return Origin(run=folder.path.name, created_at=folder.manifest.created_at, version=__version__)


def write_budget(
    folder: Path, plan: Plan, scenario: Scenario, *, origin: Origin, given: Mapping[str, Decimal] = NO_LINES
) -> list[str]:
    """Write the rows, and the workbook where a fleet is feasible; returns the names of the files.

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
    if not plan.feasible:
        return [artifacts.BUDGET]
    write_bytes(folder / artifacts.BUDGET_SHEET, budget_workbook(plan, scenario, origin=origin, lines=lines))
    return [artifacts.BUDGET, artifacts.BUDGET_SHEET]
