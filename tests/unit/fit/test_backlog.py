"""The saturated throughput, read off the busy periods of a run with bursts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.backlog import backlog_of, departure_gap_s, right_answers_s
from loadplan.load.records import Outcome, RequestLog

Times = NDArray[np.float64]


def burst(at_s: float, n: int, gap_s: float) -> tuple[Times, Times]:
    """n requests sent at once, answered one every `gap_s`."""
    return np.full(n, at_s), at_s + gap_s * np.arange(1, n + 1, dtype=np.float64)


def bursts(*parts: tuple[Times, Times]) -> tuple[Times, Times]:
    sent_s, done_s = (np.concatenate(each) for each in zip(*parts, strict=True))
    return sent_s, done_s


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


def test_the_reading_of_a_burst_before_its_first_answer_is_part_of_the_pace() -> None:
    """Reading 100 requests takes 0.1 s, then one is answered every millisecond: 2 ms each."""
    sent_s, done_s = burst(0.0, 100, 0.001)
    assert departure_gap_s(sent_s, done_s + 0.1, n_waiting=20) == pytest.approx(0.002)


def test_the_rest_between_two_bursts_is_no_service() -> None:
    sent_s, done_s = bursts(burst(0.0, 200, 0.002), burst(100.0, 200, 0.002))
    assert departure_gap_s(sent_s, done_s, n_waiting=10) == pytest.approx(0.002)


def test_the_number_under_way_is_the_average_of_the_period() -> None:
    """Of 199 that leave one by one, 100 are under way on average: (199 + … + 1) / 199."""
    sent_s, done_s = burst(0.0, 199, 0.001)
    assert departure_gap_s(sent_s, done_s, n_waiting=99) == pytest.approx(0.001)
    assert departure_gap_s(sent_s, done_s, n_waiting=101) is None


def test_a_server_that_keeps_up_shows_no_backlog() -> None:
    sent_s = 0.01 * np.arange(1000.0)
    assert departure_gap_s(sent_s, sent_s + 0.005, n_waiting=16) is None


def test_quiet_stretches_between_bursts_say_nothing() -> None:
    quiet = 10.0 + 0.1 * np.arange(500.0)
    sent_s, done_s = bursts(burst(0.0, 200, 0.002), (quiet, quiet + 0.05))
    assert departure_gap_s(sent_s, done_s, n_waiting=10) == pytest.approx(0.002)


def test_too_few_departures_say_nothing() -> None:
    assert departure_gap_s(*burst(0.0, 100, 0.001), n_waiting=16) == pytest.approx(0.001)
    assert departure_gap_s(*burst(0.0, 99, 0.001), n_waiting=16) is None
    assert departure_gap_s(*burst(0.0, 99, 0.001), n_waiting=16, n_least=99) == pytest.approx(0.001)


def test_a_stop_in_one_burst_says_nothing_about_the_others() -> None:
    """A neighbour had the core for a second in the longest of three bursts."""
    sent_s, done_s = bursts(burst(0.0, 120, 0.004), burst(10.0, 140, 0.004), burst(20.0, 100, 0.004))
    done_s[200:260] += 1.0
    assert departure_gap_s(sent_s, done_s, n_waiting=20) == pytest.approx(0.004)


def test_each_burst_weighs_as_many_requests_as_it_has() -> None:
    sent_s, done_s = bursts(burst(0.0, 50, 0.001), burst(10.0, 50, 0.002), burst(20.0, 200, 0.004))
    assert departure_gap_s(sent_s, done_s, n_waiting=20) == pytest.approx(0.004)


def test_answers_that_come_in_another_order_leave_the_pace_alone() -> None:
    sent_s, done_s = burst(0.0, 300, 0.004)
    assert departure_gap_s(sent_s, done_s[::-1], n_waiting=20) == pytest.approx(0.004)


def test_requests_never_answered_are_left_out() -> None:
    sent_s, done_s = burst(0.0, 300, 0.004)
    done_s[250:] = np.nan
    assert departure_gap_s(sent_s, done_s, n_waiting=50) == pytest.approx(0.004)


@pytest.mark.parametrize("n_answered", [0, 1])
def test_next_to_no_answer_is_no_pace(n_answered: int) -> None:
    done_s = np.full(5, np.nan)
    done_s[:n_answered] = 1.0
    assert departure_gap_s(np.zeros(5), done_s, n_waiting=2, n_least=1) is None


def test_a_refusal_is_no_answer() -> None:
    """Three requests answered at 1, 2 and 3 s, of which the second was refused."""
    times_s = np.array([1.0, 2.0, 3.0])
    log = RequestLog(
        due_s=np.zeros(3),
        sent_s=np.zeros(3),
        first_byte_s=times_s,
        done_s=times_s,
        outcome=np.array([Outcome.OK, Outcome.REFUSED, Outcome.OK], dtype=np.uint8),
        status=np.array([200, 503, 200], dtype=np.int16),
        payload=np.zeros(3, dtype=np.int32),
    )
    assert right_answers_s(log) == pytest.approx([1.0, np.nan, 3.0], nan_ok=True)
