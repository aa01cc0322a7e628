"""A whole run with round figures, made by hand but for its plan; tests take away or replace what they are about."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, BenchRun, CellRound, CellSummary
from loadplan.catalog.price import Catalog
from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import (
    ExportedModel,
    ExportRun,
    ParityCheck,
    RefusedVariant,
)
from loadplan.fit.records import (
    CapacityFit,
    OverheadFit,
    Residual,
    ServiceTimeFit,
    SettingCapacity,
)
from loadplan.load.records import LoadRun
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.report.findings import Findings, Provenance
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import (
    BenchBudget,
    LoadBudget,
    ParityLimits,
    PlanRules,
    Scenario,
    ServingChoices,
    Traffic,
)
from loadplan.slo import Attainment, Slo
from loadplan.stats import Interval
from loadplan.verify import Verdict
from tests.unit.report.hand_made import LIMIT, SETTING, cpu_family, load_run, point, priced, segment_quality


@pytest.fixture(scope="session")
def machine() -> Machine:
    return Machine(
        cpu_model="AMD EPYC (family 26, model 2)",
        architecture="x86_64",
        flags=("avx2", "avx512f"),
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
        kernel="6.1",
        governor=None,
        max_frequency_hz=None,
        hypervisor=None,
        emulator=None,
        cloud=None,
        instance_type=None,
        gpus=(),
    )


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """2,400 requests per second, growing by a tenth a month; p99 within 50 ms; N+1 with 20 % kept free."""
    return Scenario(
        name="digits",
        model=None,
        traffic=Traffic(
            peak_rps=2400.0,
            rows_per_request=always(1),
            arrivals=PoissonArrivals(),
            profile="office_hours",
            week_shares=(1.0,) * 84 + (0.5,) * 84,
            growth_per_month_ratio=0.1,
        ),
        objectives=(Slo(limits=(LIMIT,), max_failed_ratio=0.001),),
        serving=ServingChoices(n_threads=(1, 2), max_batch_sizes=(1, 8), batch_windows_s=(0.0,)),
        bench=BenchBudget(batch_sizes=(1, 2, 4, 8), budget_s=1.0),
        load=LoadBudget(duration_s=2.0, seed=7),
        plan=PlanRules(
            providers=("aws",),
            regions=("east",),
            purchases=("on_demand",),
            n_spare_replicas=1,
            n_min_replicas=1,
            headroom_ratio=0.2,
            hours_per_month=730,
            horizon_months=12,
            budget_usd_per_month=None,
        ),
    )


@pytest.fixture(scope="session")
def fit(machine: Machine) -> CapacityFit:
    """1,200 requests per second within the objectives (1,080 to 1,320)."""
    rates = (50.0, 300.0, 600.0, 900.0, 1200.0)
    return CapacityFit(
        machine=machine,
        basis="simulated",
        arrivals=PoissonArrivals(),
        rows_per_request=always(1),
        service_times=(
            ServiceTimeFit(
                execution=SETTING.execution,
                batch_sizes=(1, 8),
                mean_s=(1e-4, 3e-4),
                mean_s_low=(0.9e-4, 2.9e-4),
                mean_s_high=(1.1e-4, 3.1e-4),
                spread_ratio=(0.1, 0.1),
            ),
        ),
        overhead=OverheadFit(
            request_s=4e-5,
            response_s=2e-5,
            batch_s=4e-5,
            wake_s=2e-5,
            transfer_s=1e-4,
            cold_ratio=0.1,
            spread_ratio=0.3,
            stall_s=1e-3,
            stall_rate_per_s=2.0,
            residuals=(
                Residual(run="idle-1", offered_rate_rps=50.0, quantile=0.5, measured=0.0005, predicted=0.00052),
                Residual(run="idle-1", offered_rate_rps=50.0, quantile=0.99, measured=0.002, predicted=0.0016),
                Residual(run="steady-50-1", offered_rate_rps=600.0, quantile=0.99, measured=0.006, predicted=0.0066),
                Residual(run="bursts-8", offered_rate_rps=900.0, quantile=None, measured=1500.0, predicted=1450.0),
            ),
        ),
        capacities=(
            SettingCapacity(
                setting=SETTING,
                usable_capacity_rps=1200.0,
                usable_capacity_rps_low=1080.0,
                usable_capacity_rps_high=1320.0,
                saturated_rps=1500.0,
                saturated_rps_low=1400.0,
                saturated_rps_high=1600.0,
                curve=tuple(point(rate, 0.001 + 0.03 * (rate / 1500.0) ** 3) for rate in rates),
            ),
        ),
        plausible=(),
        seed=7,
        caveats=(Caveat(code="fit.few_runs", what="the fit rests on 3 runs", fix="measure longer", number=3.0),),
    )


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Four types on two processors, and one of which nothing is known."""
    slow, fast = cpu_family("half", clock_ghz=2.0), cpu_family("here", clock_ghz=4.0)
    return Catalog(
        version="test",
        offers=(
            priced("h.xlarge", family=slow, n_vcpus=4, usd_per_hour="0.10"),
            priced("h.2xlarge", family=slow, n_vcpus=8, usd_per_hour="0.21"),
            priced("f.large", family=fast, n_vcpus=2, usd_per_hour="0.12"),
            priced("f.4xlarge", family=fast, n_vcpus=16, usd_per_hour="1.9"),
            priced("odd.large", family=None, n_vcpus=2, usd_per_hour="0.01"),
        ),
        cpu_families=(slow, fast),
    )


