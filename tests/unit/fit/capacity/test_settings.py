"""Which settings have a capacity."""

from collections.abc import Callable

import pytest

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.latency import predict
from loadplan.fit.records import OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import (
    ALONE_S,
    COSTS,
    SERVICE_S,
    slo,
)

MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]


def test_every_choice_of_execution_batch_and_window_is_a_setting(
    make_bench: MakeBench, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead(**COSTS))
    executions = [ExecutionConfig(variant=variant) for variant in ("fp32", "int8")]
    bench = make_bench({1: SERVICE_S, 8: SERVICE_S}, executions=executions)
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1, 8), batch_windows_s=(0.0, 2e-3)))
    assert [each.setting for each in fit.capacities] == [
        Setting(execution=execution, serving=ServingConfig(max_batch_size=size, batch_window_s=window_s))
        for execution in executions
        for size in (1, 8)
        for window_s in (0.0, 2e-3)
    ]
    # Idle, a request alone waits for its window, but where it is a full batch.
    idle = [each.curve[0].p50_s for each in fit.capacities[:4]]
    assert idle == pytest.approx([ALONE_S, ALONE_S, ALONE_S, ALONE_S + 2e-3], rel=0.01)


def test_sessions_side_by_side_are_told_and_not_offered(
    make_bench: MakeBench, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    one, two = (ExecutionConfig(variant="fp32", n_sessions=n) for n in (1, 2))
    bench = make_bench({1: SERVICE_S, 8: SERVICE_S}, executions=(one, two))
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),)))
    assert [law.execution for law in fit.service_times] == [one, two]
    assert [capacity.setting.execution for capacity in fit.capacities] == [one]
    assert "fit.not_served" in [caveat.code for caveat in fit.caveats]


def test_a_gpu_is_planned_beside_the_cpu_with_the_servers_costs_from_either(
    make_bench: MakeBench, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    on_cpu, on_gpu = (ExecutionConfig(variant="fp32", provider=name) for name in ("CPU", "CUDA"))
    bench = make_bench({1: SERVICE_S, 8: SERVICE_S}, executions=(on_cpu, on_gpu))
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),)))
    assert [capacity.setting.execution for capacity in fit.capacities] == [on_cpu, on_gpu]
    (caveat,) = [caveat for caveat in fit.caveats if caveat.code == "fit.other_provider"]
    assert "live runs on CPU and are taken to be the same on CUDA" in caveat.what


def test_a_setting_that_was_not_benchmarked_has_no_prediction(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead(**COSTS))
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,)))
    unknown = Setting(execution=ExecutionConfig(variant="int8"), serving=ServingConfig())
    with pytest.raises(InputError, match="int8 with 1 threads"):
        predict(fit, unknown, rate_rps=100.0)
    too_large = Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=17))
    with pytest.raises(InputError, match="17 rows are more than twice the largest"):
        predict(fit, too_large, rate_rps=100.0)
