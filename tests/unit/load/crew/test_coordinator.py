"""The master of a load run of several processes, against workers that the test plays."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from loadplan.load.crew.coordinator import (
    Coordinator,
    CrewOrder,
    CrewRecord,
    folder_of,
    read_crew_order,
    read_crew_record,
    write_crew_order,
    write_crew_record,
)
from loadplan.load.generator.channel import (
    HELLO,
    JOB,
    PING,
    PONG,
    READY,
    RESULT,
    START,
    STOP,
    Data,
    Identity,
    Listener,
    identity_here,
)

HERE = identity_here(None)
Play = Callable[[str, str, Data], tuple[str, Data] | None]  # worker, kind, data -> what it answers


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word to start needs no second on its way from one thread to another."""
    monkeypatch.setattr("loadplan.load.crew.coordinator._LEAD_S", 0.1)


class FakeChannel:
    """Delivers what the workers of a script say, in a thread of their own."""

    def __init__(self, identities: dict[str, Identity], play: Play) -> None:
        self.listeners: dict[str, Listener] = {}
        self.sent: list[tuple[str | None, str, Data]] = []
        self.missing: set[str] = set()
        self._identities = identities
        self._play = play

    def listen(self, kind: str, listener: Listener) -> None:
        self.listeners[kind] = listener
        if len(self.listeners) == 4:
            threading.Thread(target=self._say_hello).start()

    def _say_hello(self) -> None:
        for worker, identity in self._identities.items():
            self.listeners[HELLO](worker, asdict(identity))
            self.listeners[HELLO](worker, asdict(identity))  # it is said again until the job comes

    def send(self, kind: str, data: Data, *, to: str | None = None) -> None:
        self.sent.append((to, kind, data))
        answer = self._play(to or "", kind, data)
        if answer is not None:
            threading.Thread(target=self.listeners[answer[0]], args=(to, answer[1])).start()

    def is_missing(self, worker: str) -> bool:
        return worker in self.missing


def diligent(_worker: str, kind: str, data: Data) -> tuple[str, Data] | None:
    if kind == JOB:
        return READY, {}
    if kind == PING:
        return PONG, data | {"clock_s": time.monotonic()}
    return (RESULT, {"result.json": b"{}", "result.npz": b"records"}) if kind == START else None


def lead(
    tmp_path: Path, channel: FakeChannel, *, n_workers: int, expected_s: float = 0.0, target: str = "192.0.2.1"
) -> CrewRecord:
    for name in ("job.json", "job.npz"):
        (tmp_path / name).write_bytes(name.encode())
    order = CrewOrder(n_workers=n_workers, join_limit_s=0.3, expected_s=expected_s, target=target)
    return Coordinator(channel, tmp_path, order, began=lambda: None).run()


def test_each_worker_gets_a_share_of_its_own_and_the_same_start(tmp_path: Path) -> None:
    channel = FakeChannel({"a": replace(HERE, name="host a"), "b": replace(HERE, name="host b")}, diligent)
    record = lead(tmp_path, channel, n_workers=2)
    jobs = {to: (data["index"], data["n_workers"], data["job.npz"]) for to, kind, data in channel.sent if kind == JOB}
    assert jobs == {"a": (0, 2, b"job.npz"), "b": (1, 2, b"job.npz")}
    assert len({data["start_s"] for _, kind, data in channel.sent if kind == START}) == 1
    assert not [kind for _, kind, _ in channel.sent if kind == PING]  # all read the same clock
    assert record.fault is None
    assert [(m.identity.name, m.has_delivered, m.went_missing) for m in record.members] == [
        ("host a", True, False),
        ("host b", True, False),
    ]
    assert (folder_of(tmp_path, 1) / "result.npz").read_bytes() == b"records"


@pytest.mark.parametrize("ahead_s", [1000.0, -3.0], ids=["ahead", "behind"])
def test_a_clock_of_another_machine_is_told_the_start_in_its_own_time(ahead_s: float, tmp_path: Path) -> None:
    there = replace(HERE, name="elsewhere", clock="another boot")

    def play(worker: str, kind: str, data: Data) -> tuple[str, Data] | None:
        if worker == "far" and kind == PING:
            clock_s = time.monotonic() + ahead_s
            time.sleep(0.004)  # all of the way is the way back: the worst case for a midpoint
            return PONG, data | {"clock_s": clock_s}
        return diligent(worker, kind, data)

    channel = FakeChannel({"near": HERE, "far": there}, play)
    record = lead(tmp_path, channel, n_workers=2)
    start_s = {to: data["start_s"] for to, kind, data in channel.sent if kind == START}
    near, far = record.members
    assert near.start_uncertainty_s == 0.0
    assert far.start_uncertainty_s >= 0.002
    error_s = start_s["far"] - ahead_s - start_s["near"]
    assert abs(error_s) <= far.start_uncertainty_s
    assert error_s == pytest.approx(-far.start_uncertainty_s, abs=0.001)


