"""The simulator against queueing theory, and against what holds for any arrivals.

The seeds are fixed, so nothing here depends on the machine. Closed forms: M/D/1 and M/G/1 by Pollaczek and Khinchine;
the batch-service queue by Inoue (Queueing analysis of GPU-based inference servers with dynamic batching, 2021); the
saturated throughput by adding up the costs of a full turn.
"""

import math
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import Draws, Noise, draw, paused_ratio, saturated_rps, scale, simulate
from loadplan.scenario.rows_law import draw_rows
from loadplan.scenario.spec import RowsPerRequest

Times = NDArray[np.float64]
Rows = NDArray[np.int64]

N = 2_000_000
NO_END = 10**9  # rows that may wait
NOTHING = OverheadFit(
    request_s=0.0,
    response_s=0.0,
    batch_s=0.0,
    wake_s=0.0,
    transfer_s=0.0,
    cold_ratio=0.0,
    spread_ratio=0.0,
    stall_s=0.0,
    stall_rate_per_s=0.0,
    residuals=(),
)


def overhead(**costs: float) -> OverheadFit:
    """What is not named costs nothing."""
    return OverheadFit(**{**{name: getattr(NOTHING, name) for name in NOTHING.__slots__}, **costs})


def silent(law: OverheadFit = NOTHING) -> Noise:
    """Every cost is its mean; pauses only where the law has them."""
    return scale(draw(np.random.default_rng(2)), law, service_spread_ratio=0.0)


def poisson(rate_rps: float, n: int, seed: int) -> Times:
    return np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate_rps, n))


def line(*, fixed_s: float, row_s: float, most: int) -> Times:
    """S(b) = τ + α b."""
    return fixed_s + row_s * np.arange(most + 1, dtype=np.float64)


def alike(n_rows: int) -> Rows:
    """Requests for some full batches of any size that is served here."""
    return np.full(100, n_rows, dtype=np.int64)


def ones(sent_s: Times) -> Rows:
    return np.ones(sent_s.size, dtype=np.int64)


@pytest.mark.parametrize(("rho", "tolerance"), [(0.5, 0.01), (0.7, 0.01), (0.9, 0.03)])
def test_mean_wait_with_equal_service_times_is_that_of_pollaczek_and_khinchine(rho: float, tolerance: float) -> None:
    service_s = 1e-3
    sent_s = poisson(rho / service_s, N, seed=1)
    done_s = simulate(
        sent_s,
        ones(sent_s),
        service_s=np.array([0.0, service_s]),
        overhead=NOTHING,
        serving=ServingConfig(max_queue_rows=NO_END),
        noise=silent(),
    )
    assert (done_s - sent_s).mean() - service_s == pytest.approx(rho * service_s / 2.0 / (1.0 - rho), rel=tolerance)


@pytest.mark.parametrize(("rho", "spread", "tolerance"), [(0.5, 0.5, 0.01), (0.7, 0.5, 0.015), (0.5, 1.0, 0.03)])
def test_mean_wait_with_scattered_service_times_is_that_of_pollaczek_and_khinchine(
    rho: float, spread: float, tolerance: float
) -> None:
    """λ E[S²] / 2 (1 - ρ), with E[S²] = S² exp(spread²) for a lognormal law of mean S."""
    service_s = 1e-3
    rng = np.random.default_rng(5)
    # More draws than the usual 2^16, which come round again: with those, it is their own mean that one would test.
    normal = rng.standard_normal(1 << 21)
    unused = np.empty(0)
    draws = Draws(request=normal, response=normal, service=normal, pause_gap=unused, pause_length=unused)
    sent_s = poisson(rho / service_s, N, seed=6)
    done_s = simulate(
        sent_s,
        ones(sent_s),
        service_s=np.array([0.0, service_s]),
        overhead=NOTHING,
        serving=ServingConfig(max_queue_rows=NO_END),
        noise=scale(draws, NOTHING, service_spread_ratio=spread),
    )
    expected_s = rho * service_s * math.exp(spread**2) / 2.0 / (1.0 - rho)
    assert (done_s - sent_s).mean() - service_s == pytest.approx(expected_s, rel=tolerance)


