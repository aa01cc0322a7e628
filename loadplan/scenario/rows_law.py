"""How many rows each request carries, drawn from the law that a scenario states.

A lognormal law with mean m and 95th percentile q has ln(q / m) = z s - s² / 2, with z = 1.6449 that percentile of the
standard normal law, because ln of the mean is μ + s² / 2 and ln of the percentile μ + z s. The right side is at most
z² / 2: no lognormal law has a p95 more than 3.87 times its mean. Below that two values of s solve it, and the smaller
one is taken: with the larger, most requests would be tiny and a few of any size would carry nearly all rows. Draws are
rounded up, for half a row is sent as one, and cut to what the scenario allows at most; so their mean is half a row
above the law's, less what the cut takes away.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.scenario.spec import RowsPerRequest

Rows = NDArray[np.int64]

_NORMAL = NormalDist()
_Z_95 = _NORMAL.inv_cdf(0.95)
_Z_USUAL_MOST = _NORMAL.inv_cdf(0.999)
P95_OF_MEAN_AT_MOST = math.exp(_Z_95**2 / 2.0)


def always(n_rows: int) -> RowsPerRequest:
    """Requests that all carry as many rows."""
    return RowsPerRequest(mean=float(n_rows), p95=float(n_rows), most=n_rows)


def lognormal(mean: float, p95: float) -> tuple[float, float]:
    """μ and s of the lognormal law with this mean and this p95: ln of a draw is normal with that mean and deviation.

    Raises:
        InputError: when there is no such law.
    """
    if not 0.0 < mean <= p95 <= mean * P95_OF_MEAN_AT_MOST:
        raise InputError(
            what=f"no lognormal law has the mean {mean:g} and the p95 {p95:g}",
            where="the rows of a request",
            fix=f"give a p95 that is above the mean, and at most {P95_OF_MEAN_AT_MOST:.2f} times as large",
        )
    spread = _Z_95 - math.sqrt(max(_Z_95**2 - 2.0 * math.log(p95 / mean), 0.0))
    return math.log(mean) - spread**2 / 2.0, spread


def usual_most(mean: float, p95: float) -> int:
    """What one request in a thousand would exceed: the bound where a scenario names none. Raises as `lognormal`."""
    middle, spread = lognormal(mean, p95)
    return math.ceil(math.exp(middle + spread * _Z_USUAL_MOST))


def draw_rows(rows: RowsPerRequest, n: int, rng: np.random.Generator) -> Rows:
    """Rows of n requests, (n,), each from 1 to `rows.most`. Requests that are all alike use no random number.

    Raises:
        InputError: when no lognormal law has this mean and this p95.
    """
    if rows.is_constant:
        return np.full(n, rows.most, dtype=np.int64)
    return _rounded(rows, rng.standard_normal(n))


def spread_rows(rows: RowsPerRequest, n: int) -> Rows:
    """The rows of n requests that follow the law as closely as n can, ascending: at its quantiles ½/n, 1½/n and so on.

    Raises:
        InputError: when no lognormal law has this mean and this p95.
    """
    if rows.is_constant:
        return np.full(n, rows.most, dtype=np.int64)
    return _rounded(rows, np.array([_NORMAL.inv_cdf((i + 0.5) / n) for i in range(n)]))


def _rounded(rows: RowsPerRequest, normal: NDArray[np.float64]) -> Rows:
    middle, spread = lognormal(rows.mean, rows.p95)
    return np.clip(np.ceil(np.exp(middle + spread * normal)), 1, rows.most).astype(np.int64)
