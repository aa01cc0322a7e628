"""What one server process carries with each setting, and how long its callers wait at any rate: by simulation.

A capacity is the highest rate at which every objective holds, found by bisection over simulated runs that share their
random numbers, so the search is smooth. The decision a reader would question is the interval: every plausible law, one
drawn from the uncertainty of the fit and of the bench, is simulated with arrivals and noise of its own over a run of
a few seconds, and the 5th to 95th percentile of what they say is the interval. That of a latency also holds how far
repeats of one live run stray on a shared machine, whatever the law. Seconds; requests per second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchRun
from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.backlog import queue_rows
from loadplan.fit.calibration import backlog_gap_s
from loadplan.fit.cold import measured_cold_ratio
from loadplan.fit.overhead import QUANTILES, SCATTER, fit_overhead
from loadplan.fit.records import CapacityFit, OverheadFit, PredictedLatency, ServiceTimeFit, SettingCapacity
from loadplan.fit.service_time import (
    find_law,
    fit_service_times,
    not_served_caveats,
    servable_batch_sizes,
    served_laws,
    service_time_caveats,
    service_times_s,
)
from loadplan.fit.simulate import Noise, draw, saturated_rps, scale, simulate
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import Arrivals, busiest, described, has_own_clock, requests_to_show
from loadplan.scenario.rows_law import draw_rows
from loadplan.scenario.spec import Scenario
from loadplan.scenario.traffic import schedule
from loadplan.slo import Slo, attainment
from loadplan.stats import Interval, percentile

Times = NDArray[np.float64]

_QUANTILES = (0.5, 0.95, 0.99)
_N_PLAUSIBLE = 16
_CONFIDENCE_RATIO = 0.9
# A run of the best law is long, for its figures are printed; those of the plausible ones are as short as a live run.
_N_REQUESTS = 100_000
_N_REQUESTS_PLAUSIBLE = 20_000
_WARM_UP_RATIO = 0.1  # of a simulated run, from an empty queue to one like any other
# Above this share of the saturated rate a queue takes minutes to settle and no few seconds of it say anything.
_HIGHEST_RATIO = 0.98
# Arrivals with slow bursts are simulated for longer than others, but not for ever.
_LONGER_AT_MOST = 5.0
_SHOWN_LEAST_RATIO = 0.4
_GRID_RATIOS = (0.02, 0.2, 0.4, 0.6, 0.75, 0.87, _HIGHEST_RATIO)
_N_BISECTIONS = 6  # to 0.3 % of the saturated rate
_CURVE_RATIOS = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)  # of the usable capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """One law with everything random in a run of it."""

    overhead: OverheadFit
    service_s: Times
    noise: Noise
    arrivals: Arrivals
    n_requests: int  # of a simulated run, or more where the arrivals take longer to show what they do
    unit_s: Times  # arrivals at 1 request per second; empty where they have a clock of their own
    arrival_seed: int
    n_rows: NDArray[np.int64]  # over and over where a run is longer
    stray: float  # of a live run from the average one, in standard deviations; 0 for the best law


def fit_capacity(benched: BenchRun, loads: Sequence[LoadRun], scenario: Scenario) -> CapacityFit:
    """The laws behind the bench and the live runs, and the usable capacity of one server process with each setting.

    Raises:
        InvalidMeasurement: when nothing was benchmarked, no live run is valid, or they say next to nothing.
        InputError: when the scenario serves batches more than twice as large as any that was benchmarked.
    """
    service_times = fit_service_times(benched)
    useful = [run for run in loads if not reasons_against(run)]
    if not useful:
        raise InvalidMeasurement(
            what=f"none of the {len(loads)} live runs says enough: " + "; ".join(_reasons(loads)),
            where="fit",
            fix="run the same command again when the machine is quieter, or on one with more cores",
        )
    rows = scenario.traffic.rows_per_request
    laws = fit_overhead(
        service_times,
        useful,
        cold_ratio=measured_cold_ratio(benched),
        n_plausible=_N_PLAUSIBLE,
        rng=np.random.default_rng(scenario.load.seed),
    )
    fit = CapacityFit(
        machine=benched.machine,
        basis="simulated",
        arrivals=busiest(scenario.traffic.arrivals),
        rows_per_request=rows,
        service_times=service_times,
        overhead=laws.best,
        plausible=laws.plausible,
        capacities=(),
        seed=scenario.load.seed,
        probe=benched.probe,
        caveats=(
            *benched.caveats,
            *not_served_caveats(service_times),
            *_run_caveats(loads),
            *_backlog_caveats(useful),
            *_other_provider_caveats(served_laws(service_times), useful),
        ),
    )
    return with_capacities(fit, scenario)


def with_capacities(fit: CapacityFit, scenario: Scenario) -> CapacityFit:
    """The same laws, with what they say a server carries of this scenario's arrivals within its objectives.

    The requests must be of the size that the laws were fitted on: what a row costs may hide in what a request costs.

    Raises:
        InputError: when the scenario serves batches more than twice as large as any that was benchmarked.
    """
    fit = replace(fit, arrivals=busiest(scenario.traffic.arrivals))
    laws = served_laws(fit.service_times)
    largest_batch = max(*scenario.serving.max_batch_sizes, fit.rows_per_request.most)
    capacities: list[SettingCapacity] = []
    for law in laws:
        settings = _settings(law, scenario)
        if settings:
            worlds = _worlds(fit, law.execution, max(setting.serving.max_batch_size for setting in settings))
            capacities += [_capacity(worlds, setting, scenario.objectives) for setting in settings]
    doubts = [*service_time_caveats(laws, largest_batch), *_unseen_caveats(fit.arrivals, capacities)]
    doubts = [caveat for caveat in doubts if caveat not in fit.caveats]
    return replace(fit, capacities=tuple(capacities), caveats=(*fit.caveats, *doubts))


def predict(fit: CapacityFit, setting: Setting, *, rate_rps: float) -> PredictedLatency:
    """How long callers wait at a rate, on the machine that was fitted.

    Raises:
        InvalidMeasurement: when a law that explains the runs as well answers nothing at this rate.
        InputError: when the setting's execution was not benchmarked, or its batches are far larger than any that were.
    """
    return _predict(_worlds(fit, setting.execution, setting.serving.max_batch_size), setting, rate_rps)


def _settings(law: ServiceTimeFit, scenario: Scenario) -> list[Setting]:
    choices = scenario.serving
    rows = scenario.traffic.rows_per_request
    sizes = servable_batch_sizes(law, choices.max_batch_sizes, n_rows_most=rows.most)
    return [
        Setting(
            execution=law.execution,
            serving=ServingConfig(
                max_batch_size=size, batch_window_s=window_s, max_queue_rows=queue_rows(size, rows.mean)
            ),
        )
        for size, window_s in product(sizes, choices.batch_windows_s)
    ]


def _worlds(fit: CapacityFit, execution: ExecutionConfig, n_rows_most: int) -> tuple[_World, ...]:
    """The best law first, then every plausible one, each with random numbers of its own; the same for the same fit."""
    law = find_law(fit.service_times, execution)
    service_s = service_times_s(law, max(n_rows_most, fit.rows_per_request.most))
    spread_ratio = float(np.median(law.spread_ratio))
    off_ratio = _off_ratio(law)
    worlds = []
    for i, overhead in enumerate((fit.overhead, *fit.plausible)):
        rng = np.random.default_rng((fit.seed, i))
        n = _N_REQUESTS if i == 0 else _N_REQUESTS_PLAUSIBLE
        factor = 1.0 if i == 0 else float(np.exp(off_ratio * rng.standard_normal()))
        unit_s = _unit_arrivals(fit.arrivals, n, rng)
        worlds.append(
            _World(
                overhead=overhead,
                service_s=service_s * factor,
                noise=scale(draw(rng), overhead, service_spread_ratio=spread_ratio),
                arrivals=fit.arrivals,
                n_requests=n,
                unit_s=unit_s,
                arrival_seed=int(rng.integers(2**32)) if has_own_clock(fit.arrivals) else 0,
                n_rows=draw_rows(fit.rows_per_request, unit_s.size or n, rng),
                stray=0.0 if i == 0 else float(rng.standard_normal()),
            )
        )
    return tuple(worlds)


def _off_ratio(law: ServiceTimeFit) -> float:
    """Standard deviation of a server's service time around the table's, as one factor for all of it.

    How far the mean of the bench may be off, whose interval is one of 95 %, hence 1.96; and how far a single process is
    off the mean of many, for a server is one process for all its life.
    """
    half_widths = (np.array(law.mean_s_high) - np.array(law.mean_s_low)) / 2.0 / np.array(law.mean_s)
    processes = float(np.median(law.process_ratio)) if law.process_ratio else 0.0
    return math.hypot(float(np.median(half_widths)) / 1.96, processes)


def _unit_arrivals(arrivals: Arrivals, n: int, rng: np.random.Generator) -> Times:
    if has_own_clock(arrivals):
        return np.empty(0)
    return schedule(arrivals, rate_rps=1.0, duration_s=_n_simulated(arrivals, n, rate_rps=1.0), rng=rng)


def _n_simulated(arrivals: Arrivals, n: int, *, rate_rps: float) -> float:
    """Requests of a simulated run: n, or up to five times as many where they don't yet show what the arrivals do."""
    return min(max(float(n), requests_to_show(arrivals, rate_rps=rate_rps)), _LONGER_AT_MOST * float(n))


