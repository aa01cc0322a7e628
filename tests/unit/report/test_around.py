"""What the page says of where the time goes, of clusters and proposals, and of other ways to serve."""

import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from loadplan.catalog.price import Catalog
from loadplan.cli.outlook_documents import outlook_document, outlook_lines
from loadplan.fit.records import Breakdown, CapacityFit, PartRatio, TimeShares
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.outlook import PerRequest
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.scenario.spec import PrecomputeRules, Scenario
from loadplan.store.codec import read_record, write_record
from tests.unit.report.reading import read

BREAKDOWN = Breakdown(
    shares=(
        TimeShares(
            usable_ratio=0.5,
            parts=(
                PartRatio(part="outside", ratio=0.25),
                PartRatio(part="model", ratio=0.25),
                PartRatio(part="web", ratio=0.125),
            ),
            n_requests=900,
        ),
    ),
    halved=(
        PartRatio(part="outside", ratio=1.0),
        PartRatio(part="model", ratio=3.0),
        PartRatio(part="web", ratio=1.0),
    ),
)
SERVICE = PerRequest(
    service="aws lambda (arm64)",
    usd_per_month=Decimal(800),
    usd_per_month_low=Decimal(400),
    usd_per_month_high=Decimal(1600),
    usd_less_per_month=Decimal(-508),
    break_even_rps=657.0,
    memory_mb=1769.0,
    billed_s=0.001,
    cold_ratio_at_peak=0.0,
    cold_ratio_when_quiet=0.0,
    allowed_ratio=0.01,
    source="test",
    break_even_requests_per_month=1_726_000_000.0,
)


def planned(scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> Plan:
    """With a breakdown, a proposal and answers worked out beforehand."""
    rules = replace(
        scenario.plan,
        proposal=(("aws/east/f.4xlarge/on_demand", 1),),
        precompute=PrecomputeRules(n_entities=1_000_000, rows_per_entity=1.0, every_s=86_400.0, within_s=21_600.0),
    )
    broken_down = replace(fit, capacities=tuple(replace(one, breakdown=BREAKDOWN) for one in fit.capacities))
    search = searching(fit=broken_down, catalog=catalog, as_of=date(2026, 11, 20))
    plan = plan_with_outlook(search, scenario=replace(scenario, plan=rules), catalog=catalog)
    assert plan.outlook is not None
    return replace(plan, outlook=replace(plan.outlook, per_request=(SERVICE,)))


def test_the_page_tells_parts_clusters_and_other_ways(
    findings: Findings, provenance: Provenance, scenario: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    page = render_report(replace(findings, plan=planned(scenario, fit, catalog)), provenance)
    said = re.sub(r"\s+", " ", " ".join(read(page).text))
    assert "Where does the slow requests' time go?" in said
    assert "900 requests between the p98.5 and the p99.5" in said
    assert "Is a cluster needed at all, or a GPU?" in said
    assert "the scenario allows no machine with a GPU that has a price" in said
    assert "1 × aws/east/f.4xlarge/on_demand, $1,387.00 a month, $1,095.00 more than the plan" in said
    assert "What else could serve it?" in said
    assert "paid by the request: aws lambda (arm64)" in said
    assert "below 1,726 million requests a month, of the fleet as it is" in said
    assert "1,000,000 answers every 24 h" in said
    assert "keeping and looking them up is not priced" in said


def test_the_screen_says_each_in_a_line_of_its_own(scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> None:
    lines = outlook_lines(planned(scenario, fit, catalog).outlook)
    labels = [label for label, _ in lines]
    assert labels[:3] == ["time", "cluster", "proposed"]
    assert "or batch" in labels
    time = lines[0][1]
    assert time.startswith("p99 of ")
    # Of h.xlarge 1,440 each four are needed; with three times as much 3,000 / 4,320 -> 1 and one to lose.
    assert "halving the model saves 2 replicas: $146.00 a month; halving the web work saves none" in time


def test_plan_and_fit_are_kept_whole(scenario: Scenario, fit: CapacityFit, catalog: Catalog, tmp_path: Path) -> None:
    plan = planned(scenario, fit, catalog)
    write_record(tmp_path / "plan.json", plan, schema="loadplan.plan/1")
    assert read_record(tmp_path / "plan.json", Plan, schema="loadplan.plan/1") == plan
    broken_down = replace(fit, capacities=tuple(replace(one, breakdown=BREAKDOWN) for one in fit.capacities))
    write_record(tmp_path / "fit.json", broken_down, schema="loadplan.fit/1")
    assert read_record(tmp_path / "fit.json", CapacityFit, schema="loadplan.fit/1") == broken_down


def test_scripts_get_a_figure_or_a_reason(scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> None:
    plan = planned(scenario, fit, catalog)
    document = json.loads(json.dumps(outlook_document(plan.outlook)))
    assert document["p99_split"]["n_requests"] == 900
    assert [one["part"] for one in document["levers"]] == ["outside", "model", "web"]
    assert document["levers"][1]["usd_less_per_month"] == "146.00"
    assert document["cluster"]["gpu_wins"]["from_rps"] is None
    assert document["cluster"]["gpu_wins"]["from_rps_reason"].startswith("the scenario allows no machine with a GPU")
    assert document["precomputed"]["jobs"][0]["usd_per_month"].count(".") == 1
    assert document["per_request"][0]["break_even_requests_per_month"] == 1_726_000_000.0
    assert plan.outlook is not None
    bare = replace(plan.outlook, split=None, split_reason="why", levers=(), cluster=None, precomputed=None)
    document = json.loads(json.dumps(outlook_document(bare)))
    assert (document["p99_split"], document["p99_split_reason"]) == (None, "why")
    assert (document["precomputed"], document["precomputed_reason"]) == (None, "not asked about")
