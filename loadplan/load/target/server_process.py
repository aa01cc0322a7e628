"""Starts the embedded prediction server as a process of its own, waits until it answers, and stops it."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import loadplan
from loadplan.child_process import allow_all_files, how_it_ended, last_lines, stop
from loadplan.errors import EnvironmentFault, InvalidMeasurement
from loadplan.execution import Setting

_READY_LIMIT_S = 60.0
_STOP_GRACE_S = 10.0  # the server finishes what it has begun


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHandle:
    """A server that answered a real inference."""

    url: str  # http://host:port
    pid: int  # of several processes, the one that started the others
    grpc: str | None  # host:port; None where it was not asked for


@contextmanager
def start_server(
    model: Path,
    *,
    setting: Setting,
    model_name: str,
    pads: bool = False,
    cores: Sequence[int] = (),
    with_grpc: bool = False,
    ready_limit_s: float = _READY_LIMIT_S,
) -> Iterator[ServerHandle]:
    """Serve `model` on a free loopback port with this setting, pinned to `cores` (none named: not pinned).

    Inference runs inline, as the simulator assumes; of several processes each gets its share of the cores.

    `pads`: requests of different lengths share a batch, as the export proved that this model may.
    The server ends with the block, and with this process however it ends.

    Raises:
        EnvironmentFault: when it ends or says nothing before it is ready; the last lines of its log are in the message.
        InvalidMeasurement: when it was found dead at the end of the block.
    """
    with tempfile.TemporaryDirectory(prefix="loadplan-serve-") as name:
        log_path = Path(name) / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                _command(model, setting=setting, model_name=model_name, pads=pads, cores=cores, with_grpc=with_grpc),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            allow_all_files(process)
            yield _wait_until_ready(process, log_path, limit_s=ready_limit_s)
            if process.poll() is not None:
                raise InvalidMeasurement(
                    what=f"the server ended {how_it_ended(process.returncode)} while it was driven: "
                    + last_lines(log_path),
                    where=f"the prediction server of {model.name}",
                    fix="look at the lines above; out of memory is the usual cause of SIGKILL",
                )
        finally:
            stop(process, grace_s=_STOP_GRACE_S)
            if process.stdout is not None:
                process.stdout.close()


def _command(
    model: Path, *, setting: Setting, model_name: str, pads: bool, cores: Sequence[int], with_grpc: bool
) -> list[str]:
    execution, serving = setting.execution, setting.serving
    options = {
        "--model": str(model),
        "--name": model_name,
        "--host": "127.0.0.1",
        "--port": "0",
        "--max-batch-size": str(serving.max_batch_size),
        "--batch-window-ms": repr(serving.batch_window_s * 1e3),
        "--threads": str(execution.n_threads),
        "--provider": execution.provider,
        "--max-queue-rows": str(serving.max_queue_rows),
        "--processes": str(serving.n_server_processes),
    }
    if with_grpc:
        options["--grpc-port"] = "0"
    if cores:
        options["--cores"] = ",".join(map(str, cores))
    pairs = [text for option in options.items() for text in option]
    flags = ["--pads"] if pads else []
    return [sys.executable, "-m", "loadplan.serve", *pairs, *flags, "--exit-with-parent", str(os.getpid())]


def _environment() -> dict[str, str]:
    paths = [str(Path(loadplan.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)}


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, *, limit_s: float) -> ServerHandle:
    """Read the line that the server prints once it has answered an inference."""
    assert process.stdout is not None  # noqa: S101 -- it was asked for
    line, deadline = b"", time.monotonic() + limit_s
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not piece:
            raise _not_ready(process, log, has_ended=bool(readable), limit_s=limit_s)
        line += piece
    said = json.loads(line.splitlines()[0])
    return ServerHandle(url=said["url"], pid=said["pid"], grpc=said.get("grpc"))


def _not_ready(process: subprocess.Popen[bytes], log: Path, *, has_ended: bool, limit_s: float) -> EnvironmentFault:
    happened = f"was not ready within {limit_s:g} s"
    if has_ended:
        happened = f"ended {how_it_ended(process.wait())} before it was ready"
    return EnvironmentFault(
        what=f"the prediction server {happened}: {last_lines(log)}",
        where="python -m loadplan.serve",
        fix="read its last lines above; `loadplan doctor` says what this machine lacks",
    )
