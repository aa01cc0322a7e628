"""Whole load runs: a real Locust process, a real server on a real port."""

import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from loadplan.errors import EnvironmentFault, InputError, InvalidMeasurement
from loadplan.load.driver import LoadInterrupted, run_load
from loadplan.load.messages.requests import PreparedRequests, plain_requests
from loadplan.load.records import LoadSpec, Outcome
from loadplan.load.verdict import judge
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Callers
from loadplan.scenario.traffic import schedule

if TYPE_CHECKING:
    from tests.live.load.conftest import StartFake

MakeSpec = Callable[..., LoadSpec]


def generators(parent: psutil.Process) -> list[psutil.Process]:
    """Load generators below a process, as the fault tests find them."""
    return [child for child in parent.children(recursive=True) if "locust" in child.cmdline()]


def test_the_run_is_what_the_seed_says_and_every_answer_was_checked(
    start_fake: "StartFake",
    make_spec: MakeSpec,
    doubling: PreparedRequests,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCUST_USERS", "5")  # a user's own Locust settings don't reach the run
    spec, fake, heard = make_spec(rate_rps=300.0, duration_s=1.0), start_fake(odd="zeros", odd_share=0.1), list[float]()
    run = run_load(spec, url=f"{fake.url}/", requests=doubling, machine=machine, core=None, on_progress=heard.append)
    log = run.requests
    rng = np.random.default_rng(spec.seed).spawn(2)[0]
    assert not isinstance(spec.arrivals, Callers)
    np.testing.assert_array_equal(log.due_s, schedule(spec.arrivals, rate_rps=300.0, duration_s=1.0, rng=rng))
    assert run.url == f"{fake.url}/v2/models/m/infer"
    assert len(fake.stamps()[0]) == log.n_requests
    n_wrong = int(log.n_requests * 0.1)
    assert np.bincount(log.outcome).tolist() == [log.n_requests - n_wrong, n_wrong]
    assert run.verdict == judge(spec, log, run.lost, saturation_ratio=run.verdict.saturation_ratio)
    # Every payload is sent once before any is sent again.
    assert sorted(log.payload[:40]) == list(range(40))
    assert heard[-1] == pytest.approx(1.0, abs=0.5)


def test_a_server_that_says_nothing_is_a_fault_of_the_environment(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    with pytest.raises(EnvironmentFault, match=r"no answer at all .*connection lost"):
        run_load(
            make_spec(rate_rps=200.0, duration_s=30.0),
            url=start_fake(odd="reset", odd_share=1.0).url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
        )


def test_no_record_keeps_what_the_address_asks_for(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    fake = start_fake()
    run = run_load(
        make_spec(rate_rps=50.0, duration_s=0.2),
        url=fake.url,
        requests=plain_requests(f"{fake.url}/predict?key=canary"),
        machine=machine,
        core=None,
    )
    assert run.url == f"{fake.url}/predict"


def test_timeouts_are_told_beside_the_run(start_fake: "StartFake", make_spec: MakeSpec, machine: Machine) -> None:
    run = run_load(
        make_spec(rate_rps=100.0, duration_s=0.5, timeout_s=0.5),
        url=start_fake(odd="silent", odd_share=0.1).url,
        requests=plain_requests("/"),
        machine=machine,
        core=None,
    )
    (caveat,) = run.caveats
    assert (caveat.code, caveat.number) == ("load.timed_out", (run.requests.outcome == Outcome.TIMED_OUT).sum())


@pytest.mark.parametrize(
    ("url", "core", "error"),
    [
        ("http://192.0.2.1:80", None, InputError),
        ("https://127.0.0.1", None, InputError),
        ("http://127.0.0.1:{free_port}", None, EnvironmentFault),
        ("http://no-such-host.invalid:80", None, EnvironmentFault),
        ("{fake}", 10_000, InputError),
    ],
    ids=["not loopback", "not http", "nobody listens", "unknown host", "no such core"],
)
def test_what_cannot_be_driven_is_refused_before_a_generator_starts(
    url: str,
    core: int | None,
    error: type[Exception],
    start_fake: "StartFake",
    make_spec: MakeSpec,
    machine: Machine,
    free_port: int,
) -> None:
    address = url.format(free_port=free_port, fake=start_fake().url)
    spec = make_spec(rate_rps=10.0, duration_s=30.0)
    with pytest.raises(error):
        run_load(spec, url=address, requests=plain_requests("/"), machine=machine, core=core)


def test_too_few_files_for_the_backlog_is_said_before_the_start(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (64, 64))
    spec = make_spec(rate_rps=1000.0, duration_s=30.0, timeout_s=0.1)
    with pytest.raises(EnvironmentFault, match="164 connections may be needed") as caught:
        run_load(spec, url=start_fake().url, requests=plain_requests("/"), machine=machine, core=None)
    assert "ulimit -n 164" in caught.value.fix


def test_a_killed_generator_is_an_invalid_measurement(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    me = psutil.Process()

    def kill_generator(done_ratio: float) -> None:
        if done_ratio > 0.0:
            for generator in generators(me):
                generator.kill()

    with pytest.raises(InvalidMeasurement, match="ended by SIGKILL"):
        run_load(
            make_spec(rate_rps=100.0, duration_s=30.0),
            url=start_fake().url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
            on_progress=kill_generator,
        )


def test_ctrl_c_leaves_no_generator_behind(start_fake: "StartFake", make_spec: MakeSpec, machine: Machine) -> None:
    def interrupt(_done_ratio: float) -> None:
        assert generators(psutil.Process())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_load(
            make_spec(rate_rps=100.0, duration_s=30.0),
            url=start_fake().url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
            on_progress=interrupt,
        )
    assert not generators(psutil.Process())


def test_ctrl_c_ends_the_arrivals_at_once_and_keeps_what_was_measured(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    fake = start_fake(service_s=0.01)

    def interrupt(done_ratio: float) -> None:
        if done_ratio > 0.02:
            raise KeyboardInterrupt

    began_s = time.monotonic()
    with pytest.raises(LoadInterrupted) as stopped:
        run_load(
            make_spec(rate_rps=200.0, duration_s=30.0),
            url=fake.url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
            on_progress=interrupt,
        )
    assert time.monotonic() - began_s < 25.0
    run = stopped.value.run
    assert not run.verdict.valid
    assert "it was interrupted before its end" in run.verdict.invalid_reasons
    assert 60 <= run.requests.n_requests <= 6000 * 0.5
    assert run.requests.n_requests <= len(fake.stamps()[0]) <= run.requests.n_requests + 50
    assert (run.requests.outcome == Outcome.OK).all()
    assert not np.isnan(run.requests.done_s).any()
    assert not generators(psutil.Process())


def test_the_generator_ends_with_its_parent(start_fake: "StartFake") -> None:
    script = f"""
        from loadplan.load.driver import run_load
        from loadplan.load.records import LoadSpec
        from loadplan.load.messages.requests import plain_requests
        from loadplan.machine import read_machine
        from loadplan.scenario.arrivals import PoissonArrivals

        spec = LoadSpec(
            name="a", purpose="ad_hoc", arrivals=PoissonArrivals(), offered_rate_rps=10.0, duration_s=60.0, seed=1,
            timeout_s=1.0, setting=None,
        )
        run_load(
            spec, url="{start_fake().url}", requests=plain_requests("/"), machine=read_machine(), core=None,
            on_progress=lambda done: print(done, flush=True),
        )
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        children = generators(psutil.Process(parent.pid))
        assert children
        parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=10.0)
    assert gone
    assert not alive


def test_a_paused_generator_makes_the_run_invalid(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine
) -> None:
    paused: list[psutil.Process] = []

    def pause(done_ratio: float) -> None:
        if done_ratio > 0.05 and not paused:
            paused.extend(generators(psutil.Process()))
            for generator in paused:
                generator.suspend()
                threading.Timer(1.5, generator.resume).start()

    spec = make_spec(rate_rps=100.0, duration_s=2.0, timeout_s=5.0)
    run = run_load(
        spec, url=start_fake().url, requests=plain_requests("/"), machine=machine, core=None, on_progress=pause
    )
    assert any("was paused for 1." in reason for reason in run.verdict.invalid_reasons)
    assert run.requests.response_time_s.max() > 1.0
