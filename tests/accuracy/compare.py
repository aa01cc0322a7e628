"""Predictions held against what was measured: errors, bias, coverage and widths. Pure; ratios, not percent.

An error is predicted / measured - 1. A case without a prediction, or without a truth, is in no median, and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loadplan.fit.records import PredictedLatency
from loadplan.stats import Interval
from tests.accuracy.truth import QUANTILES, Truth

# The machine is too noisy to judge where its floor is above these, at p50 and p99.
FLOORS_ALLOWED = {0.5: 0.04, 0.99: 0.12}

Outcome = Literal["held", "missed", "void", "not driven"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One held-out configuration."""

    name: str
    is_apart: bool  # so near saturation that it is summed up by itself
    utilisation_ratio: float | None  # realised rate over the measured capacity
    truth: Truth
    predicted: PredictedLatency | None  # by the requests that fell due in the repeats
    by_law: PredictedLatency | None = None  # by the rate and the law of the arrivals alone
    of_rounds: tuple[PredictedLatency, ...] = ()  # by the calibration of each round alone
    why_none: str | None = None  # why there is no prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileSummary:
    """All cases of a group at one quantile."""

    quantile: float
    n: int  # cases with truth and prediction
    median_error: float | None  # of |error|
    p90_error: float | None
    bias: float | None  # median of the errors with their sign
    coverage: float | None  # share of the cases whose truth lies in the interval; None: there is no case
    half_width: float | None  # median of half the interval over the prediction
    floor: float | None  # median over the cases
    by_law_error: float | None  # median of |error| where only the law of the arrivals is known
    # Over all rounds and cases, each round fitted by itself: what users get, whose calibration is one round.
    single_walk_error: float | None  # median of |error|
    single_walk_coverage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityCase:
    """A capacity: saturated, or at an objective."""

    name: str
    measured_rps: float | None
    spread_ratio: float | None  # how far the second best round is below the best; half the bracket of a search
    predicted_rps: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCase:
    """What a decision would have come to."""

    name: str
    predicted_rps: float | None
    low_rps: float | None
    below: Outcome  # at 0.9 times the lower bound
    above: Outcome  # at 1.25 times the prediction


def error_of(predicted: float | None, measured: float | None) -> float | None:
    """predicted / measured - 1; None where one of them is not known."""
    return None if predicted is None or not measured else predicted / measured - 1.0


def latency_of(predicted: PredictedLatency, quantile: float) -> float:
    """The predicted latency at one of QUANTILES."""
    return {0.5: predicted.p50_s, 0.95: predicted.p95_s, 0.99: predicted.p99_s}[quantile]


def interval_of(predicted: PredictedLatency, quantile: float) -> Interval:
    """Its interval."""
    return {0.5: predicted.p50_interval, 0.95: predicted.p95_interval, 0.99: predicted.p99_interval}[quantile]


def case_error(case: Case, quantile: float) -> float | None:
    """The error of one case at one quantile."""
    if case.predicted is None:
        return None
    return error_of(latency_of(case.predicted, quantile), case.truth.latencies_s[QUANTILES.index(quantile)])


def summarise(cases: Sequence[Case], quantile: float) -> QuantileSummary:
    """One group of cases at one quantile."""
    i = QUANTILES.index(quantile)
    known = [
        (case.predicted, measured, error)
        for case in cases
        if (error := case_error(case, quantile)) is not None
        and case.predicted is not None
        and (measured := case.truth.latencies_s[i]) is not None
    ]
    errors = [error for _, _, error in known]
    half_widths = [
        (interval.high - interval.low) / 2.0 / latency_of(predicted, quantile)
        for predicted, _, _ in known
        for interval in [interval_of(predicted, quantile)]
    ]
    walks = [
        (predicted, measured)
        for case in cases
        for predicted in case.of_rounds
        if (measured := case.truth.latencies_s[i]) is not None
    ]
    return QuantileSummary(
        quantile=quantile,
        n=len(known),
        median_error=_median([abs(error) for error in errors]),
        p90_error=float(np.quantile(np.abs(errors), 0.9)) if errors else None,
        bias=_median(errors),
        coverage=_coverage([(predicted, measured) for predicted, measured, _ in known], quantile),
        half_width=_median(half_widths),
        floor=_median([floor for case in cases if (floor := case.truth.floors[i]) is not None]),
        by_law_error=_median(
            [
                abs(latency_of(case.by_law, quantile) / measured - 1.0)
                for case in cases
                if case.by_law is not None and (measured := case.truth.latencies_s[i]) is not None
            ]
        ),
        single_walk_error=_median([abs(latency_of(told, quantile) / measured - 1.0) for told, measured in walks]),
        single_walk_coverage=_coverage(walks, quantile),
    )


def too_noisy(cases: Sequence[Case]) -> tuple[str, ...]:
    """Why the machine's own floor lets nothing be said, by quantile; empty where it is low enough, or not known."""
    reasons = []
    for quantile, allowed in FLOORS_ALLOWED.items():
        floor = summarise(cases, quantile).floor
        if floor is not None and floor > allowed:
            reasons.append(
                f"repeats are {floor:.1%} from their median at p{100 * quantile:g}, at most {allowed:.0%} may be"
            )
    return tuple(reasons)


def capacity_error(case: CapacityCase) -> float | None:
    """The error of one capacity."""
    return error_of(case.predicted_rps, case.measured_rps)


def count_decisions(cases: Sequence[DecisionCase]) -> tuple[int, int, int]:
    """In how many the objectives held below, in how many one failed above, and how many were driven on both sides."""
    n_held = sum(case.below == "held" for case in cases)
    n_missed = sum(case.above == "missed" for case in cases)
    n_driven = sum({case.below, case.above} <= {"held", "missed"} for case in cases)
    return n_held, n_missed, n_driven


def median_error(cases: Sequence[CapacityCase]) -> tuple[int, float | None]:
    """How many capacities have truth and prediction, and the median of their |error|."""
    errors = [abs(error) for case in cases if (error := capacity_error(case)) is not None]
    return len(errors), _median(errors)


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _coverage(told: Sequence[tuple[PredictedLatency, float]], quantile: float) -> float | None:
    """Share of the intervals that hold what was measured; None where there is no case."""
    held = [
        interval.low <= measured <= interval.high
        for predicted, measured in told
        for interval in [interval_of(predicted, quantile)]
    ]
    return sum(held) / len(held) if held else None
