"""Services paid by the request: the bill by hand, and cold starts against limits and a plain simulation."""

import math
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.reference import PayPerRequest
from loadplan.fit.records import CapacityFit
from loadplan.plan.buying.per_request import SingleRequest, cold_ratio, paid_by_request, single_request
from loadplan.plan.fleets.demand import read_demand
from loadplan.scenario.spec import Scenario

SERVICE = PayPerRequest(
    provider="aws",
    service="lambda",
    architecture="x86_64",
    usd_per_million_requests=Decimal("0.20"),
    usd_per_gb_second=Decimal("0.00001"),
    memory_mb_per_vcpu=2000.0,
    billing_step_s=0.001,
    source="test",
    seen=date(2026, 5, 11),
)


def test_the_bill_is_memory_times_duration_and_a_fee(scenario: Scenario) -> None:
    # 4.2 ms are billed as 5: 2 GB x 0.005 s x 0.00001 + 0.0000002 = 0.0000003 a request. The mean of the week is 75
    # requests per second: 75 x 3600 x 730 = 197.1 million requests for 59.13. At 300 USD the fleet is as dear as
    # 300 / 0.0000003 = 1,000 million requests, 380.5 a second.
    single = SingleRequest(busy_s=0.0042, n_threads=1, process_bytes=None)
    asked = replace(scenario.traffic, peak_rps=100.0)
    (found,) = paid_by_request(
        [SERVICE, replace(SERVICE, provider="elsewhere")],
        single,
        demand=read_demand(asked, horizon_months=1),
        rules=scenario.plan,
        objectives=scenario.objectives,
        fleet_usd_per_month=Decimal(300),
    )
    assert (found.usd_per_month, found.billed_s, found.memory_mb) == (Decimal("59.13"), 0.005, 2000.0)
    assert found.break_even_rps == pytest.approx(1e9 / (3600 * 730))
    assert found.usd_less_per_month == Decimal("240.87")
    assert found.usd_per_month_low < found.usd_per_month < found.usd_per_month_high
    assert found.allowed_ratio == 0.01


def test_a_large_process_is_billed_for_its_memory(scenario: Scenario) -> None:
    single = SingleRequest(busy_s=0.001, n_threads=1, process_bytes=4_000_000_000)
    (found,) = paid_by_request(
        [SERVICE],
        single,
        demand=read_demand(scenario.traffic, horizon_months=1),
        rules=scenario.plan,
        objectives=(),
        fleet_usd_per_month=Decimal(300),
    )
    assert (found.memory_mb, found.allowed_ratio) == (4000.0, None)


def test_one_request_alone_takes_inference_and_the_servers_own_work(fit: CapacityFit) -> None:
    # See conftest: an inference of one row takes 100 us, a request 40, an answer 20, a batch 40.
    single = single_request(fit)
    assert single is not None
    assert single.busy_s == pytest.approx(200e-6)
    assert single.n_threads == 1


@pytest.mark.parametrize("rate_rps", [0.0001, 0.001, 0.01])
def test_of_rare_requests_each_waits_that_comes_after_the_keep_alive(rate_rps: float) -> None:
    assert cold_ratio(rate_rps, busy_s=1e-6, keep_alive_s=300.0) == pytest.approx(math.exp(-300 * rate_rps), rel=1e-4)


def test_the_share_of_cold_starts_follows_erlangs_losses() -> None:
    # By hand, offered load 1: B = 1, 1/2, 1/5, 1/16, 1/65, 1/326, 1/1957, ...; each of two a second by its environment:
    # r = 1, 0.6, 0.275, 0.0942, 0.0246, 0.0051, 0.0009, 0.0001; sum of r exp(-20 r) = 0.0361, half of it a request.
    assert cold_ratio(2.0, busy_s=0.5, keep_alive_s=20.0) == pytest.approx(0.01805, rel=2e-3)


@pytest.mark.parametrize(("rate_rps", "busy_s", "keep_alive_s"), [(2.0, 0.5, 20.0), (10.0, 0.4, 30.0)])
def test_the_share_of_cold_starts_is_that_of_a_simulation(rate_rps: float, busy_s: float, keep_alive_s: float) -> None:
    found = cold_ratio(rate_rps, busy_s=busy_s, keep_alive_s=keep_alive_s)
    assert found == pytest.approx(simulated(rate_rps, busy_s, keep_alive_s), rel=0.25)


def simulated(rate_rps: float, busy_s: float, keep_alive_s: float) -> float:
    """Poisson arrivals find the first free environment; one that was idle for too long, or never was, starts cold."""
    rng = random.Random(7)
    free_at: list[float] = []
    now, n_cold, n_requests = 0.0, 0, 60_000
    for _ in range(n_requests):
        now += rng.expovariate(rate_rps)
        i = next((i for i, until in enumerate(free_at) if until <= now), len(free_at))
        if i == len(free_at):
            free_at.append(-math.inf)
        n_cold += now - free_at[i] > keep_alive_s
        free_at[i] = now + busy_s
    return n_cold / n_requests
