"""Percentiles, counts and refusals against hand-computed cases."""

import numpy as np
import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.stats import (
    effective_sample_size,
    holm,
    mean_interval,
    n_samples_needed,
    percentile,
    percentiles,
    quantile_interval,
    ratio_test,
    share_above,
    signed_rank_test,
    summarise,
    supported_percentile,
)


def one_to(n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(n).permutation(np.arange(1.0, n + 1.0))


@pytest.mark.parametrize(
    ("n", "q", "value"),
    [
        (1, 0.01, 1),
        (1, 1.0, 1),
        (2, 0.5, 1),
        (2, 0.51, 2),
        (3, 0.33, 1),
        (3, 0.5, 2),
        (3, 0.99, 3),
        (100, 0.01, 1),
        (100, 0.07, 7),  # 0.07 * 100 is 7.000000000000001 in floats
        (100, 0.5, 50),
        (100, 0.99, 99),
        (100, 0.999, 100),
        (100, 1.0, 100),
        (101, 0.5, 51),
        (101, 0.99, 100),
        (1000, 0.999, 999),
    ],
)
def test_percentile_is_the_value_at_the_nearest_rank(n: int, q: float, value: int) -> None:
    assert percentile(one_to(n), q) == value


@pytest.mark.parametrize(
    ("q", "confidence_ratio", "n"),
    [(0.99, 0.99, 459), (0.999, 0.99, 4603), (0.9999, 0.99, 46050), (0.99, 0.95, 299), (0.999, 0.95, 2995)],
)
def test_a_percentile_needs_the_samples_that_loadgen_asks_for(q: float, confidence_ratio: float, n: int) -> None:
    assert n_samples_needed(q, confidence_ratio=confidence_ratio) == n


def test_one_sample_fewer_than_needed_gives_no_p99() -> None:
    assert supported_percentile(one_to(458), 0.99) is None
    assert supported_percentile(one_to(459), 0.99) == 455  # ceil(0.99 * 459)


def test_many_percentiles_at_once_are_those_of_one_at_a_time() -> None:
    samples = np.random.default_rng(5).permutation(one_to(997))
    shares = (0.001, 0.05, 0.5, 0.9, 0.99, 1.0)
    assert percentiles(samples, shares) == [percentile(samples, q) for q in shares]
    assert percentiles(samples, (0.5, 0.1)) == [499, 100]  # ceil(498.5) and ceil(99.7)


def test_truths_count_as_zero_and_one() -> None:
    is_so = np.random.default_rng(5).random(4_000) < 0.3
    assert effective_sample_size(is_so) == effective_sample_size(is_so.astype(np.float64))


def test_summary_of_a_hundred_values_has_no_p99() -> None:
    summary = summarise(one_to(100))
    assert (summary.n_samples, summary.mean, summary.max) == (100, 50.5, 100)
    assert (summary.p50, summary.p90, summary.p95) == (50, 90, 95)
    assert (summary.p99, summary.p99_9) == (None, None)


@pytest.mark.parametrize(
    "statistic",
    [
        lambda samples: percentile(samples, 0.5),
        lambda samples: quantile_interval(samples, 0.5),
        mean_interval,
        effective_sample_size,
        summarise,
    ],
    ids=["percentile", "quantile interval", "mean interval", "effective sample size", "summary"],
)
@pytest.mark.parametrize("samples", [[], [1.0, float("nan"), 2.0]], ids=["nothing", "NaN"])
def test_a_statistic_of_nothing_or_of_nan_is_an_error(statistic, samples) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidMeasurement):
        statistic(np.array(samples, dtype=np.float64))


def test_one_sample_has_no_interval_of_its_mean() -> None:
    with pytest.raises(InvalidMeasurement, match="at least 2 samples, there are 1"):
        mean_interval(np.array([1.0]))


def test_interval_of_two_samples_is_students() -> None:
    # Mean 2, standard deviation sqrt(2), t(0.975, 1) = 12.7062: half width 12.7062 * sqrt(2) / sqrt(2).
    interval = mean_interval(np.array([1.0, 3.0]))
    assert (interval.low, interval.high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)


def test_equal_samples_have_an_interval_of_no_width() -> None:
    interval = mean_interval(np.full(50, 3.0))
    assert (interval.low, interval.high) == (3.0, 3.0)


