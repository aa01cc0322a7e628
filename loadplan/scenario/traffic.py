"""Arrival schedules: when each request is due, fixed before the first is sent, whatever the answers do.

Times are seconds from the start of the run. All three processes are stationary renewal processes, so any stretch of
a run is like any other: the wait for the first arrival is drawn from the law of a gap met at a random moment, not
from that of a fresh gap, which would start every bursty run with a burst.
"""

import math

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.scenario.spec import Arrivals


def schedule(
    arrivals: Arrivals, *, rate_rps: float, duration_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Due times in [0, duration_s), ascending, at `rate_rps` arrivals per second on average.

    `constant`: every 1/rate seconds from 0 on. `poisson`: gaps exponential with mean 1/rate. `gamma`: gaps of the
    gamma law with shape k = 1/cv² and scale cv²/rate, whose mean is 1/rate and coefficient of variation cv.

    Raises:
        InputError: when rate, duration or cv is not a positive finite number.
    """
    _require_positive("rate", rate_rps)
    _require_positive("duration", duration_s)
    if arrivals.process == "constant":
        due_s = np.arange(math.ceil(rate_rps * duration_s)) / rate_rps
        return due_s[due_s < duration_s]
    cv = 1.0 if arrivals.process == "poisson" else arrivals.cv
    _require_positive("coefficient of variation", cv)
    return _renewal(shape=1.0 / cv**2, rate_rps=rate_rps, duration_s=duration_s, rng=rng)


def _renewal(*, shape: float, rate_rps: float, duration_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Arrivals with gamma gaps, seen from a random moment on.

    A random moment falls into a gap with a probability proportional to its length, which turns a gamma law of shape
    k into one of shape k + 1, and uniformly within it (Cox, Renewal Theory, 1962, chapter 5).
    """
    scale_s = 1.0 / (shape * rate_rps)
    start_s = rng.random() * rng.standard_gamma(shape + 1.0) * scale_s
    pieces = [np.array([start_s])]
    # Five standard deviations above the expected count: one piece is nearly always enough.
    n_expected = rate_rps * duration_s
    n_draws = math.ceil(n_expected + 5.0 * math.sqrt(n_expected / shape)) + 16
    while pieces[-1][-1] < duration_s:
        gaps_s = rng.standard_gamma(shape, size=n_draws) * scale_s
        pieces.append(pieces[-1][-1] + np.cumsum(gaps_s))
    due_s = np.concatenate(pieces)
    return due_s[: np.searchsorted(due_s, duration_s)]


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(
            what=f"the {name} of the arrivals is {value}",
            where="the arrival schedule",
            fix=f"give a {name} above 0",
        )
