"""The capacity search against servers whose capacity is known in closed form, in virtual time (lies 12 and 27).

M/M/1: the response time is exponential with rate μ - λ, so its p99 is ln(100) / (μ - λ). M/D/1: Erlang's series for the
waiting time. A server that batches has none: its capacity is read off one simulation of ten million requests. A server
without memory, whose misses are independent, shows the search alone, and quickly.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from loadplan.execution import ServingConfig
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import draw, scale, simulate
from loadplan.load.search import (
    FoundCapacity,
    Probe,
    ProbeOrder,
    SearchLimits,
    conclude,
    invalid_probe,
    judge_probe,
    next_probe,
)
from loadplan.slo import LatencyLimit, Slo

Times = NDArray[np.float64]
Server = Callable[[np.random.Generator, float, int], Times]

N_SEEDS = 200
LIMIT_S = 0.02
SLO = Slo(limits=(LatencyLimit(quantile=0.99, limit_s=LIMIT_S),), max_failed_ratio=0.01)


def lindley(gaps_s: Times, service_s: Times) -> Times:
    """Response times of a server with one place that starts with nothing to do."""
    walk = np.concatenate([[0.0], np.cumsum(service_s[:-1] - gaps_s[1:])])
    waiting: Times = walk - np.minimum(np.minimum.accumulate(walk), 0.0)
    return waiting + service_s


def m_m_1(rng: np.random.Generator, rate: float, n: int) -> Times:
    return lindley(rng.exponential(1.0 / rate, n), rng.exponential(0.001, n))


def m_d_1(rng: np.random.Generator, rate: float, n: int) -> Times:
    return lindley(rng.exponential(1.0 / rate, n), np.full(n, 0.001))


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
NO_NOISE = scale(draw(np.random.default_rng(0), n_pauses=1), NOTHING, service_spread_ratio=0.0)


def batching(rng: np.random.Generator, rate: float, n: int) -> Times:
    """1 ms a batch and 0.25 ms for each of its rows, of which it may have eight: 2,667 requests/s at most."""
    sent_s = np.cumsum(rng.exponential(1.0 / rate, n))
    done_s = simulate(
        sent_s,
        np.ones(n, dtype=np.int64),
        service_s=0.001 + 0.00025 * np.arange(9.0),
        overhead=NOTHING,
        serving=ServingConfig(max_batch_size=8, max_queue_rows=10**9),
        noise=NO_NOISE,
    )
    return done_s - sent_s


def without_memory(rng: np.random.Generator, rate: float, n: int) -> Times:
    """One in a hundred misses at 500 requests/s, e times as many for each tenth beyond it."""
    share = 0.01 * math.exp(min(10.0 * (rate / 500.0 - 1.0), math.log(100.0)))
    return np.where(rng.random(n) < share, 2.0 * LIMIT_S, 0.5 * LIMIT_S)


def m_d_1_within(rate: float) -> float:
    """P(W + D <= limit), W by Erlang: (1 - ρ) Σ_{k <= t/D} (λ (k D - t))^k / k! exp(λ (t - k D)), t = limit - D."""
    d_s, t = 0.001, LIMIT_S - 0.001
    terms = [
        (rate * (k * d_s - t)) ** k / math.factorial(k) * math.exp(rate * (t - k * d_s))
        for k in range(math.floor(t / d_s) + 1)
    ]
    return (1.0 - rate * d_s) * math.fsum(terms)


def search(server: Server, seed: int, *, first: float = 60.0, budget_s: float = 1e9) -> FoundCapacity:
    rng, probes = np.random.default_rng(seed), list[Probe]()
    limits = SearchLimits(first_rate_rps=first, max_rate_rps=1e6, budget_s=budget_s)
    while (order := next_probe(limits, probes)) is not None:
        n = int(rng.poisson(order.rate_rps * order.duration_s))
        probes.append(judge_probe(order, server(rng, order.rate_rps, n), SLO))
    return conclude(limits, probes)


@cache
def m_d_1_capacity() -> float:
    return float(brentq(lambda rate: m_d_1_within(rate) - 0.99, 500.0, 990.0))


@cache
def batching_capacity() -> float:
    """Where one in a hundred of ten million misses: ln(share) is nearly a line between two rates so close."""
    rates = np.array([2520.0, 2550.0])
    times_s = [batching(np.random.default_rng(99), rate, 10_000_000) for rate in rates.tolist()]
    shares = [float(np.mean(one > LIMIT_S)) for one in times_s]
    y = np.log(np.array(shares) / 0.01)
    assert y[0] < 0.0 < y[1]
    return float(rates[0] - y[0] * (rates[1] - rates[0]) / (y[1] - y[0]))


SERVERS: dict[str, tuple[Server, Callable[[], float]]] = {
    "M/M/1": (m_m_1, lambda: 1000.0 - math.log(100.0) / LIMIT_S),
    "M/D/1": (m_d_1, m_d_1_capacity),
    "batching": (batching, batching_capacity),
    "without memory": (without_memory, lambda: 500.0),
}


def assert_known(found: list[FoundCapacity], true_rps: float) -> None:
    """Near, soon, and next to never too high; nor may a rate that holds be said to miss."""
    claims = np.array([one.usable_rps or 0.0 for one in found]) / true_rps
    assert max(len(one.probes) for one in found) <= 12
    assert np.mean(claims > 1.0) <= 0.05
    assert np.mean(claims >= 1.03) <= 0.02
    assert np.mean(claims >= 0.95) >= 0.9
    assert np.mean([one.high_rps is not None and one.high_rps < true_rps for one in found]) <= 0.05


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SERVERS)
def test_a_known_capacity_is_found_within_5_percent_in_twelve_probes_and_seldom_claimed_too_high(name: str) -> None:
    server, capacity = SERVERS[name]
    assert_known([search(server, seed) for seed in range(N_SEEDS)], capacity())


@pytest.mark.parametrize(("name", "n_searches"), [("M/M/1", 5), ("M/D/1", 2), ("without memory", 12)])
def test_a_few_searches_come_near_too(name: str, n_searches: int) -> None:
    server, capacity = SERVERS[name]
    assert_known([search(server, seed) for seed in range(n_searches)], capacity())


@pytest.mark.parametrize("first", [1.0, 60.0, 3000.0, 50_000.0])
def test_the_first_guess_may_be_far_off(first: float) -> None:
    claims = [search(without_memory, seed, first=first).usable_rps or 0.0 for seed in range(5)]
    assert sum(0.94 <= claim / 500.0 <= 1.0 for claim in claims) >= 4


def test_a_short_budget_is_kept_and_makes_the_claim_smaller_not_bolder() -> None:
    found = [search(m_m_1, seed, budget_s=120.0) for seed in range(10)]
    true_rps = SERVERS["M/M/1"][1]()
    assert all(sum(probe.duration_s for probe in one.probes) <= 120.0 for one in found)
    assert not any((one.usable_rps or 0.0) > 1.03 * true_rps for one in found)


def ratio_wrongly_passing(name: str, n_requests: int) -> float:
    """Share of single probes of so many requests, at 1.03 times the capacity, that pass."""
    server, capacity = SERVERS[name]
    order = ProbeOrder(rate_rps=1.03 * capacity(), duration_s=n_requests / (1.03 * capacity()))
    rngs = (np.random.default_rng(seed) for seed in range(N_SEEDS))
    probes = [judge_probe(order, server(rng, order.rate_rps, n_requests), SLO) for rng in rngs]
    return sum(probe.outcome == "passed" for probe in probes) / N_SEEDS


@pytest.mark.parametrize(("name", "n_requests"), [("without memory", 8192), ("M/M/1", 10_000)])
def test_wrongly_passing_at_three_percent_beyond_capacity_is_rare(name: str, n_requests: int) -> None:
    assert ratio_wrongly_passing(name, n_requests) <= 0.02


@pytest.mark.nightly
@pytest.mark.parametrize("name", SERVERS)
def test_wrongly_passing_at_three_percent_beyond_capacity_is_as_rare_in_long_probes(name: str) -> None:
    assert ratio_wrongly_passing(name, 100_000) <= 0.02


def test_no_more_probes_are_driven_than_were_allowed() -> None:
    limits = SearchLimits(first_rate_rps=60.0, max_rate_rps=1e6, budget_s=1e9, n_probes=4)
    probes, rng = list[Probe](), np.random.default_rng(1)
    while (order := next_probe(limits, probes)) is not None:
        n = int(order.rate_rps * order.duration_s)
        probes.append(judge_probe(order, without_memory(rng, order.rate_rps, n), SLO))
    assert len(probes) == 4


def test_a_server_that_never_answers_in_time_has_no_capacity_and_every_probe_is_shown() -> None:
    found = search(lambda _rng, _rate, n: np.full(n, 1.0), 1)
    assert (found.usable_rps, found.high_rps is not None) == (None, True)
    assert found.reason is not None
    assert "no probe passed" in found.reason
    assert len(found.probes) >= 3


def test_a_server_faster_than_may_be_asked_is_proved_up_to_there() -> None:
    limits, probes = SearchLimits(first_rate_rps=60.0, max_rate_rps=1000.0, budget_s=1e9), list[Probe]()
    while (order := next_probe(limits, probes)) is not None:
        assert order.rate_rps <= 1000.0
        probes.append(judge_probe(order, np.full(int(order.rate_rps * order.duration_s), 0.001), SLO))
    found = conclude(limits, probes)
    assert (found.usable_rps, found.high_rps) == (1000.0, None)
    assert found.reason == "1000 requests/s, the most that may be offered, still hold"


def test_an_invalid_probe_is_driven_again_at_the_same_rate_but_not_for_ever() -> None:
    limits, probes = SearchLimits(first_rate_rps=60.0, max_rate_rps=1e6, budget_s=1e9), list[Probe]()
    while (order := next_probe(limits, probes)) is not None:
        probes.append(invalid_probe(order, n_requests=10, reasons=("neighbours",)))
    assert {probe.rate_rps for probe in probes} == {60.0}
    found = conclude(limits, probes)
    assert (found.usable_rps, found.reason, len(found.probes)) == (None, "no probe was valid", 6)


def test_a_pass_above_a_rate_that_missed_is_luck_and_claims_nothing() -> None:
    def probe(rate: float, share: float) -> Probe:
        order = ProbeOrder(rate_rps=rate, duration_s=10.0)
        times_s = np.where(np.random.default_rng(1).random(20_000) < share, 1.0, 0.001)
        return judge_probe(order, times_s, SLO)

    probes = [probe(100.0, 0.001), probe(200.0, 0.05), probe(300.0, 0.001)]
    assert [one.outcome for one in probes] == ["passed", "missed", "passed"]
    limits = SearchLimits(first_rate_rps=100.0, max_rate_rps=1e6, budget_s=1e9)
    assert (conclude(limits, probes).usable_rps, conclude(limits, probes).high_rps) == (100.0, 200.0)


def test_failures_beyond_what_may_fail_miss_whatever_the_latency_says() -> None:
    times_s = np.full(1000, 0.001)
    times_s[::50] = np.inf
    slo = Slo(limits=(LatencyLimit(quantile=0.9, limit_s=LIMIT_S),), max_failed_ratio=0.01)
    assert judge_probe(ProbeOrder(rate_rps=100.0, duration_s=10.0), times_s, slo).outcome == "missed"
