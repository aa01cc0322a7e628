"""Where the time of a service's slow requests goes, and what a copy would carry if a part of it took half as long.

A request spends its time outside the service, in waits without CPU (a fetch, a data base), at work on the CPU, or
waiting: for a slot, or while others have the CPU. Into the work nobody can look from outside, so model and web work are
one part. Which requests stand for the slow ones: see `fit.slow_requests`.

The decision a reader would question: it is simulated with the best law alone, so it has no interval; another structure
that explains the runs as well may share the time out otherwise. Seconds; requests per second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from loadplan.fit.black_box.simulate import cpu_drawn_s, delays_drawn_s
from loadplan.fit.black_box.usable import usable_rps
from loadplan.fit.black_box.worlds import ServiceWorld, run_at
from loadplan.fit.records import Breakdown, TimePart, TimeShares
from loadplan.fit.slow_requests import USABLE_RATIOS, broken_down, shares_of_slow
from loadplan.fit.worlds import Times
from loadplan.slo import Slo


def breakdown_in(world: ServiceWorld, objectives: Sequence[Slo], *, now_rps: float) -> Breakdown:
    """Of one copy by this law, which carries `now_rps`, above 0, within the objectives."""
    return broken_down(
        (_shares(world, ratio, ratio * now_rps) for ratio in USABLE_RATIOS),
        ((part, usable_rps(other, objectives)) for part, other in _halved(world)),
        now_rps=now_rps,
    )


def _halved(world: ServiceWorld) -> Iterator[tuple[TimePart, ServiceWorld]]:
    """The same world with each part that it has half as long."""
    law = world.law
    if world.outside_s.size:
        yield "outside", replace(world, outside_s=world.outside_s / 2)
    if law.delays_s[-1] > 0.0:
        yield "fetch", replace(world, law=replace(law, delays_s=tuple(delay_s / 2 for delay_s in law.delays_s)))
    yield "work", replace(world, law=replace(law, request_s=law.request_s / 2, row_s=law.row_s / 2))


def _shares(world: ServiceWorld, usable_ratio: float, rate_rps: float) -> TimeShares | None:
    run = run_at(world, rate_rps)
    parts_s: dict[TimePart, Times] = {} if run.outside_s is None else {"outside": run.outside_s}
    if world.law.delays_s[-1] > 0.0:
        parts_s["fetch"] = delays_drawn_s(world.law, run.luck.delay)
    parts_s["work"] = cpu_drawn_s(world.law, run.n_rows, run.luck.work)
    return shares_of_slow(run.times_s, parts_s, usable_ratio=usable_ratio)
