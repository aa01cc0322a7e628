"""The run folder `results/<scenario>/<UTC time>-<hash>/`: opened by one process at a time, resumed without a flag.

A stage counts as finished when the manifest names it with the same key and all its artefacts still have their hashes.
The lock is the kernel's (`flock`), so it dies with its holder and nothing stale is ever left to remove.
"""

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InputError
from loadplan.store import codec, files
from loadplan.store.journal import Journal, journal_header, read_whole_lines
from loadplan.store.manifest import MANIFEST_SCHEMA, Artifact, Manifest, StageEntry

MANIFEST = "manifest.json"
_LOCK = ".lock"
_JOURNALS = "journal"
_DAMAGED = "damaged"
_MOMENT = "[0-9]*T[0-9]*Z"  # as the time in a folder's name, for `glob`


class RunFolder:
    """One run: its artefacts, its manifest, its journals. Written only by who holds its lock."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use `open_run_folder`, `hold_run_folder` or `read_run_folder`."""
        self.path = path
        self.manifest = manifest
        self.caveats: list[Caveat] = []  # what was found damaged since the folder was opened

    def entry(self, stage: str) -> StageEntry | None:
        """What the manifest says of a stage, intact or not."""
        return next((entry for entry in self.manifest.stages if entry.stage == stage), None)

    def require(self, stage: str) -> StageEntry:
        """The manifest's entry of a finished stage whose artefacts are all intact; changes nothing.

        Raises:
            InputError: when the stage is not finished in this folder.
            EnvironmentFault: when an artefact of it is missing or was changed.
        """
        entry = self.entry(stage)
        if entry is None:
            finished = ", ".join(entry.stage for entry in self.manifest.stages) or "none"
            raise InputError(
                what=f"the stage {stage!r} is not finished in this run (finished: {finished})",
                where=str(self.path),
                fix="run `loadplan run` with its scenario again, which goes on from there",
            )
        for artifact in entry.artifacts:
            found = _hash_of(self.path / artifact.path)
            if found != artifact.sha256:
                raise EnvironmentFault(
                    what=_damage(artifact, found),
                    where=str(self.path / artifact.path),
                    fix="run `loadplan run` with its scenario again, which makes the stage anew",
                )
        return entry

    def is_done(self, stage: str, key: str) -> bool:
        """Whether the stage is finished under this key; a damaged artefact is set aside and makes it unfinished.

        Raises:
            EnvironmentFault: when a damaged artefact can't be moved.
        """
        entry = self.entry(stage)
        if entry is None or entry.key != key:
            return False
        found = {artifact: _hash_of(self.path / artifact.path) for artifact in entry.artifacts}
        damaged = [artifact for artifact in entry.artifacts if found[artifact] != artifact.sha256]
        for artifact in damaged:
            _set_aside(self.path, artifact.path)
            self.caveats.append(
                Caveat(
                    code="run_folder.damaged",
                    what=f"{_damage(artifact, found[artifact])}; the stage {stage} was done again",
                    fix="check the disk and its memory",
                )
            )
        return not damaged

    def adopt(self, stage: str, key: str) -> bool:
        """Link the artefacts of the same finished stage of another run into this one; runs of this scenario first.

        Never into a run that was begun as a fresh one.

        Raises:
            EnvironmentFault: when the disk is full or failing.
        """
        for sibling in () if self.manifest.is_fresh else self._siblings():
            manifest = _read_manifest_if_any(sibling)
            entry = next((e for e in manifest.stages if (e.stage, e.key) == (stage, key)), None) if manifest else None
            if entry is None or not all(_hash_of(sibling / a.path) == a.sha256 for a in entry.artifacts):
                continue
            for artifact in entry.artifacts:
                files.link_or_copy(sibling / artifact.path, self.path / artifact.path)
            self.finish(entry)
            return True
        return False

    def finish(self, entry: StageEntry) -> None:
        """Record a stage whose artefacts are all written; its journal is no longer needed.

        Raises:
            EnvironmentFault: when the disk is full or failing.
        """
        others = tuple(other for other in self.manifest.stages if other.stage != entry.stage)
        manifest = replace(self.manifest, stages=(*others, entry))
        _write_manifest(self.path, manifest)
        self.manifest = manifest
        self._drop_journal(entry)

    def forget(self, stage: str) -> None:
        """Take a finished stage for unfinished, so that it is done again; its artefacts stay until they are replaced.

        Raises:
            EnvironmentFault: when the disk is full or failing.
        """
        others = tuple(other for other in self.manifest.stages if other.stage != stage)
        manifest = replace(self.manifest, stages=others)
        _write_manifest(self.path, manifest)
        self.manifest = manifest

    def artifact(self, path: str) -> Artifact:
        """The description of a file of this folder as it is now."""
        file = self.path / path
        return Artifact(path=path, sha256=files.sha256_file(file), n_bytes=file.stat().st_size)

    def journal(self, stage: str, key: str) -> Journal:
        """The journal of a long stage under this key; one of another key is discarded."""
        return Journal(self._journal_path(stage), key)

    def drop_finished_journals(self) -> None:
        """Remove the journals that a kill between the end of a stage and its clearing up left."""
        for entry in self.manifest.stages:
            if read_whole_lines(self._journal_path(entry.stage))[:1] == [journal_header(entry.key)]:
                self._drop_journal(entry)

    def _drop_journal(self, entry: StageEntry) -> None:
        with files.disk_errors(self._journal_path(entry.stage), n_bytes=0):
            self._journal_path(entry.stage).unlink(missing_ok=True)

    def _journal_path(self, stage: str) -> Path:
        return self.path / _JOURNALS / f"{stage}.jsonl"

    def _siblings(self) -> list[Path]:
        """The other run folders: those of this scenario, newest first, then those of other scenarios."""
        results = self.path.absolute().parent.parent
        others = [path for path in results.glob(f"*/{_MOMENT}-*") if path != self.path.absolute()]
        newest_first = sorted(others, key=lambda path: path.name, reverse=True)
        return sorted(newest_first, key=lambda path: path.parent != self.path.absolute().parent)


