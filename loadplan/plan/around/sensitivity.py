"""What the answer would be if one thing were another, and how far a figure must move until another machine wins.

Rates are requests per second. The decisions a reader would question: the price that is moved is that of the chosen
type alone, since all prices together keep the winner; and a machine wins here by the same comparison as in the plan,
among the best fleets of one type.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from loadplan.plan.answer import Considered, Search
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.fleets.chance import chance_of_at_least
from loadplan.plan.fleets.mixed import undominated
from loadplan.plan.fleets.ranking import Ranked, best_of_each_type
from loadplan.plan.fleets.sizing import as_written, multiple_of, n_gone
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import Case, CaseKind, Switch
from loadplan.scenario.spec import PlanRules, Scenario

_TRAFFIC_FACTORS = (0.8, 1.2)
_PRICE_FACTORS = (Decimal("0.8"), Decimal("1.2"))
_LIMIT_FACTORS = (0.5, 2.0)
# How far the peak is moved to find where another machine wins, in steps of 2 %.
_STEPS_UP = tuple(round(1 + 0.02 * i, 2) for i in range(1, 51))
_STEPS_DOWN = tuple(round(1 - 0.02 * i, 2) for i in range(1, 26))
_N_NEAR = 11  # the winner and ten rivals


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question, what a search found for it, and how to search again."""

    scenario: Scenario
    considered: Considered
    search: Search
    ranked: tuple[Ranked, ...]  # the best fleet of each type at the peak, cheapest first, one at least

    @property
    def winner(self) -> Ranked:
        """The cheapest of one type."""
        return self.ranked[0]


def choice_of(fleet: Fleet) -> Choice:
    """A fleet in few words."""
    return Choice(
        offers=tuple((item.offer.name, item.n_replicas) for item in fleet.items),
        usd_per_month=fleet.usd_per_month,
        predicted_p99_s=fleet.predicted_p99_s,
    )


def at_other_limits(asked: Asked) -> dict[float, Considered]:
    """What could carry the peak with every latency limit times a factor, as asked among them: the search is slow."""
    others = {factor: asked.search(with_limits(asked.scenario, factor)) for factor in _LIMIT_FACTORS}
    return {1.0: asked.considered, **others}


def cases(asked: Asked, at_limits: Mapping[float, Considered]) -> tuple[Case, ...]:
    """Traffic and the chosen type's price a fifth up and down, limits halved and doubled, a spare more and fewer."""
    return (*_traffic_cases(asked), *_price_cases(asked), *_limit_cases(asked, at_limits), *_spare_cases(asked))


def _traffic_cases(asked: Asked) -> Iterable[Case]:
    for factor in _TRAFFIC_FACTORS:
        traffic = asked.scenario.traffic
        question = replace(asked.scenario, traffic=replace(traffic, peak_rps=times(traffic.peak_rps, factor)))
        yield _case(asked, "traffic", f"traffic {_signed(factor)}", asked.considered.candidates, question)


def _price_cases(asked: Asked) -> Iterable[Case]:
    name = asked.winner.candidate.offer.type_name
    for factor in _PRICE_FACTORS:
        candidates = [
            priced(one, factor) if one.offer.type_name == name else one for one in asked.considered.candidates
        ]
        changed = f"price of {name} {_signed(float(factor))}"
        yield _case(asked, "price", changed, candidates, asked.scenario)


def _limit_cases(asked: Asked, at_limits: Mapping[float, Considered]) -> Iterable[Case]:
    for factor in _LIMIT_FACTORS:
        question, found = with_limits(asked.scenario, factor), at_limits[factor]
        is_bound = factor > 1.0 and any(one.capacity.basis != "given" for one in found.candidates)
        # The fit's tables end where the limits of today are met.
        reason = "at most so much: what a server carries beyond today's limits was not simulated" if is_bound else ""
        yield _case(asked, "objectives", f"limits × {factor:g}", found.candidates, question, reason=reason)


def _spare_cases(asked: Asked) -> Iterable[Case]:
    rules = asked.scenario.plan
    for n_spare in (rules.n_spare_replicas - 1, rules.n_spare_replicas + 1):
        if n_spare >= 0:
            question = replace(asked.scenario, plan=replace(rules, n_spare_replicas=n_spare))
            changed = f"{n_spare} spare{'' if n_spare == 1 else 's'}"
            yield _case(asked, "spares", changed, asked.considered.candidates, question)


def with_limits(scenario: Scenario, factor: float) -> Scenario:
    """The same question with every latency limit times a factor."""
    return replace(
        scenario,
        objectives=tuple(
            replace(slo, limits=tuple(replace(limit, limit_s=limit.limit_s * factor) for limit in slo.limits))
            for slo in scenario.objectives
        ),
    )