def _sent_s(world: _World, rate_rps: float) -> Times:
    """When the requests of a run at this rate are sent; with the same luck at every rate."""
    if world.unit_s.size:
        return world.unit_s / rate_rps
    n = _n_simulated(world.arrivals, world.n_requests, rate_rps=rate_rps)
    rng = np.random.default_rng(world.arrival_seed)
    return schedule(world.arrivals, rate_rps=rate_rps, duration_s=n / rate_rps, rng=rng)


def _capacity(worlds: Sequence[_World], setting: Setting, objectives: Sequence[Slo]) -> SettingCapacity:
    best_rps, *others_rps = (_usable_rps(world, setting, objectives) for world in worlds)
    saturated = _saturated_rps(worlds[0], setting)
    interval = _interval(best_rps, others_rps)
    # Where the objectives hold at no rate: how far even a nearly idle server is from them.
    nearly_idle_rps = [_GRID_RATIOS[0] * saturated]
    rates_rps = [ratio * best_rps for ratio in _CURVE_RATIOS] if best_rps > 0.0 else nearly_idle_rps
    return SettingCapacity(
        setting=setting,
        usable_capacity_rps=best_rps,
        usable_capacity_rps_low=interval.low,
        usable_capacity_rps_high=interval.high,
        saturated_rps=saturated,
        curve=tuple(_predict(worlds, setting, rate_rps) for rate_rps in rates_rps),
    )


