"""Is a cluster needed at all, is a GPU, from which peak on, and what would a larger proposal leave idle?

All fleets here are of one type. The decisions a reader would question: whether a machine has a GPU decides on which
side it stands, not whether it is used; and where nothing is known of any GPU, the bill of the cheapest machines that
have one is held against the other side as if one of them carried everything: what a GPU can't undercut even so needs
no measuring.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from loadplan.catalog.price import Catalog, Offer
from loadplan.plan.around.crossing import cheapest_usd, crossing, steps_of
from loadplan.plan.around.named import hold, named, named_usd
from loadplan.plan.around.sensitivity import Asked, choice_of
from loadplan.plan.fleets.candidate import carried_by
from loadplan.plan.fleets.ranking import Ranked, best_of_each_type
from loadplan.plan.fleets.sizing import n_with_gone, usd_per_month
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.cluster import Cluster, GpuWins, Proposed, Side
from loadplan.plan.records.fleet import Fleet


def has_gpu(offer: Offer) -> bool:
    """Whether the machine has one, or a share of one."""
    return offer.instance_type.accelerator is not None


def cluster_of(planned: Fleet, asked: Asked, *, mean_rps: float, catalog: Catalog) -> Cluster:
    """Of a recommended fleet.

    Args:
        planned: the fleet.
        asked: the question, and what was compared for it.
        mean_rps: over the week.
        catalog: has a price for each offer that is proposed.
    """
    with_gpu = [one for one in asked.ranked if has_gpu(one.candidate.offer)]
    without = [one for one in asked.ranked if not has_gpu(one.candidate.offer)]
    return Cluster(
        least=_least(asked),
        n_planned=sum(item.n_replicas for item in planned.items),
        without_gpu=_side(without, asked, is_gpu=False),
        with_gpu=_side(with_gpu, asked, is_gpu=True),
        gpu_wins=_gpu_wins(asked),
        proposed=_proposed(planned, asked, mean_rps=mean_rps, catalog=catalog),
    )


def _proposed(planned: Fleet, asked: Asked, *, mean_rps: float, catalog: Catalog) -> Proposed | None:
    rules, peak_rps = asked.scenario.plan, asked.scenario.traffic.peak_rps
    if not rules.proposal:
        return None
    running = named(catalog, rules, rules.proposal)
    usd, held = named_usd(running, rules=rules), hold(running, scenario=asked.scenario, search=asked.search)

    def idle(rate_rps: float) -> float | None:
        return max(1.0 - rate_rps / held.all_rps, 0.0) if held.all_rps else None

    return Proposed(
        choice=Choice(offers=rules.proposal, usd_per_month=usd),
        usd_more_per_month=usd - planned.usd_per_month,
        holds=held.holds,
        reason=held.reason,
        carried_rps=held.carried_rps,
        idle_at_peak_ratio=idle(peak_rps),
        idle_on_average_ratio=idle(mean_rps),
        worth_rps=_worth_rps(planned, usd, asked),
    )


def _worth_rps(planned: Fleet, usd: Decimal, asked: Asked) -> float | None:
    """What the machines of the plan carry for as much money, the spares gone and the headroom free."""
    offer = planned.items[0].offer
    own = next((one for one in asked.considered.candidates if one.offer == offer), None)
    each = usd_per_month(offer, 1, rules=asked.scenario.plan)
    if own is None or len(planned.items) > 1 or each == 0:
        return None
    n = int(usd / each) - own.capacity.n_more
    return (carried_by(own, n, rules=asked.scenario.plan) or None) if n > 0 else None


def _least(asked: Asked) -> Choice:
    """The fewest machines that carry the peak with nothing to spare."""
    bare = replace(asked.scenario.plan, n_spare_replicas=0, n_zones=None, n_min_replicas=1)
    grown = (replace(one, capacity=replace(one.capacity, n_more=0)) for one in asked.considered.candidates)
    return choice_of(_fewest(best_of_each_type(grown, peak_rps=asked.scenario.traffic.peak_rps, rules=bare)))


def _fewest(ranked: Sequence[Ranked]) -> Fleet:
    """The cheapest among those of the fewest machines."""
    fleets = (one.fleet for one in ranked)
    return min(fleets, key=lambda one: (one.items[0].n_replicas, one.usd_per_month, one.items[0].offer.name))


def _side(ranked: Sequence[Ranked], asked: Asked, *, is_gpu: bool) -> Side:
    if not ranked:
        return Side(cheapest=None, fewest=None, basis=None, reason=_why_none(asked, is_gpu=is_gpu))
    cheapest = ranked[0].fleet
    return Side(cheapest=choice_of(cheapest), fewest=choice_of(_fewest(ranked)), basis=cheapest.basis, reason="")


def _why_none(asked: Asked, *, is_gpu: bool) -> str:
    """The commonest reason for which no offer of this side is compared."""
    kind = f"{'with' if is_gpu else 'without'} a GPU"
    names = {offer.name for offer in asked.considered.offers if has_gpu(offer) == is_gpu}
    if not names:
        return f"the scenario allows no machine {kind} that has a price"
    said = Counter(one.reason for one in asked.considered.not_offered if one.offer_name in names).most_common(1)
    return said[0][0] if said else f"nothing is known of what a machine {kind} carries"


def _gpu_wins(asked: Asked) -> GpuWins:
    rules = asked.scenario.plan
    ours = [one for one in asked.considered.candidates if not has_gpu(one.offer)]
    theirs = [one for one in asked.considered.candidates if has_gpu(one.offer)]
    at_least = _usd_at_least(asked)
    if at_least is None or not ours:
        why = "nothing without a GPU meets the objectives" if at_least is not None else _why_none(asked, is_gpu=True)
        return GpuWins(
            from_rps=None,
            is_earliest=False,
            usd_per_month_at_least=at_least,
            tried_from_rps=asked.scenario.traffic.peak_rps,
            tried_to_rps=asked.scenario.traffic.peak_rps,
            reason=why,
        )
    without, with_gpu = cheapest_usd(ours, rules=rules), cheapest_usd(theirs, rules=rules)

    def wins(peak_rps: float) -> bool:
        usd, gpu_usd = without(peak_rps), with_gpu(peak_rps) if theirs else at_least
        return gpu_usd is not None and (usd is None or gpu_usd < usd)

    found = crossing(wins, peak_rps=asked.scenario.traffic.peak_rps, steps_rps=steps_of(theirs, rules=rules))
    return GpuWins(
        from_rps=found.from_rps,
        is_earliest=not theirs,
        usd_per_month_at_least=at_least,
        tried_from_rps=found.tried_from_rps,
        tried_to_rps=found.tried_to_rps,
        reason="",
    )


def _usd_at_least(asked: Asked) -> Decimal | None:
    """What the fewest machines with a GPU cost that bear the loss of the spares, whatever each carries."""
    n = max(n_with_gone(1, asked.scenario.plan), asked.scenario.plan.n_min_replicas)
    offers = (offer for offer in asked.considered.offers if has_gpu(offer) and offer.purchase != "spot")
    return min((usd_per_month(offer, n, rules=asked.scenario.plan) for offer in offers), default=None)
