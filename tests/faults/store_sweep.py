"""Run a small program of three stages through the store while its file operations fail or kill it, one by one.

Started as a process by the tests: `store_sweep.py SWEEP FOLDER` prints one JSON line per attempt. Each attempt is a
fork, so that a sweep of hundreds needs the imports once. The faults sit in `os`, through which the store changes the
disk: an attempt's n-th such call is the one that fails. DuckDB writes past it, into a file whose rename is counted.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import LoadplanError
from loadplan.store import codec, files
from loadplan.store.manifest import StageEntry, stage_key
from loadplan.store.run_folder import RunFolder, open_run_folder

_NOW = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
_N_PIECES = 3
_CHANGES = ("open", "write", "pwrite", "fsync", "replace", "link", "mkdir", "unlink", "ftruncate")
NEVER = 1 << 30
N_PAIRS = 60
N_RACES = 40

Fault = Callable[[str, tuple[Any, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a long stage, with an array as the bench has them."""

    i: int
    times_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The last stage's record."""

    total_s: float


def program(results: Path, *, run_hash: str = "0123456789", now: datetime = _NOW) -> None:
    """Three stages as the pipeline does them; every piece of work is noted outside the store when it is done."""
    diary = results.parent / "diary"
    with open_run_folder(results, name="small", run_hash=run_hash, now=now) as folder:
        _stage(folder, diary, "export", _export)
        _stage(folder, diary, "bench", lambda folder: _bench(folder, diary))
        _stage(folder, diary, "plan", _plan)


def _stage(folder: RunFolder, diary: Path, stage: str, make: Callable[[RunFolder], list[str]]) -> None:
    key = stage_key(stage, {"question": "the same"})
    if folder.is_done(stage, key) or folder.adopt(stage, key):
        return
    _note(diary, f"begin {stage}")
    artifacts = tuple(folder.artifact(path) for path in make(folder))
    folder.finish(
        StageEntry(
            stage=stage,
            key=key,
            inputs={},
            artifacts=artifacts,
            versions={"loadplan": "0"},
            machine="here",
            seed=1,
            finished_at=_NOW.isoformat(),
        )
    )
    _note(diary, f"end {stage}")


def _export(folder: RunFolder) -> list[str]:
    files.write_bytes(folder.path / "models" / "fp32.onnx", bytes(range(256)) * 64)
    codec.write_record(folder.path / "export.json", Answer(total_s=0.0), schema="loadplan.export/1")
    return ["models/fp32.onnx", "export.json"]


def _bench(folder: RunFolder, diary: Path) -> list[str]:
    journal = folder.journal("bench", stage_key("bench", {"question": "the same"}))
    pieces = journal.entries(Piece)
    for i in range(len(pieces), _N_PIECES):
        _note(diary, f"begin piece {i}")
        pieces.append(Piece(i=i, times_s=np.arange(4.0) + i))
        journal.append(pieces[-1])
        _note(diary, f"end piece {i}")
    times_s = np.concatenate([piece.times_s for piece in pieces])
    codec.write_columns(folder.path / "bench.parquet", {"times_s": times_s}, metadata={"n": str(len(pieces))})
    return ["bench.parquet"]


def _plan(folder: RunFolder) -> list[str]:
    columns, _ = codec.read_columns(folder.path / "bench.parquet")
    total_s = float(columns["times_s"].astype(np.float64).sum())
    codec.write_record(folder.path / "plan.json", Answer(total_s=total_s), schema="loadplan.plan/1")
    return ["plan.json"]


# The note must not be one of the calls that fail: these are the functions as they were before any fault.
_real = {name: getattr(os, name) for name in _CHANGES}


