"""`budget.xlsx`: the bill as a sheet that computes. Change a yellow cell, and replicas and cost follow.

Replicas are looked up: the least count that carries the peak once the spares are gone and the headroom is kept, in the
table on `Capacities`, as the planner counts. The cheapest option wins by the planner's order: cost, then fewer
replicas, then more headroom, then the name. Rates are requests per second, money is USD. The decision a reader would
question: what a peak beyond the table's end would cost is not guessed; the cells say so in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from loadplan.plan.fleet import Plan
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.options import Options, read_options, sizing_rps
from loadplan.report.budget.text_sheets import BEYOND, FIRST_ROW, Origin, write_capacities, write_sources, write_summary
from loadplan.report.budget.xlsx import Book, Sheet, ref, span
from loadplan.scenario.spec import Scenario

# How far two computed rates may differ and still be the same: binary floats miss ten times 0.1 by less.
_NOISE = "(1-1E-12)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """A yellow cell that formulas call by its name."""

    name: str
    label: str
    value: float
    unit: str
    style: str
    source: str


def budget_workbook(plan: Plan, scenario: Scenario, *, origin: Origin, lines: Sequence[BudgetLine]) -> bytes:
    """The workbook of a plan in which a fleet is feasible: Summary, Assumptions, Options, Months, Capacities, Sources.

    Args:
        plan: what was planned; every formula shows its figures until a cell is changed.
        scenario: the question behind it.
        origin: the run that it comes from.
        lines: what else is on the bill, or is left out by name.
    """
    book = Book(title=f"Budget of {scenario.name}", created_at=datetime.fromisoformat(origin.created_at))
    options = read_options(plan)
    summary = book.sheet("Summary")
    assumptions, offers, months = (book.sheet(name) for name in ("Assumptions", "Options", "Months"))
    capacities, sources = book.sheet("Capacities"), book.sheet("Sources")
    _write_assumptions(book, assumptions, plan, _inputs(plan, scenario, lines))
    _write_options(book, offers, options)
    _write_months(months, plan, options, lines)
    write_capacities(capacities, options)
    write_sources(sources, plan, options, origin)
    write_summary(summary, plan, scenario, fleet=options.fleets[0], origin=origin, lines=lines)
    return book.to_bytes()


def _inputs(plan: Plan, scenario: Scenario, lines: Sequence[BudgetLine]) -> list[_Input]:
    rules, growth = scenario.plan, scenario.traffic.growth_per_month_ratio
    given = "scenario: traffic.peak_rps", "scenario: traffic.growth_per_month_ratio"
    money = [
        _Input(
            name=line.name.replace(" ", "_").capitalize(),
            label=line.name,
            value=float(line.usd_per_month or 0),
            unit="USD per month",
            style="input_usd",
            source=f"{line.kind}: {line.source}" if line.usd_per_month is not None else line.source,
        )
        for line in lines
    ]
    return [
        _Input(name="Peak_rps", label="peak", value=plan.peak_rps, unit="requests/s", style="input_rate",
               source=given[0]),
        _Input(name="Growth_per_month", label="growth per month", value=growth, unit="ratio", style="input_ratio",
               source=given[1]),
        _Input(name="Headroom", label="headroom kept free at the peak", value=plan.headroom_ratio, unit="ratio",
               style="input_ratio", source="scenario: plan.headroom_ratio"),
        _Input(name="Spare_replicas", label="spare replicas", value=plan.n_spare_replicas, unit="replicas",
               style="input_count", source="scenario: plan.spare_replicas"),
        _Input(name="Minimum_replicas", label="replicas at least", value=rules.n_min_replicas, unit="replicas",
               style="input_count", source="scenario: plan.min_replicas"),
        _Input(name="Hours_per_month", label="hours in a month", value=plan.hours_per_month, unit="h",
               style="input_count", source="scenario: plan.hours_per_month"),
        *money,
    ]  # fmt: skip


def _write_assumptions(book: Book, sheet: Sheet, plan: Plan, inputs: Sequence[_Input]) -> None:
    sheet.layout((46, 16, 14, 22, 60), n_frozen_rows=FIRST_ROW)
    sheet.text(0, 0, "What the bill rests on", "title")
    sheet.text(
        1, 0, "Change a yellow cell: every sheet follows. 0 for an excluded line means that it is not counted.", "note"
    )
    sheet.texts(2, ("assumption", "value", "unit", "name in formulas", "source"), "head")
    for row, one in enumerate(inputs, FIRST_ROW):
        sheet.text(row, 0, one.label)
        sheet.number(row, 1, one.value, one.style)
        sheet.texts(row, (one.unit, one.name, one.source), column=2)
        book.name_cell(one.name, sheet, row, 1)
    top = FIRST_ROW + len(inputs) + 1
    sheet.text(top, 0, "Assumed in the plan's capacities (a change needs a new plan)", "head")
    for row, said in enumerate(plan.assumptions, top + 1):
        sheet.text(row, 0, said.name)
        sheet.number(row, 1, said.value, "rate")
        sheet.texts(row, (said.unit, "", said.source), column=2)


def _write_options(book: Book, sheet: Sheet, options: Options) -> None:
    sheet.layout((8, 50, 14, 18, 14, 16, 16, 18, 8, 12, 14, 16, 100), n_frozen_rows=FIRST_ROW)
    sheet.text(0, 0, "What could be bought instead", "title")
    sheet.text(1, 0, "The option whose months are shown (type another number to see it):")
    sheet.texts(
        2,
        ("option", "offer", "USD per hour each", "one replica carries, requests/s", "evidence", "replicas",
         "USD per month", "dearer than the cheapest", "rank", "replicas as planned", "USD per month as planned",
         "predicted p99, ms, as planned", "why, as planned"),
        "head",
    )  # fmt: skip
    last = FIRST_ROW + len(options.fleets) - 1
    costs, counts, carried, numbers = (span((FIRST_ROW, c), (last, c)) for c in (6, 5, 3, 0))
    sheet.formula(1, 8, f"=IFERROR(MATCH(1,{span((FIRST_ROW, 8), (last, 8))},0),1)", now=1, style="input_count")
    book.name_cell("Chosen_option", sheet, 1, 8)
    for i, fleet in enumerate(options.fleets):
        row, item = FIRST_ROW + i, fleet.items[0]
        cost, count, one, number = (ref(row, c) for c in (6, 5, 3, 0))
        sheet.number(row, 0, i + 1, "count")
        sheet.text(row, 1, item.offer.name)
        sheet.number(row, 2, float(item.offer.usd_per_hour), "input_price")
        sheet.number(row, 3, sizing_rps(fleet), "rate")
        sheet.text(row, 4, fleet.basis)
        sheet.formula(row, 5, _replicas_of(options, i), now=item.n_replicas, style="count")
        # Whole cents of a thousandth: sums of binary floats must not break a tie.
        money = f'=IF(ISNUMBER({count}),ROUND({count}*{ref(row, 2)}*Hours_per_month,5),"{BEYOND}")'
        sheet.formula(row, 6, money, now=float(fleet.usd_per_month), style="usd")
        dearer = float(fleet.usd_per_month - options.fleets[0].usd_per_month)
        sheet.formula(row, 7, f'=IF(ISNUMBER({cost}),{cost}-MIN({costs}),"")', now=dearer, style="usd")
        same = f"({costs}={cost})", f"({counts}={count})", f"({carried}={one})"
        better = (
            f"({costs}<{cost})+{same[0]}*({counts}<{count})+{same[0]}*{same[1]}*({carried}>{one})"
            f"+{same[0]}*{same[1]}*{same[2]}*({numbers}<{number})"
        )
        sheet.formula(row, 8, f'=IF(ISNUMBER({cost}),1+SUMPRODUCT({better}),"")', now=i + 1, style="count")
        sheet.number(row, 9, item.n_replicas, "count")
        sheet.number(row, 10, float(fleet.usd_per_month), "usd")
        if fleet.predicted_p99_s is not None:
            sheet.number(row, 11, 1e3 * fleet.predicted_p99_s, "rate")
        sheet.text(row, 12, fleet.reason)


def _replicas_of(options: Options, i_option: int) -> str:
    """Replicas of one option for `Peak_rps`."""
    column, last = i_option + 1, FIRST_ROW + options.n_rows - 1
    table = f"Capacities!{span((FIRST_ROW, column), (last, column))}"
    end = f"Capacities!{ref(last, column, fixed=True)}"
    return _replicas(table, end, "Peak_rps", is_of_option="1")


def _replicas(table: str, end: str, peak: str, *, is_of_option: str) -> str:
    """The least count that carries a peak: one more than there are counts that don't, and the spares.

    max(minimum, |{m : carried(m) (1 - headroom) < peak}| + 1 + spares), with `table` ascending.
    """
    too_few = f"SUMPRODUCT(({table}*(1-Headroom)<{peak}*{_NOISE})*{is_of_option})"
    count = f"MAX(Minimum_replicas,{too_few}+1+Spare_replicas)"
    return f'=IF({end}*(1-Headroom)<{peak}*{_NOISE},"{BEYOND}",{count})'


def _write_months(sheet: Sheet, plan: Plan, options: Options, lines: Sequence[BudgetLine]) -> None:
    sheet.layout((8, 18, 12, 18, 18, 18), n_frozen_rows=FIRST_ROW)
    sheet.text(0, 0, "Month by month", "title")
    sheet.text(1, 0, "Replicas of the chosen option are bought when the peak of the month needs them.", "note")
    heads = ("month", "peak, requests/s", "replicas", "machines, USD", "other lines, USD", "total, USD")
    sheet.texts(2, heads, "head")
    last_row, last_option = FIRST_ROW + options.n_rows - 1, len(options.fleets)
    table = f"Capacities!{span((FIRST_ROW, 1), (last_row, last_option))}"
    end = f"INDEX(Capacities!{span((last_row, 1), (last_row, last_option))},Chosen_option)"
    is_chosen = f"(Capacities!{span((FIRST_ROW - 1, 1), (FIRST_ROW - 1, last_option))}=Chosen_option)"
    price = f"INDEX(Options!{span((FIRST_ROW, 2), (FIRST_ROW + last_option - 1, 2))},Chosen_option)"
    other_usd = float(sum(line.usd_per_month or 0 for line in lines))
    other = "+".join(line.name.replace(" ", "_").capitalize() for line in lines) or "0"
    for i, month in enumerate(plan.months):
        row = FIRST_ROW + i
        peak, count, machines = (ref(row, column) for column in (1, 2, 3))
        sheet.number(row, 0, i + 1, "count")
        sheet.formula(row, 1, f"=Peak_rps*(1+Growth_per_month)^({ref(row, 0)}-1)", now=month.peak_rps, style="rate")
        sheet.formula(row, 2, _replicas(table, end, peak, is_of_option=is_chosen), now=month.n_replicas, style="count")
        money = f'=IF(ISNUMBER({count}),ROUND({count}*{price}*Hours_per_month,5),"{BEYOND}")'
        sheet.formula(row, 3, money, now=float(month.usd), style="usd")
        sheet.formula(row, 4, f"={other}", now=other_usd, style="usd")
        both = f'=IF(ISNUMBER({machines}),{machines}+{ref(row, 4)},"{BEYOND}")'
        sheet.formula(row, 5, both, now=float(month.usd) + other_usd, style="usd")
