"""The cheapest fleet on what was fitted, on this machine and in profiles of others: every allowed offer's best setting.

Pure: the fits, the scenario and the catalogue go in, a plan comes out. The decision a reader would question: an offer's
best setting is the one with the highest low end of its capacity, since that end decides how many replicas are needed.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from loadplan.catalog.instance_type import InstanceType
from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.records import CapacityFit
from loadplan.plan.answer import Considered, NearMiss, Search, answer
from loadplan.plan.assumption import (
    balancer_assumptions,
    common_assumptions,
    extrapolation_assumptions,
    gpu_assumptions,
)
from loadplan.plan.buying.burstable import burst_assumptions, ways_to_run
from loadplan.plan.buying.offers import (
    compared_offers,
    listed,
    offers_to_buy,
    price_assumptions,
    stale_price_caveats,
    why_not_plannable,
)
from loadplan.plan.buying.per_request import single_request
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.fleets.loss import lose_spares
from loadplan.plan.fleets.overdispersed import overdispersed_ratio
from loadplan.plan.fleets.sizing import multiple_of, n_gone
from loadplan.plan.hardware.batch_rate import BatchRate, batch_rate
from loadplan.plan.hardware.breakdowns import split_p99
from loadplan.plan.hardware.core_capacity import CoreCapacity, Elsewhere, capacity_table, n_server_processes
from loadplan.plan.hardware.doubts import hardware_caveats
from loadplan.plan.hardware.measured import (
    Ground,
    MeasuredType,
    find_grounds,
    ground_caveats,
    has_gpu_settings,
    nearest_ground,
    unused_types,
)
from loadplan.plan.hardware.memory import n_held, why_not_held
from loadplan.plan.hardware.misses import TransferMisses, transfer_misses
from loadplan.plan.hardware.roofline import NO_COSTS, Costs
from loadplan.plan.hardware.transfer import PredictedP99, transferred_p99
from loadplan.plan.near_miss import Miss, miss_of, near_miss, nearest_miss
from loadplan.plan.records.fleet import Plan, ReplicaCapacity
from loadplan.plan.records.loss import LossOutcome
from loadplan.plan.records.time_split import TimeSplit
from loadplan.scenario.spec import Scenario


def plan_fleet(
    *,
    fit: CapacityFit,
    scenario: Scenario,
    catalog: Catalog,
    as_of: date,
    measured: Sequence[MeasuredType] = (),
    costs: Costs = NO_COSTS,
) -> Plan:
    """The cheapest fleet whose low capacity carries the peak with the spares gone and the headroom free.

    n is the least count whose n - k replicas carry peak / (1 - headroom) within every objective.

    Args:
        fit: the laws of this machine and the usable capacity of one server process with each setting.
        scenario: the traffic, the objectives and the rules.
        catalog: the offers; those of a type that nothing is known about are not offered, with the reason.
        as_of: the day on which the age of prices is judged.
        measured: what was fitted on machines of other types; their offers rest on it, all others are extrapolated.
        costs: what the graph of each variant asks of a machine; narrows what is extrapolated.
    """
    search = searching(fit=fit, catalog=catalog, as_of=as_of, measured=measured, costs=costs)
    return answer(search(scenario), scenario=scenario, catalog=catalog)


def searching(
    *,
    fit: CapacityFit,
    catalog: Catalog,
    as_of: date,
    measured: Sequence[MeasuredType] = (),
    costs: Costs = NO_COSTS,
) -> Search:
    """What finds every allowed offer's best setting for a question, or why it has none; see `plan_fleet`."""
    grounds = find_grounds(fit, measured, catalog)
    missed = transfer_misses(grounds, costs)

    def search(question: Scenario) -> Considered:
        found = _considered(question, offers_to_buy(catalog, question.plan, as_of=as_of), grounds, costs, missed)
        prices = compared_offers((candidate.offer for candidate in found.candidates), found.offers)
        return replace(
            found,
            not_offered=(*found.not_offered, *unused_types(measured, found.offers)),
            caveats=(*found.caveats, *stale_price_caveats(prices, as_of)),
        )

    return search


