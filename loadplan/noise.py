"""Time that neighbours stole from a core.

On virtual machines `/proc/stat` doesn't show it: its steal stays near 0 while a spinning probe loses 20 to 70 % of a
core's time, in gaps of 4 ms and more. And stolen time is charged to whoever was running, so CPU time doesn't show it
either. What shows it is work whose length is known: pure computation that suddenly takes much longer.
"""

import numpy as np
from numpy.typing import NDArray

# A call is robbed when it took this much more than twice the median of its neighbours. An inference is computation
# without waiting, so its own scatter stays below that; the shortest thefts that were seen are above it.
ROBBED_BEYOND_S = 0.3e-3


def robbed_calls(durations_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each of several calls of the same computation, whether a neighbour held the core meanwhile."""
    if durations_s.size == 0:
        return np.zeros(0, dtype=np.bool_)
    return durations_s > 2.0 * float(np.median(durations_s)) + ROBBED_BEYOND_S


def lost_ratio(durations_s: NDArray[np.float64]) -> float:
    """Share of the calls' total time that was stolen: what robbed calls took beyond the median, over the total."""
    if durations_s.size == 0:
        return 0.0
    excess_s = durations_s[robbed_calls(durations_s)] - float(np.median(durations_s))
    return float(excess_s.sum() / durations_s.sum())
