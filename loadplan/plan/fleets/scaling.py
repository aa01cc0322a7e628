"""Replicas that follow the week: static, scheduled and reactive scaling of one offer, minute by minute.

The rate of an hour holds for its sixty minutes and jumps on the hour, the hardest week that an hourly profile allows.
A replica is paid from the minute in which it is wanted and is ready `start_up_s` later, rounded up to minutes; those
that are still starting are the first to go. The week is a circle. With n(m) the replicas that the rate of minute m
needs, headroom and spares included, and d the minutes of a start-up:

- *static*: the most that the week needs, all week.
- *scheduled*: wanted(m) = max n over m … m + d. The schedule knows the week and asks so early that all are ready.
- *reactive*: the rate that is seen is a minute old, and replicas stay as long as any minute of the stabilisation window
  s needed them: wanted(m) = max n over m - 1 - s … m - 1.
- ready(m) = min wanted over m - d … m, for only what was wanted all that time has started.

A minute is in *violation* when its rate is above what the ready replicas carry within every objective, with no headroom
and all of them there, and *thin* when fewer are ready than headroom and spares ask for. The decision a reader would
question: the tolerance of 10 % within which Kubernetes' autoscaler does nothing is left out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from loadplan.plan.fleets.candidate import Candidate, carried_by, n_needed
from loadplan.plan.fleets.demand import Demand
from loadplan.plan.fleets.sizing import usd_per_month
from loadplan.plan.fleets.start_up import start_up_parts
from loadplan.plan.records.scaling import PolicyCost, ScaledMonth, Scaling, ScheduledOffer, StartUpPart
from loadplan.scenario.spec import PlanRules, ScalingPolicy
from loadplan.units import HOURS_PER_WEEK

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]

_MINUTES = 60
_MINUTES_PER_WEEK = _MINUTES * HOURS_PER_WEEK
_PAID_BY_TIME = ("on_demand", "spot")
_METRIC_AGE_MINUTES = 1  # of the rate that the reactive policy sees


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuation:
    """What the weeks of the horizon need, and what so many replicas carry."""

    rates_rps: Rates  # (n_months, 168)
    needed: Counts  # (n_months, 168) replicas, headroom and spares included
    held: Counts  # (n_months, 168) replicas at which the reactive policy aims
    carried_rps: Callable[[int], float]  # by n ready replicas within every objective


def compare_scaling(candidate: Candidate, rivals: Sequence[Candidate], *, demand: Demand, rules: PlanRules) -> Scaling:
    """The three policies for the recommended candidate, and the rival that a schedule would make cheaper."""
    parts = start_up_parts(rules.start_up, candidate.start, candidate.capacity)
    start_up_s = math.fsum(part.time_s for part in parts)
    weeks = fluctuation(candidate, demand, rules=rules)
    policies: tuple[ScalingPolicy, ...] = ("static", "scheduled", "reactive")
    costs = tuple(_cost(policy, weeks, candidate, demand, start_up_s=start_up_s, rules=rules) for policy in policies)
    return Scaling(
        start_up=parts,
        start_up_s=start_up_s,
        chosen=rules.scaling.policy,
        policies=costs,
        cheapest_scheduled=_cheapest_scheduled(rivals, costs[1].usd_per_month, demand=demand, rules=rules),
    )


def fluctuation(candidate: Candidate, demand: Demand, *, rules: PlanRules, n_months: int | None = None) -> Fluctuation:
    """What each hour of each month's week needs of a candidate; of the first `n_months` only where that is given."""
    peaks_rps = np.array(demand.monthly_peak_rps[:n_months])
    rates_rps = np.outer(peaks_rps / demand.peak_rps, np.array(demand.hourly_rps))
    rates_rps[0] = demand.hourly_rps  # as written, not through a quotient
    target_ratio = rules.scaling.target_ratio
    aiming = rules if target_ratio is None else replace(rules, headroom_ratio=1.0 - target_ratio)
    bare = replace(rules, n_spare_replicas=0, n_zones=None, headroom_ratio=0.0)
    needed = _counts(rates_rps, candidate, rules)
    most = needed.max(axis=1, keepdims=True)
    return Fluctuation(
        rates_rps=rates_rps,
        needed=needed,
        held=needed if aiming is rules else np.minimum(_counts(rates_rps, candidate, aiming), most),
        carried_rps=lambda n_replicas: carried_by(candidate, n_replicas, rules=bare),
    )


def wanted_and_ready(
    policy: ScalingPolicy, weeks: Fluctuation, *, start_up_s: float, stabilisation_s: float
) -> tuple[Counts, Counts]:
    """Replicas that are paid for and that serve, each (n_months, 10080), by minute of the week."""
    needed = np.repeat(weeks.held if policy == "reactive" else weeks.needed, _MINUTES, axis=1)
    n_starting = math.ceil(start_up_s / _MINUTES)
    if policy == "static":
        wanted = np.broadcast_to(needed.max(axis=1, keepdims=True), needed.shape)
        return wanted, wanted
    if policy == "scheduled":
        wanted = _most_ahead(needed, n_starting)
    else:
        seen = np.roll(needed, _METRIC_AGE_MINUTES, axis=1)
        wanted = _most_behind(seen, math.ceil(stabilisation_s / _MINUTES))
    return wanted, _least_behind(wanted, n_starting)


