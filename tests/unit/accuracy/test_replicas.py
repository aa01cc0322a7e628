"""What two replicas are predicted to do, against queues that can be worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from loadplan.execution import Balancing
from loadplan.fit.records import CapacityFit, OverheadFit, ServiceTimeFit
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.rows_law import always
from tests.accuracy.design import Configuration
from tests.accuracy.predictions import replicas_latency
from tests.unit.fit.conftest import EXECUTION, MACHINE

S = 10e-3


@pytest.fixture
def fit(make_overhead: Callable[..., OverheadFit]) -> CapacityFit:
    """Of a server that takes 10 ms for every inference, and nothing for anything else."""
    law = ServiceTimeFit(
        execution=EXECUTION, batch_sizes=(1,), mean_s=(S,), mean_s_low=(S,), mean_s_high=(S,), spread_ratio=(0.0,)
    )
    return CapacityFit(
        machine=MACHINE,
        basis="simulated",
        arrivals=PoissonArrivals(),
        rows_per_request=always(1),
        service_times=(law,),
        overhead=make_overhead(),
        plausible=(),
        capacities=(),
        seed=1,
        caveats=(),
    )


@pytest.fixture
def one_after_another(
    make_run: Callable[..., LoadRun], make_spec: Callable[..., LoadSpec]
) -> Callable[[float], LoadRun]:
    """A run of 4 s whose requests fall due at even distances; what it measured doesn't matter."""

    def run(distance_s: float) -> LoadRun:
        due_s = np.arange(0.0, 4.0 - 1e-9, distance_s)
        return make_run(make_spec(), due_s, due_s + S)

    return run


def pair(balancing: Balancing) -> Configuration:
    return Configuration(subject="pair", max_batch_size=1, load_ratio=0.8, n_replicas=2, balancing=balancing)


@pytest.mark.parametrize("balancing", ["round_robin", "least_outstanding"])
def test_two_replicas_in_turn_have_time_for_each_request(
    fit: CapacityFit, one_after_another: Callable[[float], LoadRun], balancing: Balancing
) -> None:
    """Due every 6 ms, each gets one every 12 ms, and none waits; one alone would be asked for more than it can."""
    told = replicas_latency(fit, pair(balancing), [one_after_another(6e-3)])

    assert (told.p50_s, told.p99_s) == pytest.approx((S, S))
    assert told.offered_rate_rps == pytest.approx(167.0, abs=0.5)
    assert told.utilisation_ratio == pytest.approx(10.0 / 12.0, rel=0.01)


def test_by_chance_one_of_them_gets_several_in_a_row_which_wait(
    fit: CapacityFit, one_after_another: Callable[[float], LoadRun]
) -> None:
    """Due every 10 ms nobody waits; due every 6 ms the second in a row waits for 4 ms, and the third for 8."""
    none = replicas_latency(fit, pair("random"), [one_after_another(10e-3)])
    some = replicas_latency(fit, pair("random"), [one_after_another(6e-3)])

    assert none.p99_s == pytest.approx(S)
    assert some.p99_s > S + 8e-3  # every eighth request is a third in a row, or a later one
    assert some.p50_s < some.p99_s
