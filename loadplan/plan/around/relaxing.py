"""Where nothing will do: which rule to relax, one at a time, by as little as would do.

The decision a reader would question: each rule is relaxed alone, since a reader can weigh one thing against the bill
and not five; what would take two of them isn't named.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from loadplan.plan.answer import Considered, Search
from loadplan.plan.around.sensitivity import choice_of, with_limits
from loadplan.plan.fleets.candidate import Candidate, least_fleet
from loadplan.plan.fleets.mixed import cheapest_mixed
from loadplan.plan.fleets.ranking import best_of_each_type
from loadplan.plan.fleets.sizing import as_written, multiple_of, n_gone, usd_per_month
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import Relaxation
from loadplan.scenario.spec import PlanRules, Scenario

_LIMIT_FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_HEADROOMS = tuple(i / 20 for i in range(19, -1, -1))  # largest first


def easier_rules(considered: Considered, *, scenario: Scenario) -> tuple[Relaxation, ...]:
    """The spares, headroom, minimum, types or peak for which money and machines are enough, where they aren't now.

    Those for which they never are, are left out.
    """
    rules, peak_rps = scenario.plan, scenario.traffic.peak_rps
    candidates = considered.candidates
    found = [_first(candidates, peak_rps, *tried, budget=rules.budget_usd_per_month) for tried in _easier(rules)]
    found += [_several_types(candidates, peak_rps, rules), _peak_within(candidates, rules)]
    return tuple(one for one in found if one is not None)


def _easier(rules: PlanRules) -> Iterable[tuple[str, list[tuple[str, PlanRules]]]]:
    """Each rule with its easier values, the least easy first."""
    was = rules.n_spare_replicas
    yield (
        "plan.spare_replicas",
        [(f"{n} in place of {was}", replace(rules, n_spare_replicas=n)) for n in range(was - 1, -1, -1)],
    )
    if rules.n_zones is not None:
        yield "plan.zones", [(f"left out in place of {rules.n_zones}", replace(rules, n_zones=None))]
    yield (
        "plan.headroom_ratio",
        [
            (f"{ratio:g} in place of {rules.headroom_ratio:g}", replace(rules, headroom_ratio=ratio))
            for ratio in _HEADROOMS
            if ratio < rules.headroom_ratio
        ],
    )
    if rules.n_min_replicas > 1:
        yield (
            "plan.min_replicas",
            [(f"1 in place of {rules.n_min_replicas}", replace(rules, n_min_replicas=1))],
        )


def _first(
    candidates: Sequence[Candidate],
    peak_rps: float,
    rule: str,
    tried: list[tuple[str, PlanRules]],
    *,
    budget: Decimal | None,
) -> Relaxation | None:
    for change, rules in tried:
        best = _cheapest(candidates, peak_rps, rules)
        if best is not None and _is_paid(best, budget):
            return Relaxation(rule=rule, change=change, choice=choice_of(best))
    return None


def _several_types(candidates: Sequence[Candidate], peak_rps: float, rules: PlanRules) -> Relaxation | None:
    """A fleet of several types, where that alone is cheap enough; it is only planned beside one of one type."""
    if rules.instance_types == "several" or _cheapest(candidates, peak_rps, rules) is None:
        return None
    mix = cheapest_mixed(candidates, peak_rps=peak_rps, rules=rules)
    if mix is None or not _is_paid(mix, rules.budget_usd_per_month):
        return None
    return Relaxation(rule="plan.instance_types", change="several in place of one", choice=choice_of(mix))


def _is_paid(fleet: Fleet, budget: Decimal | None) -> bool:
    return budget is None or fleet.usd_per_month <= budget


def _n_most(candidate: Candidate, rules: PlanRules) -> int:
    """Replicas that the budget pays for and that there are; 0 where nothing limits either."""
    offer, budget = candidate.offer, rules.budget_usd_per_month
    each = usd_per_month(offer, 1, rules=rules)
    limits = [] if budget is None or not each else [int(budget / each)]
    limits += [] if offer.n_available is None else [offer.n_available]
    return min(limits, default=0)


def _peak_within(candidates: Sequence[Candidate], rules: PlanRules) -> Relaxation | None:
    """The highest peak for which money and machines are enough, in whole requests per second.

    Of n replicas of one offer at most, those that are left when as many as may be are gone carry (1 - headroom) times
    what they carry together.
    """
    best: tuple[Fraction, Candidate] | None = None
    for candidate in candidates:
        n_most = _n_most(candidate, rules)
        n_left = n_most - n_gone(n_most, rules)
        if n_left < 1 or n_most < rules.n_min_replicas:
            continue
        left = multiple_of(n_left, candidate.capacity.rungs) * as_written(candidate.sizing_rps)
        carried = left * (1 - as_written(rules.headroom_ratio))
        if best is None or carried > best[0]:
            best = carried, candidate
    if best is None or best[0] < 1:
        return None
    peak_rps = float(math.floor(best[0]))
    fleet = least_fleet(best[1], peak_rps=peak_rps, rules=rules)
    return Relaxation(rule="traffic.peak_rps", change=f"{peak_rps:,.0f} at most", choice=choice_of(fleet))


def looser_limits(search: Search, scenario: Scenario) -> tuple[Relaxation, ...]:
    """The least of a few factors on all latency limits with which some fleet holds; none where even ten times won't."""
    for factor in _LIMIT_FACTORS:
        question = with_limits(scenario, factor)
        best = _cheapest(search(question).candidates, scenario.traffic.peak_rps, scenario.plan)
        if best is not None:
            return (Relaxation(rule="objectives", change=f"every limit × {factor:g}", choice=choice_of(best)),)
    return ()


def _cheapest(candidates: Sequence[Candidate], peak_rps: float, rules: PlanRules) -> Fleet | None:
    ranked = best_of_each_type(candidates, peak_rps=peak_rps, rules=rules)
    return ranked[0].fleet if ranked else None
