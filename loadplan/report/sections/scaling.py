"""What if replicas follow the week? Three ways of scaling the recommended offer, their cost and their minutes short."""

from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.scaling import PolicyCost, Scaling
from loadplan.report.chart import ASKED, CHOSEN, OTHERS, Axis, Chart, Series
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Column, Figure, Fold, Section, Table, Text, number, text
from loadplan.report.view import counted, digits, percent, rate, usd

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WHAT = {
    "static": "as many as the peak needs, always",
    "scheduled": "asked for before the hour that needs them",
    "reactive": "asked for when the rate of the last minute needs them",
}


def scaling_section(known: Findings) -> Section | None:
    """The comparison, the week that it is about, the start-up that decides it, and the months of the chosen policy."""
    plan = known.plan
    if plan is None or plan.recommended is None or plan.scaling is None:
        return None
    scaling = plan.scaling
    blocks: list[Block] = [
        _compared(scaling),
        _week(known, plan, scaling),
        *_other_offer(scaling),
        Fold(
            title=f"How soon does a new replica serve? After {digits(scaling.start_up_s)} s", blocks=(_start(scaling),)
        ),
        Fold(title=f"Month by month, {scaling.chosen}", blocks=(_months(scaling),)),
    ]
    return Section(name="scaling", title="Should the fleet follow the week?", blocks=tuple(blocks))


def _compared(scaling: Scaling) -> Table:
    static = scaling.policies[0]
    return Table(
        caption="One week of the first month, simulated minute by minute. Short: the rate is above what the ready "
        "replicas carry within the objectives. Thin: headroom or spares are not all there.",
        columns=(
            text("scaling"),
            text("replicas are"),
            number("replicas"),
            number("USD a month"),
            number("against static"),
            number("minutes short a week"),
            number("minutes thin a week"),
        ),
        rows=tuple(
            (
                one.policy,
                _WHAT[one.policy],
                _span(one),
                usd(one.usd_per_month),
                "–" if one is static else _change(one, static),
                f"{one.violation_minutes:,}",
                f"{one.thin_minutes:,}",
            )
            for one in scaling.policies
        ),
        marked=tuple(i for i, one in enumerate(scaling.policies) if one.policy == scaling.chosen),
    )


def _span(one: PolicyCost) -> str:
    return f"{one.n_most:,}" if one.n_least == one.n_most else f"{one.n_least:,} to {one.n_most:,}"


def _change(one: PolicyCost, static: PolicyCost) -> str:
    if one.usd_per_month == static.usd_per_month:
        return "the same"
    change = float(one.usd_per_month / static.usd_per_month) - 1.0
    return f"{'−' if change < 0 else '+'}{percent(abs(change))}" if round(change, 6) else "the same"


def _week(known: Findings, plan: Plan, scaling: Scaling) -> Figure:
    demand = [share * plan.peak_rps for share in known.scenario.traffic.week_shares]
    hours = [float(hour) for hour in range(len(demand))]
    scheduled, reactive = scaling.policies[1:]
    return Figure(
        name="replicas-over-week",
        title="What do the ready replicas carry, hour by hour?",
        sentence=(
            f"The week needs {rate(plan.mean_rps)} on average, {percent(plan.mean_rps / plan.peak_rps)} of the peak "
            f"(given). A schedule has {scheduled.mean_replicas:.3g} replicas on average, and the rate is above what "
            f"they carry in {counted(scheduled.violation_minutes, 'minute')} a week; reacting has "
            f"{reactive.mean_replicas:.3g}, and {counted(reactive.violation_minutes, 'minute')} (simulated; the "
            "schedule knows the week)."
        ),
        chart=Chart(
            x=Axis(title="hour of the week, UTC", ticks=[(24.0 * i, day) for i, day in enumerate(_DAYS)]),
            y=Axis(title="asked and carried, requests/s", starts_at_zero=True),
            series=(
                Series(name="demand", x=hours, y=demand, style="step", hue=ASKED),
                *(_carried(one, hours, hue=hue) for one, hue in _coloured(scaling)),
            ),
        ),
    )


def _coloured(scaling: Scaling) -> list[tuple[PolicyCost, int]]:
    """The chosen policy in the colour of what is chosen, the others in two that aren't."""
    hues = iter((OTHERS, 3))
    return [(one, CHOSEN if one.policy == scaling.chosen else next(hues)) for one in scaling.policies]


def _carried(one: PolicyCost, hours: list[float], *, hue: int) -> Series:
    return Series(
        name=f"carried, {one.policy}",
        x=hours,
        y=one.hourly_carried_rps,
        style="step",
        hue=hue,
        is_dashed=one.policy != "reactive",
        labels=[counted(n, "replica") for n in one.hourly_ready],
    )


def _other_offer(scaling: Scaling) -> tuple[Text, ...]:
    other = scaling.cheapest_scheduled
    if other is None:
        return ()
    return (
        Text(
            text=f"By a schedule {other.offer_name} would be cheaper: {other.n_least} to {other.n_most} replicas for "
            f"{usd(other.usd_per_month)} a month. It lost because a static fleet of it costs more."
        ),
    )


def _start(scaling: Scaling) -> Table:
    return Table(
        caption="From the wish for a replica to its first answer",
        columns=(text("part"), number("s"), Column(title="evidence", kind="basis"), text("source")),
        rows=tuple((part.name, digits(part.time_s), part.basis, part.source) for part in scaling.start_up),
    )


def _months(scaling: Scaling) -> Table:
    chosen = next(one for one in scaling.policies if one.policy == scaling.chosen)
    return Table(
        caption=f"{usd(sum((month.usd for month in chosen.months), start=chosen.usd_per_month * 0))} in all "
        "(chosen by plan.scaling.policy)",
        columns=(
            text("month"),
            number("peak, requests/s (given)"),
            number("replicas at most"),
            number("on average"),
            number("USD"),
            number("minutes short a week"),
        ),
        rows=tuple(
            (
                str(month.i_month + 1),
                digits(month.peak_rps),
                f"{month.n_most:,}",
                f"{month.mean_replicas:.3g}" if month.mean_replicas < 100 else digits(month.mean_replicas),
                usd(month.usd),
                f"{month.violation_minutes:,}",
            )
            for month in chosen.months
        ),
    )
