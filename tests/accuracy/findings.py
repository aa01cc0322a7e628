"""Everything that the finished runs of a design say, gathered into cases: what the table and the plot are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from loadplan.errors import LoadplanError
from loadplan.fit.records import CapacityFit, PredictedLatency, SettingCapacity
from loadplan.load.records import LoadRun
from loadplan.load.verdict import judge_slo
from loadplan.stats import Interval
from tests.accuracy.compare import CapacityCase, Case, DecisionCase, Outcome
from tests.accuracy.design import Configuration, Question, Saturation
from tests.accuracy.predictions import (
    Fits,
    fits_of,
    latency_by_law,
    predicted_capacity,
    predicted_latency,
    predicted_saturation,
    replicas_latency,
)
from tests.accuracy.runs import Runs

T = TypeVar("T")

BELOW_RATIO, ABOVE_RATIO = 0.9, 1.25  # of the lower bound, and of the prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What there is so far."""

    cases: tuple[Case, ...]
    saturations: tuple[CapacityCase, ...]
    capacities: tuple[CapacityCase, ...]
    decisions: tuple[DecisionCase, ...]
    n_calibrations: int  # runs that the laws rest on
    missing: tuple[str, ...]  # what is not finished; empty where the design is
    fleets: tuple[Case, ...] = ()  # of several replicas


