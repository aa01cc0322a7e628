"""Where the time of slow requests goes, and what a server would carry if a part of it took half as long.

A request spends its time outside the replica, in a fetch, in the inference of its batch, in web work (reading and
answering it, handling its batch, the way to the serving core), or waiting: for other requests, for the batch window,
for a sleeping server, for a pause to end. Which requests stand for the slow ones: see `slow_requests`.

The decisions a reader would question: it is simulated with the best law alone, so it has no interval, and only for the
best setting of each device, whose shares stand for its other settings. What halving a part does is found by the same
search as the capacity itself, to 0.3 % of the saturated rate. Seconds; requests per second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from loadplan.execution import Setting
from loadplan.fit.batching import best_of_each_device
from loadplan.fit.records import Breakdown, CapacityFit, SettingCapacity, TimePart, TimeShares
from loadplan.fit.simulate import TimeParts, lasting, simulate_parts
from loadplan.fit.slow_requests import USABLE_RATIOS, broken_down, shares_of_slow
from loadplan.fit.usable import usable_rps
from loadplan.fit.worlds import Times, Ways, World, as_long_as, sent_s_at, ways_of, worlds_of
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo


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
    return broken_down(
        (_shares(world, setting, ratio, ratio * now_rps) for ratio in USABLE_RATIOS),
        ((part, usable_rps(other, setting, objectives)) for part, other in _halved(world)),
        now_rps=now_rps,
    )


def _halved(world: World) -> Iterator[tuple[TimePart, World]]:
    """The same world with each part that it has half as long; of the web work all but the way to the serving core."""
    if world.outside_s.size:
        yield "outside", replace(world, outside_s=world.outside_s / 2)
    if world.fetch_s.size:
        yield "fetch", replace(world, fetch_s=world.fetch_s / 2)
    yield "model", replace(world, service_s=world.service_s / 2)
    overhead = world.overhead
    half_the_web = replace(
        overhead,
        request_s=overhead.request_s / 2,
        row_s=overhead.row_s / 2,
        response_s=overhead.response_s / 2,
        batch_s=overhead.batch_s / 2,
    )
    yield "web", replace(world, overhead=half_the_web)


def _shares(world: World, setting: Setting, usable_ratio: float, rate_rps: float) -> TimeShares | None:
    """At a rate, which is this share of the usable capacity; None where nobody is answered."""
    sent_s = sent_s_at(world, rate_rps)
    ways = ways_of(world, sent_s)
    told = _run(world, setting, sent_s, ways)
    delays_s: dict[TimePart, Times] = {"outside": world.outside_s, "fetch": world.fetch_s}
    parts_s = {part: as_long_as(sent_s, one) for part, one in delays_s.items() if one.size}
    parts_s |= {"model": told.model_s, "web": told.web_s}
    return shares_of_slow(told.done_s - sent_s, parts_s, usable_ratio=usable_ratio)


def _run(world: World, setting: Setting, sent_s: Times, ways: Ways | None) -> TimeParts:
    """One run in the order in which the requests were sent, the way back in the end of each."""
    arrive_s = sent_s if ways is None else sent_s + ways.there_s
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
    back_s = 0.0 if ways is None else ways.back_s
    return TimeParts(done_s=told.done_s[as_sent] + back_s, model_s=told.model_s[as_sent], web_s=told.web_s[as_sent])
