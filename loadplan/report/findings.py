"""What a report is made of: everything a run found, as far as it came, and where each number traces back to.

The decision a reader would question: a run that stopped half-way is no lesser thing. What is `None` was not reached,
and the page says so instead of leaving a gap.
"""

from dataclasses import dataclass

from loadplan.bench.records import BenchRun
from loadplan.export.artifact import ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import Scenario
from loadplan.service_check import FittedService
from loadplan.verify import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known after a stage; `None`: that stage was not reached."""

    scenario: Scenario
    machine: Machine
    payloads: PayloadSet | None = None
    export: ExportRun | None = None
    bench: BenchRun | None = None
    loads: tuple[LoadRun, ...] | None = None
    fit: CapacityFit | None = None
    service: FittedService | None = None  # in place of `fit` where a running service is planned
    plan: Plan | None = None
    verdict: Verdict | None = None
    verification: LoadRun | None = None  # the load run that the verdict judges


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How the reader can check it: the run, what made it, and the files that hold its numbers."""

    run: str  # name of the run folder
    created_at: str  # UTC, ISO 8601
    seed: int
    versions: dict[str, str]  # package name -> version
    artifacts: tuple[tuple[str, str], ...]  # path inside the run folder, sha256
    command: str  # does it all again
    failure: str | None  # what stopped the run or went wrong; None: all went well
    no_budget: str | None = None  # why no budget may rest on the plan's prices; None: one may, or there is no plan
