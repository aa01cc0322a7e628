"""The case of clusters as JSON and in one line of the summary."""

from loadplan.cli.figures import Document, record, usd
from loadplan.plan.records.overdispersed import OverdispersedCase
from loadplan.units import usd_text

_THIS, _NOTHING = "this offer can't meet the objectives then, or there are too few", "nothing meets the objectives then"
_ABSENT = {
    **dict.fromkeys(("n_replicas", "usd_per_month"), _THIS),
    **dict.fromkeys(("cheapest_n_replicas", "cheapest_usd_per_month"), _NOTHING),
}


def overdispersed_document(case: OverdispersedCase | None) -> Document | None:
    """What the plan would be if requests came in clusters; None where arrivals aren't assumed."""
    if case is None:
        return None
    money = {
        name: None if (amount := getattr(case, name)) is None else usd(amount)
        for name in ("usd_per_month", "cheapest_usd_per_month")
    }
    return {**record(case, _ABSENT), **money}


def overdispersed_text(case: OverdispersedCase | None) -> str | None:
    """Such as `if requests come in clusters (gamma, cv 2): 5 of the same, $365.00 a month`."""
    if case is None:
        return None
    said = f"if requests come in clusters ({case.arrivals}) instead of Poisson"
    if case.n_replicas is None or case.usd_per_month is None:
        return f"{said}: this offer would not do  [simulated]"
    cheaper = ""
    if case.cheapest_usd_per_month is not None and case.cheapest_usd_per_month < case.usd_per_month:
        cheaper = (
            f"; {case.cheapest_n_replicas} × {case.cheapest_offer} for {usd_text(case.cheapest_usd_per_month)} would do"
        )
    return f"{said}: {case.n_replicas} of the same, {usd_text(case.usd_per_month)} a month{cheaper}  [simulated]"
