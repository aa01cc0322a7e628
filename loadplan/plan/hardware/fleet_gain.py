"""What a fleet carries over so many times what one server process does, looked up in the ladder of a fit.

Ratios are of capacities: 1 is as much each as one process alone. Between the processes of two rungs they are linear in
the logarithm of the processes, and beyond the last rung they stay as they are. The decision a reader would question: a
setting without a ladder takes the ratios of the setting on its device that has one, and other hardware those of the
machine that was measured: they say how unevenly requests are dealt out, which neither changes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby

from loadplan.fit.records import CapacityFit, FleetCapacity, SettingCapacity
from loadplan.plan.records.fleet import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Of a replica of so many processes, and of several such replicas."""

    low: float  # of one replica, by the low ends of what it and one process carry
    middle: float
    high: float
    rungs: tuple[Rung, ...]  # none: n replicas carry n times as much


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratios:
    n_replicas: int
    low: float
    middle: float
    high: float


_EVEN = Gain(low=1.0, middle=1.0, high=1.0, rungs=())


def gains_of(fit: CapacityFit, provider: str) -> Callable[[int], Gain]:
    """By the processes of a replica: what the dealing of requests makes of them on this device."""
    one = next((each for each in fit.capacities if each.fleets and each.setting.execution.provider == provider), None)
    if one is None:
        return lambda _n_processes: _EVEN
    ladder = {
        n_processes: [_ratios(one, fleet) for fleet in fleets]
        for n_processes, fleets in groupby(one.fleets, key=lambda fleet: fleet.n_server_processes)
    }

    @cache
    def gain(n_processes: int) -> Gain:
        return _gain(_between(ladder, n_processes))

    return gain


def _ratios(one: SettingCapacity, fleet: FleetCapacity) -> _Ratios:
    n = fleet.n_server_processes * fleet.n_replicas
    middle = fleet.usable_capacity_rps / (n * one.usable_capacity_rps)
    low_rps = one.usable_capacity_rps_low
    return _Ratios(
        n_replicas=fleet.n_replicas,
        low=fleet.usable_capacity_rps_low / (n * low_rps) if low_rps else middle,
        middle=middle,
        high=fleet.usable_capacity_rps_high / (n * one.usable_capacity_rps_high),
    )


def _between(ladder: dict[int, list[_Ratios]], n_processes: int) -> list[_Ratios]:
    """Those of so many processes, for the sizes that both of the neighbouring rungs of processes know."""
    fewer = max(n for n in ladder if n <= n_processes)
    more = min((n for n in ladder if n >= n_processes), default=fewer)
    if fewer == more:
        return ladder[fewer]
    share = math.log(n_processes / fewer) / math.log(more / fewer)
    return [
        _Ratios(
            n_replicas=a.n_replicas,
            low=a.low + share * (b.low - a.low),
            middle=a.middle + share * (b.middle - a.middle),
            high=a.high + share * (b.high - a.high),
        )
        for a, b in zip(ladder[fewer], ladder[more], strict=False)
    ]


def _gain(ratios: Sequence[_Ratios]) -> Gain:
    one = ratios[0]
    if one.low <= 0.0:
        return _EVEN
    multiples = accumulate((each.n_replicas * each.low / one.low for each in ratios), max)
    return Gain(
        low=one.low,
        middle=one.middle,
        high=one.high,
        rungs=tuple(
            # Nine digits: the noise of binary floats must not buy a replica.
            Rung(n_replicas=each.n_replicas, multiple=float(f"{multiple:.9g}"))
            for each, multiple in zip(ratios, multiples, strict=True)
        ),
    )
