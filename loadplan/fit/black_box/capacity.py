"""What one copy of a service carries within its objectives. Requests per second.

The highest rate at which every objective holds is found for each law by simulated runs that share their luck. The
decision a reader would question: what is told is 0.95 times the mean over the laws that were kept, and its ends are
shrunk alike. Live capacities are known to about 4 %, p99s of an idle service's tail are a little low when they come
from some hundred requests, and a service that is taken for too strong costs its callers more than one copy too many.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.fit.binding import binding_of
from loadplan.fit.black_box.breakdown import breakdown_in
from loadplan.fit.black_box.predict import latency_at
from loadplan.fit.black_box.records import Asked, ServiceCapacity, ServiceFit
from loadplan.fit.black_box.structures import capacity_of_cores_rps
from loadplan.fit.black_box.usable import usable_rps
from loadplan.fit.black_box.worlds import saturated_rps, waits_in, worlds_of
from loadplan.fit.doubts import reasons_of
from loadplan.fit.latency import interval_of
from loadplan.fit.rate_search import GRID_RATIOS, HIGHEST_RATIO, is_met
from loadplan.fit.records import PredictedLatency
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.classes import run_of_class
from loadplan.load.records import LoadRun
from loadplan.load.verdict import response_times_s, times_of_all_s
from loadplan.scenario.class_mix import differ_in_rows
from loadplan.scenario.outside import delay_quantile_s
from loadplan.slo import Slo
from loadplan.stats import Interval, percentile, quantile_interval

SAFE_RATIO = 0.95
_CURVE_RATIOS = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)  # of the usable capacity
_ROWS_APART_FROM = 0.2  # of the mean that was seen
_ROWS_BEYOND = 2.0  # times the most that was seen


def service_capacity(fit: ServiceFit, asked: Asked, objectives: Sequence[Slo]) -> ServiceCapacity:
    """What one copy carries of these requests within every objective, on the machine that it was driven on."""
    worlds = worlds_of(fit, asked)
    n_kept = len(fit.laws)
    just_rps = [usable_rps(world, objectives) for world in worlds]
    carried_rps = [SAFE_RATIO * rate_rps for rate_rps in just_rps]
    saturated = [saturated_rps(world) for world in worlds]
    # Where only some of the laws that were kept meet the objectives at all, nobody knows that the service does.
    middle_rps = float(np.mean(carried_rps[:n_kept])) if min(carried_rps[:n_kept]) > 0.0 else 0.0
    saturated_middle_rps = float(np.mean(saturated[:n_kept]))
    interval, saturated_interval = interval_of(middle_rps, carried_rps), interval_of(saturated_middle_rps, saturated)
    rates_rps = [ratio * middle_rps for ratio in _CURVE_RATIOS] if middle_rps > 0.0 else [GRID_RATIOS[0] * saturated[0]]
    is_bound = middle_rps < SAFE_RATIO * HIGHEST_RATIO * saturated_middle_rps
    return ServiceCapacity(
        machine=fit.machine,
        n_cores=None if fit.counted_s is None else fit.laws[0].structure.n_cores,
        usable_capacity_rps=middle_rps,
        usable_capacity_rps_low=interval.low,
        usable_capacity_rps_high=interval.high,
        saturated_rps=saturated_middle_rps,
        saturated_rps_low=saturated_interval.low,
        saturated_rps_high=saturated_interval.high,
        curve=tuple(latency_at(worlds, n_kept, rate_rps) for rate_rps in rates_rps),
        basis="measured",
        caveats=(*fit.caveats, *_rows_caveats(fit, asked)),
        binding=binding_of(waits_in(worlds[0], rates_rps[-1] / SAFE_RATIO), objectives) if is_bound else None,
        has_classes=bool(worlds[0].class_names),
        unscaled_least_s=_unscaled_s(fit, asked, 0.01),
        unscaled_most_s=_unscaled_s(fit, asked, 0.99),
        is_bound_by_slots=saturated[0] < capacity_of_cores_rps(fit.laws[0], float(worlds[0].n_rows.mean())),
        breakdown=breakdown_in(worlds[0], objectives, now_rps=just_rps[0]) if middle_rps > 0.0 else None,
    )


def capacity_at_measured_rates(runs: Sequence[LoadRun], objectives: Sequence[Slo]) -> ServiceCapacity:
    """The highest rate that was driven and at which every objective held: for a service that no structure suits.

    Runs of bursts say nothing of a rate. There is no interval but what lies between the highest rate that held and the
    lowest above it that was driven and did not; the curve is what the runs showed.

    Raises:
        InvalidMeasurement: when no valid run at a rate is among them.
    """
    driven = sorted(
        (run for run in runs if run.spec.purpose != "saturation" and not reasons_against(run)),
        key=_rate_rps,
    )
    if not driven:
        raise InvalidMeasurement(
            what="no valid run at a rate is among those that were driven: " + "; ".join(reasons_of(runs)),
            where="the measured rates",
            fix="run the same command again when the machine is quieter",
        )
    n_held = next((i for i, run in enumerate(driven) if not _held(run, objectives)), len(driven))
    held = driven[:n_held]
    rates_rps = [_rate_rps(run) for run in driven]
    held_rps = rates_rps[n_held - 1] if held else 0.0
    return ServiceCapacity(
        machine=driven[0].machine,
        n_cores=None,
        usable_capacity_rps=held_rps,
        usable_capacity_rps_low=held_rps,
        usable_capacity_rps_high=max(held_rps, rates_rps[n_held] if n_held < len(driven) else rates_rps[-1]),
        saturated_rps=rates_rps[-1],
        saturated_rps_low=rates_rps[-1],
        saturated_rps_high=rates_rps[-1],
        curve=tuple(_measured(run, rates_rps[-1]) for run in held or driven[:1]),
        basis="measured",
        caveats=(*(caveat for run in driven for caveat in run.caveats), _measured_only(driven, held_rps)),
    )


def _unscaled_s(fit: ServiceFit, asked: Asked, quantile: float) -> float:
    """Of the waits without CPU by the best law, and of what lies outside, each by itself: the sum is the wider span."""
    outside_s = 0.0 if asked.outside is None else delay_quantile_s(asked.outside, quantile)
    return outside_s + float(np.quantile(fit.laws[0].delays_s, quantile))


def _rows_caveats(fit: ServiceFit, asked: Asked) -> tuple[Caveat, ...]:
    """Requests of other sizes than were sent."""
    if fit.rows is None:
        if asked.rows_per_request.is_constant and not differ_in_rows(asked.classes):
            return ()
        what = "nobody told how many rows the requests had, so each is taken to cost as much as those that were sent"
        return (Caveat(code="fit.rows_not_told", what=what, fix="send requests like those of the callers"),)
    rows, seen = asked.rows_per_request, fit.rows
    is_apart = fit.laws[0].row_s == 0.0 and abs(rows.mean / seen.mean - 1.0) > _ROWS_APART_FROM
    if not is_apart and rows.most <= _ROWS_BEYOND * seen.most:
        return ()
    return (
        Caveat(
            code="fit.rows_unseen",
            what=f"requests of {rows.mean:.3g} rows on average and {rows.most:,} at most are planned for, those that "
            f"were sent had {seen.mean:.3g} and {seen.most:,}",
            fix="send requests like those of the callers",
            number=rows.most / seen.most,
        ),
    )


def _held(run: LoadRun, objectives: Sequence[Slo]) -> bool:
    """Whether every objective held over all requests of the run; one of a class that it doesn't tell, over all."""
    for slo in objectives:
        own = run
        if slo.class_name is not None and run.classes is not None and slo.class_name in run.classes.names:
            own = run_of_class(run, slo.class_name)
        times_s = times_of_all_s(own.requests)
        if not is_met(slo, np.where(np.isinf(times_s), np.nan, times_s)):
            return False
    return True


