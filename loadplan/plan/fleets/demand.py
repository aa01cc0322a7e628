"""What the fleet has to carry: the offered rate over the week and, with growth, over the months of the horizon.

Rates are requests per second; hour 0 of the week is Monday 00:00 UTC. The decision a reader would question: growth
compounds month by month from the peak that the scenario names, so month 0 is that peak itself.
"""

import math
from dataclasses import dataclass

from loadplan.scenario.spec import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The offered rate of one week, and its peak month by month."""

    peak_rps: float
    mean_rps: float  # over the week
    hourly_rps: tuple[float, ...]  # 168 hours
    monthly_peak_rps: tuple[float, ...]  # month 0 is the week above


def read_demand(traffic: Traffic, *, horizon_months: int) -> Demand:
    """Peak, mean over the week (peak x mean share) and monthly peaks: peak x (1 + growth) ^ month."""
    peak_rps = traffic.peak_rps
    growth = 1.0 + traffic.growth_per_month_ratio
    return Demand(
        peak_rps=peak_rps,
        mean_rps=peak_rps * math.fsum(traffic.week_shares) / len(traffic.week_shares),
        hourly_rps=tuple(peak_rps * share for share in traffic.week_shares),
        monthly_peak_rps=tuple(peak_rps * growth**i_month for i_month in range(horizon_months)),
    )
