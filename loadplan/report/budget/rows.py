"""The budget as plain rows: what to buy in each month of the horizon and what it costs.

Money is exact to the cent. The decision a reader would question: there is no total row, since whoever sums a column
with a total in it gets twice the bill; and a plan in which nothing is feasible gives the header alone, since a row
with a price in it would be read as an offer.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from loadplan.plan.records.fleet import MonthCost, Plan
from loadplan.report.budget.bought import Bought, bought_in
from loadplan.report.budget.cells import csv_text, safe_text
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.view import price_per_hour
from loadplan.units import in_cents

_HEADER = (
    "month",  # 0 is the first month of the horizon
    "peak_rps",  # requests per second in the busiest hour
    "provider",
    "region",
    "instance_type",
    "purchase",
    "n_replicas",
    "usd_per_hour_each",
    "hours_per_month",
    "usd_per_month",
    "evidence",  # where the capacity comes from: measured, simulated, extrapolated, given or assumed
    "price_date",  # the day on which this price was seen
    "price_source",
    "price_layer",  # shipped with loadplan, or given by the user
    "line",  # `machines`, or what else is on the bill
)


def budget_csv(plan: Plan, lines: Sequence[BudgetLine] = ()) -> str:
    """One row per month and offer, and one per month and other line that has a cost; units are in the columns' names.

    Lines that are excluded have no rows: the workbook names them.
    """
    return csv_text(_HEADER, _rows(plan, lines))


def _rows(plan: Plan, lines: Sequence[BudgetLine]) -> Iterator[list[str]]:
    for month in plan.months:
        for bought in bought_in(plan, month):
            yield _machines(plan, month, bought)
        for line in lines:
            if line.usd_per_month is not None:
                yield _other(month, line.name, line.usd_per_month, line.source)


def _machines(plan: Plan, month: MonthCost, bought: Bought) -> list[str]:
    offer = bought.offer
    return [
        str(month.i_month),
        f"{month.peak_rps:.6g}",
        safe_text(offer.instance_type.provider),
        safe_text(offer.region),
        safe_text(offer.instance_type.name),
        offer.purchase,
        str(bought.n_replicas),
        str(price_per_hour(offer)),
        str(plan.hours_per_month),
        str(in_cents(bought.usd)),
        plan.recommended.basis if plan.recommended else "",
        offer.price_date.isoformat(),
        safe_text(offer.source),
        safe_text(offer.layer),
        "machines",
    ]


def _other(month: MonthCost, name: str, usd: Decimal, source: str) -> list[str]:
    nothing = [""] * 7
    return [
        str(month.i_month),
        f"{month.peak_rps:.6g}",
        *nothing,
        str(in_cents(usd)),
        "assumed",
        "",
        safe_text(source),
        "",
        safe_text(name),
    ]
