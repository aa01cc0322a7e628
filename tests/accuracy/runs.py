"""Drives the runs of a design, each of them once: what is finished lies in a folder, and is read instead of driven.

A run's file appears whole or not at all, so the folder is its own journal: after Ctrl-C or SIGKILL the same command
goes on with the run that was under way. Export and benchmark are the road's, which resumes by itself.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from loadplan.bench.records import BenchRun
from loadplan.errors import EnvironmentFault
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.export.artifact import ExportRun
from loadplan.fit.calibration import next_run
from loadplan.fit.carried import queue_rows, requests_in_full_batch
from loadplan.load.records import LoadPurpose, LoadRun, LoadSpec
from loadplan.pipeline.artifacts import read_load, write_load
from loadplan.pipeline.drive import drive
from loadplan.pipeline.road import run
from loadplan.report.findings import Findings
from loadplan.scenario.arrivals import Arrivals, Callers
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import Scenario, StageName
from tests.accuracy.design import (
    BISECTION_FROM,
    BISECTION_S,
    BISECTION_TO,
    DECISION_S,
    N_BISECTIONS,
    N_REPEATS_OF_BISECTION,
    Configuration,
    Design,
    Question,
    Saturation,
    Subject,
    round_order,
    saturation_order,
)
from tests.accuracy.models import write_subject
from tests.accuracy.truth import Truth, best_of, bisected, repeat_of, saturated_rps, strain_of, truth_of

_TIMEOUT_S = 5.0
_N_REQUESTS_WANTED = 1000  # of a held-out run, for a p99 of its own
_LONGEST_S = 10.0
_SECONDS_OF_RUN_AND_START = 2.5  # a run is not begun that would end after the time that was given

# A server works longer on requests that come over more connections in turn, and this many is what all other runs have.
_CONNECTIONS_USUAL = 64

_CALIBRATION = "calibration/"

T = TypeVar("T")
Tell = Callable[[str], None]
Drive = Callable[[LoadSpec], LoadRun]


class TimeIsUp(Exception):
    """The time that was given is over; what is finished is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A subject that was exported and benchmarked, and can be driven."""

    scenario: Scenario
    benched: BenchRun
    drive: Drive
    drive_replicas: Callable[[Configuration, LoadSpec], LoadRun] | None = None  # None: it has one server only


Prepare = Callable[[Path, Subject, Design], Prepared]


def prepare(folder: Path, subject: Subject, design: Design) -> Prepared:
    """Export and benchmark a subject as `loadplan bench SCENARIO` does, or read what was done before.

    Raises:
        LoadplanError: whatever keeps the road from that.
    """
    found, exported, payloads, run_folder = walk(folder, subject, design, until="bench")
    if found.bench is None:
        raise _ended_early(subject)

    def drive_as_the_road(spec: LoadSpec) -> LoadRun:
        return drive(
            spec,
            folder=run_folder,
            exported=exported,
            payloads=payloads,
            scenario=found.scenario,
            machine=found.machine,
        )

    return Prepared(scenario=found.scenario, benched=found.bench, drive=drive_as_the_road)


def walk(
    folder: Path, subject: Subject, design: Design, *, until: StageName
) -> tuple[Findings, ExportRun, PayloadSet, Path]:
    """What the road finds of a subject up to a stage, export at the least, and in which run folder.

    Raises:
        LoadplanError: whatever keeps the road from that.
    """
    scenario_file = write_subject(folder / "subjects", subject, bench_s=design.bench_s, run_s=design.run_s)
    end = run(scenario_file, results=folder / "roads", until=until)
    exported, payloads = end.findings.export, end.findings.payloads
    if end.failure is not None:
        raise end.failure
    if exported is None or payloads is None:
        raise _ended_early(subject)
    return end.findings, exported, payloads, end.folder


def _ended_early(subject: Subject) -> EnvironmentFault:
    return EnvironmentFault(what="the road ended early", where=subject.name, fix="run its scenario file by itself")


class Runs:
    """The finished runs of a design, and whoever drives the others."""

    def __init__(self, folder: Path, design: Design, *, deadline_s: float | None, tell: Tell, prepare: Prepare) -> None:
        """Runs are kept below `folder`; none is begun that would end after `deadline_s` on the monotonic clock."""
        self.design = design
        self.folder = folder
        self._deadline_s = deadline_s
        self._tell = tell
        self._prepare = prepare
        self._subjects: dict[str, Prepared] = {}
        self._calibrations: dict[str, LoadRun] = {}  # they are asked for again and again
        self._derived: dict[str, object] = {}

    def prepared(self, name: str) -> Prepared:
        """The subject, exported and benchmarked when it is first asked for, whatever the time. Raises as `prepare`."""
        if name not in self._subjects:
            self._tell(f"{name}: export and benchmark")
            self._subjects[name] = self._prepare(self.folder, self.design.subject(name), self.design)
        return self._subjects[name]

    def kept(self, name: str) -> LoadRun | None:
        """A run that is finished; None for any other."""
        if name in self._calibrations:
            return self._calibrations[name]
        path = self._path(name)
        if not path.is_file():
            return None
        run = read_load(path)
        if name.startswith(_CALIBRATION):
            self._calibrations[name] = run
        return run

    def _derive(self, names: Iterable[str], derive: Callable[[LoadRun], T]) -> list[T]:
        """What is to be told of each of these runs that is finished; each is read once."""
        found: list[T] = []
        for name in names:
            if name not in self._derived:
                run = self.kept(name)
                if run is None:
                    continue
                self._derived[name] = derive(run)
            found.append(cast("T", self._derived[name]))
        return found

    def once(self, name: str, drive: Drive, spec: LoadSpec) -> LoadRun:
        """The run of this name: read where it is finished, driven where it isn't."""
        found = self.kept(name)
        if found is not None:
            return found
        if self._deadline_s is not None and (
            time.monotonic() + spec.duration_s + _SECONDS_OF_RUN_AND_START > self._deadline_s
        ):
            raise TimeIsUp
        driven = drive(spec)
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_load(path, driven)
        said = "valid" if driven.verdict.valid else "; ".join(driven.verdict.invalid_reasons)
        self._tell(f"{name}: {driven.verdict.achieved_rate_rps:,.0f} requests/s, {said}")
        return driven

    def _path(self, name: str) -> Path:
        return self.folder / "runs" / f"{name}.parquet"

    # What was measured

    def saturated(self, one: Saturation) -> list[float | None]:
        """Throughput of each finished round; None for a void one."""
        names = (_saturation_name(one, i) for i in range(self.design.n_rounds))
        return self._derive(names, saturated_rps)

    def capacity_rps(self, subject: str, max_batch_size: int) -> float | None:
        """Best of the rounds, which everything else is a share of; None where no round was valid."""
        one = Saturation(subject=subject, max_batch_size=max_batch_size, is_held_out=False)
        return best_of(self.saturated(one))

    def truth(self, one: Configuration) -> Truth:
        """What the finished repeats of a configuration say."""
        return truth_of(self._derive(self._held_out_names(one), repeat_of))

    def repeats(self, one: Configuration) -> list[LoadRun]:
        """The finished runs of a configuration that are not void."""
        kept = (self.kept(name) for name in self._held_out_names(one))
        return [run for run in kept if run is not None and repeat_of(run) is not None]

    def _held_out_names(self, one: Configuration) -> list[str]:
        return [_held_out_name(one, i) for i in range(self.design.n_rounds + self.design.n_more_rounds)]

    def calibration(self, subject: str, i_round: int) -> tuple[tuple[LoadRun, ...], LoadSpec | None]:
        """The finished calibration runs of a round, and what the calibration would drive next; None: it is complete.

        Each round is the calibration of one walk of the road, with arrivals of its own.
        """
        prepared = self.prepared(subject)
        load = replace(prepared.scenario.load, seed=prepared.scenario.load.seed + i_round)
        scenario = replace(prepared.scenario, load=load)
        found: list[LoadRun] = []
        while (spec := next_run(prepared.benched, scenario, found)) is not None:
            kept = self.kept(_calibration_name(subject, i_round, spec))
            if kept is None:
                return tuple(found), spec
            found.append(kept)
        return tuple(found), None

    def bracket(self, question: Question) -> tuple[float, float]:
        """Between which shares of the saturated capacity the objective's own lies, by the finished steps."""
        strains = []
        for step in range(N_BISECTIONS):
            names = [_step_name(question, step, i) for i in range(N_REPEATS_OF_BISECTION)]
            repeats = self._derive(names, lambda run: strain_of(run, question.objective))
            if len(repeats) < N_REPEATS_OF_BISECTION:
                break
            strains.append(repeats)
        return bisected(BISECTION_FROM, BISECTION_TO, strains)

    def is_bracketed(self, question: Question) -> bool:
        """Whether all steps of the search are finished."""
        return self.kept(_step_name(question, N_BISECTIONS - 1, N_REPEATS_OF_BISECTION - 1)) is not None

    def decision(self, question: Question, side: str) -> LoadRun | None:
        """The finished run at the `low` or the `high` rate of a decision."""
        return self.kept(f"decisions/{question.name}/{side}")

    # What drives them

    def drive_saturations(self) -> None:
        """All rounds of the capacities that fix the rates of the rest."""
        for i_round in range(self.design.n_rounds):
            for one in saturation_order(self.design, i_round):
                prepared = self.prepared(one.subject)
                setting = setting_of(prepared.scenario, one.max_batch_size)
                rows = prepared.scenario.traffic.rows_per_request.mean
                # While a batch is computed enough others wait that the next is full whatever the callers do.
                n_callers = max(3 * requests_in_full_batch(one.max_batch_size, rows), _CONNECTIONS_USUAL)
                callers = Callers(n_callers=n_callers, think_time_s=0.0)
                spec = _spec(one.name, callers, 0.0, self.design.saturated_s, i_round, setting, purpose="ad_hoc")
                self.once(_saturation_name(one, i_round), prepared.drive, spec)

    def drive_rounds(self) -> None:
        """The rounds of held-out and calibration runs, and more of those configurations that were disturbed."""
        for i_round in range(self.design.n_rounds):
            for slot in round_order(self.design, i_round):
                if slot.configuration is None:
                    self._calibrate(slot.subject, i_round)
                else:
                    self._drive_held_out(slot.configuration, i_round)
        for i_round in range(self.design.n_rounds, self.design.n_rounds + self.design.n_more_rounds):
            for slot in round_order(self.design, i_round):
                if slot.configuration is not None and self._says_too_little(slot.configuration):
                    self._drive_held_out(slot.configuration, i_round)

    def _says_too_little(self, one: Configuration) -> bool:
        truth = self.truth(one)
        return truth.n_repeats < self.design.n_rounds or truth.clean_s < self.design.clean_s

    def drive_capacities(self) -> None:
        """The live searches of the capacities at an objective."""
        for question in self.design.capacities:
            for step in range(N_BISECTIONS):
                prepared = self.prepared(question.subject)
                capacity_rps = self.capacity_rps(question.subject, question.max_batch_size)
                if capacity_rps is None:
                    break
                low, high = self.bracket(question)
                rate_rps = capacity_rps * (low + high) / 2.0
                for i in range(N_REPEATS_OF_BISECTION):
                    self._ask(question, _step_name(question, step, i), prepared, rate_rps, BISECTION_S, 100 * step + i)

    def drive_decision(self, question: Question, side: str, rate_rps: float) -> LoadRun:
        """One side of a decision, at this rate."""
        prepared = self.prepared(question.subject)
        return self._ask(question, f"decisions/{question.name}/{side}", prepared, rate_rps, DECISION_S, question.number)

    def _calibrate(self, subject: str, i_round: int) -> bool:
        """Drive the calibration run that is next in this round; whether there was one."""
        _, spec = self.calibration(subject, i_round)
        if spec is None:
            return False
        self.once(_calibration_name(subject, i_round, spec), self.prepared(subject).drive, spec)
        return True

    def _drive_held_out(self, one: Configuration, i_round: int) -> None:
        capacity_rps = self.capacity_rps(one.subject, one.max_batch_size)
        if capacity_rps is None:
            return
        prepared, rate_rps = self.prepared(one.subject), one.load_ratio * one.n_replicas * capacity_rps
        duration_s = min(max(self.design.run_s, _N_REQUESTS_WANTED / rate_rps), _LONGEST_S)
        setting = setting_of(prepared.scenario, one.max_batch_size, one.batch_window_s)
        spec = _spec(one.name, one.arrivals, rate_rps, duration_s, 1000 + i_round, setting, purpose="steady")
        drive = prepared.drive
        if one.n_replicas > 1:
            if prepared.drive_replicas is None:
                raise ValueError(f"{one.subject} has no replicas")
            drive = partial(prepared.drive_replicas, one)
        self.once(_held_out_name(one, i_round), drive, spec)

    def _ask(
        self, question: Question, name: str, prepared: Prepared, rate_rps: float, duration_s: float, seed: int
    ) -> LoadRun:
        setting = setting_of(prepared.scenario, question.max_batch_size, question.batch_window_s)
        duration_s = min(max(duration_s, _N_REQUESTS_WANTED / rate_rps), 2.0 * _LONGEST_S)
        spec = _spec(
            question.name, question.arrivals, rate_rps, duration_s, 2000 + seed, setting, purpose="verification"
        )
        return self.once(name, prepared.drive, spec)


