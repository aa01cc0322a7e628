"""What a full queue refuses counts as failed."""

import math
from collections.abc import Callable

import pytest
from scipy.optimize import brentq

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.records import OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo
from tests.unit.fit.capacity.queues import (
    HIGHEST_RATIO,
    SERVICE_S,
    slo,
)

MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]


@pytest.fixture
def short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,024 rows may wait, whatever the requests."""
    monkeypatch.setattr("loadplan.fit.carried._REQUESTS_QUEUED_LEAST", 1)


def accepted(rho: float) -> float:
    """Of requests of 600 rows one waits at most, besides the one in service, in a queue of 1,024 rows.

    After each service the next begins at once if anyone came during it, with probability 1 - exp(-ρ), or else after
    1 / λ: one is accepted per D + exp(-ρ) / λ.
    """
    return 1.0 / (rho + math.exp(-rho))


@pytest.mark.parametrize(
    ("objective", "share"),
    [
        (slo(0.5, 1.0, max_failed_ratio=0.05), 0.95),
        (slo(0.5, 1.0, max_failed_ratio=0.20), 0.80),
        (slo(0.99, 1.0, max_failed_ratio=1.0), 0.99),
    ],
    ids=["5 % may fail", "20 % may fail", "refusals miss the limit"],
)
@pytest.mark.usefixtures("short_queue")
def test_refused_requests_count_as_failed_and_as_misses(
    make_bench: MakeBench,
    run: LoadRun,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
    objective: Slo,
    share: float,
) -> None:
    know(make_overhead())
    scenario = make_scenario(max_batch_sizes=(1,), n_rows=600, objectives=(objective,))
    (found,) = fit_capacity(make_bench({600: SERVICE_S}), [run], scenario).capacities
    rho = brentq(lambda u: accepted(u) - share, 0.01, 3.0)
    assert found.usable_capacity_rps == pytest.approx(min(rho, HIGHEST_RATIO) / SERVICE_S, rel=0.04)


@pytest.mark.usefixtures("short_queue")
def test_without_leave_to_fail_one_refusal_is_too_many(
    make_bench: MakeBench, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> None:
    know(make_overhead())
    scenario = make_scenario(max_batch_sizes=(1,), n_rows=600, objectives=(slo(0.5, 1.0),))
    (found,) = fit_capacity(make_bench({600: SERVICE_S}), [run], scenario).capacities
    assert found.usable_capacity_rps == 0.0


@pytest.mark.parametrize(
    ("n_rows", "size", "bound"),
    [(1, 1, 1024), (4, 1, 1024), (5, 1, 1280), (600, 1, 153_600), (1, 256, 1024), (1, 600, 2400)],
)
def test_the_queue_holds_four_batches_and_256_requests_however_large_they_are(
    make_bench: MakeBench,
    run: LoadRun,
    make_scenario: MakeScenario,
    know: Know,
    make_overhead: MakeOverhead,
    n_rows: int,
    size: int,
    bound: int,
) -> None:
    know(make_overhead())
    fit = fit_capacity(make_bench({600: SERVICE_S}), [run], make_scenario(max_batch_sizes=(size,), n_rows=n_rows))
    assert fit.capacities[0].setting.serving.max_queue_rows == bound
