"""`budget.xlsx`: the bill as a sheet that computes. Change a yellow cell, and replicas and cost follow.

Replicas are looked up: the least count that carries the peak once the spares are gone and the headroom is kept, in the
table on `Capacities`, as the planner counts. The cheapest option wins by the planner's order: cost, then fewer
replicas, then more headroom, then the name. Rates are requests per second, money is USD. The decision a reader would
question: what a peak beyond the table's end would cost is not guessed; the cells say so in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.months_now import months_now
from loadplan.report.budget.options import Options, read_options, sizing_rps
from loadplan.report.budget.text_sheets import BEYOND, FIRST_ROW, Origin, write_capacities, write_sources, write_summary
from loadplan.report.budget.xlsx import Book, Sheet, ref, span
from loadplan.scenario.spec import Scenario

_NOISE = "(1-1E-12)"  # `options.SAME`
# Columns of Options.
_PRICE, _PAID_BY, _CARRIES, _MORE, _COUNT, _COST, _RANK = 2, 3, 4, 7, 8, 9, 11


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
    """The workbook of a plan with a fleet of one type: Summary, Assumptions, Options, Months, Capacities, Sources.

    Where the plan recommends a fleet of several types, the sheet computes the fleets of one type that it lists.

    Args:
        plan: what was planned; every formula shows its figures until a cell is changed.
        scenario: the question behind it.
        origin: the run that it comes from.
        lines: what else is on the bill, or is left out by name.
    """
    book = Book(title=f"Budget of {scenario.name}", created_at=datetime.fromisoformat(origin.created_at))
    options = read_options(plan, scenario.plan)
    summary = book.sheet("Summary")
    assumptions, offers, months = (book.sheet(name) for name in ("Assumptions", "Options", "Months"))
    capacities, sources = book.sheet("Capacities"), book.sheet("Sources")
    _write_assumptions(book, assumptions, plan, _inputs(plan, scenario, lines))
    _write_options(book, offers, options)
    _write_months(months, plan, scenario, options, lines)
    write_capacities(capacities, options)
    write_sources(sources, plan, options, origin)
    write_summary(summary, plan, scenario, options=options, origin=origin, lines=lines)
    return book.to_bytes()


def _inputs(plan: Plan, scenario: Scenario, lines: Sequence[BudgetLine]) -> list[_Input]:
    rules, growth = scenario.plan, scenario.traffic.growth_per_month_ratio
    given = "scenario: traffic.peak_rps", "scenario: traffic.growth_per_month_ratio"
    money = [
        _Input(
            name=_cell_name(line),
            label=line.name,
            value=float(line.usd_per_month or 0),
            unit="USD per month",
            style="input_usd",
            source=f"{line.kind}: {line.source}" if line.usd_per_month is not None else line.source,
        )
        for line in lines
    ]
    zones = [
        _Input(name="Zones", label="zones, of which any one may be gone", value=rules.n_zones, unit="zones",
               style="input_count", source="scenario: plan.zones")
    ] if rules.n_zones is not None else []  # fmt: skip
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
        *zones,
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
    sheet.layout((8, 50, 14, 10, 18, 14, 10, 10, 16, 16, 18, 8, 12, 14, 16, 100), n_frozen_rows=FIRST_ROW)
    sheet.text(0, 0, "What could be bought instead", "title")
    sheet.text(1, 1, "option whose months are shown (or type another):")
    heads = (
        "option", "offer", "USD each", "paid by the", "one replica carries, requests/s", "evidence", "there are",
        "more to bear a loss", "replicas", "USD per month", "dearer than the cheapest", "rank", "replicas as planned",
        "USD per month as planned", "predicted p99, ms, as planned", "why, as planned",
    )  # fmt: skip
    sheet.texts(2, heads, "head")
    ranks = _options_column(_RANK, options)
    sheet.formula(1, _PRICE, f"=IFERROR(MATCH(1,{ranks},0),1)", now=1, style="input_count")
    book.name_cell("Chosen_option", sheet, 1, _PRICE)
    for i, fleet in enumerate(options.fleets):
        row, offer = FIRST_ROW + i, fleet.items[0].offer
        sheet.number(row, 0, i + 1, "count")
        sheet.text(row, 1, offer.name)
        is_monthly = offer.usd_per_month is not None
        sheet.number(row, _PRICE, float(offer.usd_per_month or offer.usd_per_hour), "input_price")
        sheet.text(row, _PAID_BY, "month" if is_monthly else "hour")
        sheet.number(row, _CARRIES, sizing_rps(fleet), "rate")
        sheet.text(row, 5, fleet.basis)
        sheet.text(row, 6, "no limit" if offer.n_available is None else f"{offer.n_available} machines")
        _write_option(sheet, row, options, i)
        sheet.number(row, _MORE, options.n_more[i], "count")
        sheet.number(row, 12, fleet.items[0].n_replicas, "count")
        sheet.number(row, 13, float(fleet.usd_per_month), "usd")
        if fleet.predicted_p99_s is not None:
            sheet.number(row, 14, 1e3 * fleet.predicted_p99_s, "rate")
        sheet.text(row, 15, fleet.reason)


def _write_option(sheet: Sheet, row: int, options: Options, i: int) -> None:
    """What is computed of one option."""
    fleet, cheapest = options.fleets[i], options.fleets[0]
    count, price, paid_by, cost = (ref(row, column) for column in (_COUNT, _PRICE, _PAID_BY, _COST))
    sheet.formula(row, _COUNT, _replicas_of(options, i), now=fleet.items[0].n_replicas, style="count")
    # A thousandth of a cent: sums of binary floats must not break a tie.
    money = f'=IF(ISNUMBER({count}),ROUND({count}*{price}*{_times(paid_by)},5),"{BEYOND}")'
    sheet.formula(row, _COST, money, now=float(fleet.usd_per_month), style="usd")
    dearer = f'=IF(ISNUMBER({cost}),{cost}-MIN({_options_column(_COST, options)}),"")'
    sheet.formula(row, 10, dearer, now=float(fleet.usd_per_month - cheapest.usd_per_month), style="usd")
    rank = f'=IF(ISNUMBER({cost}),1+SUMPRODUCT({_better_than(row, options)}),"")'
    sheet.formula(row, _RANK, rank, now=i + 1, style="count")


def _better_than(row: int, options: Options) -> str:
    """How many options come before one: by cost, then fewer replicas, then more headroom, then the plan's order."""
    terms, tie = [], ""
    for column, comparison in ((_COST, "<"), (_COUNT, "<"), (_CARRIES, ">"), (0, "<")):
        values, own = _options_column(column, options), ref(row, column)
        terms.append(f"{tie}({values}{comparison}{own})")
        tie += f"({values}={own})*"
    return "+".join(terms)


