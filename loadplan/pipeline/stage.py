"""What every stage of the road shares: the open road, and the rule by which a stage is done, kept or taken over.

A stage's key covers everything its result depends on: its part of the scenario, the artefacts before it, the machine
where something is measured, and the versions of what does the work. The same key means the same result, in this run
folder or in another one of the same scenario, so nothing finished is ever measured twice.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from loadplan import __version__, clock
from loadplan.catalog.price import Catalog
from loadplan.inference import runtime_version
from loadplan.load.records import LoadRun
from loadplan.machine import Machine
from loadplan.pipeline import artifacts
from loadplan.pipeline.artifacts import read_load
from loadplan.pipeline.observer import Observer
from loadplan.pipeline.profiles import GivenProfile
from loadplan.pipeline.question import is_of_service
from loadplan.scenario.spec import Scenario, StageName
from loadplan.store import codec
from loadplan.store.manifest import StageEntry, stage_key
from loadplan.store.run_folder import RunFolder, entry_inputs

# What is asked of each stage: said when it begins, so that a user knows why it is waited for.
PURPOSES: Mapping[StageName, str] = {
    "scenario": "what is asked?",
    "export": "is the ONNX model still the same model?",
    "bench": "how long does one batch take on this machine?",
    "load": "how does a live API with this model answer real arrivals?",
    "fit": "which law explains both, and what can one server carry?",
    "plan": "what is the cheapest fleet that meets every objective?",
    "verify": "does the planned setting hold when driven live?",
    "report": "what do the engineer and the budget owner look at?",
}
PURPOSES_OF_SERVICE: Mapping[StageName, str] = {
    **PURPOSES,
    "load": "how does the service answer, one by one, many at once, and at half of what it carries?",
    "fit": "what is it made of, and what can one copy of it carry?",
    "plan": "what is the cheapest fleet of machines that run it within every objective?",
    "verify": "does what was planned hold when driven live?",
}
NO_PRICES: Mapping[str, Decimal] = MappingProxyType({})
_PACKAGES = ("numpy", "scipy", "numba", "onnx", "skl2onnx", "scikit-learn", "locust", "uvicorn", "plotly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """An open run folder and everything the stages need beside each other's results."""

    folder: RunFolder
    scenario: Scenario
    scenario_file: str  # the name it was given by
    scenario_text: str  # the scenario file as the user wrote it
    machine: Machine
    observer: Observer
    as_of: date  # the day on which prices are judged
    prices: Mapping[str, Decimal]  # the user's own, in USD per hour by `provider/region/type`
    profiles: tuple[GivenProfile, ...] = ()  # what was measured on machines of other types


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files that a stage wrote, and what to say of them in one line."""

    paths: Sequence[str]
    outcome: str


def once(road: Road, stage: StageName, inputs: Mapping[str, str], make: Callable[[], Made]) -> None:
    """Do a stage unless the same inputs were already worked through, here or in another run of this scenario.

    A verification that neighbours spoiled says nothing, so the same command, given again, drives it again.
    """
    key = stage_key(stage, inputs)
    purposes = PURPOSES_OF_SERVICE if is_of_service(road.scenario) else PURPOSES
    road.observer.begin(stage, purposes[stage])
    is_here = road.folder.is_done(stage, key)
    if is_here or road.folder.adopt(stage, key):
        if stage != "verify" or all(run.verdict.valid for run in kept_loads(road, stage)):
            road.observer.end(stage, "unchanged, kept" if is_here else "unchanged, taken over from an earlier run")
            return
        road.folder.forget(stage)
    begin_s = time.monotonic()
    made = make()
    # An observer whose user asked to stop raises here, if whatever ran meanwhile swallowed it: a model whose training
    # was cut short must not be kept.
    road.observer.progress(1.0, made.outcome)
    road.folder.finish(
        StageEntry(
            stage=stage,
            key=key,
            inputs=dict(inputs),
            artifacts=tuple(road.folder.artifact(name) for name in made.paths),
            versions=versions(),
            machine=road.machine.fingerprint,
            seed=road.scenario.load.seed,
            finished_at=clock.utc_now().isoformat(),
        )
    )
    road.observer.end(stage, f"{made.outcome} ({time.monotonic() - begin_s:.1f} s)")


def kept_loads(road: Road, stage: StageName) -> tuple[LoadRun, ...]:
    """The live runs of a finished stage; none where it drove none."""
    entry = road.folder.entry(stage)
    paths = [artifact.path for artifact in entry.artifacts] if entry else []
    return tuple(read_load(road.folder.path / path) for path in paths if Path(path).parent.name == artifacts.LOAD)


def made_by(road: Road, *stages: StageName) -> dict[str, str]:
    """The hashes of everything that these stages made, by path: what a later stage's key takes from them."""
    entries = [entry for stage in stages if (entry := road.folder.entry(stage)) is not None]
    return dict(entry_inputs(entries))


def plan_inputs(road: Road, catalog: Catalog) -> dict[str, str]:
    """What every plan rests on: the laws that were fitted, the question and the prices of a day."""
    scenario = road.scenario
    return {
        **made_by(road, "fit"),
        "traffic": digest(scenario.traffic),
        "objectives": digest(scenario.objectives),
        "rules": digest((scenario.plan, scenario.fleet)),
        "catalog": digest(catalog),
        "as_of": road.as_of.isoformat(),
    }


def digest(value: object) -> str:
    """The hash of a record, or of anything that can be stored."""
    return hashlib.sha256(codec.dumps(value).encode()).hexdigest()


def versions() -> dict[str, str]:
    """What does the work, by package; stands in the manifest beside every stage."""
    runtime, _, number = runtime_version().partition(" ")
    installed = {name: version(name) for name in _PACKAGES}
    return {"loadplan": __version__, "python": sys.version.split()[0], runtime: number, **installed}


def version(package: str) -> str:
    """The installed version of a package, or that it isn't."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
