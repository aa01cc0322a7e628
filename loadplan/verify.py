"""Does it hold when driven live? The plan's setting runs on the machine at hand, at the planned share of its capacity.

The verdict is about the share that each replica carries with the spares gone; the lower one with all of them may be
driven beside it, and a quarter more to see whether the plan is wasteful (`driven`).

What that proves depends on the machine: where its fingerprint is the recommended instance type, the plan itself;
anywhere else the law that the plan rests on, while the hardware stays extrapolated. The verdict uses all requests
from their due time; clean windows never turn a miss into a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from loadplan.caveat import Basis, Caveat
from loadplan.driven import ShareVerdict, Sharpness
from loadplan.errors import InputError, InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.execution import Setting
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit, ClassLatency, PredictedLatency, SettingCapacity
from loadplan.fit.run_prediction import predict_runs
from loadplan.load.outside import seen_from
from loadplan.load.records import LoadRun
from loadplan.load.verdict import ClassTimes, failures_allowed, judge_slo, response_times_s, times_by_class
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.scenario.arrivals import described, requests_to_show
from loadplan.scenario.outside import AT_THE_SERVER
from loadplan.scenario.spec import Scenario
from loadplan.slo import Attainment, Outcome
from loadplan.stats import Interval, quantile_interval, supported_percentile
from loadplan.trial import HERE, Replica, recommended_fleet, setting_capacity
from loadplan.units import SECONDS_PER_MS

Subject = Literal["plan", "law"]

_WORST_FIRST: tuple[Outcome, ...] = ("missed", "unclear", "met")
_SHOWN_LEAST_RATIO = 0.4  # of what slow arrivals do; below it a doubt is said


SERVER_PART_ONLY = "verify.server_part_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassVerdict:
    """What the live run showed of the requests of one class."""

    name: str
    n_requests: int  # due; those of all classes sum to the run's
    n_failed: int
    measured_p50_s: float | None  # None: fewer answers than it takes
    measured_p99_s: float | None
    measured_p99_interval: Interval | None
    predicted: ClassLatency | None  # None: the fit doesn't tell the classes apart
    outcome: Outcome | None  # of the objectives of this class together; None: it has none of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one live run of the planned setting showed."""

    passed: bool
    subject: Subject  # what a pass is a proof of
    setting: Setting | None  # None: a service of the user's own, of which loadplan knows none
    offered_rate_rps: float
    utilisation_ratio: float  # share of this machine's usable capacity that was offered: as planned
    n_requests: int
    n_failed: int
    few_failed: bool  # whether no more than the objectives allow
    valid: bool  # whether the generator did its part; an invalid run proves nothing
    invalid_reasons: tuple[str, ...]
    attainments: tuple[Attainment, ...]  # empty when the run is invalid
    predicted: PredictedLatency  # for this machine
    measured_p50_s: float | None
    measured_p99_s: float | None
    measured_p50_interval: Interval | None
    measured_p99_interval: Interval | None
    clean_ratio: float
    run: str  # name of its load run
    prediction_held: bool | None  # whether the measured p99's interval meets the predicted one; None: not known
    caveats: tuple[Caveat, ...]
    classes: tuple[ClassVerdict, ...] = ()  # empty when the run is invalid, too
    measured_p95_s: float | None = None  # None: fewer answers than it takes, or an older file
    measured_p95_interval: Interval | None = None
    planned: ShareVerdict | None = None  # with all replicas there; None: not driven, or the plan has no spares
    sharpness: Sharpness | None = None  # None: not asked
    fleet_basis: Basis | None = None  # of what a replica of the recommended fleet carries; None: an older file
    measured_on: str | None = None  # whose profile that rests on, as in the plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a verification run is held against, beside the objectives."""

    usable_capacity_rps: float  # of the server that was driven
    predicted: PredictedLatency


def judge_verification(
    plan: Plan, fit: CapacityFit, scenario: Scenario, run: LoadRun, *, replica: Replica = HERE
) -> Verdict:
    """Hold a finished verification run against the objectives and against the prediction for the machine driven."""
    setting = run.spec.setting
    if setting is None:
        raise ValueError("a verification run says how its server ran")
    capacity = setting_capacity(fit, setting)
    expected = Expected(
        usable_capacity_rps=replica.times_as_much * capacity.usable_capacity_rps,
        predicted=_predicted(fit, run, capacity, replica),
    )
    return judge_run(recommended_fleet(plan), scenario, run, expected)


