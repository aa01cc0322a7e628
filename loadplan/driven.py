"""What one live run of the planned setting showed at one share of a server's capacity, whatever it is a proof of.

Verdicts use all requests from their due time, with bounds that stay right though slow answers come in clusters. Rates
are requests per second of one replica, times seconds.

The decision a reader would question: a plan that holds with a quarter more load than planned is no worse a plan where
that quarter is the headroom that was asked for, or the rest that whole replicas leave. So what is left on the table is
counted in replicas: how many would do if each carries what it was seen to carry.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from loadplan.fit.records import PredictedLatency
from loadplan.load.outside import seen_from
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.load.verdict import failures_allowed, judge_slo, response_times_s
from loadplan.plan.fleets.sizing import multiple_of, n_gone, n_replicas_needed, usd_per_month
from loadplan.plan.records.fleet import Fleet
from loadplan.scenario.spec import Scenario
from loadplan.slo import Attainment
from loadplan.stats import Interval, quantile_interval, supported_percentile
from loadplan.units import usd_text

SHARPNESS_RATIO = 1.25  # times the rate that the plan rests on, which a plan without waste doesn't bear

ShareOutcome = Literal["met", "missed", "unclear", "invalid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareVerdict:
    """One live run at a share of capacity beside the one that the verdict is about."""

    run: str  # name of its load run
    offered_rate_rps: float
    utilisation_ratio: float  # of the usable capacity of the server that was driven
    n_requests: int
    n_failed: int
    invalid_reasons: tuple[str, ...]  # empty: the generator did its part
    few_failed: bool  # whether no more than the objectives allow
    attainments: tuple[Attainment, ...]  # empty when the run is invalid
    measured_p99_s: float | None  # None: invalid, or too few answers
    measured_p99_interval: Interval | None
    predicted: PredictedLatency | None  # None: the law has no steady state at this rate

    @property
    def outcome(self) -> ShareOutcome:
        """Of all objectives together; a limit that was missed for sure outweighs one that is in doubt."""
        if self.invalid_reasons:
            return "invalid"
        outcomes = {attained.outcome for attained in self.attainments}
        if not self.few_failed or "missed" in outcomes:
            return "missed"
        return "unclear" if "unclear" in outcomes else "met"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """Whether the plan is wasteful: what a server showed at a quarter more than the rate that the plan rests on."""

    driven: ShareVerdict
    n_replicas: int  # of the plan
    n_would_do: int | None  # if each carries what was shown; None: the objectives were not shown to hold
    usd_per_month_less: Decimal | None  # what those save


def sharpness_spec(spec: LoadSpec) -> LoadSpec:
    """The run at a quarter more than what a verification offers, for as long, with arrivals of its own."""
    return replace(
        spec,
        name="verification-sharpness",
        offered_rate_rps=SHARPNESS_RATIO * spec.offered_rate_rps,
        seed=spec.seed + 2,
    )


def judge_share(
    run: LoadRun, scenario: Scenario, *, usable_capacity_rps: float, predicted: PredictedLatency | None
) -> ShareVerdict:
    """Hold one finished run against the objectives.

    Args:
        run: at a steady rate.
        scenario: whose objectives it is held to.
        usable_capacity_rps: of the server that was driven, by the fit.
        predicted: for the same rate.
    """
    verdict = run.verdict
    judged = seen_from(run, scenario.vantage)
    times_s = response_times_s(run) if verdict.valid else None
    if times_s is not None and times_s.size == 0:
        times_s = None
    return ShareVerdict(
        run=run.spec.name,
        offered_rate_rps=run.spec.offered_rate_rps,
        utilisation_ratio=run.spec.offered_rate_rps / usable_capacity_rps,
        n_requests=run.requests.n_requests,
        n_failed=verdict.n_failed,
        invalid_reasons=verdict.invalid_reasons,
        few_failed=all(failures_allowed(run, slo) for slo in scenario.objectives),
        attainments=tuple(a for slo in scenario.objectives for a in judge_slo(judged, slo)) if verdict.valid else (),
        measured_p99_s=None if times_s is None else supported_percentile(times_s, 0.99),
        measured_p99_interval=None if times_s is None else quantile_interval(times_s, 0.99),
        predicted=predicted,
    )


def judge_sharpness(driven: ShareVerdict, fleet: Fleet, scenario: Scenario) -> Sharpness:
    """What the run at a quarter more says of the fleet's size.

    With k of n replicas gone the rest carry the peak, and each was seen to bear 1.25 times its part, of which the
    headroom h is to be kept free: ceil((n - k) / (1.25 (1 - h))) + k would do, but for what a balancer costs a larger
    fleet. With h of a fifth or more that is n.
    """
    n_planned = sum(item.n_replicas for item in fleet.items)
    if driven.outcome != "met" or len(fleet.items) != 1:
        return Sharpness(driven=driven, n_replicas=n_planned, n_would_do=None, usd_per_month_less=None)
    rules, capacity = scenario.plan, fleet.capacity
    carried = float(multiple_of(n_planned - n_gone(n_planned, rules), capacity.rungs))  # replicas' worth
    least = n_replicas_needed(carried, SHARPNESS_RATIO, rules=rules, rungs=capacity.rungs) + capacity.n_more
    n_would_do = min(n_planned, least)
    saved = usd_per_month(fleet.items[0].offer, n_planned - n_would_do, rules=rules)
    return Sharpness(driven=driven, n_replicas=n_planned, n_would_do=n_would_do, usd_per_month_less=saved)


def sharpness_text(sharpness: Sharpness) -> str:
    """What a person reads of it, in one sentence."""
    driven = sharpness.driven
    at = f"at {SHARPNESS_RATIO:g} × the rate of the verification ({driven.offered_rate_rps:,.0f} requests/s)"
    if driven.outcome == "invalid":
        return f"not known: the run {at} is invalid: {'; '.join(driven.invalid_reasons)}"
    if driven.outcome == "missed":
        return f"the plan is sharp: {at} the objective is missed"
    if driven.outcome == "unclear":
        return f"not known: {at} the run shows neither that the objective holds nor that it doesn't"
    if sharpness.n_would_do is None or sharpness.usd_per_month_less is None:
        return f"the objective holds {at} as well"
    if sharpness.n_would_do == sharpness.n_replicas:
        return (
            f"the objective holds {at} as well, but that saves no replica: what is over is the headroom that was asked "
            "for, the least count of replicas, or the rest that whole replicas leave"
        )
    return (
        f"the objective holds {at} as well: {sharpness.n_would_do} of the {sharpness.n_replicas} replicas would do, "
        f"{usd_text(sharpness.usd_per_month_less)} a month less"
    )