@contextmanager
def open_run_folder(
    results: Path, *, name: str, run_hash: str, now: datetime, fresh: bool = False
) -> Iterator[RunFolder]:
    """Hold the newest run folder of this hash, or a new one, for this process alone.

    Raises:
        EnvironmentFault: when the folder can't be written, or another live run holds it.
        InputError: when its manifest was written by another version of loadplan.
    """
    parent = results / name
    with files.disk_errors(parent, n_bytes=0):
        path = _choose(parent, run_hash, now, fresh=fresh)
    new = Manifest(scenario=name, run_hash=run_hash, created_at=now.isoformat(), stages=(), is_fresh=fresh)
    with _hold(path, new, now) as folder:
        yield folder


@contextmanager
def hold_run_folder(path: Path, *, now: datetime) -> Iterator[RunFolder]:
    """An existing run folder, for this process alone. Raises as `read_run_folder` and `open_run_folder` do."""
    manifest = read_run_folder(path).manifest
    with _hold(path, manifest, now) as folder:
        yield folder


def read_run_folder(path: Path) -> RunFolder:
    """A run folder to look at, without its lock.

    Raises:
        InputError: when `path` is no run folder, or its manifest is damaged or of another version.
    """
    if not (path / MANIFEST).is_file():
        raise InputError(
            what=f"this is not a run folder: it has no {MANIFEST}",
            where=str(path),
            fix="give the folder that `loadplan run` printed, such as results/digits/20261124T090000Z-0123456789",
        )
    return RunFolder(path, _read_manifest(path))


def entry_inputs(upstream: Sequence[StageEntry]) -> Mapping[str, str]:
    """The hashes of all artefacts of earlier stages, by path."""
    return {artifact.path: artifact.sha256 for entry in upstream for artifact in entry.artifacts}


