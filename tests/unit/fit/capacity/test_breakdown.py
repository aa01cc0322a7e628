"""Where slow requests' time goes, and what half of a part would gain, against the closed form of M/D/1."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from loadplan.bench.records import BenchRun
from loadplan.fit.breakdown import breakdown_of, with_breakdowns
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.records import Breakdown, OverheadFit, TimeShares
from loadplan.load.records import LoadRun
from loadplan.scenario.outside import AT_THE_SERVER, ConstantDelay, Vantage
from loadplan.scenario.spec import Scenario
from loadplan.slo import Slo
from tests.unit.fit.capacity.queues import SERVICE_S, load_within, quantile_s, slo

BrokenDown = Callable[..., tuple[Breakdown | None, float]]


@pytest.fixture
def broken_down(
    bench: BenchRun,
    run: LoadRun,
    make_scenario: Callable[..., Scenario],
    know: Callable[..., None],
    make_overhead: Callable[..., OverheadFit],
) -> BrokenDown:
    """Of a server without batches whose inference takes 1 ms, and what it carries in erlangs."""

    def of(objective: Slo, vantage: Vantage = AT_THE_SERVER, **costs: float) -> tuple[Breakdown | None, float]:
        know(make_overhead(**costs))
        scenario = replace(make_scenario(max_batch_sizes=(1,), objectives=(objective,)), vantage=vantage)
        fitted = with_breakdowns(fit_capacity(bench, [run], scenario), scenario)
        (only,) = fitted.capacities
        assert only.breakdown == breakdown_of(fitted, only, scenario.objectives)
        return only.breakdown, only.usable_capacity_rps * SERVICE_S

    return of


def shared(shares: TimeShares) -> dict[str, float]:
    return {one.part: one.ratio for one in shares.parts}


def halved(found: Breakdown) -> dict[str, float]:
    return {one.part: one.ratio for one in found.halved}


def test_the_shares_are_those_of_the_slow_requests(broken_down: BrokenDown) -> None:
    found, load = broken_down(slo(0.99, 6e-3))
    assert found is not None
    assert [one.usable_ratio for one in found.shares][-1] == 1.0
    for one in found.shares:
        # Inference of 1 ms is all the work; the rest of the p99 is waiting.
        expected = SERVICE_S / quantile_s(0.99, one.usable_ratio * load)
        assert shared(one) == {"model": pytest.approx(expected, rel=0.08), "web": 0.0}
        assert one.n_requests >= 800  # of the hundredth around the p99 of 90,000


def test_half_the_inference_carries_what_the_closed_form_says(broken_down: BrokenDown) -> None:
    found, load = broken_down(slo(0.99, 6e-3))
    assert found is not None
    expected = 2.0 * load_within(6e-3, service_s=SERVICE_S / 2) / load_within(6e-3)
    assert load == pytest.approx(load_within(6e-3), rel=0.03)
    assert halved(found) == {"model": pytest.approx(expected, rel=0.03), "web": 1.0}
    assert halved(found)["model"] > 2.0


def test_half_of_what_lies_outside_is_a_longer_limit(broken_down: BrokenDown) -> None:
    found, _ = broken_down(slo(0.99, 9e-3), Vantage(at="edge", outside=ConstantDelay(delay_s=4e-3)))
    assert found is not None
    assert halved(found)["outside"] == pytest.approx(load_within(7e-3) / load_within(5e-3), rel=0.02)
    last = shared(found.shares[-1])
    assert last["outside"] == pytest.approx(4e-3 / 9e-3, rel=0.02)  # where the limit is reached
    assert last["model"] == pytest.approx(1e-3 / 9e-3, rel=0.02)


def test_a_fetch_is_a_part_of_its_own_beside_the_network(broken_down: BrokenDown) -> None:
    """3 ms of fetch and 1 ms of network leave 5 of 9 ms; half the fetch leaves 6.5 of them, half the network 5.5."""
    delays = Vantage(at="edge", outside=ConstantDelay(delay_s=1e-3), fetch=ConstantDelay(delay_s=3e-3))
    found, load = broken_down(slo(0.99, 9e-3), delays)
    assert found is not None
    assert load == pytest.approx(load_within(5e-3), rel=0.03)
    assert halved(found)["fetch"] == pytest.approx(load_within(6.5e-3) / load_within(5e-3), rel=0.02)
    assert halved(found)["outside"] == pytest.approx(load_within(5.5e-3) / load_within(5e-3), rel=0.02)
    last = shared(found.shares[-1])
    assert (last["fetch"], last["outside"]) == pytest.approx((3 / 9, 1 / 9), rel=0.02)


def test_half_the_web_work_is_a_server_that_is_faster_by_it(broken_down: BrokenDown) -> None:
    """1 ms of inference, 1 ms of web work: with half of either a request takes 1.5 ms; the limit is far away."""
    found, _ = broken_down(slo(0.99, 5.0), request_s=0.5e-3, response_s=0.25e-3, batch_s=0.25e-3)
    assert found is not None
    assert halved(found) == pytest.approx({"model": 2.0 / 1.5, "web": 2.0 / 1.5}, rel=1e-6)
    first = shared(found.shares[0])
    assert first["web"] == pytest.approx(first["model"], rel=1e-6)


def test_where_no_objective_holds_nothing_is_broken_down(broken_down: BrokenDown) -> None:
    assert broken_down(slo(0.99, 0.5e-3)) == (None, 0.0)
