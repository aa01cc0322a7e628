"""The saturated throughput, read off the departures of a run with bursts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.backlog import backlog_of, departure_gap_s

Times = NDArray[np.float64]


def burst(at_s: float, n: int, gap_s: float) -> tuple[Times, Times]:
    """n requests sent at once, answered one every `gap_s`."""
    return np.full(n, at_s), at_s + gap_s * np.arange(1, n + 1, dtype=np.float64)


def setting(max_batch_size: int) -> Setting:
    return Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=max_batch_size))


@pytest.mark.parametrize(
    ("max_batch_size", "n_rows", "n_waiting"),
    [(1, 1, 16), (8, 1, 16), (9, 1, 18), (32, 1, 64), (32, 10, 16), (100, 5, 40), (4, 100, 16)],
)
def test_two_full_batches_must_wait_and_never_fewer_than_sixteen_requests(
    max_batch_size: int, n_rows: int, n_waiting: int
) -> None:
    assert backlog_of(setting(max_batch_size), n_rows) == n_waiting


def test_requests_leave_a_backlog_at_the_servers_own_pace() -> None:
    sent_s, done_s = burst(1.0, 300, 0.004)
    assert departure_gap_s(sent_s, done_s, n_waiting=20) == pytest.approx(0.004)


def test_a_pace_counts_only_while_enough_requests_wait() -> None:
    """Of 300 the first 200 leave every 4 ms; when at most 100 are under way, the rest leaves every 40 ms."""
    sent_s = np.zeros(300)
    done_s = np.cumsum(np.repeat([0.004, 0.040], [200, 100]))
    # 100 are under way when the 200th has left; the gap from there on is a slow one.
    assert departure_gap_s(sent_s, done_s, n_waiting=101, n_least=1) == pytest.approx(0.004)
    assert departure_gap_s(sent_s, done_s, n_waiting=100, n_least=1) == pytest.approx((199 * 0.004 + 0.040) / 200)


def test_the_rest_between_two_bursts_is_no_service() -> None:
    parts = [burst(start_s, 200, 0.002) for start_s in (0.0, 100.0)]
    sent_s, done_s = (np.concatenate(each) for each in zip(*parts, strict=True))
    assert departure_gap_s(sent_s, done_s, n_waiting=10) == pytest.approx(0.002)


def test_a_server_that_keeps_up_shows_no_backlog() -> None:
    sent_s = 0.01 * np.arange(1000.0)
    assert departure_gap_s(sent_s, sent_s + 0.005, n_waiting=16) is None


def test_too_few_departures_say_nothing() -> None:
    # Of 116 the last 16 leave with fewer than 16 left, so 100 gaps begin with enough of them waiting.
    assert departure_gap_s(*burst(0.0, 116, 0.001), n_waiting=16) == pytest.approx(0.001)
    assert departure_gap_s(*burst(0.0, 115, 0.001), n_waiting=16) is None


def test_a_stop_in_one_stretch_says_nothing_about_the_others() -> None:
    """A neighbour had the core for a second: that is in one stretch of 20 departures, and the median leaves it out."""
    sent_s, done_s = burst(0.0, 300, 0.004)
    done_s[150:] += 1.0
    assert departure_gap_s(sent_s, done_s, n_waiting=20) == pytest.approx(0.004)


def test_in_batches_answers_leave_together_and_the_pace_is_that_of_whole_batches() -> None:
    """Eight at once every 16 ms are one every 2 ms."""
    done_s = np.repeat(0.016 * np.arange(1.0, 51.0), 8)
    assert departure_gap_s(np.zeros(400), done_s, n_waiting=16) == pytest.approx(0.002)


def test_few_stretches_are_taken_together() -> None:
    # 40 gaps begin with 20 requests waiting: two stretches, of 4 and of 8 ms, have no middle one.
    done_s = np.cumsum(np.repeat([0.004, 0.004, 0.008, 1.0], [1, 20, 20, 19]))
    assert departure_gap_s(np.zeros(60), done_s, n_waiting=20, n_least=1) == pytest.approx(0.006)


def test_answers_that_come_in_another_order_leave_the_pace_alone() -> None:
    sent_s, done_s = burst(0.0, 300, 0.004)
    assert departure_gap_s(sent_s, done_s[::-1], n_waiting=20) == pytest.approx(0.004)


def test_requests_never_answered_are_under_way() -> None:
    sent_s, done_s = burst(0.0, 300, 0.004)
    done_s[250:] = np.nan
    # 250 departures, and 50 more under way to the end: all gaps count.
    assert departure_gap_s(sent_s, done_s, n_waiting=50, n_least=249) == pytest.approx(0.004)


@pytest.mark.parametrize("n_answered", [0, 1])
def test_next_to_no_answer_is_no_pace(n_answered: int) -> None:
    done_s = np.full(5, np.nan)
    done_s[:n_answered] = 1.0
    assert departure_gap_s(np.zeros(5), done_s, n_waiting=1, n_least=1) is None
