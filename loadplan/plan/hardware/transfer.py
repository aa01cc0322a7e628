"""What the laws fitted on this machine say about another one: a first, cautious extrapolation.

Rates are requests per second, times seconds; a speed ratio of 2 means that the same work takes half as long. The fit
describes one server process on one core. Elsewhere a process runs on every whole core, and processes are taken to
scale linearly. On a machine s times as fast everything takes 1/s as long, so latency_s(r) = latency(r / s) / s.

The decision a reader would question: of inference only what the roofline tells (`roofline`) is scaled by its own peak,
and everything else is only known to lie between the ratio of the clocks (bound by overheads) and that of the peaks
(bound by arithmetic). The middle is their geometric mean, and the ends are widened by a factor: an assumed one, or
what machines that were both measured show it to be, where that is more. Fleets are sized on the low end.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadplan.catalog.instance_type import CpuFamily
from loadplan.fit.carried import requests_in_full_batch
from loadplan.fit.records import CapacityFit, ClassLatency, OutsideSpan, PredictedLatency, SettingCapacity
from loadplan.fit.service_time import service_time_s
from loadplan.plan.hardware.roofline import NOTHING_KNOWN, InferenceRatio, inference_ratio
from loadplan.slo import Slo

# Least widening of the interval on hardware that was never measured. Assumed.
SAME_ARCHITECTURE_FACTOR = 1.5
OTHER_ARCHITECTURE_FACTOR = 2.0
# Where this machine can't be placed among the catalogue's processors, every ratio is a guess around 1.
UNPLACED_FACTOR = 2.0
# Widening where the same GPU sits in another host: its form (PCIe or SXM: 1.7 in memory bandwidth for the H100), its
# bus and its cooling may differ. Assumed.
OTHER_HOST_FACTOR = 2.0
# Share of a core behind a vCPU that is a hardware thread: its twin uses the other half. Assumed.
THREAD_CORE_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedRatio:
    """Speed of one core of another machine against a core of this one."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRange:
    """Usable capacity of one server process in requests per second."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedP99:
    """The 99th percentile of the response time in seconds."""

    low_s: float
    middle_s: float
    high_s: float


SAME_MACHINE = SpeedRatio(low=1.0, middle=1.0, high=1.0)
UNPLACED = SpeedRatio(low=1.0 / UNPLACED_FACTOR, middle=1.0, high=UNPLACED_FACTOR)


def speed_ratio(
    here: CpuFamily,
    there: CpuFamily,
    *,
    inference_share: float,
    inference: InferenceRatio | None = None,
    missed: float = 1.0,
) -> SpeedRatio:
    """Speed of a core there against one here, for work of which `inference_share` is inference.

    ratio = 1 / (share / inference + (1 - share) / clock): the times of the two parts add up (Amdahl); the server's own
    work follows the clock.

    Args:
        here: the processor that was measured.
        there: the other one.
        inference_share: of the time of a full batch.
        inference: what the roofline says of the model; None: nothing, so anything between clocks and peaks.
        missed: by which factor it was off between machines that were both measured; may widen, never narrow.
    """
    clock = there.clock_ghz / here.clock_ghz
    known = inference or inference_ratio(here, there, NOTHING_KNOWN, is_int8=False)
    assumed = SAME_ARCHITECTURE_FACTOR if here.architecture == there.architecture else OTHER_ARCHITECTURE_FACTOR
    factor = max(assumed, missed)

    def mixed(ratio: float) -> float:
        return 1.0 / (inference_share / ratio + (1.0 - inference_share) / clock)

    return SpeedRatio(low=mixed(known.low) / factor, middle=mixed(known.middle), high=mixed(known.high) * factor)


def host_speed_ratio(here: CpuFamily | None, there: CpuFamily | None, *, inference_share: float) -> SpeedRatio:
    """Speed of a server in another host with the same GPU: inference takes as long, the server's own work another time.

    ratio = 1 / (share + (1 - share) / clock), with the ratio of the clocks where both processors are known, else
    anything around 1.
    """
    clocks = (1.0 / UNPLACED_FACTOR, 1.0, UNPLACED_FACTOR)
    if here is not None and there is not None:
        clocks = (there.clock_ghz / here.clock_ghz,) * 3
    low, middle, high = (1.0 / (inference_share + (1.0 - inference_share) / clock) for clock in clocks)
    return SpeedRatio(low=low / OTHER_HOST_FACTOR, middle=middle, high=high * OTHER_HOST_FACTOR)


def inference_share(fit: CapacityFit, capacity: SettingCapacity) -> float:
    """Share of inference in the time of a full batch: S(b k) / (S(b k) + b (request + response) + b k row + batch).

    b is the number of requests of the usual size, k rows, that fit into it.
    """
    law = next(law for law in fit.service_times if law.execution == capacity.setting.execution)
    n_requests = requests_in_full_batch(capacity.setting.serving.max_batch_size, fit.rows_per_request.mean)
    n_rows, overhead = n_requests * fit.rows_per_request.mean, fit.overhead
    inference_s = service_time_s(law, n_rows)
    overhead_s = n_requests * (overhead.request_s + overhead.response_s) + n_rows * overhead.row_s + overhead.batch_s
    return inference_s / (inference_s + overhead_s)


def transferred_capacity(capacity: SettingCapacity, speed: SpeedRatio, objectives: Sequence[Slo]) -> CapacityRange:
    """The highest rate at which every objective holds on a machine of another speed, of one server process.

    The highest rate r here whose latency, taken there, is within the limits, times s. A faster machine could also run
    closer to its saturation than this one; the table ends at the usable capacity here, so that gain isn't counted.
    """
    rate = _rate_within(capacity, speed.middle, objectives, quantile_s)
    middle = speed.middle * min(rate, capacity.usable_capacity_rps)
    # At the low end the objectives hold even by the high end of the predicted latency.
    cautious_rate = _rate_within(capacity, speed.low, objectives, cautious_quantile_s)
    low = speed.low * min(cautious_rate, capacity.usable_capacity_rps_low)
    high = speed.high * capacity.usable_capacity_rps_high
    return CapacityRange(low=min(low, middle), middle=middle, high=max(middle, high))


def transferred_p99(capacity: SettingCapacity, speed: SpeedRatio, *, rate_rps: float) -> PredictedP99 | None:
    """The p99 of one server process of another speed at a rate, or None beyond the rates that the fit covers."""
    curve = capacity.curve
    if not curve or rate_rps / speed.middle > curve[-1].offered_rate_rps:
        return None
    window_s = capacity.setting.serving.batch_window_s
    rates = [point.offered_rate_rps for point in curve]
    lows_s = [latency_elsewhere(point.p99_interval.low, speed.high, window_s, capacity.outside) for point in curve]
    middles_s = [latency_elsewhere(point.p99_s, speed.middle, window_s, capacity.outside) for point in curve]
    highs_s = [latency_elsewhere(point.p99_interval.high, speed.low, window_s, capacity.outside) for point in curve]
    middle_s = _interpolate(rate_rps / speed.middle, rates, middles_s)
    return PredictedP99(
        low_s=min(middle_s, _interpolate(rate_rps / speed.high, rates, lows_s)),
        middle_s=middle_s,
        high_s=max(middle_s, _interpolate(rate_rps / speed.low, rates, highs_s)),
    )


def latency_elsewhere(latency_s: float, speed: float, window_s: float, outside: OutsideSpan | None = None) -> float:
    """A latency on a machine of another speed, never too short: what no machine changes is left as it is.

    That is the batch window and the most that lies outside on a faster one, on a slower one the least that does.
    """
    if speed <= 1.0:
        fixed_s = 0.0 if outside is None else min(outside.least_s, latency_s)
    else:
        fixed_s = min(window_s + (0.0 if outside is None else outside.most_s), latency_s)
    return fixed_s + (latency_s - fixed_s) / speed


def waits_of(point: PredictedLatency, class_name: str | None) -> PredictedLatency | ClassLatency:
    """The figures of a class at a point; where the classes fare alike, or none is named, those of all requests."""
    return next((own for own in point.classes if own.name == class_name), point)


def quantile_s(point: PredictedLatency | ClassLatency, quantile: float) -> float:
    """The least quantile in the table that is at least as strict as the one asked, p99 where none is."""
    return point.p50_s if quantile <= 0.5 else point.p95_s if quantile <= 0.95 else point.p99_s


def cautious_quantile_s(point: PredictedLatency | ClassLatency, quantile: float) -> float:
    """The high end of that quantile; the interval of the p99 is the widest in the table and serves for all."""
    return quantile_s(point, quantile) * point.p99_interval.high / point.p99_s


def _rate_within(
    capacity: SettingCapacity,
    speed: float,
    objectives: Sequence[Slo],
    latency_of: Callable[[PredictedLatency | ClassLatency, float], float],
) -> float:
    """The highest rate here up to which the latency, taken to another speed, is within every limit; 0: none is."""
    if not capacity.curve:
        return 0.0
    window_s, outside = capacity.setting.serving.batch_window_s, capacity.outside
    end = capacity.curve[-1]
    rates = [end.offered_rate_rps]
    for class_name, limit in ((slo.class_name, limit) for slo in objectives for limit in slo.limits):
        latencies_s = [
            latency_elsewhere(latency_of(waits_of(point, class_name), limit.quantile), speed, window_s, outside)
            for point in capacity.curve
        ]
        # A quantile beyond p99 isn't in the table: elsewhere the p99 may be no worse than where that limit binds here.
        allowed_s = latency_of(waits_of(end, class_name), limit.quantile) if limit.quantile > 0.99 else limit.limit_s
        rates.append(_crossing(capacity.curve, latencies_s, allowed_s))
    return min(rates)


def _crossing(curve: Sequence[PredictedLatency], latencies_s: Sequence[float], allowed_s: float) -> float:
    """Where the latency first passes what is allowed, linear between points; the end where it never does."""
    i = next((i for i, latency_s in enumerate(latencies_s) if latency_s > allowed_s), len(curve))
    if i == len(curve):
        return curve[-1].offered_rate_rps
    if i == 0:
        return 0.0
    share = (allowed_s - latencies_s[i - 1]) / (latencies_s[i] - latencies_s[i - 1])
    return curve[i - 1].offered_rate_rps + share * (curve[i].offered_rate_rps - curve[i - 1].offered_rate_rps)


def _interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Linear between the points of an ascending table, constant beyond its ends."""
    i = bisect_left(xs, x)
    if i == 0:
        return ys[0]
    if i == len(xs):
        return ys[-1]
    share = (x - xs[i - 1]) / (xs[i] - xs[i - 1])
    return ys[i - 1] + share * (ys[i] - ys[i - 1])
