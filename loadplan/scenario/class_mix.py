"""Requests of several classes together: what they sum up to, and how a run of them is drawn.

Each request is of a class by the classes' shares, whatever the others are: so the requests of one class come as the
whole does, thinned at random, and those of a Poisson process are Poisson themselves.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.scenario.rows_law import Rows, draw_rows, spread_rows
from loadplan.scenario.spec import RequestClass, RowsPerRequest

ClassIndex = NDArray[np.int16]

_N_SPREAD = 2_000  # of the requests that stand for a class


def differ_in_rows(classes: Sequence[RequestClass]) -> bool:
    """Whether classes differ in how many rows their requests carry."""
    return len({one.rows_per_request for one in classes}) > 1


def pooled_rows(classes: Sequence[RequestClass]) -> RowsPerRequest:
    """Mean, p95 and most of the rows of all requests; where the classes differ it is no law to draw from."""
    if not differ_in_rows(classes):
        return classes[0].rows_per_request
    rows = np.concatenate([spread_rows(one.rows_per_request, _N_SPREAD) for one in classes])
    weights = np.repeat([one.share / _N_SPREAD for one in classes], _N_SPREAD)
    order = np.argsort(rows, kind="stable")
    i_95 = int(np.searchsorted(np.cumsum(weights[order]), 0.95 * weights.sum()))
    return RowsPerRequest(
        mean=sum(one.share * one.rows_per_request.mean for one in classes),
        p95=float(rows[order][i_95]),
        most=max(one.rows_per_request.most for one in classes),
    )


def draw_classes(shares: Sequence[float], n: int, rng: np.random.Generator) -> ClassIndex:
    """The class of each of n requests, (n,), as its place among the shares."""
    given = np.array(shares)
    return rng.choice(given.size, size=n, p=given / given.sum()).astype(np.int16)


def draw_requests(
    rows: RowsPerRequest, classes: Sequence[RequestClass], n: int, rng: np.random.Generator
) -> tuple[Rows, ClassIndex]:
    """The rows of n requests and the class of each, both (n,); without classes all are of one, by the law `rows`.

    Raises:
        InputError: when no lognormal law has a mean and a p95 that is asked for.
    """
    if not classes:
        return draw_rows(rows, n, rng), np.zeros(n, dtype=np.int16)
    index = draw_classes([one.share for one in classes], n, rng)
    drawn = np.empty(n, dtype=np.int64)
    for i, one in enumerate(classes):
        is_own = index == i
        drawn[is_own] = draw_rows(one.rows_per_request, int(np.count_nonzero(is_own)), rng)
    return drawn, index
