"""The rule of one turn, in cases counted out by hand.

One tick is 2^-10 s, so that sums are exact. Reading a request takes 1 tick, an answer 2, a batch 4 and inference of b
rows 3 + 2b; where nothing else is said the server wakes at once and nothing scatters.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.execution import ServingConfig
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import Noise, draw, full_batches, scale, simulate
from loadplan.scenario.arrivals import GammaArrivals
from loadplan.scenario.traffic import schedule

Times = NDArray[np.float64]
MakeOverhead = Callable[..., OverheadFit]
Turns = Callable[..., list[float | None]]

TICK_S = 2.0**-10
NEVER_S = 1e300


def noise(
    *,
    request: Sequence[float] = (1.0,),
    response: Sequence[float] = (1.0,),
    service: Sequence[float] = (1.0,),
    pauses: Sequence[tuple[float, float]] = (),
) -> Noise:
    """Multipliers one by one, and pauses as (start, length) in ticks."""
    return Noise(
        request=np.array(request),
        response=np.array(response),
        service=np.array(service),
        pause_start_s=np.array([*(TICK_S * start for start, _ in pauses), NEVER_S]),
        pause_length_s=np.array([*(TICK_S * length for _, length in pauses), 0.0]),
    )


@pytest.fixture
def turns(make_overhead: MakeOverhead) -> Turns:
    """When each answer is out, in ticks; None for one that was refused."""

    def run(
        sent: Sequence[float],
        rows: Sequence[int] | None = None,
        *,
        batch: int = 8,
        window: float = 0.0,
        bound: int = 1000,
        wake: float = 0.0,
        transfer: float = 0.0,
        row: float = 0.0,
        with_noise: Noise | None = None,
    ) -> list[float | None]:
        done_s = simulate(
            TICK_S * np.array(sent, dtype=np.float64),
            np.array(rows or [1] * len(sent), dtype=np.int64),
            service_s=TICK_S * (3.0 + 2.0 * np.arange(20, dtype=np.float64)),
            overhead=make_overhead(
                request_s=TICK_S,
                response_s=2 * TICK_S,
                batch_s=4 * TICK_S,
                wake_s=wake * TICK_S,
                transfer_s=transfer * TICK_S,
                row_s=row * TICK_S,
            ),
            serving=ServingConfig(max_batch_size=batch, batch_window_s=window * TICK_S, max_queue_rows=bound),
            noise=with_noise or noise(),
        )
        return [None if np.isnan(each) else float(each) / TICK_S for each in done_s]

    return run


def test_a_request_alone_takes_the_sum_of_its_costs(turns: Turns) -> None:
    assert turns([10]) == [10 + 1 + 4 + 5 + 2]


def test_no_request_gives_no_answer(turns: Turns) -> None:
    assert turns([]) == []


def test_the_way_to_the_server_and_back_is_added_once(turns: Turns) -> None:
    assert turns([10], transfer=3) == [13 + 12]


def test_those_that_arrive_during_a_turn_are_one_batch_of_the_next(turns: Turns) -> None:
    # The first is answered at 22; then two are read by 24 and inferred by 24 + 4 + 7.
    assert turns([10, 12, 13]) == [22, 37, 39]


def test_one_that_arrives_while_others_are_read_waits_for_the_next_poll(turns: Turns) -> None:
    # Polled at 10, when the third was not there yet.
    assert turns([10, 10, 11]) == [25, 27, 39]


def test_the_sockets_are_polled_between_batches_though_requests_wait(turns: Turns) -> None:
    # The first two are answered by 28; then the fourth is read and joins the third.
    assert turns([10, 10, 10, 20], batch=2) == [26, 28, 42, 44]


def test_answers_of_a_batch_leave_one_after_the_other(turns: Turns) -> None:
    # Read by 14, inferred by 14 + 4 + 11.
    assert turns([10] * 4) == [31, 33, 35, 37]


def test_a_request_larger_than_a_batch_runs_alone(turns: Turns) -> None:
    # Read by 13; 5 + 4 and an answer; 13 + 4 and an answer; 5 + 4 and an answer.
    assert turns([10] * 3, [1, 5, 1], batch=2) == [24, 43, 54]


def test_a_request_that_fits_does_not_overtake_one_that_does_not(turns: Turns) -> None:
    assert turns([10] * 3, [2, 2, 1], batch=3) == [26, 41, 43]


def test_requests_of_mixed_sizes_are_batched_whole_and_in_order(turns: Turns) -> None:
    # Read by 16. Five rows by 16 + 4 + 13 and two answers; five by 37 + 4 + 13 and two; seven alone by 58 + 4 + 17 and
    # one; the last by 81 + 4 + 5 and one.
    assert turns([10] * 6, [3, 2, 4, 1, 7, 1], batch=5) == [35, 37, 56, 58, 81, 92]


def test_each_row_costs_beside_its_inference_while_its_request_is_read(turns: Turns) -> None:
    # Read by 10 + 1 + 3 x 2.
    assert turns([10], [3], row=2) == [17 + 4 + 9 + 2]
    # Both are read before the first is inferred: by 10 + 7 + 5, then 4 + 13.
    assert turns([10, 10], [3, 2], row=2) == [41, 43]
    # Rows scatter with the request that they belong to.
    assert turns([10], [3], row=2, with_noise=noise(request=(3.0,))) == [10 + 21 + 4 + 9 + 2]


def test_the_rows_of_a_refused_request_cost_unless_the_queue_is_full_anyway(turns: Turns) -> None:
    # Three rows read by 17. Two more don't fit and are refused by 17 + 5 + 2; then 4 + 9 and an answer.
    assert turns([10, 10], [3, 2], row=2, bound=4) == [39, None]
    # The queue is full: nobody looks at the rows, so it is refused by 17 + 1 + 2.
    assert turns([10, 10], [3, 2], row=2, bound=3) == [35, None]


@pytest.mark.parametrize(
    ("rows", "n_requests", "n_rows"),
    [
        ([3, 2, 4, 1, 7, 1, 1], [2, 2, 1], [5, 5, 7]),
        ([3, 2, 4, 1], [2, 2], [5, 5]),
        ([4, 4, 1, 3], [1, 2], [4, 5]),
        ([1, 2], [2], [3]),
        ([9], [1], [9]),
    ],
    ids=["last one not full", "last one full", "the rest does not count", "only one", "larger than a batch"],
)
def test_an_endless_backlog_is_worked_off_in_full_batches(
    rows: list[int], n_requests: list[int], n_rows: list[int]
) -> None:
    full = full_batches(np.array(rows, dtype=np.int64), 5)
    assert (full.n_requests.tolist(), full.n_rows.tolist()) == (n_requests, n_rows)


@pytest.mark.parametrize(("k", "n_requests"), [(1, 32), (10, 3), (32, 1), (33, 1)])
def test_of_requests_that_are_alike_one_batch_stands_for_all(k: int, n_requests: int) -> None:
    full = full_batches(np.full(5, k, dtype=np.int64), 32)
    assert (full.n_requests.tolist(), full.n_rows.tolist()) == ([n_requests], [n_requests * k])


def test_a_batch_is_full_at_exactly_its_size(turns: Turns) -> None:
    # Both in one inference of four rows, by 12 + 4 + 11.
    assert turns([10, 10], [2, 2], batch=4) == [29, 31]


def test_the_window_runs_from_the_moment_the_oldest_was_read(turns: Turns) -> None:
    # Read at 11, so a batch is formed at 31 of what is there: two rows, by 31 + 4 + 7.
    assert turns([10, 15], window=20) == [44, 46]
    # Read at 11, 12 and 13: at 13 a window of 2½ ticks has half a tick to go, from arrival on it would be over.
    assert turns([10] * 3, window=2.5) == [28.5, 30.5, 32.5]


def test_an_arrival_that_fills_the_batch_ends_the_window(turns: Turns) -> None:
    assert turns([10, 15], batch=2, window=100) == [29, 31]


def test_an_arrival_after_the_window_is_not_in_its_batch(turns: Turns) -> None:
    # The first is inferred from 31 on and answered at 42; the second is read at 42 and waits until 63.
    assert turns([10, 32], window=20) == [42, 74]


def test_one_left_over_waits_for_its_own_window_only(turns: Turns) -> None:
    # The third was read at 13: with 20 ticks it waits until 33, with 10 they are over at 28, when the server is free.
    assert turns([10] * 3, batch=2, window=20) == [26, 28, 44]
    assert turns([10] * 3, batch=2, window=10) == [26, 28, 39]


def test_waiting_for_the_window_is_sleep_from_which_the_server_wakes(turns: Turns) -> None:
    # Awake at 13, read by 14; awake at 15 + 3, read by 19; awake at 34 + 3.
    assert turns([10, 15], window=20, wake=3) == [50, 52]


def test_an_arrival_during_reading_is_read_before_the_server_sleeps(turns: Turns) -> None:
    # Awake at 13, two read by 15, the third (there since 14) by 16; then sleep until 14 + 20 and 3 to wake.
    assert turns([10, 10, 14], window=20, wake=3) == [52, 54, 56]
    # Where the third fills the batch, it goes at once: by 16 + 4 + 9.
    assert turns([10, 10, 14], batch=3, window=20, wake=3) == [31, 33, 35]


def test_beyond_the_bound_of_the_queue_requests_are_refused_at_the_price_of_reading_and_answering(turns: Turns) -> None:
    # Two are read by 12, two refused by 18.
    assert turns([10] * 4, batch=1, bound=2) == [29, 40, None, None]


def test_a_smaller_request_may_still_fit_after_a_refusal(turns: Turns) -> None:
    assert turns([10] * 3, [2, 2, 1], batch=1, bound=3) == [28, None, 39]


def test_an_empty_queue_takes_a_request_of_any_size(turns: Turns) -> None:
    assert turns([10], [5], bound=2) == [30]


def test_rows_in_inference_do_not_wait(turns: Turns) -> None:
    assert turns([10, 12], bound=1) == [22, 34]


def test_a_sleeping_server_wakes_first(turns: Turns) -> None:
    assert turns([10], wake=3) == [25]


def test_one_that_was_just_going_to_sleep_wakes_in_half_the_gap(turns: Turns) -> None:
    assert turns([10], wake=8) == [27]
    # Answered at 27, and 4 ticks later there is another.
    assert turns([10, 31], wake=8) == [27, 31 + 2 + 12]


def test_one_that_is_busy_when_a_request_arrives_need_not_wake(turns: Turns) -> None:
    assert turns([10, 25], wake=3) == [25, 37]


def test_each_cost_has_its_own_multiplier(turns: Turns) -> None:
    scattered = noise(request=(1.0, 2.0), response=(1.0, 3.0), service=(1.0, 2.0))
    assert turns([10, 100], with_noise=scattered) == [22, 100 + 2 + 4 + 2 * 5 + 3 * 2]
    # The third is in the second batch, whose multiplier is the second.
    assert turns([10, 10, 100], with_noise=scattered)[2] == 100 + 1 + 4 + 2 * 5 + 2
    assert turns([10, 10], with_noise=scattered) == [10 + 1 + 2 + 4 + 7 + 2, 10 + 1 + 2 + 4 + 7 + 2 + 6]


@pytest.mark.parametrize(
    ("pauses", "done"),
    [
        ([(5, 2)], 22),
        ([(8, 6)], 26),
        ([(15, 7)], 29),
        ([(15, 7), (16, 3)], 32),
        ([(15, 7), (25, 2)], 31),
        ([(30, 7)], 22),
    ],
    ids=["over before it arrives", "holds it up", "during inference", "two at once", "one after the other", "after it"],
)
def test_a_pause_stops_the_server_whatever_it_does(
    turns: Turns, pauses: list[tuple[float, float]], done: float
) -> None:
    assert turns([10], with_noise=noise(pauses=pauses)) == [done]


def test_a_pause_while_the_server_waits_for_the_window_delays_what_outlasts_it(turns: Turns) -> None:
    assert turns([10], window=20, with_noise=noise(pauses=[(15, 4)])) == [42]
    assert turns([10], window=20, with_noise=noise(pauses=[(25, 10)])) == [35 + 11]


def a_busy_minute() -> Times:
    return schedule(GammaArrivals(cv=2.0), rate_rps=400.0, duration_s=60.0, rng=np.random.default_rng(1))


def test_the_same_seed_gives_the_same_answers(make_overhead: MakeOverhead) -> None:
    law = make_overhead(
        request_s=1e-4, response_s=1e-4, batch_s=1e-4, spread_ratio=0.5, stall_s=1e-3, stall_rate_per_s=5
    )
    sent_s = a_busy_minute()
    once, again, other = (
        simulate(
            sent_s,
            np.ones(sent_s.size, dtype=np.int64),
            service_s=np.full(9, 1.5e-3),
            overhead=law,
            serving=ServingConfig(max_batch_size=8),
            noise=scale(draw(np.random.default_rng(seed)), law, service_spread_ratio=0.2),
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    assert (once != other).all()


def test_a_slower_inference_delays_every_answer_because_both_servers_share_their_luck(
    make_overhead: MakeOverhead,
) -> None:
    law = make_overhead(request_s=1e-4, response_s=1e-4, batch_s=1e-4, spread_ratio=0.5)
    draws = draw(np.random.default_rng(1))
    sent_s = a_busy_minute()
    fast_s, slow_s = (
        simulate(
            sent_s,
            np.ones(sent_s.size, dtype=np.int64),
            service_s=np.full(2, service_s),
            overhead=law,
            serving=ServingConfig(max_queue_rows=10**9),
            noise=scale(draws, law, service_spread_ratio=0.5),
        )
        for service_s in (1.5e-3, 1.501e-3)
    )
    assert (slow_s > fast_s).all()


def test_noise_depends_on_the_law_by_scale_alone(make_overhead: MakeOverhead) -> None:
    """Twice the rate: the same pauses in half the time. Twice the mean: the same pauses, twice as long."""
    draws = draw(np.random.default_rng(1), n_pauses=100)
    one, other = (
        scale(draws, make_overhead(stall_s=s, stall_rate_per_s=r, spread_ratio=0.4), service_spread_ratio=0.1)
        for s, r in ((1e-3, 5.0), (2e-3, 10.0))
    )
    np.testing.assert_array_equal(one.request, other.request)
    np.testing.assert_allclose(one.pause_start_s[:-1], 2.0 * other.pause_start_s[:-1])
    np.testing.assert_allclose(2.0 * one.pause_length_s, other.pause_length_s)


@pytest.mark.parametrize(
    "stalls", [{"stall_s": 1e-3}, {"stall_rate_per_s": 5.0}, {}], ids=["no rate", "no length", "none"]
)
def test_a_law_without_pauses_has_none(make_overhead: MakeOverhead, stalls: dict[str, float]) -> None:
    quiet = scale(draw(np.random.default_rng(1)), make_overhead(**stalls), service_spread_ratio=0.1)
    assert quiet.pause_length_s.tolist() == [0.0]
    assert quiet.pause_start_s.min() > 1e9
