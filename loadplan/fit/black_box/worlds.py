"""Simulated runs of one copy of a service: a law, with everything random in a run of it.

The laws that were kept come first, then every plausible one, each with random numbers of its own, which are the same at
every rate. The same fit gives the same worlds. Seconds; requests per second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.fit.black_box.records import Asked, ServiceFit
from loadplan.fit.black_box.simulate import Luck, Rows, Times, draw_luck, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw
from loadplan.fit.black_box.structures import saturated_rps as saturated_law_rps
from loadplan.fit.worlds import (
    LONGER_AT_MOST,
    N_REQUESTS,
    N_REQUESTS_PLAUSIBLE,
    WARM_UP_RATIO,
    Waits,
    as_long_as,
    n_for_p99,
    n_simulated,
)
from loadplan.scenario.arrivals import has_own_clock
from loadplan.scenario.class_mix import ClassIndex, differ_in_rows, draw_requests
from loadplan.scenario.outside import draw_delays_s
from loadplan.scenario.traffic import schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWorld:
    """One law, with everything random in a run of it."""

    law: ServiceLaw
    asked: Asked
    n_requests: int
    unit_s: Times  # arrivals at 1 request per second; empty where they have a clock of their own
    arrival_seed: int
    n_rows: Rows  # over and over where a run is longer; likewise all below
    class_index: ClassIndex
    class_names: tuple[str, ...]  # none where classes don't differ in what they cost
    luck: Luck
    outside_s: Times  # empty: nothing is
    stray: float  # of a live run from the average one, in standard deviations; 0 for the laws that were kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRun:
    """A simulated run, each (n,) in the order in which the requests were sent."""

    times_s: Times  # from sending a request to having its answer
    n_rows: Rows
    luck: Luck
    outside_s: Times | None  # of those times, outside the service; None: nothing is


def worlds_of(fit: ServiceFit, asked: Asked) -> tuple[ServiceWorld, ...]:
    """Those of the laws that were kept, as many as there are, then those of the plausible ones."""
    n_kept = max(N_REQUESTS // len(fit.laws), N_REQUESTS_PLAUSIBLE)
    kept = [_world(law, asked, n_kept, (fit.seed, i), is_kept=True) for i, law in enumerate(fit.laws)]
    more = [
        _world(law, asked, N_REQUESTS_PLAUSIBLE, (fit.seed, len(kept) + i), is_kept=False)
        for i, law in enumerate(fit.plausible)
    ]
    return (*kept, *more)


def run_at(world: ServiceWorld, rate_rps: float) -> ServiceRun:
    """One simulated run at a rate, its warm-up included."""
    sent_s = _sent_s(world, rate_rps)
    n_rows = as_long_as(sent_s, world.n_rows)
    luck = Luck(delay=as_long_as(sent_s, world.luck.delay), work=as_long_as(sent_s, world.luck.work))
    outside_s = as_long_as(sent_s, world.outside_s) if world.outside_s.size else None
    if outside_s is None:
        times_s = simulate_service(world.law, sent_s, n_rows, luck).done_s - sent_s
    else:
        # Half of it is spent on the way there, so requests come in another order than they were sent.
        arrive_s = sent_s + 0.5 * outside_s
        order = np.argsort(arrive_s, kind="stable")
        own_luck = Luck(delay=luck.delay[order], work=luck.work[order])
        done_s = np.empty(sent_s.size)
        done_s[order] = simulate_service(world.law, arrive_s[order], n_rows[order], own_luck).done_s
        times_s = done_s + 0.5 * outside_s - sent_s
    return ServiceRun(times_s=times_s, n_rows=n_rows, luck=luck, outside_s=outside_s)


def waits_in(world: ServiceWorld, rate_rps: float) -> Waits:
    """One simulated run at a rate, without its warm-up."""
    times_s = run_at(world, rate_rps).times_s
    inside = slice(int(WARM_UP_RATIO * times_s.size), None)
    return Waits(
        times_s=times_s[inside],
        class_index=as_long_as(times_s, world.class_index)[inside],
        class_names=world.class_names,
    )


def saturated_rps(world: ServiceWorld) -> float:
    """The rate above which no queue settles in this world."""
    return saturated_law_rps(world.law, float(world.n_rows.mean()))


def _world(law: ServiceLaw, asked: Asked, n: int, seed: tuple[int, int], *, is_kept: bool) -> ServiceWorld:
    rng = np.random.default_rng(seed)
    differ = law.row_s > 0.0 and differ_in_rows(asked.classes)
    if differ:
        n = min(max(n, *(n_for_p99(one.share) for one in asked.classes)), int(LONGER_AT_MOST * n))
    unit_s: NDArray[np.float64] = np.empty(0)
    if not has_own_clock(asked.arrivals):
        duration_s = n_simulated(asked.arrivals, n, rate_rps=1.0)
        unit_s = schedule(asked.arrivals, rate_rps=1.0, duration_s=duration_s, rng=rng)
    arrival_seed = int(rng.integers(2**32))
    n_drawn = unit_s.size or n
    n_rows, class_index = draw_requests(asked.rows_per_request, asked.classes if differ else (), n_drawn, rng)
    return ServiceWorld(
        law=law,
        asked=asked,
        n_requests=n,
        unit_s=unit_s,
        arrival_seed=arrival_seed,
        n_rows=n_rows,
        class_index=class_index,
        class_names=tuple(one.name for one in asked.classes) if differ else (),
        luck=draw_luck(n_drawn, rng),
        outside_s=np.empty(0) if asked.outside is None else draw_delays_s(asked.outside, n_drawn, rng),
        stray=0.0 if is_kept else float(rng.standard_normal()),
    )


def _sent_s(world: ServiceWorld, rate_rps: float) -> Times:
    """With the same luck at every rate."""
    if world.unit_s.size:
        return world.unit_s / rate_rps
    arrivals = world.asked.arrivals
    n = n_simulated(arrivals, world.n_requests, rate_rps=rate_rps)
    rng = np.random.default_rng(world.arrival_seed)
    return schedule(arrivals, rate_rps=rate_rps, duration_s=n / rate_rps, rng=rng)
