"""The simulated service, request by request, worked out by hand; and what holds of every such service."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadplan.fit.black_box.kernel import NEVER_S, serve
from loadplan.fit.black_box.simulate import delays_drawn_s, lognormal
from loadplan.fit.black_box.structures import ServiceLaw, ServiceStructure, saturated_rps

Times = NDArray[np.float64]
NO_LIMIT = 10**9
SHARED, FIRST_COME, TURNS = "shared", "first_come", "turns"


def done_s(
    arrive_s: list[float] | Times,
    delay_s: list[float] | Times,
    work_s: list[float] | Times,
    *,
    cpu: str = FIRST_COME,
    n_slots: int = NO_LIMIT,
    n_cores: int = 1,
    turn_s: float = 3.0,
) -> Times:
    arrive, delay, work = (np.array(values, dtype=np.float64) for values in (arrive_s, delay_s, work_s))
    _, done = serve(arrive, delay, work, n_slots, n_cores, turn_s if cpu == TURNS else NEVER_S, cpu == SHARED)
    return np.asarray(done)


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        # Both get half a core until the first is done after 2 s; the second has 1 of its 2 s left then.
        pytest.param(SHARED, [2.0, 3.0], id="shared"),
        pytest.param(FIRST_COME, [1.0, 3.0], id="first come, first served"),
    ],
)
def test_two_requests_at_once(cpu: str, expected: list[float]) -> None:
    assert done_s([0.0, 0.0], [0.0, 0.0], [1.0, 2.0], cpu=cpu) == pytest.approx(expected)


def test_turns_go_round() -> None:
    # 3 of 4 s of the first, 3 of 5 s of the second, the last second of the first, the last two of the second.
    assert done_s([0.0, 0.0], [0.0, 0.0], [4.0, 5.0], cpu=TURNS) == pytest.approx([7.0, 9.0])


def test_a_request_that_comes_later_shares_from_then_on() -> None:
    # Alone for 1 s, then half a core each: the first needs 2 s more for its second second, and the other has got 1 of
    # its 3 s by then.
    assert done_s([0.0, 1.0], [0.0, 0.0], [2.0, 3.0], cpu=SHARED) == pytest.approx([3.0, 5.0])


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        pytest.param(SHARED, [1.5, 1.5, 1.5], id="three share two cores"),
        pytest.param(FIRST_COME, [1.0, 1.0, 2.0], id="the third waits"),
    ],
)
def test_two_cores(cpu: str, expected: list[float]) -> None:
    assert done_s([0.0] * 3, [0.0] * 3, [1.0] * 3, cpu=cpu, n_cores=2) == pytest.approx(expected)


def test_one_request_never_has_two_cores() -> None:
    assert done_s([0.0], [0.0], [1.0], cpu=SHARED, n_cores=2) == pytest.approx([1.0])


def test_a_slot_is_held_through_the_delay_and_the_work() -> None:
    assert done_s([0.0, 0.0], [1.0, 1.0], [1.0, 1.0], n_slots=1) == pytest.approx([2.0, 4.0])
    # Without the limit the delays pass side by side, and only the work is one after the other.
    assert done_s([0.0, 0.0], [1.0, 1.0], [1.0, 1.0]) == pytest.approx([2.0, 3.0])


def test_a_slot_that_is_freed_is_there_for_whoever_comes_at_that_moment() -> None:
    assert done_s([0.0, 2.0, 2.5], [1.0] * 3, [1.0] * 3, n_slots=1) == pytest.approx([2.0, 4.0, 6.0])


def test_work_is_in_the_order_in_which_delays_end() -> None:
    assert done_s([0.0, 0.1], [5.0, 1.0], [1.0, 1.0]) == pytest.approx([6.0, 2.1])


def test_no_request_is_no_answer() -> None:
    assert done_s([], [], []).size == 0


def test_factors_of_work_have_the_mean_1_and_the_spread_that_is_asked_for() -> None:
    factors = lognormal(np.random.default_rng(1).standard_normal(1_000_000), 0.5)
    assert factors.mean() == pytest.approx(1.0, abs=0.003)
    assert factors.std() == pytest.approx(0.5, abs=0.005)


def test_delays_are_those_of_the_law() -> None:
    law = ServiceLaw(
        structure=ServiceStructure(sharing="shared", n_slots=None),
        request_s=1.0,
        row_s=0.0,
        cpu_cv=0.1,
        delays_s=(1.0, 3.0),
    )
    # Each of two stands in the middle of its half; between them linear, beyond them constant.
    assert delays_drawn_s(law, np.array([0.0, 0.25, 0.5, 0.75, 1.0])) == pytest.approx([1.0, 1.0, 2.0, 3.0, 3.0])


@pytest.mark.parametrize(
    ("n_slots", "n_cores", "expected"),
    [
        pytest.param(None, 1, 1 / 4e-3, id="a core"),
        pytest.param(None, 2, 2 / 4e-3, id="two cores"),
        pytest.param(5, 1, 5 / 24e-3, id="five slots, each held for 24 ms"),
        pytest.param(40, 1, 1 / 4e-3, id="slots enough"),
    ],
)
def test_what_is_carried_at_most(n_slots: int | None, n_cores: int, expected: float) -> None:
    structure = ServiceStructure(sharing="shared", n_slots=n_slots, n_cores=n_cores)
    law = ServiceLaw(structure=structure, request_s=1e-3, row_s=1e-3, cpu_cv=0.0, delays_s=(10e-3, 30e-3))
    assert saturated_rps(law, mean_rows=3.0) == pytest.approx(expected)


# What holds whatever comes

requests = st.lists(
    st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 5.0), st.floats(0.01, 4.0)), min_size=1, max_size=40
).map(lambda rows: (np.cumsum([row[0] for row in rows]), *(np.array([row[i] for row in rows]) for i in (1, 2))))
disciplines = st.sampled_from([SHARED, FIRST_COME, TURNS])


@settings(max_examples=150, deadline=None)
@given(requests, disciplines, st.integers(1, 3), st.integers(1, 6))
def test_nobody_is_answered_before_its_delay_and_its_work_have_passed(
    asked: tuple[Times, Times, Times], cpu: str, n_cores: int, n_slots: int
) -> None:
    arrive_s, delay_s, work_s = asked
    done = done_s(arrive_s, delay_s, work_s, cpu=cpu, n_cores=n_cores, n_slots=n_slots)
    assert np.all(done >= arrive_s + delay_s + work_s - 1e-9)
    # The k-th to come gets its slot when all but n - 1 of those before it have left.
    left_s = np.sort(done)
    for k in range(n_slots, done.size):
        assert done[k] >= left_s[k - n_slots] + delay_s[k] + work_s[k] - 1e-9


@settings(max_examples=150, deadline=None)
@given(requests)
def test_a_core_that_never_rests_ends_at_the_same_moment_whoever_is_served_first(
    asked: tuple[Times, Times, Times],
) -> None:
    arrive_s, delay_s, work_s = asked
    ends = [float(done_s(arrive_s, delay_s, work_s, cpu=cpu).max()) for cpu in (SHARED, FIRST_COME, TURNS)]
    # Lindley's recursion of the work that is left, over requests in the order in which they become ready.
    ready_s, left_until_s = arrive_s + delay_s, 0.0
    for i in np.argsort(ready_s, kind="stable"):
        left_until_s = max(left_until_s, float(ready_s[i])) + float(work_s[i])
    assert ends == pytest.approx([left_until_s] * 3)


@settings(max_examples=150, deadline=None)
@given(requests, st.sampled_from([SHARED, FIRST_COME]), st.integers(1, 3))
def test_a_core_more_makes_nobody_slower(asked: tuple[Times, Times, Times], cpu: str, n_cores: int) -> None:
    fewer, more = (done_s(*asked, cpu=cpu, n_cores=n) for n in (n_cores, n_cores + 1))
    assert np.all(more <= fewer + 1e-9)


@settings(max_examples=150, deadline=None)
@given(requests, st.sampled_from([SHARED, FIRST_COME]), st.floats(1.0, 4.0))
def test_the_same_requests_in_less_time_wait_longer_in_the_mean(
    asked: tuple[Times, Times, Times], cpu: str, faster: float
) -> None:
    arrive_s, _, work_s = asked
    delay_s = np.zeros(arrive_s.size)
    slow = done_s(arrive_s, delay_s, work_s, cpu=cpu) - arrive_s
    fast = done_s(arrive_s / faster, delay_s, work_s, cpu=cpu) - arrive_s / faster
    assert fast.mean() >= slow.mean() - 1e-9
