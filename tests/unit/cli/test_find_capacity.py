"""What `loadplan load --find-capacity` shows of its probes: all of them, whatever happens. Runs in virtual time."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from loadplan.cli.capacity import show_capacity
from loadplan.errors import InputError
from loadplan.load.records import LoadRun, LoadSpec, LostTime, Outcome, RequestLog
from loadplan.load.verdict import judge
from loadplan.machine import read_machine
from loadplan.pipeline.adhoc import LoadRequest
from loadplan.scenario.arrivals import Callers, PoissonArrivals

Drive = Callable[[LoadRequest], LoadRun]
REQUEST = LoadRequest(rate_rps=100.0, duration_s=10.0, arrivals=PoissonArrivals(), seed=1, max_rate_rps=10_000.0)


def driven(request: LoadRequest, *, delay_s: float = 0.0) -> LoadRun:
    """A server that answers 20 % of the requests late beyond 1,000 requests/s, and none below."""
    assert request.rate_rps is not None
    rng = np.random.default_rng(request.seed)
    n = int(request.rate_rps * request.duration_s)
    due_s = np.arange(n) / request.rate_rps
    late = rng.random(n) < (0.2 if request.rate_rps > 1000.0 else 0.0)
    done_s = due_s + np.where(late, 0.08, 0.002)
    log = RequestLog(
        due_s=due_s,
        sent_s=due_s + delay_s,
        first_byte_s=done_s,
        done_s=done_s,
        outcome=np.full(n, Outcome.OK, dtype=np.uint8),
        status=np.full(n, 200, dtype=np.int16),
        payload=np.zeros(n, dtype=np.int32),
    )
    spec = LoadSpec(
        name="probe",
        purpose="ad_hoc",
        arrivals=PoissonArrivals(),
        offered_rate_rps=request.rate_rps,
        duration_s=request.duration_s,
        seed=request.seed,
        timeout_s=1.0,
        setting=None,
    )
    lost = LostTime(start_s=np.empty(0), length_s=np.empty(0))
    return LoadRun(
        spec=spec,
        url="http://127.0.0.1:1/",
        machine=read_machine(),
        requests=log,
        lost=lost,
        verdict=judge(spec, log, lost),
        caveats=(),
        payload_rows=None,
        server=None,
    )


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _s: None)


def show(drive: Drive, *, as_json: bool = True, request: LoadRequest = REQUEST, p99_ms: float | None = 50.0) -> int:
    return show_capacity(drive, request, p99_ms=p99_ms, budget_s=300.0, as_json=as_json, debug=False)


def test_the_object_holds_the_proved_rate_its_bounds_and_every_probe(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[LoadRequest] = []

    def drive(request: LoadRequest) -> LoadRun:
        asked.append(request)
        return driven(request)

    assert show(drive) == 0
    said = json.loads(capsys.readouterr().out)
    assert 800.0 <= said["usable_capacity_rps"] <= 1000.0 < said["usable_capacity_rps_high"]
    assert said["usable_capacity_rps_low"] == said["usable_capacity_rps"]
    assert [probe["offered_rate_rps"] for probe in said["probes"]] == [request.rate_rps for request in asked]
    assert len({request.seed for request in asked}) == len(asked)
    assert {probe["outcome"] for probe in said["probes"]} >= {"passed", "missed"}


def test_probes_that_are_all_invalid_show_no_capacity_and_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(lambda request: driven(request, delay_s=0.01)) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["usable_capacity_rps"], said["usable_capacity_rps_reason"]) == (None, "no probe was valid")
    assert all("could not keep up" in probe["invalid_reasons"][0] for probe in said["probes"])
    assert said["probes"][0]["miss_ratio"] is None


def test_an_interrupted_search_shows_what_its_probes_proved(capsys: pytest.CaptureFixture[str]) -> None:
    def drive(request: LoadRequest) -> LoadRun:
        if request.rate_rps is None or request.rate_rps > 1000.0:
            raise KeyboardInterrupt
        return driven(request)

    with pytest.raises(KeyboardInterrupt):
        show(drive, as_json=False)
    assert "passed" in capsys.readouterr().out


def test_a_capacity_that_nothing_meets_is_an_objective_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(driven, p99_ms=1.0) == 1
    assert "no probe passed" in capsys.readouterr().err


@pytest.mark.parametrize("p99_ms", [None, 0.0, float("nan"), float("inf")])
def test_the_limit_must_be_a_time(p99_ms: float | None) -> None:
    with pytest.raises(InputError, match="slowest hundredth"):
        show(driven, p99_ms=p99_ms)


def test_callers_who_wait_have_no_capacity_to_find() -> None:
    waiting = LoadRequest(
        rate_rps=None,
        duration_s=1.0,
        arrivals=Callers(n_callers=2, think_time_s=0.0),
        seed=1,
        max_rate_rps=10_000.0,
    )
    with pytest.raises(InputError, match="don't wait for answers"):
        show(driven, request=waiting)
