"""A run folder that holds a question and its plan, and nothing that was measured."""

from datetime import UTC, datetime
from pathlib import Path

from loadplan.export.artifact import ExportRun
from loadplan.machine import Machine
from loadplan.pipeline import artifacts
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.spec import Scenario
from loadplan.store.codec import write_record
from loadplan.store.manifest import StageEntry
from loadplan.store.run_folder import open_run_folder

NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)


def write_run(
    results: Path, *, scenario: Scenario, machine: Machine, plan: Plan | None, export: ExportRun | None = None
) -> Path:
    """The folder's path; without a plan the run was stopped before it."""
    with open_run_folder(results, name="digits", run_hash="0123456789", now=NOW) as folder:
        write_record(folder.path / artifacts.SCENARIO, scenario, schema="loadplan.scenario/1")
        write_record(folder.path / artifacts.MACHINE, machine, schema="loadplan.machine/1")
        (folder.path / artifacts.SCENARIO_TEXT).write_text("name: digits\n")
        made = {"scenario": [artifacts.SCENARIO_TEXT, artifacts.SCENARIO, artifacts.MACHINE]}
        if plan is not None:
            write_record(folder.path / artifacts.PLAN, plan, schema="loadplan.plan/1")
            made["plan"] = [artifacts.PLAN]
        if export is not None:
            write_record(folder.path / artifacts.EXPORT, export, schema="loadplan.export/1")
            made["export"] = [artifacts.EXPORT]
        for stage, paths in made.items():
            folder.finish(
                StageEntry(
                    stage=stage,
                    key=stage,
                    inputs={"file": "digits.yaml"},
                    artifacts=tuple(folder.artifact(path) for path in paths),
                    versions={},
                    machine="test",
                    seed=None,
                    finished_at=NOW.isoformat(),
                )
            )
        return folder.path
