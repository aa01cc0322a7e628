"""A server whose costs are known instead of fitted, so that what follows from them can be computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loadplan.bench.records import BenchRun
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.overhead import OverheadLaws
from loadplan.fit.records import OverheadFit, SettingCapacity
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo
from tests.unit.fit.capacity.queues import SERVICE_S

MakeBench = Callable[..., BenchRun]
MakeRun = Callable[..., LoadRun]
MakeScenario = Callable[..., Scenario]
MakeSpec = Callable[..., LoadSpec]
Know = Callable[..., None]


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> Know:
    """Give the fit the costs of the server, so that what follows from them can be computed."""

    def give(law: OverheadFit, *plausible: OverheadFit) -> None:
        laws = OverheadLaws(best=law, plausible=plausible)
        monkeypatch.setattr("loadplan.fit.capacity.fit_overhead", lambda *_args, **_options: laws)

    return give


@pytest.fixture
def bench(make_bench: MakeBench) -> BenchRun:
    """Every inference takes a millisecond, whatever the rows."""
    return make_bench({1: SERVICE_S, 8: SERVICE_S})


@pytest.fixture
def run(make_run: MakeRun, make_spec: MakeSpec) -> LoadRun:
    sent_s = 0.01 * np.arange(100.0)
    return make_run(make_spec(purpose="saturation"), sent_s, sent_s + 1e-3)


@pytest.fixture
def capacity(bench: BenchRun, run: LoadRun, make_scenario: MakeScenario) -> Callable[..., SettingCapacity]:
    """Of a server without batches."""

    def of(objective: Slo, **options: Any) -> SettingCapacity:
        scenario = make_scenario(max_batch_sizes=(1,), objectives=(objective,), **options)
        (only,) = fit_capacity(bench, [run], scenario).capacities
        return only

    return of
