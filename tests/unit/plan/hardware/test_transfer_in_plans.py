"""What is known of a model, of eight-bit arithmetic and of earlier transfers, in the plan that rests on it."""

from dataclasses import replace
from datetime import date

import pytest

from loadplan.catalog.price import Catalog, Offer
from loadplan.execution import Setting
from loadplan.export.artifact import ModelCost
from loadplan.fit.records import CapacityFit
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.plan.hardware.roofline import NO_COSTS, Costs
from loadplan.plan.records.fleet import Plan, ReplicaCapacity
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval

DAY = date(2026, 11, 24)
# 10 MFLOP a row, which takes 100 µs here: all of it is arithmetic where a core attains 100 GFLOP/s.
COST = ModelCost(
    batch_size=1,
    n_positions=None,
    flops_per_row=10e6,
    weight_bytes=1000,
    activation_bytes_per_row=1000.0,
    unknown_operators=(),
)


@pytest.fixture
def probed(fit: CapacityFit) -> CapacityFit:
    figure = ProbedFigure(mean=100.0, interval=Interval(low=100.0, high=100.0), n_samples=3)
    probe = ProbeResult(
        n_threads=1,
        gflops_one_thread=figure,
        gflops_all_threads=figure,
        gb_per_s_one_core=figure,
        gb_per_s_all_cores=figure,
        turns_per_s=figure,
        lost_ratio=figure,
    )
    return replace(fit, probe=probe)


@pytest.fixture
def quarter(catalog: Catalog, offer: Offer) -> Catalog:
    """The offer has half the clock and a quarter of the peak."""
    family = offer.instance_type.cpu_family
    assert family is not None
    slower = replace(family, peak_fp32_gflops_per_vcpu=50.0)
    there = replace(offer, instance_type=replace(offer.instance_type, cpu_family=slower))
    return replace(catalog, offers=(there,), cpu_families=(slower, catalog.cpu_families[1]))


def solve(fit: CapacityFit, scenario: Scenario, catalog: Catalog, costs: Costs, *measured: MeasuredType) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=DAY, measured=measured, costs=costs)


def capacity_of(planned: Plan) -> ReplicaCapacity:
    assert planned.recommended is not None
    return planned.recommended.capacity


def test_a_model_that_is_all_arithmetic_scales_by_the_peaks_alone(
    probed: CapacityFit, scenario: Scenario, quarter: Catalog
) -> None:
    # Half of the time is inference: 4 times as long, or anything from 2 to 4; the server's own work takes 2 times.
    loose = replace(scenario, objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.5),)),))
    known = capacity_of(solve(probed, loose, quarter, {"fp32": [COST]}))
    unknown = capacity_of(solve(probed, loose, quarter, NO_COSTS))
    assert known.speed_ratio == pytest.approx(1 / (0.5 * 4 + 0.5 * 2))
    assert unknown.speed_ratio == pytest.approx(1 / (0.5 * 8**0.5 + 0.5 * 2))
    # The low end was there already; the high end comes down.
    assert known.usable_capacity_rps_low == pytest.approx(unknown.usable_capacity_rps_low)
    assert known.usable_capacity_rps_high == pytest.approx(unknown.usable_capacity_rps_high * 2 / 3)


def test_eight_bit_graphs_are_not_taken_where_nothing_is_known_of_their_arithmetic(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    (law,), (capacity,) = fit.service_times, fit.capacities
    execution = replace(law.execution, variant="int8_dynamic")
    int8 = replace(
        fit,
        service_times=(replace(law, execution=execution),),
        capacities=(replace(capacity, setting=Setting(execution=execution, serving=capacity.setting.serving)),),
    )
    planned = solve(int8, scenario, catalog, NO_COSTS)
    assert not planned.feasible
    (refused,) = planned.not_offered
    assert refused.reason == "nothing is known of eight-bit arithmetic on its processor, and nothing else was measured"


def test_a_miss_between_measured_machines_widens_what_is_extrapolated_and_is_said(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, offer: Offer
) -> None:
    """The profile of a processor with half the clock and half the peak shows times six times as long, not twice."""
    half, here = catalog.cpu_families
    (law,) = fit.service_times
    third = replace(half, name="third", clock_ghz=1.9)
    other = replace(offer, instance_type=replace(offer.instance_type, name="t.xlarge", cpu_family=third))
    both = replace(catalog, offers=(offer, other), cpu_families=(half, here, third))
    slow = replace(fit, service_times=(replace(law, mean_s=tuple(6.0 * mean_s for mean_s in law.mean_s)),))
    plain, wary = (
        solve(fit, scenario, both, NO_COSTS, MeasuredType(type_name="aws/h.xlarge", fit=one)) for one in (fit, slow)
    )
    (error,) = (one for one in wary.assumptions if one.name == "error of a speed extrapolated, same architecture")
    assert error.value == pytest.approx(3.0)
    assert error.source == "the worst miss between the machines that were measured"
    (doubt,) = (one for one in wary.caveats if one.code == "plan.extrapolated")
    assert "a factor of 3 (" in doubt.what
    (usual,) = (one for one in plain.assumptions if one.name == "error of a speed extrapolated, same architecture")
    assert usual.value == pytest.approx(2.0)  # as long as here, where twice was foretold
