"""What a server carries of several classes, each held to objectives of its own: figures worked out by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import ConstantArrivals
from loadplan.scenario.class_mix import pooled_rows
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, Scenario
from loadplan.slo import LatencyLimit, Slo

MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]

ONE_ROW_S, EIGHT_ROWS_S = 1e-3, 10e-3


def slo(quantile: float, limit_s: float, class_name: str | None = None) -> Slo:
    return Slo(limits=(LatencyLimit(quantile=quantile, limit_s=limit_s),), class_name=class_name)


@pytest.fixture
def mixed(make_bench: MakeBench, run: LoadRun, make_scenario: MakeScenario) -> Callable[..., CapacityFit]:
    """Requests at equal gaps, half of one row and half of eight, one after the other."""

    def of(*objectives: Slo, shares: tuple[float, float] = (0.5, 0.5), rows: tuple[int, int] = (1, 8)) -> CapacityFit:
        classes = tuple(
            RequestClass(name=name, share=share, rows_per_request=always(n_rows))
            for name, share, n_rows in zip(("small", "large"), shares, rows, strict=True)
        )
        scenario = make_scenario(
            max_batch_sizes=(1,), objectives=objectives, arrivals=ConstantArrivals(), n_rows=pooled_rows(classes)
        )
        traffic = replace(scenario.traffic, classes=classes)
        return fit_capacity(make_bench({1: ONE_ROW_S, 8: EIGHT_ROWS_S}), [run], replace(scenario, traffic=traffic))

    return of


def test_each_class_waits_for_its_own_rows_on_an_idle_server(
    mixed: Callable[..., CapacityFit], know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead(), make_overhead())
    (capacity,) = mixed(slo(0.99, 1.0)).capacities
    small, large = capacity.curve[0].classes
    assert (small.name, large.name) == ("small", "large")
    assert (small.p50_s, small.p99_s) == pytest.approx((ONE_ROW_S, ONE_ROW_S))
    assert (large.p50_s, large.p99_s) == pytest.approx((EIGHT_ROWS_S, EIGHT_ROWS_S))
    assert capacity.curve[0].p99_s == pytest.approx(EIGHT_ROWS_S)
    assert capacity.saturated_rps == pytest.approx(1.0 / (0.5 * ONE_ROW_S + 0.5 * EIGHT_ROWS_S), rel=0.01)


def test_the_objective_of_a_class_is_held_against_its_own_requests(
    mixed: Callable[..., CapacityFit], know: Know, make_overhead: MakeOverhead
) -> None:
    """A small request waits for nobody while gaps are above 10 ms; below 9.5 ms half of them wait for over 0.5 ms."""
    know(make_overhead())
    (capacity,) = mixed(slo(0.99, 1.0), slo(0.99, ONE_ROW_S + 0.5e-3, "small")).capacities
    assert capacity.usable_capacity_rps * 1.005 >= 1.0 / EIGHT_ROWS_S
    assert capacity.usable_capacity_rps <= 1.0 / (EIGHT_ROWS_S - 0.5e-3)
    assert capacity.binding is not None
    assert capacity.binding.class_name == "small"
    # What the small ones may not take, the large ones always do.
    (never,) = mixed(slo(0.99, ONE_ROW_S + 0.5e-3, "large")).capacities
    assert never.usable_capacity_rps == 0.0
    assert never.binding is not None
    assert never.binding.class_name == "large"


def test_a_rare_class_that_is_slow_by_itself_is_lost_in_the_whole_but_not_in_its_own_figures(
    mixed: Callable[..., CapacityFit], know: Know, make_overhead: MakeOverhead
) -> None:
    """One in two hundred takes 10 ms: the p99 of all is that of the small ones."""
    know(make_overhead())
    (capacity,) = mixed(slo(0.99, 5e-3), shares=(0.995, 0.005)).capacities
    assert capacity.usable_capacity_rps > 0.0
    small, large = capacity.curve[0].classes
    assert (capacity.curve[0].p99_s, small.p99_s, large.p99_s) == pytest.approx((ONE_ROW_S, ONE_ROW_S, EIGHT_ROWS_S))


def test_classes_of_as_many_rows_have_one_prediction_and_that_is_said(
    mixed: Callable[..., CapacityFit], know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    objective = slo(0.99, 5e-3, "large")
    fit = mixed(objective, rows=(1, 1))
    assert all(not point.classes for point in fit.capacities[0].curve)
    assert [caveat.code for caveat in fit.caveats if caveat.code.startswith("fit.class")] == ["fit.classes_alike"]
    # Judged on all requests, which fare as this class does: the figures are those of no classes at all.
    alone = replace(fit, classes=())
    assert predict(alone, fit.capacities[0].setting, rate_rps=400.0) == predict(
        fit, fit.capacities[0].setting, rate_rps=400.0
    )


def test_a_class_too_rare_to_be_simulated_is_doubted(
    mixed: Callable[..., CapacityFit], know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    for share, codes in ((0.01, []), (0.001, ["fit.class_rare"])):
        fit = mixed(slo(0.5, 1.0), shares=(1.0 - share, share))
        assert [caveat.code for caveat in fit.caveats if caveat.code.startswith("fit.class")] == codes