def test_a_step_in_the_middle_is_worth_few_samples() -> None:
    assert effective_sample_size(np.repeat([1.0, 2.0], 500)) < 5


@pytest.mark.parametrize(("n_values", "n_alike"), [(40, 1), (40, 7), (8, 1500)])
def test_an_effective_number_is_what_its_definition_says_however_far_neighbours_know_of_each_other(
    n_values: int, n_alike: int
) -> None:
    """Lag by lag over values that are each repeated; n / (1 + 2 Σ ρ_k) while ρ_2j + ρ_2j+1 is positive."""
    samples = np.repeat(np.random.default_rng(3).normal(size=n_values), n_alike)
    centred = samples - samples.mean()
    n, total, k = samples.size, 0.0, 0
    while k + 1 < n // 2:
        pair = sum(float(centred[: n - lag] @ centred[lag:]) for lag in (k, k + 1)) / float(centred @ centred)
        if pair <= 0.0:
            break
        total, k = total + pair, k + 2
    assert effective_sample_size(samples) == pytest.approx(n / max(2.0 * total - 1.0, 1.0), rel=1e-6)


def test_a_sample_at_the_limit_is_not_above_it() -> None:
    assert share_above(np.array([1.0, 2.0, 3.0, 4.0]), 3.0).share == 0.25


def test_alternating_samples_count_no_more_than_their_number() -> None:
    assert effective_sample_size(np.tile([1.0, 2.0], 500)) == 1000


def test_sectioning_of_a_hand_computed_case() -> None:
    # Medians of the five stretches: 1, 2, 3, 4, 5 + that of all, 3. Σ (Q_i - Q)² = 10, sqrt(10 / (5 · 4)) = 0.70711,
    # t(0.975, 4) = 2.77645, half width 1.96325.
    rng = np.random.default_rng(0)
    samples = np.concatenate([rng.permutation([middle - 3, middle, middle + 3.0] * 7) for middle in range(1, 6)])
    interval = quantile_interval(samples + 10.0, 0.5)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((13 - 1.96325, 13 + 1.96325), abs=1e-4)


def test_a_stretch_too_short_for_its_own_quantile_gives_no_interval() -> None:
    assert quantile_interval(one_to(499), 0.99) is None
    assert quantile_interval(one_to(500), 0.99) is not None


def test_values_beyond_the_quantile_in_one_cluster_give_no_interval() -> None:
    samples = np.random.default_rng(1).random(2000)
    samples[900:921] += 10.0  # the highest 1 %, all at once
    assert quantile_interval(samples, 0.99) is None


def test_a_ratio_of_means_by_hand() -> None:
    # Logarithms -0.1, 0.1 and 0.4, 0.6: difference 0.5, each variance 0.02 / 2, error sqrt(0.02), 2 degrees of freedom.
    test = ratio_test(np.exp([-0.1, 0.1]), np.exp([0.4, 0.6]))
    assert test.ratio == pytest.approx(np.exp(0.5))
    assert test.interval.low == pytest.approx(np.exp(0.5 - 4.302653 * 0.1414214), rel=1e-5)
    # Student's t with 2 degrees of freedom has the upper tail (1 - t / sqrt(2 + t²)) / 2; here t = 0.5 / sqrt(0.02).
    assert test.p_value == pytest.approx(1.0 - 3.535534 / np.sqrt(2.0 + 3.535534**2))
    # Allowed up to e^0.4: t = 0.1 / sqrt(0.02).
    allowed = ratio_test(np.exp([-0.1, 0.1]), np.exp([0.4, 0.6]), allowed_ratio=np.expm1(0.4))
    assert allowed.p_value == pytest.approx(1.0 - 0.7071068 / np.sqrt(2.5))
    assert ratio_test(np.exp([-0.1, 0.1]), np.exp([0.4, 0.6]), allowed_ratio=1.0).p_value == 1.0


def test_a_ratio_the_other_way_round_is_as_likely() -> None:
    base, head = np.array([1.0, 1.1, 0.9, 1.0]), np.array([1.2, 1.3, 1.4])
    there, back = ratio_test(base, head, allowed_ratio=0.05), ratio_test(head, base, allowed_ratio=0.05)
    assert there.ratio == pytest.approx(1.0 / back.ratio)
    assert there.p_value == pytest.approx(back.p_value)