def _considered(
    scenario: Scenario, offers: tuple[Offer, ...], grounds: Sequence[Ground], costs: Costs, missed: TransferMisses
) -> Considered:
    objectives = scenario.objectives
    tables = {ground.label: capacity_table(ground, objectives, costs, missed) for ground in grounds[:-1]}
    table_here = capacity_table(grounds[-1], objectives, costs, missed)
    reasons: list[tuple[Offer, str]] = []
    candidates: list[Candidate] = []
    misses: list[Miss] = []
    for offer in offers:
        ground = nearest_ground(offer, grounds)
        reason = _why_unknown(offer, ground) or why_not_plannable(offer)
        cores: tuple[CoreCapacity, ...] = ()
        if ground is not None and reason is None:
            capacities_on = table_here if ground.is_here else tables[ground.label]
            cores = capacities_on(_elsewhere(offer, ground))
        fitting = [core for core in cores if n_server_processes(offer.instance_type, core) > 0]
        carrying = [core for core in fitting if core.there.low > 0.0]
        if carrying:
            best = _candidate(offer, max(carrying, key=partial(_goodness, offer.instance_type)), scenario)
            candidates += ways_to_run(best, scenario)
            continue
        misses += [miss_of(offer, core, objectives) for core in fitting if core.here.curve and objectives]
        reasons.append((offer, reason or _why_none(offer.instance_type, cores, fits=bool(fitting))))
    nearest = nearest_miss(misses)
    return Considered(
        candidates=tuple(candidates),
        near_miss=None if nearest is None else _told(nearest, scenario),
        not_offered=listed(reasons),
        assumptions=(
            *common_assumptions(scenario),
            *balancer_assumptions(grounds[-1].fit.balancer),
            *extrapolation_assumptions(scenario, grounds[-1].family, missed),
            *(gpu_assumptions() if any(has_gpu_settings(ground) for ground in grounds) else ()),
            *price_assumptions(offers, scenario.plan),
            *burst_assumptions(candidates),
        ),
        caveats=(*ground_caveats(grounds), *hardware_caveats(grounds, missed)),
        certainty_ratio=_certainty_ratio(grounds[-1].fit),
        single=single_request(grounds[-1].fit),
        offers=offers,
        batch_of=partial(_batch_rate, grounds, costs, missed),
    )


def _batch_rate(grounds: Sequence[Ground], costs: Costs, missed: TransferMisses, offer: Offer) -> BatchRate | None:
    """What a machine of an offer works off in batches; None where nothing is known of it."""
    ground = nearest_ground(offer, grounds)
    if ground is None or _why_unknown(offer, ground) is not None:
        return None
    return batch_rate(offer, ground, _elsewhere(offer, ground), costs, missed)


def _told(nearest: Miss, scenario: Scenario) -> NearMiss:
    return near_miss(nearest, _candidate(nearest.offer, nearest.core, scenario))


def _certainty_ratio(fit: CapacityFit) -> float:
    """How far below its middle the capacity of a measured machine is counted on, of the setting that carries most."""
    best = max(fit.capacities, key=lambda one: one.usable_capacity_rps, default=None)
    if best is None or best.usable_capacity_rps == 0.0:
        return 1.0
    # At least a hundredth is left, so that a useless interval leaves something to count with.
    return max(best.usable_capacity_rps_low / best.usable_capacity_rps, 0.01)


def _elsewhere(offer: Offer, ground: Ground) -> Elsewhere | None:
    """The offer as hardware that was not measured; None where it is of the ground's own type."""
    if offer.type_name == ground.type_name:
        return None
    own = offer.instance_type
    return Elsewhere(family=own.cpu_family, has_gpu=own.accelerator is not None)


def _why_unknown(offer: Offer, ground: Ground | None) -> str | None:
    """Why nothing is known of the speed of this offer; None where something is, or where its own type was measured."""
    instance_type = offer.instance_type
    if ground is None:
        return f"the speed of its accelerator ({instance_type.accelerator}) is unknown until it is measured"
    if offer.type_name == ground.type_name or instance_type.accelerator is not None:
        return None
    if instance_type.cpu_family is None:
        return "nothing is known of its processor"
    if all(not one.setting.execution.is_on_cpu for one in ground.fit.capacities):
        return "it has no GPU, and nothing was measured without one"
    return None


