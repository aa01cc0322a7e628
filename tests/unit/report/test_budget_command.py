"""`loadplan budget` on a run folder: what it prints, what it writes, and what it says where there is no bill."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.cli.app import run_command_line
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.spec import Scenario
from tests.unit.report.planned_run import write_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day on which the prices of the plan are young enough for a budget, whenever this is run."""
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture
def run(tmp_path: Path, scenario: Scenario, machine: Machine, plan: Plan) -> Path:
    return write_run(tmp_path, scenario=scenario, machine=machine, plan=plan)


def test_the_months_are_printed_and_the_workbook_is_written(run: Path, capsys: Capture) -> None:
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26"]) == 0
    said = capsys.readouterr()
    assert [row["n_replicas"] for row in csv.DictReader(io.StringIO(said.out))][:5] == ["4", "4", "4", "4", "5"]
    assert (run / "budget" / "budget.xlsx").read_bytes().startswith(b"PK")
    assert "budget.xlsx" in said.err


def test_json_names_the_files(run: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26", "--json", "-o", str(tmp_path / "out")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "loadplan.budget/1"
    assert [Path(file).name for file in document["files"]] == ["budget.csv", "budget.xlsx"]
    assert all(Path(file).is_file() for file in document["files"])


def test_what_else_a_month_costs_is_a_row_of_its_own(run: Path, capsys: Capture) -> None:
    assert (
        run_command_line(
            ["budget", str(run), "--as-of", "2026-11-26", "--line", "load balancer=16.43", "--line", "disk=0"]
        )
        == 0
    )
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["month"], row["line"], row["usd_per_month"], row["evidence"]) for row in rows[:3]] == [
        ("0", "machines", "292.00", "extrapolated"),
        ("0", "load balancer", "16.43", "assumed"),
        ("0", "disk", "0.00", "assumed"),
    ]
    assert len(rows) == 36


@pytest.mark.parametrize("text", ["balancer=3", "disk=much", "disk=-1", "disk=NaN", "disk"])
def test_a_line_that_is_none_is_one_message(run: Path, capsys: Capture, text: str) -> None:
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26", "--line", text]) == 2
    assert "--line" in capsys.readouterr().err
    assert not (run / "budget").exists()


def test_a_run_without_a_plan_says_how_to_get_one(
    tmp_path: Path, scenario: Scenario, machine: Machine, capsys: Capture
) -> None:
    run = write_run(tmp_path, scenario=scenario, machine=machine, plan=None)
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26"]) == 2
    said = capsys.readouterr()
    assert "no plan yet" in said.err
    assert said.out == ""


def test_where_nothing_is_feasible_there_is_no_bill(
    tmp_path: Path, scenario: Scenario, machine: Machine, make_plan: Callable[[Scenario], Plan], capsys: Capture
) -> None:
    poor = replace(scenario, plan=replace(scenario.plan, budget_usd_per_month=Decimal(10)))
    run = write_run(tmp_path, scenario=poor, machine=machine, plan=make_plan(poor))
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26"]) == 1
    assert capsys.readouterr().out == ""
    assert not (run / "budget").exists()


@pytest.mark.parametrize(
    ("year", "has_bill"), [pytest.param(2026, True, id="young prices"), pytest.param(2029, False, id="old ones")]
)
def test_a_report_comes_without_a_bill_where_its_prices_are_too_old_for_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, year: int, has_bill: bool
) -> None:
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(year, 11, 24, tzinfo=UTC))
    assert run_command_line(["report", str(run), "--quiet"]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert (run / "budget.csv").is_file() is has_bill
    assert ("Download the months as CSV" in page) is has_bill
    assert (
        "There is no budget to take away: the price of aws/east/h.xlarge/on_demand was seen" in page
    ) is not has_bill


def test_a_bill_goes_when_its_prices_have_become_too_old_for_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for year in (2026, 2029):
        monkeypatch.setattr("loadplan.clock.utc_now", lambda year=year: datetime(year, 11, 24, tzinfo=UTC))
        assert run_command_line(["report", str(run), "--quiet"]) == 0
        there = [(run / name).is_file() for name in ("budget.csv", "budget.xlsx")]
        assert there == [year == 2026] * 2


def test_no_bill_rests_on_a_price_that_is_too_old(run: Path, capsys: Capture) -> None:
    assert run_command_line(["budget", str(run), "--as-of", "2028-01-01"]) == 2
    said = capsys.readouterr().err
    assert "days before 2028-01-01; a budget rests on prices of its kind for 365 days at most" in said
    assert not (run / "budget").exists()
