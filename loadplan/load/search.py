"""The largest rate at which the objectives hold: which rate to probe next, for how long, and what the probes prove.

Pure: a probe is a load run that somebody else drives, and the next one follows from those that were made. Three steps:

1. Bracket: from the first guess the rate grows (fourfold while nothing misses, else twofold) until more requests miss
   than may, or shrinks until fewer do.
2. Close in: near capacity the logarithm of the share of misses is nearly linear in the rate (exactly so for M/M/1,
   where it is -(μ - λ) limit). How likely each capacity and each steepness is, given all probes, says where to look and
   when enough was seen.
3. Prove: a probe a little below that estimate, as long as the bound on its misses needs (the sample size of a one-sided
   test of a share, times the design effect that the probes showed). It passes when the bound holds at 99 %.

What is claimed is always a rate whose own probe passed and below which no probe missed: never an estimate, never the
luckiest of many looks. A probe that shows neither counts for the estimate alone; an invalid one for nothing, and is
driven again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement
from loadplan.slo import Slo
from loadplan.stats import share_above

ProbeOutcome = Literal["passed", "missed", "unclear", "invalid"]

# Both bounds of a probe at 99 %: over a dozen looks one in twenty may claim too much.
CONFIDENCE_RATIO = 0.98
_Z_BOUND, _Z_POWER = 2.326, 1.282  # normal quantiles: of the bound, and of a pass in nine of ten cases
_GROWTH, _GROWTH_NEAR = 4.0, 2.0
# The claim is to lie within 5 % of the truth: 2.5 % below the estimate, which may be off by as much.
_MARGIN = 0.025
_MARGIN_MOST = 0.3
_MARGIN_HELPS = 2.5  # over the steepness: beyond that misses are so rare that their bound gains nothing more
_CLOSE_ENOUGH_RATIO = 0.955
_STEP = 1.01
_LOOKS_MOST = 3
_ESTIMATE_WITHIN = 0.02
_LOOSE_BRACKET_RATIO = 1.1  # above this an unproved upper end is worth one more probe
_NEAR_RATIO, _FAR_RATIO = 0.05, 0.15
_OVERLOAD_STRAIN = 10.0
_N_CAPACITIES, _N_STEEPNESSES = 401, 41
_LOG_STEEPNESS_FROM_TO = (math.log(1.0), math.log(300.0))
_LOG_STEEPNESS_USUAL, _LOG_STEEPNESS_SPREAD = math.log(15.0), 1.0
_CLUSTERS_FEWEST, _CLUSTERS_MOST = 10.0, 400.0
_INVALID_MOST = 6
_PROBE_OF_BUDGET_RATIO = 0.25  # so that one that tells nothing leaves time for others
_DESCENTS_MOST = 5
_REQUESTS_FEWEST = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """Within what to search."""

    first_rate_rps: float
    max_rate_rps: float
    budget_s: float  # of all probes together
    shortest_s: float = 2.0  # of one probe
    n_probes: int = 12  # valid ones; half as many invalid ones are driven again


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """What the next probe may be."""

    max_rate_rps: float
    shortest_s: float
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One load run of the search. The strain is the share of misses over the share that may: 1 at capacity."""

    rate_rps: float
    duration_s: float
    n_requests: int
    outcome: ProbeOutcome
    invalid_reasons: tuple[str, ...]
    throughput_rps: float  # right answers per second
    allowed_ratio: float  # share of misses that the binding limit allows
    strain: float  # of the limit that binds; NaN when invalid, as are the next three
    strain_low: float
    strain_high: float
    n_independent: float  # how many independent answers these are worth


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOrder:
    """The probe to be driven next."""

    rate_rps: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCapacity:
    """What the probes prove."""

    usable_rps: float | None  # the highest rate that passed; None: no probe passed
    high_rps: float | None  # the lowest rate that missed for sure; None: none did
    reason: str | None  # why one of them is missing
    probes: tuple[Probe, ...]  # every one, in order


