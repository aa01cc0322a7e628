"""The p99 in parts, and which part is worth halving, by hand on a machine of the offer's own type.

Four processes carry 1,080 each (the low end; see conftest), 4,320 together, for 73.00 a month. A peak of 20,000 with a
fifth kept free takes 25,000 / 4,320 -> 6 and one to lose: 511.00.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.price import Catalog
from loadplan.fit.records import Breakdown, CapacityFit, PartRatio, TimeShares
from loadplan.plan.hardware.breakdowns import split_p99
from loadplan.plan.records.outlook import Outlook
from loadplan.plan.records.time_split import TimeSplit
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.around_text import levers_text, split_text
from loadplan.scenario.spec import Scenario


def ratios(**parts: float) -> tuple[PartRatio, ...]:
    return tuple(PartRatio(part=part, ratio=ratio) for part, ratio in parts.items())  # type: ignore[arg-type]  # names


def times_s(split: TimeSplit) -> dict[str, float]:
    return {one.part: one.time_s for one in split.parts}


BREAKDOWN = Breakdown(
    shares=(
        TimeShares(usable_ratio=0.5, parts=ratios(outside=0.3, model=0.2, web=0.1), n_requests=900),
        TimeShares(usable_ratio=1.0, parts=ratios(outside=0.1, model=0.1, web=0.06), n_requests=901),
    ),
    halved=ratios(outside=1.2, model=1.5, web=1.1),
)


@pytest.fixture(scope="session")
def question(scenario: Scenario) -> Scenario:
    return replace(scenario, traffic=replace(scenario.traffic, peak_rps=20_000.0))


def around(fit: CapacityFit, scenario: Scenario, catalog: Catalog, breakdown: Breakdown | None = BREAKDOWN) -> Outlook:
    (only,) = fit.capacities
    own_type = replace(
        fit,
        machine=replace(fit.machine, instance_type="aws/h.xlarge"),
        capacities=(replace(only, breakdown=breakdown),),
    )
    search = searching(fit=own_type, catalog=catalog, as_of=date(2026, 11, 24))
    plan = plan_with_outlook(search, scenario=scenario, catalog=catalog)
    assert plan.recommended is not None
    assert plan.recommended.usd_per_month == Decimal("511.00")
    assert plan.outlook is not None
    return plan.outlook


def test_each_part_is_halved_alone_and_the_fleet_planned_again(
    fit: CapacityFit, question: Scenario, catalog: Catalog
) -> None:
    levers = around(fit, question, catalog).levers
    assert [(one.part, one.choice.offers[0][1], one.n_fewer, one.usd_less_per_month) for one in levers] == [
        ("outside", 6, 1, Decimal("73.00")),  # 25,000 / 5,184 -> 5 + 1
        ("model", 5, 2, Decimal("146.00")),  # 25,000 / 6,480 -> 4 + 1
        ("web", 7, 0, Decimal(0)),  # 25,000 / 4,752 -> 6 + 1
    ]
    assert levers_text(levers) == (
        "halving what lies outside the replica saves 1 replica: $73.00 a month; halving the model saves 2 replicas: "
        "$146.00 a month; halving the web work saves none"
    )


def test_the_p99_is_split_as_the_shares_at_its_rate_say(fit: CapacityFit, question: Scenario, catalog: Catalog) -> None:
    """With one lost each process gets 20,000 / 24 = 833.3 of the 1,200 that it carries: 0.694, 0.389 of the way.

    The p99 there is 10 ms + 733.3 / 1,100 of 10 ms (see conftest).
    """
    split = around(fit, question, catalog).split
    assert split is not None
    assert split.p99_s == pytest.approx(0.0166667, rel=1e-5)
    expected = {"outside": 0.3 - 0.388889 * 0.2, "model": 0.2 - 0.388889 * 0.1, "web": 0.1 - 0.388889 * 0.04}
    assert times_s(split) == pytest.approx({part: 0.0166667 * ratio for part, ratio in expected.items()}, rel=1e-4)
    assert sum(times_s(split).values()) + split.waiting_s == pytest.approx(split.p99_s)
    assert (split.n_requests, split.basis) == (900, "simulated")
    assert split_text(split) == (
        "p99 of 16.7 ms: 3.70 ms outside the replica, 8.87 ms waiting, 2.69 ms model, 1.41 ms web work (simulated)"
    )


def test_a_slower_machine_takes_longer_for_all_but_what_lies_outside_or_is_fetched() -> None:
    half = TimeShares(usable_ratio=0.5, parts=ratios(outside=0.25, fetch=0.25, model=0.25, web=0.25), n_requests=900)
    split = split_p99(replace(BREAKDOWN, shares=(half,)), usable_ratio=0.9, speed=0.5, p99_s=0.03, basis="extrapolated")
    assert split is not None
    # 0.5 elsewhere and 0.5 / 0.5 of work are 1.5, which 30 ms are shared out over.
    assert times_s(split) == pytest.approx({"outside": 0.005, "fetch": 0.005, "model": 0.01, "web": 0.01})
    assert split.waiting_s == pytest.approx(0.0, abs=1e-12)
    assert split_text(split) == (
        "p99 of 30 ms: 5 ms outside the replica, 5 ms fetch, 0 ms waiting, 10 ms model, 10 ms web work (extrapolated)"
    )


@pytest.mark.parametrize(("used", "outside_ratio"), [(0.0, 0.3), (0.5, 0.3), (0.75, 0.2), (1.0, 0.1), (1.7, 0.1)])
def test_beyond_the_rates_that_were_simulated_the_shares_stay(used: float, outside_ratio: float) -> None:
    split = split_p99(BREAKDOWN, usable_ratio=used, speed=1.0, p99_s=1.0, basis="simulated")
    assert split is not None
    assert times_s(split)["outside"] == pytest.approx(outside_ratio)


def test_without_a_breakdown_it_is_said_why_there_is_none(
    fit: CapacityFit, question: Scenario, catalog: Catalog
) -> None:
    outlook = around(fit, question, catalog, breakdown=None)
    assert (outlook.split, outlook.levers) == (None, ())
    assert outlook.split_reason == "the fit does not say of what its times consist"


def test_a_setting_that_was_not_broken_down_takes_its_devices_shares(
    fit: CapacityFit, question: Scenario, catalog: Catalog
) -> None:
    """The setting that carries most has none of its own."""
    (only,) = fit.capacities
    lesser = replace(
        only,
        setting=replace(only.setting, serving=replace(only.setting.serving, max_batch_size=8)),
        usable_capacity_rps=600.0,
        usable_capacity_rps_low=540.0,
        usable_capacity_rps_high=660.0,
        breakdown=BREAKDOWN,
    )
    own_type = replace(fit, machine=replace(fit.machine, instance_type="aws/h.xlarge"), capacities=(only, lesser))
    search = searching(fit=own_type, catalog=catalog, as_of=date(2026, 11, 24))
    outlook = plan_with_outlook(search, scenario=question, catalog=catalog).outlook
    assert outlook is not None
    assert [one.capacity_ratio for one in outlook.levers] == [1.2, 1.5, 1.1]
    assert outlook.split is not None
