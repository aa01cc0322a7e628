"""What a visit times where rows differ in length, against counts and expectations worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.bench.length_mix import STRATA_LEAST, STRATA_MOST, as_if_alike, draw, length_mix
from loadplan.noise import lost_ratio, robbed_calls


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def lengths_of(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def test_every_row_is_dealt_as_often_as_the_others() -> None:
    mix = length_mix(np.arange(1, 65), 8, rng())
    assert set(np.bincount(mix.batches.ravel()).tolist()) == {1024 * 8 // 64}


def test_the_calls_of_a_visit_come_from_every_part_of_the_lengths() -> None:
    lengths = np.arange(1, 101)
    mix = length_mix(lengths, 1, rng())
    for seed in range(20):
        drawn = np.sort(lengths[draw(mix, 5, rng(seed)).ravel()])
        # A fifth of the batches each; the dealt batches hold each row ten times, or eleven.
        assert ((drawn >= [1, 20, 40, 60, 80]) & (drawn <= [21, 41, 61, 81, 100])).all()


def test_company_makes_batches_as_long_as_chance_makes_them() -> None:
    """Of 50 short rows and 50 long ones, two drawn are both short in 50/100 · 49/99 of cases: 24.7 %."""
    lengths = np.repeat([1, 100], 50)
    mix = length_mix(lengths, 2, rng())
    longest = np.concatenate([lengths[draw(mix, 64, rng(seed))].max(axis=1) for seed in range(40)])
    assert np.mean(longest == 1) == pytest.approx(0.247, abs=0.04)  # three deviations of 1024 dealt pairs


def test_a_visit_is_in_no_order_of_length() -> None:
    mix = length_mix(np.arange(1, 101), 1, rng())
    orders = {tuple(np.argsort(draw(mix, 5, rng(seed)).ravel())) for seed in range(20)}
    assert len(orders) > 10


def test_as_many_calls_are_made_as_keep_luck_below_a_percent() -> None:
    alike, spread = length_mix(np.full(100, 7), 1, rng()), length_mix(np.arange(1, 1001), 1, rng())
    assert alike.n_strata_least == STRATA_LEAST
    # n strata of a uniform law on 0 … m: each has the deviation m / (n √12), their mean m / (n^1.5 √12), and that is
    # 1 % of m / 2 at n = (2 / (0.01 √12))^(2/3) = 14.9.
    assert spread.n_strata_least == 15
    means = [np.arange(1, 1001)[draw(spread, 15, rng(seed))].mean() for seed in range(300)]
    assert np.std(means) / np.mean(means) == pytest.approx(0.01, rel=0.15)
    assert np.mean(means) == pytest.approx(500.5, rel=0.003)


def test_one_long_row_in_a_hundred_asks_for_the_most_calls() -> None:
    assert length_mix(np.append(np.ones(99, dtype=np.int64), 5000), 1, rng()).n_strata_least == STRATA_MOST


def test_company_evens_lengths_out() -> None:
    lengths = np.arange(1, 1001)
    assert length_mix(lengths, 32, rng()).n_strata_least < length_mix(lengths, 1, rng()).n_strata_least


def test_more_rows_in_a_batch_than_there_are() -> None:
    mix = length_mix(lengths_of(3, 1, 2), 8, rng())
    assert draw(mix, 5, rng()).shape == (5, 8)
    assert mix.usual.shape == (8,)


def test_a_long_batch_is_no_robbed_call_and_a_robbed_call_of_a_short_one_is() -> None:
    needed_s = np.array([1e-3, 1.1e-3, 1.2e-3, 1.3e-3, 20e-3])
    durations_s = np.stack([needed_s, needed_s * 1.01])
    assert robbed_calls(durations_s.ravel()).any()  # why calls of one length only may be compared
    assert not robbed_calls(as_if_alike(durations_s).ravel()).any()
    durations_s[1, 0] += 4e-3
    alike_s = as_if_alike(durations_s).ravel()
    assert np.flatnonzero(robbed_calls(alike_s)).tolist() == [5]
    # As if all took 1.2 ms, the robbed call took 5.01 · 1.2 = 6.012 ms, 4.812 ms too long.
    assert lost_ratio(alike_s) == pytest.approx(4.81e-3 / (9 * 1.2e-3 + 6.01e-3), rel=0.01)