def _usable_rps(world: _World, setting: Setting, objectives: Sequence[Slo]) -> float:
    """The highest rate, up to 98 % of saturation, at which every objective holds; 0 where there is none."""
    saturated = _saturated_rps(world, setting)

    def holds(ratio: float) -> bool:
        times_s = _response_times_s(world, setting, ratio * saturated)
        return all(_is_met(slo, times_s) for slo in objectives)

    low = next((ratio for ratio in reversed(_GRID_RATIOS) if holds(ratio)), 0.0)
    if low in (0.0, _HIGHEST_RATIO):
        return low * saturated
    high = _GRID_RATIOS[_GRID_RATIOS.index(low) + 1]
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low * saturated


def _is_met(slo: Slo, times_s: Times) -> bool:
    """As `slo` counts: requests that were refused (NaN) are misses of every limit."""
    if np.count_nonzero(np.isnan(times_s)) > slo.max_failed_ratio * times_s.size:
        return False
    return all(
        attainment(limit, n_due=times_s.size, n_within=int(np.count_nonzero(times_s <= limit.limit_s))).is_met
        for limit in slo.limits
    )


def _predict(worlds: Sequence[_World], setting: Setting, rate_rps: float) -> PredictedLatency:
    best, *others = (_quantiles_s(world, setting, rate_rps) for world in worlds)
    if any(math.isinf(quantile_s) for quantiles_s in (best, *others) for quantile_s in quantiles_s):
        raise InvalidMeasurement(
            what=f"the measurements leave open whether a server answers any of {rate_rps:,.0f} requests/s within "
            f"batches of {setting.serving.max_batch_size}",
            where="fit",
            fix="run the same command again when the machine is quieter, or allow more time with load.duration_s",
        )
    p50_s, p95_s, p99_s = best
    return PredictedLatency(
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / _saturated_rps(worlds[0], setting),
        p50_s=p50_s,
        p95_s=p95_s,
        p99_s=p99_s,
        p50_interval=_interval(p50_s, [other[0] for other in others]),
        p99_interval=_interval(p99_s, [other[2] for other in others]),
    )


