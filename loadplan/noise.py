"""Time that neighbours stole from a core.

On virtual machines `/proc/stat` doesn't show it: its steal stays near 0 while a spinning probe loses 20 to 70 % of a
core's time, in gaps of 4 ms and more. And stolen time is charged to whoever was running, so CPU time (of a thread or
of a process) doesn't show it either. What shows it is work whose length is known: the turns of a spinning loop, and
calls of one computation that suddenly take much longer. The latter holds for any number of threads, because a call
ends when its last thread does.
"""

import numpy as np
from numpy.typing import NDArray

from loadplan.stats import percentile

# The shortest thefts that were seen are longer than this, an interrupt or a system call is shorter.
ROBBED_BEYOND_S = 0.3e-3
# What calls of the same length may scatter by themselves: a quarter of the median, or eight times the way from the
# median down to the first decile (ten standard deviations of a normal law). Theft only ever lengthens a call, so the
# lower half is the scatter without it.
_OWN_SCATTER_RATIO = 0.25
_OWN_SCATTER_PER_LOWER_SPREAD = 8.0


def robbed_calls(durations_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each of several calls of the same computation, whether a neighbour held a core meanwhile.

    Robbed is longer than m + max(m / 4, 8 (m - d)) + 0.3 ms, with m the median and d the first decile of the calls.
    """
    if durations_s.size == 0:
        return np.zeros(0, dtype=np.bool_)
    median_s = percentile(durations_s, 0.5)
    lower_spread_s = median_s - percentile(durations_s, 0.1)
    own_scatter_s = max(_OWN_SCATTER_RATIO * median_s, _OWN_SCATTER_PER_LOWER_SPREAD * lower_spread_s)
    return durations_s > median_s + own_scatter_s + ROBBED_BEYOND_S


def lost_ratio(durations_s: NDArray[np.float64]) -> float:
    """Share of the calls' total time that was stolen: what robbed calls took beyond the median, over the total."""
    if durations_s.size == 0:
        return 0.0
    excess_s = durations_s[robbed_calls(durations_s)] - percentile(durations_s, 0.5)
    return float(excess_s.sum() / durations_s.sum())
