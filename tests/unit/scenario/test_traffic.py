import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammainc, kolmogorov

from loadplan.errors import InputError
from loadplan.scenario.arrivals import Arrivals, ConstantArrivals, GammaArrivals, PoissonArrivals
from loadplan.scenario.traffic import schedule

POISSON = PoissonArrivals()


def draw(arrivals: Arrivals, *, rate_rps: float, duration_s: float, seed: int) -> NDArray[np.float64]:
    return schedule(arrivals, rate_rps=rate_rps, duration_s=duration_s, rng=np.random.default_rng(seed))


def ks_p_value(gaps: NDArray[np.float64], cdf: NDArray[np.float64]) -> float:
    """Kolmogorov and Smirnov's test; `cdf` is the law's distribution function at the sorted gaps."""
    n = len(gaps)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1]))
    return float(kolmogorov(math.sqrt(n) * distance))


def test_constant_arrivals_are_evenly_spaced_from_the_start() -> None:
    due_s = draw(ConstantArrivals(), rate_rps=4.0, duration_s=2.0, seed=0)
    assert due_s.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


@pytest.mark.parametrize(
    ("arrivals", "shape"),
    [(POISSON, 1.0), (GammaArrivals(cv=2.0), 0.25), (GammaArrivals(cv=0.5), 4.0)],
    ids=["poisson", "bursty", "regular"],
)
def test_gaps_follow_their_law_for_every_seed(arrivals: Arrivals, shape: float) -> None:
    p_values = []
    for seed in range(100):
        gaps_s = np.sort(np.diff(draw(arrivals, rate_rps=50.0, duration_s=40.0, seed=seed)))
        p_values.append(ks_p_value(gaps_s, gammainc(shape, gaps_s * shape * 50.0)))
    assert sum(p < 0.01 for p in p_values) <= 5


@pytest.mark.parametrize(
    ("arrivals", "cv"),
    [(PoissonArrivals(), 1.0), (GammaArrivals(cv=2.0), 2.0), (GammaArrivals(cv=0.5), 0.5)],
)
def test_counts_vary_as_the_law_says(arrivals: Arrivals, cv: float) -> None:
    # The index of dispersion (variance over mean of the counts) of a renewal process tends to cv².
    due_s = draw(arrivals, rate_rps=1000.0, duration_s=2000.0, seed=3)
    counts, _ = np.histogram(due_s, bins=2000, range=(0.0, 2000.0))
    assert counts.var() / counts.mean() == pytest.approx(cv**2, rel=0.15)
    assert counts.mean() == pytest.approx(1000.0, rel=0.01)


def test_a_bursty_run_starts_like_any_other_stretch() -> None:
    # A fresh gap at the start would put (cv² - 1) / 2 = 7.5 arrivals too many into the first second.
    first_second = [len(draw(GammaArrivals(cv=4.0), rate_rps=100.0, duration_s=1.0, seed=s)) for s in range(2000)]
    standard_error = np.std(first_second) / math.sqrt(len(first_second))
    assert abs(np.mean(first_second) - 100.0) < 4.0 * standard_error
    assert standard_error < 1.5


@pytest.mark.parametrize("arrivals", [POISSON, GammaArrivals(cv=3.0)], ids=["poisson", "gamma"])
def test_the_same_seed_draws_the_same_times_and_another_seed_others(arrivals: Arrivals) -> None:
    first, again, other = (draw(arrivals, rate_rps=100.0, duration_s=10.0, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "arrivals",
    [POISSON, GammaArrivals(cv=100.0), ConstantArrivals()],
    ids=["poisson", "extremely bursty", "constant"],
)
def test_times_ascend_within_the_run(arrivals: Arrivals) -> None:
    due_s = draw(arrivals, rate_rps=500_000.0, duration_s=4.0, seed=1)
    assert np.all(np.diff(due_s) >= 0.0)
    assert due_s[0] >= 0.0
    assert due_s[-1] < 4.0


def test_a_short_run_may_have_no_arrival() -> None:
    counts = [len(draw(POISSON, rate_rps=1.0, duration_s=0.5, seed=seed)) for seed in range(2000)]
    assert np.mean(np.array(counts) == 0) == pytest.approx(math.exp(-0.5), abs=0.05)


@pytest.mark.parametrize(
    ("arrivals", "rate_rps", "duration_s"),
    [
        (POISSON, 0.0, 1.0),
        (POISSON, math.nan, 1.0),
        (POISSON, 1.0, math.inf),
        (GammaArrivals(cv=0.0), 1.0, 1.0),
    ],
)
def test_an_impossible_schedule_is_refused(arrivals: Arrivals, rate_rps: float, duration_s: float) -> None:
    with pytest.raises(InputError, match="of the arrivals is"):
        draw(arrivals, rate_rps=rate_rps, duration_s=duration_s, seed=0)
