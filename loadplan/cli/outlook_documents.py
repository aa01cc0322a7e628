"""What lies around a plan as the JSON that scripts rely on, and the lines of it that belong into the summary."""

from dataclasses import asdict

from loadplan.cli.around_documents import around_documents, choice_document
from loadplan.cli.figures import Document, figure, record, usd
from loadplan.plan.records.outlook import (
    Case,
    Footprint,
    FrontPoint,
    GridPoint,
    Outlook,
    PerRequest,
    Relaxation,
    SizeRange,
    Today,
    UnitCosts,
)
from loadplan.report.around_text import (
    cluster_line,
    levers_text,
    precomputed_text,
    proposed_text,
    split_text,
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
        "mixed": None if outlook.mixed is None else choice_document(outlook.mixed),
        "cases": [_case(case) for case in outlook.cases],
        "grid": [_point(point) for point in outlook.grid],
        "switches": [
            record(switch, {"chance_ratio": "nothing tells how likely that is"}) for switch in outlook.switches
        ],
        "front": [_front(point) for point in outlook.front],
        "footprint": None if outlook.footprint is None else _footprint(outlook.footprint),
        "footprint_reason": outlook.footprint_reason,
        "per_request": [_per_request(one) for one in outlook.per_request],
        "per_request_reason": outlook.per_request_reason,
        "today": None if outlook.today is None else _today(outlook.today),
        "relaxations": [_relaxation(one) for one in outlook.relaxations],
        **around_documents(outlook),
    }


def outlook_lines(outlook: Outlook | None) -> list[tuple[str, str]]:
    """Label and text of what matters at once: where time goes, a cluster or not, unit costs, today, other ways."""
    if outlook is None:
        return []
    lines = []
    if outlook.split is not None:
        worth = levers_text(outlook.levers)
        lines.append(("time", f"{split_text(outlook.split)}{f'; {worth}' if worth else ''}"))
    if outlook.cluster is not None:
        lines.append(("cluster", cluster_line(outlook.cluster)))
        if outlook.cluster.proposed is not None:
            lines.append(("proposed", proposed_text(outlook.cluster.proposed)))
    if outlook.unit_costs is not None:
        lines.append(("unit", unit_costs_text(outlook.unit_costs)))
    if outlook.today is not None:
        lines.append(("today", today_text(outlook.today)))
    if outlook.mixed is not None:
        said = f"{choice_text(outlook.mixed)}, {usd_text(outlook.mixed.usd_per_month)} a month"
        lines.append(("or mix", f"{said} (plan.instance_types: several)"))
    lines += [("or rent", per_request_line(one)) for one in outlook.per_request[:1] if one.usd_less_per_month > 0]
    if outlook.precomputed is not None:
        lines.append(("or batch", precomputed_text(outlook.precomputed)))
    elif outlook.precomputed_reason:
        lines.append(("or batch", f"not compared: {outlook.precomputed_reason}"))
    lines += [("relax", relaxation_text(one)) for one in outlook.relaxations[:_N_RELAXATIONS]]
    return lines


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
    return {**asdict(case), "choice": None if case.choice is None else choice_document(case.choice)}


def _point(point: GridPoint) -> Document:
    choice = None if point.choice is None else choice_document(point.choice)
    return {**asdict(point), "price_factor": float(point.price_factor), "choice": choice}


def _front(point: FrontPoint) -> Document:
    return {**asdict(point), "choice": choice_document(point.choice)}


def _footprint(footprint: Footprint) -> Document:
    return record(footprint, {"kg_co2e_per_month": footprint.kg_co2e_reason})


def _today(today: Today) -> Document:
    less, committed, until = (
        None if amount is None else usd(amount)
        for amount in (today.usd_less_per_month, today.committed_usd_per_month, today.usd_less_while_committed)
    )
    return {
        **asdict(today),
        "choice": choice_document(today.choice),
        **figure("usd_less_per_month", less, "nothing will do"),
        **figure("committed_usd_per_month", committed, "nothing of it is committed"),
        **figure("usd_less_while_committed", until, "nothing of it is committed, or nothing will do"),
        **figure("carried_rps", today.carried_rps, today.reason),
    }


def _relaxation(relaxation: Relaxation) -> Document:
    return {**asdict(relaxation), "choice": choice_document(relaxation.choice)}


def _per_request(service: PerRequest) -> Document:
    money = ("usd_per_month", "usd_per_month_low", "usd_per_month_high", "usd_less_per_month")
    absent = {"allowed_ratio": "no limit is about all requests"}
    return {
        **record(service, absent),
        **{name: usd(getattr(service, name)) for name in money},
        **figure("break_even_requests_per_month", service.break_even_requests_per_month, "planned by an older version"),
    }
