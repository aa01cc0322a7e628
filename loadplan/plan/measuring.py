"""Which instance type is worth measuring next, because what it may carry overlaps what the chosen fleet is sized on.

A fleet on hardware that was never measured is sized on the low end of a wide interval. Measuring narrows it, so the
expected saving is E[max(0, chosen - cost(X))]: X is what a replica carries, with the interval's ends as 5th and 95th
percentile and a lognormal law on either side of its middle, and cost(X) that of the fewest replicas, sized as far below
X as a measured capacity usually is. The chosen type itself is asked as well: it may need fewer. The decision a reader
would question: who would lose the lead by being measured saves nothing here, although to know it is worth something;
and a type whose low end carries nothing isn't looked at, for nothing tells how likely it would carry anything.

Money is `Decimal` in USD. The expectation is a sum over quantiles, so the same plan gives the same answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.calibration import N_RUNS_EXPECTED
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.fleets.chance import capacity_quantiles_rps
from loadplan.plan.fleets.sizing import n_replicas_needed, usd_per_month
from loadplan.plan.reasons import rate_text
from loadplan.plan.records.fleet import Fleet, WorthMeasuring
from loadplan.scenario.spec import PlanRules, Scenario
from loadplan.units import CENT, in_cents, usd_text

# Starting a machine, installing, exporting and fitting. Assumed.
ASSUMED_MINUTES = 15
_N_MOST = 3
_N_QUANTILES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The fleet to beat, and what it has to carry."""

    fleet: Fleet
    peak_rps: float
    rules: PlanRules


def worth_measuring(
    candidates: Sequence[Candidate], chosen: Chosen, *, certainty_ratio: float, scenario: Scenario, catalog: Catalog
) -> tuple[WorthMeasuring, ...]:
    """The types by what measuring them is expected to save over the horizon, where that is more than it costs.

    Args:
        candidates: the best offer of each type.
        chosen: the fleet that wins as long as nothing more is measured.
        certainty_ratio: the low end of a measured capacity over its middle: what is left to size on.
        scenario: its budgets tell how long measuring takes.
        catalog: what a machine costs meanwhile.
    """
    found = (
        _worth(candidate, chosen, certainty_ratio, scenario, catalog)
        for candidate in candidates
        if candidate.capacity.basis == "extrapolated"
    )
    horizon = chosen.rules.horizon_months
    paying = [one for one in found if one.expected_saving_usd_per_month * horizon > one.measuring_usd]
    return tuple(sorted(paying, key=lambda one: (-one.expected_saving_usd_per_month, one.type_name))[:_N_MOST])


def measured_minutes(scenario: Scenario) -> int:
    """The budgets of the benchmark and of the live runs, in whole minutes."""
    return math.ceil((scenario.bench.budget_s + N_RUNS_EXPECTED * scenario.load.duration_s) / 60)


def measuring_usd(offer: Offer, minutes: int) -> Decimal:
    """What a machine costs for so long, rounded up to the cent."""
    return (offer.usd_per_hour * minutes / 60).quantize(CENT, rounding=ROUND_UP)


def _worth(
    candidate: Candidate, chosen: Chosen, certainty_ratio: float, scenario: Scenario, catalog: Catalog
) -> WorthMeasuring:
    offer, rules = candidate.offer, chosen.rules

    def cost(capacity_rps: float) -> Decimal:
        n_replicas = n_replicas_needed(
            chosen.peak_rps, float(f"{capacity_rps:.9g}"), rules=rules, rungs=candidate.capacity.rungs
        )
        return usd_per_month(offer, n_replicas, rules=rules)

    costs = [
        cost(certainty_ratio * capacity_rps)
        for capacity_rps in capacity_quantiles_rps(candidate.capacity, n=_N_QUANTILES)
    ]
    savings = [max(chosen.fleet.usd_per_month - each, Decimal(0)) for each in costs]
    minutes = measured_minutes(scenario) + ASSUMED_MINUTES
    saved = in_cents(sum(savings, Decimal(0)) / len(savings))
    chance = sum(saving > 0 for saving in savings) / len(savings)
    is_chosen = offer.type_name == chosen.fleet.items[0].offer.type_name
    return WorthMeasuring(
        type_name=offer.type_name,
        offer_name=offer.name,
        chance_ratio=chance,
        expected_saving_usd_per_month=saved,
        best_usd_per_month=min(costs),
        minutes=minutes,
        measuring_usd=measuring_usd(_rented(offer, catalog), minutes),
        command=f"loadplan profile SCENARIO --on {offer.type_name}",
        reason=(
            f"a replica may carry {rate_text(candidate.capacity.usable_capacity_rps_low)} to "
            f"{rate_text(candidate.capacity.usable_capacity_rps_high)} requests per second; a fleet of "
            f"{'fewer of it' if is_chosen else 'it'} would cost down to {usd_text(min(costs))} a month, the chosen one "
            f"costs {usd_text(chosen.fleet.usd_per_month)}"
        ),
    )


def _rented(offer: Offer, catalog: Catalog) -> Offer:
    """What is rented to measure: the type on demand where it has such a price, in the same region if it can be."""
    own = [one for one in catalog.offers if one.type_name == offer.type_name and one.purchase == "on_demand"]
    return min(own, key=lambda one: (one.region != offer.region, one.usd_per_hour, one.name), default=offer)
