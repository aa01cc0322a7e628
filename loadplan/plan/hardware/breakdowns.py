"""Of what the p99 of a replica consists on the machine that it is planned for.

The shares are those of the machine that was measured. On one s times as fast all but what lies outside the replica, or
is fetched, takes 1/s as long, so the shares are weighed anew. The decisions a reader would question: a setting that was
not broken down takes the shares of the best setting on its device, and halving a part is taken to gain elsewhere what
it does here.
"""

import math

from loadplan.caveat import Basis
from loadplan.fit.records import Breakdown, CapacityFit, TimePart, TimeShares
from loadplan.fit.slow_requests import HIGH_QUANTILE, LOW_QUANTILE
from loadplan.plan.records.time_split import PartTime, TimeSplit

_AS_LONG_ANYWHERE: tuple[TimePart, ...] = ("outside", "fetch")


def breakdown_on(fit: CapacityFit, provider: str) -> Breakdown | None:
    """That of a setting on this device; None where none was broken down."""
    alike = (one.breakdown for one in fit.capacities if one.setting.execution.provider == provider)
    return next((one for one in alike if one is not None), None)


def split_p99(
    breakdown: Breakdown, *, usable_ratio: float, speed: float, p99_s: float, basis: Basis
) -> TimeSplit | None:
    """A p99 in parts; None where nothing was broken down.

    Args:
        breakdown: of the machine that was measured.
        usable_ratio: how much of a process's usable capacity there is used.
        speed: of the machine that is planned for, against that one.
        p99_s: what is predicted for it.
        basis: of what is known of that machine.
    """
    if not breakdown.shares:
        return None
    low, high, weight = _around(breakdown.shares, usable_ratio)

    def between(a: float, b: float) -> float:
        return a + weight * (b - a)

    ratios = {
        one.part: between(one.ratio, other.ratio) / (1.0 if one.part in _AS_LONG_ANYWHERE else speed)
        for one, other in zip(low.parts, high.parts, strict=True)
    }
    # What takes as long anywhere, and the rest, waiting included, which was all 1 there and is longer or shorter here.
    fixed = math.fsum(ratio for part, ratio in ratios.items() if part in _AS_LONG_ANYWHERE)
    total = fixed + (1.0 - fixed) / speed
    parts = tuple(PartTime(part=part, time_s=p99_s * ratio / total) for part, ratio in ratios.items())
    return TimeSplit(
        p99_s=p99_s,
        parts=parts,
        waiting_s=max(p99_s - math.fsum(one.time_s for one in parts), 0.0),
        low_quantile=LOW_QUANTILE,
        high_quantile=HIGH_QUANTILE,
        n_requests=min(low.n_requests, high.n_requests),
        basis=basis,
    )


def _around(shares: tuple[TimeShares, ...], usable_ratio: float) -> tuple[TimeShares, TimeShares, float]:
    """The neighbours of a rate in an ascending table, and how far it is from the first to the second."""
    i = next((i for i, one in enumerate(shares) if one.usable_ratio >= usable_ratio), len(shares) - 1)
    low, high = shares[max(i - 1, 0)], shares[i]
    span = high.usable_ratio - low.usable_ratio
    return low, high, 1.0 if span == 0.0 else min(max((usable_ratio - low.usable_ratio) / span, 0.0), 1.0)
