"""Does the plan for a running service hold? One live run near the capacity that was fitted puts it to the test.

The decision a reader would question: the run is not at the planned rate of one machine but at nine tenths of what one
carries, or more where less is kept free. That is never less than what the plan asks of a machine, it needs no plan, and
only there do structures differ that look alike at half load.
"""

from dataclasses import dataclass

from loadplan.driven import ShareVerdict, Sharpness, judge_share, judge_sharpness, sharpness_spec
from loadplan.errors import ObjectiveMissed
from loadplan.fit.black_box.predict import predict_service_run
from loadplan.fit.black_box.records import ServiceCapacity, ServiceFit, asked_of
from loadplan.fit.black_box.structures import cpu_s, delay_s
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.plan.fleets.sizing import n_replicas_needed
from loadplan.plan.hardware.transfer import quantile_s
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.spec import Scenario
from loadplan.trial import recommended_fleet, seconds_to_show, verification_timeout_s
from loadplan.units import SECONDS_PER_MS
from loadplan.verify import Expected, Verdict, judge_run

CHECKED_RATIO = 0.9  # of the capacity, at least
_WARM_UP_S = 1.0  # of the check


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedService:
    """A running service as it was fitted: its laws, and what one copy of it carries on the machine that it runs on."""

    fit: ServiceFit
    capacity: ServiceCapacity
    is_by_law: bool  # whether the laws say what it carries; else the rates that were driven do: no structure suits


def check_spec(capacity: ServiceCapacity, scenario: Scenario) -> LoadSpec:
    """The live run that tests a fitted service, at `CHECKED_RATIO` of its capacity or the share that is not kept free.

    Raises:
        ObjectiveMissed: when it carries nothing within the objectives.
    """
    if capacity.usable_capacity_rps <= 0.0:
        raise ObjectiveMissed(
            what="the service meets the objectives at no rate, so there is none to drive it at",
            where="verify",
            fix="allow slower answers, or make one request faster",
        )
    rate_rps = max(CHECKED_RATIO, 1.0 - scenario.plan.headroom_ratio) * capacity.usable_capacity_rps
    return LoadSpec(
        name="verification",
        purpose="verification",
        arrivals=asked_of(scenario).arrivals,
        offered_rate_rps=rate_rps,
        duration_s=seconds_to_show(scenario, rate_rps),
        seed=scenario.load.seed + 1,  # not the arrivals that calibrated the law
        timeout_s=verification_timeout_s(scenario),
        setting=None,
        warm_up_s=_WARM_UP_S,
    )


def more_spec(spec: LoadSpec) -> LoadSpec:
    """The run at a quarter more, at which a plan without waste doesn't hold."""
    return sharpness_spec(spec)


def judge_check(plan: Plan, known: FittedService, scenario: Scenario, run: LoadRun) -> Verdict:
    """Hold a finished check against the objectives and against the law.

    Raises:
        ObjectiveMissed: when there is no plan that it could be about.
    """
    return judge_run(recommended_fleet(plan), scenario, run, _expected(known, run))


def judge_more(plan: Plan, known: FittedService, scenario: Scenario, run: LoadRun) -> Sharpness:
    """What the run at a quarter more says of the plan's size."""
    return judge_sharpness(_share(known, scenario, run), recommended_fleet(plan), scenario)


def _share(known: FittedService, scenario: Scenario, run: LoadRun) -> ShareVerdict:
    is_steady = run.spec.offered_rate_rps < known.capacity.saturated_rps
    return judge_share(
        run,
        scenario,
        usable_capacity_rps=known.capacity.usable_capacity_rps,
        predicted=predict_service_run(known.fit, run) if is_steady else None,
    )


def _expected(known: FittedService, run: LoadRun) -> Expected:
    return Expected(
        usable_capacity_rps=known.capacity.usable_capacity_rps, predicted=predict_service_run(known.fit, run)
    )


def too_slow_alone(known: FittedService, scenario: Scenario) -> ObjectiveMissed | None:
    """That the objectives are missed nearly idle already, with what a request spends its time on; None: they aren't."""
    capacity = known.capacity
    if capacity.usable_capacity_rps > 0.0 or not capacity.curve:
        return None
    idle = capacity.curve[0]
    limits = [limit for slo in scenario.objectives for limit in slo.limits]
    strictest = min(limits, key=lambda limit: limit.limit_s / quantile_s(idle, limit.quantile))
    return ObjectiveMissed(
        what=f"the service is too slow alone: nearly idle its p99 is {_ms(idle.p99_s)}, and p"
        f"{100 * strictest.quantile:g} may be {_ms(strictest.limit_s)}; no number of machines mends that. On average "
        f"{time_spent(known.fit)}",
        where="the service at a tenth of its load",
        fix="shorten the part that is longer, or allow slower answers; a faster processor shortens the work alone",
    )


def time_spent(fit: ServiceFit) -> str:
    """Of what a request's time is made when it is alone, such as `it waits 20.3 ms without CPU and works 2.9 ms`."""
    law = fit.laws[0]
    work_s = cpu_s(law, 1.0 if fit.rows is None else fit.rows.mean)
    return f"it waits {_ms(delay_s(law))} without CPU and works {_ms(work_s)}"


def machines_needed(capacity: ServiceCapacity, scenario: Scenario) -> int | None:
    """Machines like the one that the service runs on, spares and headroom included; None: one may carry nothing."""
    if capacity.usable_capacity_rps_low <= 0.0:
        return None
    return n_replicas_needed(scenario.traffic.peak_rps, capacity.usable_capacity_rps_low, rules=scenario.plan)


def _ms(time_s: float) -> str:
    return f"{time_s / SECONDS_PER_MS:.3g} ms"
