"""The export in a process of its own: the user's code and the converters may hang or crash, the road goes on.

Every step has a time limit. A step that is over it, or that ends the process, takes its variant along: the others are
exported again without it. Where it isn't the step of one variant, or none is left, it is an error that names the step.
The memory of the framework and of the trained model is given back when the process ends, before anything is measured.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from loadplan.child_process import how_it_ended
from loadplan.errors import EnvironmentFault, InputError, InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.export.artifact import ExportRun
from loadplan.export.runner import BUILDING, OPENING, ExportStep, OnStep, refused_caveat, refused_variant, unheard
from loadplan.scenario.payload_file import load_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource
from loadplan.scratch import scratch_folder
from loadplan.store import codec
from loadplan.store.files import remove_unfinished

_KINDS: dict[str, type[LoadplanError]] = {
    kind.__name__: kind for kind in (ObjectiveMissed, InputError, InvalidMeasurement, EnvironmentFault)
}
_STARTING = ExportStep(doing="starting")
# The steps that run what the user brings, and how to mend it.
_OF_THE_USER = {
    BUILDING: "run the factory alone in Python and mend it",
    OPENING: "save the model again; don't use a file that you don't trust",
}
_LOOK_S = 0.2  # a process that ended leaves its pipes open where it left children behind
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """What the process is asked."""

    source: ModelSource
    models_folder: str
    payloads: str  # path of the payload file to write


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFailure:
    """A LoadplanError on its way between processes."""

    kind: str  # name of its class
    what: str
    where: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSaid:
    """One line of the process: a step that begins, or one of the three ends."""

    step: ExportStep | None = None
    run: ExportRun | None = None
    failure: ExportFailure | None = None
    defect: tuple[str, str] | None = None  # what loadplan itself raised, in one line and with its traceback


class _LostError(Exception):
    """A step that never ended, or ended the process."""

    def __init__(self, step: ExportStep, error: LoadplanError) -> None:
        super().__init__(error.what)
        self.step = step
        self.error = error


def export_isolated(
    source: ModelSource, *, models_folder: Path, on_step: OnStep = unheard
) -> tuple[ExportRun, PayloadSet]:
    """`runner.export_model` in a process of its own.

    Raises:
        InputError, EnvironmentFault, ObjectiveMissed: as `export_model`; and when building the model, or another step
            without which nothing is left, takes longer than `source.time_limit_s` or crashes the process.
    """
    lost: dict[str, LoadplanError] = {}
    while True:
        left = tuple(variant for variant in source.variants if variant not in lost)
        try:
            run, payloads = _attempt(replace(source, variants=left), models_folder, on_step)
        except _LostError as end:
            if end.step.variant is None or len(left) == 1:
                raise end.error from None
            lost[end.step.variant] = end.error
        else:
            return _without(run, lost), payloads


def _without(run: ExportRun, lost: dict[str, LoadplanError]) -> ExportRun:
    return replace(
        run,
        refused=(*run.refused, *(refused_variant(variant, "making", error) for variant, error in lost.items())),
        caveats=(*run.caveats, *(refused_caveat(variant, error) for variant, error in lost.items())),
    )


def _attempt(source: ModelSource, models_folder: Path, on_step: OnStep) -> tuple[ExportRun, PayloadSet]:
    with scratch_folder() as scratch:
        payloads = scratch / "payloads.npz"
        job = ExportJob(source=source, models_folder=str(models_folder.absolute()), payloads=str(payloads))
        try:
            with _started(job, scratch) as process:
                said = _Listener(process, source, on_step).end()
        except BaseException:
            remove_unfinished(models_folder)
            raise
        return _unwrap(said), load_payloads(payloads)


def _unwrap(said: ExportSaid) -> ExportRun:
    if said.failure is not None:
        raise _KINDS[said.failure.kind](what=said.failure.what, where=said.failure.where, fix=said.failure.fix)
    if said.run is None:
        what, traceback = said.defect or ("no answer", "")
        defect = RuntimeError(what)
        defect.add_note(traceback)  # shown by --debug
        raise defect
    return said.run


@contextmanager
def _started(job: ExportJob, scratch: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, which is gone with all its children when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "loadplan.export.export_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},  # what it leaves there when it is killed is removed by this process
        start_new_session=True,  # Ctrl-C reaches loadplan alone, which then ends the process
    )
    with process:
        try:
            assert process.stdin is not None  # noqa: S101 -- all pipes were asked for
            with suppress(BrokenPipeError), process.stdin:  # it may have ended already; whoever listens will say so
                process.stdin.write(codec.dumps(job).encode())
            yield process
        finally:
            _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End it and whatever it started in its own session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Listener:
    """Hears a process out: its steps, what it prints, and its end."""

    def __init__(self, process: "subprocess.Popen[bytes]", source: ModelSource, on_step: OnStep) -> None:
        self._process, self._source, self._on_step = process, source, on_step
        self._step = _STARTING
        self._heard = b""
        self._last_words = b""
        self._deadline_s = time.monotonic() + source.time_limit_s

    def end(self) -> ExportSaid:
        """What it ends with.

        Raises:
            _LostError: when a step is over its time, or the process ended without an answer.
        """
        with selectors.DefaultSelector() as pipes:
            for pipe in (self._process.stdout, self._process.stderr):
                assert pipe is not None  # noqa: S101 -- all pipes were asked for
                pipes.register(pipe, selectors.EVENT_READ)
            while True:
                has_ended = self._process.poll() is not None
                for key, _ in pipes.select(_LOOK_S):
                    has_ended = False  # there may be more to hear
                    data = os.read(key.fd, _CHUNK_BYTES)
                    if not data:
                        pipes.unregister(key.fileobj)
                    elif key.fileobj is self._process.stderr:
                        self._show(data)
                    elif (said := self._hear(data)) is not None:
                        return said
                if has_ended:
                    raise self._ended()
                if time.monotonic() >= self._deadline_s:
                    raise self._too_slow()

    def _hear(self, data: bytes) -> ExportSaid | None:
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            said = codec.loads(line.decode(), ExportSaid, where="the export process")
            if said.step is None:
                return said
            self._step = said.step
            self._deadline_s = time.monotonic() + self._source.time_limit_s
            self._on_step(said.step)
        return None

    def _show(self, data: bytes) -> None:
        """What the user's code prints is for people."""
        self._last_words = (self._last_words + data)[-1000:]
        sys.stderr.write(data.decode(errors="replace"))
        sys.stderr.flush()

    def _too_slow(self) -> _LostError:
        limit_s = self._source.time_limit_s
        advice = f"leave out {self._step.variant}" if self._step.variant else "mend what hangs"
        return self._lost(
            f"{self._step.doing} took longer than {limit_s:g} s and was stopped",
            f"{advice}, or give each step of the export more time: model.time_limit_s: {2 * limit_s:g}",
        )

    def _ended(self) -> _LostError:
        code = self._process.wait()
        words = self._last_words.decode(errors="replace").strip().splitlines()
        said = f", its last words: {words[-1].strip()[:200]}" if words else ""
        advice = f"leave out {self._step.variant}, or " if self._step.variant else ""
        cure = "install another version of what crashed"
        if code == -signal.SIGKILL:
            cure = "free some memory: what ends a process so is mostly the system, when memory runs out"
        elif self._step.doing in _OF_THE_USER:
            cure = _OF_THE_USER[self._step.doing]
        return self._lost(
            f"the process that exports ended {how_it_ended(code)} while {self._step.doing}{said}", advice + cure
        )

    def _lost(self, what: str, fix: str) -> _LostError:
        kind = InputError if self._step.doing in _OF_THE_USER else EnvironmentFault
        return _LostError(self._step, kind(what=what, where=self._source.named, fix=fix))
