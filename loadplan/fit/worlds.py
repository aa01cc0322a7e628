"""Simulated runs of one server process: a law with everything random in a run of it, and what its callers then wait.

The same fit gives the same worlds: the best law first, then every plausible one, each with random numbers of its own,
which are the same at every rate. Seconds; requests per second.
"""

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig, Setting
from loadplan.fit.records import CapacityFit, OverheadFit, ServiceTimeFit
from loadplan.fit.service_time import find_law, service_times_at_s, service_times_s
from loadplan.fit.simulate import Noise, draw, lasting, scale, simulate
from loadplan.fit.simulate import saturated_rps as saturated_law_rps
from loadplan.scenario.arrivals import Arrivals, has_own_clock, requests_to_show
from loadplan.scenario.class_mix import ClassIndex, differ_in_rows, draw_requests
from loadplan.scenario.outside import draw_delays_s
from loadplan.scenario.traffic import schedule
from loadplan.stats import n_samples_needed

Times = NDArray[np.float64]
Value = TypeVar("Value", bound=np.generic)

# A run of the best law is long, for its figures are printed; those of the plausible ones are as short as a live run.
N_REQUESTS = 100_000
N_REQUESTS_PLAUSIBLE = 20_000
WARM_UP_RATIO = 0.1  # of a simulated run, from an empty queue to one like any other
# Arrivals with slow bursts, and small classes, are simulated for longer than others, but not for ever.
LONGER_AT_MOST = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One law with everything random in a run of it."""

    overhead: OverheadFit
    service_s: Times
    noise: Noise
    arrivals: Arrivals
    n_requests: int  # of a simulated run, or more where the arrivals take longer to show what they do
    unit_s: Times  # arrivals at 1 request per second; empty where they have a clock of their own
    arrival_seed: int
    n_rows: NDArray[np.int64]  # over and over where a run is longer
    class_index: ClassIndex  # of the same requests
    class_names: tuple[str, ...]  # none where the classes don't differ in rows: then each fares as all do
    outside_s: Times  # delays of the same requests outside the replica, there and back together; empty: none
    fetch_s: Times  # what the same requests wait for before the model is asked; empty: nothing
    stray: float  # of a live run from the average one, in standard deviations; 0 for the best law


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What delays the requests of a run beside the server, each (n,)."""

    outside_s: Times  # half of it on the way there
    fetch_s: Times  # all of it on the way there

    @property
    def there_s(self) -> Times:
        """From the client to the server."""
        return 0.5 * self.outside_s + self.fetch_s

    @property
    def back_s(self) -> Times:
        """From the server to the client."""
        return 0.5 * self.outside_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What the callers of a simulated run waited, once it was under way; NaN: refused."""

    times_s: Times
    class_index: ClassIndex
    class_names: tuple[str, ...]


def worlds_of(
    fit: CapacityFit, execution: ExecutionConfig, n_rows_most: int, *, length: int | None = None
) -> tuple[World, ...]:
    """The best law first, then every plausible one, each with random numbers of its own; the same for the same fit.

    With a `length` all rows have it, in place of the traffic's mix.
    """
    law = find_law(fit.service_times, execution)
    most = max(n_rows_most, fit.rows_per_request.most)
    service_s = service_times_s(law, most) if length is None else service_times_at_s(law, most, length=length)
    spread_ratio = float(np.median(law.spread_ratio))
    off_ratio = _off_ratio(law)
    differ = differ_in_rows(fit.classes)
    worlds = []
    for i, overhead in enumerate((fit.overhead, *fit.plausible)):
        rng = np.random.default_rng((fit.seed, i))
        n = _n_for_classes(fit, N_REQUESTS if i == 0 else N_REQUESTS_PLAUSIBLE)
        factor = 1.0 if i == 0 else float(np.exp(off_ratio * rng.standard_normal()))
        unit_s = _unit_arrivals(fit.arrivals, n, rng)
        noise = scale(draw(rng), overhead, service_spread_ratio=spread_ratio)
        arrival_seed = int(rng.integers(2**32)) if has_own_clock(fit.arrivals) else 0
        n_rows, class_index = draw_requests(fit.rows_per_request, fit.classes if differ else (), unit_s.size or n, rng)
        # Drawn last, so that the same world without them is the same world.
        stray = 0.0 if i == 0 else float(rng.standard_normal())
        outside_s, fetch_s = (
            np.empty(0) if delay is None else draw_delays_s(delay, n_rows.size, rng)
            for delay in (fit.vantage.outside, fit.vantage.fetch)
        )
        worlds.append(
            World(
                overhead=overhead,
                service_s=service_s * factor,
                noise=noise,
                arrivals=fit.arrivals,
                n_requests=n,
                unit_s=unit_s,
                arrival_seed=arrival_seed,
                n_rows=n_rows,
                class_index=class_index,
                class_names=tuple(one.name for one in fit.classes) if differ else (),
                outside_s=outside_s,
                fetch_s=fetch_s,
                stray=stray,
            )
        )
    return tuple(worlds)


def waits_s(world: World, setting: Setting, rate_rps: float) -> Waits:
    """One simulated run at a rate, without its warm-up."""
    sent_s = sent_s_at(world, rate_rps)
    n_rows = as_long_as(sent_s, world.n_rows)
    ways = ways_of(world, sent_s)
    if ways is None:
        return waits_of(world, sent_s, done_s_in(world, setting, sent_s, n_rows))
    # Requests come in another order than they were sent.
    arrive_s = sent_s + ways.there_s
    order = np.argsort(arrive_s, kind="stable")
    done_s = np.empty(sent_s.size)
    done_s[order] = done_s_in(world, setting, arrive_s[order], n_rows[order])
    return waits_of(world, sent_s, done_s + ways.back_s)


def ways_of(world: World, sent_s: Times) -> Ways | None:
    """Those of the requests of a run; None: nothing delays them beside the server."""
    if not world.outside_s.size and not world.fetch_s.size:
        return None
    outside_s, fetch_s = (
        as_long_as(sent_s, delays_s) if delays_s.size else np.zeros(sent_s.size)
        for delays_s in (world.outside_s, world.fetch_s)
    )
    return Ways(outside_s=outside_s, fetch_s=fetch_s)


def done_s_in(world: World, setting: Setting, sent_s: Times, n_rows: NDArray[np.int64]) -> Times:
    """When these requests are answered in a world, with nothing outside the replica; NaN: refused."""
    return simulate(
        sent_s,
        n_rows,
        service_s=world.service_s,
        overhead=world.overhead,
        serving=setting.serving,
        noise=lasting(world.noise, until_s=float(sent_s[-1])) if sent_s.size else world.noise,
    )


def waits_of(world: World, sent_s: Times, done_s: Times) -> Waits:
    """Those of a run, without its warm-up."""
    return waits_within(world, slice(int(WARM_UP_RATIO * sent_s.size), None), done_s - sent_s)


def waits_within(world: World, inside: slice, times_s: Times) -> Waits:
    """Those of some of the requests of a run, which waited for `times_s`, (n,)."""
    return Waits(
        times_s=times_s[inside],
        class_index=as_long_as(times_s, world.class_index)[inside],
        class_names=world.class_names,
    )


def of_class(waits: Waits, name: str | None) -> Times:
    """The waits of one class; where the classes fare alike, or none is named, those of all."""
    if name is None or not waits.class_names:
        return waits.times_s
    own: Times = waits.times_s[waits.class_index == waits.class_names.index(name)]
    return own


def saturated_rps(world: World, setting: Setting) -> float:
    """The rate at which the queue grows without end in this world."""
    return saturated_law_rps(setting, world.overhead, service_s=world.service_s, n_rows=world.n_rows)


def n_simulated(arrivals: Arrivals, n: int, *, rate_rps: float) -> float:
    """Requests of a simulated run: n, or up to five times as many where they don't yet show what the arrivals do."""
    return min(max(float(n), requests_to_show(arrivals, rate_rps=rate_rps)), LONGER_AT_MOST * float(n))


