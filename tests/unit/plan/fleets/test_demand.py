"""Traffic over the week and the months."""

from dataclasses import replace

import pytest

from loadplan.plan.fleets.demand import read_demand
from loadplan.scenario.spec import Scenario


def test_mean_is_the_peak_times_the_mean_share(scenario: Scenario) -> None:
    assert read_demand(scenario.traffic, horizon_months=1).mean_rps == 1800.0


def test_growth_compounds_from_the_first_month(scenario: Scenario) -> None:
    traffic = replace(scenario.traffic, growth_per_month_ratio=0.1)
    demand = read_demand(traffic, horizon_months=3)
    assert demand.monthly_peak_rps == pytest.approx((2400.0, 2640.0, 2904.0))


def test_the_hours_of_the_week_are_shares_of_the_peak(scenario: Scenario) -> None:
    hourly_rps = read_demand(scenario.traffic, horizon_months=1).hourly_rps
    assert (len(hourly_rps), hourly_rps[0], hourly_rps[167]) == (168, 2400.0, 1200.0)
