"""A base scenario, fit and catalogue with round figures; tests replace what they are about."""

from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Catalog, Offer
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.records import CapacityFit, OverheadFit, PredictedLatency, ServiceTimeFit, SettingCapacity
from loadplan.machine import Machine
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import (
    BenchBudget,
    LoadBudget,
    PlanRules,
    Scenario,
    ServingChoices,
    Traffic,
)
from loadplan.slo import LatencyLimit, Slo
from loadplan.stats import Interval


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """2,400 requests per second, p99 within 50 ms, N+1 with 20 % kept free, 730 hours a month."""
    return Scenario(
        name="test",
        model=None,
        traffic=Traffic(
            peak_rps=2400.0,
            rows_per_request=always(1),
            arrivals=PoissonArrivals(),
            profile="flat",
            week_shares=(1.0,) * 84 + (0.5,) * 84,
            growth_per_month_ratio=0.0,
        ),
        objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.05),)),),
        serving=ServingChoices(n_threads=(1,), max_batch_sizes=(1,), batch_windows_s=(0.0,)),
        bench=BenchBudget(batch_sizes=(1,), budget_s=1.0),
        load=LoadBudget(duration_s=1.0, seed=1),
        plan=PlanRules(
            providers=("aws",),
            regions=("east",),
            purchases=("on_demand",),
            n_spare_replicas=1,
            n_min_replicas=1,
            headroom_ratio=0.2,
            hours_per_month=730,
            horizon_months=3,
            budget_usd_per_month=None,
        ),
    )


@pytest.fixture(scope="session")
def here() -> CpuFamily:
    """The processor that the fit was made on: 4 GHz, 200 GFLOP/s a core."""
    return CpuFamily(
        name="here",
        provider="aws",
        cpu_model="AMD (Zen 5)",
        architecture="x86_64",
        vcpu_is="core",
        clock_ghz=4.0,
        peak_fp32_gflops_per_vcpu=200.0,
        source="test",
    )


@pytest.fixture(scope="session")
def half() -> CpuFamily:
    """A processor with half the clock and half the peak."""
    return CpuFamily(
        name="half",
        provider="aws",
        cpu_model="AMD (Zen 2)",
        architecture="x86_64",
        vcpu_is="core",
        clock_ghz=2.0,
        peak_fp32_gflops_per_vcpu=100.0,
        source="test",
    )


@pytest.fixture(scope="session")
def offer(half: CpuFamily) -> Offer:
    """Four cores of the half-speed processor for 10 cents an hour."""
    return Offer(
        instance_type=InstanceType(
            provider="aws",
            name="h.xlarge",
            architecture="x86_64",
            n_vcpus=4,
            memory_gib=8.0,
            accelerator=None,
            n_accelerators=0.0,
            cpu_family=half,
            baseline_ratio=None,
            source="test",
        ),
        region="east",
        purchase="on_demand",
        usd_per_hour=Decimal("0.10"),
        price_date=date(2026, 11, 1),
        source="test",
        quality="ok",
        layer="shipped test",
    )


@pytest.fixture(scope="session")
def catalog(offer: Offer, here: CpuFamily, half: CpuFamily) -> Catalog:
    """That one offer."""
    return Catalog(version="test", offers=(offer,), cpu_families=(half, here))


@pytest.fixture(scope="session")
def fit() -> CapacityFit:
    """One setting: 1,200 requests per second (1,080 to 1,320), p99 from 10 ms at 100 to 20 ms at 1,200."""
    execution = ExecutionConfig(variant="fp32")
    return CapacityFit(
        machine=Machine(
            cpu_model="AMD EPYC (family 26, model 2)",
            architecture="x86_64",
            flags=(),
            n_cores=2,
            n_usable_cores=2,
            n_threads_per_core=1,
            n_sockets=1,
            n_numa_nodes=1,
            l1d_cache_bytes=32 << 10,
            l2_cache_bytes=512 << 10,
            l3_cache_bytes=32 << 20,
            n_cores_sharing_l3=2,
            quota_cores=None,
            memory_bytes=8 << 30,
            memory_limit_bytes=None,
            kernel="6",
            governor=None,
            max_frequency_hz=None,
            hypervisor=None,
            emulator=None,
            cloud=None,
            instance_type=None,
            gpus=(),
        ),
        basis="simulated",
        arrivals=PoissonArrivals(),
        rows_per_request=always(1),
        plausible=(),
        service_times=(
            ServiceTimeFit(
                execution=execution,
                batch_sizes=(1, 3),
                mean_s=(1e-4, 3e-4),
                mean_s_low=(1e-4, 3e-4),
                mean_s_high=(1e-4, 3e-4),
                spread_ratio=(0.0, 0.0),
            ),
        ),
        overhead=OverheadFit(
            request_s=4e-5,
            response_s=2e-5,
            batch_s=4e-5,
            wake_s=0.0,
            transfer_s=0.0,
            cold_ratio=0.0,
            spread_ratio=0.0,
            stall_s=0.0,
            stall_rate_per_s=0.0,
            residuals=(),
        ),
        capacities=(
            SettingCapacity(
                setting=Setting(execution=execution, serving=ServingConfig()),
                usable_capacity_rps=1200.0,
                usable_capacity_rps_low=1080.0,
                usable_capacity_rps_high=1320.0,
                saturated_rps=1500.0,
                saturated_rps_low=1400.0,
                saturated_rps_high=1600.0,
                curve=(_point(100.0, 0.010), _point(1200.0, 0.020)),
            ),
        ),
        seed=1,
        caveats=(),
    )


def _point(rate_rps: float, p99_s: float) -> PredictedLatency:
    return PredictedLatency(
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / 1500.0,
        p50_s=p99_s / 4,
        p95_s=p99_s / 2,
        p99_s=p99_s,
        p50_interval=Interval(low=p99_s / 5, high=p99_s / 3),
        p95_interval=Interval(low=p99_s / 2.5, high=p99_s / 1.6),
        p99_interval=Interval(low=0.8 * p99_s, high=1.25 * p99_s),
    )
