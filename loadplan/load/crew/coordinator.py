"""The master's side of a load run of several processes: gathers the workers, starts them together, takes their records.

Workers start on a message plus a fixed delay. Where a worker's clock is not the master's, the difference is taken from
the quickest of some questions and answers: half of what that one took bounds the error of the start, and is told.
"""

import ipaddress
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

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
    Identity,
    clock_here,
    versions_here,
)
from loadplan.load.generator.handoff import JOB_FILES, RESULT_FILES

_N_PINGS = 20
_PING_LIMIT_S = 2.0
_READY_LIMIT_S = 60.0  # sending the job and opening connections
_LEAD_S = 1.0  # from the last agreement to the start of the schedule: the message must have arrived
_STOP_LIMIT_S = 1.5  # from the word to stop to the last records
_END_LIMIT_S = 15.0  # judging and sending the records of millions of requests
_LOOK_EVERY_S = 0.005

FaultKind = Literal["missing", "versions", "elsewhere", "not_ready", "clock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewOrder:
    """What the master is told."""

    n_workers: int
    join_limit_s: float
    expected_s: float  # from the start of the schedule to its last answer or timeout
    target: str  # the numeric address that will be driven


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """What became of one worker. Its records lie in `folder_of` it, where it delivered them."""

    identity: Identity
    start_uncertainty_s: float  # its start is off by at most this; 0: it reads the master's clock
    has_delivered: bool
    failure: str | None  # why there are no records, in its own words
    went_missing: bool  # whether the master heard nothing of it for some seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewRecord:
    """What became of all, in the order of their shares. With a fault, no request was sent."""

    members: tuple[MemberRecord, ...]
    fault_kind: FaultKind | None
    fault: str | None


class _Fault(Exception):
    def __init__(self, kind: FaultKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(slots=True, kw_only=True)
class _Member:
    worker: str  # its id in the channel
    identity: Identity
    offset_s: float = 0.0  # its clock minus the master's
    uncertainty_s: float = 0.0
    pongs: dict[int, tuple[float, float]] = field(default_factory=dict)  # by ping: its clock, and when that arrived
    is_ready: bool = False
    has_delivered: bool = False
    failure: str | None = None
    went_missing: bool = False

    @property
    def is_awaited(self) -> bool:
        return not self.has_delivered and self.failure is None


class Coordinator:
    """The master of one run. `folder` holds the job; the workers' records go there too."""

    def __init__(self, channel: Channel, folder: Path, order: CrewOrder, *, began: Callable[[], None]) -> None:
        self._channel = channel
        self._folder = folder
        self._order = order
        self._began = began
        self._members: dict[str, _Member] = {}
        self._is_stopped = False
        channel.listen(HELLO, self._on_hello)
        channel.listen(READY, self._on_ready)
        channel.listen(PONG, self._on_pong)
        channel.listen(RESULT, self._on_result)

    def run(self) -> CrewRecord:
        """Lead one run from the gathering to the last record."""
        fault: _Fault | None = None
        try:
            self._gather()
            self._hand_out()
            for member in self._members.values():
                self._compare_clocks(member)
            self._collect(self._start())
        except _Fault as found:
            fault = found
        return CrewRecord(
            members=tuple(_record(member) for member in self._members.values()),
            fault_kind=None if fault is None else fault.kind,
            fault=None if fault is None else str(fault),
        )

    def stop(self) -> None:
        """Have nothing more sent, and wait for the records of what has ended alone; may come from a signal."""
        self._is_stopped = True

    def _gather(self) -> None:
        n = self._order.n_workers
        self._wait(lambda: len(self._members) >= n, self._order.join_limit_s)
        if len(self._members) < n:
            here = ", ".join(member.identity.name for member in self._members.values()) or "none"
            text = f"only {len(self._members)} of {n} workers joined within {self._order.join_limit_s:g} s"
            raise _Fault("missing", f"{text} (there: {here})")
        self._check_members()

    def _check_members(self) -> None:
        own = versions_here()
        is_loopback = ipaddress.ip_address(self._order.target.partition("%")[0]).is_loopback
        for member in self._members.values():
            if is_loopback and member.identity.clock != clock_here():
                name = member.identity.name
                raise _Fault(
                    "elsewhere", f"the worker {name} is on another machine, and {self._order.target} is this one"
                )
            if member.identity.versions != own:
                theirs = _named(member.identity.versions)
                raise _Fault("versions", f"the worker {member.identity.name} has {theirs}, the master {_named(own)}")

    def _hand_out(self) -> None:
        files = {name: (self._folder / name).read_bytes() for name in JOB_FILES}
        for index, member in enumerate(self._members.values()):
            self._channel.send(JOB, {"index": index, "n_workers": self._order.n_workers, **files}, to=member.worker)
        self._wait(lambda: all(m.is_ready or m.failure for m in self._members.values()), _READY_LIMIT_S)
        for member in self._members.values():
            if not member.is_ready:
                why = member.failure or f"it was not ready within {_READY_LIMIT_S:g} s"
                raise _Fault("not_ready", f"the worker {member.identity.name} can't begin: {why}")

    def _compare_clocks(self, member: _Member) -> None:
        if member.identity.clock == clock_here():
            return
        best: tuple[float, float] | None = None  # uncertainty, offset
        for k in range(_N_PINGS):
            asked_s = time.monotonic()
            self._channel.send(PING, {"k": k}, to=member.worker)
            if not self._wait(lambda k=k: k in member.pongs, _PING_LIMIT_S):  # type: ignore[misc]
                continue
            clock_s, answered_s = member.pongs[k]
            found = ((answered_s - asked_s) / 2.0, clock_s - (asked_s + answered_s) / 2.0)
            best = found if best is None else min(best, found)
        if best is None:
            raise _Fault("clock", f"the worker {member.identity.name} doesn't answer")
        member.uncertainty_s, member.offset_s = best

    def _start(self) -> float:
        start_s = time.monotonic() + _LEAD_S
        for member in self._members.values():
            self._channel.send(START, {"start_s": start_s + member.offset_s}, to=member.worker)
        time.sleep(max(0.0, start_s - time.monotonic()))
        self._began()
        return start_s

    def _collect(self, start_s: float) -> None:
        """Wait for all records; not for a worker that is missing when its time is over and the others are done."""
        over_s = start_s + self._order.expected_s
        end_s, is_told = over_s + _END_LIMIT_S, False
        while time.monotonic() < end_s:
            if self._is_stopped and not is_told:
                is_told, end_s = True, time.monotonic() + _STOP_LIMIT_S
                for member in self._members.values():
                    self._channel.send(STOP, {}, to=member.worker)
            for member in self._members.values():
                member.went_missing |= member.is_awaited and self._channel.is_missing(member.worker)
            awaited = [member for member in self._members.values() if member.is_awaited]
            if all(self._channel.is_missing(member.worker) for member in awaited) and (
                len(awaited) < len(self._members) or time.monotonic() > over_s
            ):
                return
            time.sleep(_LOOK_EVERY_S)

    def _wait(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        give_up_s = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > give_up_s or self._is_stopped:
                return False
            time.sleep(_LOOK_EVERY_S if limit_s > _PING_LIMIT_S else 0.0)  # a ping is timed
        return True

    def _on_hello(self, worker: str, data: Data) -> None:
        if worker not in self._members and len(self._members) < self._order.n_workers:
            self._members[worker] = _Member(worker=worker, identity=Identity(**data))

    def _on_ready(self, worker: str, _data: Data) -> None:
        if worker in self._members:
            self._members[worker].is_ready = True

    def _on_pong(self, worker: str, data: Data) -> None:
        if worker in self._members:
            self._members[worker].pongs[data["k"]] = (data["clock_s"], time.monotonic())

    def _on_result(self, worker: str, data: Data) -> None:
        member = self._members.get(worker)
        if member is None:
            return
        if "failure" in data:
            member.failure = data["failure"]
            return
        folder = folder_of(self._folder, list(self._members).index(worker))
        folder.mkdir()
        for name in RESULT_FILES:
            (folder / name).write_bytes(data[name])
        member.has_delivered = True


def folder_of(folder: Path, index: int) -> Path:
    """Where the records of a worker lie."""
    return folder / f"worker-{index}"


def write_crew_order(folder: Path, order: CrewOrder) -> None:
    """Leave the order for the master's process."""
    (folder / "crew.json").write_text(json.dumps(asdict(order)), encoding="utf-8")


def read_crew_order(folder: Path) -> CrewOrder:
    """Read what `write_crew_order` left."""
    return CrewOrder(**json.loads((folder / "crew.json").read_text(encoding="utf-8")))


def write_crew_record(folder: Path, record: CrewRecord) -> None:
    """Leave what became of all for the driver; complete once `result.json` is there."""
    unfinished = folder / "result.json.part"
    unfinished.write_text(json.dumps(asdict(record)), encoding="utf-8")
    unfinished.rename(folder / "result.json")


def read_crew_record(folder: Path) -> CrewRecord | None:
    """Read what `write_crew_record` left; None where the master did not come to its end."""
    try:
        said = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    members = tuple(MemberRecord(**one | {"identity": Identity(**one["identity"])}) for one in said.pop("members"))
    return replace(CrewRecord(members=members, fault_kind=None, fault=None), **said)


def _record(member: _Member) -> MemberRecord:
    return MemberRecord(
        identity=member.identity,
        start_uncertainty_s=member.uncertainty_s,
        has_delivered=member.has_delivered,
        failure=member.failure,
        went_missing=member.went_missing,
    )


def _named(versions: dict[str, str]) -> str:
    return " and ".join(f"{name} {number}" for name, number in sorted(versions.items()))
