"""What a million requests cost, and what a tenth more traffic would.

Money is `Decimal` in USD, rates are requests per second. The decision a reader would question: the requests of a month
are those of the mean week times the hours of a month, so hours in which the fleet stands idle are paid by the others.
"""

from collections.abc import Sequence
from decimal import Decimal

from loadplan.plan.fleets.candidate import Candidate, n_missing
from loadplan.plan.fleets.mixed import cheapest_of
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import UnitCosts
from loadplan.scenario.spec import PlanRules

_MORE = Decimal("1.1")
_S_PER_HOUR = 3600


def unit_costs(
    fleet: Fleet, candidates: Sequence[Candidate], *, peak_rps: float, mean_rps: float, rules: PlanRules
) -> UnitCosts:
    """Of a fleet that is made of some of these candidates; the mean rate must be above 0."""
    requests_per_month = Decimal(str(mean_rps)) * _S_PER_HOUR * rules.hours_per_month
    offers = [item.offer for item in fleet.items]
    used = [one for one in candidates if one.offer in offers]
    more = _fleet(used, float(Decimal(str(peak_rps)) * _MORE), rules)
    return UnitCosts(
        usd_per_million_requests=fleet.usd_per_month * 1_000_000 / requests_per_month,
        usd_per_month_of_more_traffic=None if more is None else more.usd_per_month - fleet.usd_per_month,
        n_replicas_of_more_traffic=None if more is None else _n_replicas(more) - _n_replicas(fleet),
    )


def _fleet(used: Sequence[Candidate], peak_rps: float, rules: PlanRules) -> Fleet | None:
    """What carries a peak, made of these; None where there are too few of the only one."""
    if len(used) == 1 and n_missing(used[0], peak_rps=peak_rps, rules=rules) > 0:
        return None
    return cheapest_of(used, peak_rps=peak_rps, rules=rules)


def _n_replicas(fleet: Fleet) -> int:
    return sum(item.n_replicas for item in fleet.items)
