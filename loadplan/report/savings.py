"""What would make the bill smaller, read from what lies around a plan.

The decision a reader would question: what gives up a promise, such as a spare replica, is named only beside one
that gives up none, so that nobody takes the one for the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.around_text import hours_text
from loadplan.report.outlook_text import choice_text
from loadplan.report.view import usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One thing that would make the same traffic cheaper."""

    what: str
    usd_less_per_month: Decimal  # above 0
    gives_up: bool  # whether a promise of the scenario is given up for it


def savings_of(plan: Plan) -> tuple[Saving, ...]:
    """By what they save, the largest first; none where nothing is bought."""
    if plan.recommended is None:
        return ()
    found = [one for one in _savings(plan, plan.recommended) if round(one.usd_less_per_month, 2) > 0]
    return tuple(sorted(found, key=lambda one: (-one.usd_less_per_month, one.what)))


def saving_text(plan: Plan) -> str | None:
    """The largest that gives nothing up and the largest that does, in one sentence; None where nothing saves."""
    savings = savings_of(plan)
    free = next((one for one in savings if not one.gives_up), None)
    paid = next((one for one in savings if one.gives_up), None)
    said = [] if free is None else [f"{free.what}: {usd(free.usd_less_per_month)} a month less"]
    if paid is not None:
        said.append(f"giving something up, {paid.what}: {usd(paid.usd_less_per_month)} a month less")
    return "; ".join(said) or None


def _savings(plan: Plan, fleet: Fleet) -> Iterable[Saving]:
    yield from _of_paying(plan)
    if plan.outlook is None:
        return
    now = fleet.usd_per_month
    if plan.outlook.mixed is not None:
        mixed = plan.outlook.mixed
        yield Saving(
            what=f"several types, {choice_text(mixed)}",
            usd_less_per_month=now - mixed.usd_per_month,
            gives_up=False,
        )
    for service in plan.outlook.per_request[:1]:
        yield Saving(
            what=f"paid by the request, {service.service}",
            usd_less_per_month=service.usd_less_per_month,
            gives_up=False,
        )
    if plan.outlook.precomputed is not None:
        found = plan.outlook.precomputed
        yield Saving(
            what=f"answers worked out beforehand, up to {hours_text(found.oldest_answer_s)} old",
            usd_less_per_month=found.jobs[0].usd_less_per_month,
            gives_up=True,
        )
    for case in plan.outlook.cases:
        if case.kind in ("objectives", "spares") and case.choice is not None:
            yield Saving(
                what=f"{case.changed} ({choice_text(case.choice)})",
                usd_less_per_month=now - case.choice.usd_per_month,
                gives_up=True,
            )


def _of_paying(plan: Plan) -> Iterable[Saving]:
    """Other ways to pay for the same replicas."""
    mix = plan.purchase_mix
    if mix is not None:
        yield Saving(
            what="the mix of ways to pay",
            usd_less_per_month=mix.usd_per_month_always_on - mix.usd_per_month,
            gives_up=False,
        )
    if plan.scaling is None:
        return
    chosen = next(one for one in plan.scaling.policies if one.policy == plan.scaling.chosen)
    for one in plan.scaling.policies:
        short = one.violation_minutes - chosen.violation_minutes
        more = f", {short:,} minutes a week more in which the objectives are missed" if short > 0 else ""
        yield Saving(
            what=f"{one.policy} scaling{more}",
            usd_less_per_month=chosen.usd_per_month - one.usd_per_month,
            gives_up=short > 0,
        )
