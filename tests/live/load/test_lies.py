"""How a load test lies, live: the rows of FAULTS, section 3, that need a wire. Their statistics: tests/theory."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

import loadplan
from loadplan.errors import InvalidMeasurement
from loadplan.load.driver import run_load
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import plain_requests, v2_requests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.load.search import SearchLimits
from loadplan.load.verdict import clean_windows
from loadplan.machine import Machine
from loadplan.pipeline.adhoc import LoadRequest
from loadplan.pipeline.observer import Nobody
from loadplan.pipeline.service import drive_service
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import Service

if TYPE_CHECKING:
    from tests.live.load.conftest import StartFake

Drive = Callable[..., LoopResult]

_N_TRIES = 4
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(loadplan.__file__).parents[1])}


def test_lie_5_failures_counted_as_fast(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(service_s=0.04, odd="503", odd_share=0.5), plain_requests("/"), np.arange(100) / 200.0)
    assert (result.requests.outcome == Outcome.OK).sum() == 50
    assert np.median(result.requests.response_time_s) >= 0.04


def test_lie_8_requests_in_flight_at_the_end_are_dropped(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(service_s=1.5), plain_requests("/"), np.arange(40) / 100.0)
    assert result.requests.n_requests == 40
    assert (result.requests.outcome == Outcome.OK).all()
    assert result.requests.response_time_s.min() >= 1.5


def test_lie_22_a_keep_alive_race_is_blamed_on_the_target(start_fake: "StartFake", drive: Drive) -> None:
    """Two connections take turns, so the third request meets one that was idle for 2.2 s, and is reset on it."""
    fake = start_fake(odd="reset", odd_share=1.0 / 3.0)
    result = drive(fake, plain_requests("/"), np.arange(3) * 1.1)
    assert [Outcome(int(outcome)) for outcome in result.requests.outcome] == [
        Outcome.OK,
        Outcome.OK,
        Outcome.STALE_CONNECTION,
    ]
    assert len(fake.stamps()[0]) == 3  # and it is not sent again in silence


@pytest.mark.parametrize("n_rows", [3, 4])
def test_lie_26_answers_that_are_wrong_from_the_third_row_on_only(
    n_rows: int, start_fake: "StartFake", drive: Drive
) -> None:
    x = np.linspace(1.0, 24.0, 24, dtype=np.float32)[:, None]
    payloads = PayloadSet(inputs={"x": x}, expected={"y": 2.0 * x[:, 0]}, segments=("",) * 24, labels=None)
    requests = v2_requests(payloads, model="m", rows_per_request=always(n_rows))
    right = drive(start_fake(), requests, np.arange(20) / 200.0)
    assert (right.requests.outcome == Outcome.OK).all()
    wrong = drive(start_fake(wrong_from_row=2), requests, np.arange(20) / 200.0)
    assert (wrong.requests.outcome == Outcome.WRONG_ANSWER).all()


def test_lie_19_a_saturated_loop_says_that_it_found_requests_late(start_fake: "StartFake", drive: Drive) -> None:
    flooded = drive(start_fake(is_fast=True), plain_requests("/"), np.arange(20_000) / 200_000.0, timeout_s=0.3)
    idle = drive(start_fake(is_fast=True), plain_requests("/"), np.arange(20) / 40.0)
    assert flooded.saturation_ratio > 0.8
    assert idle.saturation_ratio < 0.2


def test_lie_9_a_slow_start_is_counted_told_and_left_out_when_asked(
    start_fake: "StartFake", make_spec: Callable[..., LoadSpec], machine: Machine
) -> None:
    """The first 100 answers take 50 ms, the others 10 ms."""
    spec, counts = make_spec(rate_rps=200.0, duration_s=2.0, timeout_s=5.0), []
    for warm_up_s in (0.0, 1.5):
        fake = start_fake(service_s=0.01, n_slow=100)
        asked = replace(spec, warm_up_s=warm_up_s)
        run = run_load(asked, url=fake.url, requests=plain_requests("/"), machine=machine, core=None)
        counts.append((len(fake.stamps()[0]) - run.requests.n_requests, run))
    (n_before, whole), (n_uncounted, warm) = counts
    told = {caveat.code: caveat.number for caveat in whole.caveats}
    assert n_before == 0
    assert told["load.slow_start"] == pytest.approx(100, abs=10)
    assert "load.slow_start" not in [caveat.code for caveat in warm.caveats]
    assert n_uncounted > 200
    assert warm.requests.due_s.min() >= 0.0
    assert warm.requests.due_s.max() <= 2.0
    assert (warm.requests.response_time_s > 0.01).all()


def test_lie_18_a_generator_stopped_for_300_ms(
    start_fake: "StartFake", make_spec: Callable[..., LoadSpec], machine: Machine
) -> None:
    stopped: list[psutil.Process] = []

    def stop(done_ratio: float) -> None:
        if done_ratio > 0.1 and not stopped:
            stopped.extend(one for one in psutil.Process().children(recursive=True) if "locust" in one.cmdline())
            for generator in stopped:
                generator.suspend()
                threading.Timer(0.3, generator.resume).start()

    spec = make_spec(rate_rps=100.0, duration_s=2.0, timeout_s=5.0)
    run = run_load(
        spec, url=start_fake().url, requests=plain_requests("/"), machine=machine, core=None, on_progress=stop
    )
    assert stopped
    # Neighbours may have stopped it for longer still, before its time or in it.
    (doubt,) = (caveat for caveat in run.caveats if caveat.code == "load.paused")
    longest = int(np.flatnonzero(run.lost.length_s == doubt.number)[0])
    assert run.lost.length_s[longest] >= 0.25
    at = min(int((run.lost.start_s[longest] + 0.1) / 0.1), 19)
    assert not clean_windows(run.lost, duration_s=2.0)[at]


@pytest.mark.parametrize(("slept_s", "is_told"), [(0.005, False), (5.0, True)])
def test_lie_18_a_machine_that_slept_in_the_run(
    slept_s: float, is_told: bool, start_fake: "StartFake", drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLOCK_BOOTTIME, which goes on while a machine sleeps, runs ahead of CLOCK_MONOTONIC from the second look on."""
    looks = [100.0]
    monkeypatch.setattr("loadplan.load.generator.open_loop.asleep_s", lambda: looks.pop() if looks else 100.0 + slept_s)
    fault = drive(start_fake(), plain_requests("/"), np.arange(10) / 50.0).own_fault
    assert (fault is not None and "suspended for 5.0 s" in fault) is is_told