def _note(diary: Path, line: str) -> None:
    descriptor = _real["open"](diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    _real["write"](descriptor, f"{line}\n".encode())
    os.close(descriptor)


def arm(n: int, fault: Fault, *, for_ever: bool = False) -> Callable[[], int]:
    """From now on the n-th change of the disk (0-based), or every one from it on, meets the fault; tells how many were.

    Opening to read is no change.
    """
    count = 0

    def wrap(name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):
                return _real[name](*args, **options)
            count += 1
            if count - 1 == n or (for_ever and count > n):
                fault(name, args)
            return _real[name](*args, **options)

        return call

    for name in _CHANGES:
        setattr(os, name, wrap(name))
    return lambda: count


def kill(name: str, args: tuple[Any, ...]) -> None:
    """SIGKILL just before the call; of a write, half of the bytes are on the disk."""
    if name == "write":
        _real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def failing(number: int) -> Fault:
    """Every call meets this error of the system."""

    def fail(name: str, args: tuple[Any, ...]) -> None:
        if name == "write":
            _real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
        raise OSError(number, os.strerror(number))

    return fail


def attempt(results: Path, *, n: int = NEVER, fault: Fault = kill, for_ever: bool = False) -> dict[str, Any]:
    """The program in a process of its own: its exit code (negative: the signal), and the message of an error."""
    message = results.parent / "message"
    message.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 1  # a traceback, if nothing below says otherwise
        try:
            n_changes = arm(n, fault, for_ever=for_ever)
            program(results)
            code = 0
            _note(message, str(n_changes()))
        except LoadplanError as error:
            code = error.exit_code
            _note(message, str(error))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    said = message.read_text() if message.exists() else ""
    return {"n": n, "exit": os.waitstatus_to_exitcode(status), "message": said}


def tree(results: Path) -> dict[str, str]:
    """Every file of the results by path, with its hash; the lock says who ran last and is left out."""
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def repeated(diary: Path) -> list[str]:
    """Work that began although the diary says that it had been finished."""
    done: set[str] = set()
    again: list[str] = []
    for line in diary.read_text().splitlines() if diary.exists() else []:
        what, _, work = line.partition(" ")
        if what == "end":
            done.add(work)
        elif work in done:
            again.append(work)
    return again


def torn(results: Path, whole: dict[str, str]) -> list[str]:
    """Artefacts that are not what the undisturbed program wrote; the manifest grows, so it is left out here."""
    return [path for path, digest in tree(results).items() if path in whole and digest != whole[path] and _fixed(path)]


def _fixed(path: str) -> bool:
    return Path(path).name != "manifest.json"


def sweep_kills(folder: Path, whole: dict[str, str], n_changes: int) -> None:
    """Kill at the n-th change, for every n; then run again."""
    for n in range(n_changes):
        results = _empty(folder)
        first = attempt(results, n=n)
        _print({**first, "torn": torn(results, whole)}, attempt(results), results, whole)


def sweep_pairs(folder: Path, whole: dict[str, str], n_changes: int) -> None:
    """Kill at one change, kill the recovery at another, run again: pairs drawn with a seed."""
    draw = random.Random(1)
    n_done = 0
    while n_done < N_PAIRS:
        results = _empty(folder)
        first = attempt(results, n=draw.randrange(n_changes))
        second = attempt(results, n=draw.randrange(n_changes))
        if second["exit"] == 0:
            continue  # the recovery had fewer changes to make than that
        report = {**second, "first_exit": first["exit"], "torn": torn(results, whole)}
        _print(report, attempt(results), results, whole)
        n_done += 1


def sweep_errors(folder: Path, whole: dict[str, str], n_changes: int, *, number: int, for_ever: bool) -> None:
    """The n-th change, or all from it on, fail with this error; then the disk is well again."""
    for n in range(n_changes):
        results = _empty(folder)
        first = attempt(results, n=n, fault=failing(number), for_ever=for_ever)
        # On a disk that fails for ever nothing can be removed either.
        left = [] if for_ever else [path for path in tree(results) if files.UNFINISHED in path]
        _print({**first, "left": left, "torn": torn(results, whole)}, attempt(results), results, whole)


def sweep_races(folder: Path, whole: dict[str, str]) -> None:
    """Several processes begin at once; those that find the folder taken say so, nothing is done twice."""
    for n in range(N_RACES):
        results = _empty(folder)
        children = [_start(results) for _ in range(4)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        _print({"n": n, "exits": codes, "torn": torn(results, whole)}, attempt(results), results, whole)


def _start(results: Path) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            program(results)
            code = 0
        except LoadplanError as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return child


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    results = folder / "results"
    results.mkdir(parents=True)
    return results


def _print(report: dict[str, Any], last: dict[str, Any], results: Path, whole: dict[str, str]) -> None:
    after = {"last_exit": last["exit"], "same": tree(results) == whole, "repeated": repeated(results.parent / "diary")}
    sys.stdout.write(json.dumps({**report, **after}) + "\n")


def main(sweep: str, folder: Path) -> None:
    """Do one sweep: `kills`, `pairs`, `races`, or `errors NUMBER once|for_ever`."""
    results = _empty(folder)
    undisturbed = attempt(results)
    if undisturbed["exit"] != 0:
        raise SystemExit(f"the program fails without any fault: {undisturbed}")
    whole, n_changes = tree(results), int(undisturbed["message"])
    match sweep.split():
        case ["kills"]:
            sweep_kills(folder, whole, n_changes)
        case ["pairs"]:
            sweep_pairs(folder, whole, n_changes)
        case ["races"]:
            sweep_races(folder, whole)
        case ["errors", number, duration]:
            sweep_errors(folder, whole, n_changes, number=int(number), for_ever=duration == "for_ever")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
