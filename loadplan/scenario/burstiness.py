"""How much traffic comes in bursts: the index of dispersion of counts, measured and in closed form.

It is the variance of the number of requests in a window over its mean: 1 for a Poisson process whatever the window, and
for everything else a function of the window, which the variation of single gaps does not tell.
"""

import math

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement
from loadplan.scenario.arrivals import Arrivals, ConstantArrivals, GammaArrivals, MarkovArrivals, PoissonArrivals
from loadplan.scenario.traffic import quiet_ratio

_WINDOWS_AT_LEAST = 2


def index_of_dispersion(due_s: NDArray[np.float64], *, window_s: float, duration_s: float) -> float:
    """Variance over mean of the counts in the whole windows of [0, duration_s), for requests in any order.

    Raises:
        InvalidMeasurement: when there are fewer than two whole windows, or no request in them.
    """
    n_windows = math.floor(duration_s / window_s + 1e-9)
    if n_windows < _WINDOWS_AT_LEAST:
        raise InvalidMeasurement(
            what=f"an index of dispersion needs at least {_WINDOWS_AT_LEAST} windows, and {duration_s:g} s hold "
            f"{n_windows} of {window_s:g} s",
            where="the arrivals",
            fix="take a shorter window or more time",
        )
    inside = (due_s >= 0.0) & (due_s < n_windows * window_s)
    at = np.minimum((due_s[inside] / window_s).astype(np.intp), n_windows - 1)
    counts = np.bincount(at, minlength=n_windows)
    if not counts.any():
        raise InvalidMeasurement(
            what="an index of dispersion can't be had of no requests", where="the arrivals", fix="take more time"
        )
    return float(counts.var(ddof=1) / counts.mean())


def markov_dispersion(markov: MarkovArrivals, *, rate_rps: float, window_s: float) -> float:
    """The index of dispersion of Markov-modulated arrivals at a mean rate, for one window.

    With the rates l1, l2, the rates s1, s2 at which each state is left, s = s1 + s2 and D = l1 - l2:
    1 + 2 s1 s2 D² / (s² (l1 s2 + l2 s1)) · (1 - (1 - exp(-s t)) / (s t))
    (Fischer & Meier-Hellstern, The Markov-modulated Poisson process (MMPP) cookbook, Performance Evaluation 18, 1992).
    """
    leaves_busy = 1.0 / markov.mean_busy_s
    leaves_quiet = leaves_busy * markov.busy_share / (1.0 - markov.busy_share)
    both = leaves_busy + leaves_quiet
    busy_rps, quiet_rps = rate_rps * markov.busy_ratio, rate_rps * quiet_ratio(markov)
    weighted = busy_rps * leaves_quiet + quiet_rps * leaves_busy
    in_the_long_run = 2.0 * leaves_busy * leaves_quiet * (busy_rps - quiet_rps) ** 2 / (both**2 * weighted)
    return 1.0 + in_the_long_run * (1.0 + math.expm1(-both * window_s) / (both * window_s))


def long_run_dispersion(arrivals: Arrivals, *, rate_rps: float) -> float | None:
    """What the index of dispersion tends to as the window grows; None where only the recording or the plan says.

    0 for evenly spaced requests, 1 for Poisson, cv² for gamma gaps, as for every renewal process (Cox, Renewal Theory,
    1962, chapter 4).
    """
    match arrivals:
        case ConstantArrivals():
            return 0.0
        case PoissonArrivals():
            return 1.0
        case GammaArrivals():
            return arrivals.cv**2
        case MarkovArrivals():
            # A million busy periods: the term that falls with the window is then gone.
            return markov_dispersion(arrivals, rate_rps=rate_rps, window_s=1e6 * arrivals.mean_busy_s)
    return None
