"""The start value of the cold law, by calls after pauses whose law is known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import summarise_cell
from loadplan.execution import ExecutionConfig
from loadplan.fit.cold import coldness, measured_cold_ratio
from loadplan.fit.overhead import fit_overhead
from loadplan.fit.service_time import fit_service_times
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario

MakeBench = Callable[..., BenchRun]
Server = Any  # conftest.KnownServer: modules of tests don't import each other
GAPS_S = (0.3e-3, 1.5e-3, 7e-3, 15e-3)


def with_pauses(
    bench: BenchRun, cold_ratio: float, *, asleep_s: float, scatter: float = 0.02, gaps_s: Sequence[float] = GAPS_S
) -> BenchRun:
    """Calls after pauses by the simulator's law, with a fixed price for having slept at all."""
    rng = np.random.default_rng(2)
    loop_s = bench.cells[0].mean_s
    cold = []
    for gap_s in gaps_s:
        cell = BenchCell(execution=ExecutionConfig(variant="fp32"), batch_size=1, idle_gap_s=gap_s)
        mean_s = (loop_s + asleep_s) * (1.0 + cold_ratio * coldness(gap_s))
        visits = [
            CellRound(
                cell=cell,
                i_round=i,
                service_times_s=mean_s * (1.0 + scatter * rng.standard_normal()) * np.ones(3),
                lost_ratio=0.0,
                dropped_ratio=0.0,
            )
            for i in range(5)
        ]
        cold.append(summarise_cell(visits))
    return replace(bench, cold=tuple(cold))


def test_coldness_grows_with_the_logarithm_of_the_gap_from_half_a_millisecond_to_twenty() -> None:
    assert coldness(0.0) == coldness(0.5e-3) == 0.0
    assert coldness(20e-3) == coldness(1.0) == 1.0
    assert coldness(math.sqrt(0.5e-3 * 20e-3)) == pytest.approx(0.5)


@pytest.mark.parametrize("cold_ratio", [0.2, 0.5, 2.5])
@pytest.mark.parametrize("asleep_s", [0.0, 20e-6])
def test_the_ratio_is_that_of_the_law_whatever_sleeping_at_all_costs(
    make_bench: MakeBench, cold_ratio: float, asleep_s: float
) -> None:
    bench = with_pauses(make_bench({1: 30e-6, 8: 60e-6}), cold_ratio, asleep_s=asleep_s)
    assert measured_cold_ratio(bench) == pytest.approx(cold_ratio, rel=0.05, abs=0.03)


def test_a_pause_that_is_known_badly_hardly_counts(make_bench: MakeBench) -> None:
    bench = with_pauses(make_bench({1: 30e-6}), 0.5, asleep_s=0.0)
    *others, last = bench.cold
    wild = replace(last, mean_s=10 * last.mean_s, mean_s_low=0.0, mean_s_high=20 * last.mean_s)
    assert measured_cold_ratio(replace(bench, cold=(*others, wild))) == pytest.approx(0.5, rel=0.1)


def test_without_pauses_nothing_is_told(make_bench: MakeBench) -> None:
    bench = make_bench({1: 30e-6})
    assert measured_cold_ratio(bench) is None
    assert measured_cold_ratio(with_pauses(bench, 0.5, asleep_s=0.0, gaps_s=(7e-3,))) is None
    assert measured_cold_ratio(with_pauses(bench, 0.5, asleep_s=0.0, gaps_s=(0.3e-3,))) is None


@pytest.mark.nightly
@pytest.mark.parametrize("cold_ratio", [0.1, 0.5, 2.5])
def test_begun_at_what_the_bench_measured_the_fit_is_no_worse(
    server: Server, calibrate: Callable[..., tuple[LoadRun, ...]], cold_ratio: float
) -> None:
    """By the ratio itself (0.11, 0.51, 2.54 with it; 0.15, 0.55, 2.50 without) and by how the law explains the runs."""
    scenario: Scenario = server.scenario
    truth = replace(server.overhead, cold_ratio=cold_ratio)
    runs = calibrate(server.bench, scenario, truth, service_s=server.service_s, service_spread_ratio=0.1)
    tables = fit_service_times(server.bench)
    told = measured_cold_ratio(with_pauses(server.bench, cold_ratio, asleep_s=20e-6))
    with_it, without = (fit_overhead(tables, runs, cold_ratio=start).best for start in (told, None))
    off, off_without = (abs(math.log(law.cold_ratio / cold_ratio)) for law in (with_it, without))
    assert off <= off_without + 0.05
    misfit, misfit_without = (
        max(abs(math.log(each.predicted / each.measured)) for each in law.residuals if each.quantile in (None, 0.5))
        for law in (with_it, without)
    )
    assert misfit <= misfit_without + 0.01


@pytest.mark.nightly
@pytest.mark.parametrize("wrong_by", [0.25, 4.0])
def test_a_benchmark_that_is_wrong_about_pauses_doesn_t_carry_the_fit_with_it(server: Server, wrong_by: float) -> None:
    law = fit_overhead(fit_service_times(server.bench), server.runs, cold_ratio=wrong_by * server.overhead.cold_ratio)
    assert law.best.cold_ratio == pytest.approx(server.overhead.cold_ratio, rel=0.4)
