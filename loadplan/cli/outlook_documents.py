"""What lies around a plan as the JSON that scripts rely on, and the lines of it that belong into the summary."""

from dataclasses import asdict

from loadplan.cli.figures import Document, figure, usd
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.outlook import (
    Case,
    FrontPoint,
    Outlook,
    PerRequest,
    Relaxation,
    SizeRange,
    Today,
    UnitCosts,
)
from loadplan.report.outlook_text import choice_text, per_request_line, relaxation_text, today_text, unit_costs_text
from loadplan.units import usd_text

_N_RELAXATIONS = 3


def outlook_document(outlook: Outlook | None) -> Document | None:
    """Cases, switches, the front, unit costs, today and the rest; None where nobody looked."""
    if outlook is None:
        return None
    no_chance = "the capacity was given as one number, the fleet is of several types, or nothing is bought"
    return {
        "unit_costs": None if outlook.unit_costs is None else _unit_costs(outlook.unit_costs),
        "chance": None if outlook.chance is None else asdict(outlook.chance),
        **({"chance_reason": no_chance} if outlook.chance is None else {}),
        "size": None if outlook.size is None else _size(outlook.size),
        **({"size_reason": no_chance} if outlook.size is None else {}),
        "mixed": None if outlook.mixed is None else _choice(outlook.mixed),
        "cases": [_case(case) for case in outlook.cases],
        "switches": [asdict(switch) for switch in outlook.switches],
        "front": [_front(point) for point in outlook.front],
        "footprint": None if outlook.footprint is None else asdict(outlook.footprint),
        "footprint_reason": outlook.footprint_reason,
        "per_request": [_per_request(one) for one in outlook.per_request],
        "per_request_reason": outlook.per_request_reason,
        "today": None if outlook.today is None else _today(outlook.today),
        "relaxations": [_relaxation(one) for one in outlook.relaxations],
    }


def outlook_lines(outlook: Outlook | None) -> list[tuple[str, str]]:
    """Label and text of what matters at once: unit costs, today, a cheaper mix or service, rules to relax."""
    if outlook is None:
        return []
    lines = []
    if outlook.unit_costs is not None:
        lines.append(("unit", unit_costs_text(outlook.unit_costs)))
    if outlook.today is not None:
        lines.append(("today", today_text(outlook.today)))
    if outlook.mixed is not None:
        said = f"{choice_text(outlook.mixed)}, {usd_text(outlook.mixed.usd_per_month)} a month"
        lines.append(("or mix", f"{said} (plan.instance_types: several)"))
    lines += [("or rent", per_request_line(one)) for one in outlook.per_request[:1] if one.usd_less_per_month > 0]
    lines += [("relax", relaxation_text(one)) for one in outlook.relaxations[:_N_RELAXATIONS]]
    return lines


def _choice(choice: Choice) -> Document:
    return {
        "offers": [{"offer": name, "n_replicas": n} for name, n in choice.offers],
        "usd_per_month": usd(choice.usd_per_month),
        **figure("predicted_p99_s", choice.predicted_p99_s, "no latency is predicted for it"),
    }


def _unit_costs(costs: UnitCosts) -> Document:
    more, too_few = costs.usd_per_month_of_more_traffic, "there are too few machines"
    return {
        "usd_per_million_requests": f"{costs.usd_per_million_requests:.6f}",
        **figure("usd_per_month_of_more_traffic", None if more is None else usd(more), too_few),
        **figure("n_replicas_of_more_traffic", costs.n_replicas_of_more_traffic, too_few),
    }


def _size(size: SizeRange) -> Document:
    money = ("usd_per_month_low", "usd_per_month_high")
    return {**asdict(size), **{name: usd(getattr(size, name)) for name in money}}


def _case(case: Case) -> Document:
    return {**asdict(case), "choice": None if case.choice is None else _choice(case.choice)}


def _front(point: FrontPoint) -> Document:
    return {**asdict(point), "choice": _choice(point.choice)}


def _today(today: Today) -> Document:
    less = today.usd_less_per_month
    return {
        **asdict(today),
        "choice": _choice(today.choice),
        **figure("usd_less_per_month", None if less is None else usd(less), "nothing will do"),
        **figure("carried_rps", today.carried_rps, today.reason),
    }


def _relaxation(relaxation: Relaxation) -> Document:
    return {**asdict(relaxation), "choice": _choice(relaxation.choice)}


def _per_request(service: PerRequest) -> Document:
    money = ("usd_per_month", "usd_per_month_low", "usd_per_month_high", "usd_less_per_month")
    return {**asdict(service), **{name: usd(getattr(service, name)) for name in money}}