@pytest.mark.parametrize("rho", [0.3, 0.5, 0.7])
def test_mean_response_time_of_a_batch_queue_is_at_inoues_bound(rho: float) -> None:
    """With S(b) = α b + τ and no limit on the batch the bound is nearly tight below a utilisation of 0.8."""
    alpha_s, tau_s = 5e-6, 100e-6
    rate_rps = rho / alpha_s
    sent_s = poisson(rate_rps, N, seed=3)
    most = 4096
    done_s = simulate(
        sent_s,
        ones(sent_s),
        service_s=line(fixed_s=tau_s, row_s=alpha_s, most=most),
        overhead=NOTHING,
        serving=ServingConfig(max_batch_size=most, max_queue_rows=NO_END),
        noise=silent(),
    )
    phi_0 = (alpha_s + tau_s) / (2.0 * (1.0 - rho))
    phi_0 *= 1.0 + 2.0 * rate_rps * tau_s + (1.0 - rate_rps * tau_s) / (1.0 + rho)
    phi_1 = 1.5 * tau_s / (1.0 - rho) + 0.5 * alpha_s * (rho + 2.0) / (1.0 - rho**2)
    assert (done_s - sent_s).mean() / min(phi_0, phi_1) == pytest.approx(1.0, abs=0.005)


TURN = overhead(request_s=30e-6, response_s=20e-6, batch_s=40e-6, wake_s=50e-6, transfer_s=70e-6, cold_ratio=0.5)
SERVICE_S = 200e-6
WORK_S = 30e-6 + 40e-6 + SERVICE_S + 20e-6  # of one request that is alone, once the server is awake and warm


@pytest.mark.parametrize(
    ("idle_s", "slower", "wake_s"),
    [
        (0.4e-3, 1.0, 50e-6),
        (0.06e-3, 1.0, 30e-6),
        (math.sqrt(0.5e-3 * 20e-3), 1.25, 50e-6),
        (20e-3, 1.5, 50e-6),
        (1.0, 1.5, 50e-6),
    ],
    ids=["still warm", "hardly asleep", "half cold", "just cold", "cold"],
)
def test_equal_gaps_give_the_sum_of_the_costs(idle_s: float, slower: float, wake_s: float) -> None:
    """The core rests for `idle_s` before each; k is 0 up to 0.5 ms, 1 from 20 ms, ½ at their geometric mean."""
    busy_s = slower * (wake_s + WORK_S)
    arrive_s = idle_s + (idle_s + busy_s) * np.arange(50, dtype=np.float64)
    done_s = simulate(
        arrive_s - 70e-6,
        np.ones(50, dtype=np.int64),
        service_s=np.array([0.0, SERVICE_S]),
        overhead=TURN,
        serving=ServingConfig(),
        noise=silent(),
    )
    np.testing.assert_allclose(done_s - arrive_s, busy_s, rtol=1e-6)


PAUSES = {"stall_s": 0.5e-3, "stall_rate_per_s": 200.0}  # about a tenth of the time


@pytest.mark.parametrize("max_batch_size", [1, 8, 32])
@pytest.mark.parametrize("pauses", [{}, PAUSES], ids=["never pauses", "pauses"])
def test_an_overloaded_server_answers_at_the_saturated_rate(max_batch_size: int, pauses: dict[str, float]) -> None:
    """b / (S(b) + b c + H), times the share of the time that is not lost to pauses."""
    law = overhead(
        request_s=30e-6, response_s=20e-6, batch_s=50e-6, wake_s=20e-6, cold_ratio=0.5, spread_ratio=0.4, **pauses
    )
    table_s = line(fixed_s=100e-6, row_s=10e-6, most=max_batch_size)
    turn_s = 100e-6 + 10e-6 * max_batch_size + 50e-6 * max_batch_size + 50e-6
    paused = 200.0 * 0.5e-3 * (1.0 - math.exp(-4.0)) if pauses else 0.0
    expected_rps = (1.0 - paused) * max_batch_size / turn_s
    setting = Setting(
        execution=ExecutionConfig(variant="fp32"),
        serving=ServingConfig(max_batch_size=max_batch_size, max_queue_rows=NO_END),
    )
    assert saturated_rps(setting, law, service_s=table_s, n_rows=alike(1)) == pytest.approx(expected_rps)
    sent_s = poisson(1.5 * expected_rps, int(60.0 * expected_rps), seed=8)
    noise = scale(draw(np.random.default_rng(9), n_pauses=20_000), law, service_spread_ratio=0.2)
    done_s = simulate(sent_s, ones(sent_s), service_s=table_s, overhead=law, serving=setting.serving, noise=noise)
    # Once the schedule is over nothing is left to read and answers come faster, so all of the work is counted.
    assert sent_s.size / done_s[-1] == pytest.approx(expected_rps, rel=0.005)