def _response_times_s(world: _World, setting: Setting, rate_rps: float) -> Times:
    sent_s = _sent_s(world, rate_rps)
    done_s = simulate(
        sent_s,
        world.n_rows if world.n_rows.size == sent_s.size else np.resize(world.n_rows, sent_s.size),
        service_s=world.service_s,
        overhead=world.overhead,
        serving=setting.serving,
        noise=world.noise,
    )
    return (done_s - sent_s)[int(_WARM_UP_RATIO * sent_s.size) :]


def _quantiles_s(world: _World, setting: Setting, rate_rps: float) -> list[float]:
    """Those of a live run in this world; only answered requests count, and where none was no time is long enough."""
    times_s = _response_times_s(world, setting, rate_rps)
    answered_s = times_s[~np.isnan(times_s)]
    if not answered_s.size:
        return [math.inf] * len(_QUANTILES)
    strays = [math.exp(SCATTER[QUANTILES.index(q)] * world.stray) for q in _QUANTILES]
    return [percentile(answered_s, q) * stray for q, stray in zip(_QUANTILES, strays, strict=True)]


def _saturated_rps(world: _World, setting: Setting) -> float:
    return saturated_rps(setting, world.overhead, service_s=world.service_s, n_rows=world.n_rows)


def _interval(best: float, others: Sequence[float]) -> Interval:
    tail = (1.0 - _CONFIDENCE_RATIO) / 2.0
    low, high = np.quantile([best, *others], [tail, 1.0 - tail])
    return Interval(low=min(best, float(low)), high=max(best, float(high)), confidence_ratio=_CONFIDENCE_RATIO)


def _reasons(loads: Sequence[LoadRun]) -> list[str]:
    return list(dict.fromkeys(reason for run in loads for reason in reasons_against(run)))


def _backlog_caveats(loads: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    if any(backlog_gap_s(run) is not None for run in loads):
        return ()
    return (
        Caveat(
            code="fit.no_backlog",
            what="requests never queued up for long in the live runs, so what the server carries is known from its "
            "latencies alone",
            fix="allow more time for each live run with load.duration_s",
        ),
    )


def _unseen_caveats(arrivals: Arrivals, capacities: Sequence[SettingCapacity]) -> tuple[Caveat, ...]:
    """Slow bursts, and long recordings, of which a simulated run holds but a part."""
    fastest_rps = max((capacity.usable_capacity_rps for capacity in capacities), default=0.0)
    wanted = requests_to_show(arrivals, rate_rps=fastest_rps)
    if not wanted or _n_simulated(arrivals, _N_REQUESTS, rate_rps=fastest_rps) >= _SHOWN_LEAST_RATIO * wanted:
        return ()
    n = _n_simulated(arrivals, _N_REQUESTS, rate_rps=fastest_rps)
    return (
        Caveat(
            code="fit.arrivals_unseen",
            what=f"the arrivals ({described(arrivals)}) take about {wanted:,.0f} requests to show what they do, the "
            f"simulated runs hold {n:,.0f}: what a server carries depends on which stretch they met",
            fix="plan on shorter busy periods, or on a recording of the busiest hour alone",
            number=n / wanted,
        ),
    )


def _other_provider_caveats(laws: Sequence[ServiceTimeFit], loads: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    """The server's own costs are known from live runs on one provider alone."""
    driven = {run.spec.setting.execution.provider for run in loads if run.spec.setting is not None}
    others = sorted({law.execution.provider for law in laws} - driven)
    if not others or not driven:
        return ()
    return (
        Caveat(
            code="fit.other_provider",
            what=f"the server's own costs were fitted to live runs on {' and '.join(sorted(driven))} and are taken to "
            f"be the same on {' and '.join(others)}",
            fix="drive the planned setting live with `loadplan verify` on such a machine",
        ),
    )


def _run_caveats(loads: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    own = {caveat.code: caveat for run in loads for caveat in run.caveats}  # one of a kind is enough
    useless = [run for run in loads if reasons_against(run)]
    if not useless:
        return tuple(own.values())
    left_out = Caveat(
        code="fit.runs_left_out",
        what=f"{len(useless)} of {len(loads)} live runs were left out of the fit: {'; '.join(_reasons(useless))}",
        fix="run the same command again when the machine is quieter",
        number=float(len(useless)),
    )
    return (*own.values(), left_out)
