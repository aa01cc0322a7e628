"""The live runs that put a plan to the test: which rate, which arrivals, for how long, on which server.

Rates are requests per second of one replica, times seconds. Nothing is simulated here: how far the limits are from what
is expected is read off the curve that the fit has drawn.
"""

from dataclasses import dataclass, replace

from loadplan.errors import InvalidMeasurement, ObjectiveMissed
from loadplan.execution import Setting
from loadplan.fit.records import CapacityFit, SettingCapacity
from loadplan.load.records import LoadSpec
from loadplan.plan.fleets.sizing import n_gone
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.scenario.arrivals import busiest, requests_to_show
from loadplan.scenario.spec import Scenario
from loadplan.stats import n_samples_needed

# A few seconds for rare pauses to show, and enough requests for a bound on the misses: slow answers come in clusters,
# so ten are worth about one that stands alone.
_SHORTEST_S = 8.0
_LONGEST_S = 60.0
_LONGEST_OF_CLASSES_S = 300.0  # a class of 1 % needs a hundred times as long as all requests together
_REQUESTS_WANTED = 10 * n_samples_needed(0.99)
# Where the limits are this many times the p99 that is expected, no cluster comes near them, and fewer requests show it.
_FAR_RATIO, _REQUESTS_OF_FAR = 10.0, 2 * n_samples_needed(0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The server that is driven, as one replica: how it compares with the server process that was fitted."""

    speed_ratio: float = 1.0
    n_server_processes: int = 1
    is_fitted: bool = True  # whether it is that very process, and not a machine of the recommended fleet

    @property
    def times_as_much(self) -> float:
        """How many times the rate of the fitted process it carries."""
        return self.speed_ratio * self.n_server_processes


HERE = Replica()


def verification_spec(plan: Plan, fit: CapacityFit, scenario: Scenario, *, replica: Replica = HERE) -> LoadSpec:
    """The live run that tests the plan: its setting, at the planned share of a server's capacity, spares gone.

    Args:
        plan: what to verify.
        fit: the laws of the machine that was measured.
        scenario: with the arrivals and the objectives.
        replica: what is driven; one of the recommended fleet is offered the share of its capacity that the plan uses.

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
    capacity = setting_capacity(fit, setting)
    process_rps = fleet.utilisation_ratio_degraded * capacity.usable_capacity_rps
    # As large a share of what a replica of the fleet is sized on: behind a balancer more than its part of the peak.
    replica_rps = fleet.utilisation_ratio_degraded * fleet.capacity.usable_capacity_rps_low
    rate = process_rps if replica == HERE else replica_rps
    return LoadSpec(
        name="verification",
        purpose="verification",
        arrivals=busiest(scenario.traffic.arrivals),
        offered_rate_rps=rate,
        duration_s=seconds_to_show(scenario, rate, is_far=_is_far(capacity, process_rps, scenario)),
        seed=scenario.load.seed + 1,  # not the arrivals that calibrated the law
        timeout_s=verification_timeout_s(scenario),
        setting=setting,
    )


def planned_spec(plan: Plan, spec: LoadSpec) -> LoadSpec | None:
    """The run at what a replica carries while all are there, beside the verification; None where that is the same."""
    fleet = recommended_fleet(plan)
    ratio = fleet.utilisation_ratio / fleet.utilisation_ratio_degraded
    if n_gone(1, plan) == 0:
        return None
    return replace(
        spec,
        name="verification-planned",
        offered_rate_rps=ratio * spec.offered_rate_rps,
        duration_s=max(spec.duration_s, min(spec.duration_s / ratio, _LONGEST_S)),
        seed=spec.seed + 1,
    )


def seconds_to_show(scenario: Scenario, rate_rps: float, *, is_far: bool = False) -> float:
    """How long a run at a rate takes until its requests say whether the objectives hold; `is_far`: none is near."""
    n_for_bound = _REQUESTS_OF_FAR if is_far else _REQUESTS_WANTED
    n_wanted = max(float(n_for_bound), requests_to_show(busiest(scenario.traffic.arrivals), rate_rps=rate_rps))
    of_all_s = min(max(_SHORTEST_S, n_wanted / rate_rps), _LONGEST_S)
    return max(of_all_s, min(_n_for_classes(scenario) / rate_rps, _LONGEST_OF_CLASSES_S))


def _is_far(capacity: SettingCapacity, rate_rps: float, scenario: Scenario) -> bool:
    """Whether every limit is far from the p99 at a rate: by the next point of the curve, which is simulated already."""
    tightest_s = min(limit.limit_s for slo in scenario.objectives for limit in slo.limits)
    beyond = [point for point in capacity.curve if point.offered_rate_rps >= rate_rps]
    expected_s = max((point.p99_interval.high for point in beyond[:1]), default=capacity.curve[-1].p99_interval.high)
    return _FAR_RATIO * expected_s < tightest_s


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
