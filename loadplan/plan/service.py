"""The cheapest fleet for a running service, by what one copy of it carries where it was driven.

On machines of the type that it was driven on the capacity is `measured`; on every other one it is extrapolated as that
of a model is, by what is known of the processors. The decisions a reader would question: a machine holds a copy of the
service on each so many cores as it worked on where it was driven, all that were there where nobody counted its CPU
time, and copies are taken to scale linearly; of the time
of a request only what is not spent waiting without CPU gets shorter or longer; and a service that is bound by its slots
is no faster anywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Catalog, Offer
from loadplan.caveat import Basis, Caveat
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.black_box.records import ServiceCapacity
from loadplan.fit.records import OutsideSpan, SettingCapacity
from loadplan.plan.answer import Considered, NearMiss, Search, answer
from loadplan.plan.assumption import balancer_assumptions, common_assumptions, extrapolation_assumptions
from loadplan.plan.buying.burstable import burst_assumptions, ways_to_run
from loadplan.plan.buying.offers import (
    compared_offers,
    listed,
    offers_to_buy,
    price_assumptions,
    stale_price_caveats,
    why_not_plannable,
)
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.hardware.breakdowns import split_p99
from loadplan.plan.hardware.microarchitecture import find_cpu_family
from loadplan.plan.hardware.misses import TransferMisses
from loadplan.plan.hardware.transfer import (
    SAME_MACHINE,
    THREAD_CORE_SHARE,
    UNPLACED,
    CapacityRange,
    PredictedP99,
    SpeedRatio,
    cautious_quantile_s,
    latency_elsewhere,
    speed_ratio,
    transferred_capacity,
    transferred_p99,
    waits_of,
)
from loadplan.plan.reasons import limit_words
from loadplan.plan.records.fleet import Plan, ReplicaCapacity
from loadplan.plan.records.time_split import TimeSplit
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo

# What tables of servers call it; nothing of it is shown.
_AS_IT_RUNS = Setting(execution=ExecutionConfig(variant="service"), serving=ServingConfig())
_NOT_TESTED = TransferMisses(same_architecture=1.0, other_architecture=1.0)
# Nobody knows what of the work is arithmetic, so its speed elsewhere lies between the clocks and the peaks.
_INFERENCE_SHARE = 1.0
_SIZING_DIGITS = 9  # the noise of binary floats must not buy a replica


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The machine that the service was driven on."""

    type_name: str | None  # `provider/type`; None: of no known type
    family: CpuFamily | None  # None: nothing tells which processor of the catalogue it has
    n_cores: int  # that a copy of the service works on


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """Copies of the service on an offer."""

    offer: Offer
    n_copies: int
    speed: SpeedRatio
    range: CapacityRange  # of one copy
    basis: Basis


def plan_on_service(
    capacity: ServiceCapacity, *, scenario: Scenario, catalog: Catalog, as_of: date, measured_on: str | None = None
) -> Plan:
    """The fleet whose low capacity carries the peak with the spares gone and the headroom free, of copies of a service.

    Args:
        capacity: what one copy carries within the scenario's objectives.
        scenario: the traffic, the objectives and the rules; it needs no model.
        catalog: the prices.
        as_of: the day on which the age of prices is judged.
        measured_on: `provider/type` of the machine on which the service was driven; None: what the machine tells.
    """
    search = searching_service(capacity, catalog=catalog, as_of=as_of, measured_on=measured_on)
    return answer(search(scenario), scenario=scenario, catalog=catalog)


def searching_service(
    capacity: ServiceCapacity, *, catalog: Catalog, as_of: date, measured_on: str | None = None
) -> Search:
    """What finds every allowed offer that could carry a share of the traffic; see `plan_on_service`."""
    place = _place(capacity, catalog, measured_on)

    def search(question: Scenario) -> Considered:
        return _considered(capacity, place, question, offers_to_buy(catalog, question.plan, as_of=as_of), as_of)

    return search


def _place(capacity: ServiceCapacity, catalog: Catalog, measured_on: str | None) -> _Place:
    type_name = measured_on or capacity.machine.instance_type
    types = {offer.type_name: offer.instance_type for offer in catalog.offers}
    if type_name in types:
        own = types[type_name]
        n_cores = capacity.n_cores or max(_whole_cores(own), 1)
        return _Place(type_name=type_name, family=own.cpu_family, n_cores=n_cores)
    # A name that the catalogue doesn't know says nothing of a processor, and the machine at hand may be another one.
    family = find_cpu_family(capacity.machine, catalog) if measured_on is None else None
    return _Place(type_name=type_name, family=family, n_cores=capacity.n_cores or capacity.machine.n_usable_cores)


