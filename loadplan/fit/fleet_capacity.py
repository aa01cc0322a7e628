"""What a whole fleet carries, and how it bears the loss of a replica: by simulation with the best law of a fit.

N replicas carry less than N times what one does where the balancer sends some of them more than their share, and more
where it keeps them even. The objectives are of the requests of all replicas together. A loss is judged in slices of the
run, by when the requests were sent: the fleet has recovered when no later slice misses an objective. Seconds; requests
per second.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadplan.errors import InputError
from loadplan.execution import Balancing, Setting
from loadplan.fit.fleet_kernel import DEAL
from loadplan.fit.fleet_records import Fate, Fleet, FleetNoise, Loss, Offered
from loadplan.fit.rate_search import highest_rps
from loadplan.fit.records import CapacityFit
from loadplan.fit.service_time import find_law
from loadplan.fit.simulate import Times
from loadplan.fit.simulate_fleet import draw_fleet, lasting_fleet, offer, scale_fleet, simulate_fleet
from loadplan.fit.usable import all_met
from loadplan.fit.worlds import (
    World,
    as_long_as,
    saturated_rps,
    sent_s_at,
    waits_of,
    waits_within,
    ways_of,
    worlds_of,
)
from loadplan.scenario.traffic import schedule
from loadplan.slo import Slo

_SLICE_S = 1.0
_SLICE_REQUESTS = 1000  # at least, or a slice misses a p99 by one slow request
_WATCHED_S = 60.0  # after the replacement is back, or after the detection where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEffect:
    """What the loss of a replica did to a fleet's requests."""

    n_sent: int  # from the loss on
    n_failed: int  # of those, that never got an answer, whatever was tried
    n_tried_again: int  # of those, that took more than one attempt
    recovered_after_s: float  # from the loss; 0: no objective was missed; inf: not while the fleet was watched


def planned_fleet(fit: CapacityFit, setting: Setting, *, n_replicas: int, balancing: Balancing) -> Fleet:
    """Replicas with this setting on machines like the fitted one, of which nothing goes wrong yet.

    `setting.serving.n_server_processes` processes make a replica, each as fast as the one that was fitted.

    Raises:
        InputError: when the setting's execution was not benchmarked, or its batches are far larger than any that were.
    """
    return fleet_in(_best_world(fit, setting), setting, n_replicas, balancing)


def usable_fleet_rps(
    fit: CapacityFit, setting: Setting, objectives: Sequence[Slo], *, n_replicas: int, balancing: Balancing
) -> float:
    """The highest rate of all requests together at which every objective holds; 0 where there is none.

    Raises:
        InputError: as `planned_fleet`.
    """
    world = _best_world(fit, setting)
    fleet = fleet_in(world, setting, n_replicas, balancing)
    noise = _noise(fit, setting, fleet)
    return highest_rps(saturated_fleet_rps(world, setting, fleet, noise), holds_in(world, fleet, noise, objectives))


def saturated_fleet_rps(world: World, setting: Setting, fleet: Fleet, noise: FleetNoise) -> float:
    """The rate of all requests at which the queue of the process with the largest share grows without end.

    A run of a second or two doesn't show it: the limits may allow a longer wait than the queue reaches by then.
    """
    return saturated_rps(world, setting) / _largest_share(fleet, noise)


def _largest_share(fleet: Fleet, noise: FleetNoise) -> float:
    """Of all requests in the long run, what the process gets that gets most: connections are dealt as by the kernel."""
    if fleet.balancing == "shared_queue":
        return 1.0 / fleet.n_processes
    deal = noise.multipliers[DEAL]
    n, per, connections = fleet.n_replicas, fleet.serving.n_server_processes, np.arange(fleet.n_connections)
    if fleet.balancing == "per_connection":
        replica = (deal[connections % deal.size] * n).astype(np.int64)
    else:  # each replica has as many connections
        replica, connections = np.repeat(np.arange(n), fleet.n_connections), np.tile(connections, n)
    process = (deal[((replica + 1) * fleet.n_connections + connections) % deal.size] * per).astype(np.int64)
    return float(np.bincount(replica * per + process).max()) / connections.size


def holds_in(world: World, fleet: Fleet, noise: FleetNoise, objectives: Sequence[Slo]) -> Callable[[float], bool]:
    """Whether every objective holds at a rate of all requests together, in a world's run of this fleet."""

    def holds(rate_rps: float) -> bool:
        sent_s = sent_s_at(world, rate_rps)
        lasting = lasting_fleet(noise, until_s=float(sent_s[-1])) if sent_s.size else noise
        run = simulate_fleet(_offered(world, sent_s), fleet, lasting)
        waits = waits_of(world, sent_s, run.done_s)
        return all_met(waits, objectives)

    return holds