def test_other_versions_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    old = replace(HERE, name="old host", versions=HERE.versions | {"locust": "2.1"})
    channel = FakeChannel({"a": HERE, "b": old}, diligent)
    record = lead(tmp_path, channel, n_workers=2)
    assert record.fault_kind == "versions"
    assert "old host has loadplan" in (record.fault or "")
    assert "locust 2.1" in (record.fault or "")
    assert channel.sent == []


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_a_worker_elsewhere_does_not_drive_a_loopback_of_its_own(target: str, tmp_path: Path) -> None:
    channel = FakeChannel({"a": HERE, "b": replace(HERE, name="host b", clock="another boot")}, diligent)
    record = lead(tmp_path, channel, n_workers=2, target=target)
    assert record.fault_kind == "elsewhere"
    assert record.fault == f"the worker host b is on another machine, and {target} is this one"
    assert channel.sent == []


def test_a_worker_that_never_joins_is_missed_by_count_and_those_there_by_name(tmp_path: Path) -> None:
    channel = FakeChannel({"a": replace(HERE, name="host a")}, diligent)
    record = lead(tmp_path, channel, n_workers=2)
    assert record.fault_kind == "missing"
    assert record.fault == "only 1 of 2 workers joined within 0.3 s (there: host a)"
    assert channel.sent == []


def test_a_worker_that_cannot_begin_says_why(tmp_path: Path) -> None:
    def play(worker: str, kind: str, data: Data) -> tuple[str, Data] | None:
        return (RESULT, {"failure": "no files left"}) if kind == JOB and worker == "b" else diligent(worker, kind, data)

    channel = FakeChannel({"a": HERE, "b": replace(HERE, name="host b")}, play)
    record = lead(tmp_path, channel, n_workers=2)
    assert record.fault_kind == "not_ready"
    assert "host b can't begin: no files left" in (record.fault or "")
    assert not [kind for _, kind, _ in channel.sent if kind == START]


def test_a_lost_worker_is_not_waited_for_and_the_others_records_are_there(tmp_path: Path) -> None:
    def play(worker: str, kind: str, data: Data) -> tuple[str, Data] | None:
        if kind == START and worker == "b":
            channel.missing.add("b")
            return None
        return diligent(worker, kind, data)

    channel = FakeChannel({"a": HERE, "b": replace(HERE, name="host b")}, play)
    record = lead(tmp_path, channel, n_workers=2, expected_s=60.0)
    assert [(m.has_delivered, m.went_missing) for m in record.members] == [(True, False), (False, True)]


def test_a_worker_that_was_silent_and_came_back_is_remembered(tmp_path: Path) -> None:
    def play(worker: str, kind: str, data: Data) -> tuple[str, Data] | None:
        if kind == START:
            channel.missing.add(worker)
            threading.Timer(0.4, channel.missing.clear).start()
            threading.Timer(
                0.5, channel.listeners[RESULT], args=(worker, {"result.json": b"", "result.npz": b""})
            ).start()
            return None
        return diligent(worker, kind, data)

    channel = FakeChannel({"a": HERE}, play)
    record = lead(tmp_path, channel, n_workers=1, expected_s=60.0)
    assert [(m.has_delivered, m.went_missing) for m in record.members] == [(True, True)]


def test_workers_are_told_to_stop_and_what_they_deliver_is_there(tmp_path: Path) -> None:
    leaders: list[Coordinator] = []

    def play(_worker: str, kind: str, _data: Data) -> tuple[str, Data] | None:
        if kind == START:
            leaders[0].stop()
        if kind == STOP:
            return RESULT, {"result.json": b"{}", "result.npz": b"some"}
        return (READY, {}) if kind == JOB else None

    for name in ("job.json", "job.npz"):
        (tmp_path / name).write_bytes(b"")
    order = CrewOrder(n_workers=2, join_limit_s=0.3, expected_s=3600.0, target="192.0.2.1")
    channel = FakeChannel({"a": HERE, "b": HERE}, play)
    leaders.append(Coordinator(channel, tmp_path, order, began=lambda: None))
    record = leaders[0].run()
    assert [member.has_delivered for member in record.members] == [True, True]
    assert [to for to, kind, _ in channel.sent if kind == STOP] == ["a", "b"]


def test_order_and_record_are_the_same_after_their_files(tmp_path: Path) -> None:
    order = CrewOrder(n_workers=3, join_limit_s=1.5, expected_s=7.0, target="::1")
    write_crew_order(tmp_path, order)
    assert read_crew_order(tmp_path) == order
    assert read_crew_record(tmp_path) is None
    record = lead(tmp_path, FakeChannel({"a": HERE}, diligent), n_workers=1)
    write_crew_record(tmp_path, record)
    assert read_crew_record(tmp_path) == record