@pytest.fixture(scope="session")
def plan(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 20))


@pytest.fixture(scope="session")
def verification(machine: Machine) -> LoadRun:
    return load_run(machine, name="verification", purpose="verification", rate_rps=900.0)


@pytest.fixture(scope="session")
def verdict(verification: LoadRun) -> Verdict:
    """PASS: 41.5 ms measured (38 to 45) where 40 ms were predicted."""
    n = verification.requests.n_requests
    return Verdict(
        passed=True,
        subject="law",
        setting=SETTING,
        offered_rate_rps=900.0,
        utilisation_ratio=0.75,
        n_requests=n,
        n_failed=0,
        few_failed=True,
        valid=True,
        invalid_reasons=(),
        attainments=(Attainment(limit=LIMIT, n_due=n, n_within=n - 2),),
        predicted=point(900.0, 0.040),
        prediction_held=True,
        measured_p50_s=0.0101,
        measured_p99_s=0.0415,
        measured_p50_interval=Interval(low=0.009, high=0.011),
        measured_p99_interval=Interval(low=0.038, high=0.045),
        clean_ratio=0.97,
        run="verification",
        caveats=(),
    )


@pytest.fixture(scope="session")
def export() -> ExportRun:
    """Segment B lost two points of accuracy, A none."""
    return ExportRun(
        source="sklearn digits_model:build (MLPClassifier)",
        versions={"onnx": "1.23"},
        models=(
            ExportedModel(
                variant="fp32",
                path="models/fp32.onnx",
                sha256="ab" * 32,
                n_bytes=12_345,
                opset=21,
                ir_version=10,
                n_parameters=1_000,
                inputs=(),
                outputs=(),
                limits=ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None),
                batch_spread=0.0,
                parity=(
                    ParityCheck(
                        batch_size=1,
                        n_rows=400,
                        max_abs_error=3e-7,
                        mean_abs_error=1e-8,
                        max_rel_error=3e-6,
                        mean_rel_error=1e-7,
                        min_cosine=0.999999,
                        mean_cosine=1.0,
                        rank_correlation=None,
                        top1_agreement_ratio=1.0,
                        n_not_finite=0,
                    ),
                ),
                quality=(
                    segment_quality("", 400, 0.97, 0.975, "held"),
                    segment_quality("A", 300, 0.98, 0.98, "held"),
                    segment_quality("B", 100, 0.94, 0.96, "too_few"),
                ),
            ),
        ),
        refused=(RefusedVariant(variant="int8_static", cause="parity", reason="0.8 of the rows have the same class"),),
        caveats=(),
    )


