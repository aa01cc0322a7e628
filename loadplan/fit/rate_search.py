"""The highest rate at which objectives hold, by simulated runs that share their random numbers. Requests per second."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadplan.slo import Slo, attainment

# Above this share of the saturated rate a queue takes minutes to settle and no few seconds of it say anything.
HIGHEST_RATIO = 0.98
GRID_RATIOS = (0.02, 0.2, 0.4, 0.6, 0.75, 0.87, HIGHEST_RATIO)
_N_BISECTIONS = 6  # to 0.3 % of the saturated rate
_STEP = 1.08  # away from a guess, until it is between two rates
_N_HALVINGS = 3  # of a step, to 1 %
_LEAST_OF_GUESS = 0.1


def highest_rps(saturated_rps: float, holds: Callable[[float], bool]) -> float:
    """The highest rate, up to 98 % of saturation, at which `holds` says yes; 0 where it says no everywhere."""
    low = next((ratio for ratio in reversed(GRID_RATIOS) if holds(ratio * saturated_rps)), 0.0)
    if low in (0.0, HIGHEST_RATIO):
        return low * saturated_rps
    high = GRID_RATIOS[GRID_RATIOS.index(low) + 1]
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle * saturated_rps) else (low, middle)
    return low * saturated_rps


def highest_near_rps(guess_rps: float, most_rps: float, holds: Callable[[float], bool]) -> float:
    """As `highest_rps`, from a guess on and to 1 %, up to `most_rps`; 0 where it says no down to a tenth of it."""
    low_rps = high_rps = min(guess_rps, most_rps)
    if holds(low_rps):
        while high_rps == low_rps:
            if low_rps >= most_rps:
                return most_rps
            high_rps = min(_STEP * low_rps, most_rps)
            low_rps = high_rps if holds(high_rps) else low_rps
    else:
        while not holds(low_rps := high_rps / _STEP):
            high_rps = low_rps
            if low_rps < _LEAST_OF_GUESS * guess_rps:
                return 0.0
    for _ in range(_N_HALVINGS):
        middle_rps = (low_rps + high_rps) / 2.0
        low_rps, high_rps = (middle_rps, high_rps) if holds(middle_rps) else (low_rps, middle_rps)
    return low_rps


def is_met(slo: Slo, times_s: NDArray[np.float64]) -> bool:
    """As `slo` counts: requests that were refused (NaN) are misses of every limit.

    Of a class too small to be in the simulated run nothing is missed, which a caveat says.
    """
    if not times_s.size:
        return True
    if np.count_nonzero(np.isnan(times_s)) > slo.max_failed_ratio * times_s.size:
        return False
    return all(
        attainment(limit, n_due=times_s.size, n_within=int(np.count_nonzero(times_s <= limit.limit_s))).is_met
        for limit in slo.limits
    )
