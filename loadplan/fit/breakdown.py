"""Where the time of slow requests goes, and what a server would carry if a part of it took half as long.

The requests whose time lies between the 98.5th and the 99.5th percentile of a simulated run stand for its p99: a single
one says little of what slow requests have in common. Each of them spent its time outside the replica, in the inference
of its batch, in web work (reading and answering it, handling its batch, the way to the serving core), or waiting: for
other requests, for the batch window, for a sleeping server, for a pause to end.

The decisions a reader would question: it is simulated with the best law alone, so it has no interval, and only for the
best setting of each device, whose shares stand for its other settings. What halving a part does is found by the same
search as the capacity itself, to 0.3 % of the saturated rate. Seconds; requests per second.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadplan.execution import Setting
from loadplan.fit.batching import best_of_each_device
from loadplan.fit.records import Breakdown, CapacityFit, SettingCapacity, TimeShares
from loadplan.fit.simulate import TimeParts, lasting, simulate_parts
from loadplan.fit.usable import usable_rps
from loadplan.fit.worlds import (
    WARM_UP_RATIO,
    Times,
    World,
    as_long_as,
    half_outside_s,
    sent_s_at,
    worlds_of,
)
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo
from loadplan.stats import percentile

LOW_QUANTILE, HIGH_QUANTILE = 0.985, 0.995
_USABLE_RATIOS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)


def with_breakdowns(fit: CapacityFit, scenario: Scenario) -> CapacityFit:
    """The same fit, the best setting of each device with its breakdown."""
    best = best_of_each_device(fit.capacities)
    return replace(
        fit,
        capacities=tuple(
            replace(one, breakdown=breakdown_of(fit, one, scenario.objectives)) if one in best else one
            for one in fit.capacities
        ),
    )


def breakdown_of(fit: CapacityFit, capacity: SettingCapacity, objectives: Sequence[Slo]) -> Breakdown | None:
    """Of one process with this setting; None where it carries nothing within the objectives."""
    setting, now_rps = capacity.setting, capacity.usable_capacity_rps
    if now_rps == 0.0:
        return None
    world = worlds_of(replace(fit, plausible=()), setting.execution, setting.serving.max_batch_size)[0]

    def carried(other: World) -> float:
        # A halved cost never takes capacity away; the end of the search may.
        return max(usable_rps(other, setting, objectives) / now_rps, 1.0)

    overhead = world.overhead
    half_the_web = replace(
        overhead,
        request_s=overhead.request_s / 2,
        row_s=overhead.row_s / 2,
        response_s=overhead.response_s / 2,
        batch_s=overhead.batch_s / 2,
    )
    found = (_shares(world, setting, ratio, ratio * now_rps) for ratio in _USABLE_RATIOS)
    return Breakdown(
        shares=tuple(one for one in found if one is not None),
        halved_outside_ratio=carried(replace(world, outside_s=world.outside_s / 2)) if world.outside_s.size else None,
        halved_model_ratio=carried(replace(world, service_s=world.service_s / 2)),
        halved_web_ratio=carried(replace(world, overhead=half_the_web)),
    )


def _shares(world: World, setting: Setting, usable_ratio: float, rate_rps: float) -> TimeShares | None:
    """At a rate, which is this share of the usable capacity; None where nobody is answered."""
    sent_s = sent_s_at(world, rate_rps)
    parts, outside_s = _run(world, setting, sent_s)
    times_s = parts.done_s - sent_s
    is_counted = ~np.isnan(times_s)
    is_counted[: int(WARM_UP_RATIO * sent_s.size)] = False
    if not is_counted.any():
        return None
    low_s, high_s = (percentile(times_s[is_counted], quantile) for quantile in (LOW_QUANTILE, HIGH_QUANTILE))
    is_slow = is_counted & (times_s >= low_s) & (times_s <= high_s)
    total_s = float(times_s[is_slow].mean())
    return TimeShares(
        usable_ratio=usable_ratio,
        outside_ratio=float(outside_s[is_slow].mean()) / total_s,
        model_ratio=float(parts.model_s[is_slow].mean()) / total_s,
        web_ratio=float(parts.web_s[is_slow].mean()) / total_s,
        n_requests=int(np.count_nonzero(is_slow)),
    )


def _run(world: World, setting: Setting, sent_s: Times) -> tuple[TimeParts, Times]:
    """One run in the order in which the requests were sent, the way back in the end of each; and what lay outside."""
    half_s = half_outside_s(world, sent_s)
    outside_s = np.zeros(sent_s.size) if half_s is None else 2.0 * half_s
    arrive_s = sent_s + 0.5 * outside_s
    order = np.argsort(arrive_s, kind="stable")
    told = simulate_parts(
        arrive_s[order],
        as_long_as(sent_s, world.n_rows)[order],
        service_s=world.service_s,
        overhead=world.overhead,
        serving=setting.serving,
        noise=lasting(world.noise, until_s=float(sent_s[-1])) if sent_s.size else world.noise,
    )
    as_sent = np.empty(sent_s.size, dtype=np.int64)
    as_sent[order] = np.arange(sent_s.size)
    parts = TimeParts(
        done_s=told.done_s[as_sent] + 0.5 * outside_s, model_s=told.model_s[as_sent], web_s=told.web_s[as_sent]
    )
    return parts, outside_s
