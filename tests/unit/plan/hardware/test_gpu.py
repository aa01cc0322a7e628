"""Plans on what was measured on a GPU, worked out by hand. Every figure here is made up; no GPU was measured.

h.xlarge, without a GPU, costs 0.10 an hour and carries 4 x 60 requests per second (low); g.xlarge, with one L4, costs
0.80 and carries 5,000. One replica is spare and 20 % stay free.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as assuming
from hypothesis import strategies as st

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.catalog.price import Catalog, Offer
from loadplan.catalog.reader import load_catalog
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.export.artifact import ExportedModel, ExportRun
from loadplan.fit.records import CapacityFit, SettingCapacity
from loadplan.gpu import Gpu
from loadplan.pipeline.profiles import ProfileFile, measured_types, read_profiles
from loadplan.plan.hardware.accelerator import is_same_gpu
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.plan.hardware.transfer import host_speed_ratio
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.plan.search import plan_fleet
from loadplan.profile import Profile, ProfiledModel, ProfileFacts, write_profile
from loadplan.scenario.spec import ModelSource, ParityLimits, Scenario
from loadplan.slo import LatencyLimit, Slo

AS_OF = date(2026, 11, 24)
ON_GPU = ExecutionConfig(variant="fp32", provider="CUDA")
ON_CPU = ExecutionConfig(variant="fp32")


def gpu(name: str = "NVIDIA L4", gib: float = 22.35) -> Gpu:
    return Gpu(
        index=0,
        name=name,
        driver_version="580",
        memory_bytes=int(gib * 2**30),
        max_sm_clock_hz=2.0e9,
        max_memory_clock_hz=6.0e9,
        power_limit_w=72.0,
        is_mig_enabled=None,
    )


@pytest.fixture(scope="session")
def scenario(scenario: Scenario) -> Scenario:
    return replace(scenario, objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=1.0),)),))


@pytest.fixture(scope="session")
def gpu_offer(offer: Offer) -> Offer:
    """g.xlarge: four cores of the same host and one L4."""
    own = replace(offer.instance_type, name="g.xlarge", accelerator="L4", n_accelerators=1, accelerator_memory_gb=24.0)
    return replace(offer, instance_type=own, usd_per_hour=Decimal("0.80"))


@pytest.fixture(scope="session")
def both(catalog: Catalog, offer: Offer, gpu_offer: Offer) -> Catalog:
    return replace(catalog, offers=(offer, gpu_offer))


def capacity(one: SettingCapacity, execution: ExecutionConfig, low_rps: float) -> SettingCapacity:
    curve = tuple(
        replace(point, offered_rate_rps=ratio * low_rps) for point, ratio in zip(one.curve, (0.1, 1.0), strict=True)
    )
    return replace(
        one,
        setting=Setting(execution=execution, serving=ServingConfig()),
        usable_capacity_rps=low_rps,
        usable_capacity_rps_low=low_rps,
        usable_capacity_rps_high=low_rps,
        saturated_rps=1.25 * low_rps,
        curve=curve,
    )


def measured(fit: CapacityFit, *carried: tuple[ExecutionConfig, float], gpus: Sequence[Gpu] = ()) -> CapacityFit:
    """A machine with these GPUs on which each execution carries so many requests per second."""
    (one,), (law,) = fit.capacities, fit.service_times
    return replace(
        fit,
        machine=replace(fit.machine, n_cores=4, gpus=tuple(gpus)),
        service_times=tuple(replace(law, execution=execution) for execution, _ in carried),
        capacities=tuple(capacity(one, execution, low_rps) for execution, low_rps in carried),
    )


def solve(fit: CapacityFit, scenario: Scenario, catalog: Catalog, types: Sequence[MeasuredType] = ()) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=AS_OF, measured=types)


def at(scenario: Scenario, peak_rps: float) -> Scenario:
    return replace(scenario, traffic=replace(scenario.traffic, peak_rps=peak_rps))


def fleets(plan: Plan) -> dict[str, Fleet]:
    assert plan.recommended is not None
    return {fleet.items[0].offer.instance_type.name: fleet for fleet in (plan.recommended, *plan.runners_up)}


def profiles(fit: CapacityFit, *, cpu_rps: float = 60.0, gpu_rps: float = 5000.0) -> list[MeasuredType]:
    on_cpu = measured(fit, (ON_CPU, cpu_rps))
    on_gpu = measured(fit, (ON_CPU, cpu_rps), (ON_GPU, gpu_rps), gpus=[gpu()])
    return [
        MeasuredType(type_name="aws/h.xlarge", fit=on_cpu),
        MeasuredType(type_name="aws/g.xlarge", fit=on_gpu),
    ]


@pytest.mark.parametrize(
    ("peak_rps", "winner", "costs"),
    [
        # h: 20 / (240 x 0.8) -> 1 + 1 replicas x 0.10 x 730; g: 20 / (5,000 x 0.8) -> 1 + 1 x 0.80 x 730.
        pytest.param(20.0, "h.xlarge", {"h.xlarge": "146.00", "g.xlarge": "1168.00"}, id="a GPU is not worth it"),
        # h: 6,000 / 192 = 31.25 -> 32 + 1; g: 6,000 / 4,000 = 1.5 -> 2 + 1.
        pytest.param(6000.0, "g.xlarge", {"h.xlarge": "2409.00", "g.xlarge": "1752.00"}, id="a GPU is worth it"),
    ],
)
def test_whether_a_gpu_is_worth_it_depends_on_the_traffic(
    fit: CapacityFit, scenario: Scenario, both: Catalog, peak_rps: float, winner: str, costs: dict[str, str]
) -> None:
    plan = solve(fit, at(scenario, peak_rps), both, profiles(fit))
    found = fleets(plan)
    assert plan.recommended is not None
    assert plan.recommended.items[0].offer.instance_type.name == winner
    assert {name: fleet.usd_per_month for name, fleet in found.items()} == {n: Decimal(c) for n, c in costs.items()}
    on_gpu, on_cpu = found["g.xlarge"].capacity, found["h.xlarge"].capacity
    assert (on_gpu.basis, on_gpu.measured_on, on_gpu.n_server_processes) == ("simulated", "aws/g.xlarge", 1)
    assert on_gpu.setting is not None
    assert on_gpu.setting.execution == ON_GPU
    assert on_cpu.setting is not None
    assert on_cpu.setting.execution == ON_CPU
    assert [caveat for caveat in plan.caveats if "GPU" in caveat.what] == []
    assert "server processes per GPU" in [one.name for one in plan.assumptions]


@assuming(
    peak_rps=st.integers(1, 20_000),
    cpu_rps=st.integers(10, 2000),
    gpu_rps=st.integers(10, 20_000),
    cents=st.integers(1, 900),
)
def test_the_cheaper_of_cpu_and_gpu_wins_at_any_traffic_and_price(
    fit: CapacityFit, scenario: Scenario, both: Catalog, peak_rps: int, cpu_rps: int, gpu_rps: int, cents: int
) -> None:
    on_h, on_g = both.offers
    priced = replace(both, offers=(on_h, replace(on_g, usd_per_hour=Decimal(cents) / 100)))
    plan = solve(fit, at(scenario, float(peak_rps)), priced, profiles(fit, cpu_rps=cpu_rps, gpu_rps=gpu_rps))
    n_h = math.ceil(Decimal(peak_rps) / (4 * cpu_rps * Decimal("0.8"))) + 1
    # A machine with a GPU is planned on its cores where they carry more: 4 of them were measured there too.
    best = max(gpu_rps, 4 * cpu_rps)
    n_g = math.ceil(Decimal(peak_rps) / (best * Decimal("0.8"))) + 1
    costs = {"h.xlarge": n_h * Decimal("0.10") * 730, "g.xlarge": n_g * Decimal(cents) / 100 * 730}
    assert {name: fleet.usd_per_month for name, fleet in fleets(plan).items()} == costs
    assert plan.recommended is not None
    assert plan.recommended.usd_per_month == min(costs.values())


def test_the_same_gpu_in_another_host_is_extrapolated_and_each_gpu_has_a_process(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, offer: Offer, gpu_offer: Offer
) -> None:
    four = replace(gpu_offer.instance_type, name="g.12xlarge", n_vcpus=48, n_accelerators=4)
    catalog = replace(catalog, offers=(offer, gpu_offer, replace(gpu_offer, instance_type=four)))
    # Its 48 cores would carry more; but nobody rents GPUs to let them stand idle without having measured that.
    types = profiles(fit, cpu_rps=3000.0)
    found = fleets(solve(fit, at(scenario, 6000.0), catalog, types))["g.12xlarge"].capacity
    assert (found.basis, found.measured_on, found.n_server_processes) == ("extrapolated", "aws/g.xlarge", 4)
    # The same host, so as fast, give or take the factor of 2 for another one: 4 x 5,000 / 2.
    assert found.speed_ratio == pytest.approx(1.0)
    assert found.usable_capacity_rps_low == pytest.approx(10_000.0)
    assert found.usable_capacity_rps == pytest.approx(20_000.0)
    assert found.setting is not None
    assert found.setting.execution == ON_GPU


def test_another_host_changes_the_speed_of_the_servers_own_work_alone(fit: CapacityFit, catalog: Catalog) -> None:
    half, here = catalog.cpu_families  # 2 and 4 GHz
    # Half of the time is inference: on half the clock the other half takes twice as long, 1 / (0.5 + 0.5 / 0.5).
    speed = host_speed_ratio(here, half, inference_share=0.5)
    assert (speed.low, speed.middle, speed.high) == pytest.approx((1 / 3, 2 / 3, 4 / 3))
    unknown = host_speed_ratio(here, None, inference_share=0.5)
    assert (unknown.low, unknown.middle, unknown.high) == pytest.approx((1 / 3, 1.0, 8 / 3))
    assert host_speed_ratio(here, half, inference_share=1.0).middle == 1.0


def test_no_figure_of_a_gpu_is_given_to_a_processor_or_to_another_gpu(
    fit: CapacityFit, scenario: Scenario, both: Catalog, gpu_offer: Offer
) -> None:
    other = replace(gpu_offer.instance_type, name="t.xlarge", accelerator="T4", accelerator_memory_gb=16.0)
    share = replace(gpu_offer.instance_type, name="s.xlarge", n_accelerators=0.5)
    offers = (*both.offers, *(replace(gpu_offer, instance_type=one) for one in (other, share)))
    # The machine at hand has the GPU and was measured on it alone.
    here = measured(fit, (ON_GPU, 5000.0), gpus=[gpu()])
    plan = solve(here, scenario, replace(both, offers=offers))
    assert {one.offer_name.split("/")[2]: one.reason for one in plan.not_offered} == {
        "h.xlarge": "it has no GPU, and nothing was measured without one",
        "s.xlarge": "the speed of its accelerator (L4) is unknown until it is measured",
        "t.xlarge": "the speed of its accelerator (T4) is unknown until it is measured",
    }
    assert list(fleets(plan)) == ["g.xlarge"]
    assert fleets(plan)["g.xlarge"].basis == "extrapolated"


def test_a_cpu_figure_never_stands_for_a_gpu(fit: CapacityFit, scenario: Scenario, both: Catalog) -> None:
    # The machine has an L4, but only its cores were measured: its GPU stays unknown.
    plan = solve(measured(fit, (ON_CPU, 1000.0), gpus=[gpu()]), scenario, both)
    assert list(fleets(plan)) == ["h.xlarge"]
    assert "accelerator (L4) is unknown" in plan.not_offered[0].reason


@pytest.mark.parametrize(
    ("said", "gib", "accelerator", "gb", "is_same"),
    [
        ("Tesla T4", 15.0, "T4", 16.0, True),
        ("NVIDIA T4G", 15.0, "T4", 16.0, False),
        ("NVIDIA A10G", 22.4, "A10G", 24.0, True),
        ("NVIDIA A10G", 22.4, "A10", 24.0, False),
        ("NVIDIA L40S", 44.7, "L4", 24.0, False),
        ("NVIDIA A100-SXM4-40GB", 39.6, "A100", 40.0, True),
        ("NVIDIA A100-SXM4-80GB", 80.0, "A100", 40.0, False),
        ("NVIDIA A100 80GB PCIe", 80.0, "A100-80GB", 80.0, True),
        ("NVIDIA H100 80GB HBM3", 79.6, "H100", 80.0, True),
        ("NVIDIA H100 80GB HBM3", 79.6, "H100", 94.0, False),
        ("NVIDIA H200", 140.4, "H100", 80.0, False),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 95.6, "RTX-PRO-6000", 96.0, True),
        ("NVIDIA H100 80GB HBM3 MIG 7g.80gb", 79.1, "H100", 80.0, False),
    ],
)
def test_a_gpu_is_known_by_its_name_and_its_memory(
    gpu_offer: Offer, said: str, gib: float, accelerator: str, gb: float, is_same: bool
) -> None:
    named = replace(gpu_offer.instance_type, accelerator=accelerator, accelerator_memory_gb=gb)
    assert is_same_gpu(gpu(said, gib), named) == is_same


def test_the_shipped_catalogue_tells_the_memory_of_every_accelerator() -> None:
    types = [offer.instance_type for offer in load_catalog(as_of=AS_OF).offers]
    assert {one.name for one in types if (one.accelerator is None) != (one.accelerator_memory_gb is None)} == set()
    h100 = gpu("NVIDIA H100 80GB HBM3", 79.6)
    matching = {f"{one.provider}/{one.name}" for one in types if is_same_gpu(h100, one)}
    assert {"aws/p5.4xlarge", "aws/p5.48xlarge", "gcp/a3-highgpu-1g", "lambda/gpu_1x_h100_sxm5"} <= matching
    assert "azure/Standard_NC40ads_H100_v5" not in matching  # 94 GB


MODEL_SHA = "a" * 64


@pytest.fixture
def file(fit: CapacityFit, tmp_path: Path) -> Path:
    """A profile whose machine has an L4 and tells no type: 1 row takes 10 ms on a core and 1 ms on the GPU."""
    machine = replace(fit.machine, n_cores=4, gpus=(gpu(),))
    times_s = {ON_CPU: 0.010, ON_GPU: 0.001}
    rounds = tuple(
        CellRound(
            cell=BenchCell(execution=execution, batch_size=1),
            i_round=i,
            service_times_s=np.full(3, time_s),
            lost_ratio=0.0,
            dropped_ratio=0.0,
        )
        for execution, time_s in times_s.items()
        for i in range(2)
    )
    (law,) = fit.service_times
    laws = tuple(
        replace(
            law,
            execution=execution,
            batch_sizes=(1,),
            mean_s=(time_s,),
            mean_s_low=(time_s,),
            mean_s_high=(time_s,),
            spread_ratio=(0.0,),
        )
        for execution, time_s in times_s.items()
    )
    profile = Profile(
        facts=ProfileFacts(
            scenario="test",
            model=ProfiledModel(name="model:build", sha256=MODEL_SHA, variants={"fp32": "b" * 64}),
            fit=replace(fit, machine=machine, service_times=laws, capacities=()),
            versions={},
            measured_on=date(2026, 11, 20),
        ),
        bench=BenchRun(
            machine=machine,
            rounds=rounds,
            cells=tuple(summarise_cell(visits) for visits in by_cell(rounds).values()),
            caveats=(),
        ),
    )
    write_profile(tmp_path / "l4.parquet", profile)
    return tmp_path / "l4.parquet"


def exported() -> ExportRun:
    limits = ParityLimits(max_abs_error=1e-4, top1_agreement_ratio=None, min_cosine=None)
    model = ExportedModel(
        variant="fp32",
        path="models/fp32.onnx",
        sha256="b" * 64,
        n_bytes=1,
        opset=18,
        ir_version=9,
        n_parameters=1,
        inputs=(),
        outputs=(),
        limits=limits,
        parity=(),
        batch_spread=0.0,
        quality=(),
    )
    return ExportRun(source="sklearn", versions={}, models=(model,), refused=(), caveats=())


@pytest.fixture
def asked(scenario: Scenario) -> Scenario:
    model = ModelSource(kind="sklearn", factory="model:build", folder=".", variants=("fp32",), parity={})
    # Two threads were not measured; that says nothing against the GPU, where threads are no choice.
    return replace(scenario, model=model, serving=replace(scenario.serving, n_threads=(2,)))


@pytest.mark.parametrize(("named", "basis"), [(None, "extrapolated"), ("aws/g.xlarge", "simulated")])
def test_a_profile_of_a_gpu_is_read_and_planned_with_or_without_the_name_of_its_type(
    fit: CapacityFit, asked: Scenario, both: Catalog, file: Path, named: str | None, basis: str
) -> None:
    given = read_profiles([ProfileFile(path=file, type_name=named)], both)
    assert [one.label for one in given] == [named or "NVIDIA L4"]
    types = measured_types(given, scenario=asked, exported=exported(), model_sha256=MODEL_SHA)
    assert [one.setting.execution for one in types[0].fit.capacities] == [ON_GPU]
    fleet = fleets(solve(fit, at(asked, 400.0), both, types))["g.xlarge"]
    assert (fleet.basis, fleet.capacity.measured_on) == (basis, named or "NVIDIA L4")
    # 1 ms on the GPU and 0.1 ms of the server's own work: below 1 / 1.1 ms, and above half of it.
    assert 450.0 < fleet.capacity.usable_capacity_rps < 909.1


def test_a_profile_is_not_given_to_a_type_with_another_gpu_or_none(both: Catalog, gpu_offer: Offer, file: Path) -> None:
    t4 = replace(gpu_offer.instance_type, name="t.xlarge", accelerator="T4", accelerator_memory_gb=16.0)
    catalog = replace(both, offers=(*both.offers, replace(gpu_offer, instance_type=t4)))
    for named, said in (("t.xlarge", "has T4"), ("h.xlarge", "has no GPU")):
        with pytest.raises(InputError, match=f"measured on NVIDIA L4; aws/{named} {said}"):
            read_profiles([ProfileFile(path=file, type_name=f"aws/{named}")], catalog)


def test_two_profiles_of_one_gpu_are_one_too_many(both: Catalog, file: Path) -> None:
    with pytest.raises(InputError, match="two profiles stand for NVIDIA L4"):
        read_profiles([ProfileFile(path=file, type_name=None)] * 2, both)


def test_a_batch_that_did_not_fit_into_the_gpu_is_not_planned(asked: Scenario, both: Catalog, file: Path) -> None:
    serving = replace(asked.serving, max_batch_sizes=(1, 2), n_threads=(1,))
    given = read_profiles([ProfileFile(path=file, type_name=None)], both)
    question = replace(asked, serving=serving)
    (one,) = measured_types(given, scenario=question, exported=exported(), model_sha256=MODEL_SHA)
    sizes: dict[str, list[int]] = {}
    for found in one.fit.capacities:
        sizes.setdefault(found.setting.execution.provider, []).append(found.setting.serving.max_batch_size)
    # Of the processor the second is extrapolated, as far as twice what was timed.
    assert sizes == {"CPU": [1, 2], "CUDA": [1]}
    assert "fit.gpu_batches" in [caveat.code for caveat in one.fit.caveats]
