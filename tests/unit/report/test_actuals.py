"""Forecast beside bill: the split of the difference by hand, months without one of the two, files that are wrong."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadplan.cli.app import run_command_line
from loadplan.errors import InputError
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.actuals import Billed, MonthVariance, actuals_csv, compare_months, read_actuals
from loadplan.report.budget.lines import NO_LINES, budget_lines
from loadplan.report.budget.months import Month
from loadplan.scenario.spec import Scenario
from tests.unit.report.planned_run import write_run

HEADER = (
    "ChargePeriodStart,ChargePeriodEnd,BillingCurrency,EffectiveCost,PricingQuantity,PricingUnit,ServiceCategory,Tags"
)
DECEMBER = Month(year=2026, number=12)
Capture = pytest.CaptureFixture[str]


def row(start: str, end: str, usd: str, hours: str, *, unit: str = "Hours", category: str = "Compute") -> str:
    return f'{start}T00:00:00Z,{end}T00:00:00Z,USD,{usd},{hours},{unit},{category},"{{""a"": ""b,c""}}"'


def bill(folder: Path, *rows: str) -> Path:
    (folder / "bill.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder / "bill.csv"


def table(plan: Plan, path: Path, first: Month = DECEMBER) -> list[dict[str, str]]:
    months = compare_months(plan, budget_lines(NO_LINES), read_actuals(path), first=first)
    return list(csv.DictReader(io.StringIO(actuals_csv(months))))


def test_the_difference_is_split_into_quantity_price_and_other_lines(plan: Plan, tmp_path: Path) -> None:
    # Planned: 2,920 hours at 0.10 USD. Billed: 3,000 hours for 330 USD, and 20 USD for a load balancer.
    path = bill(
        tmp_path,
        row("2026-12-01", "2026-12-16", "110", "1000"),
        row("2026-12-16", "2027-01-01", "220", "2000", unit="hrs"),
        row("2026-12-01", "2027-01-01", "20", "1", unit="Months", category="Networking"),
    )
    first = table(plan, path)[0]
    assert first == {
        "month": "2026-12",
        "forecast_usd": "292.00",
        "actual_usd": "350.00",
        "difference_usd": "58.00",
        "by_quantity_usd": "8.00",  # 80 hours at 0.10
        "by_price_usd": "30.00",  # 3,000 hours at 0.01 more
        "by_other_lines_usd": "20.00",
        "forecast_machine_hours": "2920",
        "actual_machine_hours": "3000",
        "forecast_usd_per_machine_hour": "0.100000",
        "actual_usd_per_machine_hour": "0.110000",
        "note": "",
    }


def test_a_month_that_was_not_billed_is_empty_and_not_zero(plan: Plan, tmp_path: Path) -> None:
    second = table(plan, bill(tmp_path, row("2026-12-01", "2027-01-01", "1", "10")))[1]
    assert (second["month"], second["actual_usd"], second["difference_usd"]) == ("2027-01", "", "")
    assert second["note"] == "not billed yet"


def test_half_a_month_is_told(plan: Plan, tmp_path: Path) -> None:
    first = table(plan, bill(tmp_path, row("2026-12-01", "2026-12-15", "1", "10")))[0]
    assert first["note"] == "billed until 2026-12-15T00:00Z only"


def test_a_month_before_the_plan_is_shown_without_a_forecast(plan: Plan, tmp_path: Path) -> None:
    path = bill(tmp_path, row("2026-11-01", "2026-12-01", "50", "500"), row("2026-12-01", "2027-01-01", "1", "10"))
    before = table(plan, path)[0]
    assert (before["month"], before["forecast_usd"], before["actual_usd"], before["by_price_usd"]) == (
        "2026-11", "", "50.00", ""
    )  # fmt: skip
    assert "outside" in before["note"]


def test_credits_lower_the_bill(plan: Plan, tmp_path: Path) -> None:
    path = bill(
        tmp_path,
        row("2026-12-01", "2027-01-01", "292", "2920"),
        row("2026-12-01", "2027-01-01", "-42", "", category="Other", unit=""),
    )
    first = table(plan, path)[0]
    assert (first["difference_usd"], first["by_quantity_usd"], first["by_price_usd"], first["by_other_lines_usd"]) == (
        "-42.00", "0.00", "0.00", "-42.00"
    )  # fmt: skip


MONEY = st.decimals(min_value=0, max_value=1_000_000, places=4)


@given(hours=MONEY, usd=MONEY, other=MONEY, planned_hours=st.integers(1, 10**6), planned_usd=MONEY, planned_other=MONEY)
def test_the_parts_always_add_up_to_the_difference(
    hours: Decimal, usd: Decimal, other: Decimal, planned_hours: int, planned_usd: Decimal, planned_other: Decimal
) -> None:
    one = MonthVariance(
        month=DECEMBER,
        forecast=Billed(machine_hours=Decimal(planned_hours), machines_usd=planned_usd, other_usd=planned_other),
        actual=Billed(machine_hours=hours, machines_usd=usd, other_usd=other),
    )
    assert one.by_quantity_usd is not None
    assert one.by_price_usd is not None
    assert one.by_other_usd is not None
    parts = one.by_quantity_usd + one.by_price_usd + one.by_other_usd
    assert float(parts) == pytest.approx(float(usd + other - planned_usd - planned_other), abs=1e-6)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (row("2026-12-01", "2027-01-01", "much", "10"), "'much' is not a number"),
        (row("2026-12-01", "2027-01-01", "NaN", "10"), "NaN is not a number"),
        (row("December", "2027-01-01", "1", "10"), "is no time"),
        (row("2026-12-01", "2027-01-01", "1", "10").replace("USD", "EUR"), "'EUR' is not USD"),
    ],
    ids=["cost", "not a number", "time", "currency"],
)
def test_a_cell_that_is_wrong_is_told_by_its_line(tmp_path: Path, line: str, said: str) -> None:
    path = bill(tmp_path, row("2026-12-01", "2027-01-01", "1", "10"), line)
    with pytest.raises(InputError, match=said) as caught:
        read_actuals(path)
    assert "line 3" in caught.value.where


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row"):
        read_actuals(bill(tmp_path))


@pytest.fixture
def run(tmp_path: Path, scenario: Scenario, machine: Machine, plan: Plan) -> Path:
    return write_run(tmp_path, scenario=scenario, machine=machine, plan=plan)


def test_loadplans_own_forecast_is_no_bill(run: Path, capsys: Capture) -> None:
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26", "--focus", "1.4"]) == 0
    own = run / "budget" / "focus-1.4.csv"
    assert capsys.readouterr().out.strip() == own.read_text().strip()
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26", "--actuals", str(own)]) == 2
    assert "the row is a forecast" in capsys.readouterr().err


def test_a_bill_as_forecast_differs_by_nothing(run: Path, capsys: Capture) -> None:
    """FOCUS rows that the one half writes are read by the other as what they are."""
    assert (
        run_command_line(
            ["budget", str(run), "--as-of", "2026-11-26", "--focus", "1.2", "--line", "disk=9.5", "--from", "2027-03"]
        )
        == 0
    )
    billed = run / "billed.csv"
    billed.write_text(capsys.readouterr().out.replace(",true,", ",false,"))
    command = [
        "budget",
        str(run),
        "--as-of",
        "2026-11-26",
        "--actuals",
        str(billed),
        "--line",
        "disk=9.5",
        "--from",
        "2027-03",
    ]
    assert run_command_line(command) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(found) == 12
    for each in found:
        assert [each[name] for name in ("difference_usd", "by_quantity_usd", "by_price_usd", "by_other_lines_usd")] == [
            "0.00"
        ] * 4
    assert (run / "budget" / "actuals.csv").is_file()


def test_months_that_never_meet_say_how_to_shift_the_plan(run: Path, tmp_path: Path, capsys: Capture) -> None:
    path = bill(tmp_path, row("2026-10-01", "2026-11-01", "1", "10"))
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26", "--actuals", str(path)]) == 2
    assert "--from 2026-10" in capsys.readouterr().err
    assert (
        run_command_line(["budget", str(run), "--as-of", "2026-11-26", "--actuals", str(path), "--from", "2026-10"])
        == 0
    )


@pytest.mark.parametrize(
    "options", [["--focus", "2"], ["--from", "soon", "--focus", "1.4"], ["--focus", "1.4", "--actuals", "x"]]
)
def test_what_can_not_be_asked_is_one_message(run: Path, capsys: Capture, options: list[str]) -> None:
    assert run_command_line(["budget", str(run), "--as-of", "2026-11-26", *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("error:")) == ("", 1)
