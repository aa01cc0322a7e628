"""What there is only so much of, machines and money: no fleet takes more, and growth that will is told."""

from collections.abc import Iterable, Sequence

from loadplan.caveat import Caveat
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.records.fleet import MonthCost
from loadplan.scenario.spec import PlanRules
from loadplan.units import usd_text


def too_few_words(candidate: Candidate, n: int) -> str:
    """Why a candidate of which `n` are missing can't be bought."""
    n_available = candidate.offer.n_available or 0
    return f"{n_available + n} are needed, and there are {n_available}"


def growth_caveats(candidate: Candidate, months: Sequence[MonthCost]) -> Iterable[Caveat]:
    """From which month on growth takes more machines than there are."""
    n_available = candidate.offer.n_available
    if n_available is None:
        return
    short = next((month for month in months if month.n_replicas > n_available), None)
    if short is not None:
        yield Caveat(
            code="plan.runs_out",
            what=f"from month {short.i_month + 1} on {short.n_replicas} of {candidate.offer.name} are needed, and there"
            f" are {n_available}",
            fix="add machines by then, or allow other kinds of purchase beside",
            number=float(short.i_month + 1),
        )


def budget_caveats(months: Sequence[MonthCost], rules: PlanRules) -> Iterable[Caveat]:
    """From which month on growth takes more money than there is."""
    budget = rules.budget_usd_per_month
    if budget is None:
        return
    dear = next((month for month in months if month.usd > budget), None)
    if dear is not None:
        yield Caveat(
            code="plan.outgrows_budget",
            what=f"as the traffic grows the fleet costs {usd_text(dear.usd)} in month {dear.i_month + 1}, above the "
            f"budget of {usd_text(budget)} a month",
            fix="raise plan.budget_usd_per_month by then, or expect less growth",
            number=float(dear.i_month + 1),
        )