def _considered(
    capacity: ServiceCapacity, place: _Place, scenario: Scenario, offers: tuple[Offer, ...], as_of: date
) -> Considered:
    one_copy = _as_setting(capacity)
    reasons: list[tuple[Offer, str]] = []
    found: list[_There] = []
    for offer in offers:
        reason = why_not_plannable(offer) or _why_unknown(offer, place)
        n_copies = _n_copies(offer, place)
        if reason is None and n_copies == 0:
            reason = f"it has fewer cores than the {place.n_cores} that the service works on"
        if reason is not None:
            reasons.append((offer, reason))
            continue
        found.append(_there(one_copy, capacity, place, offer, n_copies, scenario.objectives))
    carrying = [there for there in found if there.range.low > 0.0]
    reasons += [(there.offer, "the objectives hold at no rate there") for there in found if there.range.low <= 0.0]
    candidates = [
        one for there in carrying for one in ways_to_run(_candidate(one_copy, capacity, place, there), scenario)
    ]
    prices = compared_offers((candidate.offer for candidate in candidates), offers)
    return Considered(
        candidates=tuple(candidates),
        near_miss=None if candidates else _near_miss(one_copy, capacity, place, found, scenario.objectives),
        not_offered=listed(reasons),
        assumptions=(
            *common_assumptions(scenario),
            *balancer_assumptions(None),
            *extrapolation_assumptions(scenario, place.family, _NOT_TESTED),
            *price_assumptions(offers, scenario.plan),
            *burst_assumptions(candidates),
        ),
        caveats=(
            *capacity.caveats,
            *_copies_caveats(carrying, place.n_cores),
            *_place_caveats(place, offers),
            *stale_price_caveats(prices, as_of),
        ),
        certainty_ratio=max(capacity.usable_capacity_rps_low / capacity.usable_capacity_rps, 0.01)
        if capacity.usable_capacity_rps > 0.0
        else 1.0,
        offers=offers,
    )


def _as_setting(capacity: ServiceCapacity) -> SettingCapacity:
    """One copy, in the words in which capacities are taken to other machines."""
    return SettingCapacity(
        setting=_AS_IT_RUNS,
        usable_capacity_rps=capacity.usable_capacity_rps,
        usable_capacity_rps_low=capacity.usable_capacity_rps_low,
        usable_capacity_rps_high=capacity.usable_capacity_rps_high,
        saturated_rps=capacity.saturated_rps,
        saturated_rps_low=capacity.saturated_rps_low,
        saturated_rps_high=capacity.saturated_rps_high,
        curve=capacity.curve,
        binding=capacity.binding,
        outside=OutsideSpan(least_s=capacity.unscaled_least_s, most_s=capacity.unscaled_most_s),
    )


def _why_unknown(offer: Offer, place: _Place) -> str | None:
    instance_type = offer.instance_type
    if offer.type_name == place.type_name:
        return None
    if instance_type.accelerator is not None:
        return f"nobody knows what the service does with its accelerator ({instance_type.accelerator})"
    return "nothing is known of its processor" if instance_type.cpu_family is None else None


def _n_copies(offer: Offer, place: _Place) -> int:
    """How many copies fill its whole cores; of the type that it was driven on at least the one that was there."""
    n = _whole_cores(offer.instance_type) // place.n_cores
    return max(n, 1) if offer.type_name == place.type_name else n


def _whole_cores(instance_type: InstanceType) -> int:
    """Behind its vCPUs; where nobody knows they are taken for threads, the lesser of the two."""
    family = instance_type.cpu_family
    share = 1.0 if family is not None and family.vcpu_is == "core" else THREAD_CORE_SHARE
    return int(instance_type.n_vcpus * share)


def _there(
    one_copy: SettingCapacity,
    capacity: ServiceCapacity,
    place: _Place,
    offer: Offer,
    n_copies: int,
    objectives: Sequence[Slo],
) -> _There:
    is_measured = offer.type_name == place.type_name
    speed = SAME_MACHINE if is_measured else _speed(capacity, place.family, offer.instance_type.cpu_family)
    return _There(
        offer=offer,
        n_copies=n_copies,
        speed=speed,
        range=transferred_capacity(one_copy, speed, objectives),
        basis=capacity.basis if is_measured else "extrapolated",
    )


def _speed(capacity: ServiceCapacity, here: CpuFamily | None, there: CpuFamily | None) -> SpeedRatio:
    speed = UNPLACED
    if here is not None and there is not None:
        speed = speed_ratio(here, there, inference_share=_INFERENCE_SHARE)
    if not capacity.is_bound_by_slots:
        return speed
    return SpeedRatio(low=min(speed.low, 1.0), middle=min(speed.middle, 1.0), high=min(speed.high, 1.0))


