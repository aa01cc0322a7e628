"""Sums of products of neighbours against their definition."""

import numpy as np
import pytest

from loadplan.lagged import lagged_products


@pytest.mark.parametrize("n", [1, 5, 3_072, 98_304, 98_305, 99_000, 250_001])
def test_each_lag_is_the_sum_over_all_pairs_that_far_apart(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    products = lagged_products(values, 1024)
    assert products.shape == (1024,)
    for lag in (0, 1, 2, 500, 1_023):
        wanted = float(values[: n - lag] @ values[lag:]) if lag < n else 0.0
        assert products[lag] == pytest.approx(wanted, abs=1e-6 * n)
