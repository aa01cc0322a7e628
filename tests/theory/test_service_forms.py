"""The simulated service against queues whose answers are known: M/M/1-PS, M/D/1, M/M/c, M/G/∞. Seeds are fixed."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.fit.black_box.kernel import NEVER_S, serve

Times = NDArray[np.float64]

N = 1_000_000
NO_LIMIT = 10**9


def poisson(rate_rps: float, seed: int) -> Times:
    return np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate_rps, N))


def exponential(mean_s: float, seed: int) -> Times:
    """Every quantile once, in random order: the sample is the law itself, not one of its accidents."""
    return mean_s * np.random.default_rng(seed).permutation(-np.log1p(-(np.arange(N) + 0.5) / N))


def waited_s(arrive_s: Times, delay_s: Times, work_s: Times, *, is_shared: bool, n_slots: int, n_cores: int) -> Times:
    _, done_s = serve(arrive_s, delay_s, work_s, n_slots, n_cores, NEVER_S, is_shared)
    return np.asarray(done_s - arrive_s)


def erlang_c(n: int, load: float) -> float:
    """The probability of waiting in M/M/n with this load in servers."""
    term, total = 1.0, 1.0
    for i in range(1, n):
        term *= load / i
        total += term
    last = term * load / n * n / (n - load)
    return last / (total + last)


@pytest.mark.parametrize(("rho", "off"), [(0.3, 0.01), (0.7, 0.02)])
@pytest.mark.parametrize("cv", [0.0, 1.0, 2.0])
def test_a_shared_cpu_keeps_callers_for_s_over_1_minus_rho_whatever_the_law_of_the_work(
    rho: float, off: float, cv: float
) -> None:
    sigma = math.sqrt(math.log1p(cv**2))
    work_s = np.exp(sigma * np.random.default_rng(2).standard_normal(N))
    work_s /= work_s.mean()
    found = waited_s(poisson(rho, 1), np.zeros(N), work_s, is_shared=True, n_slots=NO_LIMIT, n_cores=1)
    assert found.mean() == pytest.approx(1.0 / (1.0 - rho), rel=off * (1.0 + cv))


@pytest.mark.parametrize(("rho", "off"), [(0.3, 0.01), (0.7, 0.01)])
def test_equal_work_in_order_waits_as_pollaczek_and_khinchine_say(rho: float, off: float) -> None:
    found = waited_s(poisson(rho, 1), np.zeros(N), np.ones(N), is_shared=False, n_slots=NO_LIMIT, n_cores=1)
    assert found.mean() == pytest.approx(1.0 + rho / (2.0 * (1.0 - rho)), rel=off)


@pytest.mark.parametrize("n_cores", [2, 4])
def test_several_cores_wait_as_erlang_says(n_cores: int) -> None:
    load = 0.7 * n_cores
    work_s = exponential(1.0, 2)
    found = waited_s(poisson(load, 1), np.zeros(N), work_s, is_shared=False, n_slots=NO_LIMIT, n_cores=n_cores)
    assert found.mean() == pytest.approx(1.0 + erlang_c(n_cores, load) / (n_cores - load), rel=0.01)


def test_slots_that_only_wait_are_servers() -> None:
    load, n_slots = 3.5, 5
    delay_s = exponential(1.0, 2)
    found = waited_s(poisson(load, 1), delay_s, np.full(N, 1e-12), is_shared=True, n_slots=n_slots, n_cores=1)
    assert found.mean() == pytest.approx(1.0 + erlang_c(n_slots, load) / (n_slots - load), rel=0.01)


def test_waits_without_cpu_don_t_hinder_each_other() -> None:
    """M/G/∞: each request stays as long as its delay, and how many are inside is Poisson with the mean rate × delay."""
    rate_rps, delay_s = 8.0, exponential(1.0, 2)
    arrive_s = poisson(rate_rps, 1)
    found = waited_s(arrive_s, delay_s, np.full(N, 1e-12), is_shared=True, n_slots=NO_LIMIT, n_cores=1)
    assert np.abs(found - delay_s).max() < 1e-6
    looked_s = np.arange(100.0, arrive_s[-1], 5.0)  # five mean delays apart: nearly independent
    inside = np.searchsorted(arrive_s, looked_s) - np.searchsorted(np.sort(arrive_s + found), looked_s)
    assert inside.mean() == pytest.approx(rate_rps, rel=0.02)
    assert inside.var() == pytest.approx(rate_rps, rel=0.05)