def _candidate(one_copy: SettingCapacity, capacity: ServiceCapacity, place: _Place, there: _There) -> Candidate:
    n, own = there.n_copies, there.range
    # Where the objectives hold at no rate this sizes a near miss, by what its copies could answer at all.
    sizing_rps = n * (own.low or there.speed.low * one_copy.saturated_rps)
    return Candidate(
        offer=there.offer,
        capacity=ReplicaCapacity(
            usable_capacity_rps=n * own.middle,
            usable_capacity_rps_low=n * own.low,
            usable_capacity_rps_high=n * own.high,
            setting=None,
            speed_ratio=there.speed.middle,
            n_server_processes=n,
            basis=there.basis,
            measured_on=place.type_name,
            binding=capacity.binding if capacity.has_classes else None,
        ),
        sizing_rps=float(f"{sizing_rps:.{_SIZING_DIGITS}g}"),
        predict_p99=partial(_replica_p99, one_copy, there),
        breakdown=capacity.breakdown,
        split=partial(_split, capacity, there),
    )


def _replica_p99(one_copy: SettingCapacity, there: _There, rate_rps: float) -> PredictedP99 | None:
    """Of a replica whose copies each get as much."""
    return transferred_p99(one_copy, there.speed, rate_rps=rate_rps / there.n_copies)


def _split(capacity: ServiceCapacity, there: _There, rate_rps: float, p99_s: float) -> TimeSplit | None:
    """The p99 of such a replica at a rate, in parts."""
    if capacity.breakdown is None or capacity.usable_capacity_rps == 0.0:
        return None
    speed = there.speed.middle
    usable_ratio = rate_rps / there.n_copies / speed / capacity.usable_capacity_rps
    return split_p99(capacity.breakdown, usable_ratio=usable_ratio, speed=speed, p99_s=p99_s, basis=there.basis)


def _near_miss(
    one_copy: SettingCapacity,
    capacity: ServiceCapacity,
    place: _Place,
    found: Sequence[_There],
    objectives: Sequence[Slo],
) -> NearMiss | None:
    """The offer that comes nearest where the objectives hold nowhere, and by which limit it misses most."""
    misses = [(*_worst_miss(one_copy, there.speed, objectives), there) for there in found]
    if not misses:
        return None
    _, wait_s, objective, there = min(misses, key=lambda one: (one[0], one[3].offer.usd_per_hour, one[3].offer.name))
    return NearMiss(
        candidate=_candidate(one_copy, capacity, place, there),
        reason=f"even nearly idle the service may need {1e3 * wait_s:,.3g} ms; the objective is a {objective}",
        binding_constraint=(
            f"{objective}: on {there.offer.name} the service may need {1e3 * wait_s:,.3g} ms even nearly idle, so no "
            f"number of machines mends it; {1e3 * capacity.unscaled_least_s:,.3g} to "
            f"{1e3 * capacity.unscaled_most_s:,.3g} ms of a request are waits without CPU, which no other machine "
            "shortens; allow more, or make what it waits for faster"
        ),
    )


def _worst_miss(one_copy: SettingCapacity, speed: SpeedRatio, objectives: Sequence[Slo]) -> tuple[float, float, str]:
    """How many times the limit that is missed most a nearly idle service needs, how long that is, and the limit."""
    idle = one_copy.curve[0]
    missed = []
    for name, limit in ((slo.class_name, limit) for slo in objectives for limit in slo.limits):
        here_s = cautious_quantile_s(waits_of(idle, name), limit.quantile)
        wait_s = latency_elsewhere(here_s, speed.low, 0.0, one_copy.outside)
        missed.append((wait_s / limit.limit_s, wait_s, limit_words(limit, name)))
    return max(missed, default=(0.0, 0.0, "no objective"))


def _copies_caveats(carrying: Iterable[_There], n_cores: int) -> Iterable[Caveat]:
    most = max((there.n_copies for there in carrying), default=1)
    if most > 1:
        cores = "core" if n_cores == 1 else f"{n_cores} cores"
        yield Caveat(
            code="plan.service_copies",
            what=f"a machine is taken to hold one copy of the service for each {cores}, up to {most} of them, and each "
            "to carry as much as the one that was driven",
            fix="drive the service on such a machine with as many copies",
            number=float(most),
        )


def _place_caveats(place: _Place, offers: Sequence[Offer]) -> Iterable[Caveat]:
    """Nothing that can be bought is like the machine that the service was driven on."""
    if place.type_name is None:
        yield Caveat(
            code="plan.service_machine_unknown",
            what="nobody told on which type of machine the service was driven, so every offer is extrapolated from it",
            fix="name it with --instance-type PROVIDER/TYPE",
        )
    elif all(offer.type_name != place.type_name for offer in offers):
        yield Caveat(
            code="plan.service_machine_not_offered",
            what=f"the service was driven on {place.type_name}, which has no price in what the scenario allows, so "
            "every offer is extrapolated from it",
            fix="give its price with --price, or allow its provider and region",
        )