@pytest.fixture(scope="session")
def bench(machine: Machine) -> BenchRun:
    def cell(n_threads: int, batch_size: int) -> CellSummary:
        mean_s = (1e-4 + 2.5e-5 * batch_size) / n_threads**0.5
        return CellSummary(
            cell=BenchCell(execution=ExecutionConfig(variant="fp32", n_threads=n_threads), batch_size=batch_size),
            n_samples=5_000,
            n_effective=1_234.0,
            min_s=0.9 * mean_s,
            median_s=0.98 * mean_s,
            mean_s=mean_s,
            mean_s_low=0.97 * mean_s,
            mean_s_high=1.03 * mean_s,
            p90_s=1.2 * mean_s,
            p99_s=1.6 * mean_s,
            is_noisy=n_threads == 2 and batch_size == 4,
        )

    cells = tuple(cell(n_threads, batch_size) for n_threads in (1, 2) for batch_size in (1, 2, 4, 8))
    rounds = tuple(
        CellRound(cell=cell.cell, i_round=i, service_times_s=np.array([cell.mean_s]), lost_ratio=0.0, dropped_ratio=0.0)
        for cell in cells
        for i in (0, 1)
    )
    caveat = Caveat(code="bench.noisy", what="1 of 8 cells is noisy", fix="run on a quieter machine", number=1.0)
    return BenchRun(machine=machine, rounds=rounds, cells=cells, caveats=(caveat,))


@pytest.fixture(scope="session")
def findings(
    scenario: Scenario,
    machine: Machine,
    export: ExportRun,
    bench: BenchRun,
    fit: CapacityFit,
    plan: Plan,
    verdict: Verdict,
    verification: LoadRun,
) -> Findings:
    """Everything, with three calibration runs."""
    return Findings(
        scenario=scenario,
        machine=machine,
        export=export,
        bench=bench,
        loads=(
            load_run(machine, name="bursts-8", purpose="saturation", rate_rps=1300.0, duration_s=1.0),
            load_run(machine, name="idle-8", purpose="idle", rate_rps=250.0),
            load_run(machine, name="steady-50-8", purpose="steady", rate_rps=600.0),
        ),
        fit=fit,
        plan=plan,
        verdict=verdict,
        verification=verification,
    )


@pytest.fixture(scope="session")
def provenance() -> Provenance:
    return Provenance(
        run="20261120T100000Z-abcdef",
        created_at="2026-11-20T10:00:00+00:00",
        seed=7,
        versions={"loadplan": "0.1", "numpy": "2.4"},
        artifacts=(("bench.parquet", "cd" * 32),),
        command="loadplan run digits.yaml",
        failure=None,
    )


@pytest.fixture(scope="session")
def invalid(findings: Findings, machine: Machine, verdict: Verdict) -> Findings:
    """The same run, whose verification was sent too late."""
    late = load_run(machine, name="verification", purpose="verification", rate_rps=900.0, send_delay_s=0.5)
    judged = replace(
        verdict,
        passed=False,
        valid=False,
        invalid_reasons=late.verdict.invalid_reasons,
        attainments=(),
        measured_p50_s=None,
        measured_p99_s=None,
        measured_p50_interval=None,
        measured_p99_interval=None,
    )
    return replace(findings, verdict=judged, verification=late)


@pytest.fixture(scope="session")
def make_plan(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Callable[[Scenario], Plan]:
    """The plan for another scenario."""
    return lambda asked: plan_fleet(fit=fit, scenario=asked, catalog=catalog, as_of=date(2026, 11, 20))