def test_samples_without_any_spread_leave_no_doubt() -> None:
    assert ratio_test(np.ones(3), np.ones(3)).p_value == 1.0
    assert ratio_test(np.ones(3), np.full(3, 2.0)).p_value == 0.0


@pytest.mark.parametrize("head", [[1.0], [1.0, 0.0], [1.0, -1.0]], ids=["one sample", "nothing", "less than nothing"])
def test_a_ratio_of_what_has_none_is_refused(head: list[float]) -> None:
    with pytest.raises(InvalidMeasurement):
        ratio_test(np.ones(3), np.array(head))


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04, times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04 and never falling again.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([0.9, 0.6]) == (1.0, 1.0)
    assert holm([]) == ()


def test_a_share_of_independent_samples_has_the_exact_interval_of_clopper_and_pearson() -> None:
    # Ten of a thousand: 0.48 % to 1.83 %, from the tables; that they are independent is itself estimated.
    samples = np.zeros(1000)
    samples[np.random.default_rng(1).choice(1000, 10, replace=False)] = 2.0
    interval = share_above(samples, 1.0).interval
    assert interval.low == pytest.approx(0.0048, rel=0.1)
    assert interval.high == pytest.approx(0.0183, rel=0.1)


@pytest.mark.parametrize(("n", "is_shown"), [(367, False), (368, True)])
def test_none_of_368_shows_that_no_more_than_one_in_a_hundred_is_above(n: int, is_shown: bool) -> None:
    # 0.99^n is 2.5 % at n = 367.04.
    assert (share_above(np.ones(n), 2.0).interval.high <= 0.01) is is_shown


def test_misses_in_one_cluster_say_less_than_the_same_number_scattered() -> None:
    together, scattered = np.zeros(10_000), np.zeros(10_000)
    together[4000:4050] = 2.0
    scattered[np.random.default_rng(1).choice(10_000, 50, replace=False)] = 2.0
    assert share_above(scattered, 1.0).interval.high < 0.01 < share_above(together, 1.0).interval.high


def test_slow_minutes_of_a_millisecond_leave_no_doubt_about_a_limit_of_seconds() -> None:
    """Half of the run 1 ms and half 2 ms: worth a few samples near 2 ms, but all 1,000 lie far below a second."""
    moods = np.repeat([0.001, 0.002], 500) + np.random.default_rng(1).uniform(0.0, 1e-5, 1000)
    assert share_above(moods, 1.0).interval.high < 0.01 < share_above(moods, 0.003).interval.high


def test_what_was_never_answered_is_above_every_limit() -> None:
    assert share_above(np.full(10, np.inf), 1e9).interval.high == 1.0


@pytest.mark.parametrize(
    ("differences", "above", "n_ways"),
    [
        ([1.0, 2.0, 3.0, 4.0], 0.0, 1),  # of sixteen
        ([-1.0, 2.0, 3.0, 4.0], 0.0, 2),
        ([2.0, 3.0, 4.0, 5.0], 3.0, 6),  # -1, 0, 1, 2: the zero counts on neither side, ranks 2.5, 2.5 and 4
        ([1.0, 1.0, 1.0, -1.0], 0.0, 5),  # ties share the rank 2.5: three or more of four are positive
        ([-1.0, -2.0, -3.0, -4.0], 0.0, 16),
    ],
)
def test_signed_ranks_count_the_ways_to_deal_the_signs(differences: list[float], above: float, n_ways: int) -> None:
    assert signed_rank_test(np.array(differences), above=above).p_value == pytest.approx(n_ways / 16)


def test_the_middle_of_differences_is_the_median_of_all_means_of_two() -> None:
    """1, 1.5, 2, 3.5, 4 and 6."""
    assert signed_rank_test(np.array([1.0, 2.0, 6.0])).middle == 2.75


def test_five_differences_bound_their_middle_by_the_least_and_the_most_and_four_do_not() -> None:
    """All of five signs alike: 1 in 32 on either side; of four 1 in 16, more than the 5 % that a side may have."""
    of_five = signed_rank_test(np.array([3.0, 1.0, 2.0, 5.0, 4.0])).interval
    assert (of_five.low, of_five.high) == (1.0, 5.0)
    assert signed_rank_test(np.array([3.0, 1.0, 2.0, 5.0])).interval.high == np.inf