def judge_run(fleet: Fleet, scenario: Scenario, run: LoadRun, expected: Expected) -> Verdict:
    """Hold a finished run against the objectives and against what was expected of it; the fleet is the planned one."""
    verdict, predicted = run.verdict, expected.predicted
    judged = seen_from(run, scenario.vantage)
    attainments = tuple(a for slo in scenario.objectives for a in judge_slo(judged, slo)) if verdict.valid else ()
    few_failed = all(failures_allowed(run, slo) for slo in scenario.objectives)
    times_s = response_times_s(run) if verdict.valid else None
    if times_s is not None and times_s.size == 0:
        times_s = None
    measured_p99_s = None if times_s is None else supported_percentile(times_s, 0.99)
    measured_p99_interval = None if times_s is None else quantile_interval(times_s, 0.99)
    return Verdict(
        passed=verdict.valid and few_failed and all(a.outcome == "met" for a in attainments),
        subject=_subject(fleet, run),
        setting=run.spec.setting,
        offered_rate_rps=run.spec.offered_rate_rps,
        utilisation_ratio=run.spec.offered_rate_rps / expected.usable_capacity_rps,
        n_requests=run.requests.n_requests,
        n_failed=verdict.n_failed,
        few_failed=few_failed,
        valid=verdict.valid,
        invalid_reasons=verdict.invalid_reasons,
        attainments=attainments,
        predicted=predicted,
        measured_p50_s=None if times_s is None else supported_percentile(times_s, 0.5),
        measured_p99_s=measured_p99_s,
        measured_p50_interval=None if times_s is None else quantile_interval(times_s, 0.5),
        measured_p99_interval=measured_p99_interval,
        measured_p95_s=None if times_s is None else supported_percentile(times_s, 0.95),
        measured_p95_interval=None if times_s is None else quantile_interval(times_s, 0.95),
        clean_ratio=verdict.clean_ratio,
        run=run.spec.name,
        prediction_held=_prediction_held(predicted, measured_p99_s, measured_p99_interval),
        caveats=(
            *run.caveats,
            *_server_part_caveats(scenario),
            *_unseen_caveats(run),
            *_prediction_caveats(predicted, measured_p99_s),
        ),
        classes=tuple(_of_class(own, run, scenario, predicted, attainments) for own in times_by_class(run))
        if verdict.valid
        else (),
        fleet_basis=fleet.basis,
        measured_on=fleet.capacity.measured_on,
    )


def with_shares(verdict: Verdict, planned: ShareVerdict | None, sharpness: Sharpness | None) -> Verdict:
    """The verdict with what was driven beside it: no pass where the lower share with all replicas isn't met too.

    How sharp the plan is changes no verdict: a plan that is wasteful holds.
    """
    holds = planned is None or planned.outcome == "met"
    return replace(verdict, passed=verdict.passed and holds, planned=planned, sharpness=sharpness)


def predicted_for(fit: CapacityFit, run: LoadRun, *, replica: Replica = HERE) -> PredictedLatency | None:
    """What callers of a replica should have waited in a run; None where the law answers nothing at so high a rate."""
    if run.spec.setting is None:
        raise ValueError("a verification run says how its server ran")
    capacity = setting_capacity(fit, run.spec.setting)
    if run.spec.offered_rate_rps >= replica.times_as_much * capacity.saturated_rps:
        return None
    try:
        return _predicted(fit, run, capacity, replica)
    except (InputError, InvalidMeasurement):  # of a law that explains the runs as well
        return None


def _predicted(fit: CapacityFit, run: LoadRun, capacity: SettingCapacity, replica: Replica) -> PredictedLatency:
    """By the requests that fell due, where the process that was fitted was driven; of another replica by their rate.

    That is latency(r / (s p)) / s for p processes on a machine s times as fast, as the plan takes it (`transfer`):
    which of its processes gets which request nobody knows. A live run meets nothing of what delays it elsewhere.
    """
    if replica == HERE and run.requests.n_requests:
        (predicted,) = predict_runs(fit, [run])
        return predicted
    rate_rps, speed = _rate_rps(run), replica.speed_ratio
    if rate_rps >= replica.times_as_much * capacity.saturated_rps:  # of a plan at the very edge, by the luck of a run
        rate_rps = run.spec.offered_rate_rps
    one = predict(replace(fit, vantage=AT_THE_SERVER), capacity.setting, rate_rps=rate_rps / replica.times_as_much)
    return replace(
        one,
        offered_rate_rps=rate_rps,
        p50_s=one.p50_s / speed,
        p95_s=one.p95_s / speed,
        p99_s=one.p99_s / speed,
        p50_interval=_scaled(one.p50_interval, speed),
        p95_interval=_scaled(one.p95_interval, speed),
        p99_interval=_scaled(one.p99_interval, speed),
        classes=(),
    )


