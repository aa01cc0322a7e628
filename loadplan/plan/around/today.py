"""What runs today beside the plan: what it costs, and whether it would do.

The decision a reader would question: today's fleet is held to the same rules as the plan (the spares gone, the headroom
free, requests in proportion to what each replica carries), however it is really run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.plan.answer import Search
from loadplan.plan.buying.owned import owned_offers
from loadplan.plan.fleets.candidate import Candidate, counted_rps
from loadplan.plan.fleets.mixed import left_rps
from loadplan.plan.fleets.sizing import as_written, multiple_of, n_gone, usd_per_month
from loadplan.plan.reasons import rate_text, rounded_down
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import Choice, Today
from loadplan.scenario.spec import PlanRules, Scenario


def check_today(catalog: Catalog, rules: PlanRules) -> None:
    """Hold the offers that run today to those that have a price.

    Raises:
        InputError: naming the first that has none.
    """
    known = _priced(catalog, rules) if rules.today else {}
    for name, _ in rules.today:
        if name not in known:
            raise InputError(
                what=f"the catalogue has no price for {name!r}, which runs today",
                where="plan.today",
                fix="write provider/region/type/purchase as the catalogue has it, or give its price with --price",
            )


def _priced(catalog: Catalog, rules: PlanRules) -> dict[str, Offer]:
    """Offers by name: of the catalogue, and machines of one's own, whose price has no day."""
    return {offer.name: offer for offer in (*catalog.offers, *owned_offers(catalog, rules, as_of=date.min))}


def today_beside(planned: Fleet | None, *, scenario: Scenario, catalog: Catalog, search: Search) -> Today | None:
    """What runs today against the plan, or against nothing where no fleet will do; None where nobody said what runs.

    Args:
        planned: the recommended fleet.
        scenario: its rules name what runs.
        catalog: has a price for each of its offers.
        search: what could carry a scenario's traffic; asked for the offers of today, allowed or not.
    """
    rules = scenario.plan
    if not rules.today:
        return None
    by_name = _priced(catalog, rules)
    running = [(by_name[name], n) for name, n in rules.today]
    usd = sum((usd_per_month(offer, n, rules=rules) for offer, n in running), Decimal(0))
    # Of a burstable type the first is the one at its baseline.
    found: dict[str, Candidate] = {}
    for one in search(_asking_for(scenario, [offer for offer, _ in running])).candidates:
        found.setdefault(one.offer.name, one)
    holds, reason, carried_rps = _holds(running, found, scenario)
    return Today(
        choice=Choice(offers=rules.today, usd_per_month=usd),
        usd_less_per_month=None if planned is None else usd - planned.usd_per_month,
        holds=holds,
        reason=reason,
        carried_rps=carried_rps,
    )


def _asking_for(scenario: Scenario, offers: Sequence[Offer]) -> Scenario:
    """The same question, with every place and kind of purchase allowed in which something runs."""
    rules = replace(
        scenario.plan,
        providers=tuple(dict.fromkeys(offer.instance_type.provider for offer in offers)),
        regions=tuple(dict.fromkeys(offer.region for offer in offers)),
        purchases=tuple(dict.fromkeys(offer.purchase for offer in offers)),
    )
    return replace(scenario, plan=rules)


def _holds(
    running: Sequence[tuple[Offer, int]], found: Mapping[str, Candidate], scenario: Scenario
) -> tuple[bool | None, str, float | None]:
    unknown = [offer.name for offer, _ in running if offer.name not in found]
    if unknown:
        return None, f"what {', '.join(unknown)} carries within the objectives isn't known", None
    rules, peak_rps = scenario.plan, scenario.traffic.peak_rps
    capacities = [counted_rps(found[offer.name]) for offer, _ in running]
    counts = [n for _, n in running]
    left = left_rps(capacities, counts, n_gone=n_gone(sum(counts), rules))
    if len(running) == 1:  # of a fleet of one kind more is known
        only = found[running[0][0].name]
        n_left = max(counts[0] - n_gone(counts[0], rules), 0)
        left = multiple_of(n_left, only.capacity.rungs) * as_written(only.sizing_rps)
    carried = left * (1 - as_written(rules.headroom_ratio))
    n = n_gone(sum(counts), rules)
    kept = f"{f' with {n} gone' if n else ''} and {100 * rules.headroom_ratio:.0f} % kept free"
    rate = rate_text(rounded_down(float(carried)))
    reason = f"it carries {rate} requests per second{kept}, the peak is {rate_text(peak_rps)}"
    return carried >= as_written(peak_rps), reason, float(carried)
