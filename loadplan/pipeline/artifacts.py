"""The artefacts of the road: what each file of a run folder is called, and how it is written and read."""

from pathlib import Path

from loadplan.bench.records import BenchRun
from loadplan.bench.table import bench_columns, bench_from_columns, bench_metadata
from loadplan.errors import InputError
from loadplan.export.artifact import ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun
from loadplan.load.table import load_columns, load_from_columns, load_metadata
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.report.findings import Findings
from loadplan.scenario.payload_file import load_payloads
from loadplan.scenario.spec import Scenario
from loadplan.service_check import FittedService
from loadplan.store import codec
from loadplan.store.codec import read_record
from loadplan.store.run_folder import RunFolder, read_run_folder
from loadplan.verify import Verdict

SCENARIO_TEXT = "scenario.yaml"
SCENARIO = "scenario.json"
MACHINE = "machine.json"
EXPORT = "export.json"
MODELS = "models"
PAYLOADS = "payloads/samples.npz"
BENCH = "bench.parquet"
LOAD = "load"
FIT = "fit.json"
SERVICE = "service.json"
CHECK = "load/check.parquet"
REFUTED = "load/check-refuted.parquet"  # a check that no structure explains, so that another one followed
PLAN = "plan.json"
VERDICT = "verify.json"
VERIFICATION = "load/verification.parquet"
REPORT = "report.html"
SPLIT_REPORT = "report"  # a folder: the page with its style and scripts in files of their own
BUDGET = "budget.csv"
BUDGET_SHEET = "budget.xlsx"


def write_bench(path: Path, run: BenchRun) -> None:
    """All timed calls of a sweep."""
    codec.write_columns(path, bench_columns(run), metadata=bench_metadata(run))


def read_bench(path: Path) -> BenchRun:
    """Raises InputError when the file is no sweep."""
    return bench_from_columns(*codec.read_columns(path))


def read_bench_at(path: Path) -> BenchRun:
    """The sweep of a run folder, or of a file on its own.

    Raises:
        InputError: when there is none.
        EnvironmentFault: when the run's file was damaged.
    """
    if path.is_dir():
        read_run_folder(path).require("bench")
        return read_bench(path / BENCH)
    try:
        return read_bench(path)
    except InputError as error:  # which of several files it is
        raise InputError(
            what=error.what, where=str(path), fix="give a run folder, or a file that `loadplan bench --out` wrote"
        ) from error


def write_load(path: Path, run: LoadRun) -> None:
    """All requests of a load run."""
    codec.write_columns(path, load_columns(run), metadata=load_metadata(run))


def read_load(path: Path) -> LoadRun:
    """Raises InputError when the file is no load run of this schema."""
    return load_from_columns(*codec.read_columns(path))


def read_findings(folder: RunFolder) -> Findings:
    """Everything that is finished in a run folder, as far as it came.

    Raises:
        InputError: when it holds no scenario, or a file of it is of another version.
        EnvironmentFault: when a file of it was damaged.
    """
    # A lost report is no loss: it is made of what is read here.
    done = {folder.require(entry.stage).stage for entry in folder.manifest.stages if entry.stage != "report"}
    path = folder.path
    if "scenario" not in done:
        raise InputError(
            what="the run was stopped before anything was finished",
            where=str(path),
            fix="run `loadplan run` on the scenario again",
        )
    load = folder.entry("load")
    is_service = (path / SERVICE).is_file()  # a running service has laws of its own kind
    measured = read_bench(path / BENCH) if "bench" in done else None
    return Findings(
        scenario=read_record(path / SCENARIO, Scenario, schema="loadplan.scenario/1"),
        machine=read_record(path / MACHINE, Machine, schema="loadplan.machine/1"),
        payloads=load_payloads(path / PAYLOADS) if "export" in done else None,
        export=read_record(path / EXPORT, ExportRun, schema="loadplan.export/1") if "export" in done else None,
        bench=measured,
        loads=tuple(read_load(path / artifact.path) for artifact in load.artifacts) if load else None,
        fit=read_record(path / FIT, CapacityFit, schema="loadplan.fit/1") if "fit" in done and not is_service else None,
        service=read_record(path / SERVICE, FittedService, schema="loadplan.service/1")
        if "fit" in done and is_service
        else None,
        plan=read_record(path / PLAN, Plan, schema="loadplan.plan/1") if "plan" in done else None,
        verdict=read_record(path / VERDICT, Verdict, schema="loadplan.verify/2") if "verify" in done else None,
        verification=read_load(path / VERIFICATION) if "verify" in done else None,
    )
