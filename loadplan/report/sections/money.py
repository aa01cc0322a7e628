"""What does it cost, month by month, and what if the traffic is another than planned?"""

from decimal import Decimal

from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.bill import bill_at, cost_range_text
from loadplan.report.budget.rows import budget_csv
from loadplan.report.chart import Axis, Chart, Mark, Series
from loadplan.report.findings import Findings, Provenance
from loadplan.report.page import Block, Download, Facts, Figure, Fold, Section, Table, Text, number, text
from loadplan.report.view import counted, digits, fleet_name, price_each, rate, usd
from loadplan.scenario.spec import PlanRules

# From a quarter of the planned peak to twice it; only the steps are kept.
_PEAK_SHARES = tuple(i / 200 for i in range(50, 401))
_N_RIVALS = 2


def money_section(known: Findings, provenance: Provenance) -> Section | None:
    """The months of the horizon, the price behind them, and the cost over the peak.

    The months can be taken away as a file, unless their prices are too old for a budget.
    """
    plan = known.plan
    if plan is None or plan.recommended is None:
        return None
    fleet, rules = plan.recommended, known.scenario.plan
    months = _months(plan, fleet)
    is_growing = len({month.usd for month in plan.months}) > 1
    # The same row so many times over is for those who look for it.
    blocks: list[Block] = [
        _prices(plan, fleet, rules),
        months if is_growing else Fold(title=f"Every month the same: {months.caption}", blocks=(months,)),
    ]
    figure = _cost_over_peak(plan, fleet, rules)
    if figure is not None:
        blocks.append(figure)
    if is_growing:
        blocks.append(_cost_over_months(plan))
    blocks.append(_download(plan) if provenance.no_budget is None else _no_download(provenance.no_budget))
    return Section(name="money", title="", blocks=tuple(blocks))


def _download(plan: Plan) -> Download:
    return Download(name="budget.csv", media_type="text/csv", text=budget_csv(plan), label="Download the months as CSV")


def _no_download(why: str) -> Text:
    return Text(text=f"There is no budget to take away: {why}. Plan again with today's price.", tone="doubt")


def _prices(plan: Plan, fleet: Fleet, rules: PlanRules) -> Facts:
    rows = []
    for item in fleet.items:
        offer = item.offer
        doubt = "" if offer.quality == "ok" else f"; doubt: {offer.quality}"
        seen = f"seen {offer.price_date}, {offer.source} ({offer.layer}){doubt}"
        rows.append(("price", f"{offer.name}: {price_each(offer)} each, {seen}"))
    return Facts(
        rows=(
            *rows,
            ("a month is", f"{plan.hours_per_month} hours (given)"),
            ("interval", cost_range_text(plan, fleet, rules)),
            ("oldest price compared", f"{plan.oldest_price_date or 'none'}, catalogue {plan.catalog_version}"),
            ("left out", "load balancer, disk, control plane, data transfer, taxes, negotiated discounts"),
        )
    )


def _months(plan: Plan, fleet: Fleet) -> Table:
    total = sum((month.usd for month in plan.months), Decimal(0))
    names = [item.offer.name for item in fleet.items]
    of_each = [number("replicas")] if len(names) == 1 else [number(f"replicas of {name}") for name in names]
    return Table(
        caption=f"{counted(len(plan.months), 'month')} of {' and '.join(names)}: {usd(total)} in all",
        columns=(text("month"), number("peak, requests/s (given)"), *of_each, number("USD")),
        rows=tuple(
            (
                str(month.i_month + 1),
                digits(month.peak_rps),
                *(f"{n:,}" for n in month.n_of_each or (month.n_replicas,)),
                usd(month.usd),
            )
            for month in plan.months
        ),
    )


def _cost_over_peak(plan: Plan, fleet: Fleet, rules: PlanRules) -> Figure | None:
    rivals = [other for other in plan.runners_up[:_N_RIVALS] if other.capacity.usable_capacity_rps_low > 0.0]
    if fleet.capacity.usable_capacity_rps_low <= 0.0 or len(fleet.items) > 1:
        return None
    doubled = bill_at(fleet, fleet.capacity.usable_capacity_rps_low, peak_rps=2.0 * plan.peak_rps, rules=rules)
    return Figure(
        name="cost-over-peak",
        title="What if the peak is another one?",
        sentence=(
            f"At {rate(plan.peak_rps)} this fleet costs {usd(fleet.usd_per_month)} a month; at twice that "
            f"{counted(doubled.n_replicas, 'replica')} would cost {usd(doubled.usd_per_month)} ({fleet.basis}, "
            "sized on the low end of what a replica carries)."
        ),
        chart=Chart(
            x=Axis(title="peak, requests/s"),
            y=Axis(title="USD a month", starts_at_zero=True),
            series=tuple(_steps(plan, one, rules, hue=i) for i, one in enumerate((fleet, *rivals))),
            marks=(Mark(word="planned peak", x=plan.peak_rps),),
        ),
    )


def _steps(plan: Plan, fleet: Fleet, rules: PlanRules, *, hue: int) -> Series:
    """The cost at each peak where it changes."""
    rates: list[float] = []
    costs: list[float] = []
    labels: list[str] = []
    last = _PEAK_SHARES[-1]
    for share in _PEAK_SHARES:
        peak_rps = share * plan.peak_rps
        bill = bill_at(fleet, fleet.capacity.usable_capacity_rps_low, peak_rps=peak_rps, rules=rules)
        cost = float(bill.usd_per_month)
        if share == last or not costs or cost != costs[-1]:
            rates.append(peak_rps)
            costs.append(cost)
            labels.append(counted(bill.n_replicas, "replica"))
    offer = fleet.items[0].offer
    return Series(
        name=f"{offer.instance_type.name} ({offer.region})",
        x=rates,
        y=costs,
        style="step",
        hue=hue,
        is_dashed=hue > 0,
        labels=labels,
    )


def _cost_over_months(plan: Plan) -> Figure:
    first, last = plan.months[0], plan.months[-1]
    return Figure(
        name="cost-over-months",
        title="How does the bill grow?",
        sentence=(
            f"From {usd(first.usd)} in the first month to {usd(last.usd)} in month {last.i_month + 1}, when the peak "
            f"is {rate(last.peak_rps)} (growth is given)."
        ),
        chart=Chart(
            x=Axis(title="month of the plan"),
            y=Axis(title="USD a month", starts_at_zero=True),
            series=(
                Series(
                    name=fleet_name(plan.recommended) if plan.recommended else "fleet",
                    x=[month.i_month + 1.0 for month in plan.months],
                    y=[float(month.usd) for month in plan.months],
                    style="step",
                    labels=[counted(month.n_replicas, "replica") for month in plan.months],
                ),
            ),
        ),
    )
