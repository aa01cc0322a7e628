"""Robbed calls of traces whose theft is known because the test put it there."""

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.noise import ROBBED_BEYOND_S, lost_ratio, robbed_calls


def calls_of(typical_s: float, *, n: int = 100, scatter_ratio: float = 0.01) -> NDArray[np.float64]:
    """Calls that scatter evenly around `typical_s`."""
    return typical_s * (1.0 + scatter_ratio * np.linspace(-1.0, 1.0, n))


@pytest.mark.parametrize("typical_s", [10e-6, 1e-3, 6e-3], ids=["10 µs", "1 ms", "6 ms"])
def test_a_theft_of_4_ms_is_found_in_calls_of_any_usual_length(typical_s: float) -> None:
    durations_s = calls_of(typical_s)
    durations_s[[3, 40]] += 4e-3
    assert np.flatnonzero(robbed_calls(durations_s)).tolist() == [3, 40]


@pytest.mark.parametrize("typical_s", [10e-6, 1e-3, 0.2], ids=["10 µs", "1 ms", "200 ms"])
def test_the_calls_own_scatter_is_no_theft(typical_s: float) -> None:
    durations_s = calls_of(typical_s, n=1000, scatter_ratio=0.2)
    assert not robbed_calls(durations_s).any()


def test_heavily_skewed_calls_are_no_theft() -> None:
    # 10 ms calls of a log-normal law with σ = 0.4: their p99.9 is at 34 ms.
    durations_s = 10e-3 * np.exp(0.4 * np.random.default_rng(3).normal(size=500))
    assert not robbed_calls(durations_s).any()


def test_a_few_tenths_of_a_millisecond_are_forgiven() -> None:
    durations_s = calls_of(10e-6)
    durations_s[7] += ROBBED_BEYOND_S
    assert not robbed_calls(durations_s).any()


def test_lost_ratio_is_what_robbed_calls_took_beyond_the_median() -> None:
    # 99 calls of 100 µs and one of 8.1 ms: 8 ms of 18 ms.
    durations_s = np.full(100, 100e-6)
    durations_s[50] = 8.1e-3
    assert lost_ratio(durations_s) == pytest.approx(8.0 / 18.0)


def test_undisturbed_calls_lost_nothing() -> None:
    assert lost_ratio(calls_of(1e-3)) == 0.0


def test_no_calls_lost_nothing() -> None:
    assert robbed_calls(np.zeros(0)).size == 0
    assert lost_ratio(np.zeros(0)) == 0.0
