"""The cheapest fleet on capacities that were measured elsewhere: the same comparison, evidence `given`.

The decision a reader would question: only the p99 of a row can be held against an objective, so a row without one is
believed to have been measured within the objectives, and a caveat says so.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.caveat import Caveat
from loadplan.plan.answer import Considered, NearMiss, Search, answer
from loadplan.plan.assumption import balancer_assumptions, common_assumptions
from loadplan.plan.buying.burstable import burst_assumptions, ways_to_run
from loadplan.plan.buying.offers import (
    compared_offers,
    listed,
    offers_to_buy,
    price_assumptions,
    stale_price_caveats,
    why_not_plannable,
)
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.records.fleet import NotOffered, Plan, ReplicaCapacity
from loadplan.scenario.spec import Scenario

_P99 = 0.99


def plan_on_given(capacities: Sequence[GivenCapacity], *, scenario: Scenario, catalog: Catalog, as_of: date) -> Plan:
    """The fleet of the cheapest usable row: max(n_min, ceil(peak / (capacity (1 - headroom))) + k) replicas of it.

    Args:
        capacities: what one replica of a type carries within the objectives; a row whose p99 is above the strictest
            p99 objective can't be used.
        scenario: the traffic, the objectives and the rules; it needs no model.
        catalog: the prices.
        as_of: the day on which the age of prices is judged.
    """
    search = searching_given(capacities, catalog=catalog, as_of=as_of)
    return answer(search(scenario), scenario=scenario, catalog=catalog)


def searching_given(capacities: Sequence[GivenCapacity], *, catalog: Catalog, as_of: date) -> Search:
    """What finds every usable row with every allowed offer that it speaks of; see `plan_on_given`."""

    def search(question: Scenario) -> Considered:
        return _considered(capacities, question, offers_to_buy(catalog, question.plan, as_of=as_of), as_of)

    return search


def _considered(
    capacities: Sequence[GivenCapacity], scenario: Scenario, offers: tuple[Offer, ...], as_of: date
) -> Considered:
    reasons = []
    candidates: list[Candidate] = []
    too_slow: list[tuple[Decimal, Offer, GivenCapacity]] = []
    limit_s = _p99_limit_s(scenario)
    pairs, unmatched = _match(capacities, offers)
    for given, offer in pairs:
        reason = why_not_plannable(offer)
        if reason is not None:
            reasons.append((offer, reason))
        elif limit_s is not None and given.p99_s is not None and given.p99_s > limit_s:
            too_slow.append((given.p99_s, offer, given))
            reasons.append((offer, f"{_described(given)}: its {_ms(given.p99_s)} are above the p99 of {_ms(limit_s)}"))
        else:
            candidates += ways_to_run(_candidate(offer, given), scenario)
    return Considered(
        candidates=tuple(candidates),
        near_miss=_near_miss(too_slow, limit_s),
        not_offered=(*listed(reasons), *unmatched),
        assumptions=(
            *common_assumptions(scenario),
            *balancer_assumptions(None),
            *price_assumptions(offers, scenario.plan),
            *burst_assumptions(candidates),
        ),
        caveats=(
            *_unknown_p99(capacities),
            *_unknown_classes(scenario),
            *stale_price_caveats(compared_offers((one.offer for one in candidates), offers), as_of),
            *_unknown_vantage(scenario),
        ),
        offers=offers,
    )


def _match(
    capacities: Iterable[GivenCapacity], offers: Sequence[Offer]
) -> tuple[list[tuple[GivenCapacity, Offer]], tuple[NotOffered, ...]]:
    """Each row with every allowed offer it speaks of, and the rows that speak of none."""
    pairs: list[tuple[GivenCapacity, Offer]] = []
    unmatched: list[NotOffered] = []
    for given in capacities:
        type_name = f"{given.provider}/{given.instance_type}"
        matching = [offer for offer in offers if offer.type_name == type_name and given.region in (None, offer.region)]
        pairs += [(given, offer) for offer in matching]
        if not matching:
            name = f"{given.provider}/{given.region or '*'}/{given.instance_type}"
            unmatched.append(NotOffered(offer_name=name, reason="no price in what the scenario allows; see --price"))
    return pairs, tuple(sorted(unmatched, key=lambda one: one.offer_name))


def _candidate(offer: Offer, given: GivenCapacity) -> Candidate:
    rate_rps = float(given.usable_capacity_rps)
    return Candidate(
        offer=offer,
        capacity=ReplicaCapacity(
            usable_capacity_rps=rate_rps,
            usable_capacity_rps_low=rate_rps,
            usable_capacity_rps_high=rate_rps,
            setting=None,
            speed_ratio=1.0,
            n_server_processes=1,
            basis="given",
        ),
        sizing_rps=given.usable_capacity_rps,
        predict_p99=lambda _rate_rps: None,
    )


def _p99_limit_s(scenario: Scenario) -> Decimal | None:
    """The strictest limit on the p99 of all requests, as it was written: rounding undoes what binary costs it."""
    of_all = (slo for slo in scenario.objectives if slo.class_name is None)
    limits_s = [limit.limit_s for slo in of_all for limit in slo.limits if limit.quantile == _P99]
    return Decimal(str(round(min(limits_s), 9))) if limits_s else None


def _near_miss(too_slow: Iterable[tuple[Decimal, Offer, GivenCapacity]], limit_s: Decimal | None) -> NearMiss | None:
    """The row whose p99 is least above the objective; cheaper and then first by name among equals."""
    nearest = min(too_slow, key=lambda miss: (miss[0], miss[1].usd_per_hour, miss[1].name), default=None)
    if nearest is None or limit_s is None:
        return None
    p99_s, offer, given = nearest
    return NearMiss(
        candidate=_candidate(offer, given),
        reason=f"{_described(given)}: its p99 of {_ms(p99_s)} is above the objective of {_ms(limit_s)}",
        binding_constraint=(
            f"p99 of at most {_ms(limit_s)}: every given row is slower; the nearest, {offer.name}, has {_ms(p99_s)}:"
            " allow that, or give rows measured at lower rates"
        ),
    )


def _described(given: GivenCapacity) -> str:
    batch = "" if given.batch_size is None else f" at batch size {given.batch_size}"
    return f"given {given.usable_capacity_rps} requests per second{batch}"


def _unknown_p99(capacities: Iterable[GivenCapacity]) -> Iterable[Caveat]:
    n_unknown = sum(given.p99_s is None for given in capacities)
    if n_unknown:
        yield Caveat(
            code="plan.given_without_p99",
            what=f"{n_unknown} of the given capacities name no p99 and are believed to hold within the objectives",
            fix="fill in p99_ms, measured at the capacity given",
            number=float(n_unknown),
        )


def _unknown_vantage(scenario: Scenario) -> Iterable[Caveat]:
    vantage = scenario.vantage
    if vantage.delays:
        yield Caveat(
            code="plan.given_vantage",
            what=f"given capacities are taken to have been measured at the {vantage.at}, where the objectives are; "
            "no delay of slo_measured is added to them",
            fix="give capacities that were measured there, with their p99",
        )


def _unknown_classes(scenario: Scenario) -> Iterable[Caveat]:
    named = dict.fromkeys(slo.class_name for slo in scenario.objectives if slo.class_name is not None)
    if named:
        yield Caveat(
            code="plan.given_without_classes",
            what=f"given capacities say nothing of single classes, so they are believed to hold the objectives of "
            f"{', '.join(named)} too",
            fix="give capacities at which each class was within its own objectives",
        )


def _ms(time_s: Decimal) -> str:
    return f"{(1000 * time_s).normalize():f} ms"
