"""What fleets of a few sizes carry, for a planner to look up: replicas behind a balancer, each of several processes.

A fleet is held against one process in the same world, with random numbers of its own: the ratio is what the balancer
and the dealing of connections make of n processes. The middle is the capacity of one process times the median ratio.
The interval adds, in logarithms, the squares of how far the capacity of one process is known and of how far the ratios
stray; the two come of different things, the law and the luck of the dealing.

The decision a reader would question: only the best setting of each device has a ladder, seven worlds are simulated in
place of seventeen, the rates are found to 1 %, and a replica has 16 processes at most, or fitting would take minutes.
With that a ladder takes about two seconds. Requests per second.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from loadplan.execution import Setting
from loadplan.fit.batching import best_of_each_device
from loadplan.fit.fleet_capacity import fleet_in, holds_in, saturated_fleet_rps
from loadplan.fit.rate_search import HIGHEST_RATIO, highest_near_rps, highest_rps
from loadplan.fit.records import Balancer, CapacityFit, FleetCapacity, SettingCapacity
from loadplan.fit.service_time import find_law
from loadplan.fit.simulate_fleet import draw_fleet, scale_fleet
from loadplan.fit.worlds import N_REQUESTS_PLAUSIBLE, World, saturated_rps, with_length, worlds_of
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo

# Replicas by the processes of each. With several processes the kernel's dealing hides what the balancer does, so few
# sizes tell the rest.
RUNGS: dict[int, tuple[int, ...]] = {
    1: (1, 2, 3, 4, 6, 8, 12, 16),
    2: (1, 2, 4, 8),
    4: (1, 2, 4),
    8: (1, 2),
    16: (1,),
}
_N_WORLDS = 7  # the best law and six plausible ones
_REQUESTS_PER_PROCESS = 2000  # at least, so that each has been in its usual state for most of a run
_TAIL = 0.05


def with_fleets(fit: CapacityFit, scenario: Scenario) -> CapacityFit:
    """The same fit, the best setting of each device with what whole fleets of it carry within the objectives."""
    rules = scenario.fleet
    balancer = Balancer(balancing=rules.balancing, connections_per_process=rules.connections_per_process)
    best = best_of_each_device(fit.capacities)
    return replace(
        fit,
        balancer=balancer,
        capacities=tuple(
            replace(one, fleets=fleet_capacities(fit, one, scenario.objectives, balancer=balancer))
            if one in best
            else one
            for one in fit.capacities
        ),
    )


def fleet_capacities(
    fit: CapacityFit, capacity: SettingCapacity, objectives: Sequence[Slo], *, balancer: Balancer
) -> tuple[FleetCapacity, ...]:
    """What fleets of the sizes in `RUNGS` carry of which one process has this capacity; none where that is 0."""
    setting = capacity.setting
    spread_ratio = float(np.median(find_law(fit.service_times, setting.execution).spread_ratio))
    worlds = worlds_of(fit, setting.execution, setting.serving.max_batch_size)[:_N_WORLDS]
    if capacity.usable_capacity_rps == 0.0:
        return ()
    found = [
        _ratios(world, setting, objectives, balancer, spread_ratio, np.random.default_rng((fit.seed, i, 1)))
        for i, world in enumerate(worlds)
    ]
    known = [ratios for ratios in found if ratios]
    if not known:
        return ()
    fleets: list[FleetCapacity] = []
    for n_processes, sizes in RUNGS.items():
        row = [_fleet(capacity, n_processes, n, [ratios[n_processes, n] for ratios in known]) for n in sizes]
        fleets += _never_less(row)
    return tuple(fleets)


def _ratios(
    world: World,
    setting: Setting,
    objectives: Sequence[Slo],
    balancer: Balancer,
    spread_ratio: float,
    rng: np.random.Generator,
) -> dict[tuple[int, int], float]:
    """Of each rung: what the fleet carries, over as many times what one process does alone; empty where that is 0."""

    def find(n_processes: int, n_replicas: int) -> tuple[Callable[[float], bool], float]:
        """What holds, and the highest rate that is looked at."""
        n = n_processes * n_replicas
        longer = with_length(world, max(N_REQUESTS_PLAUSIBLE, _REQUESTS_PER_PROCESS * n), rng)
        serving = replace(setting.serving, n_server_processes=n_processes)
        fleet = replace(
            fleet_in(longer, replace(setting, serving=serving), n_replicas, balancer.balancing),
            n_connections=n_connections(balancer, n_processes=n_processes, n_replicas=n_replicas),
        )
        noise = scale_fleet(draw_fleet(rng, n_processes=n), world.overhead, service_spread_ratio=spread_ratio)
        most_rps = HIGHEST_RATIO * saturated_fleet_rps(world, setting, fleet, noise)
        return holds_in(longer, fleet, noise, objectives), most_rps

    alone_rps = highest_rps(saturated_rps(world, setting), find(1, 1)[0])
    if alone_rps == 0.0:
        return {}
    ratios: dict[tuple[int, int], float] = {}
    guess = 1.0
    for n_processes, sizes in RUNGS.items():
        for n_replicas in sizes:
            if (n_processes, n_replicas) != (1, 1):
                n = n_processes * n_replicas
                holds, most_rps = find(n_processes, n_replicas)
                guess = highest_near_rps((guess or 1.0) * n * alone_rps, most_rps, holds) / (n * alone_rps)
            ratios[n_processes, n_replicas] = guess
    return ratios


def n_connections(balancer: Balancer, *, n_processes: int, n_replicas: int) -> int:
    """Of the clients with all replicas where they are tied to them, else of the balancer with each replica."""
    n_tied = n_replicas if balancer.balancing == "per_connection" else 1
    return balancer.connections_per_process * n_processes * n_tied


def _fleet(capacity: SettingCapacity, n_processes: int, n_replicas: int, ratios: Sequence[float]) -> FleetCapacity:
    low, middle, high = (float(each) for each in np.quantile(ratios, [_TAIL, 0.5, 1.0 - _TAIL]))
    one_rps, n = capacity.usable_capacity_rps, n_processes * n_replicas
    return FleetCapacity(
        n_server_processes=n_processes,
        n_replicas=n_replicas,
        usable_capacity_rps=n * one_rps * middle,
        usable_capacity_rps_low=n * one_rps * middle / _apart(one_rps, capacity.usable_capacity_rps_low, middle, low),
        usable_capacity_rps_high=n
        * one_rps
        * middle
        * _apart(capacity.usable_capacity_rps_high, one_rps, high, middle),
    )


def _apart(more_rps: float, less_rps: float, more: float, less: float) -> float:
    """The factor between the middle and an end: exp √(ln² of the one process + ln² of the ratios)."""
    if less_rps == 0.0 or less == 0.0:
        return math.inf
    return math.exp(math.hypot(math.log(more_rps / less_rps), math.log(more / less)))


def _never_less(row: Sequence[FleetCapacity]) -> list[FleetCapacity]:
    """With what a smaller fleet carries at least: one more replica takes nothing away, but luck might."""

    def no_less(smaller: FleetCapacity, larger: FleetCapacity) -> FleetCapacity:
        return replace(
            larger,
            usable_capacity_rps=max(smaller.usable_capacity_rps, larger.usable_capacity_rps),
            usable_capacity_rps_low=max(smaller.usable_capacity_rps_low, larger.usable_capacity_rps_low),
            usable_capacity_rps_high=max(smaller.usable_capacity_rps_high, larger.usable_capacity_rps_high),
        )

    return list(accumulate(row, no_less))
