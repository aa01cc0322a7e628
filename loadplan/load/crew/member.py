"""One worker's side of a load run of several processes: takes its share, starts when told, delivers its records."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from loadplan.load.crew.shares import share_of
from loadplan.load.generator.channel import (
    HELLO,
    JOB,
    PING,
    PONG,
    READY,
    RESULT,
    START,
    STOP,
    Channel,
    Data,
    identity_here,
)
from loadplan.load.generator.handoff import JOB_FILES, RESULT_FILES, GeneratorJob, read_job, write_result
from loadplan.load.generator.loop_order import LoopResult

_SAY_AGAIN_S = 0.5
_LOOK_EVERY_S = 0.002


class Member:
    """A worker. `folder` is its own, for the files of job and result; `stop` has it send nothing more."""

    def __init__(self, channel: Channel, *, folder: Path, core: int | None, stop: Callable[[], None]) -> None:
        self._channel = channel
        self._folder = folder
        self._core = core
        self._job: Data | None = None
        self._start_s: float | None = None
        channel.listen(JOB, self._on_job)
        channel.listen(PING, self._on_ping)
        channel.listen(START, self._on_start)
        channel.listen(STOP, lambda _master, _data: stop())
        threading.Thread(target=self._say_hello, daemon=True).start()

    def job(self) -> GeneratorJob:
        """This worker's share, once the master has sent it."""
        while self._job is None:
            time.sleep(_LOOK_EVERY_S)
        for name in JOB_FILES:
            (self._folder / name).write_bytes(self._job[name])
        return share_of(read_job(self._folder), self._job["index"], self._job["n_workers"], core=self._core)

    def start_s(self) -> float:
        """When the schedule starts, on this machine's CLOCK_MONOTONIC; said once all workers are ready."""
        self._channel.send(READY, {})
        while self._start_s is None:
            time.sleep(_LOOK_EVERY_S)
        return self._start_s

    def deliver(self, result: LoopResult) -> None:
        """Send the records to the master."""
        write_result(self._folder, result)
        self._channel.send(RESULT, {name: (self._folder / name).read_bytes() for name in RESULT_FILES})

    def fail(self, reason: str) -> None:
        """Tell the master that there will be no records, and why."""
        self._channel.send(RESULT, {"failure": reason})

    def _say_hello(self) -> None:
        said = asdict(identity_here(self._core))
        while self._job is None:  # the master may not have listened yet
            self._channel.send(HELLO, said)
            time.sleep(_SAY_AGAIN_S)

    def _on_job(self, _master: str, data: Data) -> None:
        self._job = data

    def _on_ping(self, _master: str, data: Data) -> None:
        self._channel.send(PONG, data | {"clock_s": time.monotonic()})

    def _on_start(self, _master: str, data: Data) -> None:
        self._start_s = data["start_s"]
