"""The manifest: which stage made which artefact of what, with which versions, on which machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MANIFEST_SCHEMA = "loadplan.manifest/1"

# Raised when a stage's result changes for the same inputs, so that older folders do it again.
STAGE_SCHEMAS = {"scenario": 1, "export": 1, "bench": 2, "load": 1, "fit": 1, "plan": 1, "verify": 1, "report": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One finished file of the run folder."""

    path: str  # inside the run folder, with forward slashes
    sha256: str
    n_bytes: int

    def __post_init__(self) -> None:
        # A run folder may come from somebody else: nothing it names may lie outside it.
        path = PurePosixPath(self.path)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise ValueError(f"{self.path!r} is no path inside a run folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """One finished stage."""

    stage: str
    key: str  # hash of everything the result depends on
    inputs: dict[str, str]  # what it was made from: name -> hash or value
    artifacts: tuple[Artifact, ...]
    versions: dict[str, str]  # package -> version
    machine: str  # fingerprint
    seed: int | None
    finished_at: str  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is finished in one run folder."""

    scenario: str
    run_hash: str
    created_at: str  # UTC
    stages: tuple[StageEntry, ...]
    is_fresh: bool = False  # everything is to be measured anew: nothing is taken over from other runs


def stage_key(stage: str, inputs: Mapping[str, str]) -> str:
    """The hash of everything that a stage's result depends on."""
    text = json.dumps([stage, STAGE_SCHEMAS[stage], dict(inputs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
