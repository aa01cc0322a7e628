"""Which roof an inference stands under, and how it scales to another processor."""

import math
from dataclasses import replace

import pytest

from loadplan.catalog.instance_type import CpuFamily
from loadplan.export.artifact import ModelCost
from loadplan.fit.records import CapacityFit, ServiceTimeFit
from loadplan.plan.hardware.roofline import (
    NOTHING_KNOWN,
    RoofShares,
    attained_ratio,
    has_peak_for,
    inference_ratio,
    missed_by,
    roof_shares,
)
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval


def figure(mean: float) -> ProbedFigure:
    return ProbedFigure(mean=mean, interval=Interval(low=mean, high=mean), n_samples=3)


# One core attains 100 GFLOP/s and 10 GB/s, both cores of the machine 150 and 15.
PROBE = ProbeResult(
    n_threads=2,
    gflops_one_thread=figure(100.0),
    gflops_all_threads=figure(150.0),
    gb_per_s_one_core=figure(10.0),
    gb_per_s_all_cores=figure(15.0),
    turns_per_s=figure(1e4),
    lost_ratio=figure(0.0),
)


def cost(*, mflop_per_row: float = 4.0, weight_bytes: int = 1 << 20, batch_size: int = 1) -> ModelCost:
    return ModelCost(
        batch_size=batch_size,
        n_positions=None,
        flops_per_row=1e6 * mflop_per_row,
        weight_bytes=weight_bytes,
        activation_bytes_per_row=1e9,  # between operators: in a cache, so not looked at
        unknown_operators=(),
    )


@pytest.fixture
def law(fit: CapacityFit) -> ServiceTimeFit:
    """A row takes 100 µs, three rows 300."""
    return fit.service_times[0]


def test_arithmetic_at_the_attained_rate_is_what_is_surely_arithmetic(law: ServiceTimeFit, fit: CapacityFit) -> None:
    # 4 MFLOP at 100 GFLOP/s are 40 of 100 µs; of two rows 80 of 200.
    for n_rows in (1, 2):
        shares = roof_shares(law, n_rows, [cost()], PROBE, fit.machine)
        assert (shares.compute, shares.memory, shares.rest) == pytest.approx((0.4, 0.0, 0.6))
    assert attained_ratio(law, 1, [cost()], PROBE, fit.machine) == pytest.approx(0.4)


def test_weights_that_no_cache_holds_are_streamed(law: ServiceTimeFit, fit: CapacityFit) -> None:
    small_cache = replace(fit.machine, l3_cache_bytes=100_000)
    # 500 kB at 10 GB/s are 50 of 100 µs; of two rows, which share them, 50 of 200.
    for n_rows, share in ((1, 0.5), (2, 0.25)):
        shares = roof_shares(law, n_rows, [cost(weight_bytes=500_000)], PROBE, small_cache)
        assert (shares.compute, shares.memory) == pytest.approx((0.4, share))
    assert roof_shares(law, 1, [cost(weight_bytes=500_000)], PROBE, fit.machine).memory == 0.0


def test_no_roof_takes_more_than_all_of_the_time(law: ServiceTimeFit, fit: CapacityFit) -> None:
    small_cache = replace(fit.machine, l3_cache_bytes=1000)
    shares = roof_shares(law, 1, [cost(mflop_per_row=8.0, weight_bytes=10_000_000)], PROBE, small_cache)
    assert (shares.compute, shares.memory, shares.rest) == pytest.approx((0.8, 0.2, 0.0))
    assert roof_shares(law, 1, [cost(mflop_per_row=80.0)], PROBE, fit.machine).compute == 1.0


def test_threads_attain_what_the_probe_saw_all_cores_do(law: ServiceTimeFit, fit: CapacityFit) -> None:
    wide = replace(law, execution=replace(law.execution, n_threads=2))
    # Not 2 x 100 but 150 GFLOP/s.
    assert roof_shares(wide, 1, [cost(mflop_per_row=6.0)], PROBE, fit.machine).compute == pytest.approx(0.4)


def test_where_cost_or_probe_is_missing_nothing_is_known(law: ServiceTimeFit, fit: CapacityFit) -> None:
    assert roof_shares(law, 1, [], PROBE, fit.machine) == NOTHING_KNOWN
    assert roof_shares(law, 1, [cost()], None, fit.machine) == NOTHING_KNOWN
    assert attained_ratio(law, 1, [], PROBE, fit.machine) is None
    on_gpu = replace(law, execution=replace(law.execution, provider="CUDA"))
    assert roof_shares(on_gpu, 1, [cost()], PROBE, fit.machine) == NOTHING_KNOWN


