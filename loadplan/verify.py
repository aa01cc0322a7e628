"""Does it hold when driven live? The plan's setting runs on the machine at hand, at the planned share of its capacity.

What that proves depends on the machine: where its fingerprint is the recommended instance type, the plan itself;
anywhere else the law that the plan rests on, while the hardware stays extrapolated. The verdict uses all requests
from their due time; clean windows never turn a miss into a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.execution import Setting
from loadplan.fit.capacity import predict
from loadplan.fit.records import CapacityFit, ClassLatency, PredictedLatency, SettingCapacity
from loadplan.load.classes import class_runs
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.load.verdict import failures_allowed, judge_slo, response_times_s
from loadplan.plan.fleet import Fleet, Plan
from loadplan.scenario.arrivals import busiest, described, requests_to_show
from loadplan.scenario.spec import Scenario
from loadplan.slo import Attainment, Outcome
from loadplan.stats import Interval, n_samples_needed, quantile_interval, supported_percentile
from loadplan.units import SECONDS_PER_MS

Subject = Literal["plan", "law"]

# A few seconds for rare pauses to show, and enough requests for a bound on the misses: slow answers come in clusters,
# so ten are worth about one that stands alone.
_SHORTEST_S = 8.0
_LONGEST_S = 60.0
_LONGEST_OF_CLASSES_S = 300.0  # a class of 1 % needs a hundred times as long as all requests together
_REQUESTS_WANTED = 10 * n_samples_needed(0.99)
# Where the limits are this many times the p99 that is expected, no cluster comes near them, and fewer requests show it.
_FAR_RATIO, _REQUESTS_OF_FAR = 10.0, 2 * n_samples_needed(0.99)
_WORST_FIRST: tuple[Outcome, ...] = ("missed", "unclear", "met")
_SHOWN_LEAST_RATIO = 0.4  # of what slow arrivals do; below it a doubt is said


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
    setting: Setting
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


def verification_spec(plan: Plan, fit: CapacityFit, scenario: Scenario) -> LoadSpec:
    """The live run that tests the plan: its setting, at the planned share of this machine's capacity, spares gone.

    Raises:
        ObjectiveMissed: when there is no plan to verify, or it rests on given capacities and names no setting.
        InvalidMeasurement: when its setting was measured elsewhere only, or nothing holds the objectives with it here.
    """
    fleet = recommended_fleet(plan)
    setting = fleet.capacity.setting
    if setting is None:
        raise ObjectiveMissed(
            what="the plan rests on given capacities, so loadplan knows no setting to drive",
            where="the recommended fleet",
            fix="measure the model with `loadplan run`, or drive your own server with `loadplan load URL`",
        )
    if not is_drivable(plan, fit):
        raise InvalidMeasurement(
            what=f"the planned setting rests on the profile of {fleet.capacity.measured_on}; this machine was not "
            "measured with it, or can't meet the objectives with it at any rate",
            where="verify",
            fix="give the run and the profile to a machine of that type and run `loadplan run` there",
        )
    rate = fleet.utilisation_ratio_degraded * setting_capacity(fit, setting).usable_capacity_rps
    arrivals = busiest(scenario.traffic.arrivals)
    tightest_s = min(limit.limit_s for slo in scenario.objectives for limit in slo.limits)
    is_far = _FAR_RATIO * predict(fit, setting, rate_rps=rate).p99_interval.high < tightest_s
    n_for_bound = _REQUESTS_OF_FAR if is_far else _REQUESTS_WANTED
    n_wanted = max(float(n_for_bound), requests_to_show(arrivals, rate_rps=rate))
    of_all_s = min(max(_SHORTEST_S, n_wanted / rate), _LONGEST_S)
    duration_s = max(of_all_s, min(_n_for_classes(scenario) / rate, _LONGEST_OF_CLASSES_S))
    return LoadSpec(
        name="verification",
        purpose="verification",
        arrivals=arrivals,
        offered_rate_rps=rate,
        duration_s=duration_s,
        seed=scenario.load.seed + 1,  # not the arrivals that calibrated the law
        timeout_s=verification_timeout_s(scenario),
        setting=setting,
    )


def _n_for_classes(scenario: Scenario) -> float:
    """Requests of all classes until each with objectives of its own has enough for a bound on its misses."""
    shares = {one.name: one.share for one in scenario.traffic.classes}
    wanted = [
        10.0 * n_samples_needed(limit.quantile) / shares[slo.class_name]
        for slo in scenario.objectives
        for limit in slo.limits
        if slo.class_name is not None
    ]
    return max(wanted, default=0.0)


def is_drivable(plan: Plan, fit: CapacityFit) -> bool:
    """Whether this machine can show anything of the planned setting: it was fitted here, and holds at some rate."""
    setting = None if plan.recommended is None else plan.recommended.capacity.setting
    return any(one.setting == setting and one.usable_capacity_rps > 0.0 for one in fit.capacities)


def verification_timeout_s(scenario: Scenario) -> float:
    """Long enough that a missed limit is a late answer, not a lost one: ten times the loosest limit, 1 s at least."""
    loosest_s = max(limit.limit_s for slo in scenario.objectives for limit in slo.limits)
    return max(1.0, 10.0 * loosest_s)


def judge_verification(plan: Plan, fit: CapacityFit, scenario: Scenario, run: LoadRun) -> Verdict:
    """Hold a finished verification run against the objectives and against the prediction for this machine."""
    fleet = recommended_fleet(plan)
    setting = run.spec.setting
    if setting is None:
        raise ValueError("a verification run says how its server ran")
    verdict = run.verdict
    attainments = tuple(a for slo in scenario.objectives for a in judge_slo(run, slo)) if verdict.valid else ()
    few_failed = all(failures_allowed(run, slo) for slo in scenario.objectives)
    times_s = response_times_s(run) if verdict.valid else None
    if times_s is not None and times_s.size == 0:
        times_s = None
    rate_rps = run.spec.offered_rate_rps if times_s is None else _rate_rps(run)
    if rate_rps >= setting_capacity(fit, setting).saturated_rps:  # of a plan at the very edge, by the luck of a run
        rate_rps = run.spec.offered_rate_rps
    predicted = predict(fit, setting, rate_rps=rate_rps)
    measured_p99_s = None if times_s is None else supported_percentile(times_s, 0.99)
    measured_p99_interval = None if times_s is None else quantile_interval(times_s, 0.99)
    return Verdict(
        passed=verdict.valid and few_failed and all(a.outcome == "met" for a in attainments),
        subject=_subject(fleet, run),
        setting=setting,
        offered_rate_rps=run.spec.offered_rate_rps,
        utilisation_ratio=run.spec.offered_rate_rps / setting_capacity(fit, setting).usable_capacity_rps,
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
        clean_ratio=verdict.clean_ratio,
        run=run.spec.name,
        prediction_held=_prediction_held(predicted, measured_p99_s, measured_p99_interval),
        caveats=(*run.caveats, *_unseen_caveats(run), *_prediction_caveats(predicted, measured_p99_s)),
        classes=tuple(_of_class(name, own, run, scenario, predicted, attainments) for name, own in class_runs(run))
        if verdict.valid
        else (),
    )


def worst_class(verdict: Verdict) -> ClassVerdict | None:
    """The class that fares worst: one that missed before one that can't be told, then by p99; None: no classes.

    Of a class with too few answers for a p99 nobody knows it; that class is the worst only by its outcome.
    """
    rank = {"missed": 2, "unclear": 1}
    return max(
        verdict.classes, key=lambda one: (rank.get(one.outcome or "met", 0), one.measured_p99_s or 0.0), default=None
    )


def _of_class(
    name: str, own: LoadRun, run: LoadRun, scenario: Scenario, predicted: PredictedLatency, judged: Sequence[Attainment]
) -> ClassVerdict:
    times_s = response_times_s(own)
    objectives = [slo for slo in scenario.objectives if slo.class_name == name]
    outcomes = {one.outcome for one in judged if one.class_name == name}
    if not all(failures_allowed(run, slo) for slo in objectives):
        outcomes.add("missed")
    return ClassVerdict(
        name=name,
        n_requests=own.requests.n_requests,
        n_failed=own.verdict.n_failed,
        measured_p50_s=supported_percentile(times_s, 0.5) if times_s.size else None,
        measured_p99_s=supported_percentile(times_s, 0.99) if times_s.size else None,
        measured_p99_interval=quantile_interval(times_s, 0.99) if times_s.size else None,
        predicted=next((one for one in predicted.classes if one.name == name), None),
        outcome=next((outcome for outcome in _WORST_FIRST if outcome in outcomes), None),
    )


def _rate_rps(run: LoadRun) -> float:
    """The realised rate: a few seconds of Poisson arrivals stray by some percent, which moves a p99.

    Of slow bursts the planned one: a run that met fewer of them met them as fast.
    """
    spec = run.spec
    is_slow = requests_to_show(spec.arrivals, rate_rps=spec.offered_rate_rps) > 0.0
    return spec.offered_rate_rps if is_slow else run.verdict.achieved_rate_rps


def _prediction_held(
    predicted: PredictedLatency, measured_p99_s: float | None, measured: Interval | None
) -> bool | None:
    if measured_p99_s is None:
        return None
    low_s, high_s = (measured_p99_s, measured_p99_s) if measured is None else (measured.low, measured.high)
    return low_s <= predicted.p99_interval.high and high_s >= predicted.p99_interval.low


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
    if verdict.passed:
        return None
    if is_unclear(verdict):
        return InvalidMeasurement(
            what=f"the live run shows neither that the objective holds nor that it doesn't: {unclear_bounds(verdict)}",
            where="verify",
            fix="plan with more headroom; this close to the limit a run of a minute can't tell",
        )
    return ObjectiveMissed(
        what="the planned setting missed the objective when driven live" + _missed_classes(verdict),
        where="verify",
        fix="read the report's section on the live run; plan with more headroom or a smaller batch",
    )


def _missed_classes(verdict: Verdict) -> str:
    """Whose objectives were missed, where classes have their own."""
    names = [one.name for one in verdict.classes if one.outcome == "missed"]
    return f" for the class {', '.join(names)}" if names else ""


def verdict_word(verdict: Verdict) -> str:
    """PASS, FAIL, UNCLEAR where the run can't tell, or INVALID where it can't be believed."""
    if not verdict.valid:
        return "INVALID"
    if is_unclear(verdict):
        return "UNCLEAR"
    return "PASS" if verdict.passed else "FAIL"


def is_unclear(verdict: Verdict) -> bool:
    """Whether nothing failed and no limit was missed for sure, but one isn't shown to hold either."""
    outcomes = {attained.outcome for attained in verdict.attainments}
    return "unclear" in outcomes and "missed" not in outcomes and verdict.few_failed