def _counts(rates_rps: Rates, candidate: Candidate, rules: PlanRules) -> Counts:
    distinct, place = np.unique(rates_rps, return_inverse=True)
    counts = [n_needed(candidate, peak_rps=float(rate_rps), rules=rules) for rate_rps in distinct]
    return np.array(counts, dtype=np.int64)[place].reshape(rates_rps.shape)


def _most_ahead(counts: Counts, n_minutes: int) -> Counts:
    size = n_minutes + 1
    most: Counts = maximum_filter1d(counts, size, axis=1, mode="wrap", origin=-(size // 2))
    return most


def _most_behind(counts: Counts, n_minutes: int) -> Counts:
    size = n_minutes + 1
    most: Counts = maximum_filter1d(counts, size, axis=1, mode="wrap", origin=(size - 1) // 2)
    return most


def _least_behind(counts: Counts, n_minutes: int) -> Counts:
    size = n_minutes + 1
    least: Counts = minimum_filter1d(counts, size, axis=1, mode="wrap", origin=(size - 1) // 2)
    return least


def _cost(
    policy: ScalingPolicy,
    weeks: Fluctuation,
    candidate: Candidate,
    demand: Demand,
    *,
    start_up_s: float,
    rules: PlanRules,
) -> PolicyCost:
    wanted, ready = wanted_and_ready(
        policy, weeks, start_up_s=start_up_s, stabilisation_s=rules.scaling.stabilisation_s
    )
    violations, thin = _short_minutes(weeks, ready)
    months = tuple(
        ScaledMonth(
            i_month=i,
            peak_rps=peak_rps,
            n_most=int(wanted[i].max()),
            mean_replicas=int(wanted[i].sum()) / _MINUTES_PER_WEEK,
            usd=_usd(candidate, wanted[i], rules),
            violation_minutes=int(violations[i]),
            thin_minutes=int(thin[i]),
        )
        for i, peak_rps in enumerate(demand.monthly_peak_rps)
    )
    hourly_ready = ready[0].reshape(HOURS_PER_WEEK, _MINUTES).min(axis=1)
    first = months[0]
    return PolicyCost(
        policy=policy,
        usd_per_month=first.usd,
        n_least=int(wanted[0].min()),
        n_most=first.n_most,
        mean_replicas=first.mean_replicas,
        violation_minutes=first.violation_minutes,
        thin_minutes=first.thin_minutes,
        hourly_ready=tuple(int(n) for n in hourly_ready),
        hourly_carried_rps=tuple(weeks.carried_rps(int(n)) for n in hourly_ready),
        months=months,
    )


def _short_minutes(weeks: Fluctuation, ready: Counts) -> tuple[Counts, Counts]:
    """Minutes of each month's week in violation, and thin, (n_months,) each."""
    distinct, place = np.unique(ready, return_inverse=True)
    carried_rps = np.array([weeks.carried_rps(int(n)) for n in distinct])[place].reshape(ready.shape)
    violations = np.repeat(weeks.rates_rps, _MINUTES, axis=1) > carried_rps
    thin = ready < np.repeat(weeks.needed, _MINUTES, axis=1)
    return violations.sum(axis=1), thin.sum(axis=1)


def _usd(candidate: Candidate, wanted: Counts, rules: PlanRules) -> Decimal:
    """Of a month whose every week wants so many replicas by minute, (10080,): price x hours x their mean.

    What is owned or committed is paid for whether it serves or not. The surplus credits in the price of a burstable
    type are those of replicas that idle in quiet hours; fewer would pay more of them, so nothing is saved there.
    """
    offer = candidate.offer
    if offer.purchase not in _PAID_BY_TIME or candidate.capacity.burst == "surplus":
        return usd_per_month(offer, int(wanted.max()), rules=rules)
    return offer.usd_per_hour * rules.hours_per_month * int(wanted.sum()) / _MINUTES_PER_WEEK


def _cheapest_scheduled(
    rivals: Sequence[Candidate], usd_per_month: Decimal, *, demand: Demand, rules: PlanRules
) -> ScheduledOffer | None:
    """Of the offers that lost as static fleets; by name among equals. None: none is cheaper by a schedule either."""
    offers = [_scheduled(rival, demand, rules) for rival in rivals]
    best = min(offers, key=lambda one: (one.usd_per_month, one.offer_name), default=None)
    return best if best is not None and best.usd_per_month < usd_per_month else None


def _scheduled(candidate: Candidate, demand: Demand, rules: PlanRules) -> ScheduledOffer:
    parts: Sequence[StartUpPart] = start_up_parts(rules.start_up, candidate.start, candidate.capacity)
    weeks = fluctuation(candidate, demand, rules=rules, n_months=1)
    wanted, _ = wanted_and_ready(
        "scheduled", weeks, start_up_s=math.fsum(part.time_s for part in parts), stabilisation_s=0.0
    )
    return ScheduledOffer(
        offer_name=candidate.offer.name,
        n_least=int(wanted.min()),
        n_most=int(wanted.max()),
        usd_per_month=_usd(candidate, wanted[0], rules),
    )
