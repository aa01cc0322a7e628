"""Rows of requests follow the law that the scenario states, rounded up and never beyond its bounds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.errors import InputError
from loadplan.scenario.rows_law import always, draw_rows, lognormal, spread_rows, usual_most
from loadplan.scenario.spec import RowsPerRequest

NO_END = 10**9

means = st.floats(min_value=20.0, max_value=2000.0)
# Up to 3.5 times the mean: nearer to the limit a handful of draws decides on the mean of thousands.
ratios = st.floats(min_value=1.02, max_value=3.5)


def law(mean: float, ratio: float, most: int = NO_END) -> RowsPerRequest:
    return RowsPerRequest(mean=mean, p95=ratio * mean, most=most)


@given(mean=means, ratio=ratios, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_draws_have_the_mean_and_the_p95_of_the_law(mean: float, ratio: float, seed: int) -> None:
    """Rounding up adds half a row to the mean; the rest is the luck of 40,000 draws, at most six standard errors."""
    n = 40_000
    rows = draw_rows(law(mean, ratio), n, np.random.default_rng(seed))
    _, spread = lognormal(mean, ratio * mean)
    error = mean * math.sqrt(math.expm1(spread**2)) / math.sqrt(n)
    # A heavy tail makes the error itself uncertain, so a tenth is added to it.
    assert abs(rows.mean() - mean - 0.5) < 6.6 * error + 0.1
    n_above = np.count_nonzero(rows > math.ceil(ratio * mean))
    n_at_least = np.count_nonzero(rows >= math.ceil(ratio * mean))
    assert n_above < 0.05 * n + 6.0 * math.sqrt(0.05 * 0.95 * n)
    assert n_at_least > 0.05 * n - 6.0 * math.sqrt(0.05 * 0.95 * n)


@given(mean=st.floats(1.0, 500.0), ratio=ratios, share=st.floats(0.0, 3.0), seed=st.integers(0, 1000))
def test_no_draw_leaves_the_bounds(mean: float, ratio: float, share: float, seed: int) -> None:
    rows = law(mean, ratio, most=math.ceil(mean * (ratio + share)))
    for drawn in (draw_rows(rows, 1000, np.random.default_rng(seed)), spread_rows(rows, 100)):
        assert drawn.min() >= 1
        assert drawn.max() <= rows.most


@given(mean=means, ratio=ratios)
def test_requests_spread_over_the_law_follow_it_without_luck(mean: float, ratio: float) -> None:
    rows = spread_rows(law(mean, ratio), 512)
    assert (np.diff(rows) >= 0).all()
    # Half-way between two of 512 steps about the 95th percentile, rounded up.
    assert rows[485] <= math.ceil(ratio * mean) <= rows[487]
    # What is lost is the part of the mean beyond the last step.
    assert 0.93 * mean < rows.mean() < 1.01 * mean + 0.6


def test_mean_120_and_p95_300_are_spread_by_seven_tenths() -> None:
    """By hand: ln 2.5 = 0.91629, and 1.64485 - sqrt(1.64485² - 2 · 0.91629) = 0.71053."""
    middle, spread = lognormal(120.0, 300.0)
    assert spread == pytest.approx(0.71053, abs=1e-5)
    assert middle == pytest.approx(math.log(120.0) - 0.71053**2 / 2.0, abs=1e-5)
    assert usual_most(120.0, 300.0) == 838


@pytest.mark.parametrize("n_rows", [1, 7, 400])
def test_requests_that_are_alike_are_exactly_so_and_use_no_random_number(n_rows: int) -> None:
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    assert draw_rows(always(n_rows), 5, rng).tolist() == [n_rows] * 5 == spread_rows(always(n_rows), 5).tolist()
    assert rng.random() == untouched.random()


@pytest.mark.parametrize(("mean", "p95"), [(100.0, 387.0), (100.0, 99.0), (0.0, 1.0), (math.nan, 1.0)])
def test_what_no_lognormal_law_has_is_refused(mean: float, p95: float) -> None:
    with pytest.raises(InputError, match="no lognormal law has"):
        lognormal(mean, p95)


def test_the_widest_law_has_a_p95_just_below_387_hundredths_of_its_mean() -> None:
    _, spread = lognormal(100.0, 386.8)
    assert spread == pytest.approx(1.64485, abs=0.02)