def n_for_p99(share: float) -> int:
    """Requests of a run in which a class with this share has enough for its p99 after the warm-up."""
    return math.ceil(n_samples_needed(0.99) / (share * (1.0 - WARM_UP_RATIO)))


def _n_for_classes(fit: CapacityFit, n: int) -> int:
    if not differ_in_rows(fit.classes):
        return n
    wanted = max(n_for_p99(one.share) for one in fit.classes)
    return min(max(n, wanted), int(LONGER_AT_MOST * n))


def _off_ratio(law: ServiceTimeFit) -> float:
    """Standard deviation of a server's service time around the table's, as one factor for all of it.

    How far the mean of the bench may be off, whose interval is one of 95 %, hence 1.96; and how far a single process is
    off the mean of many, for a server is one process for all its life.
    """
    half_widths = (np.array(law.mean_s_high) - np.array(law.mean_s_low)) / 2.0 / np.array(law.mean_s)
    processes = float(np.median(law.process_ratio)) if law.process_ratio else 0.0
    return math.hypot(float(np.median(half_widths)) / 1.96, processes)


def _unit_arrivals(arrivals: Arrivals, n: int, rng: np.random.Generator) -> Times:
    if has_own_clock(arrivals):
        return np.empty(0)
    return schedule(arrivals, rate_rps=1.0, duration_s=n_simulated(arrivals, n, rate_rps=1.0), rng=rng)


def sent_s_at(world: World, rate_rps: float) -> Times:
    """When the requests of a run at this rate are sent; with the same luck at every rate."""
    if world.unit_s.size:
        return world.unit_s / rate_rps
    n = n_simulated(world.arrivals, world.n_requests, rate_rps=rate_rps)
    rng = np.random.default_rng(world.arrival_seed)
    return schedule(world.arrivals, rate_rps=rate_rps, duration_s=n / rate_rps, rng=rng)


def with_length(world: World, n_requests: int, rng: np.random.Generator) -> World:
    """The same law with other arrivals, of so many requests, or more where they take longer to show what they do."""
    return replace(world, n_requests=n_requests, unit_s=_unit_arrivals(world.arrivals, n_requests, rng))


def as_long_as(sent_s: Times, values: NDArray[Value]) -> NDArray[Value]:
    """The values of a world's requests, over and over where the run is longer."""
    return values if values.size == sent_s.size else np.resize(values, sent_s.size)