def _choose(parent: Path, run_hash: str, now: datetime, *, fresh: bool) -> Path:
    """The newest folder of this hash, or one that nobody else has; where a second is taken, the next names it."""
    files.make_folder(parent)
    moment = now
    while True:
        found = [] if fresh else sorted(path for path in parent.glob(f"{_MOMENT}-{run_hash}") if path.is_dir())
        if found:
            return found[-1]
        path = parent / f"{moment:%Y%m%dT%H%M%SZ}-{run_hash}"
        try:
            path.mkdir()
        except FileExistsError:  # of this very moment: another process is as fast as this one
            moment += timedelta(seconds=1)
        else:
            files.sync_folder(parent)
            return path


@contextmanager
def _hold(path: Path, otherwise: Manifest, now: datetime) -> Iterator[RunFolder]:
    """Lock the folder, clear up after a kill, and prove by writing the manifest that the folder can be written."""
    with _lock(path, now):
        files.remove_unfinished(path)
        manifest, caveats = _recover(path, otherwise)
        _write_manifest(path, manifest)
        folder = RunFolder(path, manifest)
        folder.caveats.extend(caveats)
        folder.drop_finished_journals()
        yield folder


@contextmanager
def _lock(path: Path, now: datetime) -> Iterator[None]:
    # Of one length, so that overwriting an older holder's never shows a mixture.
    holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}).ljust(256)
    descriptor = -1
    try:
        with files.disk_errors(path / _LOCK, n_bytes=len(holder)):
            descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _held(path, os.pread(descriptor, 4096, 0)) from error
            os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _held(path: Path, content: bytes) -> EnvironmentFault:
    try:
        holder = json.loads(content)
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return EnvironmentFault(
        what=f"another run is using this folder: {who}",
        where=str(path),
        fix="wait for it, stop it, or start a separate run with --fresh",
    )


def _recover(path: Path, otherwise: Manifest) -> tuple[Manifest, list[Caveat]]:
    """The manifest as it stands; `otherwise` where there is none or it is damaged, and then it is set aside.

    Raises:
        InputError: when it was written by another version of loadplan: such a one is never overwritten.
    """
    file = path / MANIFEST
    if not file.exists():
        return otherwise, []
    try:
        return _read_manifest(path), []
    except InputError as error:
        schema = codec.schema_of(file) or MANIFEST_SCHEMA
        if schema != MANIFEST_SCHEMA and re.fullmatch(r"loadplan\.manifest/\d+", schema):
            raise
        _set_aside(path, MANIFEST)
        what = f"{MANIFEST} was damaged ({error.what}); all stages were done again"
        return otherwise, [Caveat(code="run_folder.damaged", what=what, fix="check the disk and its memory")]


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    found = codec.schema_of(file)
    if found is not None and found != MANIFEST_SCHEMA:
        raise InputError(
            what=f"this run was written by another loadplan: {found!r}, this one reads {MANIFEST_SCHEMA!r}",
            where=str(file),
            fix="use the version that wrote it, or start a new run with --fresh; the old one stays as it is",
        )
    return codec.read_record(file, Manifest, schema=MANIFEST_SCHEMA)


def _read_manifest_if_any(path: Path) -> Manifest | None:
    try:
        return _read_manifest(path)
    except InputError:
        return None


def _write_manifest(path: Path, manifest: Manifest) -> None:
    codec.write_record(path / MANIFEST, manifest, schema=MANIFEST_SCHEMA)


def _hash_of(file: Path) -> str | None:
    """The hash of a file; None where it can't be read."""
    try:
        return files.sha256_file(file)
    except OSError:
        return None


def _damage(artifact: Artifact, found: str | None) -> str:
    state = "is missing or can't be read" if found is None else f"was changed: its sha256 is {found}"
    return f"{artifact.path} {state}, expected {artifact.sha256}"


def _set_aside(folder: Path, path: str) -> None:
    """Move a damaged file to `damaged/`, where somebody may look at it."""
    file, target = folder / path, folder / _DAMAGED / path
    with files.disk_errors(file, n_bytes=0):
        if file.exists():
            files.make_folder(target.parent)
            file.replace(target)
