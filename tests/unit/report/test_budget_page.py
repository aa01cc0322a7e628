"""The page for whoever owns the budget: money first, no benchmarks, every term explained."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from loadplan.catalog.price import Catalog
from loadplan.cli.app import run_command_line
from loadplan.fit.records import CapacityFit
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.findings import Findings, Provenance
from loadplan.report.glossary import GLOSSARY
from loadplan.report.html import render_report
from loadplan.scenario.spec import Scenario
from tests.unit.report.planned_run import write_run
from tests.unit.report.reading import answer, everything

Page = Callable[[Findings], str]
# What a reader who plans money and no servers may not know; each that the page says is to be explained on it.
_JARGON = (
    "instance type", "offer", "fleet", "replica", "on demand", "committed", "spot", "assumed discount",
    "near-tie", "paid by the request", "cold start", "static", "scheduled", "reactive", "short", "thin", "CO2e",
    "requests/s", "peak", "limit", "p99", "p50", "offered rate", "clusters", "Poisson", "usable capacity",
    "headroom", "spare", "redundancy", "zone", "batch", "window", "law", "interval", "measured", "simulated",
    "extrapolated", "given", "assumed", "PASS",
)  # fmt: skip


@pytest.fixture
def whole(findings: Findings, scenario: Scenario, fit: CapacityFit, catalog: Catalog) -> Findings:
    """With everything that lies around the plan."""
    search = searching(fit=fit, catalog=catalog, as_of=date(2026, 11, 20))
    return replace(findings, plan=plan_with_outlook(search, scenario=scenario, catalog=catalog))


@pytest.fixture
def page(provenance: Provenance) -> Page:
    return lambda known: render_report(known, provenance, audience="budget")


def test_the_money_comes_first(page: Page, whole: Findings) -> None:
    html = page(whole)
    (headline,) = re.findall(r"<h1>(.*?)</h1>", html)
    assert headline == "$292.00 a month at first, $4,599.00 in 12 months"
    first, *_ = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert first == "What does it cost over time?"
    said = answer(html)
    assert "4 × h.xlarge (aws/east, on demand)" in said
    assert "$146.00 to $292.00 by what a replica may carry" in said
    assert "0 spares" in said  # what would save most, and what it gives up
    assert "per million requests" in said


def test_no_benchmark_is_on_it(page: Page, whole: Findings) -> None:
    said = everything(page(whole))
    for left_out in ("How long does one batch take?", "Which cell of the grid is best?", "Every cell", "sha256"):
        assert left_out not in said
    assert "1 doubt about single benchmarks" in said  # folded away, not hidden


def test_every_term_of_it_is_explained_and_nothing_is_folded_over_the_words(page: Page, whole: Findings) -> None:
    html = page(whole)
    glossary = html[html.index('id="words"') :]
    explained = " ".join(term for term, _ in GLOSSARY.rows) + " " + " ".join(said for _, said in GLOSSARY.rows)
    body = everything(html[: html.index('id="words"')]).lower()
    said = [term for term in _JARGON if term.lower() in body]
    assert len(said) > 20
    assert [term for term in said if term.lower() not in explained.lower()] == []
    assert "<details>" not in glossary[: glossary.index("</section>")]


def test_what_no_live_run_has_shown_is_only_planned(page: Page, whole: Findings) -> None:
    html = page(replace(whole, verdict=None, verification=None))
    assert "NOT VERIFIED" in answer(html)
    (headline,) = re.findall(r"<h1>(.*?)</h1>", html)
    assert headline.startswith("Planned: $292.00")
    assert "Nobody has driven this on the machines that it buys" in everything(html)


def test_where_nothing_will_do_the_reason_stands(
    page: Page, whole: Findings, scenario: Scenario, make_plan: Callable[[Scenario], Plan]
) -> None:
    nowhere = replace(scenario, plan=replace(scenario.plan, regions=("nowhere",)))
    known = replace(whole, scenario=nowhere, plan=make_plan(nowhere), verdict=None, verification=None)
    assert "NOTHING WILL DO" in answer(page(known))


def test_the_command_writes_it_beside_the_budget(
    tmp_path: Path,
    scenario: Scenario,
    machine: Machine,
    plan: Plan,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))
    run = write_run(tmp_path, scenario=scenario, machine=machine, plan=plan)
    assert run_command_line(["report", str(run), "--audience", "budget", "--quiet"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == run / "budget" / "report.html"
    assert "$292.00 a month at first" in path.read_text(encoding="utf-8")
    assert not (run / "report.html").exists()
