"""Taking a fitted law to a machine of another speed."""

from dataclasses import replace

import pytest

from loadplan.catalog.instance_type import CpuFamily
from loadplan.fit.records import CapacityFit, ClassLatency, OutsideSpan
from loadplan.plan.hardware.transfer import (
    SAME_MACHINE,
    SpeedRatio,
    inference_share,
    latency_elsewhere,
    speed_ratio,
    transferred_capacity,
    transferred_p99,
)
from loadplan.scenario.rows_law import always
from loadplan.slo import LatencyLimit, Slo

HALF = SpeedRatio(low=0.5, middle=0.5, high=0.5)
TWICE = SpeedRatio(low=2.0, middle=2.0, high=2.0)


def slo(quantile: float, limit_s: float, class_name: str | None = None) -> Slo:
    return Slo(limits=(LatencyLimit(quantile=quantile, limit_s=limit_s),), class_name=class_name)


def test_inference_has_the_share_of_the_time_that_it_takes(fit: CapacityFit) -> None:
    # 100 us of inference, 60 us for the request and 40 us for the batch.
    assert inference_share(fit, fit.capacities[0]) == pytest.approx(0.5)


def test_the_share_is_of_a_full_batch_between_the_sizes_that_were_measured(fit: CapacityFit) -> None:
    (one,) = fit.capacities
    serving = replace(one.setting.serving, max_batch_size=2)
    # 200 us of inference, 2 x 60 us for the requests and 40 us for the batch.
    share = inference_share(fit, replace(one, setting=replace(one.setting, serving=serving)))
    assert share == pytest.approx(200 / 360)


def test_the_share_counts_whole_requests_and_what_their_rows_cost_beside(fit: CapacityFit) -> None:
    (one,) = fit.capacities
    pairs = replace(fit, rows_per_request=always(2), overhead=replace(fit.overhead, row_s=10e-6))
    serving = replace(one.setting.serving, max_batch_size=3)
    # One pair of rows fits: 200 us of inference, 60 us for the request, 2 x 10 us for its rows and 40 us for the batch.
    share = inference_share(pairs, replace(one, setting=replace(one.setting, serving=serving)))
    assert share == pytest.approx(200 / 320)


def test_a_speed_ratio_adds_the_times_of_inference_and_server(here: CpuFamily, half: CpuFamily) -> None:
    # Clock 1/2, peak 1/4: inference between 4 and 2 times as long, the server's work 2 times.
    there = replace(half, peak_fp32_gflops_per_vcpu=50.0)
    speed = speed_ratio(here, there, inference_share=0.5)
    assert speed.low == pytest.approx(1 / (0.5 * 4 + 0.5 * 2) / 1.5)
    assert speed.middle == pytest.approx(1 / (0.5 * 8**0.5 + 0.5 * 2))
    assert speed.high == pytest.approx(0.5 * 1.5)


def test_another_architecture_widens_the_interval(here: CpuFamily, half: CpuFamily) -> None:
    speed = speed_ratio(here, replace(half, architecture="arm64"), inference_share=0.5)
    assert (speed.low, speed.middle, speed.high) == pytest.approx((0.25, 0.5, 1.0))


def test_the_same_machine_has_the_capacity_of_the_fit(fit: CapacityFit) -> None:
    there = transferred_capacity(fit.capacities[0], SAME_MACHINE, [slo(0.99, 0.025)])
    assert (there.low, there.middle, there.high) == pytest.approx((1080.0, 1200.0, 1320.0))


