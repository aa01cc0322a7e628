"""What the page says around a plan: cases, what runs today, rules to relax, and fleets of several types."""

import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.price import Catalog
from loadplan.cli.outlook_documents import outlook_document, outlook_lines
from loadplan.fit.records import CapacityFit
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.outlook import Switch
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.budget.rows import budget_csv
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.report.outlook_text import switch_text
from loadplan.scenario.spec import Scenario
from tests.unit.report.reading import read


@pytest.fixture
def asked(scenario: Scenario) -> Scenario:
    """The scenario of all pages, with ten of the chosen machine running today."""
    return replace(scenario, plan=replace(scenario.plan, today=(("aws/east/h.xlarge/on_demand", 10),)))


def planned(scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> Plan:
    search = searching(fit=fit, catalog=catalog, as_of=date(2026, 11, 20))
    return plan_with_outlook(search, scenario=scenario, catalog=catalog)


def said(findings: Findings, provenance: Provenance) -> str:
    return re.sub(r"\s+", " ", " ".join(read(render_report(findings, provenance)).text))


def test_the_page_says_what_would_change_the_answer(
    findings: Findings, provenance: Provenance, asked: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    page = said(replace(findings, scenario=asked, plan=planned(asked, fit, catalog)), provenance)
    # Four are 292.00 a month, ten 730.00.
    assert "10 × aws/east/h.xlarge/on_demand, $730.00 a month; the plan is $438.00 a month cheaper; it would do" in page
    assert "traffic +20 %" in page
    assert "to 4 replicas, $146.00 to $292.00 a month, by the ends of what one may carry; sized on the low end" in page
    assert "limits × 0.5" in page
    assert "wins if what a replica of aws/h.xlarge carries is less than" in page
    assert "per million requests at the mean rate" in page
    assert "unknown: aws/h.xlarge: nothing is known of the power of its devices" in page


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1.4e-7, "does is below 0.1 %"), (0.25, "does is 25 %"), (0.9999, "does is above 99.9 %"), (None, "16,300")],
)
def test_a_chance_is_told_no_finer_than_it_is_known(ratio: float | None, said: str) -> None:
    switch = Switch(
        kind="capacity", what="what a replica carries", now=16_300.0, then=3_000.0, change_ratio=-0.8,
        winner="aws/east/h.xlarge/on_demand", chance_ratio=ratio,
    )  # fmt: skip
    assert said in switch_text(switch)


def test_above_the_budget_the_page_names_the_rule_to_relax(
    findings: Findings, provenance: Provenance, asked: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    tight = replace(asked, plan=replace(asked.plan, budget_usd_per_month=Decimal(220)))
    plan = planned(tight, fit, catalog)
    page = said(replace(findings, scenario=tight, plan=plan, verdict=None, verification=None), provenance)
    assert "Which rule to relax?" in page
    # Without a spare three are 219.00.
    assert "plan.spare_replicas (0 in place of 1): 3 × aws/east/h.xlarge/on_demand, $219.00 a month" in page
    assert ("relax", "plan.spare_replicas (0 in place of 1): 3 × aws/east/h.xlarge/on_demand, $219.00 a month") in (
        outlook_lines(plan.outlook)
    )


def test_scripts_get_money_with_two_decimals_and_a_reason_for_what_is_missing(
    asked: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    document = json.loads(json.dumps(outlook_document(planned(asked, fit, catalog).outlook)))
    assert document["today"]["usd_less_per_month"] == "438.00"
    assert (document["size"]["n_replicas_high"], document["size"]["usd_per_month_high"]) == (4, "292.00")
    assert (document["footprint"], document["footprint_reason"]) == (
        None,
        "aws/h.xlarge: nothing is known of the power of its devices",
    )
    assert [case["choice"]["usd_per_month"] for case in document["cases"] if case["kind"] == "price"] != []


def test_a_fleet_of_several_types_is_told_whole(
    findings: Findings, provenance: Provenance, scenario: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    # h.xlarge carries 1,440 (see conftest) for 0.10 an hour; a small one of a quarter of its cores is 0.03. Without a
    # spare and headroom 1,600 take one of each for 94.90 a month; two big ones cost 146.00, five small ones 109.50.
    (own, *_) = [offer for offer in catalog.offers if offer.instance_type.name == "h.xlarge"]
    quarter = replace(own.instance_type, name="h.small", n_vcpus=own.instance_type.n_vcpus // 4)
    small = replace(own, instance_type=quarter, usd_per_hour=Decimal("0.03"))
    rules = replace(scenario.plan, n_spare_replicas=0, headroom_ratio=0.0, instance_types="several", n_min_replicas=1)
    asked = replace(scenario, plan=rules, traffic=replace(scenario.traffic, peak_rps=1600.0))
    plan = planned(asked, fit, replace(catalog, offers=(own, small)))
    assert plan.recommended is not None
    assert plan.recommended.usd_per_month == Decimal("94.90")
    page = said(replace(findings, scenario=asked, plan=plan), provenance)
    assert "1 × h.xlarge (aws/east, on demand) + 1 × h.small (aws/east, on demand)" in page
    assert "h.xlarge and h.small are extrapolated" in page
    assert "replicas of aws/east/h.small/on_demand" in page
    assert "all else as it is, among fleets of one type" in page
    assert "$109.50: $14.60 a month dearer (15 %): the best fleet of one type" in page
    rows = [line.split(",") for line in budget_csv(plan).splitlines()[1:]]
    assert [(row[4], row[6], row[9]) for row in rows[:2]] == [("h.xlarge", "1", "73.00"), ("h.small", "1", "21.90")]
