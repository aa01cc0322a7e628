"""The sheets of the workbook around those that compute: the answer, the table that is looked up, and the sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.fleet import Fleet, Plan
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.options import Options
from loadplan.report.budget.xlsx import Sheet, ref, span
from loadplan.report.view import fleet_name, ms, objectives_text, rate, usd
from loadplan.scenario.spec import Scenario

FIRST_ROW = 3  # of options, months and inputs; headings stand above
BEYOND = "beyond the table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a budget comes from."""

    run: str  # name of the run folder
    created_at: str  # when the run was begun: UTC, ISO 8601
    version: str  # of loadplan


def write_summary(
    sheet: Sheet, plan: Plan, scenario: Scenario, *, fleet: Fleet, origin: Origin, lines: Sequence[BudgetLine]
) -> None:
    """The answer as it stands in the sheet, beside what was planned, and what it leaves out."""
    sheet.layout((34, 44, 44))
    sheet.text(0, 0, f"Budget of {scenario.name}", "title")
    sheet.text(1, 0, f"loadplan {origin.version}, run {origin.run}, oldest price of {plan.oldest_price_date}", "note")
    sheet.texts(2, ("", "now in this sheet", "as planned"), "head")
    row = _write_figures(sheet, plan, fleet, lines)
    for label, said in _facts(plan, scenario, fleet, lines):
        sheet.text(row, 0, label)
        sheet.text(row, 1, said, "wrapped")
        row += 1


def _write_figures(sheet: Sheet, plan: Plan, fleet: Fleet, lines: Sequence[BudgetLine]) -> int:
    """Each figure computed and as planned; returns the row below."""
    other = sum((line.usd_per_month or Decimal(0) for line in lines), Decimal(0))
    n_months, total = len(plan.months), sum((month.usd + other for month in plan.months), Decimal(0))
    n_replicas, month = fleet.items[0].n_replicas, float(fleet.usd_per_month + other)
    totals = f"Months!{span((FIRST_ROW, 5), (FIRST_ROW + n_months - 1, 5))}"
    offer = f"INDEX(Options!{span((FIRST_ROW, 1), (FIRST_ROW + 199, 1))},Chosen_option)"
    cells = [ref(FIRST_ROW, column) for column in (2, 5)]
    sheet.text(3, 0, "peak, requests/s")
    sheet.formula(3, 1, "=Peak_rps", now=plan.peak_rps, style="rate")
    sheet.number(3, 2, plan.peak_rps, "rate")
    sheet.text(4, 0, "offer")
    sheet.formula(4, 1, f"={offer}", now=fleet.items[0].offer.name)
    sheet.text(4, 2, fleet.items[0].offer.name)
    sheet.text(5, 0, "replicas in the first month")
    sheet.formula(5, 1, f"=Months!{cells[0]}", now=n_replicas, style="count")
    sheet.number(5, 2, n_replicas, "count")
    sheet.text(6, 0, "USD in the first month")
    sheet.formula(6, 1, f"=Months!{cells[1]}", now=month, style="usd")
    sheet.number(6, 2, month, "usd")
    sheet.text(7, 0, f"USD in all {n_months} months")
    whole = f'=IF(COUNT({totals})={n_months},SUM({totals}),"{BEYOND}")'
    sheet.formula(7, 1, whole, now=float(total), style="usd")
    sheet.number(7, 2, float(total), "usd")
    sheet.text(8, 0, "check")
    fine = "every month lies within the table"
    asked = "a peak lies beyond the table: plan again with loadplan"
    sheet.formula(8, 1, f'=IF(COUNT({totals})={n_months},"{fine}","{asked}")', now=fine)
    return 10


def _facts(plan: Plan, scenario: Scenario, fleet: Fleet, lines: Sequence[BudgetLine]) -> list[tuple[str, str]]:
    """What a reader needs beside the figures, each in one line."""
    excluded = [line.name for line in lines if line.usd_per_month is None]
    other = (
        f"the sheet compares the {1 + len(plan.runners_up)} best of the plan; far from the planned peak another offer "
        "may be cheaper: plan again there"
    )
    p99 = "unknown" if fleet.predicted_p99_s is None else f"{ms(fleet.predicted_p99_s)} at the peak, spares gone"
    return [
        ("fleet", fleet_name(fleet)),
        ("why", fleet.reason),
        ("objectives", objectives_text(scenario)),
        ("predicted p99", p99),
        ("evidence of the capacities", fleet.basis),
        ("average demand over the week", rate(plan.mean_rps)),
        ("cost in the first month", f"{usd(fleet.usd_per_month)} for machines"),
        ("left out", ", ".join([*excluded, "taxes", "discounts"])),
        ("other options", other),
        *((f"doubt: {caveat.code}", f"{caveat.what}; {caveat.fix}") for caveat in plan.caveats),
    ]


def write_capacities(sheet: Sheet, options: Options) -> None:
    """What so many replicas of each option carry: by rows the replicas left with the spares gone."""
    sheet.layout((14, *(22 for _ in options.fleets)), n_frozen_rows=FIRST_ROW)
    sheet.text(
        0, 0, "Requests per second that so many replicas carry within every objective, no headroom kept", "title"
    )
    sheet.texts(1, ("offer", *(fleet.items[0].offer.name for fleet in options.fleets)), "head")
    sheet.text(2, 0, "replicas, option", "head")
    for i in range(len(options.fleets)):
        sheet.number(2, i + 1, i + 1, "count")
    for i_row in range(options.n_rows):
        sheet.number(FIRST_ROW + i_row, 0, i_row + 1, "count")
        for i, carried in enumerate(options.carried_rps):
            sheet.number(FIRST_ROW + i_row, i + 1, carried[i_row], "rate")


def write_sources(sheet: Sheet, plan: Plan, options: Options, origin: Origin) -> None:
    """Where each price comes from, and how to make all of it again."""
    sheet.layout((52, 16, 14, 70, 26, 30), n_frozen_rows=FIRST_ROW)
    sheet.text(0, 0, "Where the figures come from", "title")
    sheet.texts(2, ("price", "USD per hour", "seen", "source", "layer", "quality"), "head")
    row = FIRST_ROW
    for fleet in options.fleets:
        offer = fleet.items[0].offer
        sheet.text(row, 0, offer.name)
        sheet.number(row, 1, float(offer.usd_per_hour), "price")
        sheet.texts(row, (offer.price_date.isoformat(), offer.source, offer.layer, offer.quality), column=2)
        row += 1
    others = (
        ("catalogue", plan.catalog_version),
        ("oldest price compared", str(plan.oldest_price_date)),
        ("made by", f"loadplan {origin.version}"),
        ("run folder", origin.run),
        ("begun", origin.created_at),
        ("plan", "plan.json in the run folder"),
    )
    for label, said in others:
        row += 1
        sheet.texts(row, (label, said))