@pytest.mark.parametrize(
    ("speed", "quantile", "limit_s", "middle_rps"),
    [
        pytest.param(HALF, 0.99, 0.050, 600.0, id="half the speed, half the rate"),
        pytest.param(HALF, 0.99, 0.030, 325.0, id="15 ms here are met up to 650"),
        pytest.param(HALF, 0.99, 0.019, 0.0, id="too slow even when nearly idle"),
        pytest.param(HALF, 0.95, 0.015, 325.0, id="the p95 is half the p99"),
        pytest.param(HALF, 0.90, 0.015, 325.0, id="a p90 is held to the p95"),
        pytest.param(HALF, 0.50, 0.0075, 325.0, id="the median is a quarter of the p99"),
        pytest.param(HALF, 0.999, 9.0, 0.0, id="a p99.9 may be no worse than here: 20 ms are the idle p99 there"),
        pytest.param(TWICE, 0.99, 0.050, 2400.0, id="twice the speed, twice the rate"),
        pytest.param(TWICE, 0.99, 0.0075, 1300.0, id="15 ms here are 7.5 ms there"),
        pytest.param(TWICE, 0.999, 0.050, 2400.0, id="a p99.9 that holds here holds on a faster machine"),
    ],
)
def test_the_objective_holds_there_up_to_the_rate_at_which_the_stretched_latency_meets_it(
    fit: CapacityFit, speed: SpeedRatio, quantile: float, limit_s: float, middle_rps: float
) -> None:
    (here,) = fit.capacities
    if middle_rps == 0.0 and quantile == 0.999:
        here = replace(here, curve=(replace(here.curve[0], p99_s=0.0101), here.curve[1]))
    there = transferred_capacity(here, speed, [slo(quantile, limit_s)])
    assert there.middle == pytest.approx(middle_rps)


def test_a_setting_that_meets_nothing_here_meets_nothing_there(fit: CapacityFit) -> None:
    nothing = replace(
        fit.capacities[0], usable_capacity_rps=0.0, usable_capacity_rps_low=0.0, usable_capacity_rps_high=0.0
    )
    there = transferred_capacity(nothing, TWICE, [slo(0.99, 0.05)])
    assert (there.low, there.middle, there.high) == (0.0, 0.0, 0.0)


def test_no_latency_is_predicted_beyond_the_fitted_rates(fit: CapacityFit) -> None:
    assert transferred_p99(fit.capacities[0], HALF, rate_rps=601.0) is None


def test_the_p99_stretches_with_the_speed(fit: CapacityFit) -> None:
    p99 = transferred_p99(fit.capacities[0], HALF, rate_rps=325.0)
    assert p99 is not None
    assert (p99.low_s, p99.middle_s, p99.high_s) == pytest.approx((0.024, 0.030, 0.0375))


def test_a_batch_window_does_not_shrink_on_a_faster_machine() -> None:
    assert latency_elsewhere(0.010, 2.0, 0.004) == pytest.approx(0.007)


def test_a_limit_of_a_class_is_held_against_the_latencies_of_that_class(fit: CapacityFit) -> None:
    """Its p99 is twice that of all: a limit that all meet up to the end, it meets half as far."""
    (here,) = fit.capacities
    classes = [
        replace(
            point,
            classes=(
                ClassLatency(
                    name="upload",
                    p50_s=2 * point.p50_s,
                    p95_s=2 * point.p95_s,
                    p99_s=2 * point.p99_s,
                    p50_interval=point.p50_interval,
                    p95_interval=point.p95_interval,
                    p99_interval=point.p99_interval,
                ),
            ),
        )
        for point in here.curve
    ]
    here = replace(here, curve=tuple(classes))
    of_all, of_class, of_another = (
        transferred_capacity(here, SAME_MACHINE, [slo(0.99, 0.030, name)]).middle for name in (None, "upload", "web")
    )
    assert (of_all, of_class, of_another) == pytest.approx((1200.0, 650.0, 1200.0))


def test_what_lies_outside_is_the_same_on_a_machine_of_any_speed() -> None:
    """Of 30 ms the 20 ms outside stay, and the window does; on a slower machine only the least of what lies outside."""
    outside = OutsideSpan(least_s=0.020, most_s=0.020)
    assert latency_elsewhere(0.030, 2.0, 0.004, outside) == pytest.approx(0.027)
    assert latency_elsewhere(0.030, 0.5, 0.004, outside) == pytest.approx(0.040)
    assert latency_elsewhere(0.030, 0.5, 0.004, OutsideSpan(least_s=0.005, most_s=0.020)) == pytest.approx(0.055)
