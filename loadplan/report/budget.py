"""The budget as plain rows: what to buy in each month of the horizon and what it costs.

Money is exact to the cent. The decision a reader would question: there is no total row, since whoever sums a column
with a total in it gets twice the bill; and a plan in which nothing is feasible gives the header alone, since a row
with a price in it would be read as an offer.
"""

import csv
import io
from decimal import Decimal

from loadplan.plan.fleet import FleetItem, MonthCost, Plan
from loadplan.report.view import plain

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
)
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t")
_CENT = Decimal("0.01")


def budget_csv(plan: Plan) -> str:
    """One row per month and offer; the unit of every figure is in its column's name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    if plan.recommended is not None:
        item = plan.recommended.items[0]
        writer.writerows(_row(plan, month, item, plan.recommended.basis) for month in plan.months)
    return text.getvalue()


def _row(plan: Plan, month: MonthCost, item: FleetItem, evidence: str) -> list[str]:
    offer = item.offer
    return [
        str(month.i_month),
        f"{month.peak_rps:.6g}",
        _text(offer.instance_type.provider),
        _text(offer.region),
        _text(offer.instance_type.name),
        offer.purchase,
        str(month.n_replicas),
        str(offer.usd_per_hour),
        str(plan.hours_per_month),
        str(month.usd.quantize(_CENT)),
        evidence,
        offer.price_date.isoformat(),
        _text(offer.source),
        _text(offer.layer),
    ]


def _text(cell: str) -> str:
    """A text that no spreadsheet takes for a formula, and whose control characters are written out."""
    shown = plain(cell)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown
