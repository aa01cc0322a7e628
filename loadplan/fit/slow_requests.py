"""Of what the time of slow requests consists.

The requests whose time lies between the 98.5th and the 99.5th percentile of a simulated run stand for its p99: a single
one says little of what slow requests have in common. Seconds.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from loadplan.fit.records import Breakdown, PartRatio, TimePart, TimeShares
from loadplan.fit.worlds import WARM_UP_RATIO, Times
from loadplan.stats import percentile

LOW_QUANTILE, HIGH_QUANTILE = 0.985, 0.995
# Of the usable capacity: the rates at which a run is taken apart.
USABLE_RATIOS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)


def shares_of_slow(times_s: Times, parts_s: Mapping[TimePart, Times], *, usable_ratio: float) -> TimeShares | None:
    """The mean share of each part in the time of a run's slow requests; None where nobody is answered.

    Args:
        times_s: what each request waited in all, (n,), in the order in which they were sent; NaN: refused.
        parts_s: of those times, (n,) each.
        usable_ratio: the rate of the run, over the usable capacity.
    """
    is_counted = ~np.isnan(times_s)
    is_counted[: int(WARM_UP_RATIO * times_s.size)] = False
    if not is_counted.any():
        return None
    low_s, high_s = (percentile(times_s[is_counted], quantile) for quantile in (LOW_QUANTILE, HIGH_QUANTILE))
    is_slow = is_counted & (times_s >= low_s) & (times_s <= high_s)
    total_s = float(times_s[is_slow].mean())
    return TimeShares(
        usable_ratio=usable_ratio,
        parts=tuple(
            PartRatio(part=part, ratio=float(part_s[is_slow].mean()) / total_s) for part, part_s in parts_s.items()
        ),
        n_requests=int(np.count_nonzero(is_slow)),
    )


def broken_down(
    shares: Iterable[TimeShares | None], halved_rps: Iterable[tuple[TimePart, float]], *, now_rps: float
) -> Breakdown:
    """What is known of the parts.

    Args:
        shares: at ascending rates; None: nobody was answered.
        halved_rps: what is carried with a part half as long.
        now_rps: and as it is, above 0.
    """
    return Breakdown(
        shares=tuple(one for one in shares if one is not None),
        # A halved cost never takes capacity away; the end of the search may.
        halved=tuple(PartRatio(part=part, ratio=max(rate_rps / now_rps, 1.0)) for part, rate_rps in halved_rps),
    )
