"""The figures of counts: hand-computed cases, streams of known laws, and intervals that hold as often as they say."""

import math
import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.demand.counts import NO_HOLES, Holes, SecondCounts, busiest, daily_maxima, find_holes, step_of
from loadplan.demand.dispersion import dispersion_within_hours, unthinned
from loadplan.demand.next_peak import next_peak
from loadplan.demand.records import Absent, Dispersion, Growth, WeekSeen
from loadplan.demand.week import growth_seen, hour_of_week, week_seen
from loadplan.scenario.arrivals import GammaArrivals, PoissonArrivals
from loadplan.scenario.traffic import schedule

DAY_S, HOUR_S = 86_400, 3_600
MONDAY_S = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp())


def counted(due_s: NDArray[np.float64]) -> SecondCounts:
    second, count = np.unique(np.floor(due_s).astype(np.int64), return_counts=True)
    return SecondCounts(second=second, count=count.astype(np.float64), step_s=1)


def by_hour(rates_rps: NDArray[np.float64], *, begin_s: int = MONDAY_S) -> SecondCounts:
    """An hourly series as counts of an hour each."""
    second = begin_s + HOUR_S * np.arange(rates_rps.size, dtype=np.int64)
    return SecondCounts(second=second, count=rates_rps * HOUR_S, step_s=HOUR_S)


def index(counts: SecondCounts, window_s: int) -> float:
    found = dispersion_within_hours(counts, window_s, holes=NO_HOLES)
    assert isinstance(found, Dispersion)
    return found.index


def test_the_busiest_window_may_begin_at_any_second() -> None:
    # 2 at 0 s, 1 at 9 s, 3 at 12 s: [9, 19) holds 4, which no window that begins at a multiple of 10 does.
    counts = SecondCounts(second=np.array([0, 9, 12]), count=np.array([2.0, 1.0, 3.0]), step_s=1)
    found = busiest(counts, 10)
    assert (found.begins, found.count) == (9, 4.0)
    assert busiest(counts, 1).count == 3.0


def test_each_whole_day_has_its_own_peak() -> None:
    second = np.array([0, 1, DAY_S + 5, 2 * DAY_S - 1, 2 * DAY_S + 3, 3 * DAY_S])
    counts = SecondCounts(second=second, count=np.array([1.0, 2.0, 5.0, 4.0, 9.0, 1.0]), step_s=1)
    assert list(daily_maxima(counts, 2, holes=NO_HOLES)) == [3.0, 5.0, 9.0]  # the fourth day has just begun


def test_poisson_has_an_index_of_one_and_a_change_of_rate_by_the_hour_changes_nothing() -> None:
    """Eight hours at four rates: 480 windows of a minute stray by sqrt(2 / 472) = 6.5 %, those of 10 s by 2.6 %."""
    rng = np.random.default_rng(1)
    due_s = np.concatenate(
        [
            hour * HOUR_S + schedule(PoissonArrivals(), rate_rps=rate, duration_s=HOUR_S, rng=rng)
            for hour, rate in enumerate([2.0, 9.0, 4.0, 1.0, 2.0, 9.0, 4.0, 1.0])
        ]
    )
    counts = counted(due_s)
    assert index(counts, 1) == pytest.approx(1.0, abs=0.03)
    assert index(counts, 10) == pytest.approx(1.0, abs=0.09)
    assert index(counts, 60) == pytest.approx(1.0, abs=0.22)


def test_gamma_gaps_of_cv_two_have_an_index_of_four_in_long_windows() -> None:
    due_s = schedule(GammaArrivals(cv=2.0), rate_rps=20.0, duration_s=8.0 * HOUR_S, rng=np.random.default_rng(2))
    assert index(counted(due_s), 10) == pytest.approx(4.0, abs=0.4)  # 2,880 windows: 2.6 %
    assert index(counted(due_s), 60) == pytest.approx(4.0, abs=0.9)