def _scaled(interval: Interval, speed: float) -> Interval:
    return replace(interval, low=interval.low / speed, high=interval.high / speed)


def worst_class(verdict: Verdict) -> ClassVerdict | None:
    """The class that fares worst: one that missed before one that can't be told, then by p99; None: no classes.

    Of a class with too few answers for a p99 nobody knows it; that class is the worst only by its outcome.
    """
    rank = {"missed": 2, "unclear": 1}
    return max(
        verdict.classes, key=lambda one: (rank.get(one.outcome or "met", 0), one.measured_p99_s or 0.0), default=None
    )


def _of_class(
    own: ClassTimes, run: LoadRun, scenario: Scenario, predicted: PredictedLatency, judged: Sequence[Attainment]
) -> ClassVerdict:
    times_s = own.times_s
    objectives = [slo for slo in scenario.objectives if slo.class_name == own.name]
    outcomes = {one.outcome for one in judged if one.class_name == own.name}
    if not all(failures_allowed(run, slo) for slo in objectives):
        outcomes.add("missed")
    return ClassVerdict(
        name=own.name,
        n_requests=own.n_requests,
        n_failed=own.n_failed,
        measured_p50_s=supported_percentile(times_s, 0.5) if times_s.size else None,
        measured_p99_s=supported_percentile(times_s, 0.99) if times_s.size else None,
        measured_p99_interval=quantile_interval(times_s, 0.99) if times_s.size else None,
        predicted=next((one for one in predicted.classes if one.name == own.name), None),
        outcome=next((outcome for outcome in _WORST_FIRST if outcome in outcomes), None),
    )


def _rate_rps(run: LoadRun) -> float:
    """The realised rate: a few seconds of Poisson arrivals stray by some percent, which moves a p99.

    The planned one of slow bursts, for a run that met fewer met them as fast; and of a run that can't be believed.
    """
    spec = run.spec
    is_slow = requests_to_show(spec.arrivals, rate_rps=spec.offered_rate_rps) > 0.0
    is_known = run.verdict.valid and run.verdict.achieved_rate_rps > 0.0
    return run.verdict.achieved_rate_rps if is_known and not is_slow else spec.offered_rate_rps


def _prediction_held(
    predicted: PredictedLatency, measured_p99_s: float | None, measured: Interval | None
) -> bool | None:
    if measured_p99_s is None:
        return None
    low_s, high_s = (measured_p99_s, measured_p99_s) if measured is None else (measured.low, measured.high)
    return low_s <= predicted.p99_interval.high and high_s >= predicted.p99_interval.low


def _server_part_caveats(scenario: Scenario) -> tuple[Caveat, ...]:
    """What a run beside the server can't prove of objectives that are measured further away."""
    vantage = scenario.vantage
    if not vantage.delays:
        return ()
    missing = " or of ".join(vantage.named_delays)
    return (
        Caveat(
            code=SERVER_PART_ONLY,
            what=f"the objectives are measured at the {vantage.at}, and the live run met nothing of {missing}: it "
            "proves the server's part alone; the rest was drawn from the scenario's law of it and added to every "
            "request before it was judged",
            fix=f"measure from the {vantage.at} before you promise it; `slo_measured` takes files of such delays",
        ),
    )


def _unseen_caveats(run: LoadRun) -> tuple[Caveat, ...]:
    """Slow bursts, and long recordings, of which the live run could meet but a part."""
    wanted = requests_to_show(run.spec.arrivals, rate_rps=run.spec.offered_rate_rps)
    if run.requests.n_requests >= _SHOWN_LEAST_RATIO * wanted:
        return ()
    return (
        Caveat(
            code="verify.arrivals_unseen",
            what=f"the live run held {run.requests.n_requests:,} requests, and the arrivals "
            f"({described(run.spec.arrivals)}) take about {wanted:,.0f} to show what they do: "
            "a pass is one of the stretch that it met",
            fix="drive the planned setting for longer with `loadplan load`",
            number=run.requests.n_requests / wanted,
        ),
    )


