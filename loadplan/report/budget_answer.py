"""The answer for whoever owns the budget: the money first, then what it buys and what may change it.

The decision a reader would question: the badge is the same as on the engineers' page. A bill is no surer than the live
run behind it.
"""

from decimal import Decimal

from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.answer import Answer, answer_of
from loadplan.report.bill import bill_parts, cost_range_text, parts_text
from loadplan.report.findings import Findings, Provenance
from loadplan.report.outlook_text import chance_text, today_text, unit_costs_text
from loadplan.report.savings import saving_text
from loadplan.report.verdict_text import verdict_words
from loadplan.report.view import counted, fleet_name, gone_text, objectives_text, percent, rate, usd

_NOT_DRIVEN = ("NOT VERIFIED", "INVALID", "UNCLEAR")


def budget_answer_of(known: Findings, provenance: Provenance) -> Answer:
    """The card; where there is no plan or nothing to buy, what an engineer is told."""
    plan = known.plan
    if plan is None or plan.recommended is None:
        return answer_of(known, provenance)
    fleet = plan.recommended
    words = verdict_words(known.verdict, fleet, is_explained=provenance.failure is not None)
    in_all = sum((month.usd for month in plan.months), Decimal(0))
    first = "" if len({month.usd for month in plan.months}) == 1 else " at first"
    horizon = counted(len(plan.months), "month")
    planned = "Planned: " if words.word in (*_NOT_DRIVEN, "FAIL") else ""
    return Answer(
        tone=words.tone,
        icon=words.icon,
        word=words.word,
        said=words.said,
        headline=f"{planned}{usd(fleet.usd_per_month)} a month{first}, {usd(in_all)} in {horizon}",
        bill=fleet_name(fleet),
        bill_said=None,
        facts=tuple(_facts(known, plan, fleet)),
        happened=provenance.failure,
    )


def _facts(known: Findings, plan: Plan, fleet: Fleet) -> list[tuple[str, str]]:
    traffic, rules, gone = known.scenario.traffic, known.scenario.plan, gone_text(plan)
    rows = [
        ("Serves", f"{rate(traffic.peak_rps)} at the peak, {rate(plan.mean_rps)} on average (given)"),
        ("Promises", f"{objectives_text(known.scenario)}{f', also with {gone} gone' if gone else ''} (given)"),
        ("May become", cost_range_text(plan, fleet, rules)),
    ]
    parts = bill_parts(plan, fleet, rules)
    rows += [] if parts is None else [("The bill buys", parts_text(parts))]
    outlook = plan.outlook
    if outlook is not None and outlook.unit_costs is not None:
        rows.append(("Per use", unit_costs_text(outlook.unit_costs)))
    if outlook is not None and outlook.today is not None:
        rows.append(("Today", today_text(outlook.today)))
    if rules.budget_usd_per_month is not None:
        rows.append(("Budget", _budget(fleet, rules.budget_usd_per_month)))
    saving = saving_text(plan)
    rows += [] if saving is None else [("Would save", saving)]
    if outlook is not None and outlook.chance is not None:
        rows.append(("How sure", f"that it holds: {chance_text(outlook.chance)}; the hardware is {fleet.basis}"))
    rows.append(("Prices", f"seen on {', '.join(str(item.offer.price_date) for item in fleet.items)}, without taxes"))
    return rows


def _budget(fleet: Fleet, budget_usd: Decimal) -> str:
    if budget_usd <= 0:
        return usd(budget_usd)
    return f"{usd(budget_usd)} a month (given), of which this takes {percent(float(fleet.usd_per_month / budget_usd))}"
