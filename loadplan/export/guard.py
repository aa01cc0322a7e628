"""A model file that a user hands over is hostile until it was looked at, and it is looked at in a process of its own.

The child has a limit on memory and time, can't write files unless asked for a copy, and dies with its parent; so a
crash, a memory bomb or a hang of a parser is one message. It parses the file, applies the rules for external data
before any of it is read, refuses operators that only a foreign library could bring, runs onnx's checker and lets ONNX
Runtime load the model and run it on one made-up row. What comes back is a small description.

Beyond this guard: a file that is exchanged after it was looked at. The export stage works on the copy alone.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadplan.errors import EnvironmentFault, InputError
from loadplan.execution import TensorSpec
from loadplan.export.external_data import open_regular
from loadplan.store import codec
from loadplan.system import require_linux

# A protobuf message can't be larger, so no file without external data is.
MAX_MODEL_BYTES = (1 << 31) - 1

_MAX_ANSWER_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalFile:
    """A data file of a model."""

    location: str  # as the model names it
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file that was looked at: what it says of itself."""

    path: str  # absolute; what may be opened
    sha256: str
    n_bytes: int
    opset: int
    ir_version: int
    n_parameters: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    external: tuple[ExternalFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """What looking at a file may take; memory grows with its size and that of its data besides."""

    memory_bytes: int = 2 << 30
    time_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardJob:
    """What the child is asked."""

    path: str
    copy_to: str | None  # one file with all data in it; None: none is wanted
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a file can't be used."""

    is_environment: bool  # this installation lacks something; otherwise it is the file
    what: str
    where: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardAnswer:
    """What the child says: one of the two."""

    model: ModelFile | None = None
    refusal: Refusal | None = None


# Each step's first word, as the child announces it, and how a message names it.
STEPS = {
    "start": "starting to look at it",
    "parse": "parsing it",
    "check": "checking it",
    "load": "loading it into ONNX Runtime",
    "run": "running it on one made-up row",
    "copy": "copying it into one file",
}


def inspect_model(model: Path, *, copy_to: Path | None = None, limits: GuardLimits | None = None) -> ModelFile:
    """Look at a model file, and on demand write what was looked at as one file with all its data in it.

    Raises:
        InputError: when the file is missing, no model, hostile, or can't be looked at within the limits.
        EnvironmentFault: when it needs a newer onnx or ONNX Runtime, or one of them isn't installed; on a system whose
            children can't be held to limits.
    """
    require_linux()
    _require_file(model)
    limits = limits or GuardLimits()
    job = GuardJob(
        path=str(model.absolute()),
        copy_to=None if copy_to is None else str(copy_to.absolute()),
        memory_bytes=limits.memory_bytes,
    )
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-B", "-m", "loadplan.export.guard_process"],
            input=codec.dumps(job),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=limits.time_s,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread reserves memory that the limit would count
            start_new_session=True,  # Ctrl-C reaches loadplan alone, which then ends the child
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        raise _unusable(f"the model file took longer than {limits.time_s:g} s while {_step(said)}", model) from None
    answer = done.stdout.rpartition("\n")[2]
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise _unusable(f"the model file crashed its reader ({name}) while {_step(done.stdout)}", model)
    if done.returncode or not answer or len(answer) > _MAX_ANSWER_CHARACTERS:
        raise _unusable(f"the model file can't be read: its reader gave no answer while {_step(done.stdout)}", model)
    return _unwrap(codec.loads(answer, GuardAnswer, where=str(model)), model)


def _require_file(model: Path) -> None:
    """The plain mistakes, without the price of a process."""
    if require_regular(model) > MAX_MODEL_BYTES:
        raise InputError(
            what=f"the model file has {model.stat().st_size:,} bytes; no ONNX file is larger than 2 GB",
            where=str(model),
            fix="export it with external data: onnx.save(model, path, save_as_external_data=True)",
        )


def require_regular(model: Path) -> int:
    """The size of a file in bytes. Raises InputError when it is missing, empty, unreadable or no regular file."""
    if model.is_dir():
        raise InputError(what="this is a folder, not a model file", where=str(model), fix="name the file itself")
    if not model.exists():
        raise InputError(what="there is no such model file", where=str(model), fix="check the path")
    try:
        descriptor, status = open_regular(model.resolve())
        os.close(descriptor)
    except OSError as error:
        raise InputError(
            what=f"the model file can't be read: {error.strerror}",
            where=str(model),
            fix="name a regular file that you may read",
        ) from error
    if not status.st_size:
        raise _unusable("the model file is empty", model)
    return status.st_size


def _unwrap(answer: GuardAnswer, model: Path) -> ModelFile:
    if answer.model is not None:
        return answer.model
    refusal = answer.refusal
    if refusal is None:
        raise _unusable("the model file can't be read: its reader gave no answer", model)
    kind = EnvironmentFault if refusal.is_environment else InputError
    raise kind(what=refusal.what, where=refusal.where, fix=refusal.fix)


def _step(said: str) -> str:
    """What the child was at when it ended."""
    begun = [line for line in said.split("\n") if line in STEPS]
    return STEPS[begun[-1] if begun else "start"]


def _unusable(what: str, model: Path) -> InputError:
    return InputError(
        what=what, where=str(model), fix="export or download the model again; don't use a file that you don't trust"
    )
