"""The whole way: costs are fitted to what a server with known ones answered."""

from collections.abc import Callable
from typing import Any

import pytest

from loadplan.fit.capacity import fit_capacity
from loadplan.fit.records import CapacityFit
from loadplan.scenario.rows_law import always

Know = Callable[..., None]
Server = Any  # conftest.KnownServer: modules of tests don't import each other


@pytest.fixture(scope="module")
def fitted(server: Server) -> CapacityFit:
    """The whole way: costs fitted to what a server with known ones answered."""
    return fit_capacity(server.bench, server.runs, server.scenario)


def test_from_the_runs_of_a_known_server_its_usable_capacity_is_found_for_every_setting(
    server: Server, fitted: CapacityFit, know: Know
) -> None:
    know(server.overhead)
    truth = fit_capacity(server.bench, server.runs, server.scenario)
    for found, known in zip(fitted.capacities, truth.capacities, strict=True):
        assert found.usable_capacity_rps == pytest.approx(known.usable_capacity_rps, rel=0.05)
        # The known one has the luck of its own simulated run: 2 %.
        assert 0.98 * found.usable_capacity_rps_low <= known.usable_capacity_rps
        assert known.usable_capacity_rps <= 1.02 * found.usable_capacity_rps_high
        assert found.usable_capacity_rps_low <= found.usable_capacity_rps <= found.usable_capacity_rps_high
        assert found.usable_capacity_rps_high - found.usable_capacity_rps_low < 0.2 * found.usable_capacity_rps


def test_the_fit_says_what_it_rests_on(server: Server, fitted: CapacityFit) -> None:
    assert (fitted.machine, fitted.seed, fitted.rows_per_request) == (server.bench.machine, 1, always(1))
    assert (fitted.basis, fitted.arrivals) == ("simulated", server.scenario.traffic.arrivals)
    assert fitted.caveats == ()
    assert {residual.run for residual in fitted.overhead.residuals} == {run.spec.name for run in server.runs}


@pytest.mark.nightly  # by day a curve that is asked for again stands for it, and a search that no draw changes
def test_the_same_measurements_give_the_same_fit(server: Server, fitted: CapacityFit) -> None:
    assert fit_capacity(server.bench, server.runs, server.scenario) == fitted