def bear_losses(
    fit: CapacityFit,
    setting: Setting,
    fleet: Fleet,
    objectives: Sequence[Slo],
    *,
    rate_rps: float,
    watched_s: float = _WATCHED_S,
) -> LossEffect:
    """What the losses of a planned fleet do to its requests, beside the same run without them.

    Give them with `dataclasses.replace(fleet, losses=…, retries=…, timeout_s=…)`, the first a few seconds after 0, when
    the fleet is under way.

    Raises:
        InputError: as `planned_fleet`, and for a fleet that loses nothing or can't be.
    """
    if not fleet.losses:
        raise InputError(what="the fleet loses no replica", where="the simulated fleet", fix="give it a loss")
    world = _best_world(fit, setting)
    noise = _noise(fit, setting, fleet)
    rng = np.random.default_rng((fit.seed, fleet.n_processes))
    sent_s = schedule(fit.arrivals, rate_rps=rate_rps, duration_s=_end_s(fleet.losses) + watched_s, rng=rng)
    offered = _offered(world, sent_s)
    with_them, without = (simulate_fleet(offered, each, noise) for each in (fleet, replace(fleet, losses=())))
    first_s = min(loss.at_s for loss in fleet.losses)
    is_after = sent_s >= first_s
    return LossEffect(
        n_sent=int(np.count_nonzero(is_after)),
        n_failed=int(np.count_nonzero(is_after & (with_them.fate != np.uint8(Fate.ANSWERED)))),
        n_tried_again=int(np.count_nonzero(is_after & (with_them.n_attempts > 1))),
        recovered_after_s=_recovered_after_s(
            sent_s - first_s,
            world,
            objectives,
            waited_s=(with_them.done_s - sent_s, without.done_s - sent_s),
            slice_s=max(_SLICE_S, _SLICE_REQUESTS / rate_rps),
        ),
    )


def _recovered_after_s(
    since_s: Times, world: World, objectives: Sequence[Slo], *, waited_s: tuple[Times, Times], slice_s: float
) -> float:
    """The end of the last slice in which an objective is missed that would have been met without the loss."""
    # A request that waits for the replica when it is lost was sent a little earlier: the slice before counts as well.
    i_slice = np.floor(since_s / slice_s).astype(np.int64)
    i_last = int(i_slice.max()) - 1  # the last whole one
    recovered_s = 0.0
    for i in range(-1, i_last + 1):
        inside = slice(*np.searchsorted(i_slice, [i, i + 1]))
        lossy, calm = (all_met(waits_within(world, inside, each_s), objectives) for each_s in waited_s)
        if calm and not lossy:
            recovered_s = (i + 1) * slice_s if i < i_last else math.inf
    return recovered_s


def _end_s(losses: Sequence[Loss]) -> float:
    """When all are detected, and replaced where they ever are."""
    ends_s = (
        loss.at_s + loss.detected_after_s + (loss.back_after_s if math.isfinite(loss.back_after_s) else 0.0)
        for loss in losses
    )
    return max(ends_s)


def _best_world(fit: CapacityFit, setting: Setting) -> World:
    return worlds_of(fit, setting.execution, setting.serving.max_batch_size)[0]


def fleet_in(world: World, setting: Setting, n_replicas: int, balancing: Balancing) -> Fleet:
    """Replicas by the law of a world, of which nothing goes wrong yet."""
    return Fleet(
        n_replicas=n_replicas,
        balancing=balancing,
        serving=setting.serving,
        service_s=world.service_s,
        overhead=world.overhead,
    )


def _offered(world: World, sent_s: Times) -> Offered:
    n_rows, ways = as_long_as(sent_s, world.n_rows), ways_of(world, sent_s)
    if ways is None:
        return offer(sent_s, n_rows)
    return offer(sent_s, n_rows, before_s=ways.there_s, after_s=ways.back_s)


def _noise(fit: CapacityFit, setting: Setting, fleet: Fleet) -> FleetNoise:
    """Of one law; the same for the same fit and the same number of processes."""
    draws = draw_fleet(np.random.default_rng((fit.seed, 0)), n_processes=fleet.n_processes)
    spread_ratio = float(np.median(find_law(fit.service_times, setting.execution).spread_ratio))
    return scale_fleet(draws, fleet.overhead, service_spread_ratio=spread_ratio)
