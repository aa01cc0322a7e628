"""Burstable types: planned at the share of a vCPU that is always theirs, or at full speed with surplus credits paid.

A credit is a minute of one vCPU. A replica that is used at most at its baseline spends no more than it earns, so what
it carries at full speed times the baseline is what it carries for ever. Above that each vCPU-hour costs a surplus
credit's price. With the headroom kept free, a replica is used at most to (1 - headroom) of what it carries at the peak,
and in every other hour to its share of that; so surplus credits cost at most

    n_vcpus x surplus price x mean over the week of max(0, share (1 - headroom) - baseline)

an hour. The decision a reader would question: credits saved in quiet hours are not set against busy ones, and the
processor is taken to be fully used at the usable capacity, so the price is an upper bound; and at the baseline the
latency is that of full speed, for what is saved in quieter moments carries the bursts within an hour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from loadplan.catalog.price import Offer
from loadplan.caveat import Caveat
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.records.fleet import Assumption, Fleet
from loadplan.scenario.spec import PlanRules, Scenario

_DIGITS = 9  # of a capacity, as the search sizes: the noise of binary floats must not buy a replica


def ways_to_run(candidate: Candidate, scenario: Scenario) -> tuple[Candidate, ...]:
    """The candidate itself; of a burstable type that at its baseline and, where a price is known, that with credits."""
    instance_type = candidate.offer.instance_type
    if instance_type.baseline_ratio is None:
        return (candidate,)
    at_baseline = _at_baseline(candidate, instance_type.baseline_ratio)
    price = surplus_usd_per_hour(candidate.offer, scenario.traffic.week_shares, scenario.plan)
    return (at_baseline,) if price is None else (at_baseline, _with_credits(candidate, price))


def surplus_usd_per_hour(offer: Offer, week_shares: Sequence[float], rules: PlanRules) -> Decimal | None:
    """What surplus credits of one replica cost at most, averaged over the week; None where their price isn't known."""
    own = offer.instance_type
    if own.baseline_ratio is None or own.surplus_usd_per_vcpu_hour is None:
        return None
    baseline = Decimal(str(own.baseline_ratio))
    used = 1 - Decimal(str(rules.headroom_ratio))
    above = (max(Decimal(str(share)) * used - baseline, Decimal(0)) for share in week_shares)
    return own.n_vcpus * own.surplus_usd_per_vcpu_hour * sum(above, Decimal(0)) / len(week_shares)


def burst_assumptions(candidates: Iterable[Candidate]) -> Iterable[Assumption]:
    """The baseline and the surplus price of each burstable type that was compared."""
    types = {one.offer.type_name: one.offer.instance_type for one in candidates if one.capacity.burst is not None}
    for name, own in sorted(types.items()):
        if own.baseline_ratio is None:
            continue
        yield Assumption(name=f"{name}: baseline", value=own.baseline_ratio, unit="of each vCPU", source=own.source)
        if own.surplus_usd_per_vcpu_hour is not None:
            yield Assumption(
                name=f"{name}: surplus credits",
                value=float(own.surplus_usd_per_vcpu_hour),
                unit="USD per vCPU-hour",
                source=own.source,
            )


def burst_caveats(fleet: Fleet) -> Iterable[Caveat]:
    """What to know of a fleet of burstable machines before it is bought."""
    bursts = {fleet.capacity.burst, *(item.capacity.burst for item in fleet.items if item.capacity)}
    if "baseline" in bursts:
        yield Caveat(
            code="plan.burstable_baseline",
            what="burstable machines are in the fleet, planned at their baseline: more traffic is throttled",
            fix="watch the credit balance, or pay surplus credits (unlimited mode)",
        )
    if "surplus" in bursts:
        yield Caveat(
            code="plan.burstable_surplus",
            what="burstable machines are in the fleet, with surplus credits in their price",
            fix="allow surplus credits (unlimited mode); without it they are throttled to their baseline",
        )


def _at_baseline(candidate: Candidate, baseline_ratio: float) -> Candidate:
    capacity, sizing_rps = candidate.capacity, candidate.sizing_rps
    return replace(
        candidate,
        capacity=replace(
            capacity,
            usable_capacity_rps=baseline_ratio * capacity.usable_capacity_rps,
            usable_capacity_rps_low=baseline_ratio * capacity.usable_capacity_rps_low,
            usable_capacity_rps_high=baseline_ratio * capacity.usable_capacity_rps_high,
            burst="baseline",
        ),
        sizing_rps=sizing_rps * Decimal(str(baseline_ratio))
        if isinstance(sizing_rps, Decimal)
        else float(f"{sizing_rps * baseline_ratio:.{_DIGITS}g}"),
    )


def _with_credits(candidate: Candidate, surplus_usd: Decimal) -> Candidate:
    offer = candidate.offer
    own = offer.instance_type
    said = f"; plus at most {surplus_usd:.4f} USD an hour of surplus credits at {own.surplus_usd_per_vcpu_hour} each"
    return replace(
        candidate,
        offer=replace(offer, usd_per_hour=offer.usd_per_hour + surplus_usd, source=offer.source + said),
        capacity=replace(candidate.capacity, burst="surplus"),
    )
