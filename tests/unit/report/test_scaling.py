"""What the page, the JSON and the summary say of replicas that follow the week."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from loadplan.cli.documents import plan_document
from loadplan.cli.summary import plan_lines
from loadplan.plan.records.fleet import Plan
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.scenario.outside import LognormalDelay, Vantage
from loadplan.scenario.spec import ScalingRules, Scenario, StartUpRules
from tests.unit.report.reading import everything

START_UP = StartUpRules(node_s=110.0, image_s=5.0, load_s=4.0, warm_up_s=1.0)


@pytest.fixture
def asked(scenario: Scenario) -> Scenario:
    """Full traffic for half of the week and a quarter of it for the rest."""
    traffic = replace(scenario.traffic, week_shares=(1.0,) * 84 + (0.25,) * 84)
    return replace(scenario, traffic=traffic, plan=replace(scenario.plan, start_up=START_UP))


@pytest.fixture
def scaled(asked: Scenario, make_plan: Callable[[Scenario], Plan]) -> Plan:
    return make_plan(asked)


def test_the_page_compares_the_three_ways_of_scaling(
    scaled: Plan, asked: Scenario, findings: Findings, provenance: Provenance
) -> None:
    said = everything(render_report(replace(findings, scenario=asked, plan=scaled), provenance))
    # 2,400 / (1,440 x 0.8) + 1 = 4 replicas for 0.10 x 730 each; 600 take 2, the other 5042 of 10080 minutes 4.
    # The same with the 5 minutes that replicas stay without need; three minutes until they are there: 2 carry 2,880.
    # Cells stand side by side: replicas, USD, against static, minutes short, minutes thin.
    assert "the peak needs, always4$292.00–00 " in said
    assert "the hour that needs them2 to 4$219.03−25 %00 " in said
    assert "the last minute needs them2 to 4$219.07−25 %03 " in said
    assert "After 120 s" in said


def test_the_months_are_those_of_the_policy_that_the_scenario_chooses(
    asked: Scenario, make_plan: Callable[[Scenario], Plan], findings: Findings, provenance: Provenance
) -> None:
    chosen = replace(asked, plan=replace(asked.plan, scaling=ScalingRules(policy="scheduled")))
    said = everything(render_report(replace(findings, scenario=chosen, plan=make_plan(chosen)), provenance))
    assert "Month by month, scheduled" in said


def test_the_json_holds_every_policy_with_its_months(scaled: Plan) -> None:
    scaling = cast("dict[str, Any]", plan_document(scaled)["scaling"])
    assert [one["policy"] for one in scaling["policies"]] == ["static", "scheduled", "reactive"]
    assert [one["usd_per_month"] for one in scaling["policies"]] == ["292.00", "219.03", "219.07"]
    assert scaling["policies"][2]["violation_minutes"] == 0
    assert scaling["policies"][2]["thin_minutes"] == 3
    assert [part["basis"] for part in scaling["start_up"]] == ["given"] * 4


def test_the_summary_speaks_of_it_only_where_it_saves_more_than_five_percent(
    scaled: Plan, scenario: Scenario, make_plan: Callable[[Scenario], Plan]
) -> None:
    (line,) = (line for line in plan_lines(scaled) if line.startswith("scale"))
    assert "by a schedule $219.03 a month (−25%), 0 minutes a week short" in line
    flat = replace(scenario, traffic=replace(scenario.traffic, week_shares=(1.0,) * 168))
    assert not [line for line in plan_lines(make_plan(flat)) if line.startswith("scale")]


def test_the_page_says_where_the_objectives_are_measured_and_what_lies_outside(
    scenario: Scenario, findings: Findings, provenance: Provenance
) -> None:
    further = replace(scenario, vantage=Vantage(at="edge", outside=LognormalDelay(p50_s=0.003, p99_s=0.012)))
    there, here = (
        everything(render_report(replace(findings, scenario=asked), provenance)) for asked in (further, scenario)
    )
    assert "p99 ≤ 50 ms, at most 0.1 % failed, measured at the edge (given)" in there
    assert "what lies outside the replica, p50 3 ms and p99 12 ms (lognormal) (given)" in there
    assert "outside the replica" not in here
