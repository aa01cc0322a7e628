"""From everything that could carry the traffic to one plan: the cheapest fleet, those that lost, or the nearest miss.

Money is exact `Decimal` in USD. The decisions a reader would question: of each instance type only its best fleet is
ranked, or ten regions of one machine would fill the list of runners-up; and a fleet of several types is recommended
only where the scenario allows it, because whoever runs it has two kinds of machine to look after.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from loadplan.catalog.price import Catalog, Offer
from loadplan.caveat import Caveat
from loadplan.plan.buying.availability import budget_caveats, growth_caveats, too_few_words
from loadplan.plan.buying.burstable import burst_caveats
from loadplan.plan.buying.commitments import commitment_caveats
from loadplan.plan.buying.offers import doubtful_price_caveats, listed
from loadplan.plan.buying.per_request import SingleRequest
from loadplan.plan.buying.purchase_mix import mix_assumptions, purchase_mix
from loadplan.plan.fleets.candidate import Candidate, least_fleet, n_missing, n_needed
from loadplan.plan.fleets.demand import Demand, read_demand
from loadplan.plan.fleets.loss import loss_caveats, settle_losses
from loadplan.plan.fleets.mixed import cheapest_mixed, months_of
from loadplan.plan.fleets.overdispersed import overdispersed_case
from loadplan.plan.fleets.ranking import Ranked
from loadplan.plan.fleets.scaling import compare_scaling
from loadplan.plan.fleets.sizing import usd_per_month
from loadplan.plan.hardware.batch_rate import BatchRate
from loadplan.plan.measuring import Chosen, worth_measuring
from loadplan.plan.reasons import what_binds, why_lost, why_lost_to_mix, why_mixed, why_not_fewer, why_won
from loadplan.plan.records.fleet import Assumption, Fleet, MonthCost, NotOffered, Plan
from loadplan.scenario.spec import PlanRules, Scenario
from loadplan.units import usd_text

_N_RUNNERS_UP = 10
_NOT_SIMULATED = Caveat(
    code="plan.mix_not_simulated",
    what="the fleet is of several types: it is counted on for the sum of what each carries among its own kind, and was"
    " not simulated as a whole, nor was the loss of its replicas",
    fix="see that the balancer weighs each replica by what it carries; or plan with plan.instance_types: one",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """The candidate that came closest where none meets the objectives, and what it fails."""

    candidate: Candidate
    reason: str
    binding_constraint: str  # with what would relax it


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """What a search found before anything was compared by cost."""

    candidates: tuple[Candidate, ...]  # each meets every objective with enough replicas
    near_miss: NearMiss | None  # only looked at when there is no candidate
    not_offered: tuple[NotOffered, ...]
    assumptions: tuple[Assumption, ...]
    caveats: tuple[Caveat, ...]
    certainty_ratio: float = 1.0  # the low end of a measured capacity over its middle
    offers: tuple[Offer, ...] = ()  # all that may be bought, what is only bought beside others included
    single: SingleRequest | None = None  # one request alone; None: not known
    # What a machine of an offer works off in batches, whether it may be bought or not; None: not known.
    batch_of: Callable[[Offer], BatchRate | None] = lambda _offer: None


# Finds what could carry the traffic of a question.
Search = Callable[[Scenario], Considered]


def _why_none(not_offered: Sequence[NotOffered]) -> str:
    """The commonest reasons for which no offer can be planned with."""
    if not not_offered:
        return "the scenario allows no offer that has a price"
    reasons = Counter(one.reason for one in not_offered).most_common(2)
    said = "; ".join(f"{n} × {reason}" for reason, n in reasons)
    return f"no offer that the scenario allows can be planned with: {said}"


def answer(considered: Considered, *, scenario: Scenario, catalog: Catalog) -> Plan:
    """The plan: the cheapest fleet within the budget, or why there is none."""
    rules = scenario.plan
    demand = read_demand(scenario.traffic, horizon_months=rules.horizon_months)
    every = considered.candidates
    considered = _without_too_few(considered, peak_rps=demand.peak_rps, rules=rules)
    settled = settle_losses(considered.candidates, peak_rps=demand.peak_rps, rules=rules)
    considered, ranked = replace(considered, candidates=settled.candidates), settled.ranked
    plan = Plan(
        feasible=False,
        recommended=None,
        runners_up=(),
        nearest_miss=None,
        binding_constraint=_why_none(considered.not_offered),
        not_offered=considered.not_offered,
        peak_rps=demand.peak_rps,
        mean_rps=demand.mean_rps,
        hours_per_month=rules.hours_per_month,
        n_spare_replicas=rules.n_spare_replicas,
        n_zones=rules.n_zones,
        headroom_ratio=rules.headroom_ratio,
        months=(),
        oldest_price_date=_oldest_price_date(one.candidate.offer for one in ranked),
        catalog_version=catalog.version,
        assumptions=considered.assumptions,
        caveats=considered.caveats,
    )
    if not ranked:
        return _with_near_miss(plan, considered.near_miss, demand=demand, rules=rules)
    mix = _cheaper_mix(every, ranked[0].fleet, peak_rps=demand.peak_rps, rules=rules)
    cheapest = mix or ranked[0].fleet
    plan = replace(
        plan,
        worth_measuring=worth_measuring(
            [one.candidate for one in ranked],
            Chosen(fleet=cheapest, peak_rps=demand.peak_rps, rules=rules),
            certainty_ratio=considered.certainty_ratio,
            scenario=scenario,
            catalog=catalog,
        ),
    )
    if _is_above_budget(cheapest, rules):
        return _above_budget(plan, cheapest, rules)
    plan = _with_winner(plan, ranked, demand=demand, rules=rules)
    doubts = loss_caveats(settled.loss, is_simulated=bool(ranked[0].candidate.capacity.rungs), rules=rules)
    plan = replace(plan, loss=settled.loss, caveats=(*plan.caveats, *doubts))
    if mix is None:
        plan = _with_ways_to_pay(plan, ranked[0].candidate, considered.offers, demand=demand, rules=rules)
    else:
        plan = _with_several_types(plan, mix, ranked, every, demand=demand, rules=rules)
    plan = replace(plan, caveats=(*plan.caveats, *budget_caveats(plan.months, rules)))
    return _with_doubts_of_prices(plan, ranked, rules)


def _without_too_few(considered: Considered, *, peak_rps: float, rules: PlanRules) -> Considered:
    """Without the candidates of which there are too few; the one that lacks least is the nearest miss."""
    short = [(n_missing(one, peak_rps=peak_rps, rules=rules), one) for one in considered.candidates]
    lacking = [(n, one) for n, one in short if n > 0]
    if not lacking:
        return considered
    n, nearest = min(lacking, key=lambda pair: (pair[0], pair[1].offer.usd_per_hour, pair[1].offer.name))
    words = too_few_words(nearest, n)
    return replace(
        considered,
        candidates=tuple(one for n_short, one in short if n_short == 0),
        near_miss=NearMiss(
            candidate=nearest,
            reason=f"meets every objective, but {words}",
            binding_constraint=f"machines: of {nearest.offer.name} {words}; add some, or allow other kinds of purchase",
        ),
        not_offered=(*considered.not_offered, *listed((one.offer, too_few_words(one, n)) for n, one in lacking)),
    )


def _cheaper_mix(candidates: Sequence[Candidate], uniform: Fleet, *, peak_rps: float, rules: PlanRules) -> Fleet | None:
    """The cheapest fleet of several types; None where that saves nothing, or one type is asked for."""
    if rules.instance_types == "one":
        return None
    mix = cheapest_mixed(candidates, peak_rps=peak_rps, rules=rules)
    return None if mix is None or mix.usd_per_month >= uniform.usd_per_month else mix


def _with_several_types(
    plan: Plan,
    mix: Fleet,
    ranked: Sequence[Ranked],
    candidates: Sequence[Candidate],
    *,
    demand: Demand,
    rules: PlanRules,
) -> Plan:
    """A fleet of several types in the place of the best of one.

    How it could follow the week, or be paid in other ways, is worked out for fleets of one type alone.
    """
    uniform = plan.recommended
    if uniform is None:
        return plan
    mix = replace(mix, reason=why_mixed(mix, uniform))
    beaten = replace(uniform, reason=why_lost_to_mix(uniform, mix))
    others = (
        replace(one.fleet, reason=why_lost(one.fleet, mix, _why_not_fewer(one, demand, rules)))
        for one in ranked[1:_N_RUNNERS_UP]
    )
    return replace(
        plan,
        recommended=mix,
        runners_up=(beaten, *others),
        binding_constraint=f"the peak with the largest replicas gone: {mix.reason}",
        months=months_of(mix, candidates, demand=demand, rules=rules),
        scaling=None,
        loss=None,
        caveats=(*plan.caveats, _NOT_SIMULATED),
    )


def _with_ways_to_pay(
    plan: Plan, candidate: Candidate, offers: Sequence[Offer], *, demand: Demand, rules: PlanRules
) -> Plan:
    """The plan with the other ways to pay for its fleet, and with the month from which there are too few machines."""
    mix = purchase_mix(candidate, offers, demand=demand, rules=rules)
    if plan.recommended is None:
        return plan
    seen = [plan.oldest_price_date, *(item.offer.price_date for item in (mix.items if mix else ()))]
    return replace(
        plan,
        purchase_mix=mix,
        oldest_price_date=min((day for day in seen if day is not None), default=None),
        assumptions=(*plan.assumptions, *mix_assumptions(mix, rules)),
        caveats=(*plan.caveats, *growth_caveats(candidate, plan.months)),
    )


def _with_doubts_of_prices(plan: Plan, ranked: Sequence[Ranked], rules: PlanRules) -> Plan:
    """The plan with what is doubtful about the prices that it rests on, so that none of them wins in silence."""
    trusted = next((one.fleet for one in ranked if one.candidate.offer.quality == "ok"), None)
    instead = (
        "no other fleet has a price without doubt"
        if trusted is None
        else f"without it the answer is {trusted.items[0].offer.name} at {usd_text(trusted.usd_per_month)} a month"
    )
    fleet = () if plan.recommended is None else plan.recommended.items
    mix = () if plan.purchase_mix is None else plan.purchase_mix.items
    names = {item.offer.name for item in fleet}
    caveats = (
        *doubtful_price_caveats((item.offer for item in fleet), instead),
        *doubtful_price_caveats(
            (item.offer for item in mix if item.offer.name not in names), "the purchase mix is cheaper by it"
        ),
    )
    bought = dict.fromkeys([*(item.offer for item in fleet), *(item.offer for item in mix)])
    return replace(
        plan,
        caveats=(
            *caveats,
            *plan.caveats,
            *(() if plan.recommended is None else burst_caveats(plan.recommended)),
            *commitment_caveats(bought, rules),
        ),
    )


def _with_winner(plan: Plan, ranked: Sequence[Ranked], *, demand: Demand, rules: PlanRules) -> Plan:
    winner, *rivals = ranked
    not_fewer = [_why_not_fewer(one, demand, rules) for one in ranked[: _N_RUNNERS_UP + 1]]
    return replace(
        plan,
        feasible=True,
        recommended=replace(winner.fleet, reason=why_won(winner.fleet, [one.fleet for one in rivals], not_fewer[0])),
        runners_up=tuple(
            replace(one.fleet, reason=why_lost(one.fleet, winner.fleet, reason))
            for one, reason in zip(rivals, not_fewer[1:], strict=False)
        ),
        binding_constraint=(
            f"{winner.fleet.items[0].n_replicas} replicas: {not_fewer[0]}{what_binds(winner.fleet.capacity.binding)}"
        ),
        months=_months(winner.candidate, demand=demand, rules=rules),
        overdispersed=overdispersed_case(
            winner.candidate, [one.candidate for one in rivals], peak_rps=demand.peak_rps, rules=rules
        ),
        scaling=compare_scaling(winner.candidate, [one.candidate for one in rivals], demand=demand, rules=rules),
    )


def _why_not_fewer(one: Ranked, demand: Demand, rules: PlanRules) -> str:
    return why_not_fewer(one.candidate, one.fleet, peak_rps=demand.peak_rps, rules=rules)


def _months(candidate: Candidate, *, demand: Demand, rules: PlanRules) -> tuple[MonthCost, ...]:
    """What the recommended offer costs month by month as the peak grows, replicas bought when they are needed."""
    months = []
    for i_month, peak_rps in enumerate(demand.monthly_peak_rps):
        n_replicas = n_needed(candidate, peak_rps=peak_rps, rules=rules)
        usd = usd_per_month(candidate.offer, n_replicas, rules=rules)
        months.append(MonthCost(i_month=i_month, peak_rps=peak_rps, n_replicas=n_replicas, usd=usd))
    return tuple(months)


def _with_near_miss(plan: Plan, miss: NearMiss | None, *, demand: Demand, rules: PlanRules) -> Plan:
    if miss is None:
        return plan
    fleet = least_fleet(miss.candidate, peak_rps=demand.peak_rps, rules=rules)
    return replace(
        plan,
        nearest_miss=replace(fleet, reason=miss.reason),
        binding_constraint=miss.binding_constraint,
        oldest_price_date=miss.candidate.offer.price_date,
    )


def _is_above_budget(fleet: Fleet, rules: PlanRules) -> bool:
    return rules.budget_usd_per_month is not None and fleet.usd_per_month > rules.budget_usd_per_month


def _above_budget(plan: Plan, cheapest: Fleet, rules: PlanRules) -> Plan:
    budget = rules.budget_usd_per_month or Decimal(0)
    over = usd_text(cheapest.usd_per_month - budget)
    return replace(
        plan,
        nearest_miss=replace(cheapest, reason=f"meets every objective, but costs {over} a month above the budget"),
        binding_constraint=(
            f"budget: the cheapest fleet that meets every objective costs {usd_text(cheapest.usd_per_month)} a month,"
            f" the budget is {usd_text(budget)}; raise plan.budget_usd_per_month by {over}, or allow other offers,"
            " fewer spares or less headroom"
        ),
    )


def _oldest_price_date(offers: Iterable[Offer]) -> date | None:
    return min((offer.price_date for offer in offers), default=None)
