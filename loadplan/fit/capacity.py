"""What one server process carries with each setting, and how long its callers wait on the way there: by simulation.

A capacity is the highest rate at which every objective holds, found by bisection over simulated runs that share their
random numbers, so the search is smooth. The decision a reader would question is the interval: every plausible law, one
drawn from the uncertainty of the fit and of the bench, is simulated with arrivals and noise of its own over a run of
a few seconds, and the 5th to 95th percentile of what they say is the interval. Seconds; requests per second.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from loadplan.bench.records import BenchRun
from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.execution import ServingConfig, Setting
from loadplan.fit.binding import binding_of
from loadplan.fit.carried import queue_rows
from loadplan.fit.cold import measured_cold_ratio
from loadplan.fit.doubts import (
    backlog_caveats,
    contradiction_caveats,
    other_provider_caveats,
    reasons_of,
    run_caveats,
)
from loadplan.fit.latency import interval_of, latency_at, widened_latency
from loadplan.fit.ledger import LedgerFindings, widened
from loadplan.fit.memory import with_server_memory
from loadplan.fit.overdispersed import with_overdispersed
from loadplan.fit.overhead import fit_overhead
from loadplan.fit.rate_search import GRID_RATIOS, HIGHEST_RATIO
from loadplan.fit.records import (
    CapacityFit,
    OutsideSpan,
    OverheadFit,
    ServiceTimeFit,
    SettingCapacity,
)
from loadplan.fit.service_time import (
    fit_service_times,
    not_served_caveats,
    servable_batch_sizes,
    served_laws,
    service_time_caveats,
)
from loadplan.fit.start_times import with_start_times
from loadplan.fit.usable import usable_rps
from loadplan.fit.useful_runs import reasons_against
from loadplan.fit.worlds import (
    LONGER_AT_MOST,
    N_REQUESTS,
    N_REQUESTS_PLAUSIBLE,
    World,
    n_for_p99,
    n_simulated,
    saturated_rps,
    waits_s,
    worlds_of,
)
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import Arrivals, busiest, described, requests_to_show
from loadplan.scenario.class_mix import differ_in_rows
from loadplan.scenario.outside import delay_quantile_s
from loadplan.scenario.spec import RequestClass, Scenario
from loadplan.slo import Slo
from loadplan.stats import Interval

_N_PLAUSIBLE = 16
_SHOWN_LEAST_RATIO = 0.4
_CURVE_RATIOS = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)  # of the usable capacity


def fit_capacity(
    benched: BenchRun,
    loads: Sequence[LoadRun],
    scenario: Scenario,
    *,
    ledger: LedgerFindings | None = None,
    first: OverheadFit | None = None,
) -> CapacityFit:
    """The laws behind the bench and the live runs, and the usable capacity of one server process with each setting.

    Intervals that earlier verifications showed to be too narrow are widened as the `ledger` says. The search for the
    server's costs begins at `first`, where another model showed them already.

    Raises:
        InvalidMeasurement: when nothing was benchmarked, no live run is valid, or they say next to nothing.
        InputError: when the scenario serves batches more than twice as large as any that was benchmarked.
    """
    service_times = fit_service_times(benched, extrapolate_batches=scenario.serving.extrapolate_batches)
    useful = [run for run in loads if not reasons_against(run)]
    if not useful:
        raise InvalidMeasurement(
            what=f"none of the {len(loads)} live runs says enough: " + "; ".join(reasons_of(loads)),
            where="fit",
            fix="run the same command again when the machine is quieter, or on one with more cores",
        )
    laws = fit_overhead(
        service_times,
        useful,
        cold_ratio=measured_cold_ratio(benched),
        first=first,
        n_plausible=_N_PLAUSIBLE,
        rng=np.random.default_rng(scenario.load.seed),
    )
    fit = CapacityFit(
        machine=benched.machine,
        basis="simulated",
        arrivals=busiest(scenario.traffic.arrivals),
        rows_per_request=scenario.traffic.rows_per_request,
        classes=scenario.traffic.classes,
        service_times=with_start_times(with_server_memory(service_times, benched.starts, useful), benched.starts),
        overhead=laws.best,
        plausible=laws.plausible,
        capacities=(),
        seed=scenario.load.seed,
        probe=benched.probe,
        ledger=ledger,
        caveats=(
            *benched.caveats,
            *not_served_caveats(service_times),
            *run_caveats(loads),
            *backlog_caveats(useful),
            *contradiction_caveats(laws.best.residuals),
            *other_provider_caveats(served_laws(service_times), useful),
        ),
    )
    return with_capacities(fit, scenario)


def with_capacities(fit: CapacityFit, scenario: Scenario) -> CapacityFit:
    """The same laws, with what they say a server carries of this scenario's arrivals within its objectives.

    The requests must be of the size that the laws were fitted on: what a row costs may hide in what a request costs.

    Raises:
        InputError: when the scenario serves batches more than twice as large as any that was benchmarked.
    """
    fit = replace(fit, arrivals=busiest(scenario.traffic.arrivals), vantage=scenario.vantage)
    laws = served_laws(fit.service_times)
    largest_batch = max(*scenario.serving.max_batch_sizes, fit.rows_per_request.most)
    capacities: list[SettingCapacity] = []
    for law in laws:
        settings = _settings(law, scenario)
        if settings:
            worlds = worlds_of(fit, law.execution, max(setting.serving.max_batch_size for setting in settings))
            found = [_capacity(worlds, setting, scenario.objectives) for setting in settings]
            found = with_overdispersed(found, worlds[0], scenario.objectives)
            capacities += [
                replace(_widened_capacity(capacity, fit.ledger), outside=_outside_span(fit)) for capacity in found
            ]
    doubts = [
        *service_time_caveats(laws, largest_batch),
        *_unseen_caveats(fit.arrivals, capacities),
        *_class_caveats(fit.classes),
    ]
    doubts = [caveat for caveat in doubts if caveat not in fit.caveats]
    return replace(fit, capacities=tuple(capacities), caveats=(*fit.caveats, *doubts))


def _outside_span(fit: CapacityFit) -> OutsideSpan | None:
    """Of the delays beside the server; of two each by itself: the sum is the wider span."""
    delays = fit.vantage.delays
    if not delays:
        return None
    least_s, most_s = (math.fsum(delay_quantile_s(delay, q) for delay in delays) for q in (0.01, 0.99))
    return OutsideSpan(least_s=least_s, most_s=most_s)


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


def _capacity(worlds: Sequence[World], setting: Setting, objectives: Sequence[Slo]) -> SettingCapacity:
    best_rps, *others_rps = (usable_rps(world, setting, objectives) for world in worlds)
    saturated, *others_saturated = (saturated_rps(world, setting) for world in worlds)
    interval, saturated_interval = interval_of(best_rps, others_rps), interval_of(saturated, others_saturated)
    # Where the objectives hold at no rate: how far even a nearly idle server is from them.
    nearly_idle_rps = [GRID_RATIOS[0] * saturated]
    rates_rps = [ratio * best_rps for ratio in _CURVE_RATIOS] if best_rps > 0.0 else nearly_idle_rps
    return SettingCapacity(
        setting=setting,
        usable_capacity_rps=best_rps,
        usable_capacity_rps_low=interval.low,
        usable_capacity_rps_high=interval.high,
        saturated_rps=saturated,
        saturated_rps_low=saturated_interval.low,
        saturated_rps_high=saturated_interval.high,
        curve=tuple(latency_at(worlds, setting, rate_rps) for rate_rps in rates_rps),
        binding=binding_of(waits_s(worlds[0], setting, rates_rps[-1]), objectives)
        if best_rps < HIGHEST_RATIO * saturated
        else None,
    )


def _widened_capacity(capacity: SettingCapacity, ledger: LedgerFindings | None) -> SettingCapacity:
    """The ends of a capacity are where the same laws' p99 meets its limit, so they move as that of the p99 does.

    Those of the saturated rate have no tail in them, and move as the p50.
    """
    if ledger is None:
        return capacity
    interval = Interval(low=capacity.usable_capacity_rps_low, high=capacity.usable_capacity_rps_high)
    interval = widened(capacity.usable_capacity_rps, interval, ledger.widening_of(0.99))
    saturated = Interval(low=capacity.saturated_rps_low, high=capacity.saturated_rps_high)
    saturated = widened(capacity.saturated_rps, saturated, ledger.widening_of(0.5))
    return replace(
        capacity,
        usable_capacity_rps_low=interval.low,
        usable_capacity_rps_high=interval.high,
        saturated_rps_low=saturated.low,
        saturated_rps_high=saturated.high,
        curve=tuple(widened_latency(point, ledger) for point in capacity.curve),
    )


def _unseen_caveats(arrivals: Arrivals, capacities: Sequence[SettingCapacity]) -> tuple[Caveat, ...]:
    """Slow bursts, and long recordings, of which a simulated run holds but a part."""
    fastest_rps = max((capacity.usable_capacity_rps for capacity in capacities), default=0.0)
    wanted = requests_to_show(arrivals, rate_rps=fastest_rps)
    if not wanted or n_simulated(arrivals, N_REQUESTS, rate_rps=fastest_rps) >= _SHOWN_LEAST_RATIO * wanted:
        return ()
    n = n_simulated(arrivals, N_REQUESTS, rate_rps=fastest_rps)
    return (
        Caveat(
            code="fit.arrivals_unseen",
            what=f"the arrivals ({described(arrivals)}) take about {wanted:,.0f} requests to show what they do, the "
            f"simulated runs hold {n:,.0f}: what a server carries depends on which stretch they met",
            fix="plan on shorter busy periods, or on a recording of the busiest hour alone",
            number=n / wanted,
        ),
    )


def _class_caveats(classes: Sequence[RequestClass]) -> list[Caveat]:
    """What the simulation can't tell of classes: what it doesn't know them by, and what is too rare in it."""
    if not classes:
        return []
    if not differ_in_rows(classes):
        return [
            Caveat(
                code="fit.classes_alike",
                what=f"the classes {', '.join(one.name for one in classes)} send requests of as many rows, so one "
                "prediction stands for each: what their rows hold, and how long they are, only a live run shows",
                fix="read the live run's figures of each class",
            )
        ]
    rare = [one for one in classes if n_for_p99(one.share) > LONGER_AT_MOST * N_REQUESTS_PLAUSIBLE]
    if not rare:
        return []
    return [
        Caveat(
            code="fit.class_rare",
            what=f"the simulated runs hold too few requests of {', '.join(one.name for one in rare)} for a p99 of them",
            fix="join rare classes, or judge them by the live run alone",
            number=min(one.share for one in rare),
        )
    ]
