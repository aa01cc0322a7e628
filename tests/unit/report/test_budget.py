"""The budget's rows, by hand-computed cases."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.rows import budget_csv
from loadplan.scenario.spec import Scenario


def rows(plan: Plan) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(budget_csv(plan))))


def renamed(plan: Plan, name: str) -> Plan:
    """The same plan on an instance type of another name."""
    assert plan.recommended is not None
    item = plan.recommended.items[0]
    offer = replace(item.offer, instance_type=replace(item.offer.instance_type, name=name))
    return replace(plan, recommended=replace(plan.recommended, items=(replace(item, offer=offer),)))


def test_each_month_is_priced_by_the_replicas_that_its_peak_needs(plan: Plan) -> None:
    # One replica carries 1,440 x 0.8 = 1,152; the peak grows by a tenth from 2,400; one spare; 73 USD each.
    first, last = rows(plan)[0], rows(plan)[-1]
    assert (first["peak_rps"], first["n_replicas"], first["usd_per_month"]) == ("2400", "4", "292.00")
    # 2,400 x 1.1^11 = 6,847.5; / 1,152 = 5.94.
    assert (last["peak_rps"], last["n_replicas"], last["usd_per_month"]) == ("6847.48", "7", "511.00")


def test_the_months_sum_to_the_bill_of_the_horizon(plan: Plan) -> None:
    # 4 months of 4 replicas, 3 of 5, 3 of 6 and 2 of 7, at 73 USD.
    assert sum(Decimal(row["usd_per_month"]) for row in rows(plan)) == 73 * (4 * 4 + 3 * 5 + 3 * 6 + 2 * 7)


def test_there_is_one_row_per_month_and_no_total(plan: Plan) -> None:
    assert [row["month"] for row in rows(plan)] == [str(i) for i in range(12)]


def test_a_row_names_the_offer_its_evidence_and_its_price(plan: Plan) -> None:
    assert rows(plan)[0] == {
        "month": "0",
        "peak_rps": "2400",
        "provider": "aws",
        "region": "east",
        "instance_type": "h.xlarge",
        "purchase": "on_demand",
        "n_replicas": "4",
        "usd_per_hour_each": "0.10",
        "hours_per_month": "730",
        "usd_per_month": "292.00",
        "evidence": "extrapolated",
        "price_date": "2026-11-01",
        "price_source": "test",
        "price_layer": "shipped test",
        "line": "machines",
    }


def test_a_plan_in_which_nothing_is_feasible_gives_the_header_alone(
    scenario: Scenario, make_plan: Callable[[Scenario], Plan]
) -> None:
    poor = replace(scenario, plan=replace(scenario.plan, budget_usd_per_month=Decimal(10)))
    text = budget_csv(make_plan(poor))
    assert text.startswith("month,peak_rps,provider,")
    assert text.count("\n") == 1


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"], ids=repr)
def test_no_name_is_taken_for_a_formula(plan: Plan, name: str) -> None:
    assert rows(renamed(plan, name))[0]["instance_type"] == f"'{name}"


def test_a_carriage_return_breaks_no_row(plan: Plan) -> None:
    assert rows(renamed(plan, "a\r=1"))[0]["instance_type"] == "a\\u000d=1"


def test_a_name_with_commas_and_quotes_stays_one_cell(plan: Plan) -> None:
    assert rows(renamed(plan, 'a,"b"\nc'))[0]["instance_type"] == 'a,"b"\nc'
