"""The forecast beside what was really billed, month by month, and why the two differ.

With p the price of a machine-hour and q their number, planned and actual, the difference is split exactly:

    actual - forecast = (q' - q) p  [quantity]  +  (cost' - q' p)  [price]  +  (other' - other)  [all other lines]

where cost' is what the actual machine-hours cost and other' the sum of all rows that aren't machine-hours. Costs are
the `EffectiveCost` of FOCUS, in USD. The decision a reader would question: the file is taken to hold the rows of this
service alone, since no bill knows which model a machine served unless its owner tagged it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from importlib.resources.abc import Traversable

from loadplan.catalog.csv_rows import CsvRow, cell_error, read_rows
from loadplan.errors import InputError
from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.cells import csv_text, safe_text
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.months import Month, month_of
from loadplan.units import in_cents

_COLUMNS = (
    "ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "EffectiveCost", "PricingQuantity", "PricingUnit",
    "ServiceCategory",
)  # fmt: skip
_HOUR_UNITS = frozenset({"hours", "hour", "hrs", "hr"})
_HEADER = (
    "month", "forecast_usd", "actual_usd", "difference_usd", "by_quantity_usd", "by_price_usd", "by_other_lines_usd",
    "forecast_machine_hours", "actual_machine_hours", "forecast_usd_per_machine_hour", "actual_usd_per_machine_hour",
    "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """The cost of one month."""

    machine_hours: Decimal
    machines_usd: Decimal
    other_usd: Decimal
    until: datetime | None = None  # the last instant that is billed; None: all of the month

    @property
    def usd(self) -> Decimal:
        """All of it."""
        return self.machines_usd + self.other_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthVariance:
    """Forecast and bill of one month; None: there is none for it."""

    month: Month
    forecast: Billed | None
    actual: Billed | None

    @property
    def by_quantity_usd(self) -> Decimal | None:
        """What more machine-hours than planned cost at the planned price."""
        if self.forecast is None or self.actual is None or self.price_usd is None:
            return None
        return (self.actual.machine_hours - self.forecast.machine_hours) * self.price_usd

    @property
    def by_price_usd(self) -> Decimal | None:
        """What the actual machine-hours cost more than at the planned price."""
        if self.actual is None or self.price_usd is None:
            return None
        return self.actual.machines_usd - self.actual.machine_hours * self.price_usd

    @property
    def by_other_usd(self) -> Decimal | None:
        """What all other lines cost more than planned."""
        return None if self.forecast is None or self.actual is None else self.actual.other_usd - self.forecast.other_usd

    @property
    def price_usd(self) -> Decimal | None:
        """Planned, of a machine-hour."""
        return None if self.forecast is None else self.forecast.machines_usd / self.forecast.machine_hours


def read_actuals(path: Traversable) -> Mapping[Month, Billed]:
    """What was billed in each month of a FOCUS file (CSV of any version), by the start of each charge.

    Raises:
        InputError: with file and line, where a cell can't be read, a row is a forecast or in another currency.
    """
    months: dict[Month, Billed] = {}
    ends: dict[Month, datetime] = {}
    for row in read_rows(path, _COLUMNS):
        _check(row)
        start, end = _instant(row, "ChargePeriodStart"), _instant(row, "ChargePeriodEnd")
        month = month_of(start.date())
        months[month] = _added(months.get(month), row)
        ends[month] = max(ends.get(month, end), end)
    if not months:
        raise InputError(what="the file holds no row", where=str(path), fix="export the rows of the months billed")
    return {month: _until(billed, month, ends[month]) for month, billed in months.items()}


def compare_months(
    plan: Plan, lines: Sequence[BudgetLine], actual: Mapping[Month, Billed], *, first: Month
) -> tuple[MonthVariance, ...]:
    """Every month that is planned or billed, in order.

    Args:
        plan: what was planned; a fleet is feasible.
        lines: what else is on the bill.
        actual: what was billed.
        first: the calendar month of the horizon's first.

    Raises:
        InputError: when no month is in both.
    """
    other = sum((line.usd_per_month or Decimal(0) for line in lines), Decimal(0))
    planned = {
        first.later(month.i_month): Billed(
            machine_hours=Decimal(month.n_replicas * plan.hours_per_month), machines_usd=month.usd, other_usd=other
        )
        for month in plan.months
    }
    if not planned.keys() & actual.keys():
        raise InputError(
            what=f"the bill is of {_span(actual)}, the forecast of {_span(planned)}",
            where="--actuals",
            fix=f"say with --from which month the plan begins in, such as --from {min(actual).name}",
        )
    return tuple(
        MonthVariance(month=month, forecast=planned.get(month), actual=actual.get(month))
        for month in sorted(planned.keys() | actual.keys())
    )


def actuals_csv(months: Sequence[MonthVariance]) -> str:
    """One row per month; empty where there is no forecast or no bill, never 0."""
    return csv_text(_HEADER, (_row(month) for month in months))


def _row(one: MonthVariance) -> list[str]:
    forecast, actual = one.forecast, one.actual
    difference = None if forecast is None or actual is None else actual.usd - forecast.usd
    return [
        one.month.name,
        _usd(None if forecast is None else forecast.usd),
        _usd(None if actual is None else actual.usd),
        _usd(difference),
        _usd(one.by_quantity_usd),
        _usd(one.by_price_usd),
        _usd(one.by_other_usd),
        "" if forecast is None else f"{forecast.machine_hours:f}",
        "" if actual is None else f"{actual.machine_hours:f}",
        "" if one.price_usd is None else f"{one.price_usd:.6f}",
        "" if actual is None or not actual.machine_hours else f"{actual.machines_usd / actual.machine_hours:.6f}",
        safe_text(_note(one)),
    ]


def _note(one: MonthVariance) -> str:
    if one.actual is None:
        return "not billed yet"
    partly = "" if one.actual.until is None else f"billed until {one.actual.until:%Y-%m-%dT%H:%MZ} only"
    return partly if one.forecast is not None else "; ".join(filter(None, ("outside the plan's horizon", partly)))


def _usd(amount: Decimal | None) -> str:
    return "" if amount is None else str(in_cents(amount))


def _span(months: Iterable[Month]) -> str:
    ordered = sorted(months)
    return f"{ordered[0].name} to {ordered[-1].name}"


def _check(row: CsvRow) -> None:
    if row.cells["BillingCurrency"] != "USD":
        said = row.cells["BillingCurrency"]
        raise cell_error(row, "BillingCurrency", f"{said!r} is not USD", "convert the costs, loadplan knows no rates")
    if row.cells.get("x_IsForecast", "").lower() == "true":
        raise cell_error(row, "x_IsForecast", "the row is a forecast", "give the rows of what was billed")


def _added(billed: Billed | None, row: CsvRow) -> Billed:
    known = billed or Billed(machine_hours=Decimal(0), machines_usd=Decimal(0), other_usd=Decimal(0))
    usd = _number(row, "EffectiveCost")
    is_machine = row.cells["PricingUnit"].lower() in _HOUR_UNITS and row.cells["ServiceCategory"] == "Compute"
    if not is_machine or not row.cells["PricingQuantity"]:
        return replace(known, other_usd=known.other_usd + usd)
    n_hours = known.machine_hours + _number(row, "PricingQuantity")
    return replace(known, machine_hours=n_hours, machines_usd=known.machines_usd + usd)


def _until(billed: Billed, month: Month, end: datetime) -> Billed:
    is_whole = end >= datetime.fromisoformat(month.later(1).start)
    return replace(billed, until=None if is_whole else end)


def _number(row: CsvRow, column: str) -> Decimal:
    """Corrections and credits are below 0."""
    text = row.cells[column]
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise cell_error(row, column, f"{text!r} is not a number", "write a plain number such as 12.34") from None
    if not number.is_finite():
        raise cell_error(row, column, f"{text} is not a number", "write a plain number such as 12.34")
    return number


def _instant(row: CsvRow, column: str) -> datetime:
    text = row.cells[column]
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise cell_error(row, column, f"{text!r} is no time", "write it like 2027-01-01T00:00:00Z") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
