"""How high the peak may be in as long a time again: what a log could have missed.

The peaks of days are block maxima, and the limit law of such is taken to be Gumbel's (Coles, An Introduction to
Statistical Modeling of Extreme Values, 2001, chapter 3). Its two parameters come from the first two L-moments (Hosking,
L-moments, Journal of the Royal Statistical Society B 52, 1990), with λ1 the mean and λ2 half the mean difference of two
days. The peak of the next m days, less λ1 and over λ2, then has a law that depends on nothing unknown: it is drawn, and
its quantiles give a prediction interval that is exact for Gumbel days, however few (a pivot; Lawless, Statistical
Models and Methods for Lifetime Data, 2003, chapter 4).

A day of another kind, such as a Sunday in an office, says nothing of the peak: days whose maximum is below half of the
largest are left out, and so many fewer are to come.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loadplan.stats import Interval

DAYS_AT_LEAST = 3
_DAYS_TO_COME_AT_LEAST = 7
_OF_ANOTHER_KIND_RATIO = 0.5
_N_DRAWS = 20_000
_AT_ONCE = 500  # of them, so that years of days take no gigabyte
_CONFIDENCE_RATIO = 0.95

Maxima = NDArray[np.float64]


def next_peak(maxima: Maxima, *, observed: float, seed: int = 0) -> Interval | None:
    """The interval of the largest of as many days again, of seven at the least; it holds what was `observed`.

    Args:
        maxima: of each whole day, (n_days,), in any unit.
        observed: the largest of the log, which part of a day may hold; in the same unit.
        seed: of the draws that stand for the pivot's law.

    None where fewer than three days are of the busy kind: they say nothing of how days differ.
    """
    if not maxima.size:
        return None
    busy = maxima[maxima >= _OF_ANOTHER_KIND_RATIO * maxima.max()]
    if busy.size < DAYS_AT_LEAST:
        return None
    n_to_come = max(round(busy.size * max(1.0, _DAYS_TO_COME_AT_LEAST / maxima.size)), 1)
    mean, spread = float(busy.mean()), float(_half_mean_difference(busy[None, :])[0])
    low, high = (mean + spread * q for q in _pivot_quantiles(busy.size, n_to_come, seed))
    return Interval(low=max(min(low, observed), 0.0), high=max(high, observed), confidence_ratio=_CONFIDENCE_RATIO)


@lru_cache  # the hour, the minute and the second have as many days
def _pivot_quantiles(n_seen: int, n_to_come: int, seed: int) -> tuple[float, float]:
    """Both ends of the pivot's law, for so many days seen and so many to come."""
    rng = np.random.default_rng(seed)
    mean, spread = np.empty(_N_DRAWS), np.empty(_N_DRAWS)
    for start in range(0, _N_DRAWS, _AT_ONCE):
        drawn, seen = slice(start, start + _AT_ONCE), rng.gumbel(size=(_AT_ONCE, n_seen))
        mean[drawn], spread[drawn] = seen.mean(axis=1), _half_mean_difference(seen)
    # The largest of m Gumbel draws is a Gumbel draw, ln m further.
    to_come = rng.gumbel(size=_N_DRAWS) + math.log(n_to_come)
    pivot = (to_come - mean) / spread
    tail = 0.5 - _CONFIDENCE_RATIO / 2.0
    low, high = np.quantile(pivot, [tail, 1.0 - tail])
    return float(low), float(high)


def _half_mean_difference(samples: Maxima) -> Maxima:
    """The second L-moment of each row, (k,) of (k, n): Σ (2 i - n - 1) x_i / (n (n - 1)) over the sorted x_1 to x_n."""
    n = samples.shape[1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1.0
    moments: Maxima = np.sort(samples, axis=1) @ weights / (n * (n - 1))
    return moments
