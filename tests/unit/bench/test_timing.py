"""How calls are timed, on sessions that do what the test says."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from loadplan.bench.timing import (
    clock_cost_s,
    is_warm,
    time_after_pauses,
    time_calls,
    time_loops,
    time_side_by_side,
    warm_up,
)
from loadplan.execution import TensorSpec
from loadplan.inference import Session, Tensors


class Handle:
    """Stands for a session of the runtime; remembers its calls."""

    def __init__(self, work: Callable[[Tensors], None]) -> None:
        self.feeds: list[Tensors] = []
        self._work = work

    def run(self, names: list[str], feed: Tensors) -> list[object]:
        assert names == ["y"]
        self.feeds.append(feed)
        self._work(feed)
        return [0.0]


def session(work: Callable[[Tensors], None] = lambda feed: None) -> Session:
    return Session(inputs=(), outputs=(TensorSpec(name="y", dtype="float32", shape=(None,)),), handle=Handle(work))


def feeds(n: int) -> list[Tensors]:
    return [{} for _ in range(n)]


@pytest.mark.parametrize(
    ("medians_s", "warm"),
    [
        ([], False),
        ([9.0, 8.0, 7.0, 6.0], False),
        ([9.0, 5.0, 5.0, 5.0], False),
        ([9.0, 5.0, 5.0, 5.0, 5.0], True),
        ([9.0, 5.0, 4.95, 5.2, 4.91], True),  # 2 % less than 5.0 is 4.9
        ([9.0, 5.0, 5.2, 4.89, 5.2, 5.1], False),
        ([9.0, 5.0, 5.2, 4.89, 5.2, 5.1, 5.3], True),
    ],
)
def test_warm_is_when_three_blocks_in_a_row_brought_nothing_faster(medians_s: list[float], warm: bool) -> None:
    assert is_warm(medians_s) == warm


def test_the_warm_up_lasts_as_long_as_calls_get_faster() -> None:
    n_calls = 0

    def settle(feed: Tensors) -> None:
        nonlocal n_calls
        n_calls += 1
        time.sleep(max(0.032 - 0.004 * n_calls, 0.0))

    shortest_s = warm_up(session(settle), feeds(1), block_s=0.0)
    assert n_calls >= 8 + 3  # the eighth is the first that is as fast as any
    assert shortest_s < 0.032


def test_a_session_that_never_settles_is_warmed_for_a_limited_time() -> None:
    durations_s = iter(0.2 * 0.9**i for i in range(1000))
    calls: list[float] = []

    def ever_faster(feed: Tensors) -> None:
        calls.append(next(durations_s))
        time.sleep(calls[-1])

    warm_up(session(ever_faster), feeds(1), block_s=0.0)
    assert len(calls) == 2  # 0.2 s and 0.18 s are beyond 0.3 s


def test_a_loop_makes_its_calls_with_the_inputs_in_turn() -> None:
    one, two = {}, {}  # type: Tensors, Tensors
    looped = session()
    loops_s = time_loops(looped, [one, two], n_loops=4, calls_per_loop=3)
    assert loops_s.shape == (4,)
    assert loops_s.min() > 0.0
    assert [feed is one for feed in looped.handle.feeds] == [True, False, True] * 4


def test_single_calls_are_timed_one_by_one() -> None:
    lengths_s = iter([0.0, 0.05, 0.0])
    times_s = time_calls(session(lambda feed: time.sleep(next(lengths_s))), feeds(3))
    assert times_s.shape == (3,)
    assert times_s[1] >= 0.05


def test_side_by_side_every_session_is_busy_until_the_last_has_its_times() -> None:
    quick, slow = session(lambda feed: time.sleep(0.001)), session(lambda feed: time.sleep(0.02))
    times_s = time_side_by_side([quick, slow], feeds(4))
    assert times_s.shape == (2, 4)
    assert times_s[1].min() >= 0.02
    # While the slow one made its four calls of 20 ms, the quick one did not stop after four of 1 ms.
    assert len(quick.handle.feeds) > 4 + 10


def test_side_by_side_times_are_in_the_order_of_the_inputs() -> None:
    lengths_s = (0.001, 0.03, 0.001)
    own_feeds = feeds(3)

    def work(feed: Tensors) -> None:
        time.sleep(next(length_s for own, length_s in zip(own_feeds, lengths_s, strict=True) if own is feed))

    times_s = time_side_by_side([session(work), session(work), session(work)], own_feeds)
    assert (times_s[:, 1] >= 0.03).all()


def test_side_by_side_a_session_that_fails_fails_the_visit_and_the_others_end() -> None:
    def fail(feed: Tensors) -> None:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        time_side_by_side([session(), session(fail), session()], feeds(3))


def test_a_pause_comes_before_each_call_and_is_not_part_of_its_time() -> None:
    begun_s: list[float] = []
    times_s = time_after_pauses(session(lambda feed: begun_s.append(time.perf_counter())), feeds(3), gap_s=0.1)
    assert times_s.min() < 0.1
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(begun_s))


def test_the_clock_costs_something() -> None:
    assert 0.0 < clock_cost_s() < 1e-3
