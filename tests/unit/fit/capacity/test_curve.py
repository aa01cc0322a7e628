"""The latencies on the way to the capacity, and how sure it is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.latency import predict
from loadplan.fit.ledger import LedgerFigure, LedgerFindings
from loadplan.fit.records import LengthRatios, OverheadFit, SettingCapacity
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import (
    HIGHEST_RATIO,
    NOISY,
    SERVICE_S,
    slo,
)

MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]


def test_the_curve_runs_from_idle_to_the_usable_capacity(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    law = make_overhead(**NOISY)
    know(law, *(replace(law, request_s=factor * law.request_s) for factor in (0.9, 1.1)))
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1, 8), objectives=(slo(0.99, 8e-3),)))
    for found in fit.capacities:
        rates = [point.offered_rate_rps for point in found.curve]
        assert rates == sorted(rates)
        assert rates[0] < 0.05 * rates[-1]
        assert rates[-1] == found.usable_capacity_rps
        for point in found.curve:
            assert point.utilisation_ratio == pytest.approx(point.offered_rate_rps / found.saturated_rps)
            assert point.p50_s <= point.p95_s <= point.p99_s
            assert point.p50_interval.low <= point.p50_s <= point.p50_interval.high
            assert point.p95_interval.low <= point.p95_s <= point.p95_interval.high
            assert point.p99_interval.low <= point.p99_s <= point.p99_interval.high
        assert found.curve[-1].p99_s <= 8e-3
        # Beyond it the objective is missed: bisection ends within 0.3 % of the saturated rate.
        beyond = predict(fit, found.setting, rate_rps=found.usable_capacity_rps + 0.005 * found.saturated_rps)
        assert beyond.p99_s > 8e-3


def test_a_rate_of_the_curve_asked_for_again_has_the_same_latency(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    law = make_overhead(**NOISY)
    know(law, replace(law, request_s=1.1 * law.request_s))
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1, 8)))
    for found in fit.capacities:
        point = found.curve[3]
        assert predict(fit, found.setting, rate_rps=point.offered_rate_rps) == point


def test_the_interval_is_that_of_the_plausible_laws(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    """Nothing but the saturated rates of three laws: their 5th and 95th percentile lie a tenth of the way inwards."""
    know(make_overhead(), make_overhead(request_s=0.25e-3), make_overhead(request_s=1e-3))
    found = capacity(slo(0.99, 60.0))
    best, slower, slowest = (HIGHEST_RATIO / (SERVICE_S + request_s) for request_s in (0.0, 0.25e-3, 1e-3))
    assert found.usable_capacity_rps == pytest.approx(best)
    assert found.usable_capacity_rps_low == pytest.approx(slowest + 0.1 * (slower - slowest))
    # It holds the figure itself, at the least.
    assert found.usable_capacity_rps_high == pytest.approx(best)
    assert found.saturated_rps_low == pytest.approx(found.usable_capacity_rps_low / HIGHEST_RATIO)
    assert found.saturated_rps_high == found.saturated_rps


def test_the_interval_of_a_p95_is_that_of_the_plausible_laws(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    """On the way to the server all wait for as long as the law says, and for nothing else worth a name."""
    laws = [make_overhead(transfer_s=transfer_s) for transfer_s in (1.0, 1.1, 2.0)]
    know(*laws)
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),)))
    point = predict(fit, fit.capacities[0].setting, rate_rps=0.02 / SERVICE_S)
    assert point.p95_s == pytest.approx(1.0, abs=2.0 * SERVICE_S)
    # All wait alike, so its ends are off those of the p50 by how far runs stray at each alone: 10 % and 4 %.
    assert 1.4 < point.p95_interval.high < 2.6
    assert abs(point.p95_interval.high / point.p50_interval.high - 1.0) > 0.01


def test_a_ledger_of_misses_widens_what_is_said_of_capacity_and_latency_alike(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    law = make_overhead(**NOISY)
    know(law, *[replace(law, request_s=ratio * law.request_s) for ratio in (0.8, 0.9, 1.1, 1.2)])
    figures = [
        LedgerFigure(quantile=q, n_entries=9, n_covered=0, bias_ratio=0.0, error_ratio=0.0, widening=factor)
        for q, factor in ((0.5, 2.0), (0.99, 3.0))
    ]
    ledger = LedgerFindings(sha256="a", figures=tuple(figures))
    scenario = make_scenario(max_batch_sizes=(8,))
    plain = fit_capacity(bench, [run], scenario)
    wider = fit_capacity(bench, [run], scenario, ledger=ledger)
    assert wider.ledger == ledger
    (before,), (after,) = plain.capacities, wider.capacities
    assert after.usable_capacity_rps == before.usable_capacity_rps
    assert after.usable_capacity_rps_low / after.usable_capacity_rps == pytest.approx(
        (before.usable_capacity_rps_low / before.usable_capacity_rps) ** 3
    )
    point, same = before.curve[3], predict(wider, after.setting, rate_rps=after.curve[3].offered_rate_rps)
    assert same == after.curve[3]
    assert after.saturated_rps_low / after.saturated_rps == pytest.approx(
        (before.saturated_rps_low / before.saturated_rps) ** 2
    )
    assert same.p95_interval.low / same.p95_s == pytest.approx((point.p95_interval.low / point.p95_s) ** 6**0.5)
    assert same.p50_interval.high / same.p50_s == pytest.approx((point.p50_interval.high / point.p50_s) ** 2)
    assert same.p99_interval.low / same.p99_s == pytest.approx((point.p99_interval.low / point.p99_s) ** 3)


def test_what_the_bench_leaves_open_is_in_the_interval(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    """Means known to ±10 % with 95 % confidence: ±8.4 % with 90 %."""
    know(make_overhead(), *[make_overhead()] * 60)
    unsure = replace(
        bench,
        cells=tuple(replace(cell, mean_s_low=0.9 * cell.mean_s, mean_s_high=1.1 * cell.mean_s) for cell in bench.cells),
    )
    scenario = make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),))
    (sure_of_it,) = fit_capacity(bench, [run], scenario).capacities
    assert sure_of_it.usable_capacity_rps_low == pytest.approx(sure_of_it.usable_capacity_rps_high)
    (found,) = fit_capacity(unsure, [run], scenario).capacities
    assert found.usable_capacity_rps_high / found.usable_capacity_rps == pytest.approx(1.084, abs=0.03)
    assert found.usable_capacity_rps_low / found.usable_capacity_rps == pytest.approx(0.922, abs=0.03)


def test_that_a_server_is_one_process_of_many_is_in_the_interval(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    """The mean is known for sure, and processes are off it by 5.1 %: the same as a mean known to ±10 %."""
    know(make_overhead(), *[make_overhead()] * 60)
    apart = 0.1 / 1.96 / 2**0.5  # of two visits the standard deviation is this times the root of 2
    rounds = tuple(
        replace(visit, service_times_s=visit.service_times_s * np.exp(apart * (-1) ** visit.i_round))
        for visit in bench.rounds
    )
    scenario = make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 60.0),))
    (found,) = fit_capacity(replace(bench, rounds=rounds), [run], scenario).capacities
    assert found.usable_capacity_rps_high / found.usable_capacity_rps == pytest.approx(1.084, abs=0.03)
    assert found.usable_capacity_rps_low / found.usable_capacity_rps == pytest.approx(0.922, abs=0.03)


def test_where_one_plausible_law_answers_nothing_at_all_there_is_no_capacity(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    """It takes 20 ms to read a request: while it reads those of one turn, ever more arrive, and the queue is full."""
    know(make_overhead(), make_overhead(request_s=20 * SERVICE_S))
    with pytest.raises(InvalidMeasurement, match="leave open whether a server answers any of"):
        capacity(slo(0.99, 60.0))


def test_rows_of_one_length_wait_as_behind_a_server_that_takes_as_long_for_each_batch(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead(), make_overhead())
    fit = fit_capacity(bench, [run], make_scenario(max_batch_sizes=(1,)))
    (setting,) = (found.setting for found in fit.capacities)
    lengths = (LengthRatios(length=16, batch_sizes=(1, 8), ratio=(0.5, 0.5)),)
    known = replace(fit, service_times=tuple(replace(law, by_length=lengths) for law in fit.service_times))
    # Half of the time for each, so at twice the rate all waits are half as long.
    short, mix = predict(known, setting, rate_rps=1000.0, length=16), predict(known, setting, rate_rps=500.0)
    assert short.p99_s == pytest.approx(0.5 * mix.p99_s)
    assert short.utilisation_ratio == pytest.approx(mix.utilisation_ratio)
    with pytest.raises(InputError, match="no length of rows was timed"):
        predict(fit, setting, rate_rps=500.0, length=16)
