"""Profiles on the road: written of a finished run, and held to the question before another run is planned on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from loadplan.catalog.price import Catalog, Offer
from loadplan.catalog.reader import UNKNOWN_ARCHITECTURE
from loadplan.errors import InputError
from loadplan.export.artifact import ExportRun
from loadplan.fit.capacity import with_capacities
from loadplan.fit.planning_tables import with_planning_tables
from loadplan.fit.records import CapacityFit
from loadplan.machine import Machine
from loadplan.pipeline.artifacts import read_findings
from loadplan.plan.hardware.accelerator import gpu_of, is_same_gpu
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.profile import Profile, ProfiledModel, ProfileFacts, read_profile, write_profile
from loadplan.scenario.spec import RequestClass, Scenario
from loadplan.store.files import sha256_file
from loadplan.store.run_folder import read_run_folder

# What a catalogue calls the architectures that Linux names differently.
_ARCHITECTURES = {"aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFile:
    """A profile as the user names it."""

    path: Path
    type_name: str | None  # `provider/type`; None: the machine told it when it was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenProfile:
    """A profile that was read, and the instance type or the GPU that it stands for."""

    path: Path
    sha256: str  # of the file
    type_name: str | None  # None: not known, but its GPU tells which offers it speaks of
    profile: Profile

    @property
    def label(self) -> str:
        """What people know it by: its type, else its GPU."""
        gpu = gpu_of(self.profile.facts.machine)
        return self.type_name or (gpu.name if gpu else "an unknown type")


def write_profile_of(run: Path, path: Path | None = None) -> tuple[Path, Profile]:
    """Write what a run measured into one file, by default inside the run folder; returns where and what.

    Raises:
        InputError: when the run has no fit yet.
        EnvironmentFault: when a file of the run was damaged, or the disk is full.
    """
    folder = read_run_folder(run)
    entry, exported_by = folder.require("fit"), folder.require("export")
    known = read_findings(folder)
    if known.fit is None or known.bench is None or known.export is None or known.scenario.model is None:
        raise InputError(what="the run has no fit yet", where=str(run), fix="run `loadplan profile` on its scenario")
    facts = ProfileFacts(
        scenario=known.scenario.name,
        model=ProfiledModel(
            name=known.scenario.model.named,
            sha256=exported_by.inputs["model"],
            variants={model.variant: model.sha256 for model in known.export.models},
        ),
        fit=replace(known.fit, capacities=()),
        versions=entry.versions,
        measured_on=datetime.fromisoformat(entry.finished_at).date(),
    )
    profile = Profile(facts=facts, bench=known.bench)
    written = path or run / f"profile-{known.machine.fingerprint}.parquet"
    write_profile(written, profile)
    return written, profile


def read_profiles(files: Sequence[ProfileFile], catalog: Catalog) -> tuple[GivenProfile, ...]:
    """Every profile with the instance type that it stands for.

    Raises:
        InputError: when a file is no profile, or its type isn't known, isn't in the catalogue, can't be what was
            measured, or is told twice.
    """
    given = tuple(_read(file, catalog) for file in files)
    for i, one in enumerate(given):
        if any(one.label == other.label for other in given[:i]):
            raise InputError(
                what=f"two profiles stand for {one.label}", where=str(one.path), fix="give one profile of each type"
            )
    return given


def measured_types(
    given: Sequence[GivenProfile], *, scenario: Scenario, exported: ExportRun, model_sha256: str
) -> tuple[MeasuredType, ...]:
    """What each profile says of this scenario: its laws, with the capacities worked out for the objectives asked.

    Raises:
        InputError: when a profile is of another model or of requests of another size, or says nothing of any variant
            and number of threads that may be planned with.
    """
    variants = {model.variant for model in exported.models}
    return tuple(
        MeasuredType(type_name=one.type_name, fit=_fit_for(one, scenario, variants, model_sha256)) for one in given
    )


def _read(file: ProfileFile, catalog: Catalog) -> GivenProfile:
    profile = read_profile(file.path)
    machine = profile.facts.machine
    type_name = file.type_name or machine.instance_type
    if type_name is None and _has_gpu_laws(profile) and gpu_of(machine) is not None:
        return GivenProfile(path=file.path, sha256=sha256_file(file.path), type_name=None, profile=profile)
    if type_name is None:
        raise InputError(
            what="the machine that was measured doesn't tell its instance type",
            where=str(file.path),
            fix=f"name it: --profiles {file.path}=provider/type, such as {file.path}=aws/c7i.large",
        )
    if machine.instance_type is not None and type_name != machine.instance_type:
        raise InputError(
            what=f"it was measured on {machine.instance_type}, not on {type_name}",
            where=str(file.path),
            fix="leave the name out; a type that was not measured is extrapolated",
        )
    offer = _offer_of(type_name, catalog, file.path)
    _require_same_shape(machine, offer, file.path)
    _require_same_gpu(profile, offer, file.path)
    return GivenProfile(path=file.path, sha256=sha256_file(file.path), type_name=type_name, profile=profile)


def _offer_of(type_name: str, catalog: Catalog, path: Path) -> Offer:
    offers = {offer.type_name: offer for offer in catalog.offers}
    if type_name not in offers:
        near = get_close_matches(type_name, offers, n=1)
        raise InputError(
            what=f"the catalogue has no price for {type_name!r}",
            where=str(path),
            fix=f"did you mean {near[0]}?" if near else "write provider/type, such as aws/c7i.large",
        )
    return offers[type_name]


def _require_same_shape(machine: Machine, offer: Offer, path: Path) -> None:
    named = offer.instance_type
    architecture = _ARCHITECTURES.get(machine.architecture, machine.architecture)
    is_other = named.architecture not in (architecture, UNKNOWN_ARCHITECTURE)
    if machine.n_cores != named.n_vcpus or is_other:
        raise InputError(
            what=f"it was measured on {machine.n_cores} logical cores of {architecture}; {offer.type_name} has "
            f"{named.n_vcpus} of {named.architecture}",
            where=str(path),
            fix="name the type that was measured; other sizes of its family are extrapolated from it",
        )


def _require_same_gpu(profile: Profile, offer: Offer, path: Path) -> None:
    """A type with a GPU is planned on what was measured on that GPU; one without takes nothing from a GPU."""
    named, gpu = offer.instance_type, gpu_of(profile.facts.machine)
    if not _has_gpu_laws(profile) or (gpu is not None and is_same_gpu(gpu, named)):
        return
    kinds = " and ".join(dict.fromkeys(gpu.name for gpu in profile.facts.machine.gpus)) or "no GPU that tells its name"
    raise InputError(
        what=f"it was measured on {kinds}; {offer.type_name} has {named.accelerator or 'no GPU'}",
        where=str(path),
        fix="name the type that was measured, or none: offers with the GPU that was measured are then extrapolated",
    )


def _has_gpu_laws(profile: Profile) -> bool:
    return any(not law.execution.is_on_cpu for law in profile.facts.fit.service_times)


def _fit_for(given: GivenProfile, scenario: Scenario, variants: set[str], model_sha256: str) -> CapacityFit:
    facts, where = given.profile.facts, str(given.path)
    named = "" if scenario.model is None else scenario.model.named
    if (facts.model.sha256, facts.model.name) != (model_sha256, named):
        raise InputError(
            what=f"it is a profile of another model: {facts.model.name} ({facts.model.sha256[:12]}), the scenario's is "
            f"{named} ({model_sha256[:12]})",
            where=where,
            fix="measure this scenario's model there with `loadplan profile`",
        )
    if facts.fit.classes != scenario.traffic.classes:
        raise InputError(
            what=f"it was measured with {_classes(facts.fit.classes)}, the scenario has "
            f"{_classes(scenario.traffic.classes)} (names, shares, rows and payloads must all be the same)",
            where=where,
            fix="measure there again with this scenario",
        )
    if facts.fit.rows_per_request != scenario.traffic.rows_per_request:
        raise InputError(
            what=f"it was measured with requests of {facts.fit.rows_per_request.mean:g} rows, the scenario sends "
            f"{scenario.traffic.rows_per_request.mean:g} (mean, p95 and most must all be the same)",
            where=where,
            fix="measure there again with this scenario",
        )
    laws = tuple(
        replace(law, extrapolated_at_most=max(law.extrapolated_at_most, scenario.serving.extrapolate_batches))
        for law in facts.fit.service_times
        if law.execution.variant in variants
        # Threads are a choice on the CPU alone.
        and (law.execution.n_threads in scenario.serving.n_threads or not law.execution.is_on_cpu)
    )
    if not laws:
        raise InputError(
            what=f"it says nothing of {', '.join(sorted(variants))} with {_counts(scenario.serving.n_threads)} threads",
            where=where,
            fix="measure there again with this scenario",
        )
    return with_planning_tables(with_capacities(replace(facts.fit, service_times=laws), scenario), scenario)


def _classes(classes: Sequence[RequestClass]) -> str:
    return "the classes " + ", ".join(f"{one.name} ({one.share:.3g})" for one in classes) if classes else "no classes"


def _counts(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))
