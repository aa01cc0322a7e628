"""What would make the bill smaller, and what to type next."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.catalog.price import Catalog
from loadplan.caveat import Caveat
from loadplan.cli.summary import plan_lines, road_summary
from loadplan.export.artifact import ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.pipeline.road import RoadEnd
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.findings import Findings
from loadplan.report.next_step import next_step
from loadplan.report.savings import savings_of
from loadplan.scenario.spec import Scenario
from tests.unit.report.test_what_may_be_wrong import WORTH
from tests.unit.test_service_check import fitted


@pytest.fixture
def planned(scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> Plan:
    search = searching(fit=fit, catalog=catalog, as_of=date(2026, 11, 20))
    return plan_with_outlook(search, scenario=scenario, catalog=catalog)


def test_the_largest_saving_is_named_with_what_it_gives_up(planned: Plan) -> None:
    # Three of 73.00 do without a spare.
    spares = next(one for one in savings_of(planned) if one.what.startswith("0 spares"))
    assert (spares.usd_less_per_month, spares.gives_up) == (Decimal("73.00"), True)
    (line,) = (line for line in plan_lines(planned) if line.startswith("saving"))
    assert "giving something up, 0 spares (3 × aws/east/h.xlarge/on_demand): $73.00 a month less" in line
    free = [one for one in savings_of(planned) if not one.gives_up]
    assert all(one.usd_less_per_month > 0 for one in free)


def test_where_nothing_is_bought_there_is_nothing_to_save(planned: Plan) -> None:
    assert savings_of(replace(planned, recommended=None)) == ()


def test_the_bill_has_its_range_on_screen(planned: Plan) -> None:
    (line,) = (line for line in plan_lines(planned) if line.startswith("bill"))
    assert "$292.00 a month ($146.00 to $292.00 by what a replica may carry) at $0.1" in line


def test_what_was_not_driven_is_to_be_driven_first(findings: Findings) -> None:
    step = next_step(replace(findings, verdict=None, verification=None), run="results/a b")
    assert step is not None
    assert step.command == "loadplan verify 'results/a b'"


def test_an_invalid_run_is_to_be_driven_again(invalid: Findings) -> None:
    step = next_step(invalid, run="results/x")
    assert step is not None
    assert step.command == "loadplan verify results/x"
    assert "INVALID" in step.why


def test_then_hardware_is_to_be_measured_then_prices_looked_up_then_waste_sought(findings: Findings) -> None:
    assert findings.plan is not None
    assert findings.plan.recommended is not None
    step = next_step(replace(findings, plan=replace(findings.plan, worth_measuring=())), run="r")
    assert step is not None
    assert step.command == "loadplan profile SCENARIO --on aws/h.xlarge"
    of_service = replace(findings, service=fitted(usable_rps=200.0), plan=replace(findings.plan, worth_measuring=()))
    service = next_step(of_service, run="r")
    assert service is not None
    assert service.command == "loadplan quick URL --instance-type aws/h.xlarge"
    worth = next_step(replace(findings, plan=replace(findings.plan, worth_measuring=(WORTH,))), run="r")
    assert worth is not None
    assert worth.command == WORTH.command
    stale = Caveat(code="catalog.stale", what="prices are old", fix="look")
    measured = replace(
        findings.plan,
        recommended=replace(findings.plan.recommended, basis="simulated"),
        worth_measuring=(),
        caveats=(stale,),
    )
    price = next_step(replace(findings, plan=measured), run="r")
    assert price is not None
    assert price.command == "loadplan plan r --price aws/east/h.xlarge/on_demand=USD"
    last = next_step(replace(findings, plan=replace(measured, caveats=())), run="r")
    assert last is not None
    assert last.command == "loadplan verify r --sharpness"


def test_the_screen_names_the_worst_segment_the_weightiest_doubt_and_the_next_command(
    findings: Findings, planned: Plan, export: ExportRun
) -> None:
    assert export.models[0].quality
    doubted = replace(
        planned,
        worth_measuring=(),
        caveats=(Caveat(code="plan.extrapolated", what="hardware is guessed", fix="measure"),),
    )
    known = replace(findings, plan=doubted)
    said = road_summary(RoadEnd(findings=known, folder=Path("results/x"), report=Path("r.html"), failure=None))
    lines = dict(reversed([(line[:9].strip(), line[10:]) for line in said.splitlines()]))
    assert lines["segment"].startswith("fp32: it lost most, 2 % of its rows, in B: right in 94 %")
    assert lines["doubts"] == "hardware is guessed [plan.extrapolated]"
    assert lines["better"].startswith("`loadplan profile SCENARIO --on aws/h.xlarge`: ")
