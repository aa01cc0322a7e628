"""Load runs of several processes: a real Locust master and real workers on loopback."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from loadplan.errors import InputError, InvalidMeasurement
from loadplan.load.crew.together import CREWFILE, Launch, LocalCrew, RemoteCrew
from loadplan.load.driver import LoadInterrupted, run_load
from loadplan.load.messages.requests import PreparedRequests, plain_requests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Callers
from loadplan.scenario.traffic import schedule

if TYPE_CHECKING:
    from tests.live.load.conftest import StartFake

MakeSpec = Callable[..., LoadSpec]
TWO = LocalCrew(n_workers=2, cores=())

# A worker as `loadplan load --worker` starts it, but of another version.
_OLD_WORKER = """
import sys
import loadplan
loadplan.__version__ = "0.0.0"
from locust.main import main
main()
"""


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "--worker" in child.cmdline()]


def after(moment: float, act: Callable[[], None]) -> Callable[[float], None]:
    """An observer that acts once, when this share of the run is done."""
    acted = threading.Event()

    def observe(done_ratio: float) -> None:
        if done_ratio > moment and not acted.is_set():
            acted.set()
            act()

    return observe


def test_two_workers_send_one_schedule_and_every_answer_is_checked(
    start_fake: "StartFake", make_spec: MakeSpec, doubling: PreparedRequests, machine: Machine
) -> None:
    spec, fake = make_spec(rate_rps=200.0, duration_s=1.0), start_fake()
    run = run_load(spec, url=fake.url, requests=doubling, machine=machine, core=None, launch=Launch(crew=TWO))
    log = run.requests
    rng = np.random.default_rng(spec.seed).spawn(2)[0]
    assert not isinstance(spec.arrivals, Callers)
    np.testing.assert_array_equal(log.due_s, schedule(spec.arrivals, rate_rps=200.0, duration_s=1.0, rng=rng))
    assert len(fake.stamps()[0]) == log.n_requests
    assert (log.outcome == Outcome.OK).all()
    assert (log.sent_s >= log.due_s).all()  # both began when the schedule did
    # Every payload is sent once before any is sent again, as by one process.
    assert sorted(log.payload[:40].tolist()) == list(range(40))
    assert not [reason for reason in run.verdict.invalid_reasons if "lost" in reason]
    assert [caveat.code for caveat in run.caveats] == ["load.shared_cores"]
    assert not workers()


def test_ctrl_c_stops_all_workers_at_once_and_keeps_what_had_ended(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    fake = start_fake()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(LoadInterrupted) as caught:
        run_load(
            make_spec(rate_rps=100.0, duration_s=60.0),
            url=fake.url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
            launch=Launch(crew=TWO),
            on_progress=after(0.01, interrupt),
        )
    run, n_asked = caught.value.run, len(fake.stamps()[0])
    assert not run.verdict.valid
    assert "interrupted" in run.verdict.invalid_reasons[0]
    assert 0 < run.requests.n_requests <= n_asked < 1000
    assert (run.requests.outcome == Outcome.OK).all()
    assert len(np.unique(run.requests.due_s)) == run.requests.n_requests
    assert (np.diff(run.requests.due_s) > 0.0).all()
    assert len(fake.stamps()[0]) == n_asked
    assert not workers()


@pytest.mark.nightly
def test_a_killed_worker_makes_the_run_invalid_and_what_the_other_measured_is_kept(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    killed: list[int] = []

    def kill() -> None:
        victim = workers()[0]
        killed.append(victim.pid)
        victim.kill()

    spec = make_spec(rate_rps=100.0, duration_s=3.0)
    run = run_load(
        spec,
        url=start_fake().url,
        requests=plain_requests("/"),
        machine=machine,
        core=None,
        launch=Launch(crew=TWO),
        on_progress=after(0.2, kill),
    )
    rng = np.random.default_rng(spec.seed).spawn(2)[0]
    assert not isinstance(spec.arrivals, Callers)
    due_s = schedule(spec.arrivals, rate_rps=100.0, duration_s=3.0, rng=rng)
    (reason,) = (reason for reason in run.verdict.invalid_reasons if "was lost" in reason)
    assert f"pid {killed[0]}" in reason
    assert "it ended by SIGKILL" in reason
    assert not run.verdict.valid
    share = int("worker 1" in reason)
    np.testing.assert_array_equal(run.requests.due_s, due_s[share::2])
    assert f"{due_s.size - run.requests.n_requests} of {due_s.size} due requests is unknown" in reason


@pytest.mark.nightly
def test_a_stopped_worker_makes_the_run_invalid_though_it_delivers(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    def stop() -> None:
        victim = workers()[0]
        victim.suspend()
        threading.Timer(5.0, victim.resume).start()

    run: LoadRun = run_load(
        make_spec(rate_rps=100.0, duration_s=7.0, timeout_s=8.0),
        url=start_fake().url,
        requests=plain_requests("/"),
        machine=machine,
        core=None,
        launch=Launch(crew=TWO),
        on_progress=after(0.1, stop),
    )
    reasons = run.verdict.invalid_reasons
    assert any("was silent for seconds" in reason for reason in reasons)
    assert any("was paused for" in reason and reason.startswith("worker") for reason in reasons)
    assert not any("lost" in reason for reason in reasons)
    assert np.bincount(run.requests.outcome)[Outcome.OK] == run.requests.n_requests
    assert run.requests.send_delay_s.max() > 4.0


def test_nothing_is_sent_where_a_worker_never_joins(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine, free_port: int
) -> None:
    fake = start_fake()
    with pytest.raises(InvalidMeasurement, match=r"only 0 of 1 workers joined within 0\.5 s") as caught:
        run_load(
            make_spec(rate_rps=100.0, duration_s=1.0),
            url=fake.url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
            launch=Launch(crew=RemoteCrew(n_workers=1, join_limit_s=0.5, port=free_port)),
        )
    assert "--worker --master-host" in caught.value.fix
    assert fake.stamps()[0] == []


@pytest.mark.nightly
def test_a_worker_of_another_version_is_refused(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine, free_port: int, tmp_path: Path
) -> None:
    fake = start_fake()
    options = ["-f", str(CREWFILE), "--worker", "--master-port", str(free_port), "--skip-log-setup"]
    environment = {**os.environ, "LOADPLAN_JOB_FOLDER": str(tmp_path), "LOADPLAN_CORES": ""}
    with subprocess.Popen([sys.executable, "-c", _OLD_WORKER, *options], env=environment) as worker:
        try:
            with pytest.raises(InputError, match=r"has loadplan 0\.0\.0 and locust"):
                run_load(
                    make_spec(rate_rps=100.0, duration_s=1.0),
                    url=fake.url,
                    requests=plain_requests("/"),
                    machine=machine,
                    core=None,
                    launch=Launch(crew=RemoteCrew(n_workers=1, join_limit_s=30.0, port=free_port)),
                )
        finally:
            worker.kill()
    assert fake.stamps()[0] == []
