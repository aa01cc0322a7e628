"""What a fit says of measurements and questions that can't be used, or only with care."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.doubts import backlog_caveats, contradiction_caveats
from loadplan.fit.latency import predict
from loadplan.fit.overhead import OverheadLaws
from loadplan.fit.records import CapacityFit, OverheadFit, Residual
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.arrivals import Callers
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import Scenario

MakeBench = Callable[..., BenchRun]
MakeRun = Callable[..., LoadRun]
MakeScenario = Callable[..., Scenario]
MakeSpec = Callable[..., LoadSpec]
Server = Any  # the fixture of `conftest`


@pytest.fixture(scope="module")
def fit(
    make_bench: MakeBench,
    make_run: MakeRun,
    make_spec: MakeSpec,
    make_scenario: MakeScenario,
    make_overhead: Callable[..., OverheadFit],
) -> CapacityFit:
    """Of a server that takes a millisecond for each request and nothing else; batches of 1 alone were timed."""
    laws = OverheadLaws(best=make_overhead(), plausible=(make_overhead(),))
    sent_s = 0.01 * np.arange(100.0)
    run = make_run(make_spec(purpose="saturation"), sent_s, sent_s + 1e-3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("loadplan.fit.capacity.fit_overhead", lambda *_args, **_options: laws)
        return fit_capacity(make_bench({1: 1e-3}), [run], make_scenario(max_batch_sizes=(1, 2)))


def test_of_one_batch_size_it_is_said_what_is_assumed(fit: CapacityFit) -> None:
    (doubt,) = (caveat for caveat in fit.caveats if caveat.code == "fit.one_batch_size")
    assert doubt.what == (
        "only batches of 1 rows were timed: smaller ones are taken to be as slow, larger ones slower in proportion"
    )


def test_a_saturation_that_left_no_backlog_is_said_not_to_have_saturated(fit: CapacityFit) -> None:
    (doubt,) = (caveat for caveat in fit.caveats if caveat.code == "fit.no_backlog")
    assert doubt.what == (
        "requests never queued up for long in the live runs, so what the server carries is known from its latencies "
        "alone"
    )


def test_a_saturation_that_did_is_not_doubted(make_run: MakeRun, make_spec: MakeSpec) -> None:
    done_s = 1e-3 * np.arange(1.0, 4001.0)
    spec = replace(make_spec(purpose="saturation"), arrivals=Callers(n_callers=64, think_time_s=0.0))
    assert backlog_caveats([make_run(spec, np.append(np.zeros(64), done_s)[:4000], done_s)]) == ()


@pytest.mark.parametrize("rate_rps", [1000.0, 5000.0])
def test_a_rate_above_the_capacity_is_unstable_and_has_no_latency(fit: CapacityFit, rate_rps: float) -> None:
    with pytest.raises(InputError) as caught:
        predict(fit, fit.capacities[0].setting, rate_rps=rate_rps)
    assert caught.value.what.startswith(
        f"unstable: {rate_rps:,.4g} requests/s are offered and a server carries 1,000 at"
    )
    assert predict(fit, fit.capacities[0].setting, rate_rps=900.0).p99_s > 1e-3


def test_no_traffic_has_no_latency(fit: CapacityFit) -> None:
    with pytest.raises(InputError, match="no traffic: at 0 requests/s"):
        predict(fit, fit.capacities[0].setting, rate_rps=0.0)


def test_a_scenario_without_traffic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("schema: 1\ntraffic: {peak_rps: 0}\nobjectives: [{p99_ms: 50}]\n")
    with pytest.raises(InputError, match=r"traffic\.peak_rps"):
        read_scenario(path)


def test_a_run_of_no_requests_says_nothing(
    make_bench: MakeBench, make_run: MakeRun, make_spec: MakeSpec, make_scenario: MakeScenario
) -> None:
    run = make_run(make_spec(), np.empty(0), np.empty(0))
    with pytest.raises(InvalidMeasurement) as caught:
        fit_capacity(make_bench({1: 1e-3}), [run], make_scenario())
    assert caught.value.what.startswith("none of the 1 live runs says enough: ")


def test_an_invalid_run_is_refused_with_its_reason(
    make_bench: MakeBench, make_run: MakeRun, make_spec: MakeSpec, make_scenario: MakeScenario
) -> None:
    sent_s = 0.01 * np.arange(100.0)
    run = make_run(make_spec(), sent_s, sent_s + 1e-3, invalid_reasons=("the generator was late",))
    with pytest.raises(InvalidMeasurement, match="says enough: the generator was late"):
        fit_capacity(make_bench({1: 1e-3}), [run], make_scenario())


def residual(run: str, quantile: float | None, measured: float, predicted: float) -> Residual:
    return Residual(run=run, offered_rate_rps=100.0, quantile=quantile, measured=measured, predicted=predicted)


def test_runs_that_no_law_explains_are_said_to_contradict_each_other() -> None:
    (doubt,) = contradiction_caveats(
        [
            residual("idle-1", 0.5, 1e-3, 1.4e-3),
            residual("idle-1", 0.99, 1e-3, 9e-3),  # a tail may be off
            residual("steady-50-1", 0.5, 3e-3, 1e-3),
            residual("saturated-1", None, 1000.0, 1600.0),
        ]
    )
    assert doubt.code == "fit.contradictory"
    assert doubt.what == (
        "the live runs contradict each other: the costs that explain all of them best miss the p50 of steady-50-1 by a "
        "factor of 3 (far off: steady-50-1, saturated-1)"
    )


def test_runs_that_one_law_explains_are_not() -> None:
    assert contradiction_caveats([residual("a", 0.5, 1.0, 1.4), residual("b", None, 1.4, 1.0)]) == ()


@pytest.mark.nightly
def test_two_runs_of_the_same_load_that_differ_by_a_factor_contradict_each_other(server: Server) -> None:
    """As if a neighbour had slowed the whole machine down in one of them, unseen."""
    steady = next(run for run in server.runs if run.spec.name.startswith("steady-50"))
    log = steady.requests
    slow_s = log.sent_s + 6.0 * (log.done_s - log.sent_s)
    slower = replace(
        steady,
        spec=replace(steady.spec, name="steady-again"),
        requests=replace(log, done_s=slow_s, first_byte_s=slow_s),
    )
    fitted = fit_capacity(server.bench, [*server.runs, slower], server.scenario)
    assert "fit.contradictory" in [caveat.code for caveat in fitted.caveats]