def setting_of(scenario: Scenario, max_batch_size: int, batch_window_s: float = 0.0) -> Setting:
    """As the fit sets a server up: one thread, and a queue that holds the callers of the calibration."""
    bound = queue_rows(max_batch_size, scenario.traffic.rows_per_request.mean)
    return Setting(
        execution=ExecutionConfig(variant="fp32"),
        serving=ServingConfig(max_batch_size=max_batch_size, batch_window_s=batch_window_s, max_queue_rows=bound),
    )


def _spec(
    name: str,
    arrivals: Arrivals | Callers,
    rate_rps: float,
    duration_s: float,
    seed: int,
    setting: Setting,
    *,
    purpose: LoadPurpose,
) -> LoadSpec:
    return LoadSpec(
        name=name,
        purpose=purpose,
        arrivals=arrivals,
        offered_rate_rps=rate_rps or float("nan"),
        duration_s=duration_s,
        seed=seed,
        timeout_s=_TIMEOUT_S,
        setting=setting,
    )


def _saturation_name(one: Saturation, i_round: int) -> str:
    return f"saturations/{one.name}/{i_round}"


def _held_out_name(one: Configuration, i_round: int) -> str:
    return f"held-out/{one.name}/{i_round}"


def _calibration_name(subject: str, i_round: int, spec: LoadSpec) -> str:
    return f"{_CALIBRATION}{subject}/{i_round}/{spec.name}"


def _step_name(question: Question, step: int, i: int) -> str:
    return f"capacities/{question.name}/{step}-{i}"