def judge_probe(order: ProbeOrder, times_s: NDArray[np.float64], slo: Slo) -> Probe:
    """What a valid run shows: the response times of all due requests in order of due time, infinite for failures.

    Of several limits the one with the largest bound on its strain binds.
    Raises InvalidMeasurement where nothing was due.
    """
    if times_s.size == 0:
        raise InvalidMeasurement(
            what="no request was due", where="a probe of the capacity search", fix="allow longer probes"
        )
    judged = []
    for limit in slo.limits:
        above = share_above(times_s, limit.limit_s, confidence_ratio=CONFIDENCE_RATIO)
        judged.append((1.0 - limit.quantile, above))
    allowed, binding = max(judged, key=lambda one: one[1].interval.high / one[0])
    is_missed = any(above.interval.low > allowed for allowed, above in judged)
    is_failing = float(np.mean(np.isinf(times_s))) > slo.max_failed_ratio
    high = binding.interval.high / allowed
    return Probe(
        rate_rps=order.rate_rps,
        duration_s=order.duration_s,
        n_requests=int(times_s.size),
        outcome="missed" if is_failing or is_missed else "passed" if high <= 1.0 else "unclear",
        invalid_reasons=(),
        throughput_rps=float(np.count_nonzero(np.isfinite(times_s))) / order.duration_s,
        allowed_ratio=allowed,
        strain=binding.share / allowed,
        strain_low=binding.interval.low / allowed,
        strain_high=high,
        n_independent=binding.n_independent,
    )


def invalid_probe(order: ProbeOrder, *, n_requests: int, reasons: tuple[str, ...]) -> Probe:
    """A probe whose run can't be believed: it counts for nothing but stays in the list."""
    nan = math.nan
    return Probe(
        rate_rps=order.rate_rps,
        duration_s=order.duration_s,
        n_requests=n_requests,
        outcome="invalid",
        invalid_reasons=reasons,
        throughput_rps=nan,
        allowed_ratio=nan,
        strain=nan,
        strain_low=nan,
        strain_high=nan,
        n_independent=nan,
    )


def next_probe(limits: SearchLimits, probes: Sequence[Probe]) -> ProbeOrder | None:
    """What to drive next; None when the search is over."""
    valid = [probe for probe in probes if probe.outcome != "invalid"]
    n_invalid = len(probes) - len(valid)
    left_s = limits.budget_s - sum(probe.duration_s for probe in probes)
    if len(valid) >= limits.n_probes or n_invalid >= _INVALID_MOST or left_s < limits.shortest_s:
        return None
    reach = _Reach(
        max_rate_rps=limits.max_rate_rps,
        shortest_s=limits.shortest_s,
        longest_s=max(min(limits.budget_s * _PROBE_OF_BUDGET_RATIO, left_s), limits.shortest_s),
    )
    if probes and probes[-1].outcome == "invalid":
        return _order(reach, probes[-1].rate_rps, probes[-1].duration_s)
    if not valid:
        return _order(reach, limits.first_rate_rps, limits.shortest_s)
    below = [probe for probe in valid if probe.strain < 1.0]
    above = [probe for probe in valid if probe.strain >= 1.0]
    if not above:
        return _grow(reach, below)
    if not below:
        return _shrink(reach, above)
    return _close_in(reach, limits, valid)


def conclude(limits: SearchLimits, probes: Sequence[Probe]) -> FoundCapacity:
    """What all the probes prove together. A pass above a rate that missed was luck, and proves nothing."""
    high = min((probe.rate_rps for probe in probes if probe.outcome == "missed"), default=math.inf)
    passed = [probe.rate_rps for probe in probes if probe.outcome == "passed" and probe.rate_rps < high]
    usable = max(passed, default=None)
    reason = None
    if usable is None:
        reason = _why_none(probes)
    elif high == math.inf:
        reason = (
            f"{limits.max_rate_rps:g} requests/s, the most that may be offered, still hold"
            if usable >= limits.max_rate_rps
            else "no rate was missed for sure in the time that was allowed"
        )
    return FoundCapacity(
        usable_rps=usable, high_rps=None if high == math.inf else high, reason=reason, probes=tuple(probes)
    )


