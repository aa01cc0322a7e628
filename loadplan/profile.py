"""What was measured on one machine, as one file that a plan made elsewhere can rest on.

A profile is a sweep's parquet, so that `loadplan compare` reads it too, with the fitted laws and what they belong to
beside it in the file's metadata. A hash over texts and columns shows a changed byte, whatever the disk or the network
did to it.

The decision a reader would question: the model is told by the bytes of its source, not of its graph: a model that a
factory trains may differ in its last digits from processor to processor, and is the same model.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchRun
from loadplan.bench.table import bench_columns, bench_from_columns, bench_metadata
from loadplan.errors import InputError
from loadplan.fit.records import CapacityFit
from loadplan.machine import Machine
from loadplan.store import codec

_SCHEMA = "loadplan.profile/1"
_MEASURE_AGAIN = "write the profile again with `loadplan profile`, on the machine where it was measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledModel:
    """Which model was measured, and the graphs that were made of it."""

    name: str  # the factory or the file, as the scenario names it
    sha256: str  # of its source: the factory's module, or the file and its rows
    variants: dict[str, str]  # the hash of each ONNX file, by variant


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFacts:
    """Everything in a profile but the samples."""

    scenario: str  # its name
    model: ProfiledModel
    # The laws alone. Capacities belong to the objectives of a scenario, and are worked out for whoever plans on them:
    # a file that was dear to measure stays readable where their record changes.
    fit: CapacityFit
    versions: dict[str, str]  # of what measured, by package
    measured_on: date

    @property
    def machine(self) -> Machine:
        """Where it was measured."""
        return self.fit.machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One machine as a model found it: every timed call, and the laws of a server on it."""

    facts: ProfileFacts
    bench: BenchRun


def write_profile(path: Path, profile: Profile) -> None:
    """Keep a profile in one parquet file.

    Raises:
        EnvironmentFault: when the disk is full or failing.
    """
    columns = bench_columns(profile.bench)
    texts = {**bench_metadata(profile.bench), "profile_schema": _SCHEMA, "profile": codec.dumps(profile.facts)}
    codec.write_columns(path, columns, metadata={**texts, "profile_sha256": _digest(columns, texts)})


def read_profile(path: Path) -> Profile:
    """Read what `write_profile` kept.

    Raises:
        InputError: when the file is missing, cut short, changed, of another schema, or no profile at all.
    """
    try:
        columns, texts = codec.read_columns(path)
    except InputError as error:
        raise _no_profile(error.what.removeprefix("the artefact can't be read: "), path) from error
    schema, digest = texts.get("profile_schema"), texts.pop("profile_sha256", None)
    if schema is None:
        raise _no_profile("it is a benchmark without the laws of a server", path)
    if schema != _SCHEMA:
        raise _no_profile(f"its schema is {schema!r}, this loadplan reads {_SCHEMA!r}", path)
    if digest != _digest(columns, texts):
        raise _no_profile("it was changed after it was written", path)
    try:
        facts = codec.loads(texts["profile"], ProfileFacts, where=str(path))
        return Profile(facts=facts, bench=bench_from_columns(columns, texts))
    except InputError as error:  # another version may have written other records under the same schema
        raise _no_profile(error.what, path) from error


def _digest(columns: Mapping[str, NDArray[np.generic]], texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(f"{name}={texts[name]}\n".encode())
    for name in sorted(columns):
        values = columns[name]
        # Texts as they read: their width in memory is no part of what is stored.
        held = "\n".join(values.tolist()).encode() if values.dtype.kind == "U" else values.tobytes()
        digest.update(name.encode() + held)
    return digest.hexdigest()


def _no_profile(reason: str, path: Path) -> InputError:
    return InputError(what=f"this is no profile that can be planned on: {reason}", where=str(path), fix=_MEASURE_AGAIN)
