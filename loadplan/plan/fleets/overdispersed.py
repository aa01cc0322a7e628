"""The price of clusters: the plan beside the one for Poisson arrivals, where those are only assumed."""

from collections.abc import Sequence
from dataclasses import replace

from loadplan.fit.overdispersed import OVERDISPERSED
from loadplan.fit.records import SettingCapacity
from loadplan.plan.fleets.candidate import Candidate, least_fleet, n_missing
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.overdispersed import OverdispersedCase
from loadplan.scenario.arrivals import described
from loadplan.scenario.spec import PlanRules


def overdispersed_ratio(capacity: SettingCapacity) -> float | None:
    """Share of its usable capacity that a setting carries of clusters, at most 1; None: nobody looked."""
    if capacity.overdispersed_rps is None or capacity.usable_capacity_rps == 0.0:
        return None
    return min(capacity.overdispersed_rps / capacity.usable_capacity_rps, 1.0)


def overdispersed_case(
    winner: Candidate, rivals: Sequence[Candidate], *, peak_rps: float, rules: PlanRules
) -> OverdispersedCase | None:
    """What the recommended offer and the cheapest one would cost; None where arrivals aren't assumed to be Poisson.

    Every capacity is smaller by the factor that its setting loses on the machine that was measured.
    """
    ratio = winner.capacity.overdispersed_ratio
    if ratio is None:
        return None
    own = _fleet(winner, peak_rps, rules)
    fleets = [fleet for one in (winner, *rivals) if (fleet := _fleet(one, peak_rps, rules)) is not None]
    cheapest = min(
        fleets, key=lambda one: (one.usd_per_month, one.items[0].n_replicas, one.items[0].offer.name), default=None
    )
    return OverdispersedCase(
        arrivals=described(OVERDISPERSED),
        usable_ratio=ratio,
        n_replicas=None if own is None else own.items[0].n_replicas,
        usd_per_month=None if own is None else own.usd_per_month,
        cheapest_offer=None if cheapest is None else cheapest.items[0].offer.name,
        cheapest_n_replicas=None if cheapest is None else cheapest.items[0].n_replicas,
        cheapest_usd_per_month=None if cheapest is None else cheapest.usd_per_month,
    )


def _fleet(candidate: Candidate, peak_rps: float, rules: PlanRules) -> Fleet | None:
    ratio = candidate.capacity.overdispersed_ratio
    if not ratio:
        return None
    sizing_rps = float(f"{float(candidate.sizing_rps) * ratio:.9g}")  # the noise of floats must not buy a replica
    smaller = replace(candidate, sizing_rps=sizing_rps)
    if n_missing(smaller, peak_rps=peak_rps, rules=rules) > 0:
        return None
    return least_fleet(smaller, peak_rps=peak_rps, rules=rules)
