"""A plan with everything that lies around it: other cases, other choices, what runs today.

The decision a reader would question: all of it is worked out with each plan, and none of it changes the answer.
"""

from dataclasses import replace

from loadplan.catalog.price import Catalog
from loadplan.plan.answer import Considered, Search, answer
from loadplan.plan.around.cluster import cluster_of
from loadplan.plan.around.footprint import footprint_of
from loadplan.plan.around.grid import sensitivity_grid
from loadplan.plan.around.levers import levers, split_of
from loadplan.plan.around.named import check_named
from loadplan.plan.around.pareto import cost_latency_front
from loadplan.plan.around.precompute import precompute_assumptions, precomputed_beside
from loadplan.plan.around.relaxing import easier_rules, looser_limits
from loadplan.plan.around.sensitivity import Asked, at_other_limits, cases, choice_of, switches
from loadplan.plan.around.today import today_beside, today_caveats
from loadplan.plan.around.unit_costs import unit_costs
from loadplan.plan.buying.per_request import KEEP_ALIVE_S, paid_by_request
from loadplan.plan.fleets.chance import chance_of, size_range_of
from loadplan.plan.fleets.demand import read_demand
from loadplan.plan.fleets.mixed import cheapest_mixed
from loadplan.plan.fleets.ranking import Ranked, best_of_each_type
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.fleet import Assumption, Fleet, Plan
from loadplan.plan.records.outlook import Outlook, PerRequest, Relaxation
from loadplan.scenario.spec import PlanRules, Scenario

_KEEP_ALIVE = Assumption(
    name="an environment that is paid by the request stays warm without one",
    value=KEEP_ALIVE_S,
    unit="s",
    source="assumed: no provider promises it",
)


def plan_with_outlook(search: Search, *, scenario: Scenario, catalog: Catalog) -> Plan:
    """The plan and its outlook.

    Args:
        search: finds what could carry a question's traffic.
        scenario: the question.
        catalog: the prices.

    Raises:
        InputError: when the scenario says that something runs today, or is proposed, which has no price.
    """
    check_named(catalog, scenario.plan)
    considered = search(scenario)
    plan = answer(considered, scenario=scenario, catalog=catalog)
    plan = replace(plan, caveats=(*plan.caveats, *today_caveats(scenario, catalog)))
    peak_rps, rules = scenario.traffic.peak_rps, scenario.plan
    today = today_beside(plan.recommended, scenario=scenario, catalog=catalog, search=search)
    if plan.recommended is None:
        relaxations = _relaxations(considered, scenario, search)
        return replace(plan, outlook=Outlook(today=today, relaxations=relaxations))
    ranked = _ranked(plan.recommended, considered, peak_rps=peak_rps, rules=rules)
    asked = Asked(scenario=scenario, considered=considered, search=search, ranked=ranked)
    # With the replicas that the chosen fleet takes to bear a loss.
    grown = replace(asked, considered=_grown(considered, plan.recommended))
    at_limits = at_other_limits(grown)
    footprint, footprint_reason = footprint_of(
        plan.recommended,
        mean_rps=plan.mean_rps,
        hours_per_month=rules.hours_per_month,
        references=catalog.references,
    )
    per_request, per_request_reason = _per_request(plan.recommended, considered, scenario, catalog)
    precomputed, precomputed_reason = precomputed_beside(plan.recommended, grown, catalog)
    split, split_reason = split_of(plan.recommended, grown)
    outlook = Outlook(
        unit_costs=unit_costs(
            plan.recommended, considered.candidates, peak_rps=peak_rps, mean_rps=plan.mean_rps, rules=rules
        ),
        chance=chance_of(plan.recommended, peak_rps=peak_rps, rules=rules),
        size=size_range_of(plan.recommended, peak_rps=peak_rps, rules=rules),
        mixed=_mixed(plan.recommended, considered, scenario),
        cases=cases(grown, at_limits),
        grid=sensitivity_grid(grown, at_limits),
        footprint=footprint,
        footprint_reason=footprint_reason,
        per_request=per_request,
        per_request_reason=per_request_reason,
        switches=switches(asked),
        front=cost_latency_front(ranked, peak_rps=peak_rps, rules=rules),
        today=today,
        split=split,
        split_reason=split_reason,
        levers=tuple(levers(plan.recommended, grown)),
        cluster=cluster_of(plan.recommended, grown, mean_rps=plan.mean_rps, catalog=catalog),
        precomputed=precomputed,
        precomputed_reason=precomputed_reason,
    )
    assumed = (*((_KEEP_ALIVE,) if per_request else ()), *precompute_assumptions(precomputed))
    return replace(plan, outlook=outlook, assumptions=(*plan.assumptions, *assumed))


def _grown(considered: Considered, planned: Fleet) -> Considered:
    """What was found, the chosen offer with the capacity that the plan gives it."""
    if len(planned.items) > 1:
        return considered
    chosen = planned.items[0].offer, planned.capacity.burst
    return replace(
        considered,
        candidates=tuple(
            replace(one, capacity=planned.capacity) if (one.offer, one.capacity.burst) == chosen else one
            for one in considered.candidates
        ),
    )


def _ranked(planned: Fleet, considered: Considered, *, peak_rps: float, rules: PlanRules) -> tuple[Ranked, ...]:
    """The best fleet of each type, the recommended one first: that it bears a loss may have cost it a replica."""
    ranked = best_of_each_type(considered.candidates, peak_rps=peak_rps, rules=rules)
    if len(planned.items) > 1:
        return tuple(ranked)
    own = [replace(one, fleet=planned) for one in ranked if one.candidate.offer == planned.items[0].offer]
    return (*own, *(one for one in ranked if one.candidate.offer != planned.items[0].offer))


def _per_request(
    planned: Fleet, considered: Considered, scenario: Scenario, catalog: Catalog
) -> tuple[tuple[PerRequest, ...], str]:
    """Services paid by the request, or why there are none to show."""
    if considered.single is None:
        return (), "how long one request takes on a processor isn't known"
    found = paid_by_request(
        catalog.references.services,
        considered.single,
        demand=read_demand(scenario.traffic, horizon_months=1),
        rules=scenario.plan,
        objectives=scenario.objectives,
        fleet_usd_per_month=planned.usd_per_month,
    )
    return found, "" if found else "the catalogue has no such service of an allowed provider"


def _mixed(planned: Fleet, considered: Considered, scenario: Scenario) -> Choice | None:
    """The cheapest fleet of several types, where it is cheaper than the planned one."""
    mix = cheapest_mixed(considered.candidates, peak_rps=scenario.traffic.peak_rps, rules=scenario.plan)
    return None if mix is None or mix.usd_per_month >= planned.usd_per_month else choice_of(mix)


def _relaxations(considered: Considered, scenario: Scenario, search: Search) -> tuple[Relaxation, ...]:
    """What lacks is money or machines where something meets the objectives, else nothing is fast enough."""
    if considered.candidates:
        return easier_rules(considered, scenario=scenario)
    return looser_limits(search, scenario)