def test_larger_requests_saturate_a_server_in_batches_of_as_many_as_fit() -> None:
    """Three requests of ten rows fit into 32: 3 / (S(30) + 3 c + H)."""
    law = overhead(request_s=30e-6, response_s=20e-6, batch_s=50e-6)
    setting = Setting(
        execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=32, max_queue_rows=NO_END)
    )
    table_s = line(fixed_s=0.0, row_s=10e-6, most=32)
    n = 30_000
    assert saturated_rps(setting, law, service_s=table_s, n_rows=alike(10)) == pytest.approx(3 / 500e-6)
    done_s = simulate(
        np.zeros(n),
        np.full(n, 10, dtype=np.int64),
        service_s=table_s,
        overhead=law,
        serving=setting.serving,
        noise=silent(law),
    )
    assert n / done_s[-1] == pytest.approx(3 / 500e-6)


def test_requests_of_mixed_sizes_saturate_a_server_in_the_batches_that_they_form() -> None:
    """The whole work of 50,000 requests that all wait, some of them larger than a batch."""
    law = overhead(request_s=30e-6, response_s=20e-6, batch_s=50e-6, row_s=3e-6)
    setting = Setting(
        execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=64, max_queue_rows=NO_END)
    )
    table_s = line(fixed_s=100e-6, row_s=5e-6, most=100)
    n_rows = draw_rows(RowsPerRequest(mean=20.0, p95=60.0, most=100), 50_000, np.random.default_rng(4))
    assert n_rows.max() > 64
    done_s = simulate(
        np.zeros(n_rows.size),
        n_rows,
        service_s=table_s,
        overhead=law,
        serving=setting.serving,
        noise=silent(law),
    )
    carried_rps = n_rows.size / done_s[-1]
    assert saturated_rps(setting, law, service_s=table_s, n_rows=n_rows) == pytest.approx(carried_rps, rel=1e-3)


def test_a_request_larger_than_the_batch_saturates_a_server_alone() -> None:
    setting = Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=4))
    law = overhead(request_s=30e-6, response_s=20e-6, batch_s=50e-6)
    table_s = line(fixed_s=0.0, row_s=10e-6, most=10)
    assert saturated_rps(setting, law, service_s=table_s, n_rows=alike(10)) == pytest.approx(1 / 200e-6)


def test_pauses_take_their_share_of_the_time_of_a_busy_server() -> None:
    """Rate times mean length, whose longest are cut at four means: r m (1 - exp(-4))."""
    share = 200.0 * 0.5e-3 * (1.0 - math.exp(-4.0))
    law = overhead(request_s=100e-6, **PAUSES)
    assert paused_ratio(law) == pytest.approx(share)
    draws = draw(np.random.default_rng(4), n_pauses=20_000)
    n = 800_000  # 80 s of work
    with_s, without_s = (
        simulate(
            1e-6 * np.arange(n, dtype=np.float64),  # read one by one as they come, then in one go
            np.ones(n, dtype=np.int64),
            service_s=np.zeros(2),
            overhead=each,
            serving=ServingConfig(max_queue_rows=NO_END),
            noise=scale(draws, each, service_spread_ratio=0.0),
        )[-1]
        for each in (law, overhead(request_s=100e-6))
    )
    assert without_s == pytest.approx(n * 100e-6)
    assert 1.0 - without_s / with_s == pytest.approx(share, rel=0.02)


def test_an_idle_server_that_is_hit_by_a_pause_delays_what_arrives_meanwhile() -> None:
    """Poisson arrivals see time averages: at next to no load the mean delay is that of a look at a random moment.

    r E[L²] / 2 with L = m min(Exp(1), 4), whose E[L²] = 2 m² (1 - 5 exp(-4)); overlaps are of second order in r m.
    """
    rate_per_s, mean_s = 10.0, 1e-3
    law = overhead(stall_s=mean_s, stall_rate_per_s=rate_per_s)
    sent_s = poisson(2000.0, N, seed=10)
    done_s = simulate(
        sent_s,
        ones(sent_s),
        service_s=np.array([0.0, 1e-9]),
        overhead=law,
        serving=ServingConfig(max_queue_rows=NO_END),
        noise=scale(draw(np.random.default_rng(11), n_pauses=12_000), law, service_spread_ratio=0.0),
    )
    expected_s = rate_per_s * mean_s**2 * (1.0 - 5.0 * math.exp(-4.0))
    assert (done_s - sent_s).mean() == pytest.approx(expected_s, rel=0.05)


# Times are multiples of 2^-10 s, so that sums are exact and comparisons mean what they say.
TICK_S = 2.0**-10
gaps = st.lists(st.integers(0, 12), min_size=1, max_size=60)
few_rows = st.integers(1, 6)


@st.composite
def traffic(draw_: st.DrawFn) -> tuple[Times, Rows]:
    ticks = draw_(gaps)
    rows = draw_(st.lists(few_rows, min_size=len(ticks), max_size=len(ticks)))
    return TICK_S * np.cumsum(np.array(ticks, dtype=np.float64)), np.array(rows, dtype=np.int64)


