"""Settings that meet the objectives on an offer at no rate, and which of them comes nearest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadplan.catalog.price import Offer
from loadplan.plan.answer import NearMiss
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.hardware.core_capacity import CoreCapacity
from loadplan.plan.hardware.transfer import cautious_quantile_s, latency_elsewhere, waits_of
from loadplan.plan.reasons import limit_words
from loadplan.slo import LatencyLimit, Slo


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A setting on an offer on which the objectives don't hold at any rate, and by how much."""

    offer: Offer
    core: CoreCapacity
    limit: LatencyLimit  # the one that is missed most
    class_name: str | None  # whose limit it is; None: that of all requests
    latency_s: float  # at the lowest rate that was fitted, by the low end of the speed and the high end of the latency


def miss_of(offer: Offer, core: CoreCapacity, objectives: Sequence[Slo]) -> Miss:
    """The limit that this setting misses most on the offer, when it is nearly idle."""
    window_s, idle = core.here.setting.serving.batch_window_s, core.here.curve[0]
    missed = [
        Miss(
            offer=offer,
            core=core,
            limit=limit,
            class_name=slo.class_name,
            latency_s=latency_elsewhere(
                cautious_quantile_s(waits_of(idle, slo.class_name), limit.quantile),
                core.speed.low,
                window_s,
                core.here.outside,
            ),
        )
        for slo in objectives
        for limit in slo.limits
    ]
    return max(missed, key=lambda miss: miss.latency_s / miss.limit.limit_s)


def nearest_miss(misses: Iterable[Miss]) -> Miss | None:
    """The miss that is least above its limit; cheaper and then first by name among equals."""
    return min(
        misses,
        key=lambda miss: (miss.latency_s / miss.limit.limit_s, miss.offer.usd_per_hour, miss.offer.name),
        default=None,
    )


def near_miss(nearest: Miss, candidate: Candidate) -> NearMiss:
    """A miss with the candidate that it would have been, in words."""
    objective, latency_ms = limit_words(nearest.limit, nearest.class_name), 1e3 * nearest.latency_s
    return NearMiss(
        candidate=candidate,
        reason=f"even nearly idle it may need {latency_ms:.3g} ms; the objective is a {objective}",
        binding_constraint=(
            f"{objective}: no offer is sure to be as fast; the nearest, {nearest.offer.name}, may need"
            f" {latency_ms:.3g} ms even nearly idle; allow that, or make the model faster"
        ),
    )
