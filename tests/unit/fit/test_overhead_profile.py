"""What one model's fit tells another one behind the same server."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.overhead import OverheadLaws, fit_overhead
from loadplan.fit.overhead_profile import OverheadProfile, borrowed_capacity, log2_bytes, profile_key
from loadplan.fit.records import OverheadFit
from loadplan.fit.service_time import fit_service_times
from loadplan.scenario.spec import Scenario

MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Server = Any  # the fixture of `conftest`

COSTS = {"request_s": 60e-6, "response_s": 25e-6, "batch_s": 40e-6, "wake_s": 25e-6, "transfer_s": 20e-6}


@pytest.fixture
def other_model(make_bench: MakeBench) -> BenchRun:
    """Three times as slow as that which the profile is of."""
    return make_bench({1: 0.9e-3, 8: 2.7e-3, 32: 8.1e-3}, spread_ratio=0.1)


@pytest.fixture
def profile(make_overhead: MakeOverhead, other_model: BenchRun) -> OverheadProfile:
    law = make_overhead(**COSTS, spread_ratio=0.3)
    return OverheadProfile(
        server={"loadplan": "1"},
        machine=other_model.machine.fingerprint,
        payload_log2_bytes=8,
        overhead=law,
        plausible=(law,) * 16,
        run="digits-1",
        measured_on=date(2026, 11, 1),
    )


def test_another_model_behind_the_server_is_predicted_within_an_interval_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
    other_model: BenchRun,
    profile: OverheadProfile,
    server: Server,
    make_scenario: MakeScenario,
    make_overhead: MakeOverhead,
) -> None:
    """The truth is that behind this model the server costs a tenth more."""
    scenario = make_scenario(max_batch_sizes=(1, 8))
    truth = make_overhead(**{name: 1.1 * cost for name, cost in COSTS.items()}, spread_ratio=0.3)
    laws = OverheadLaws(best=truth, plausible=())
    with monkeypatch.context() as patched:
        patched.setattr("loadplan.fit.capacity.fit_overhead", lambda *_args, **_options: laws)
        known = fit_capacity(other_model, server.runs, scenario)
    found = borrowed_capacity(other_model, profile, scenario)
    assert [caveat.code for caveat in found.caveats] == ["fit.borrowed_overhead"]
    assert "digits-1 of 2026-11-01" in found.caveats[0].what
    for one, true in zip(found.capacities, known.capacities, strict=True):
        assert one.usable_capacity_rps_low < true.usable_capacity_rps < one.usable_capacity_rps_high
        assert one.usable_capacity_rps_low < 0.99 * one.usable_capacity_rps


def test_costs_of_another_machine_are_refused(
    other_model: BenchRun, profile: OverheadProfile, make_scenario: MakeScenario
) -> None:
    with pytest.raises(InputError, match="measured on another machine"):
        borrowed_capacity(other_model, replace(profile, machine="0" * 12), make_scenario())


def test_a_profile_is_of_a_server_a_machine_and_a_size_of_requests(other_model: BenchRun) -> None:
    machine, server = other_model.machine, {"loadplan": "1", "uvicorn": "2"}
    key = profile_key(server, machine, 256.0)
    assert profile_key({"uvicorn": "2", "loadplan": "1"}, machine, 256.0) == key
    assert profile_key(server, machine, 300.0) == key  # the nearest power of two
    assert profile_key(server, machine, 512.0) != key
    assert profile_key({**server, "uvicorn": "3"}, machine, 256.0) != key
    assert profile_key(server, replace(machine, n_cores=64), 256.0) != key
    assert (log2_bytes(0.0), log2_bytes(1000.0)) == (0, 10)


@pytest.mark.nightly
def test_a_search_begun_elsewhere_ends_where_the_runs_say(server: Server) -> None:
    laws = fit_service_times(server.bench)
    alone = fit_overhead(laws, server.runs).best
    far = replace(alone, request_s=2.0 * alone.request_s, batch_s=0.5 * alone.batch_s, stall_s=1e-3, residuals=())
    begun = fit_overhead(laws, server.runs, first=far).best
    total, other = (law.request_s + law.response_s for law in (alone, begun))
    assert other == pytest.approx(total, rel=0.03)
    assert begun.batch_s == pytest.approx(alone.batch_s, rel=0.1)
