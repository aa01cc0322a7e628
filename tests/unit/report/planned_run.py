"""Run folders made by hand: of a question and its plan alone, and of all that a run found."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from loadplan.export.artifact import ExportRun
from loadplan.machine import Machine
from loadplan.pipeline import artifacts
from loadplan.plan.records.fleet import Plan
from loadplan.report.findings import Findings
from loadplan.scenario.payload_file import save_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import Scenario
from loadplan.store.codec import write_record
from loadplan.store.manifest import StageEntry
from loadplan.store.run_folder import open_run_folder

PAYLOADS = PayloadSet(
    inputs={"x": np.zeros((1, 1), dtype=np.float32)},
    expected={"y": np.zeros((1, 1), dtype=np.float32)},
    segments=("",),
    labels=None,
)
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


def write_findings(results: Path, known: Findings) -> Path:
    """The folder of a run that found all this; given again, what is found anew takes the place of what was there."""
    with open_run_folder(results, name="digits", run_hash="0123456789", now=NOW) as folder:
        for stage, paths in _written(folder.path, known).items():
            folder.finish(
                StageEntry(
                    stage=stage,
                    key=stage,
                    inputs={"file": "digits.yaml"},
                    artifacts=tuple(folder.artifact(path) for path in paths),
                    versions={"loadplan": "0.1", "numpy": "2.4"},
                    machine="test",
                    seed=None,
                    finished_at=NOW.isoformat(),
                )
            )
        return folder.path


def _written(path: Path, known: Findings) -> dict[str, list[str]]:
    """The files of each stage that there is something of."""
    made = {"scenario": [artifacts.SCENARIO_TEXT, artifacts.SCENARIO, artifacts.MACHINE]}
    write_record(path / artifacts.SCENARIO, known.scenario, schema="loadplan.scenario/1")
    write_record(path / artifacts.MACHINE, known.machine, schema="loadplan.machine/1")
    (path / artifacts.SCENARIO_TEXT).write_text("name: digits\n")
    if known.export is not None:
        made["export"] = [artifacts.EXPORT, artifacts.PAYLOADS]
        write_record(path / artifacts.EXPORT, known.export, schema="loadplan.export/1")
        (path / artifacts.PAYLOADS).parent.mkdir(exist_ok=True)
        save_payloads(path / artifacts.PAYLOADS, PAYLOADS)
    if known.bench is not None:
        made["bench"] = [artifacts.BENCH]
        artifacts.write_bench(path / artifacts.BENCH, known.bench)
    if known.loads is not None:
        made["load"] = [f"{artifacts.LOAD}/{run.spec.name}.parquet" for run in known.loads]
        for run, name in zip(known.loads, made["load"], strict=True):
            artifacts.write_load(path / name, run)
    if known.fit is not None:
        made["fit"] = [artifacts.FIT]
        write_record(path / artifacts.FIT, known.fit, schema="loadplan.fit/1")
    if known.plan is not None:
        made["plan"] = [artifacts.PLAN]
        write_record(path / artifacts.PLAN, known.plan, schema="loadplan.plan/1")
    if known.verdict is not None and known.verification is not None:
        made["verify"] = [artifacts.VERDICT, artifacts.VERIFICATION]
        write_record(path / artifacts.VERDICT, known.verdict, schema="loadplan.verify/2")
        artifacts.write_load(path / artifacts.VERIFICATION, known.verification)
    return made
