"""How a load test lies (FAULTS, section 3): the statistics of each lie, in virtual time. Named after the lie.

A run here is a schedule and the answers of a server with a known law, judged by the very functions that judge a live
one. The live halves stand in tests/live/load, the table of all 34 in docs/load-test-lies.md.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.load.records import LoadRun, LoadSpec, LostTime, Outcome, RequestLog
from loadplan.load.verdict import clean_response_times_s, judge, latency_summary, response_times_s
from loadplan.machine import Machine, read_machine
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.traffic import schedule
from loadplan.stats import RatioTest, half_test, percentile, slow_start

Times = NDArray[np.float64]
N_SEEDS = 200
QUIET = LostTime(start_s=np.empty(0), length_s=np.empty(0))


@pytest.fixture(scope="module")
def machine() -> Machine:
    return read_machine()


def one_place(due_s: Times, service_s: Times, *, stall_at_s: float = 0.0, stall_s: float = 0.0) -> Times:
    """When a server with one place has answered; no service begins in the stall."""
    free_s, done_s = 0.0, []
    for due, takes in zip(due_s.tolist(), service_s.tolist(), strict=True):
        begins_s = max(due, free_s)
        if stall_at_s <= begins_s < stall_at_s + stall_s:
            begins_s = stall_at_s + stall_s
        free_s = begins_s + takes
        done_s.append(free_s)
    return np.array(done_s)


def run_of(machine: Machine, due_s: Times, done_s: Times, *, duration_s: float, sent_s: Times | None = None) -> LoadRun:
    spec = LoadSpec(
        name="run",
        purpose="ad_hoc",
        arrivals=PoissonArrivals(),
        offered_rate_rps=due_s.size / duration_s,
        duration_s=duration_s,
        seed=1,
        timeout_s=10.0,
        setting=None,
    )
    log = RequestLog(
        due_s=due_s,
        sent_s=due_s + 1e-5 if sent_s is None else sent_s,
        first_byte_s=done_s,
        done_s=done_s,
        outcome=np.full(due_s.size, Outcome.OK, dtype=np.uint8),
        status=np.full(due_s.size, 200, dtype=np.int16),
        payload=np.zeros(due_s.size, dtype=np.int32),
    )
    return LoadRun(
        spec=spec,
        url="",
        machine=machine,
        requests=log,
        lost=QUIET,
        verdict=judge(spec, log, QUIET),
        caveats=(),
        payload_rows=None,
        server=None,
    )


def is_drifting(test: RatioTest | None) -> bool:
    return test is not None and test.p_value < 0.03


def test_lie_1_a_stalled_server_is_not_asked(machine: Machine) -> None:
    """100 requests/s for a minute, 1 ms each, one stall of 2 s: p99 1.46 s, p99.9 1.95 s, 3.5 % above 100 ms."""
    due_s = np.arange(6000) / 100.0
    done_s = one_place(due_s, np.full(6000, 0.001), stall_at_s=20.0, stall_s=2.0)
    run = run_of(machine, due_s, done_s, duration_s=60.0)
    times_s = response_times_s(run)
    assert percentile(times_s, 0.99) == pytest.approx(1.46, rel=0.02)
    assert percentile(times_s, 0.999) == pytest.approx(1.95, rel=0.02)
    assert np.mean(times_s > 0.1) == pytest.approx(0.035, rel=0.1)
    # Windows are dropped for the generator's gaps, never for slow answers.
    np.testing.assert_array_equal(clean_response_times_s(run), times_s)


def test_lie_6_timeouts_are_censored_away(machine: Machine) -> None:
    run = run_of(machine, np.arange(1000) / 100.0, np.arange(1000) / 100.0 + 0.01, duration_s=10.0)
    outcome, done_s = run.requests.outcome.copy(), run.requests.done_s.copy()
    outcome[::50], done_s[::50] = Outcome.TIMED_OUT, np.nan
    log = replace(run.requests, outcome=outcome, done_s=done_s)
    summary = latency_summary(replace(run, requests=log, verdict=judge(run.spec, log, QUIET)))
    assert summary is not None
    assert summary.p99 == run.spec.timeout_s


def test_lie_9_a_drift_of_one_percent_a_minute_is_seen_in_ten_minutes() -> None:
    for seed in range(20):
        scatter = np.random.default_rng(seed).normal(0.010, 0.001, 60_000)
        test = half_test(scatter * np.linspace(1.0, 1.1, 60_000))
        assert is_drifting(test)


@pytest.mark.parametrize("n_slow", [100, 300, 1500])
def test_lie_9_a_server_slow_for_its_first_answers_is_cut_there(n_slow: int) -> None:
    """Five times as slow at first; the cut lands within a tenth of where that ends."""
    n_near = 0
    for seed in range(50):
        times_s = 0.001 + np.random.default_rng(seed).exponential(0.009, 5000)
        times_s[:n_slow] *= 5.0
        start = slow_start(times_s)
        n_near += start is not None and abs(start.n_samples / n_slow - 1.0) <= 0.1 and 4.0 < start.ratio < 6.0
    assert n_near >= 45


@pytest.mark.parametrize(("rho", "n"), [(0.5, 200), (0.8, 1000), (0.9, 1000)])
def test_lie_9_a_steady_queue_seldom_has_a_slow_start(rho: float, n: int) -> None:
    n_said = 0
    for seed in range(N_SEEDS):
        rng = np.random.default_rng(seed)
        first_s = rng.exponential(1.0 / (1.0 - rho)) if rng.random() < rho else 0.0
        service_s = rng.exponential(1.0, n)
        walk = first_s + np.concatenate([[0.0], np.cumsum(service_s[:-1] - rng.exponential(1.0 / rho, n - 1))])
        n_said += slow_start(walk - np.minimum(np.minimum.accumulate(walk), 0.0) + service_s) is not None
    assert n_said <= 0.05 * N_SEEDS


def test_lie_9_one_stall_at_the_start_is_no_warm_up() -> None:
    due_s = np.arange(6000) / 100.0
    done_s = one_place(due_s, np.full(6000, 0.001), stall_at_s=1.0, stall_s=0.5)
    assert slow_start(done_s - due_s) is None


@pytest.mark.parametrize(("rho", "n"), [(0.5, 2000), (0.8, 10_000)])
def test_lie_10_a_steady_queue_is_seldom_said_to_drift(rho: float, n: int) -> None:
    n_said = 0
    for seed in range(N_SEEDS):
        rng = np.random.default_rng(seed)
        first_s = rng.exponential(1.0 / (1.0 - rho)) if rng.random() < rho else 0.0
        service_s = rng.exponential(1.0, n)
        walk = first_s + np.concatenate([[0.0], np.cumsum(service_s[:-1] - rng.exponential(1.0 / rho, n - 1))])
        n_said += is_drifting(half_test(walk - np.minimum(np.minimum.accumulate(walk), 0.0) + service_s))
    assert n_said <= 0.05 * N_SEEDS


def test_lie_10_a_change_by_two_percent_is_seen_in_nine_of_ten_runs() -> None:
    """10 s at 500 requests/s, the default length, of answers that scatter by a tenth."""
    n_seen = 0
    for seed in range(N_SEEDS):
        times_s = np.random.default_rng(seed).normal(0.010, 0.001, 5000)
        times_s[2500:] *= 1.02
        n_seen += is_drifting(half_test(times_s))
    assert n_seen >= 0.9 * N_SEEDS


def test_lie_10_one_stall_is_no_drift() -> None:
    due_s = np.arange(6000) / 100.0
    done_s = one_place(due_s, np.full(6000, 0.001), stall_at_s=45.0, stall_s=2.0)
    assert not is_drifting(half_test(done_s - due_s))


def test_lie_13_a_tail_is_read_off_too_few_samples(machine: Machine) -> None:
    for n, has_p99, has_p99_9 in ((458, False, False), (459, True, False), (4602, True, False), (4603, True, True)):
        due_s = np.arange(n) / 1000.0
        summary = latency_summary(run_of(machine, due_s, due_s + 0.01, duration_s=math.ceil(n / 1000.0)))
        assert summary is not None
        assert (summary.p99 is not None, summary.p99_9 is not None) == (has_p99, has_p99_9)


def test_lie_19_a_generator_that_falls_behind_is_always_called_invalid(machine: Machine) -> None:
    """It can send 1,000/s and is asked for 1,100."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        due_s = schedule(PoissonArrivals(), rate_rps=1100.0, duration_s=5.0, rng=rng)
        sent_s = one_place(due_s, np.full(due_s.size, 0.001))
        assert not run_of(machine, due_s, sent_s + 0.002, duration_s=5.0, sent_s=sent_s).verdict.valid


def test_lie_34_a_quiet_run_on_a_sound_server_is_called_invalid(machine: Machine) -> None:
    """Sends as late as a spinning loop's on a quiet machine: 13 µs (p99), and now and then an interrupt's 0.3 ms."""
    n_invalid = 0
    for seed in range(N_SEEDS):
        rng = np.random.default_rng(seed)
        due_s = schedule(PoissonArrivals(), rate_rps=300.0, duration_s=2.0, rng=rng)
        late_s = rng.exponential(3e-6, due_s.size) + np.where(rng.random(due_s.size) < 0.005, 3e-4, 0.0)
        done_s = one_place(due_s, rng.exponential(0.002, due_s.size)) + late_s
        n_invalid += not run_of(machine, due_s, done_s, duration_s=2.0, sent_s=due_s + late_s).verdict.valid
    assert n_invalid <= 0.05 * N_SEEDS