def _rate_rps(run: LoadRun) -> float:
    """As it came, which is not quite as it was asked for."""
    return run.requests.n_requests / run.spec.duration_s


def _measured(run: LoadRun, highest_rps_driven: float) -> PredictedLatency:
    times_s = response_times_s(run)
    p50, p95, p99 = (percentile(times_s, q) for q in (0.5, 0.95, 0.99))
    rate_rps = _rate_rps(run)
    return PredictedLatency(
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / highest_rps_driven,
        p50_s=p50,
        p95_s=p95,
        p99_s=p99,
        p50_interval=quantile_interval(times_s, 0.5) or _of_extremes(times_s, 0.5),
        p95_interval=quantile_interval(times_s, 0.95) or _of_extremes(times_s, 0.95),
        p99_interval=quantile_interval(times_s, 0.99) or _of_extremes(times_s, 0.99),
    )


def _of_extremes(times_s: NDArray[np.float64], q: float) -> Interval:
    """Where too few requests tell a quantile's interval: from its own value to the longest wait."""
    return Interval(low=percentile(times_s, q), high=float(times_s.max()), confidence_ratio=0.9)


def _measured_only(driven: Sequence[LoadRun], held_rps: float) -> Caveat:
    highest = driven[-1].spec.offered_rate_rps
    return Caveat(
        code="fit.measured_rates_only",
        what=f"the service is planned on the rates that were driven: {held_rps:,.4g} requests/s held the objectives, "
        f"the highest that was driven is {highest:,.4g}; nothing is known of what lies between or above",
        fix="find the capacity live with `loadplan load URL --find-capacity`",
    )
