"""What the road's own functions say of a design's questions; there is no second model here.

Several replicas are met by the fleet's simulator, which no command asks for a live run's own requests: nobody drives a
fleet with loadplan.

The law of a subject comes from `fit_capacity` over the calibration runs of all finished rounds. What a user gets, whose
one walk of the road has the runs of a single round, is shown beside it: a fit of each complete round by itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadplan.errors import LoadplanError
from loadplan.execution import Setting
from loadplan.fit.capacity import fit_capacity, with_capacities
from loadplan.fit.doubts import require_stable
from loadplan.fit.fleet_capacity import fleet_in
from loadplan.fit.fleet_records import FleetDraws
from loadplan.fit.latency import latency_of, predict
from loadplan.fit.records import CapacityFit, PredictedLatency, SettingCapacity
from loadplan.fit.run_prediction import predict_runs
from loadplan.fit.service_time import find_law
from loadplan.fit.simulate_fleet import draw_fleet, lasting_fleet, offer, scale_fleet, simulate_fleet
from loadplan.fit.useful_runs import right_and_clean
from loadplan.fit.worlds import N_REQUESTS, Waits, World, as_long_as, saturated_rps, worlds_of
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario, ServingChoices
from loadplan.slo import Slo
from loadplan.stats import Interval
from loadplan.store.codec import read_record, write_record
from tests.accuracy.design import Configuration, Law, Question
from tests.accuracy.runs import Prepared, Runs, setting_of

_SCHEMA = "loadplan.fit/1"
_TIMES_AT_MOST = 200  # that the best law meets a run of replicas


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
    return _middle_of(predict_runs(fit, repeats, counted=right_and_clean))


def replicas_latency(fit: CapacityFit, one: Configuration, repeats: Sequence[LoadRun]) -> PredictedLatency:
    """The same of several replicas, by the law of one of them. Raises as `predicted_latency`."""
    return _middle_of([_of_replicas(fit, one, run) for run in repeats])


def _of_replicas(fit: CapacityFit, one: Configuration, run: LoadRun) -> PredictedLatency:
    """As `predict_runs` has it, with the fleet's simulator: the best law meets the requests many times, others once."""
    setting, n, rate_rps = run.spec.setting, run.requests.n_requests, run.requests.n_requests / run.spec.duration_s
    assert setting is not None  # each of these runs was driven with one
    worlds = worlds_of(fit, setting.execution, setting.serving.max_batch_size)
    require_stable(rate_rps / one.n_replicas, saturated_rps=saturated_rps(worlds[0], setting))
    n_times = [min(math.ceil(N_REQUESTS / n), _TIMES_AT_MOST), *(1 for _ in fit.plausible)]
    met = [
        _waits_of_replicas(
            world, one, run, n_times=times, draws=_draws(fit, one, i), spread_ratio=_spread(fit, setting)
        )
        for i, (world, times) in enumerate(zip(worlds, n_times, strict=True))
    ]
    told = latency_of(worlds, met, setting, rate_rps / one.n_replicas)
    return replace(told, offered_rate_rps=rate_rps)


def _waits_of_replicas(
    world: World, one: Configuration, run: LoadRun, *, n_times: int, draws: FleetDraws, spread_ratio: float
) -> Waits:
    setting = run.spec.setting
    assert setting is not None
    period_s = run.spec.duration_s + run.spec.timeout_s
    due_s = (period_s * np.arange(n_times)[:, None] + run.requests.due_s).ravel()
    fleet = fleet_in(world, setting, one.n_replicas, one.balancing)
    noise = scale_fleet(draws, world.overhead, service_spread_ratio=spread_ratio)
    n_rows = np.ones(1, dtype=np.int64) if run.n_rows is None else run.n_rows
    met = simulate_fleet(offer(due_s, as_long_as(due_s, n_rows)), fleet, lasting_fleet(noise, until_s=float(due_s[-1])))
    times_s = np.minimum(met.done_s - due_s, run.spec.timeout_s)[as_long_as(due_s, right_and_clean(run))]
    return Waits(times_s=times_s, class_index=np.zeros(times_s.size, dtype=np.int16), class_names=())


def _draws(fit: CapacityFit, one: Configuration, i: int) -> FleetDraws:
    return draw_fleet(np.random.default_rng((fit.seed, i)), n_processes=one.n_replicas)


def _spread(fit: CapacityFit, setting: Setting) -> float:
    return float(np.median(find_law(fit.service_times, setting.execution).spread_ratio))


def _middle_of(told: Sequence[PredictedLatency]) -> PredictedLatency:
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
