"""What the sheet of months shows until a cell is changed: the first option's replicas and cost, by its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.fleets.sizing import usd_of
from loadplan.plan.records.fleet import Plan
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.options import Options
from loadplan.scenario.spec import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthNow:
    """One month; None: its peak lies beyond the table, or there are too few machines."""

    peak_rps: float
    n_replicas: int | None
    machines_usd: Decimal | None
    other_usd: Decimal

    @property
    def usd(self) -> Decimal | None:
        """With all lines."""
        return None if self.machines_usd is None else self.machines_usd + self.other_usd


def months_now(plan: Plan, scenario: Scenario, options: Options, lines: Sequence[BudgetLine]) -> tuple[MonthNow, ...]:
    """Every month of the horizon."""
    other_usd = sum((line.usd_per_month or Decimal(0) for line in lines), Decimal(0))
    offer, months = options.fleets[0].items[0].offer, []
    for month in plan.months:
        n = options.n_replicas(0, month.peak_rps, rules=scenario.plan)
        usd = None if n is None else usd_of(offer, n, hours_per_month=plan.hours_per_month)
        months.append(MonthNow(peak_rps=month.peak_rps, n_replicas=n, machines_usd=usd, other_usd=other_usd))
    return tuple(months)