class Judge:
    """Fits each subject once, and holds what it says against the finished runs."""

    def __init__(self, runs: Runs) -> None:
        """Of these runs, as far as they are finished now."""
        self._runs = runs
        self._fits: dict[str, Fits | str] = {}  # or why there is none

    def findings(self) -> Findings:
        """All cases of the design."""
        design = self._runs.design
        return Findings(
            cases=tuple(self._case(one) for one in design.configurations),
            saturations=tuple(self._saturation(one) for one in design.saturations if one.is_held_out),
            capacities=tuple(self._capacity(one) for one in design.capacities),
            decisions=tuple(self._decision(one) for one in design.decisions),
            fleets=tuple(self._case(one) for one in design.fleets),
            n_calibrations=sum(fits.n_runs for fits in self._fits.values() if isinstance(fits, Fits)),
            missing=self._missing(),
        )

    def drive_decisions(self) -> None:
        """Both sides of each decision, at the rates that its prediction names."""
        for question in self._runs.design.decisions:
            capacity = self._predicted(question)
            if isinstance(capacity, SettingCapacity) and capacity.usable_capacity_rps_low > 0.0:
                self._runs.drive_decision(question, "low", BELOW_RATIO * capacity.usable_capacity_rps_low)
                self._runs.drive_decision(question, "high", ABOVE_RATIO * capacity.usable_capacity_rps)

    def _law(self, subject: str) -> Fits | str:
        if subject not in self._fits:
            try:
                self._fits[subject] = fits_of(self._runs, subject)
            except LoadplanError as error:
                self._fits[subject] = error.what
        return self._fits[subject]

    def _case(self, one: Configuration) -> Case:
        truth, fits = self._runs.truth(one), self._law(one.subject)
        capacity_rps = self._runs.capacity_rps(one.subject, one.max_batch_size)
        rate_rps, repeats = truth.rate_rps, self._runs.repeats(one)
        predicted: PredictedLatency | str
        by_law: PredictedLatency | str | None = None
        of_rounds: list[PredictedLatency] = []
        if isinstance(fits, str):
            predicted = fits
        elif rate_rps is None:
            predicted = "no valid run"
        else:
            pooled, scenario, rate = fits.pooled, fits.scenario, rate_rps
            predicted = _told(lambda: _latency(pooled, one, repeats))
            if one.n_replicas == 1:
                by_law = _told(lambda: latency_by_law(pooled, scenario, one, rate_rps=rate))
            for fit in fits.of_rounds:
                told = _told(lambda fit=fit: _latency(fit, one, repeats))  # type: ignore[misc]
                if isinstance(told, PredictedLatency):
                    of_rounds.append(told)
        is_told = isinstance(predicted, PredictedLatency)
        return Case(
            name=one.name,
            is_apart=one.is_apart,
            utilisation_ratio=rate_rps / (one.n_replicas * capacity_rps) if rate_rps and capacity_rps else None,
            truth=truth,
            predicted=predicted if isinstance(predicted, PredictedLatency) else None,
            by_law=by_law if isinstance(by_law, PredictedLatency) else None,
            of_rounds=tuple(of_rounds),
            why_none=None if is_told else str(predicted),
        )

    def _saturation(self, one: Saturation) -> CapacityCase:
        rounds = sorted((rps for rps in self._runs.saturated(one) if rps is not None), reverse=True)
        fits = self._law(one.subject)
        predicted = (
            fits
            if isinstance(fits, str)
            else _told(lambda: predicted_saturation(fits.pooled, fits.scenario, one.max_batch_size))
        )
        return CapacityCase(
            name=one.name,
            measured_rps=rounds[0] if rounds else None,
            spread_ratio=1.0 - rounds[1] / rounds[0] if len(rounds) > 1 else None,
            predicted_rps=None if isinstance(predicted, str) else predicted.saturated_rps,
            interval=None
            if isinstance(predicted, str)
            else Interval(low=predicted.saturated_rps_low, high=predicted.saturated_rps_high, confidence_ratio=0.9),
        )

    def _capacity(self, question: Question) -> CapacityCase:
        predicted = self._predicted(question)
        low, high = self._runs.bracket(question)
        saturated_rps = self._runs.capacity_rps(question.subject, question.max_batch_size)
        is_known = saturated_rps is not None and self._runs.is_bracketed(question)
        return CapacityCase(
            name=question.name,
            measured_rps=saturated_rps * (low + high) / 2.0 if saturated_rps is not None and is_known else None,
            spread_ratio=(high - low) / (high + low) if is_known else None,
            predicted_rps=None if isinstance(predicted, str) else predicted.usable_capacity_rps,
            interval=None if isinstance(predicted, str) else _interval(predicted),
        )

    def _decision(self, question: Question) -> DecisionCase:
        predicted = self._predicted(question)
        is_told = isinstance(predicted, SettingCapacity)
        return DecisionCase(
            name=question.name,
            predicted_rps=predicted.usable_capacity_rps if isinstance(predicted, SettingCapacity) else None,
            low_rps=predicted.usable_capacity_rps_low if isinstance(predicted, SettingCapacity) else None,
            below=outcome_of(self._runs.decision(question, "low") if is_told else None, question),
            above=outcome_of(self._runs.decision(question, "high") if is_told else None, question),
        )

    def _predicted(self, question: Question) -> SettingCapacity | str:
        fits = self._law(question.subject)
        if isinstance(fits, str):
            return fits
        return _told(lambda: predicted_capacity(fits.pooled, fits.scenario, question))

    def _missing(self) -> tuple[str, ...]:
        """In words, what of the design is not there."""
        design, runs = self._runs.design, self._runs
        fewest = design.n_rounds
        parts = {
            "configurations": [runs.truth(one).n_repeats >= fewest for one in design.held_out],
            "configurations with enough undisturbed time": [
                runs.truth(one).clean_s >= design.clean_s for one in design.held_out
            ],
            "saturated capacities": [len(runs.saturated(one)) >= fewest for one in design.saturations],
            "calibrations": [
                runs.calibration(subject.name, i)[1] is None for subject in design.subjects for i in range(fewest)
            ],
            "capacities at an objective": [runs.is_bracketed(one) for one in design.capacities],
            "decisions": [runs.decision(one, "high") is not None for one in design.decisions],
        }
        return tuple(f"{sum(flags)} of {len(flags)} {name}" for name, flags in parts.items() if sum(flags) < len(flags))


def _latency(fit: CapacityFit, one: Configuration, repeats: Sequence[LoadRun]) -> PredictedLatency:
    return predicted_latency(fit, repeats) if one.n_replicas == 1 else replicas_latency(fit, one, repeats)


def outcome_of(run: LoadRun | None, question: Question) -> Outcome:
    """Whether every limit held over all due requests of a run, and no more failed than may."""
    if run is None:
        return "not driven"
    if not run.verdict.valid:
        return "void"
    few_failed = run.verdict.n_failed <= question.objective.max_failed_ratio * run.requests.n_requests
    is_met = all(attained.is_met for attained in judge_slo(run, question.objective))
    return "held" if few_failed and is_met else "missed"


def _interval(capacity: SettingCapacity) -> Interval:
    return Interval(low=capacity.usable_capacity_rps_low, high=capacity.usable_capacity_rps_high, confidence_ratio=0.9)


def _told(ask: Callable[[], T]) -> T | str:
    """What the law says, or why it says nothing."""
    try:
        return ask()
    except LoadplanError as error:
        return error.what
