"""Replicas and money, counted by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest

from loadplan.catalog.price import Offer
from loadplan.plan.fleets.sizing import carried_rps, n_gone, n_replicas_needed, n_with_gone, usd_per_month
from loadplan.scenario.spec import Scenario


@pytest.mark.parametrize(
    ("peak_rps", "capacity_rps", "headroom", "n_spare", "n_min", "expected"),
    [
        pytest.param(2.1, 3.0, 0.3, 0, 1, 1, id="2.1 over 3 x 0.7 is one, whatever binary floats say"),
        pytest.param(2.1, Decimal(3), 0.3, 0, 1, 1, id="the same from a written capacity"),
        pytest.param(2.1000001, 3.0, 0.3, 0, 1, 2, id="a hair more is two"),
        pytest.param(300.0, 100.0, 0.0, 0, 1, 3, id="an exact fit needs no extra"),
        pytest.param(300.0, 100.0, 0.2, 1, 1, 5, id="headroom before spares"),
        pytest.param(10.0, 100.0, 0.2, 1, 4, 4, id="never fewer than the scenario asks for"),
        pytest.param(10.0, 100.0, 0.2, 2, 2, 3, id="the spares come on top of the one that serves"),
    ],
)
def test_replicas_are_the_least_that_carry_the_peak_with_spares_gone(
    scenario: Scenario,
    peak_rps: float,
    capacity_rps: float | Decimal,
    headroom: float,
    n_spare: int,
    n_min: int,
    expected: int,
) -> None:
    rules = replace(scenario.plan, headroom_ratio=headroom, n_spare_replicas=n_spare, n_min_replicas=n_min)
    assert n_replicas_needed(peak_rps, capacity_rps, rules=rules) == expected


def test_what_n_replicas_carry_leaves_out_spares_and_headroom(scenario: Scenario) -> None:
    assert carried_rps(4, 100.0, rules=scenario.plan) == 240.0


def test_spares_alone_carry_nothing(scenario: Scenario) -> None:
    assert carried_rps(1, 100.0, rules=scenario.plan) == 0.0


def test_a_month_costs_price_times_replicas_times_hours_to_the_cent(scenario: Scenario, offer: Offer) -> None:
    priced = replace(offer, usd_per_hour=Decimal("0.08925"))
    assert usd_per_month(priced, 3, rules=scenario.plan) == Decimal("195.4575")


@pytest.mark.parametrize("n_zones", [2, 3, 5])
@pytest.mark.parametrize("n_spare", [0, 1, 4])
def test_with_any_zone_gone_enough_are_left_and_not_with_one_fewer(
    scenario: Scenario, n_zones: int, n_spare: int
) -> None:
    """Dealt out one by one, the first zone has most of them."""
    rules = replace(scenario.plan, n_zones=n_zones, n_spare_replicas=n_spare)
    left = {n: min(n - len(range(0, n, n_zones)), n - n_spare) for n in range(200)}
    assert left == {n: n - n_gone(n, rules) for n in range(200)}
    for n_left in range(1, 60):
        assert n_with_gone(n_left, rules) == min(n for n in range(200) if left[n] >= n_left)
