"""What several live runs say together."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.load.records import LoadRun, LoadSpec, LostTime
from loadplan.slo import LatencyLimit, Slo
from tests.accuracy.truth import (
    Repeat,
    best_of,
    bisected,
    noise_floor,
    repeat_of,
    saturated_rps,
    strain_of,
    truth_of,
)

MakeRun = Callable[..., LoadRun]
MakeSpec = Callable[..., LoadSpec]


def repeat(p50_s: float, p99_s: float | None = None, *, rate_rps: float = 100.0, clean_s: float = 3.0) -> Repeat:
    return Repeat(rate_rps=rate_rps, clean_s=clean_s, latencies_s=(p50_s, None, p99_s))


@pytest.fixture
def steady(make_run: MakeRun, make_spec: MakeSpec) -> LoadRun:
    """A thousand requests in 4 s; the i-th, counted from 1, takes i microseconds and 1 ms."""
    sent_s = np.arange(1000) * 4e-3
    return make_run(make_spec(), sent_s, sent_s + 1e-3 + np.arange(1, 1001) * 1e-6)


def test_a_run_says_its_rate_its_undisturbed_time_and_its_quantiles(steady: LoadRun) -> None:
    found = repeat_of(steady)

    assert found is not None
    assert found.rate_rps == pytest.approx(250.0)
    assert found.clean_s == pytest.approx(4.0)
    assert found.latencies_s == pytest.approx((1.500e-3, 1.950e-3, 1.990e-3))


def test_latencies_count_from_the_actual_send(steady: LoadRun) -> None:
    early = replace(steady, requests=replace(steady.requests, due_s=steady.requests.due_s - 40e-6))

    found = repeat_of(early)

    assert found is not None
    assert found.latencies_s == pytest.approx((1.500e-3, 1.950e-3, 1.990e-3))


@pytest.mark.parametrize(
    ("median_s", "lag_s", "is_void"),
    [(1.5e-3, 95e-6, False), (1.5e-3, 105e-6, True), (3e-3, 145e-6, False), (3e-3, 155e-6, True)],
)
def test_a_run_whose_sends_lag_is_void(
    make_run: MakeRun, make_spec: MakeSpec, median_s: float, lag_s: float, is_void: bool
) -> None:
    """5 % of a median of 3 ms are 150 µs; 100 µs are always allowed."""
    sent_s = np.arange(1000, dtype=np.float64) * 4e-3
    run = make_run(make_spec(), sent_s, sent_s + median_s)
    late = replace(run, requests=replace(run.requests, due_s=sent_s - lag_s))

    assert (repeat_of(late) is None) == is_void


def test_an_invalid_run_is_void(steady: LoadRun) -> None:
    invalid = replace(steady, verdict=replace(steady.verdict, valid=False, invalid_reasons=("noise",)))
    assert repeat_of(invalid) is None
    assert saturated_rps(invalid) is None
    assert strain_of(invalid, Slo(limits=(LatencyLimit(quantile=0.99, limit_s=1.0),))) is None


def test_disturbed_windows_are_left_out(steady: LoadRun) -> None:
    """From 2 s on a neighbour has the core for a whole second; the gap counts twice its length."""
    robbed = replace(steady, lost=LostTime(start_s=np.array([2.0]), length_s=np.array([0.9])))

    found = repeat_of(robbed)

    assert found is not None
    assert found.clean_s == pytest.approx(4.0 - 1.8)
    # Clean are the first 500 requests and the last 50: the median is the 275th of them.
    assert found.latencies_s[0] == pytest.approx(1.275e-3)


def test_the_truth_is_the_median_over_repeats_with_their_floor_beside_it() -> None:
    runs = [repeat(1.0), repeat(1.1, 3.0), None, repeat(0.8, 2.0, clean_s=1.0), repeat(1.0, 4.0, rate_rps=120.0)]

    truth = truth_of(runs)

    assert truth.n_repeats == 4
    assert truth.n_void == 1
    assert truth.clean_s == pytest.approx(10.0)
    assert truth.rate_rps == pytest.approx(105.0)
    assert truth.latencies_s == (1.0, None, 3.0)
    # Distances at p50: 0, 0.1, 0.2, 0 - median 0.05. At p99: 0, 1/3, 1/3 - median 1/3.
    assert truth.floors[::2] == pytest.approx((0.05, 1.0 / 3.0))
    assert truth.floors[1] is None


def test_of_void_runs_nothing_is_known() -> None:
    truth = truth_of([None, None])

    assert truth.rate_rps is None
    assert truth.latencies_s == (None, None, None)
    assert truth.floors == (None, None, None)
    assert truth.n_void == 2


def test_one_repeat_has_no_distance_from_itself() -> None:
    assert noise_floor([2.0]) is None
    assert noise_floor([1.0, 3.0]) == pytest.approx(0.5)


def test_saturated_throughput_is_the_upper_quartile_of_full_windows(make_run: MakeRun, make_spec: MakeSpec) -> None:
    """Answers per 100 ms: 10, 20, 30, 40 twice, between a first and a last window that don't count."""
    counts = [100, 10, 20, 30, 40, 10, 20, 30, 40, 100]
    done_s = np.concatenate([0.1 * i + 0.1 * (np.arange(n) + 0.5) / n for i, n in enumerate(counts)])
    run = make_run(make_spec(duration_s=1.0, rate_rps=1.0), np.zeros(done_s.size), done_s)

    # The quartile's rank is ceil(0.75 * 8) = 6 of 10, 10, 20, 20, 30, 30, 40, 40.
    assert saturated_rps(replace(run, verdict=replace(run.verdict, valid=True))) == pytest.approx(300.0)


def test_the_best_round_counts() -> None:
    assert best_of([3.0, None, 5.0, 4.0]) == 5.0
    assert best_of([None]) is None
    assert best_of([]) is None


def test_the_strain_is_the_largest_share_of_misses_over_the_share_that_may(steady: LoadRun) -> None:
    """2 % take longer than 1.98 ms where 1 % may; 40 % longer than 1.6 ms where half may."""
    limits = (LatencyLimit(quantile=0.5, limit_s=1.6000005e-3), LatencyLimit(quantile=0.99, limit_s=1.9800005e-3))
    assert strain_of(steady, Slo(limits=limits)) == pytest.approx(2.0)
    assert strain_of(steady, Slo(limits=limits[:1])) == pytest.approx(0.8)


def test_a_search_halves_its_bracket_by_the_median_of_the_repeats() -> None:
    """From 0.4 to 1.0: 0.7 holds by its median, 0.85 doesn't, 0.775 was void, and is asked again, and holds."""
    strains = [(0.5, 0.9, 7.0), (0.5, 1.1, 2.0), (None, None, None), (0.2, None, 0.9)]

    assert bisected(0.4, 1.0, strains) == pytest.approx((0.775, 0.85))
    assert bisected(0.4, 1.0, []) == (0.4, 1.0)
