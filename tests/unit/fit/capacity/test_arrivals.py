"""What the law of the arrivals does to the capacity."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.records import OverheadFit, SettingCapacity
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import (
    ConstantArrivals,
    GammaArrivals,
    MarkovArrivals,
    PoissonArrivals,
    ProfileArrivals,
    ProfileStep,
    RequestTimes,
    TraceArrivals,
)
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import (
    ALONE_S,
    BUSY_S,
    COSTS,
    HIGHEST_RATIO,
    SERVICE_S,
    slo,
    waits_at_most,
)

MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]


def test_the_scenarios_own_arrivals_decide(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    """Evenly spaced requests never wait; bursts wait for longer than Poisson's."""
    know(make_overhead(**COSTS))
    tight = slo(0.99, ALONE_S + 1e-6)
    constant = capacity(tight, arrivals=ConstantArrivals())
    assert constant.usable_capacity_rps == pytest.approx(HIGHEST_RATIO / BUSY_S)
    poisson, bursts = (
        capacity(slo(0.99, 6e-3), arrivals=arrivals).usable_capacity_rps
        for arrivals in (PoissonArrivals(), GammaArrivals(cv=3.0))
    )
    assert bursts < 0.8 * poisson


def beyond(limit_s: float, rate_rps: float, busy: MarkovArrivals) -> float:
    """Share of the requests of slow busy and quiet periods that wait for longer: of each period as if it lasted."""
    in_busy = busy.busy_share * busy.busy_ratio
    quiet_ratio = (1.0 - in_busy) / (1.0 - busy.busy_share)
    share = 0.0
    for weight, ratio in ((in_busy, busy.busy_ratio), (1.0 - in_busy, quiet_ratio)):
        share += weight * (1.0 - waits_at_most(limit_s - SERVICE_S, ratio * rate_rps * SERVICE_S))
    return share


def test_busy_periods_that_last_are_what_the_capacity_is_of(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    """Periods of seconds, waits of milliseconds: a busy one is a Poisson stream of its own, however fast the rate."""
    know(make_overhead())
    busy = MarkovArrivals(busy_ratio=2.0, busy_share=0.25, mean_busy_s=1.0)
    rate_rps = brentq(lambda rate: beyond(6e-3, rate, busy) - 0.01, 10.0, 0.97 / SERVICE_S / 2.0)
    found = [capacity(slo(0.99, 6e-3), arrivals=busy, seed=seed).usable_capacity_rps for seed in range(1, 6)]
    assert np.mean(found) == pytest.approx(rate_rps, rel=0.02)


def test_a_profile_is_planned_on_its_busiest_moment(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    ramp = ProfileArrivals(steps=(ProfileStep(for_s=9.0, share=0.1, to_share=1.0),))
    held, planned = (capacity(slo(0.99, 6e-3), arrivals=arrivals) for arrivals in (PoissonArrivals(), ramp))
    assert planned == held


def test_a_recording_is_simulated_at_the_rate_that_is_asked(
    capacity: Callable[..., SettingCapacity], know: Know, make_overhead: MakeOverhead
) -> None:
    """Pairs a thousandth of the mean gap apart: the second of each waits for nearly all of the first one's service."""
    know(make_overhead())
    pairs = RequestTimes(file="x", times_s=(0.0, 0.002), length_s=2.0)
    tight, loose = (
        capacity(slo(0.99, limit_s), arrivals=TraceArrivals(recording=pairs)).usable_capacity_rps
        for limit_s in (1.9 * SERVICE_S, 2.0 * SERVICE_S)
    )
    # The second is done at 2 ms less the gap, which is 2 µs over the rate of 1 per second: at the saturated rate 2 µs.
    assert tight == 0.0
    assert loose == pytest.approx(HIGHEST_RATIO / SERVICE_S)


def test_arrivals_too_slow_to_be_met_are_a_doubt(
    bench: BenchRun, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())

    def doubts(mean_busy_s: float) -> list[str]:
        busy = MarkovArrivals(busy_ratio=2.0, busy_share=0.25, mean_busy_s=mean_busy_s)
        scenario = make_scenario(max_batch_sizes=(1,), objectives=(slo(0.99, 6e-3),), arrivals=busy)
        return [caveat.code for caveat in fit_capacity(bench, [run], scenario).caveats]

    # Fifty periods of four seconds are 200 s, of which 500,000 requests at 400 per second are six times as long.
    assert "fit.arrivals_unseen" not in doubts(1.0)
    assert "fit.arrivals_unseen" in doubts(60.0)
