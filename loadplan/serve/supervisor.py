"""Several processes behind one port.

Each is a whole server with its own session, queue and cores; the kernel deals new connections out among them
(SO_REUSEPORT), so callers with few connections may load them unevenly. The supervisor holds the ports, starts the
processes, says "ready" when all are, and hands SIGTERM on. When one of them dies the others are stopped and the whole
ends: a server of three processes that was asked for as four would be slower without saying so, and whatever looks after
servers starts it again.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadplan.child_process import how_it_ended
from loadplan.errors import EnvironmentFault
from loadplan.serve import listening
from loadplan.serve.config import ServeConfig, ServerReady
from loadplan.serve.server import end_with_parent
from loadplan.serve.warm_up import check_config

_LOOK_EVERY_S = 0.1
_STOP_LIMIT_S = 15.0  # each finishes what it has begun, for 10 s at most


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """What all processes share."""

    port: int
    grpc_port: int | None
    folder: Path


def supervise(config: ServeConfig, arguments: Sequence[str], *, on_ready: Callable[[ServerReady], None]) -> int:
    """Serve with as many processes as asked for until SIGTERM or SIGINT; `arguments` are the command line's.

    Returns the exit code: that of a process that could not start, which has said why, or 0.

    Raises:
        InputError: when it can't be served as asked.
        EnvironmentFault: when a port is taken, or one of the processes has died.
    """
    check_config(config)
    if config.parent_pid is not None:
        end_with_parent(config.parent_pid)
    with ExitStack() as stack, _asked_to_stop() as is_stopping:
        http = stack.enter_context(closing(listening.reserve(config.host, config.port)))
        grpc = None
        if config.grpc_port is not None:
            grpc = stack.enter_context(closing(listening.reserve(config.host, config.grpc_port)))
        address = _Address(
            port=http.getsockname()[1],
            grpc_port=None if grpc is None else grpc.getsockname()[1],
            folder=Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadplan-serve-"))),
        )
        children = stack.enter_context(_stopped_at_the_end())
        # The first by itself: what is wrong with the model is said once, and not by every process.
        for indices in (range(1), range(1, config.serving.n_server_processes)):
            started = [_start(config, arguments, index, address) for index in indices]
            children += started
            said = [_first_line(child) for child in started]
            if None in said:
                return _code_of(started, said, is_stopping)
            heard = next((line for line in said if line is not None), None)
        assert heard is not None  # noqa: S101 -- there are two processes at least
        ready = json.loads(heard)
        on_ready(
            ServerReady(
                url=ready["url"],
                grpc=ready.get("grpc"),
                model=ready["model"],
                pid=os.getpid(),
                inference=ready["inference"],
                caveats=listening.exposure(http),
            )
        )
        _wait(children, is_stopping)
    return max((abs(child.returncode) for child in children), default=0)


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    event = threading.Event()
    before = [(kind, signal.signal(kind, lambda *_: event.set())) for kind in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield event
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)


@contextmanager
def _stopped_at_the_end() -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []
    try:
        yield children
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
        end_s = time.monotonic() + _STOP_LIMIT_S
        for child in children:
            try:
                child.wait(max(0.0, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _start(config: ServeConfig, arguments: Sequence[str], index: int, address: _Address) -> subprocess.Popen[bytes]:
    """One process: the same command line, then its share; of an option given twice the last counts."""
    own = ["--port", str(address.port), "--member", f"{index}:{address.folder}", "--exit-with-parent", str(os.getpid())]
    if address.grpc_port is not None:
        own += ["--grpc-port", str(address.grpc_port)]
    cores, n_processes = config.cores, config.serving.n_server_processes
    if cores:
        share = cores[index * len(cores) // n_processes : (index + 1) * len(cores) // n_processes]
        own += ["--cores", ",".join(map(str, share))]
    return subprocess.Popen(
        [sys.executable, "-m", "loadplan.serve", *arguments, *own], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )


def _first_line(child: subprocess.Popen[bytes]) -> bytes | None:
    """What it says when it is ready; None when it ended instead."""
    assert child.stdout is not None  # noqa: S101 -- it was asked for
    return child.stdout.readline() or None


def _code_of(
    started: Sequence[subprocess.Popen[bytes]], said: Sequence[bytes | None], is_stopping: threading.Event
) -> int:
    """The exit code when not all are ready: stopped by a signal, or one of them could not start."""
    code = next(child.wait() for child, line in zip(started, said, strict=True) if line is None)
    if code < 0:
        raise EnvironmentFault(
            what=f"a process of the server ended {how_it_ended(code)} before it was ready",
            where="the start of the server",
            fix="look at its last lines above; out of memory is the usual cause of SIGKILL",
        )
    return 0 if is_stopping.is_set() else code


def _wait(children: Sequence[subprocess.Popen[bytes]], is_stopping: threading.Event) -> None:
    while not is_stopping.wait(_LOOK_EVERY_S):
        for index, child in enumerate(children):
            code = child.poll()
            if code is not None:
                raise EnvironmentFault(
                    what=f"process {index} of the server's {len(children)} ended {how_it_ended(code)}, "
                    "so the others were stopped",
                    where="the prediction server",
                    fix="start it again; out of memory is the usual cause of SIGKILL",
                )
