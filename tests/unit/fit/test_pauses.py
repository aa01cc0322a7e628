"""Pauses, read off the slowest answers."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.execution import ServingConfig
from loadplan.fit.pauses import NO_PAUSES, Pauses, pauses_of, typical_pauses
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import draw, scale, simulate

Times = NDArray[np.float64]
MakeOverhead = Callable[..., OverheadFit]


def answers(n_slow: int, *, mean_s: float, n: int = 10_000) -> Times:
    """All take 1 ms but the slow ones, which take beyond 4 ms what an exponential law of that mean says."""
    slow_s = 0.004 + np.random.default_rng(1).exponential(mean_s, n_slow)
    return np.concatenate([np.full(n - n_slow, 0.001), slow_s])


def test_rate_and_length_solve_the_share_of_slow_answers() -> None:
    """r m exp(-x / m) / (1 - u) = share, at x = 4 times the p90."""
    found = pauses_of(answers(200, mean_s=0.002), utilisation_ratio=0.6)
    assert found.mean_s == pytest.approx(0.002, rel=0.15)
    share = found.rate_per_s * found.mean_s * np.exp(-0.004 / found.mean_s) / (1.0 - 0.6)
    assert share == pytest.approx(200 / 10_000)


def test_a_thin_tail_is_not_taken_for_many_pauses_far_shorter_than_any_that_was_seen() -> None:
    """Slow answers that end soon after 4 ms: pauses of 2 ms on average, not exp(16) times as many of 0.25 ms."""
    found = pauses_of(answers(100, mean_s=0.25e-3), utilisation_ratio=0.6)
    assert found.mean_s == pytest.approx(0.002)
    assert found.rate_per_s == pytest.approx(0.01 * (1.0 - 0.6) * np.exp(2.0) / 0.002)


def test_a_busier_server_needs_fewer_pauses_for_the_same_slow_answers() -> None:
    half, most = (pauses_of(answers(200, mean_s=0.002), utilisation_ratio=u) for u in (0.5, 0.9))
    assert half.rate_per_s == pytest.approx(5.0 * most.rate_per_s)


def test_a_few_slow_answers_are_no_law() -> None:
    assert pauses_of(answers(9, mean_s=0.002), utilisation_ratio=0.5) == NO_PAUSES
    assert pauses_of(answers(10, mean_s=0.002), utilisation_ratio=0.5) != NO_PAUSES


def test_pauses_never_take_more_than_a_tenth_of_the_time() -> None:
    # Excesses so short beside 4 ms that the formula alone would say thousands a second.
    found = pauses_of(answers(500, mean_s=0.0005), utilisation_ratio=0.1)
    assert found.rate_per_s * found.mean_s == pytest.approx(0.1)


@pytest.mark.parametrize("utilisation_ratio", [0.2, 0.6])
def test_the_pauses_of_a_simulated_server_are_found_again(
    make_overhead: MakeOverhead, utilisation_ratio: float
) -> None:
    """Its longest are cut at four means and few of hundreds overlap, so the laws agree to a quarter."""
    law = make_overhead(stall_s=5e-3, stall_rate_per_s=4.0)
    sent_s = np.cumsum(np.random.default_rng(2).exponential(0.2e-3 / utilisation_ratio, 1_000_000))
    done_s = simulate(
        sent_s,
        np.ones(sent_s.size, dtype=np.int64),
        service_s=np.array([0.0, 0.2e-3]),
        overhead=law,
        serving=ServingConfig(max_queue_rows=10**9),
        noise=scale(draw(np.random.default_rng(3)), law, service_spread_ratio=0.0),
    )
    found = pauses_of(done_s - sent_s, utilisation_ratio=utilisation_ratio)
    assert found.mean_s == pytest.approx(5e-3, rel=0.25)
    assert found.rate_per_s == pytest.approx(4.0, rel=0.25)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], (0.0, 0.0)),
        ([(2.0, 10.0)], (2.0, 10.0)),
        ([(1.0, 10.0), (2.0, 30.0), (9.0, 20.0)], (2.0, 20.0)),
        ([(0.0, 0.0), (2.0, 10.0), (4.0, 30.0)], (3.0, 10.0)),
        ([(0.0, 0.0), (0.0, 0.0), (4.0, 30.0)], (0.0, 0.0)),
    ],
    ids=["no run", "one", "three", "one without", "most without"],
)
def test_the_typical_run_decides_and_the_length_is_that_of_runs_that_had_any(
    runs: list[tuple[float, float]], expected: tuple[float, float]
) -> None:
    found = typical_pauses([Pauses(mean_s=mean_s, rate_per_s=rate_per_s) for mean_s, rate_per_s in runs])
    assert (found.mean_s, found.rate_per_s) == expected