def test_the_index_is_told_of_no_window_that_is_shorter_than_a_step_or_seen_too_rarely() -> None:
    steps = SecondCounts(second=np.arange(0, 36_000, 300), count=np.ones(120), step_s=300)
    found = dispersion_within_hours(steps, 60, holes=NO_HOLES)
    assert isinstance(found, Absent)
    assert "steps of 300 s" in found.reason
    assert isinstance(dispersion_within_hours(counted(np.arange(300.0)), 60, holes=NO_HOLES), Absent)


def test_thinning_is_undone_in_closed_form() -> None:
    # Batches of n at once have I = n; with a tenth kept, 1 + 0.1 (n - 1).
    assert unthinned(1.9, sampled_ratio=0.1) == pytest.approx(10.0)
    assert unthinned(1.0, sampled_ratio=0.01) == 1.0


@pytest.mark.parametrize("n_days", [3, 7, 28])
def test_the_next_peak_falls_into_its_interval_as_often_as_it_says(n_days: int) -> None:
    """2,000 logs of Gumbel days, each with as long again after it, a week at least: 95 % within 3 standard errors."""
    rng = np.random.default_rng(n_days)
    n_logs, n_next = 2_000, max(n_days, 7)
    days = 100.0 + 8.0 * rng.gumbel(size=(n_logs, n_days + n_next))
    n_held = 0
    for log in days:
        seen = log[:n_days]
        # What was observed is held as well; to test the law alone, take the largest of as many days on average.
        interval = next_peak(seen, observed=100.0 + 8.0 * (0.5772 + math.log(n_next)))
        assert interval is not None
        n_held += interval.low <= log[n_days:].max() <= interval.high
    assert n_held / n_logs == pytest.approx(0.95, abs=0.016)


def test_days_of_another_kind_dont_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    busy = 100.0 + rng.gumbel(size=20)
    with_sundays = np.concatenate([busy, np.full(8, 5.0)])
    alone, together = next_peak(busy, observed=busy.max()), next_peak(with_sundays, observed=busy.max())
    assert alone is not None
    assert together == alone
    assert next_peak(np.array([100.0, 99.0, 3.0, 2.0]), observed=100.0) is None


def test_the_interval_holds_what_was_seen() -> None:
    interval = next_peak(np.array([10.0, 10.1, 10.2, 9.9]), observed=14.0)
    assert interval is not None
    assert interval.high == 14.0


def test_the_week_is_that_of_utc_with_the_peak_in_its_busiest_hour() -> None:
    assert list(hour_of_week(np.array([MONDAY_S, MONDAY_S - 1, MONDAY_S + 25 * HOUR_S]))) == [0, 167, 25]
    rates = np.full(2 * 168, 2.0)
    rates[34], rates[168 + 34] = 6.0, 10.0  # Tuesday 10:00: 8 on average, 10 at the peak
    week = week_seen(by_hour(rates), peak_rps=10.0, holes=NO_HOLES)
    assert isinstance(week, WeekSeen)
    assert week.shares[34] == 1.0
    assert set(week.shares[:34] + week.shares[35:]) == {0.2}
    assert week.n_hours_seen == 168


def test_hours_that_were_not_seen_are_as_those_of_the_days_that_were() -> None:
    rates = np.tile(np.where(np.arange(24) == 12, 4.0, 1.0), 2)  # Monday and Tuesday, busiest at noon
    week = week_seen(by_hour(rates), peak_rps=4.0, holes=NO_HOLES)
    assert isinstance(week, WeekSeen)
    assert week.n_hours_seen == 48
    assert (week.shares[6 * 24 + 12], week.shares[6 * 24 + 13]) == (1.0, 0.25)
    assert isinstance(week_seen(by_hour(rates[:20]), peak_rps=4.0, holes=NO_HOLES), Absent)


