"""What could carry the traffic, cheapest first: of each instance type only its best fleet.

Ties are broken by fewer replicas, then more headroom, then name, so the order of the catalogue never shows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.fleets.candidate import Candidate, least_fleet
from loadplan.plan.records.fleet import Fleet
from loadplan.scenario.spec import PlanRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The best fleet of an instance type, and the offer that it is made of."""

    candidate: Candidate
    fleet: Fleet


def best_of_each_type(candidates: Iterable[Candidate], *, peak_rps: float, rules: PlanRules) -> list[Ranked]:
    """The best fleet of each instance type, best first; none of a type of which there are too few."""
    best: dict[str, Ranked] = {}
    for candidate in candidates:
        fleet = least_fleet(candidate, peak_rps=peak_rps, rules=rules)
        if candidate.offer.n_available is not None and fleet.items[0].n_replicas > candidate.offer.n_available:
            continue
        one = Ranked(candidate=candidate, fleet=fleet)
        known = best.get(candidate.offer.type_name)
        if known is None or _rank(one.fleet) < _rank(known.fleet):
            best[candidate.offer.type_name] = one
    return sorted(best.values(), key=lambda one: _rank(one.fleet))


def _rank(fleet: Fleet) -> tuple[Decimal, int, float, str]:
    """Cheaper first; then fewer replicas, more headroom, name."""
    item = fleet.items[0]
    return fleet.usd_per_month, item.n_replicas, fleet.utilisation_ratio, item.offer.name
