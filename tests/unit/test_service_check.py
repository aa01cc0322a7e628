"""The live check of a running service: at which rate, and what a service that is too slow alone is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadplan.errors import ObjectiveMissed
from loadplan.fit.black_box.records import ServiceCapacity, ServiceFit
from loadplan.fit.black_box.structures import ServiceLaw, ServiceStructure
from loadplan.fit.records import PredictedLatency
from loadplan.machine import read_machine
from loadplan.scenario.reader import scenario_of
from loadplan.scenario.spec import Scenario
from loadplan.service_check import FittedService, check_spec, machines_needed, more_spec, too_slow_alone
from loadplan.stats import Interval

MACHINE = read_machine()
TEXT = """\
target: {url: 'http://127.0.0.1:8000/x'}
traffic: {peak_rps: 300}
objectives: [{p99_ms: 80}]
plan: {headroom_ratio: %s, spare_replicas: 1}
"""


def asked(*, headroom: float = 0.2) -> Scenario:
    return scenario_of(TEXT % headroom, Path("x.yaml"))


def point(p99_s: float) -> PredictedLatency:
    interval = Interval(low=0.9 * p99_s, high=1.1 * p99_s, confidence_ratio=0.95)
    return PredictedLatency(
        offered_rate_rps=5.0,
        utilisation_ratio=0.02,
        p50_s=p99_s / 3,
        p95_s=p99_s / 2,
        p99_s=p99_s,
        p50_interval=interval,
        p95_interval=interval,
        p99_interval=interval,
    )


def fitted(*, usable_rps: float, p99_s: float = 0.05) -> FittedService:
    """It waits 20 ms without CPU on average and works 3 ms."""
    law = ServiceLaw(
        structure=ServiceStructure(sharing="first_come", n_slots=None),
        request_s=0.003,
        row_s=0.0,
        cpu_cv=0.0,
        delays_s=(0.01, 0.03),
    )
    fit = ServiceFit(
        machine=MACHINE,
        laws=(law,),
        plausible=(),
        n_at_once=40,
        rows=None,
        residuals=(),
        counted_s=None,
        seed=1,
        caveats=(),
    )
    capacity = ServiceCapacity(
        machine=MACHINE,
        n_cores=1,
        usable_capacity_rps=usable_rps,
        usable_capacity_rps_low=0.8 * usable_rps,
        usable_capacity_rps_high=1.1 * usable_rps,
        saturated_rps=330.0,
        saturated_rps_low=320.0,
        saturated_rps_high=340.0,
        curve=(point(p99_s),),
        basis="measured",
        caveats=(),
    )
    return FittedService(fit=fit, capacity=capacity, is_by_law=True)


@pytest.mark.parametrize(("headroom", "rate_rps"), [(0.2, 180.0), (0.05, 190.0), (0.0, 200.0)])
def test_the_check_is_at_nine_tenths_of_the_capacity_and_never_below_what_is_planned(
    headroom: float, rate_rps: float
) -> None:
    spec = check_spec(fitted(usable_rps=200.0).capacity, asked(headroom=headroom))
    assert spec.offered_rate_rps == pytest.approx(rate_rps)
    assert spec.arrivals == asked(headroom=headroom).traffic.arrivals
    assert more_spec(spec).offered_rate_rps == pytest.approx(1.25 * rate_rps)
    assert more_spec(spec).seed != spec.seed


def test_a_service_that_carries_nothing_is_not_driven() -> None:
    with pytest.raises(ObjectiveMissed, match="at no rate"):
        check_spec(fitted(usable_rps=0.0).capacity, asked())


def test_one_that_is_too_slow_alone_is_told_so_with_the_parts_of_its_time() -> None:
    failure = too_slow_alone(fitted(usable_rps=0.0, p99_s=0.13), asked())
    assert failure is not None
    for said in ("p99 is 130 ms", "may be 80 ms", "no number of machines", "waits 20 ms", "works 3 ms"):
        assert said in failure.what
    assert failure.exit_code == 1


def test_one_that_carries_something_is_not_too_slow() -> None:
    assert too_slow_alone(fitted(usable_rps=1.0), asked()) is None


def test_machines_are_counted_by_the_low_end_with_the_spare_and_the_headroom() -> None:
    known = fitted(usable_rps=200.0)  # 160 at the low end, of which 128 are used: 300 / 128 is above 2
    assert machines_needed(known.capacity, asked()) == 3 + 1
    more = replace(known.capacity, usable_capacity_rps_low=375.0)  # 375 × 0.8 = 300
    assert machines_needed(more, asked()) == 1 + 1
    assert machines_needed(replace(known.capacity, usable_capacity_rps_low=0.0), asked()) is None
