"""What the road's own functions say of a design's questions; there is no second model here.

The law of a subject comes from `fit_capacity` over the calibration runs of all finished rounds. What a user gets, whose
one walk of the road has the runs of a single round, is shown beside it: a fit of each complete round by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadplan.errors import LoadplanError
from loadplan.fit.capacity import fit_capacity, with_capacities
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit, PredictedLatency, SettingCapacity
from loadplan.fit.run_prediction import predict_runs
from loadplan.fit.useful_runs import right_and_clean
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario, ServingChoices
from loadplan.slo import Slo
from loadplan.stats import Interval
from loadplan.store.codec import read_record, write_record
from tests.accuracy.design import Configuration, Law, Question
from tests.accuracy.runs import Prepared, Runs, setting_of

_SCHEMA = "loadplan.fit/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """The laws of one subject."""

    scenario: Scenario
    pooled: CapacityFit
    n_runs: int
    of_rounds: tuple[CapacityFit, ...]  # each of the runs of one round alone; those that could be fitted


def fits_of(runs: Runs, subject: str) -> Fits:
    """Fitted, or read where the same runs were fitted before.

    Raises:
        LoadplanError: when the finished calibration runs say too little.
    """
    prepared = runs.prepared(subject)
    rounds = [runs.calibration(subject, i) for i in range(runs.design.n_rounds)]
    everything = [run for of_round, _ in rounds for run in of_round]
    folder = runs.folder / "fits"
    of_rounds = []
    for i, (of_round, missing) in enumerate(rounds):
        if missing is None:
            try:
                of_rounds.append(_fit(folder / f"{subject}-round-{i}.json", prepared, of_round))
            except LoadplanError:  # a walk that neighbours spoiled would have said so, and nothing else
                continue
    return Fits(
        scenario=prepared.scenario,
        pooled=_fit(folder / f"{subject}-{len(everything)}-runs.json", prepared, everything),
        n_runs=len(everything),
        of_rounds=tuple(of_rounds),
    )


def predicted_latency(fit: CapacityFit, repeats: Sequence[LoadRun]) -> PredictedLatency:
    """Of a held-out configuration: the median over its repeats, as the truth is that of what they showed.

    Each is predicted by the requests that fell due in it, and of those that count in the truth. Raises LoadplanError
    where the fit can't say.
    """
    told = predict_runs(fit, repeats, counted=right_and_clean)
    return PredictedLatency(
        offered_rate_rps=_middle([one.offered_rate_rps for one in told]),
        utilisation_ratio=_middle([one.utilisation_ratio for one in told]),
        p50_s=_middle([one.p50_s for one in told]),
        p95_s=_middle([one.p95_s for one in told]),
        p99_s=_middle([one.p99_s for one in told]),
        p50_interval=_middle_interval([one.p50_interval for one in told]),
        p95_interval=_middle_interval([one.p95_interval for one in told]),
        p99_interval=_middle_interval([one.p99_interval for one in told]),
    )


def latency_by_law(fit: CapacityFit, scenario: Scenario, one: Configuration, *, rate_rps: float) -> PredictedLatency:
    """Of the same at the rate that was realised, by the law of its arrivals alone. Raises as `predicted_latency`."""
    setting = setting_of(scenario, one.max_batch_size, one.batch_window_s)
    return predict(replace(fit, arrivals=one.arrivals), setting, rate_rps=rate_rps)


def predicted_capacity(fit: CapacityFit, scenario: Scenario, question: Question) -> SettingCapacity:
    """Of one setting at one objective. Raises LoadplanError where the fit can't say."""
    return _capacity(
        fit,
        scenario,
        max_batch_size=question.max_batch_size,
        window_s=question.batch_window_s,
        arrivals=question.arrivals,
        objective=question.objective,
    )


def predicted_saturation(fit: CapacityFit, scenario: Scenario, max_batch_size: int) -> SettingCapacity:
    """Of one batch size without a window. Raises LoadplanError where the fit can't say."""
    return _capacity(
        fit,
        scenario,
        max_batch_size=max_batch_size,
        window_s=0.0,
        arrivals=_law(scenario),
        objective=scenario.objectives[0],
    )


def _law(scenario: Scenario) -> Law:
    arrivals = scenario.traffic.arrivals
    assert arrivals.process == "poisson"  # as the scenario files of the subjects say
    return arrivals


def _capacity(
    fit: CapacityFit, scenario: Scenario, *, max_batch_size: int, window_s: float, arrivals: Law, objective: Slo
) -> SettingCapacity:
    asked = replace(
        scenario,
        traffic=replace(scenario.traffic, arrivals=arrivals),
        objectives=(objective,),
        serving=ServingChoices(n_threads=(1,), max_batch_sizes=(max_batch_size,), batch_windows_s=(window_s,)),
    )
    (capacity,) = with_capacities(fit, asked).capacities
    return capacity


def _middle(values: Sequence[float]) -> float:
    return float(np.median(values))


def _middle_interval(intervals: Sequence[Interval]) -> Interval:
    return Interval(
        low=_middle([one.low for one in intervals]),
        high=_middle([one.high for one in intervals]),
        confidence_ratio=intervals[0].confidence_ratio,
    )


def _fit(path: Path, prepared: Prepared, calibration: Sequence[LoadRun]) -> CapacityFit:
    if path.is_file():
        return read_record(path, CapacityFit, schema=_SCHEMA)
    fitted = fit_capacity(prepared.benched, calibration, prepared.scenario)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, fitted, schema=_SCHEMA)
    return fitted
