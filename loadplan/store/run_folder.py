"""The run folder `results/<scenario>/<UTC time>-<hash>/`: opened by one process at a time, resumed without a flag.

A stage counts as finished when the manifest names it with the same key and all its artefacts still have their hashes.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from loadplan.errors import EnvironmentFault, InputError
from loadplan.store import codec, files
from loadplan.store.journal import Journal
from loadplan.store.manifest import MANIFEST_SCHEMA, Artifact, Manifest, StageEntry

MANIFEST = "manifest.json"
_LOCK = ".lock"
_JOURNALS = "journal"
_DAMAGED = "damaged"


class RunFolder:
    """One run: its artefacts, its manifest, its journals. Written only by who holds its lock."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use `open_run_folder` or `read_run_folder`."""
        self.path = path
        self.manifest = manifest

    def entry(self, stage: str) -> StageEntry | None:
        """What the manifest says of a stage, intact or not."""
        return next((entry for entry in self.manifest.stages if entry.stage == stage), None)

    def is_done(self, stage: str, key: str) -> bool:
        """Whether the stage is finished under this key; a damaged artefact is set aside and makes it unfinished."""
        entry = self.entry(stage)
        if entry is None or entry.key != key:
            return False
        damaged = [artifact for artifact in entry.artifacts if not _is_intact(self.path, artifact)]
        for artifact in damaged:
            self._set_aside(self.path / artifact.path)
        return not damaged

    def adopt(self, stage: str, key: str) -> bool:
        """Link the artefacts of the same finished stage of another run of this scenario into this one."""
        for sibling in sorted(self.path.parent.iterdir(), reverse=True):
            if sibling == self.path or not (sibling / MANIFEST).is_file():
                continue
            entry = next((e for e in _read_manifest(sibling).stages if e.stage == stage and e.key == key), None)
            if entry is None or not all(_is_intact(sibling, artifact) for artifact in entry.artifacts):
                continue
            for artifact in entry.artifacts:
                files.link_or_copy(sibling / artifact.path, self.path / artifact.path)
            self._record(entry)
            return True
        return False

    def finish(self, entry: StageEntry) -> None:
        """Record a stage whose artefacts are all written; its journal is no longer needed."""
        self._record(entry)
        self._journal_path(entry.stage).unlink(missing_ok=True)

    def artifact(self, path: str) -> Artifact:
        """The description of a file of this folder as it is now."""
        file = self.path / path
        return Artifact(path=path, sha256=files.sha256_file(file), n_bytes=file.stat().st_size)

    def journal(self, stage: str, key: str) -> Journal:
        """The journal of a long stage under this key."""
        return Journal(self._journal_path(stage), key)

    def _journal_path(self, stage: str) -> Path:
        return self.path / _JOURNALS / f"{stage}.jsonl"

    def _record(self, entry: StageEntry) -> None:
        others = tuple(e for e in self.manifest.stages if e.stage != entry.stage)
        self.manifest = replace(self.manifest, stages=(*others, entry))
        codec.write_record(self.path / MANIFEST, self.manifest, schema=MANIFEST_SCHEMA)

    def _set_aside(self, file: Path) -> None:
        if file.exists():
            target = self.path / _DAMAGED / file.name
            target.parent.mkdir(exist_ok=True)
            file.replace(target)


@contextmanager
def open_run_folder(
    results: Path, *, name: str, run_hash: str, now: datetime, fresh: bool = False
) -> Iterator[RunFolder]:
    """Hold the newest run folder of this hash, or a new one, for this process alone.

    Raises:
        EnvironmentFault: when the folder can't be written, or another live run holds it.
        InputError: when its manifest was written by a newer loadplan.
    """
    parent = results / name
    found = sorted(path for path in parent.glob(f"*-{run_hash}") if (path / MANIFEST).is_file()) if not fresh else []
    path = found[-1] if found else _new_folder(parent, run_hash, now)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.disk_fault(error, path, n_bytes=0) from error
    with _lock(path, now):
        files.remove_unfinished(path)
        manifest = _open_manifest(path, scenario=name, run_hash=run_hash, now=now)
        yield RunFolder(path, manifest)


def read_run_folder(path: Path) -> RunFolder:
    """A run folder to look at, without its lock.

    Raises:
        InputError: when `path` is no run folder.
    """
    if not (path / MANIFEST).is_file():
        raise InputError(
            what="this is not a run folder: it has no manifest.json",
            where=str(path),
            fix="give the folder that `loadplan run` printed, such as results/digits/20261124T090000Z-0123456789",
        )
    return RunFolder(path, _read_manifest(path))


@contextmanager
def hold_run_folder(path: Path, *, now: datetime) -> Iterator[RunFolder]:
    """An existing run folder, for this process alone. Raises as `read_run_folder` and `open_run_folder` do."""
    read_run_folder(path)
    with _lock(path, now):
        files.remove_unfinished(path)
        yield read_run_folder(path)


def _new_folder(parent: Path, run_hash: str, now: datetime) -> Path:
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    path = parent / f"{stamp}-{run_hash}"
    i = 2
    while path.exists():
        path = parent / f"{stamp}.{i}-{run_hash}"
        i += 1
    return path


@contextmanager
def _lock(path: Path, now: datetime) -> Iterator[None]:
    """An exclusive flock: the kernel frees a dead holder's, so nothing stale is ever left."""
    holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()})
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise files.disk_fault(error, path / _LOCK, n_bytes=len(holder)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(path, os.pread(descriptor, 4096, 0)) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
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


def _open_manifest(path: Path, *, scenario: str, run_hash: str, now: datetime) -> Manifest:
    manifest = path / MANIFEST
    if manifest.is_file():
        try:
            return _read_manifest(path)
        except InputError:
            if _is_whole_json(manifest):
                raise  # of another version: never overwritten
            damaged = path / _DAMAGED / MANIFEST
            damaged.parent.mkdir(exist_ok=True)
            manifest.replace(damaged)
    made = Manifest(scenario=scenario, run_hash=run_hash, created_at=now.isoformat(), stages=())
    codec.write_record(manifest, made, schema=MANIFEST_SCHEMA)
    return made


def _read_manifest(path: Path) -> Manifest:
    return codec.read_record(path / MANIFEST, Manifest, schema=MANIFEST_SCHEMA)


def _is_whole_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False


def _is_intact(folder: Path, artifact: Artifact) -> bool:
    file = folder / artifact.path
    return file.is_file() and files.sha256_file(file) == artifact.sha256


def entry_inputs(upstream: Sequence[StageEntry]) -> Mapping[str, str]:
    """The hashes of all artefacts of earlier stages, by path."""
    return {artifact.path: artifact.sha256 for entry in upstream for artifact in entry.artifacts}