def test_a_service_on_the_only_core_shares_it_with_the_generator(
    start_fake: "StartFake", make_spec: Callable[..., LoadSpec], machine: Machine
) -> None:
    fake, allowed = start_fake(), os.sched_getaffinity(0)
    service = Service(
        url=fake.url,
        protocol="json",
        folder=".",
        request=None,
        method=None,
        answers={},
        model="",
        headers=(),
        allow_remote=(),
    )
    os.sched_setaffinity(0, {min(allowed)})
    try:
        run = drive_service(
            service,
            make_spec(rate_rps=20.0, duration_s=0.5),
            requests=plain_requests("/"),
            machine=machine,
            observer=Nobody(),
        )
    finally:
        os.sched_setaffinity(0, allowed)
    (doubt,) = (caveat for caveat in run.caveats if caveat.code == "load.shared_cores")
    assert doubt.number == 1.0


def test_lie_17_no_duration_is_read_off_a_clock_that_steps() -> None:
    package = Path(loadplan.__file__).parent / "load"
    steps = re.compile(r"\btime\.time\(|\btime\.time_ns\(")
    assert [path.name for path in package.rglob("*.py") if steps.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_lie_27_a_live_search_of_a_known_queue_claims_no_more_than_it_carries(
    start_fake: "StartFake", machine: Machine, make_spec: Callable[..., LoadSpec]
) -> None:
    """M/M/1 of 4 ms, p99 within 60 ms: 250 - ln(100) / 0.06 = 173 requests/s, a little less for the wire."""
    from loadplan.pipeline.capacity_search import search_capacity
    from loadplan.scenario.arrivals import PoissonArrivals
    from loadplan.slo import LatencyLimit, Slo

    fake = start_fake(service_s=0.004, is_single=True, is_exponential=True)

    def probe(request: LoadRequest) -> LoadRun:
        assert request.rate_rps is not None
        spec = make_spec(rate_rps=request.rate_rps, duration_s=request.duration_s, seed=request.seed)
        return run_load(spec, url=fake.url, requests=plain_requests("/"), machine=machine, core=None)

    found = search_capacity(
        probe,
        LoadRequest(rate_rps=40.0, duration_s=1.0, arrivals=PoissonArrivals(), seed=1, max_rate_rps=1000.0),
        SearchLimits(first_rate_rps=40.0, max_rate_rps=1000.0, budget_s=200.0),
        Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.06),), max_failed_ratio=0.01),
        on_probe=lambda _probe: None,
    )
    if all(probe.outcome == "invalid" for probe in found.probes):
        pytest.skip("the machine's neighbours left no probe valid")
    assert (found.usable_rps or 0.0) <= 1.03 * 173.2


@pytest.mark.nightly
def test_lie_30_a_mix_hides_a_slow_segment(start_fake: "StartFake", tmp_path: Path) -> None:
    """One request in fifty is ten times as slow: nine tenths of all are quick, none of that class is."""
    fake = start_fake(service_s=0.004, slow_mark="kiosk", slow_ratio=10.0)
    (tmp_path / "web.json").write_text('{"from": "web"}')
    (tmp_path / "kiosk.json").write_text('{"from": "kiosk"}')
    (tmp_path / "shop.yaml").write_text(
        "traffic: {peak_rps: 250, classes: [{name: web, share: 0.98, payload: web.json},"
        " {name: kiosk, share: 0.02, payload: kiosk.json}]}\n"
        "objectives: [{p90_ms: 30, max_failed_ratio: 0.01}, {class: kiosk, p90_ms: 30, max_failed_ratio: 0.01}]\n"
        f"target: {{url: '{fake.url}/predict'}}\n"
    )
    command = [sys.executable, "-m", "loadplan", "load", "shop.yaml", "--duration", "3s", "--json"]
    for _ in range(_N_TRIES):
        done = subprocess.run(command, cwd=tmp_path, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
        if done.returncode != InvalidMeasurement.exit_code:
            break
    else:
        pytest.skip(f"neighbours spoiled the run {_N_TRIES} times: {done.stderr}")
    said = json.loads(done.stdout)
    web, kiosk = said["classes"]
    assert web["n_requests"] + kiosk["n_requests"] == said["n_requests"]
    assert [(one["class"], one["outcome"]) for one in said["objectives"]] == [(None, "met"), ("kiosk", "missed")]
    assert kiosk["response_time_s"]["p50"] > 0.04 > 5 * web["response_time_s"]["p50"]
    assert kiosk["response_time_s"]["p99_reason"] == "needs 459 samples"
    assert done.returncode == 1
    assert "kiosk: 0.00%" in done.stderr
