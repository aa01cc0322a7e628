"""The purchase mix on the page, in the summary and in the JSON, and prices that are no list's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from loadplan.catalog.price import Offer
from loadplan.cli.documents import plan_document
from loadplan.cli.summary import plan_lines
from loadplan.plan.records.fleet import Plan
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.report.view import price_each
from loadplan.scenario.purchase_rules import CommitmentDiscounts
from loadplan.scenario.spec import Scenario
from tests.unit.report.reading import everything


@pytest.fixture
def mixed(scenario: Scenario, make_plan: Callable[[Scenario], Plan]) -> Plan:
    """A week that needs the peak in half of its hours, and commitments at 30 % off: three of four are committed to."""
    rules = replace(
        scenario.plan,
        purchases=("on_demand", "commit_1y"),
        commitment_discounts=CommitmentDiscounts(commit_1y_ratio=Decimal("0.3"), commit_3y_ratio=Decimal("0.45")),
    )
    week = replace(scenario.traffic, week_shares=(1.0,) * 84 + (0.5,) * 84)
    return make_plan(replace(scenario, plan=rules, traffic=week))


def test_the_page_shows_the_mix_beside_the_fleet_that_is_always_on(
    findings: Findings, provenance: Provenance, mixed: Plan
) -> None:
    # 3 x 0.07 x 730 = 153.30 and 0.10 x 365 = 36.50, against 4 x 0.10 x 730 = 292.00; 102.20 are 35 % of that.
    said = everything(render_report(replace(findings, plan=mixed), provenance))
    assert "This mix costs $189.80 a month, $102.20 (35 %) less than 4 replicas always on, on demand" in said
    assert "needed in more than 70.0 % of the hours" in said
    assert "$0.070 an hour" in said


def test_a_plan_with_one_way_to_pay_has_no_such_section(findings: Findings, provenance: Provenance, plan: Plan) -> None:
    assert "best paid for" not in everything(render_report(replace(findings, plan=plan), provenance))


def test_scripts_find_the_mix_to_the_cent(mixed: Plan) -> None:
    found: Any = plan_document(mixed)["purchase_mix"]
    assert found["usd_per_month"] == "189.80"
    assert found["always_on"] == {"offer": "aws/east/h.xlarge/on_demand", "n_replicas": 4, "usd_per_month": "292.00"}
    assert [(item["purchase"], item["n_replicas"], item["hours_ratio"]) for item in found["items"]] == [
        ("commit_1y", 3, 1.0),
        ("on_demand", 1, 0.5),
    ]


def test_the_summary_says_it_in_one_line(mixed: Plan, plan: Plan) -> None:
    said = " ".join(plan_lines(mixed))
    assert "3 commit 1y + 1 on demand in 50% of the hours: $189.80 a month (−35% of 4 always on, on demand)" in said
    assert "always on" not in " ".join(plan_lines(plan))


@pytest.mark.parametrize(
    ("usd_per_hour", "usd_per_month", "expected"),
    [
        (Decimal("0.1785"), None, "$0.1785 an hour"),
        (Decimal("11.0612499878219"), None, "$11.0612499878219 an hour"),
        (Decimal(1) / 3, None, "$0.333333 an hour"),
        (Decimal(140) / 730, Decimal("140.00"), "$140.00 a month"),
    ],
)
def test_a_price_that_was_worked_out_is_short(
    plan: Plan, usd_per_hour: Decimal, usd_per_month: Decimal | None, expected: str
) -> None:
    assert plan.recommended is not None
    offer: Offer = replace(
        plan.recommended.items[0].offer,
        usd_per_hour=usd_per_hour,
        usd_per_month=usd_per_month,
        price_date=date(2026, 11, 1),
    )
    assert price_each(offer) == expected
