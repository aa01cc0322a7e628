"""What runs today beside the plan: what it costs, and whether it would do.

The decision a reader would question: what is committed to is paid until it ends, whatever is bought. So beside the
difference of the two bills stands the one until then, in which the plan uses committed machines where they are of its
own type and region, and pays for the others as well.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from loadplan.catalog.price import Catalog
from loadplan.caveat import Caveat
from loadplan.plan.answer import Search
from loadplan.plan.around.named import Running, hold, named, named_usd
from loadplan.plan.buying.commitments import TERM_MONTHS, is_assumed
from loadplan.plan.fleets.sizing import usd_per_month
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import Today
from loadplan.scenario.spec import PlanRules, Scenario


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
    running = named(catalog, rules, rules.today)
    usd = named_usd(running, rules=rules)
    committed = [(offer, n) for offer, n in running if offer.purchase in TERM_MONTHS]
    held = hold(running, scenario=scenario, search=search)
    return Today(
        choice=Choice(offers=rules.today, usd_per_month=usd),
        usd_less_per_month=None if planned is None else usd - planned.usd_per_month,
        holds=held.holds,
        reason=held.reason,
        carried_rps=held.carried_rps,
        committed_usd_per_month=named_usd(committed, rules=rules) if committed else None,
        usd_less_while_committed=usd - _usd_while_committed(planned, committed, rules)
        if planned is not None and committed
        else None,
    )


def today_caveats(scenario: Scenario, catalog: Catalog) -> Iterable[Caveat]:
    """What is doubtful about the price of what runs today."""
    running = named(catalog, scenario.plan, scenario.plan.today)
    assumed = sorted(offer.name for offer, _ in running if is_assumed(offer))
    if assumed:
        yield Caveat(
            code="plan.today_discount_assumed",
            what=f"what runs today is priced by an assumed discount for {', '.join(assumed)}",
            fix="give the price that you pay with --price provider/region/type/commit_1y=USD per hour",
        )


def _usd_while_committed(planned: Fleet, committed: Running, rules: PlanRules) -> Decimal:
    """A month of the plan and of every commitment; machines that are committed to take the place of its own."""
    free: Counter[tuple[str, str]] = Counter()
    for offer, n in committed:
        free[offer.type_name, offer.region] += n
    usd = named_usd(committed, rules=rules)
    for item in planned.items:
        place = (item.offer.type_name, item.offer.region)
        n_used = min(free[place], item.n_replicas)
        free[place] -= n_used
        usd += usd_per_month(item.offer, item.n_replicas - n_used, rules=rules)
    return usd
