"""A fleet that somebody names, as what runs today or is proposed, held to the rules of the plan.

The spares gone, the headroom free, requests in proportion to what each replica carries: the decision a reader would
question is that it is held to those, however it is really run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.plan.answer import Search
from loadplan.plan.buying.commitments import TERM_MONTHS, assumed_commitments
from loadplan.plan.buying.owned import owned_offers
from loadplan.plan.fleets.candidate import Candidate, counted_rps
from loadplan.plan.fleets.mixed import left_rps
from loadplan.plan.fleets.sizing import as_written, multiple_of, n_gone, usd_per_month
from loadplan.plan.reasons import rate_text, rounded_down
from loadplan.scenario.spec import PlanRules, Scenario

Names = tuple[tuple[str, int], ...]  # of offers, and replicas of each
Running = Sequence[tuple[Offer, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Whether a fleet carries the peak with the spares gone and the headroom free."""

    holds: bool | None  # None: not known
    reason: str  # why it does or doesn't, or why that isn't known
    carried_rps: float | None  # so
    all_rps: float | None  # with all replicas there and nothing kept free


def check_named(catalog: Catalog, rules: PlanRules) -> None:
    """Hold the offers that run today, and those proposed, to those that have a price.

    Raises:
        InputError: naming the first that has none.
    """
    asked = (("plan.today", "runs today", rules.today), ("plan.proposal", "is proposed", rules.proposal))
    for where, does, names in asked:
        known = priced(catalog, rules, names)
        for name, _ in names:
            if name not in known:
                raise InputError(
                    what=f"the catalogue has no price for {name!r}, which {does}",
                    where=where,
                    fix="write provider/region/type/purchase as the catalogue has it, or give its price with --price",
                )


def named(catalog: Catalog, rules: PlanRules, names: Names) -> Running:
    """The offers that are named, each of which has a price, with the replicas of each."""
    known = priced(catalog, rules, names)
    return [(known[name], n) for name, n in names]


def priced(catalog: Catalog, rules: PlanRules, names: Names) -> Mapping[str, Offer]:
    """By name what may be named: the catalogue, machines of one's own, and commitments at an assumed discount."""
    if not names:
        return {}
    known = {offer.name: offer for offer in (*catalog.offers, *owned_offers(catalog, rules, as_of=date.min))}
    if all(name in known for name, _ in names):
        return known
    on_demand = [offer for offer in catalog.offers if offer.purchase == "on_demand"]
    allowed = replace(rules, purchases=tuple(TERM_MONTHS))
    committed = {offer.name: offer for offer in assumed_commitments(on_demand, catalog.offers, allowed)}
    return {**committed, **known}


def named_usd(running: Running, *, rules: PlanRules) -> Decimal:
    """What it costs a month."""
    return sum((usd_per_month(offer, n, rules=rules) for offer, n in running), Decimal(0))


def hold(running: Running, *, scenario: Scenario, search: Search) -> Held:
    """Whether it would do for a scenario's traffic.

    Args:
        running: replicas of each offer.
        scenario: the traffic, the objectives and the rules.
        search: what could carry a scenario's traffic; asked for these offers, allowed or not.
    """
    # Of a burstable type the first is the one at its baseline.
    found: dict[str, Candidate] = {}
    for one in search(_asking_for(scenario, [offer for offer, _ in running])).candidates:
        found.setdefault(one.offer.name, one)
    unknown = [offer.name for offer, _ in running if offer.name not in found]
    if unknown:
        reason = f"what {', '.join(unknown)} carries within the objectives isn't known"
        return Held(holds=None, reason=reason, carried_rps=None, all_rps=None)
    return _known(running, found, scenario)


def _known(running: Running, found: Mapping[str, Candidate], scenario: Scenario) -> Held:
    rules, peak_rps = scenario.plan, scenario.traffic.peak_rps
    n = n_gone(sum(n for _, n in running), rules)
    every, left = _left(running, found, n_lost=0), _left(running, found, n_lost=n)
    carried = left * (1 - as_written(rules.headroom_ratio))
    kept = f"{f' with {n} gone' if n else ''} and {100 * rules.headroom_ratio:.0f} % kept free"
    rate = rate_text(rounded_down(float(carried)))
    return Held(
        holds=carried >= as_written(peak_rps),
        reason=f"it carries {rate} requests per second{kept}, the peak is {rate_text(peak_rps)}",
        carried_rps=float(carried),
        all_rps=float(every),
    )


def _left(running: Running, found: Mapping[str, Candidate], *, n_lost: int) -> Fraction:
    """What it carries once its largest replicas are lost."""
    if len(running) == 1:  # of a fleet of one kind more is known
        offer, n = running[0]
        only = found[offer.name]
        return multiple_of(max(n - n_lost, 0), only.capacity.rungs) * as_written(only.sizing_rps)
    capacities = [counted_rps(found[offer.name]) for offer, _ in running]
    return left_rps(capacities, [n for _, n in running], n_gone=n_lost)


def _asking_for(scenario: Scenario, offers: Sequence[Offer]) -> Scenario:
    """The same question, with every place and kind of purchase allowed in which something runs."""
    rules = replace(
        scenario.plan,
        providers=tuple(dict.fromkeys(offer.instance_type.provider for offer in offers)),
        regions=tuple(dict.fromkeys(offer.region for offer in offers)),
        purchases=tuple(dict.fromkeys(offer.purchase for offer in offers)),
    )
    return replace(scenario, plan=rules)
