"""The whole measuring, in virtual time: what is driven when, what a stop leaves, and what is found of a known law."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from loadplan.fit.records import CapacityFit, PredictedLatency
from loadplan.fit.useful_runs import right_and_clean
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.pipeline.artifacts import read_load
from loadplan.scenario.arrivals import GammaArrivals
from loadplan.slo import LatencyLimit, Slo
from tests.accuracy.__main__ import measure
from tests.accuracy.compare import capacity_error, case_error
from tests.accuracy.design import Configuration, Design, Question, Subject, saturations_of
from tests.accuracy.findings import outcome_of
from tests.accuracy.predictions import predicted_latency
from tests.accuracy.runs import Prepared, Runs, TimeIsUp
from tests.unit.accuracy.test_compare import predicted
from tests.unit.accuracy.virtual import virtually
from tests.unit.fit.conftest import KnownServer

MakeRun = Callable[..., LoadRun]
MakeSpec = Callable[..., LoadSpec]

SUBJECT = Subject(name="known", max_batch_sizes=(1, 8, 32), unseen_batch_size=16, limits_s=(10e-3,))
OBJECTIVE = Slo(limits=(LatencyLimit(quantile=0.99, limit_s=10e-3),), max_failed_ratio=0.001)


def small_design(**changes: object) -> Design:
    design = Design(
        subjects=(SUBJECT,),
        configurations=(
            Configuration(subject="known", max_batch_size=8, load_ratio=0.5),
            Configuration(subject="known", max_batch_size=8, load_ratio=0.3, arrivals=GammaArrivals(cv=2.0)),
            Configuration(subject="known", max_batch_size=32, load_ratio=0.5, batch_window_s=2e-3),
        ),
        saturations=saturations_of(SUBJECT),
        capacities=(Question(subject="known", max_batch_size=8, objective=OBJECTIVE),),
        decisions=(Question(subject="known", max_batch_size=16, objective=OBJECTIVE, number=1),),
        fleets=(Configuration(subject="known", max_batch_size=8, load_ratio=0.6, n_replicas=2),),
        n_rounds=2,
        n_more_rounds=0,
        clean_s=5.0,
    )
    return replace(design, **changes)  # type: ignore[arg-type]  # tests name what they change


@pytest.fixture
def driven(server: KnownServer, make_run: MakeRun) -> tuple[list[str], Callable[..., Prepared]]:
    """Prepares the known server, and the names of its runs in the order in which they are driven."""
    prepare = virtually(server.bench, server.scenario, server.overhead, make_run, spread_ratio=0.1)
    names: list[str] = []

    def listening(folder: Path, subject: Subject, design: Design) -> Prepared:
        prepared = prepare(folder, subject, design)

        def drive(spec: LoadSpec) -> LoadRun:
            names.append(spec.name)
            return prepared.drive(spec)

        return replace(prepared, drive=drive)

    return names, listening


def runs_of(folder: Path, prepare: Callable[..., Prepared], design: Design, **options: float | None) -> Runs:
    return Runs(folder, design, deadline_s=options.get("deadline_s"), tell=lambda _: None, prepare=prepare)


def test_a_finished_run_is_never_driven_again(
    tmp_path: Path, driven: tuple[list[str], Callable[..., Prepared]]
) -> None:
    names, prepare = driven
    design = small_design()
    runs_of(tmp_path, prepare, design).drive_saturations()
    assert sorted(names) == sorted(2 * [one.name for one in design.saturations])
    (tmp_path / "runs" / "saturations" / "known-mb8-saturated" / "1.parquet").unlink()

    runs_of(tmp_path, prepare, design).drive_saturations()

    assert names[8:] == ["known-mb8-saturated"]


def test_a_run_that_would_end_after_the_time_is_not_begun(
    tmp_path: Path, driven: tuple[list[str], Callable[..., Prepared]]
) -> None:
    names, prepare = driven
    runs = runs_of(tmp_path, prepare, small_design(), deadline_s=0.0)
    with pytest.raises(TimeIsUp):
        runs.drive_saturations()
    assert not names


def test_rounds_mix_held_out_runs_at_shares_of_the_best_saturation_with_a_calibration_each(
    tmp_path: Path, driven: tuple[list[str], Callable[..., Prepared]], server: KnownServer
) -> None:
    names, prepare = driven
    runs = runs_of(tmp_path, prepare, small_design())
    runs.drive_saturations()
    runs.drive_rounds()

    for i_round in range(2):
        calibration, missing = runs.calibration("known", i_round)
        assert missing is None
        assert {run.spec.name for run in calibration} == {run.spec.name for run in server.runs}
        assert {run.spec.seed for run in calibration} == {server.scenario.load.seed + i_round}
    held_out = names[8:]
    assert held_out.count("known-mb8-50") == 2
    assert runs.truth(small_design().fleets[0]).n_repeats == 2
    where = [i for i, name in enumerate(held_out) if not name.startswith("known")]
    assert where != list(range(where[0], where[0] + len(where)))  # among the others
    best_rps = max(value for value in runs.saturated(small_design().saturations[1]) if value is not None)
    run = read_load(tmp_path / "runs" / "held-out" / "known-mb8-50" / "0.parquet")
    assert run.requests.n_requests / run.spec.duration_s == pytest.approx(0.5 * best_rps, rel=0.05)
    both = read_load(tmp_path / "runs" / "held-out" / "known-mb8-2x-round-robin-60" / "0.parquet")
    assert both.requests.n_requests / both.spec.duration_s == pytest.approx(2.0 * 0.6 * best_rps, rel=0.05)


@pytest.mark.parametrize(
    ("n_late", "n_failed", "expected"), [(10, 0, "held"), (11, 0, "missed"), (0, 1, "held"), (0, 2, "missed")]
)
def test_a_decision_is_judged_by_all_requests(
    make_run: MakeRun, make_spec: MakeSpec, n_late: int, n_failed: int, expected: str
) -> None:
    """Of a thousand ten may be late, and one may fail."""
    sent_s = np.arange(1000) * 4e-3
    times_s = np.full(1000, 9e-3)
    times_s[:n_late] = 11e-3
    times_s[500 : 500 + n_failed] = np.nan
    run = make_run(make_spec(), sent_s, sent_s + times_s)

    assert outcome_of(run, Question(subject="x", max_batch_size=1, objective=OBJECTIVE)) == expected


def test_a_decision_that_was_not_driven_or_is_void_is_neither_held_nor_missed(
    make_run: MakeRun, make_spec: MakeSpec
) -> None:
    question = Question(subject="x", max_batch_size=1, objective=OBJECTIVE)
    sent_s = np.arange(100) * 4e-2
    void = make_run(make_spec(), sent_s, sent_s + 1e-3, invalid_reasons=("noise",))

    assert outcome_of(None, question) == "not driven"
    assert outcome_of(void, question) == "void"


def test_repeats_are_those_that_say_something_and_their_prediction_is_the_median_of_what_each_should_have_shown(
    tmp_path: Path, driven: tuple[list[str], Callable[..., Prepared]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, prepare = driven
    design = small_design()
    runs = runs_of(tmp_path, prepare, design)
    runs.drive_saturations()
    runs.drive_rounds()
    (tmp_path / "runs" / "held-out" / "known-mb8-50" / "1.parquet").unlink()
    repeats = runs.repeats(design.configurations[0])
    assert [run.spec.seed for run in repeats] == [1000]

    seen: list[object] = []
    told = [
        predicted(p50_s, low=low, high=high) for p50_s, low, high in ((1.0, 0.9, 1.2), (1.2, 1.0, 9.0), (3.0, 2.0, 4.0))
    ]

    def predict(fit: object, asked: object, *, counted: object) -> list[PredictedLatency]:
        seen.extend((fit, asked, counted))
        return told

    monkeypatch.setattr("tests.accuracy.predictions.predict_runs", predict)
    fit = cast("CapacityFit", "a fit")
    found = predicted_latency(fit, repeats)

    assert seen == [fit, repeats, right_and_clean]
    assert (found.p50_s, found.p99_s) == (1.2, 4.8)
    assert (found.p50_interval.low, found.p50_interval.high) == (1.0, 4.0)
    assert (found.p99_interval.low, found.p99_interval.high) == (4.0, 16.0)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_the_law_that_made_all_runs_is_found_within_the_targets(
    tmp_path: Path, driven: tuple[list[str], Callable[..., Prepared]]
) -> None:
    _, prepare = driven

    found = measure(small_design(), tmp_path, deadline_s=None, prepare=prepare)

    assert not found.missing
    assert [case.name for case in found.fleets] == ["known-mb8-2x-round-robin-60"]
    for case in (*found.cases, *found.fleets):
        for quantile, allowed in ((0.5, 0.07), (0.95, 0.10), (0.99, 0.15)):
            error = case_error(case, quantile)
            assert error is not None
            assert abs(error) <= allowed, (case.name, quantile)
        assert len(case.of_rounds) == 2
    for capacity in (*found.saturations, *found.capacities):
        error = capacity_error(capacity)
        assert error is not None
        assert abs(error) <= 0.07, capacity.name
    assert [(one.below, one.above) for one in found.decisions] == [("held", "missed")]
