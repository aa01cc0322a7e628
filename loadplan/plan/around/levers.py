"""Which part of the slow requests' time would save a machine: the plan again with each of them half as long.

Halved are what lies outside the replica, what is fetched, the inference, and the server's own work on requests and
batches. What a replica carries then is taken to grow by the factor that it does on the machine that was measured, by
the best law. The decision a reader would question: limits, spares and headroom stay, so a part may be halved and save
nothing, because the fleet consists of whole machines.
"""

from collections.abc import Iterable
from dataclasses import replace

from loadplan.fit.records import TimePart
from loadplan.plan.around.crossing import cheapest_fleet
from loadplan.plan.around.sensitivity import Asked, choice_of
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.time_split import Lever, TimeSplit


def split_of(planned: Fleet, asked: Asked) -> tuple[TimeSplit | None, str]:
    """The fleet's predicted p99 in parts, or why there are none."""
    if len(planned.items) > 1:
        return None, "the fleet is of several types"
    if planned.predicted_p99_s is None:
        return None, "no latency is predicted for the fleet"
    own = _own(planned, asked)
    split = (
        None
        if own is None
        else own.split(planned.utilisation_ratio_degraded * float(own.sizing_rps), planned.predicted_p99_s)
    )
    return split, "" if split else "the fit does not say of what its times consist"


def levers(planned: Fleet, asked: Asked) -> Iterable[Lever]:
    """One for each part that can be halved; none for a fleet of several types, or where nothing is known."""
    own = None if len(planned.items) > 1 else _own(planned, asked)
    if own is None or own.breakdown is None:
        return
    for halved in own.breakdown.halved:
        faster = (_faster(one, halved.part) for one in asked.considered.candidates)
        best = cheapest_fleet(faster, peak_rps=asked.scenario.traffic.peak_rps, rules=asked.scenario.plan) or planned
        (item,), (now,) = best.items, planned.items
        yield Lever(
            part=halved.part,
            capacity_ratio=halved.ratio,
            choice=choice_of(best),
            n_fewer=now.n_replicas - item.n_replicas if item.offer == now.offer else None,
            usd_less_per_month=planned.usd_per_month - best.usd_per_month,
        )


def _own(planned: Fleet, asked: Asked) -> Candidate | None:
    """What the fleet is made of."""
    offer, burst = planned.items[0].offer, planned.capacity.burst
    alike = (one for one in asked.considered.candidates if one.offer == offer and one.capacity.burst == burst)
    return next(alike, None)


def _faster(one: Candidate, part: TimePart) -> Candidate:
    """As it would be counted on with a part of the time halved; as it is where nothing is known."""
    halved = () if one.breakdown is None else one.breakdown.halved
    ratio = next((each.ratio for each in halved if each.part == part), None)
    if ratio is None:
        return one
    # The noise of floats must not buy a replica, nor save one.
    return replace(one, sizing_rps=float(f"{float(one.sizing_rps) * ratio:.9g}"))