def _options_column(column: int, options: Options) -> str:
    return span((FIRST_ROW, column), (FIRST_ROW + len(options.fleets) - 1, column))


def _times(paid_by: str) -> str:
    """How often a month a price is paid."""
    return f'IF({paid_by}="month",1,Hours_per_month)'


def _replicas_of(options: Options, i_option: int) -> str:
    """Replicas of one option for `Peak_rps`."""
    column, last = i_option + 1, FIRST_ROW + options.n_rows - 1
    table = f"Capacities!{span((FIRST_ROW, column), (last, column))}"
    end = f"Capacities!{ref(last, column, fixed=True)}"
    more = ref(FIRST_ROW + i_option, _MORE)
    return _replicas(table, end, "Peak_rps", is_of_option="1", more=more, gone=_gone(options))


def _gone(options: Options) -> str:
    """How many may be gone beside the {left} that carry a peak, as `n_with_gone` counts them."""
    return "MAX(Spare_replicas,ROUNDUP(({left})/(Zones-1),0))" if options.has_zones else "Spare_replicas"


def _replicas(table: str, end: str, peak: str, *, is_of_option: str, more: str, gone: str) -> str:
    """The least count that carries a peak: one more than there are counts that don't, and those that may be gone.

    m = |{m : carried(m) (1 - headroom) < peak}| + 1, with `table` ascending; max(minimum, m + gone(m)) + more.
    """
    left = f"SUMPRODUCT(({table}*(1-Headroom)<{peak}*{_NOISE})*{is_of_option})+1"
    count = f"MAX(Minimum_replicas,{left}+{gone.format(left=left)})+{more}"
    return f'=IF({end}*(1-Headroom)<{peak}*{_NOISE},"{BEYOND}",{count})'


def _write_months(sheet: Sheet, plan: Plan, scenario: Scenario, options: Options, lines: Sequence[BudgetLine]) -> None:
    sheet.layout((8, 18, 12, 18, 18, 18), n_frozen_rows=FIRST_ROW)
    sheet.text(0, 0, "Month by month", "title")
    sheet.text(1, 0, "Replicas of the chosen option are bought when the peak of the month needs them.", "note")
    heads = ("month", "peak, requests/s", "replicas", "machines, USD", "other lines, USD", "total, USD")
    sheet.texts(2, heads, "head")
    last_row, last_option = FIRST_ROW + options.n_rows - 1, len(options.fleets)
    table = f"Capacities!{span((FIRST_ROW, 1), (last_row, last_option))}"
    end = f"INDEX(Capacities!{span((last_row, 1), (last_row, last_option))},Chosen_option)"
    is_chosen = f"(Capacities!{span((FIRST_ROW - 1, 1), (FIRST_ROW - 1, last_option))}=Chosen_option)"
    price, paid_by, more = (
        f"INDEX(Options!{_options_column(column, options)},Chosen_option)" for column in (_PRICE, _PAID_BY, _MORE)
    )
    other = "+".join(_cell_name(line) for line in lines) or "0"
    for row, now in enumerate(months_now(plan, scenario, options, lines), FIRST_ROW):
        peak, count, machines = (ref(row, column) for column in (1, 2, 3))
        sheet.number(row, 0, row - FIRST_ROW + 1, "count")
        sheet.formula(row, 1, f"=Peak_rps*(1+Growth_per_month)^({ref(row, 0)}-1)", now=now.peak_rps, style="rate")
        lookup = _replicas(table, end, peak, is_of_option=is_chosen, more=more, gone=_gone(options))
        sheet.formula(row, 2, lookup, now=_or_beyond(now.n_replicas), style="count")
        money = f'=IF(ISNUMBER({count}),ROUND({count}*{price}*{_times(paid_by)},5),"{BEYOND}")'
        sheet.formula(row, 3, money, now=_or_beyond(now.machines_usd), style="usd")
        sheet.formula(row, 4, f"={other}", now=float(now.other_usd), style="usd")
        both = f'=IF(ISNUMBER({machines}),{machines}+{ref(row, 4)},"{BEYOND}")'
        sheet.formula(row, 5, both, now=_or_beyond(now.usd), style="usd")


def _or_beyond(value: int | Decimal | None) -> float | str:
    return BEYOND if value is None else float(value)


def _cell_name(line: BudgetLine) -> str:
    return line.name.replace(" ", "_").capitalize()