def table_ticks(n_rows: int) -> int:
    return 3 + 2 * n_rows


TABLE_S = TICK_S * np.array([table_ticks(b) for b in range(33)], dtype=np.float64)
REQUEST_S, RESPONSE_S, BATCH_S = TICK_S, 2 * TICK_S, 4 * TICK_S
COSTS = overhead(request_s=REQUEST_S, response_s=RESPONSE_S, batch_s=BATCH_S)
EXACT = silent()


@settings(max_examples=150, deadline=None)
@given(traffic=traffic(), max_batch_size=st.integers(1, 16), window=st.integers(0, 20), bound=st.integers(1, 30))
def test_no_answer_comes_before_its_own_costs_and_answers_keep_the_order_of_arrival(
    traffic: tuple[Times, Rows], max_batch_size: int, window: int, bound: int
) -> None:
    sent_s, rows = traffic
    serving = ServingConfig(max_batch_size=max_batch_size, batch_window_s=window * TICK_S, max_queue_rows=bound)
    done_s = simulate(sent_s, rows, service_s=TABLE_S, overhead=COSTS, serving=serving, noise=EXACT)
    is_answered = ~np.isnan(done_s)
    least_s = REQUEST_S + BATCH_S + TABLE_S[rows] + RESPONSE_S
    assert (done_s - sent_s >= least_s)[is_answered].all()
    assert (np.diff(done_s[is_answered]) >= RESPONSE_S).all()


@settings(max_examples=150, deadline=None)
@given(traffic=traffic(), max_batch_size=st.integers(1, 16), window=st.integers(0, 20), bound=st.integers(1, 30))
def test_a_request_is_refused_only_where_the_queue_would_become_too_long(
    traffic: tuple[Times, Rows], max_batch_size: int, window: int, bound: int
) -> None:
    sent_s, rows = traffic
    serving = ServingConfig(max_batch_size=max_batch_size, batch_window_s=window * TICK_S, max_queue_rows=bound)
    done_s = simulate(sent_s, rows, service_s=TABLE_S, overhead=COSTS, serving=serving, noise=EXACT)
    for i in np.flatnonzero(np.isnan(done_s)):
        # At most those that came before and were not answered yet wait when it is read; NaN compares as False.
        waiting = int(rows[:i][done_s[:i] > sent_s[i]].sum())
        assert waiting > 0
        assert waiting + rows[i] > bound


@settings(max_examples=150, deadline=None)
@given(traffic=traffic())
def test_without_batches_the_last_answer_comes_when_all_work_is_done_without_a_rest(
    traffic: tuple[Times, Rows],
) -> None:
    """Whatever the order of the work: the end is the latest, over all i, of arrival i and the work from i on."""
    sent_s, rows = traffic
    done_s = simulate(
        sent_s,
        rows,
        service_s=TABLE_S,
        overhead=COSTS,
        serving=ServingConfig(max_batch_size=1, max_queue_rows=NO_END),
        noise=EXACT,
    )
    work_s = REQUEST_S + BATCH_S + TABLE_S[rows] + RESPONSE_S
    assert done_s[-1] == (sent_s + np.cumsum(work_s[::-1])[::-1]).max()


def batches(done_s: Times) -> list[NDArray[np.intp]]:
    """Where an answer costs nothing, those of one batch come at the same moment, and of two never."""
    edges = np.flatnonzero(np.diff(done_s)) + 1
    return cast("list[NDArray[np.intp]]", np.split(np.arange(done_s.size), edges))


@settings(max_examples=150, deadline=None)
@given(traffic=traffic(), max_batch_size=st.integers(1, 16))
def test_batches_hold_what_fits_and_are_taken_as_soon_as_the_server_is_free(
    traffic: tuple[Times, Rows], max_batch_size: int
) -> None:
    sent_s, rows = traffic
    done_s = simulate(
        sent_s,
        rows,
        service_s=TABLE_S,
        overhead=NOTHING,
        serving=ServingConfig(max_batch_size=max_batch_size, max_queue_rows=NO_END),
        noise=EXACT,
    )
    free_s, taken = 0.0, batches(done_s)
    for own, following in zip(taken, [*taken[1:], np.empty(0, dtype=np.intp)], strict=True):
        n_rows = int(rows[own].sum())
        assert n_rows <= max_batch_size or own.size == 1
        started_s = done_s[own[0]] - TABLE_S[n_rows]
        assert started_s == max(free_s, sent_s[own[0]])
        assert (sent_s[own] <= started_s).all()
        if following.size and sent_s[following[0]] <= started_s:
            assert n_rows + rows[following[0]] > max_batch_size
        free_s = done_s[own[0]]