def _why_none(instance_type: InstanceType, cores: Sequence[CoreCapacity], *, fits: bool) -> str:
    if not cores:
        return "nothing is known of eight-bit arithmetic on its processor, and nothing else was measured"
    if not fits:
        least_bytes = min((core.server_bytes for core in cores if core.server_bytes is not None), default=None)
        if least_bytes is not None and n_held(instance_type, least_bytes) == 0:
            return why_not_held(instance_type, least_bytes)
        return "it has fewer cores than any setting takes"
    if instance_type.accelerator is not None:
        return f"no setting is sure to meet the objectives on its {instance_type.accelerator}"
    processor = instance_type.cpu_family.cpu_model if instance_type.cpu_family else "processor"
    return f"no setting is sure to meet the objectives on its {processor}"


def _goodness(instance_type: InstanceType, core: CoreCapacity) -> tuple[float, float, int, float]:
    """What the best setting of an offer has most of: capacity; among equals smaller batches and shorter windows."""
    n_processes = n_server_processes(instance_type, core)
    gain, serving = core.gain_of(n_processes), core.here.setting.serving
    return (
        n_processes * core.there.low * gain.low,
        n_processes * core.there.middle * gain.middle,
        -serving.max_batch_size,
        -serving.batch_window_s,
    )


def _candidate(offer: Offer, core: CoreCapacity, scenario: Scenario) -> Candidate:
    n_processes = n_server_processes(offer.instance_type, core)
    gain = core.gain_of(n_processes)
    # Where the objectives hold at no rate this sizes a near miss, by what its servers could answer at all.
    sizing_rps = n_processes * gain.low * (core.there.low or core.speed.low * core.here.saturated_rps)
    return Candidate(
        offer=offer,
        capacity=ReplicaCapacity(
            usable_capacity_rps=n_processes * gain.middle * core.there.middle,
            usable_capacity_rps_low=n_processes * gain.low * core.there.low,
            usable_capacity_rps_high=n_processes * gain.high * core.there.high,
            setting=core.here.setting,
            speed_ratio=core.speed.middle,
            n_server_processes=n_processes,
            basis=core.basis,
            measured_on=core.measured_on,
            binding=core.binding,
            rungs=gain.rungs,
            overdispersed_ratio=overdispersed_ratio(core.here),
        ),
        sizing_rps=float(f"{sizing_rps:.9g}"),  # the noise of binary floats must not buy a replica
        predict_p99=partial(_replica_p99, core, n_processes * gain.low),
        lose=partial(_lose, core, scenario, n_processes),
        start=core.start,
        breakdown=core.breakdown,
        split=partial(_split, core, n_processes * gain.low),
    )


def _lose(core: CoreCapacity, scenario: Scenario, n_processes: int, n_replicas: int, used: float) -> LossOutcome | None:
    """What the loss of the spares does on the machine that was measured, of whose capacity the rest uses this share."""
    gain = core.gain_of(n_processes)
    n_left = n_replicas - n_gone(n_replicas, scenario.plan)
    n_worth = n_processes * gain.low * float(multiple_of(n_left, gain.rungs))
    rate_rps = used * n_worth * core.here.usable_capacity_rps
    return lose_spares(core.fit, core.here, scenario, n_replicas=n_replicas, n_processes=n_processes, rate_rps=rate_rps)


def _replica_p99(core: CoreCapacity, n_worth: float, rate_rps: float) -> PredictedP99 | None:
    """Of a replica that carries as much as so many processes alone."""
    return transferred_p99(core.here, core.speed, rate_rps=rate_rps / n_worth)


def _split(core: CoreCapacity, n_worth: float, rate_rps: float, p99_s: float) -> TimeSplit | None:
    """The p99 of such a replica at a rate, in parts."""
    if core.breakdown is None or core.here.usable_capacity_rps == 0.0:
        return None
    usable_ratio = rate_rps / n_worth / core.speed.middle / core.here.usable_capacity_rps
    return split_p99(core.breakdown, usable_ratio=usable_ratio, speed=core.speed.middle, p99_s=p99_s, basis=core.basis)
