"""What earlier predictions are worth to a later one."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadplan.fit.ledger import LedgerEntry, judge_ledger, widened
from loadplan.stats import Interval


def entry(measured_s: float, *, widening: float = 1.0, quantile: float = 0.99) -> LedgerEntry:
    """10 ms were predicted, from 5 to 20: a factor of 2 either way."""
    return LedgerEntry(
        written_at="2026-11-01T00:00:00+00:00",
        run="digits/1",
        machine="0123456789ab",
        cpu_model="test",
        variant="fp32",
        provider="CPU",
        n_threads=1,
        max_batch_size=8,
        batch_window_s=0.0,
        offered_rate_rps=100.0,
        utilisation_ratio=0.7,
        quantile=quantile,
        predicted_s=0.010,
        predicted_s_low=0.010 * 0.5**widening,
        predicted_s_high=0.010 * 2.0**widening,
        widening=widening,
        measured_s=measured_s,
        measured_s_low=None,
        measured_s_high=None,
        noise_floor_ratio=None,
        clean_ratio=1.0,
    )


def test_coverage_and_bias_are_those_of_the_entries() -> None:
    findings = judge_ledger([entry(0.008), entry(0.016), entry(0.025)], sha256="a")
    (figure,) = findings.figures
    assert (figure.n_entries, figure.n_covered) == (3, 2)
    # Predicted over measured: 1.25, 0.625 and 0.4.
    assert figure.bias_ratio == pytest.approx(-0.375)
    assert figure.error_ratio == pytest.approx(0.375)


def test_the_quantiles_are_judged_apart() -> None:
    findings = judge_ledger([entry(0.1), entry(0.01, quantile=0.5)], sha256="a")
    assert [(figure.quantile, figure.n_covered) for figure in findings.figures] == [(0.5, 1), (0.99, 0)]


def test_eight_misses_widen_nothing_because_nine_are_the_least() -> None:
    (figure,) = judge_ledger([entry(1.0)] * 8, sha256="a").figures
    assert (figure.is_enough, figure.widening) == (False, 1.0)


def test_of_nine_the_worst_decides_and_of_nineteen_the_second_worst() -> None:
    good, worse, worst = entry(0.01), entry(0.08), entry(0.64)  # off by a factor of 1, 2³ and 2⁶; the interval is 2¹
    assert judge_ledger([good] * 7 + [worse, worst], sha256="a").widening_of(0.99) == pytest.approx(6.0)
    assert judge_ledger([good] * 17 + [worse, worst], sha256="a").widening_of(0.99) == pytest.approx(3.0)


def test_a_miss_below_is_held_against_the_low_end() -> None:
    assert judge_ledger([entry(0.01 / 8)] * 9, sha256="a").widening_of(0.99) == pytest.approx(3.0)


def test_good_predictions_never_narrow_an_interval() -> None:
    assert judge_ledger([entry(0.0101)] * 50, sha256="a").widening_of(0.99) == 1.0


def test_an_interval_that_was_already_widened_counts_as_it_was_before() -> None:
    # Off by 2², covered by an interval that had been stretched from 2¹ to 2³: it takes 2, as the plain one did.
    assert judge_ledger([entry(0.04, widening=3.0)] * 9, sha256="a").widening_of(0.99) == pytest.approx(2.0)


def test_what_the_ledger_is_silent_about_is_not_widened() -> None:
    assert judge_ledger([entry(1.0)] * 9, sha256="a").widening_of(0.5) == 1.0


def test_a_p95_of_which_there_is_no_entry_is_widened_by_what_lies_between_the_others() -> None:
    """By a factor of 3 and of 12, off by 2³ and 2¹² where the interval reaches 2¹; of an own one by that, 2."""
    others = [entry(0.08)] * 9 + [entry(0.01 * 2.0**12, quantile=0.5)] * 9
    assert judge_ledger(others, sha256="a").widening_of(0.95) == pytest.approx(6.0)
    own = [entry(0.04, quantile=0.95)] * 9
    assert judge_ledger([*others, *own], sha256="a").widening_of(0.95) == pytest.approx(2.0)


def test_ends_move_in_logarithms() -> None:
    interval = widened(10.0, Interval(low=5.0, high=20.0, confidence_ratio=0.9), 2.0)
    assert (interval.low, interval.high, interval.confidence_ratio) == pytest.approx((2.5, 40.0, 0.9))
    assert widened(10.0, Interval(low=0.0, high=10.0), 2.0) == Interval(low=0.0, high=10.0)
    assert widened(0.0, Interval(low=0.0, high=1.0), 2.0) == Interval(low=0.0, high=1.0)


@given(st.floats(0.1, 1.0), st.floats(1.0, 10.0), st.floats(0.1, 20.0))
def test_no_factor_narrows(low: float, high: float, factor: float) -> None:
    wider = widened(1.0, Interval(low=low, high=high), factor)
    assert wider.low <= low
    assert wider.high >= high


def test_widened_intervals_hold_the_next_value_in_nine_of_ten_cases() -> None:
    # Errors four times as wide as predicted, of a law with heavy tails: each ledger of 30 is held against the next one.
    rng, n_held, n_trials = np.random.default_rng(1), 0, 2000
    for _ in range(n_trials):
        errors = 4.0 * math.log(2.0) * rng.standard_t(3, size=31)
        *known, following = (entry(0.010 * math.exp(error)) for error in errors)
        factor = judge_ledger(known, sha256="a").widening_of(0.99)
        end = widened(0.010, Interval(low=0.005, high=0.020), factor)
        n_held += replace(following, predicted_s_low=end.low, predicted_s_high=end.high).is_covered
    # ⌈0.9 · 31⌉ / 31 = 0.903; three standard errors are 0.02.
    assert n_held / n_trials == pytest.approx(28 / 31, abs=0.02)