def _case(
    asked: Asked, kind: CaseKind, changed: str, candidates: Sequence[Candidate], question: Scenario, *, reason: str = ""
) -> Case:
    ranked = best_of_each_type(candidates, peak_rps=question.traffic.peak_rps, rules=question.plan)
    if not ranked:
        why = "there are too few machines" if candidates else "no offer meets the objectives"
        return Case(kind=kind, changed=changed, choice=None, same_type=False, reason=why)
    best = ranked[0]
    return Case(
        kind=kind,
        changed=changed,
        choice=choice_of(best.fleet),
        same_type=best.candidate.offer.type_name == asked.winner.candidate.offer.type_name,
        reason=reason,
    )


def switches(asked: Asked) -> tuple[Switch, ...]:
    """The nearest figures at which another type would win: the peak, either price, what a replica carries."""
    found = (*_traffic_switches(asked), *_price_switches(asked), *_capacity_switch(asked))
    return tuple(sorted(found, key=lambda one: abs(one.change_ratio)))


def _traffic_switches(asked: Asked) -> Iterable[Switch]:
    """Up and down from the peak."""
    able = able_to_win(asked.ranked, asked.considered.candidates, rules=asked.scenario.plan)
    name, peak_rps = asked.winner.candidate.offer.type_name, asked.scenario.traffic.peak_rps
    for factors in (_STEPS_UP, _STEPS_DOWN):
        for factor in factors:
            ranked = best_of_each_type(able, peak_rps=times(peak_rps, factor), rules=asked.scenario.plan)
            if not ranked:  # of no offer there are enough machines for so much, nor for more
                break
            best = ranked[0].candidate.offer
            if best.type_name != name:
                yield Switch(
                    kind="traffic",
                    what="peak",
                    now=peak_rps,
                    then=times(peak_rps, factor),
                    change_ratio=round(factor - 1.0, 2),
                    winner=best.name,
                )
                break


def _price_switches(asked: Asked) -> Iterable[Switch]:
    """The price of the chosen offer from which the next type is cheaper, and that of the next from which it is."""
    if len(asked.ranked) < 2:
        return
    chosen, rival = asked.ranked[0], asked.ranked[1]
    for moved, other in ((chosen, rival), (rival, chosen)):
        ratio = other.fleet.usd_per_month / moved.fleet.usd_per_month if moved.fleet.usd_per_month else Decimal(1)
        if ratio == 1:
            continue
        offer = moved.candidate.offer
        yield Switch(
            kind="price",
            what=f"price of {offer.name}",
            now=float(offer.usd_per_hour),
            then=float(offer.usd_per_hour * ratio),
            change_ratio=float(ratio - 1),
            winner=rival.candidate.offer.name,
        )


def _capacity_switch(asked: Asked) -> Iterable[Switch]:
    """What a chosen replica must carry, or so many are needed that the next type is cheaper.

    n replicas still cost no more than the next type, and there are as many: so n - k must carry
    R = peak / (1 - headroom).
    """
    if len(asked.ranked) < 2:
        return
    chosen, rival, rules = asked.ranked[0], asked.ranked[1], asked.scenario.plan
    each = chosen.fleet.usd_per_month / chosen.fleet.items[0].n_replicas
    if each == 0:
        return
    n_most, n_available = int(rival.fleet.usd_per_month / each), chosen.candidate.offer.n_available
    n_most = n_most if n_available is None else min(n_most, n_available)
    n_left = n_most - n_gone(n_most, rules)
    if n_left < 1:  # the next type is cheaper already, and lost for another reason: a loss that it doesn't bear
        return
    needed = as_written(asked.scenario.traffic.peak_rps) / (1 - as_written(rules.headroom_ratio))
    then = needed / multiple_of(n_left, chosen.candidate.capacity.rungs)
    now = as_written(chosen.candidate.sizing_rps)
    capacity = chosen.candidate.capacity
    yield Switch(
        kind="capacity",
        what=f"what a replica of {chosen.candidate.offer.type_name} carries",
        now=float(now),
        then=float(then),
        change_ratio=float(then / now - 1),
        winner=rival.candidate.offer.name,
        chance_ratio=None if capacity.basis == "given" else 1.0 - chance_of_at_least(capacity, float(then)),
    )


def able_to_win(ranked: Sequence[Ranked], candidates: Sequence[Candidate], *, rules: PlanRules) -> list[Candidate]:
    """The first of a ranking with its nearest rivals, and all that can win at another peak; no others matter."""
    near = [one.candidate for one in ranked[:_N_NEAR]]
    return [*near, *(one for one in undominated(candidates, rules=rules) if one not in near)]


def priced(candidate: Candidate, factor: Decimal) -> Candidate:
    """The same offer at its price times a factor."""
    offer = candidate.offer
    by_month = None if offer.usd_per_month is None else offer.usd_per_month * factor
    dearer = replace(offer, usd_per_hour=offer.usd_per_hour * factor, usd_per_month=by_month)
    return replace(candidate, offer=dearer)


def times(rate_rps: float, factor: float) -> float:
    """The product of the figures as written: 300 x 1.2 is 360."""
    return float(as_written(rate_rps) * as_written(factor))


def _signed(factor: float) -> str:
    """Such as `+20 %`."""
    return f"{100 * (factor - 1):+.0f} %".replace("-", "−")