def test_of_eight_bit_arithmetic_the_probe_says_nothing(law: ServiceTimeFit, fit: CapacityFit) -> None:
    int8 = replace(law, execution=replace(law.execution, variant="int8_dynamic"))
    assert roof_shares(int8, 1, [cost()], PROBE, fit.machine).compute == 0.0


def test_each_part_scales_by_its_own_ratio(here: CpuFamily, half: CpuFamily) -> None:
    # Clock 1/2, peak 1/8, memory 1/4.
    known = replace(here, memory_gb_per_s_per_vcpu=8.0)
    there = replace(half, peak_fp32_gflops_per_vcpu=25.0, memory_gb_per_s_per_vcpu=2.0)
    ratio = inference_ratio(known, there, RoofShares(compute=0.5, memory=0.2), is_int8=False)
    # Arithmetic takes 8 times as long, streaming 4 (all cores at once) to 2 (alone), the rest 8 to 2.
    assert ratio.low == pytest.approx(1 / (0.5 * 8 + 0.2 * 4 + 0.3 * 8))
    assert ratio.high == pytest.approx(1 / (0.5 * 8 + 0.2 * 2 + 0.3 * 2))
    assert ratio.middle == pytest.approx(1 / (0.5 * 8 + 0.2 * math.sqrt(8) + 0.3 * 4))


def test_what_is_known_narrows_and_nothing_known_spans_clocks_and_peaks(here: CpuFamily, half: CpuFamily) -> None:
    there = replace(half, peak_fp32_gflops_per_vcpu=25.0)
    unknown = inference_ratio(here, there, NOTHING_KNOWN, is_int8=False)
    assert (unknown.low, unknown.middle, unknown.high) == pytest.approx((1 / 8, 1 / 4, 1 / 2))
    bound = inference_ratio(here, there, RoofShares(compute=1.0, memory=0.0), is_int8=False)
    assert (bound.low, bound.middle, bound.high) == pytest.approx((1 / 8,) * 3)
    # Streaming between processors of unknown bandwidth is like everything else that is unknown.
    streaming = inference_ratio(here, there, RoofShares(compute=0.0, memory=1.0), is_int8=False)
    assert (streaming.low, streaming.high) == pytest.approx((1 / 8, 1 / 2))


def test_a_vcpu_that_is_a_thread_has_half_of_its_core(here: CpuFamily, half: CpuFamily) -> None:
    there = replace(half, vcpu_is="thread", peak_fp32_gflops_per_vcpu=50.0)
    bound = inference_ratio(here, there, RoofShares(compute=1.0, memory=0.0), is_int8=False)
    assert bound.middle == pytest.approx(0.5)


def test_eight_bit_graphs_scale_by_eight_bit_peaks_and_only_where_both_are_known(
    here: CpuFamily, half: CpuFamily, law: ServiceTimeFit
) -> None:
    known = replace(here, peak_int8_gops_per_vcpu=800.0, int8_path="AVX512-VNNI")
    amx = replace(half, peak_int8_gops_per_vcpu=3200.0, int8_path="AMX")
    ratio = inference_ratio(known, amx, NOTHING_KNOWN, is_int8=True)
    assert (ratio.low, ratio.high) == pytest.approx((0.5, 4.0))
    int8 = replace(law.execution, variant="int8_static")
    assert has_peak_for(int8, known, amx)
    assert not has_peak_for(int8, known, half)
    assert has_peak_for(law.execution, known, half)


def test_the_miss_between_two_measured_machines_is_how_far_outside_the_span_it_was(
    fit: CapacityFit, here: CpuFamily, half: CpuFamily
) -> None:
    (law,) = fit.service_times

    def there(factor: float) -> CapacityFit:
        return replace(fit, service_times=(replace(law, mean_s=tuple(factor * mean_s for mean_s in law.mean_s)),))

    # Half the clock and half the peak: twice as long is right, three times is 1.5 times too slow.
    for factor, missed in ((2.0, 1.0), (3.0, 1.5), (1.0, 2.0)):
        assert missed_by(fit, there(factor), (here, half), {}) == pytest.approx(missed)
    other = replace(fit, service_times=(replace(law, execution=replace(law.execution, n_threads=2)),))
    assert missed_by(fit, other, (here, half), {}) is None
