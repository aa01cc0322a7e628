"""What would change the answer? The cases around it, what runs today, and which rule to relax where nothing will do."""

from loadplan.plan.buying.per_request import KEEP_ALIVE_S
from loadplan.plan.records.outlook import Case, Outlook
from loadplan.report.findings import Findings
from loadplan.report.outlook_text import (
    chance_text,
    choice_text,
    footprint_text,
    per_request_text,
    relaxation_text,
    size_text,
    switch_text,
    today_text,
    unit_costs_text,
)
from loadplan.report.page import Block, Facts, Fold, Section, Table, Text, number, text
from loadplan.report.sections.sensitivity import sensitivity_tables
from loadplan.report.view import ms, usd


def outlook_section(known: Findings) -> Section | None:
    """Everything that lies around the plan; nothing where nobody looked."""
    plan = known.plan
    if plan is None or plan.outlook is None:
        return None
    if plan.recommended is None:
        return _nothing_will_do(plan.outlook)
    outlook = plan.outlook
    among = ", among fleets of one type" if len(plan.recommended.items) > 1 else ""
    blocks: list[Block] = [Facts(rows=tuple(_facts(outlook))), *sensitivity_tables(plan), _cases(outlook, among)]
    if outlook.switches:
        blocks.append(_switches(outlook, among))
    blocks += _per_request(outlook)
    if outlook.footprint is not None:
        sources = tuple(Text(text=f"{source}.") for source in outlook.footprint.sources)
        blocks.append(Fold(title="Where the figures of energy come from, and how old they are", blocks=sources))
    return Section(name="outlook", title="What would change the answer?", blocks=tuple(blocks))


def _nothing_will_do(outlook: Outlook) -> Section | None:
    rows = [("relax", relaxation_text(one)) for one in outlook.relaxations]
    rows += [] if outlook.today is None else [("today", today_text(outlook.today))]
    if not rows:
        return None
    return Section(name="outlook", title="Which rule to relax?", blocks=(Facts(rows=tuple(rows)),))


def _facts(outlook: Outlook) -> list[tuple[str, str]]:
    rows = []
    if outlook.chance is not None:
        rows.append(("objectives hold", chance_text(outlook.chance)))
    if outlook.size is not None:
        rows.append(("replicas that would do", size_text(outlook.size)))
    if outlook.unit_costs is not None:
        rows.append(("unit costs", unit_costs_text(outlook.unit_costs)))
    if outlook.today is not None:
        rows.append(("today", today_text(outlook.today)))
    if outlook.mixed is not None:
        mixed = outlook.mixed
        said = f"{choice_text(mixed)} would cost {usd(mixed.usd_per_month)} a month"
        rows.append(("several types", f"{said}; `plan.instance_types: several` allows it"))
    rows += [
        ("paid by the request", per_request_text(one)) for one in outlook.per_request[:1] if one.usd_less_per_month > 0
    ]
    if outlook.footprint is not None:
        rows.append(("energy", footprint_text(outlook.footprint)))
    else:
        rows.append(("energy", f"unknown: {outlook.footprint_reason}"))
    return rows


def _cases(outlook: Outlook, among: str) -> Table:
    return Table(
        caption=f"The answer if one thing were another, all else as it is{among}",
        columns=(
            text("if"),
            text("fleet"),
            number("USD a month"),
            number("p99 at the peak, ms"),
            text("the same type"),
        ),
        rows=tuple(_case(case) for case in outlook.cases),
    )


def _case(case: Case) -> tuple[str, ...]:
    if case.choice is None:
        return case.changed, f"nothing will do: {case.reason}", "–", "–", "–"
    bought = choice_text(case.choice)
    p99_s = case.choice.predicted_p99_s
    return (
        case.changed,
        f"{bought} ({case.reason})" if case.reason else bought,
        usd(case.choice.usd_per_month),
        "unknown" if p99_s is None else ms(p99_s).removesuffix(" ms"),
        "yes" if case.same_type else "NO",
    )


def _switches(outlook: Outlook, among: str) -> Table:
    return Table(
        caption=f"The nearest figures at which another type would win, nearest first, all else as it is{among}",
        columns=(text("what would change the decision"),),
        rows=tuple((switch_text(one),) for one in outlook.switches),
    )


def _per_request(outlook: Outlook) -> list[Block]:
    if not outlook.per_request:
        return [Text(text=f"Paid by the request: not compared, {outlook.per_request_reason}.")]
    said = [Text(text=f"Paid by the request, {per_request_text(one)}.") for one in outlook.per_request]
    rests = Text(
        text=f"That rests on a processor there as fast as the one measured, give or take, on an environment that stays "
        f"warm for {KEEP_ALIVE_S:g} s (assumed; no provider promises it), and on prices without a free tier: "
        f"{outlook.per_request[0].source}.",
        tone="doubt",
    )
    return [Fold(title="What if it were paid by the request?", blocks=(*said, rests))]