def _why_none(probes: Sequence[Probe]) -> str:
    if all(probe.outcome == "invalid" for probe in probes):
        return "no probe was valid"
    lowest = min(probe.rate_rps for probe in probes if probe.outcome != "invalid")
    return f"no probe passed, down to {lowest:g} requests/s"


def _grow(reach: _Reach, below: list[Probe]) -> ProbeOrder | None:
    top = max(below, key=lambda probe: probe.rate_rps)
    if top.rate_rps >= reach.max_rate_rps:
        # Nothing above may be tried, but this rate is to be proved.
        is_proved = any(probe.outcome == "passed" for probe in below if probe.rate_rps == top.rate_rps)
        if is_proved or top.duration_s >= reach.longest_s:
            return None
        return _order(reach, top.rate_rps, 4.0 * top.duration_s)
    growth = _GROWTH if top.strain == 0.0 else _GROWTH_NEAR
    rate = min(growth * top.rate_rps, reach.max_rate_rps)
    return _order(reach, rate, reach.shortest_s)


def _shrink(reach: _Reach, above: list[Probe]) -> ProbeOrder | None:
    if len(above) > _DESCENTS_MOST:
        return None
    lowest = min(above, key=lambda probe: probe.rate_rps)
    return _order(reach, min(lowest.rate_rps / _GROWTH, 0.5 * lowest.throughput_rps or math.inf), reach.shortest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimate:
    rate_rps: float  # at which as many miss as may
    spread_ratio: float  # standard deviation of its logarithm
    steepness: float  # d ln(strain) / d ln(rate) there


def _close_in(reach: _Reach, limits: SearchLimits, valid: list[Probe]) -> ProbeOrder | None:
    estimate = _estimate(valid)
    found = conclude(limits, valid)
    n_looks = sum(abs(math.log(probe.rate_rps / estimate.rate_rps)) <= _NEAR_RATIO for probe in valid)
    if estimate.spread_ratio > _ESTIMATE_WITHIN and n_looks < _LOOKS_MOST:
        return _look(reach, valid, estimate)
    usable = found.usable_rps or 0.0
    if usable >= _CLOSE_ENOUGH_RATIO * estimate.rate_rps:
        is_loose = found.high_rps is None or found.high_rps > _LOOSE_BRACKET_RATIO * usable
        is_tried = any(estimate.rate_rps < probe.rate_rps <= 1.3 * estimate.rate_rps for probe in valid)
        return _proof(reach, valid, estimate, side=+1.0) if is_loose and not is_tried else None
    order = _proof(reach, valid, estimate, side=-1.0)
    # What passed needs no second look: where no probe that may be made tells more, the search is over.
    return order if order.rate_rps > _STEP * usable else None


def _look(reach: _Reach, valid: list[Probe], estimate: _Estimate) -> ProbeOrder:
    """A probe at the estimate itself; long enough to pin it down where it is near, short where it is only a guess."""
    clusters = _CLUSTERS_FEWEST
    if estimate.spread_ratio <= _FAR_RATIO:
        clusters = (1.0 / (_ESTIMATE_WITHIN * estimate.steepness)) ** 2
        clusters = min(max(clusters, _CLUSTERS_FEWEST), _CLUSTERS_MOST)
    near = _nearest(valid, estimate.rate_rps)
    n_requests = _spread(near) * clusters / near.allowed_ratio
    return _order(reach, estimate.rate_rps, n_requests / estimate.rate_rps)


def _proof(reach: _Reach, valid: list[Probe], estimate: _Estimate, *, side: float) -> ProbeOrder:
    """A probe just below the estimate (side -1) or just above it, as long as its bound needs.

    n = (z_bound sqrt(p0 (1 - p0)) + z_power sqrt(p (1 - p)))² / (p0 - p)² independent answers tell a share p from p0
    (Fleiss, Statistical Methods for Rates and Proportions, 2003, 2.4), with p = p0 exp(± steepness margin). Where that
    takes longer than is allowed the margin grows, as far as that still helps.
    """
    near = _nearest(valid, estimate.rate_rps * (1.0 + side * _MARGIN))
    allowed = near.allowed_ratio
    widest = max(_MARGIN, min(_MARGIN_MOST, _MARGIN_HELPS / estimate.steepness))
    for margin in np.geomspace(_MARGIN, widest, 9).tolist():
        rate = estimate.rate_rps * (1.0 + side * margin)
        share = min(allowed * math.exp(side * estimate.steepness * margin), 0.5)
        root = _Z_BOUND * math.sqrt(allowed * (1.0 - allowed)) + _Z_POWER * math.sqrt(share * (1.0 - share))
        duration_s = _spread(near) * (root / (share - allowed)) ** 2 / rate
        if duration_s <= reach.longest_s:
            break
    return _order(reach, rate, duration_s)


def _nearest(valid: list[Probe], rate_rps: float) -> Probe:
    """The probe that tells most of the design effect there: those that saw misses first, those in overload last."""
    return min(
        valid,
        key=lambda probe: (_is_overload(probe), probe.strain == 0.0, abs(math.log(probe.rate_rps / rate_rps))),
    )


def _spread(probe: Probe) -> float:
    """The design effect: how many answers say as much as one independent one."""
    return probe.n_requests / probe.n_independent


def _is_overload(probe: Probe) -> bool:
    return probe.strain > _OVERLOAD_STRAIN


def _estimate(valid: list[Probe]) -> _Estimate:
    """The mean capacity over all laws strain = exp(steepness (rate / capacity - 1)), each by how likely it is.

    Likelihoods are those of the misses among as many independent answers as each probe is worth. Beforehand every
    capacity within reach of the probes is as likely as any other, on a logarithmic scale, and the steepness is
    lognormal around 15. First a wide grid, then a fine one around what it found.
    """
    rates = [probe.rate_rps for probe in valid]
    low, high = math.log(0.5 * min(rates)), math.log(2.0 * max(rates))
    for _ in range(2):
        log_capacity = np.linspace(low, high, _N_CAPACITIES)[:, None]
        log_steepness = np.linspace(*_LOG_STEEPNESS_FROM_TO, _N_STEEPNESSES)[None, :]
        logs = -0.5 * ((log_steepness - _LOG_STEEPNESS_USUAL) / _LOG_STEEPNESS_SPREAD) ** 2
        for probe in valid:
            logs = logs + _log_likelihood(probe, log_capacity, np.exp(log_steepness))
        weight = np.exp(logs - logs.max())
        weight /= weight.sum()
        mean = float((weight * log_capacity).sum())
        spread = math.sqrt(float((weight * (log_capacity - mean) ** 2).sum()))
        width = max(5.0 * spread, 0.02)
        low, high = max(low, mean - width), min(high, mean + width)
    steepness = math.exp(float((weight * log_steepness).sum()))
    return _Estimate(rate_rps=math.exp(mean), spread_ratio=spread, steepness=steepness)


def _log_likelihood(
    probe: Probe, log_capacity: NDArray[np.float64], steepness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the probe's misses, for each capacity and steepness.

    In overload the share of misses tells how long the probe was, not how far beyond the capacity: any law that is as
    strained is as good as another.
    """
    log_strain = steepness * (np.exp(math.log(probe.rate_rps) - log_capacity) - 1.0)
    strain = min(probe.strain, _OVERLOAD_STRAIN)
    most = math.log(_OVERLOAD_STRAIN) if _is_overload(probe) else math.log(0.99 / probe.allowed_ratio)
    share = probe.allowed_ratio * np.exp(np.minimum(log_strain, most))
    n_missed = strain * probe.allowed_ratio * probe.n_independent
    likelihood: NDArray[np.float64] = n_missed * np.log(share) + (probe.n_independent - n_missed) * np.log1p(-share)
    return likelihood


def _order(reach: _Reach, rate_rps: float, duration_s: float) -> ProbeOrder:
    rate = min(rate_rps, reach.max_rate_rps)
    shortest_s = max(reach.shortest_s, _REQUESTS_FEWEST / rate)
    return ProbeOrder(rate_rps=rate, duration_s=min(max(duration_s, shortest_s), reach.longest_s))