def test_growth_is_that_of_a_straight_line_through_logarithms() -> None:
    """Three per cent a week, without noise: exp(ln 1.03 · 30.4375 / 7) - 1 a month."""
    rates = np.repeat(1.03 ** np.arange(12), 168)
    growth = growth_seen(by_hour(rates), holes=NO_HOLES)
    assert isinstance(growth, Growth)
    assert growth.per_month_ratio == pytest.approx(math.exp(math.log(1.03) * 30.4375 / 7) - 1.0)
    assert growth.interval.low == pytest.approx(growth.interval.high)
    assert growth.n_weeks == 12
    assert isinstance(growth_seen(by_hour(rates[: 5 * 168]), holes=NO_HOLES), Absent)


def test_noise_alone_is_no_growth_in_nineteen_of_twenty_logs() -> None:
    rng = np.random.default_rng(9)
    n_held = 0
    for _ in range(400):
        growth = growth_seen(by_hour(np.repeat(np.exp(0.1 * rng.standard_normal(10)), 168)), holes=NO_HOLES)
        assert isinstance(growth, Growth)
        n_held += growth.interval.low <= 0.0 <= growth.interval.high
    assert n_held / 400 == pytest.approx(0.95, abs=0.033)


def test_a_step_is_told_of_enough_moments_only() -> None:
    assert step_of(np.arange(0, 9000, 300), n_least=20) == 300
    assert step_of(np.array([0, 300, 900]), n_least=20) == 1
    assert step_of(np.array([0, 300, 900]), n_least=2) == 300


def test_a_night_that_falls_silent_slowly_has_no_gap() -> None:
    """Two days of requests that get ever rarer up to none for hours, and more often again."""
    rng = np.random.default_rng(4)
    rates = 2.0 * np.sin(np.pi * (np.arange(48) % 24) / 24.0) ** 8
    due_s = [
        hour * HOUR_S + np.sort(rng.uniform(0, HOUR_S, rng.poisson(rate * HOUR_S))) for hour, rate in enumerate(rates)
    ]
    counts = counted(np.concatenate(due_s))
    assert np.diff(counts.second).max() > 2 * HOUR_S
    assert find_holes(counts).begin.size == 0


def test_a_line_of_twenty_years_before_moves_no_index_and_takes_no_memory() -> None:
    """It is one more whole window, alone in its hour: 3,601 of them for the mean, 3,599 degrees of freedom."""
    rng = np.random.default_rng(4)
    per_second = rng.poisson(3.0, size=HOUR_S).astype(np.float64)
    second = MONDAY_S + np.arange(HOUR_S)[per_second > 0.0]
    stray = MONDAY_S - 20 * 365 * DAY_S
    counts = SecondCounts(
        second=np.concatenate([[stray], second]), count=np.concatenate([[1.0], per_second[per_second > 0.0]]), step_s=1
    )
    holes = Holes(begin=np.array([stray + 1]), end=np.array([second[0]]))
    n_told = counts.end - int(second[0])
    told = per_second[int(second[0]) - MONDAY_S :][:n_told]
    tracemalloc.start()
    found = dispersion_within_hours(counts, 1, holes=holes)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Dispersion)
    squares = float(((told - told.mean()) ** 2).sum())
    assert found.n_windows == n_told + 1
    assert found.index == pytest.approx(squares / (n_told - 1) / ((told.sum() + 1.0) / (n_told + 1)))
    assert most_bytes < 64 << 20  # its 630 million windows one by one would be 5 GB for each array of them


def test_windows_that_a_hole_touches_are_left_out_once() -> None:
    """Two holes meet within one of 60 windows."""
    second = np.arange(3600)
    is_there = ~((second >= 480) & (second < 610)) & ~((second >= 620) & (second < 730))
    counts = SecondCounts(second=second[is_there], count=np.where(second[is_there] // 60 % 2, 2.0, 1.0), step_s=1)
    holes = Holes(begin=np.array([480, 620]), end=np.array([610, 730]))
    found = dispersion_within_hours(counts, 60, holes=holes)
    # Windows 8 to 12 are gone: of the even ones 8, 10 and 12, of the odd ones 9 and 11.
    told = np.array([60.0] * 27 + [120.0] * 28)
    assert isinstance(found, Dispersion)
    assert found.n_windows == 55
    assert found.index == pytest.approx(told.var(ddof=1) / told.mean())
