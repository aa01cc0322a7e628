"""The sheets of the workbook around those that compute: the answer, the table that is looked up, and the sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.months_now import MonthNow, months_now
from loadplan.report.budget.options import Options
from loadplan.report.budget.xlsx import Sheet, ref, span
from loadplan.report.view import fleet_name, ms, objectives_text, price_per_hour, rate, usd
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
    sheet: Sheet, plan: Plan, scenario: Scenario, *, options: Options, origin: Origin, lines: Sequence[BudgetLine]
) -> None:
    """The answer as it stands in the sheet, beside what was planned, and what it leaves out."""
    sheet.layout((34, 70, 50))
    sheet.text(0, 0, f"Budget of {scenario.name}", "title")
    sheet.text(1, 0, f"loadplan {origin.version}, run {origin.run}, oldest price of {plan.oldest_price_date}", "note")
    sheet.texts(2, ("", "now in this sheet", "as planned"), "head")
    fleet = plan.recommended or options.fleets[0]
    row = _write_figures(sheet, plan, fleet, options.fleets[0], months_now(plan, scenario, options, lines))
    for label, said in _facts(plan, scenario, fleet, lines):
        sheet.text(row, 0, label, "wrapped")
        sheet.text(row, 1, said, "wrapped")
        row += 1


def _write_figures(sheet: Sheet, plan: Plan, planned: Fleet, shown: Fleet, months: Sequence[MonthNow]) -> int:
    """Each figure computed and as planned; returns the row below."""
    other_usd, n_months = months[0].other_usd, len(months)
    totals = f"Months!{span((FIRST_ROW, 5), (FIRST_ROW + n_months - 1, 5))}"
    is_whole = f"COUNT({totals})={n_months}"
    offer = f"INDEX(Options!{span((FIRST_ROW, 1), (FIRST_ROW + 199, 1))},Chosen_option)"
    usd = [month.usd for month in months if month.usd is not None]
    fine, asked = "every month lies within the table", "a peak lies beyond the table: plan again with loadplan"
    now: tuple[tuple[str, str, float | str, str], ...] = (
        ("peak, requests/s", "=Peak_rps", plan.peak_rps, "rate"),
        ("offer", f"={offer}", shown.items[0].offer.name, "plain"),
        ("replicas in the first month", f"=Months!{ref(FIRST_ROW, 2)}", _or_beyond(months[0].n_replicas), "count"),
        ("USD in the first month", f"=Months!{ref(FIRST_ROW, 5)}", _or_beyond(months[0].usd), "usd"),
        (
            f"USD in all {n_months} months",
            f'=IF({is_whole},SUM({totals}),"{BEYOND}")',
            float(sum(usd)) if len(usd) == n_months else BEYOND,
            "usd",
        ),
        ("check", f'=IF({is_whole},"{fine}","{asked}")', fine if len(usd) == n_months else asked, "plain"),
    )
    for row, (label, formula, value, style) in enumerate(now, FIRST_ROW):
        sheet.text(row, 0, label)
        sheet.formula(row, 1, formula, now=value, style=style)
    sheet.number(3, 2, plan.peak_rps, "rate")
    sheet.text(4, 2, " + ".join(item.offer.name for item in planned.items))
    sheet.number(5, 2, sum(item.n_replicas for item in planned.items), "count")
    sheet.number(6, 2, float(planned.usd_per_month + other_usd), "usd")
    sheet.number(7, 2, float(sum((month.usd + other_usd for month in plan.months), Decimal(0))), "usd")
    return FIRST_ROW + len(now) + 1


def _or_beyond(value: int | Decimal | None) -> float | str:
    return BEYOND if value is None else float(value)


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
        *_mixed(fleet),
        *_scaled(plan),
        *((f"doubt: {caveat.code}", f"{caveat.what}; {caveat.fix}") for caveat in plan.caveats),
    ]


def _mixed(fleet: Fleet) -> list[tuple[str, str]]:
    if len(fleet.items) == 1:
        return []
    said = "the plan recommends machines of several types together; the sheet computes fleets of one type beside it"
    return [("not computed here", said)]


def _scaled(plan: Plan) -> list[tuple[str, str]]:
    """What following the week would cost: the sheet pays for every replica all of the time."""
    if plan.scaling is None:
        return []
    costs = ", ".join(f"{one.policy} {usd(one.usd_per_month)}" for one in plan.scaling.policies)
    return [("scaling with the week", f"a month by policy, first month: {costs}; the sheet shows static fleets")]


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
        sheet.number(row, 1, float(price_per_hour(offer)), "price")
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
