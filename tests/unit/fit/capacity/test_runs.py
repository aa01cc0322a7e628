"""Which live runs the capacity rests on, and what is doubtful about it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.overhead import OverheadLaws
from loadplan.fit.records import OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import (
    COSTS,
)

MakeOverhead = Callable[..., OverheadFit]
MakeRun = Callable[..., LoadRun]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]


def test_invalid_runs_are_left_out_and_that_is_said(
    bench: BenchRun, run: LoadRun, make_run: MakeRun, make_scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[LoadRun] = []

    def look(_laws: object, runs: list[LoadRun], **_options: object) -> OverheadLaws:
        seen.extend(runs)
        raise InvalidMeasurement(what="seen", where="here", fix="none")

    invalid = make_run(run.spec, run.requests.sent_s, run.requests.done_s, invalid_reasons=("the cat sat on it",))
    monkeypatch.setattr("loadplan.fit.capacity.fit_overhead", look)
    with pytest.raises(InvalidMeasurement, match="seen"):
        fit_capacity(bench, [invalid, run], make_scenario())
    assert seen == [run]


def test_what_is_doubtful_about_bench_and_runs_is_doubtful_about_the_fit(
    bench: BenchRun,
    run: LoadRun,
    make_run: MakeRun,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
) -> None:
    know(make_overhead(**COSTS))
    noisy = Caveat(code="bench.noisy", what="it was noisy", fix="rest")
    late = Caveat(code="load.late", what="it was late", fix="hurry")
    doubtful = replace(run, caveats=(late,))
    invalid = make_run(run.spec, run.requests.sent_s, run.requests.done_s, invalid_reasons=("the cat sat on it",))
    scenario = make_scenario(max_batch_sizes=(16,))
    fit = fit_capacity(replace(bench, caveats=(noisy,)), [doubtful, doubtful, invalid], scenario)
    assert sorted(caveat.code for caveat in fit.caveats) == [
        "bench.noisy",
        "fit.batch_size_extrapolated",
        "fit.no_backlog",
        "fit.runs_left_out",
        "load.late",
    ]
    (left_out,) = (caveat for caveat in fit.caveats if caveat.code == "fit.runs_left_out")
    assert left_out.what == "1 of 3 live runs were left out of the fit: the cat sat on it"
    assert left_out.number == 1.0


def test_without_a_valid_run_there_is_no_capacity(
    bench: BenchRun, run: LoadRun, make_run: MakeRun, make_scenario: MakeScenario
) -> None:
    invalid = make_run(run.spec, run.requests.sent_s, run.requests.done_s, invalid_reasons=("the cat sat on it",))
    with pytest.raises(InvalidMeasurement, match="none of the 2 live runs says enough: the cat sat on it"):
        fit_capacity(bench, [invalid, invalid], make_scenario())


def test_a_run_with_too_few_undisturbed_answers_is_left_out(
    bench: BenchRun, run: LoadRun, make_run: MakeRun, make_scenario: MakeScenario
) -> None:
    done_s = run.requests.done_s.copy()
    done_s[29:] = np.nan
    thin = make_run(run.spec, run.requests.sent_s, done_s)
    small = make_scenario(max_batch_sizes=(1,))
    with pytest.raises(InvalidMeasurement, match="says enough: 29 right answers in undisturbed time, 30 must be"):
        fit_capacity(bench, [thin], make_scenario())
    (left_out,) = (c for c in fit_capacity(bench, [run, thin], small).caveats if "left_out" in c.code)
    assert left_out.what.startswith("1 of 2 live runs were left out of the fit: 29 right answers")


def test_without_any_run_there_is_no_capacity(bench: BenchRun, make_scenario: MakeScenario) -> None:
    with pytest.raises(InvalidMeasurement, match="none of the 0 live runs says enough"):
        fit_capacity(bench, [], make_scenario())
