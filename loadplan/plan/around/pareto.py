"""The front of cost against p99: the fleets than which none is both cheaper and faster.

More replicas than are needed make each less busy and so faster, so each type enters with a few more as well. The
decision a reader would question: the front ends at twice the chosen cost or eight replicas more, and each offer enters
with its best setting alone, which is the one that carries most.
"""

from collections.abc import Iterable, Sequence

from loadplan.plan.around.sensitivity import choice_of
from loadplan.plan.fleets.candidate import fleet_of
from loadplan.plan.fleets.ranking import Ranked
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import FrontPoint
from loadplan.scenario.spec import PlanRules

N_MORE = 8  # replicas beyond those needed, at most
_DEAREST = 2  # times the cheapest


def cost_latency_front(ranked: Sequence[Ranked], *, peak_rps: float, rules: PlanRules) -> tuple[FrontPoint, ...]:
    """Cheapest first, each faster than all before it; empty where no latency is predicted."""
    fleets = sorted(_fleets(ranked, peak_rps, rules), key=lambda fleet: (fleet.usd_per_month, fleet.predicted_p99_s))
    front: list[FrontPoint] = []
    fastest_s = float("inf")
    for fleet in fleets:
        p99_s, low_s, high_s = fleet.predicted_p99_s, fleet.predicted_p99_s_low, fleet.predicted_p99_s_high
        if p99_s is None or low_s is None or high_s is None or p99_s >= fastest_s:
            continue
        fastest_s = p99_s
        front.append(
            FrontPoint(
                choice=choice_of(fleet), predicted_p99_s_low=low_s, predicted_p99_s_high=high_s, basis=fleet.basis
            )
        )
    return tuple(front)


def _fleets(ranked: Sequence[Ranked], peak_rps: float, rules: PlanRules) -> Iterable[Fleet]:
    """The best fleet of each type and the same with more replicas, as far as a latency is predicted."""
    dearest = ranked[0].fleet.usd_per_month * _DEAREST
    for one in ranked:
        if one.fleet.usd_per_month > dearest:
            return
        if one.fleet.predicted_p99_s is None:
            continue
        yield one.fleet
        n_replicas, n_available = one.fleet.items[0].n_replicas, one.candidate.offer.n_available
        n_most = n_replicas + N_MORE if n_available is None else min(n_replicas + N_MORE, n_available)
        for n_more in range(1, n_most - n_replicas + 1):
            fleet = fleet_of(one.candidate, n_replicas + n_more, peak_rps=peak_rps, rules=rules)
            if fleet.usd_per_month > dearest:
                break
            yield fleet
