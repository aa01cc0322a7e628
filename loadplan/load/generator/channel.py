"""What master and workers of one load run say to each other, through whatever carries it (Locust's own connection).

worker → master   hello   who I am, my versions, which clock is mine; said again until the job comes
master → worker   job     which worker you are, and the whole job
worker → master   ready   my connections are open
master ⇄ worker   ping    what time is it for you? (only where the clocks differ)
master → worker   start   when the schedule starts, on your clock
master → worker   stop    send nothing more, and deliver what has ended
worker → master   result  the records, or why there are none
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import loadplan

HELLO, JOB, READY, PING, PONG, START, STOP, RESULT = (
    f"loadplan.{word}" for word in ("hello", "job", "ready", "ping", "pong", "start", "stop", "result")
)
Data = dict[str, Any]
Listener = Callable[[str, Data], None]  # takes the id of the sender, and what it said


class Channel(Protocol):
    """Carries messages in order. To a worker there is only one other side, the master."""

    def send(self, kind: str, data: Data, *, to: str | None = None) -> None:
        """Send to the worker with this id, or to the master."""

    def listen(self, kind: str, listener: Listener) -> None:
        """Have the listener hear every message of this kind."""

    def is_missing(self, worker: str) -> bool:
        """Whether this worker hasn't been heard of for some seconds. Asked by the master."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a worker says of itself."""

    name: str  # host and process
    core: int | None
    versions: dict[str, str]  # of what must be the same everywhere
    clock: str  # the same text: the same CLOCK_MONOTONIC


def versions_here() -> dict[str, str]:
    """Of what decides how requests are sent and timed."""
    return {"loadplan": loadplan.__version__, "locust": version("locust")}


def clock_here() -> str:
    """Processes with the same text read the same CLOCK_MONOTONIC: one boot of one machine, one time namespace."""
    return Path("/proc/sys/kernel/random/boot_id").read_text() + _text_of(Path("/proc/self/timens_offsets"))


def identity_here(core: int | None) -> Identity:
    """What this process says of itself."""
    name = f"{os.uname().nodename}, pid {os.getpid()}"
    return Identity(name=name, core=core, versions=versions_here(), clock=clock_here())


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # a kernel without time namespaces
        return ""