def _prediction_caveats(predicted: PredictedLatency, measured_p99_s: float | None) -> tuple[Caveat, ...]:
    if measured_p99_s is None or predicted.p99_interval.low <= measured_p99_s <= predicted.p99_interval.high:
        return ()
    ratio = measured_p99_s / predicted.p99_s
    return (
        Caveat(
            code="verify.prediction_missed",
            what=f"the p99 that was measured live is {ratio:.2g} times the predicted one and outside its interval",
            fix="run again on a quieter machine; if it stays so, the law misses something of this server",
            number=ratio,
        ),
    )


def failure_of(verdict: Verdict) -> LoadplanError | None:
    """What a verdict that is no pass comes to, as an error to raise; None for a pass."""
    if not verdict.valid:
        return InvalidMeasurement(
            what="the live verification is invalid: " + "; ".join(verdict.invalid_reasons),
            where="verify",
            fix="run the same command again when the machine is quieter",
        )
    if beside := _invalid_beside(verdict):
        return InvalidMeasurement(
            what="; ".join(beside), where="verify", fix="run the same command again when the machine is quieter"
        )
    if verdict.passed:
        return None
    if is_unclear(verdict):
        return InvalidMeasurement(
            what=f"the live run shows neither that the objective holds nor that it doesn't: {unclear_bounds(verdict)}",
            where="verify",
            fix="plan with more headroom; this close to the limit a run of a minute can't tell",
        )
    smaller = " or a smaller batch" if verdict.setting else ""
    return ObjectiveMissed(
        what=f"{what_was_driven(verdict)} missed the objective when driven live" + _missed_classes(verdict),
        where="verify",
        fix=f"read the report's section on the live run; plan with more headroom{smaller}",
    )


def what_was_driven(verdict: Verdict) -> str:
    """What was driven, in the middle of a sentence."""
    return "the planned setting" if verdict.setting else "the service"


def _invalid_beside(verdict: Verdict) -> list[str]:
    """Of the runs beside the one that the verdict is about, those that can't be believed, and why."""
    beside = (verdict.planned, None if verdict.sharpness is None else verdict.sharpness.driven)
    return [
        f"the live run {one.run} is invalid: {'; '.join(one.invalid_reasons)}"
        for one in beside
        if one is not None and one.invalid_reasons
    ]


def _missed_classes(verdict: Verdict) -> str:
    """Whose objectives were missed, where classes have their own."""
    names = [one.name for one in verdict.classes if one.outcome == "missed"]
    return f" for the class {', '.join(names)}" if names else ""


def verdict_word(verdict: Verdict) -> str:
    """PASS, FAIL, UNCLEAR where a run can't tell, or INVALID where one that decides can't be believed."""
    if not verdict.valid or (verdict.planned is not None and verdict.planned.invalid_reasons):
        return "INVALID"
    if is_unclear(verdict):
        return "UNCLEAR"
    return "PASS" if verdict.passed else "FAIL"


def is_unclear(verdict: Verdict) -> bool:
    """Whether nothing failed and no limit was missed for sure, but one isn't shown to hold either."""
    outcomes = {attained.outcome for attained in _attainments(verdict)}
    few_failed = verdict.few_failed and (verdict.planned is None or verdict.planned.few_failed)
    return "unclear" in outcomes and "missed" not in outcomes and few_failed


def _attainments(verdict: Verdict) -> tuple[Attainment, ...]:
    """Of the verdict's run, and of the one with all replicas there."""
    return (*verdict.attainments, *(verdict.planned.attainments if verdict.planned else ()))


def unclear_bounds(verdict: Verdict) -> str:
    """Such as `between 0.40 % and 1.3 % of the requests miss 50 ms, 1.00 % may`, of each limit that is in doubt."""
    return "; ".join(
        f"between {attained.miss_ratio_low:.2%} and {attained.miss_ratio_high:.2%} of the requests"
        f"{f' of {attained.class_name}' if attained.class_name else ''} miss "
        f"{attained.limit.limit_s / SECONDS_PER_MS:g} ms in the long run, {1.0 - attained.limit.quantile:.2%} may"
        for attained in _attainments(verdict)
        if attained.outcome == "unclear"
    )


def _subject(fleet: Fleet, run: LoadRun) -> Subject:
    """Of a fleet of several types one machine proves no more than the law."""
    is_of_plan = all(item.offer.type_name == run.machine.instance_type for item in fleet.items)
    return "plan" if is_of_plan else "law"