def unclear_bounds(verdict: Verdict) -> str:
    """Such as `between 0.40 % and 1.3 % of the requests miss 50 ms, 1.00 % may`, of each limit that is in doubt."""
    return "; ".join(
        f"between {attained.miss_ratio_low:.2%} and {attained.miss_ratio_high:.2%} of the requests"
        f"{f' of {attained.class_name}' if attained.class_name else ''} miss "
        f"{attained.limit.limit_s / SECONDS_PER_MS:g} ms in the long run, {1.0 - attained.limit.quantile:.2%} may"
        for attained in verdict.attainments
        if attained.outcome == "unclear"
    )


def recommended_fleet(plan: Plan) -> Fleet:
    """The fleet that the plan recommends. Raises ObjectiveMissed when nothing is feasible."""
    if plan.recommended is None:
        raise nothing_feasible(plan)
    return plan.recommended


def nothing_feasible(plan: Plan) -> ObjectiveMissed:
    """What a plan without any fleet comes to, as an error to raise."""
    return ObjectiveMissed(
        what=f"no fleet meets the objective: {plan.binding_constraint}",
        where="the plan",
        fix="relax the constraint that is named, or allow more kinds of machine",
    )


def setting_capacity(fit: CapacityFit, setting: Setting) -> SettingCapacity:
    """What one server process carries here with this setting."""
    return next(capacity for capacity in fit.capacities if capacity.setting == setting)


def _subject(fleet: Fleet, run: LoadRun) -> Subject:
    instance_type = fleet.items[0].offer.instance_type
    return "plan" if run.machine.instance_type == f"{instance_type.provider}/{instance_type.name}" else "law"
