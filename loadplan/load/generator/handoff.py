"""The files through which the driver hands a run to the generator's process and gets its records back.

Arrays travel as .npz, the rest as JSON, in a temporary folder that only the two know. The result is complete when
`result.json` is there: it is renamed into place last.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from loadplan.load.generator.loop_order import LoopOrder, LoopResult
from loadplan.load.messages.requests import ExpectedAnswers
from loadplan.load.records import AskAgain, LostTime, RequestLog

JOB_FILES = ("job.json", "job.npz")
RESULT_FILES = ("result.npz", "result.json")
_LOG_COLUMNS = ("due_s", "sent_s", "first_byte_s", "done_s", "outcome", "status", "payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorJob:
    """All that a generator process is told."""

    order: LoopOrder
    expected: ExpectedAnswers | None
    core: int | None  # the core to stay on; None: wherever the system puts it


def write_job(folder: Path, job: GeneratorJob) -> None:
    """Write the job; texts among the expected answers become fixed-width arrays.

    The answers to all payloads lie end to end, with the shape of each beside them: they may differ in size.
    """
    order, expected = job.order, job.expected
    outputs = {} if expected is None else expected.outputs
    arrays: dict[str, NDArray[np.generic]] = {
        "due_s": order.due_s,
        "payload": order.payload,
        "messages": np.frombuffer(b"".join(order.messages), dtype=np.uint8),
        "message_ends": np.cumsum([len(message) for message in order.messages]),
    }
    for i, values in enumerate(outputs.values()):
        flat = np.concatenate([each.ravel() for each in values])
        arrays[f"output_{i}"] = flat.astype(np.str_) if flat.dtype.kind == "O" else flat
        arrays[f"shapes_{i}"] = np.array([each.shape for each in values])
    _save(folder / "job.npz", arrays)
    description = {
        "family": order.family,
        "address": order.address,
        "timeout_s": order.timeout_s,
        "n_warm_connections": order.n_warm_connections,
        "n_reserve_connections": order.n_reserve_connections,
        "wire": order.wire,
        "again": None if order.again is None else asdict(order.again),
        "head": order.head.hex(),
        "outputs": None if expected is None else list(outputs),
        "abs_tolerance": None if expected is None else expected.abs_tolerance,
        "rel_tolerance": None if expected is None else expected.rel_tolerance,
        "form": None if expected is None else expected.form,
        "pointers": None if expected is None else dict(expected.pointers),
        "core": job.core,
    }
    with _open_private(folder / "job.json") as file:
        file.write(json.dumps(description).encode())


def read_job(folder: Path) -> GeneratorJob:
    """Read what `write_job` wrote."""
    description = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "job.npz", allow_pickle=False) as arrays:
        messages, ends = arrays["messages"].tobytes(), arrays["message_ends"].tolist()
        names = description["outputs"]
        outputs = {name: _parted(arrays[f"output_{i}"], arrays[f"shapes_{i}"]) for i, name in enumerate(names or ())}
        due_s, payload = arrays["due_s"], arrays["payload"]
    host, port = description["address"]
    order = LoopOrder(
        family=description["family"],
        address=(host, port),
        due_s=due_s,
        payload=payload,
        messages=tuple(messages[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)),
        timeout_s=description["timeout_s"],
        n_warm_connections=description["n_warm_connections"],
        n_reserve_connections=description["n_reserve_connections"],
        wire=description["wire"],
        again=None if description["again"] is None else AskAgain(**description["again"]),
        head=bytes.fromhex(description["head"]),
    )
    expected = None
    if names is not None:
        expected = ExpectedAnswers(
            outputs=outputs,
            abs_tolerance=description["abs_tolerance"],
            rel_tolerance=description["rel_tolerance"],
            form=description["form"],
            pointers=description["pointers"],
        )
    return GeneratorJob(order=order, expected=expected, core=description["core"])


def write_result(folder: Path, result: LoopResult) -> None:
    """Write the records; nothing is complete before the last rename."""
    arrays: dict[str, NDArray[np.generic]] = {name: getattr(result.requests, name) for name in _LOG_COLUMNS}
    arrays |= {"lost_start_s": result.lost.start_s, "lost_length_s": result.lost.length_s}
    _save(folder / "result.npz", arrays)
    summary = {
        "n_connections": result.n_connections,
        "n_answered": result.n_answered,
        "own_fault": result.own_fault,
        "saturation_ratio": result.saturation_ratio,
    }
    unfinished = folder / "result.json.part"
    unfinished.write_text(json.dumps(summary), encoding="utf-8")
    unfinished.rename(folder / "result.json")


def read_result(folder: Path) -> LoopResult | None:
    """Read what `write_result` wrote; None where it did not come to its end."""
    if not (folder / "result.json").exists():
        return None
    summary = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    with np.load(folder / "result.npz", allow_pickle=False) as arrays:
        return LoopResult(
            requests=RequestLog(**{name: arrays[name] for name in _LOG_COLUMNS}),
            lost=LostTime(start_s=arrays["lost_start_s"], length_s=arrays["lost_length_s"]),
            n_connections=summary["n_connections"],
            n_answered=summary["n_answered"],
            own_fault=summary["own_fault"],
            saturation_ratio=summary["saturation_ratio"],
        )


def _parted(flat: NDArray[np.generic], shapes: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
    parts = np.split(flat, np.cumsum(shapes.prod(axis=1))[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def _save(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    with _open_private(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _open_private(path: Path) -> BinaryIO:
    """A new file for nobody but this user: the requests may hold a password."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
