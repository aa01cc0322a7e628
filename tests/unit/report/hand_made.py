"""Records with round figures, of which the hand-made run consists."""

from datetime import date
from decimal import Decimal

import numpy as np

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Offer
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.export.artifact import (
    QualityVerdict,
    SegmentQuality,
)
from loadplan.fit.records import (
    PredictedLatency,
)
from loadplan.load.records import LoadPurpose, LoadRun, LoadSpec, LostTime, Outcome, RequestLog
from loadplan.load.verdict import judge
from loadplan.machine import Machine
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.slo import LatencyLimit
from loadplan.stats import Interval

SETTING = Setting(
    execution=ExecutionConfig(variant="fp32", n_threads=1), serving=ServingConfig(max_batch_size=8, batch_window_s=0.0)
)
LIMIT = LatencyLimit(quantile=0.99, limit_s=0.05)


def point(rate_rps: float, p99_s: float) -> PredictedLatency:
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


def cpu_family(name: str, *, clock_ghz: float) -> CpuFamily:
    return CpuFamily(
        name=name,
        provider="aws",
        cpu_model="AMD (Zen 5)" if clock_ghz == 4.0 else "AMD (Zen 2)",
        architecture="x86_64",
        vcpu_is="core",
        clock_ghz=clock_ghz,
        peak_fp32_gflops_per_vcpu=50.0 * clock_ghz,
        source="test",
    )


def priced(name: str, *, family: CpuFamily | None, n_vcpus: int, usd_per_hour: str) -> Offer:
    return Offer(
        instance_type=InstanceType(
            provider="aws",
            name=name,
            architecture="x86_64",
            n_vcpus=n_vcpus,
            memory_gib=8.0,
            accelerator=None,
            n_accelerators=0.0,
            cpu_family=family,
            baseline_ratio=None,
            source="test",
        ),
        region="east",
        purchase="on_demand",
        usd_per_hour=Decimal(usd_per_hour),
        price_date=date(2026, 11, 1),
        source="test",
        quality="ok",
        layer="shipped test",
    )


def load_run(
    machine: Machine,
    *,
    name: str,
    purpose: LoadPurpose,
    rate_rps: float,
    duration_s: float = 4.0,
    send_delay_s: float = 1e-4,
    setting: Setting = SETTING,
) -> LoadRun:
    """A run whose response times are log-normal about 4 ms; every 200th request times out after 1 s."""
    rng = np.random.default_rng(3)
    due_s = np.sort(rng.uniform(0.0, duration_s, int(rate_rps * duration_s)))
    sent_s = due_s + send_delay_s * rng.uniform(0.5, 1.0, due_s.size)
    done_s = due_s + 4e-3 * np.exp(0.5 * rng.standard_normal(due_s.size))
    outcome = np.full(due_s.size, Outcome.OK, dtype=np.uint8)
    if purpose == "saturation":
        outcome[::200] = Outcome.TIMED_OUT
        done_s[::200] = np.nan
    spec = LoadSpec(
        name=name,
        purpose=purpose,
        arrivals=PoissonArrivals(),
        offered_rate_rps=rate_rps,
        duration_s=duration_s,
        seed=7,
        timeout_s=1.0,
        setting=setting,
    )
    requests = RequestLog(
        due_s=due_s,
        sent_s=sent_s,
        first_byte_s=done_s - 1e-4,
        done_s=done_s,
        outcome=outcome,
        status=np.full(due_s.size, 200, dtype=np.int16),
        payload=np.zeros(due_s.size, dtype=np.int32),
    )
    lost = LostTime(start_s=np.array([1.0]), length_s=np.array([0.02]))
    return LoadRun(
        spec=spec,
        url="http://127.0.0.1:8000",
        machine=machine,
        requests=requests,
        lost=lost,
        verdict=judge(spec, requests, lost),
        caveats=(),
        payload_rows=np.ones(1, dtype=np.int32),
    )


def segment_quality(
    segment: str, n_rows: int, value: float, source_value: float, verdict: QualityVerdict
) -> SegmentQuality:
    return SegmentQuality(
        segment=segment,
        n_rows=n_rows,
        metric="accuracy",
        value=value,
        source_value=source_value,
        drop_bound=0.04,
        verdict=verdict,
    )
