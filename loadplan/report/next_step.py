"""The one command that would make the answer better, and what it would remove.

The decision a reader would question: only one is named, the first in the order in which doubts reach the answer: that
nobody drove the plan, that the run which did can't be believed, that the hardware is extrapolated, that prices are old,
and last whether less would do.
"""

import shlex
from dataclasses import dataclass

from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.findings import Findings
from loadplan.report.view import types_text, usd
from loadplan.trial import is_drivable
from loadplan.verify import verdict_word


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """A command, and what it is good for."""

    command: str
    why: str


def next_step(known: Findings, *, run: str) -> NextStep | None:
    """What to do next with a run folder; None where nothing can be bought or nothing is left to do.

    Args:
        known: everything that the run found.
        run: its folder, as it is to be typed.
    """
    plan = known.plan
    if plan is None or plan.recommended is None:
        return None
    folder = shlex.quote(run)
    return (
        _drive(known, plan, folder)
        or _measure(known, plan, plan.recommended)
        or _price(plan, folder)
        or _sharpen(known, folder)
    )


def _drive(known: Findings, plan: Plan, folder: str) -> NextStep | None:
    command = f"loadplan verify {folder}"
    if known.verdict is None:
        can_be = known.fit is not None and is_drivable(plan, known.fit)
        return NextStep(command=command, why="no live run has tested this plan") if can_be else None
    word = verdict_word(known.verdict)
    if word in ("INVALID", "UNCLEAR"):
        return NextStep(command=command, why=f"the live run is {word}; do it again when the machine is quieter")
    return None


def _measure(known: Findings, plan: Plan, fleet: Fleet) -> NextStep | None:
    if plan.worth_measuring:
        one = plan.worth_measuring[0]
        saving = usd(one.expected_saving_usd_per_month)
        why = f"{one.type_name} is expected to save {saving} a month and costs {usd(one.measuring_usd)} once"
        return NextStep(command=one.command, why=why)
    if fleet.basis != "extrapolated":
        return None
    type_name = fleet.items[0].offer.type_name
    if known.service is not None:
        return NextStep(
            command=f"loadplan quick URL --instance-type {type_name}",
            why=f"{types_text(fleet)} is extrapolated; run the service on one, and ask there",
        )
    return NextStep(
        command=f"loadplan profile SCENARIO --on {type_name}",
        why=f"{types_text(fleet)} is extrapolated; it says how to measure one and what that costs",
    )


def _price(plan: Plan, folder: str) -> NextStep | None:
    stale = [one for one in plan.caveats if one.code.startswith("catalog.")]
    if not stale or plan.recommended is None:
        return None
    offer = plan.recommended.items[0].offer
    return NextStep(
        command=f"loadplan plan {folder} --price {offer.name}=USD",
        why=f"its price was seen on {offer.price_date}; give today's, in USD an hour",
    )


def _sharpen(known: Findings, folder: str) -> NextStep | None:
    if known.verdict is None or known.verdict.sharpness is not None:
        return None
    return NextStep(command=f"loadplan verify {folder} --sharpness", why="whether less would do was not driven")
