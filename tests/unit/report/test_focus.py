"""Forecast rows in the shape of FOCUS: the columns of each version, and the plan's bill in them."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.focus import FocusVersion, columns_of, focus_csv, parse_version
from loadplan.report.budget.lines import NO_LINES, budget_lines
from loadplan.report.budget.months import Month, first_month
from loadplan.report.budget.text_sheets import Origin
from loadplan.scenario.spec import Scenario

ORIGIN = Origin(run="20261126T040000Z-0123456789", created_at="2026-11-26T04:00:00+00:00", version="1.0")
VERSIONS: tuple[FocusVersion, ...] = ("1.2", "1.4")
# Beside the repository where it is worked on; the columns were copied from it.
LIST = Path(__file__).parents[4] / "shared" / "catalog" / "focus_1_4_columns.csv"


def rows(
    plan: Plan, scenario: Scenario, version: FocusVersion = "1.4", given: dict[str, Decimal] | None = None
) -> list[dict[str, str]]:
    text = focus_csv(
        plan,
        scenario,
        origin=ORIGIN,
        lines=budget_lines(given or NO_LINES),
        version=version,
        first=Month(year=2026, number=12),
    )
    return list(csv.DictReader(io.StringIO(text)))


def bought(plan: Plan, **changed: object) -> Plan:
    assert plan.recommended is not None
    item = plan.recommended.items[0]
    offer = replace(item.offer, **changed)  # type: ignore[arg-type]
    return replace(plan, recommended=replace(plan.recommended, items=(replace(item, offer=offer),)))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_mandatory_column_is_there_and_none_of_another_version(
    plan: Plan, scenario: Scenario, version: FocusVersion
) -> None:
    named = [name for name in rows(plan, scenario, version)[0] if not name.startswith("x_")]
    known = {column.name: column for column in columns_of(version)}
    assert named == sorted(named)
    assert set(named) <= set(known)
    assert {name for name, column in known.items() if column.is_mandatory} <= set(named)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("purchase", ["on_demand", "spot", "commit_1y", "owned"])
def test_nothing_is_null_that_may_not_be(plan: Plan, scenario: Scenario, version: FocusVersion, purchase: str) -> None:
    known = {column.name: column for column in columns_of(version)}
    for row in rows(bought(plan, purchase=purchase), scenario, version, {"disk": Decimal(3)}):
        assert [name for name, cell in row.items() if not cell and name in known and not known[name].allows_null] == []


def test_providers_are_named_as_each_version_names_them(plan: Plan, scenario: Scenario) -> None:
    old, new = (set(rows(plan, scenario, version)[0]) for version in VERSIONS)
    assert {"ProviderName", "PublisherName"} <= old - new
    assert {"HostProviderName", "ServiceProviderName"} <= new - old


def test_1_2_has_57_columns_and_1_4_those_of_the_list() -> None:
    assert len(columns_of("1.2")) == 57
    if not LIST.is_file():
        pytest.skip("the list of columns is not beside the repository")
    with LIST.open() as file:
        listed = {row["column_id"]: row for row in csv.DictReader(file) if not row["column_id"].startswith("x_")}
    assert {column.name for column in columns_of("1.4")} == set(listed)
    assert all(column.allows_null == (listed[column.name]["allows_nulls"] == "True") for column in columns_of("1.4")
               if "(" not in listed[column.name]["allows_nulls"])  # fmt: skip


def test_the_rows_add_up_to_the_plans_bill_month_by_month(plan: Plan, scenario: Scenario) -> None:
    found = rows(plan, scenario)
    assert [Decimal(row["EffectiveCost"]) for row in found] == [month.usd for month in plan.months]
    for row in found:
        assert Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"]) == Decimal(row["ListCost"])
        assert row["x_IsForecast"] == "true"


def test_the_first_row_says_what_was_computed_by_hand(plan: Plan, scenario: Scenario) -> None:
    first = rows(plan, scenario)[0]
    # Four replicas at 0.10 USD for 730 hours; on average three quarters of 2,400 requests per second.
    expected = {
        "BillingPeriodStart": "2026-12-01T00:00:00Z",
        "BillingPeriodEnd": "2027-01-01T00:00:00Z",
        "ChargeDescription": "FORECAST loadplan: 4 x h.xlarge, scenario digits",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "HostProviderName": "AWS",
        "PricingCategory": "Standard",
        "PricingQuantity": "2920",
        "x_RequestCount": str(1800 * 730 * 3600),
        "x_CostPerMillionRequests": f"{292 / (1800 * 730 * 3600 / 1e6):.6f}",
        "x_Replicas": "4",
    }
    assert {name: first[name] for name in expected} == expected
    assert Decimal(first["BilledCost"]) == 292
    assert json.loads(first["SkuPriceDetails"])["CoreCount"] == 4
    assert json.loads(first["Tags"])["loadplan:scenario"] == "digits"


def test_months_go_on_over_the_turn_of_the_year(plan: Plan, scenario: Scenario) -> None:
    starts = [row["ChargePeriodStart"][:7] for row in rows(plan, scenario)]
    assert starts[:3] == ["2026-12", "2027-01", "2027-02"]
    assert starts[-1] == "2027-11"


def test_a_line_that_was_given_is_a_row_of_its_own(plan: Plan, scenario: Scenario) -> None:
    found = rows(plan, scenario, "1.4", {"load balancer": Decimal("16.43")})
    assert len(found) == 24
    assert (found[1]["ServiceCategory"], found[1]["EffectiveCost"]) == ("Networking", "16.43")
    assert "given with --line" in found[1]["ChargeDescription"]


def test_commitments_and_ones_own_machines_are_told_apart(plan: Plan, scenario: Scenario) -> None:
    committed = rows(bought(plan, purchase="commit_3y"), scenario)[0]
    assert (committed["PricingCategory"], committed["CommitmentDiscountType"]) == ("Committed", "3 years")
    owned = rows(bought(plan, purchase="owned"), scenario)[0]
    assert (owned["ChargeCategory"], owned["PricingCategory"], owned["ResourceType"]) == (
        "Purchase", "Other", "Bare Metal Server"
    )  # fmt: skip


def test_no_text_is_taken_for_a_formula(plan: Plan, scenario: Scenario) -> None:
    assert rows(bought(plan, region="=1+1"), scenario)[0]["RegionId"] == "'=1+1"


def test_a_budget_begins_in_the_month_after_its_run_unless_it_is_told_otherwise() -> None:
    assert first_month(None, created_at="2026-12-31T23:00:00+00:00").name == "2027-01"
    assert first_month("2028-02", created_at="2026-12-31T23:00:00+00:00").name == "2028-02"
    for text in ("2028-13", "28-01", "next"):
        with pytest.raises(InputError, match="no month"):
            first_month(text, created_at="2026-12-31T23:00:00+00:00")


def test_another_version_is_refused() -> None:
    with pytest.raises(InputError, match=r"FOCUS 1\.3"):
        parse_version("1.3")
