"""The summary of a run fits on one screen of 40 rows and 120 columns."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from loadplan.catalog.price import Catalog
from loadplan.caveat import Caveat
from loadplan.cli.summary import plan_summary, road_summary
from loadplan.fit.records import CapacityFit
from loadplan.pipeline.road import RoadEnd
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.findings import Findings
from loadplan.scenario.spec import Scenario

Planned = Callable[[int], Plan]


@pytest.fixture
def planned(scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> Planned:
    """A plan with all that lies around it, and six doubts of so many letters each."""
    today = replace(scenario, plan=replace(scenario.plan, today=(("aws/east/h.xlarge/on_demand", 10),)))
    search = searching(fit=fit, catalog=catalog, as_of=date(2026, 11, 20))
    plan = plan_with_outlook(search, scenario=today, catalog=catalog)

    def doubted(n_letters: int) -> Plan:
        caveats = (Caveat(code=f"plan.doubt_{i}", what=f"{i}" + "x" * (n_letters - 1), fix="look") for i in range(6))
        return replace(plan, caveats=tuple(caveats))

    return doubted


def rows(text: str) -> int:
    return sum(-(-len(line) // 120) for line in text.splitlines())


@pytest.mark.parametrize(
    ("n_letters", "n_shown"),
    [
        pytest.param(90, 4, id="four doubts of one row"),
        pytest.param(1000, 1, id="of nine rows there is room for one, or two"),
    ],
)
def test_the_summary_of_a_run_fits_on_a_screen_however_long_its_doubts_are(
    findings: Findings, planned: Planned, n_letters: int, n_shown: int
) -> None:
    known = replace(findings, plan=planned(n_letters))
    said = road_summary(RoadEnd(findings=known, folder=Path("results/x"), report=Path("r.html"), failure=None))
    assert rows(said) <= 40
    assert sum("xxxx" in line for line in said.splitlines()) >= n_shown
    assert "more in the report" in said
    assert said.splitlines()[-1].startswith("report")


def test_a_plan_by_itself_tells_its_doubts(planned: Planned) -> None:
    said = plan_summary(planned(100)).splitlines()
    assert [line for line in said if line.startswith("doubts    0xxx")] != []
    assert said[-1].strip() == "and 2 more with --json"
