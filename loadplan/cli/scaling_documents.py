"""The three ways of scaling as the JSON that scripts rely on, and the line in the summary where one would save."""

from dataclasses import asdict

from loadplan.cli.figures import Document, usd
from loadplan.cli.purchase_documents import WORTH_SAYING_RATIO
from loadplan.plan.records.scaling import PolicyCost, Scaling
from loadplan.units import usd_text


def scaling_document(scaling: Scaling | None) -> Document | None:
    """Static, scheduled and reactive scaling of the recommended offer; None where nothing is recommended."""
    if scaling is None:
        return None
    other = scaling.cheapest_scheduled
    return {
        "start_up_s": scaling.start_up_s,
        "start_up": [asdict(part) for part in scaling.start_up],
        "chosen": scaling.chosen,
        "policies": [_policy(one) for one in scaling.policies],
        "cheapest_scheduled": None if other is None else {**asdict(other), "usd_per_month": usd(other.usd_per_month)},
    }


def scaling_text(scaling: Scaling | None) -> str | None:
    """What following the week would save; None where that is no more than 5 % of the bill."""
    if scaling is None:
        return None
    static, *others = scaling.policies
    saving = [one for one in others if one.usd_per_month < (1 - WORTH_SAYING_RATIO) * static.usd_per_month]
    if not saving:
        return None
    said = "; ".join(
        f"{_SAID[one.policy]} {usd_text(one.usd_per_month)} a month "
        f"(−{1 - float(one.usd_per_month / static.usd_per_month):.0%}), {one.violation_minutes} minutes a week short"
        for one in saving
    )
    return f"{said}; a replica takes {scaling.start_up_s:.0f} s to start  [simulated]"


_SAID = {"scheduled": "by a schedule", "reactive": "reacting"}


def _policy(one: PolicyCost) -> Document:
    months = [{**asdict(month), "usd": usd(month.usd)} for month in one.months]
    return {**asdict(one), "usd_per_month": usd(one.usd_per_month), "months": months}
