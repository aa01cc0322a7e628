"""How bursty a schedule is, against closed forms: what single gaps don't tell, counts in windows do."""

import math

import numpy as np
import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.scenario.arrivals import (
    ConstantArrivals,
    GammaArrivals,
    IntervalCounts,
    MarkovArrivals,
    PoissonArrivals,
    TraceArrivals,
)
from loadplan.scenario.burstiness import index_of_dispersion, long_run_dispersion, markov_dispersion
from loadplan.scenario.traffic import schedule

BUSY = MarkovArrivals(busy_ratio=3.0, busy_share=0.2, mean_busy_s=0.5)


def test_it_is_the_variance_over_the_mean_of_the_counts() -> None:
    # 3, 1 and 2 requests in three windows of a second: mean 2, variance 1.
    due_s = np.array([0.0, 0.5, 0.9, 1.0, 2.0, 2.99, 3.5])
    assert index_of_dispersion(due_s, window_s=1.0, duration_s=3.6) == pytest.approx(0.5)


def test_poisson_has_one_whatever_the_window() -> None:
    """100 seeds of 400 windows: each strays by sqrt(2 / 399) = 7 %, their mean by 0.7 %."""
    rng = np.random.default_rng(5)
    for window_s in (0.05, 0.5):
        duration_s = 400 * window_s
        found = [
            index_of_dispersion(
                schedule(PoissonArrivals(), rate_rps=200.0, duration_s=duration_s, rng=rng),
                window_s=window_s,
                duration_s=duration_s,
            )
            for _ in range(100)
        ]
        assert np.mean(found) == pytest.approx(1.0, abs=0.025)
        assert sum(0.9 <= each <= 1.1 for each in found) >= 75


def test_a_long_poisson_run_lies_between_0_9_and_1_1() -> None:
    for seed in range(20):
        due_s = schedule(PoissonArrivals(), rate_rps=100.0, duration_s=600.0, rng=np.random.default_rng(seed))
        assert 0.9 < index_of_dispersion(due_s, window_s=0.1, duration_s=600.0) < 1.1


@pytest.mark.parametrize("cv", [0.5, 2.0, 4.0])
def test_gamma_gaps_tend_to_the_square_of_their_cv(cv: float) -> None:
    arrivals = GammaArrivals(cv=cv)
    due_s = schedule(arrivals, rate_rps=500.0, duration_s=4000.0, rng=np.random.default_rng(2))
    assert index_of_dispersion(due_s, window_s=2.0, duration_s=4000.0) == pytest.approx(cv**2, rel=0.1)
    assert long_run_dispersion(arrivals, rate_rps=500.0) == cv**2


@pytest.mark.parametrize("window_s", [0.05, 0.5, 5.0])
def test_busy_and_quiet_periods_follow_their_closed_form(window_s: float) -> None:
    due_s = schedule(BUSY, rate_rps=40.0, duration_s=40_000.0, rng=np.random.default_rng(4))
    measured = index_of_dispersion(due_s, window_s=window_s, duration_s=40_000.0)
    assert measured == pytest.approx(markov_dispersion(BUSY, rate_rps=40.0, window_s=window_s), rel=0.05)


def test_the_closed_form_of_busy_and_quiet_periods_by_hand() -> None:
    # Busy 2 times the mean for half of the time, the quiet half empty; both are left at 1 per second. With 10 requests
    # per second: 1 + 2 · 1 · 1 · 20² / (2² (20 · 1)) = 11 in the long run, of which t = 1 s shows 1 - (1 - e^-2) / 2.
    on_off = MarkovArrivals(busy_ratio=2.0, busy_share=0.5, mean_busy_s=1.0)
    assert long_run_dispersion(on_off, rate_rps=10.0) == pytest.approx(11.0, rel=1e-5)
    expected = 1.0 + 10.0 * (1.0 - (1.0 - math.exp(-2.0)) / 2.0)
    assert markov_dispersion(on_off, rate_rps=10.0, window_s=1.0) == pytest.approx(expected)


def test_evenly_spaced_requests_have_none_and_a_recording_says_it_itself() -> None:
    recording = IntervalCounts(file="a.csv", interval_s=1.0, counts=(1, 2))
    assert long_run_dispersion(ConstantArrivals(), rate_rps=5.0) == 0.0
    assert long_run_dispersion(TraceArrivals(recording=recording), rate_rps=5.0) is None


@pytest.mark.parametrize(("due_s", "duration_s"), [(np.array([0.5]), 1.9), (np.empty(0), 10.0), (np.array([5.0]), 2.0)])
def test_too_little_says_nothing(due_s: np.ndarray, duration_s: float) -> None:
    with pytest.raises(InvalidMeasurement, match="index of dispersion"):
        index_of_dispersion(due_s, window_s=1.0, duration_s=duration_s)
