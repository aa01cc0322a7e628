"""What else was there, and why did each lose?"""

from loadplan.catalog.price import Offer
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.chart import CHOSEN, OTHERS, Axis, Chart, Mark, Series
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Figure, Section, Table, Text, basis, number, reason, text
from loadplan.report.sections.front import front_figure
from loadplan.report.view import digits, fleet_name, given_ms, ms, p99_limit_s, percent, span_ms, to_ms, usd


def alternatives_section(known: Findings) -> Section | None:
    """Every fleet that was compared, the chosen one first; the nearest miss where none will do."""
    plan = known.plan
    if plan is None:
        return None
    return Section(name="alternatives", title="", blocks=tuple(_blocks(known, plan)))


def _blocks(known: Findings, plan: Plan) -> list[Block]:
    fleets = [fleet for fleet in (plan.recommended or plan.nearest_miss, *plan.runners_up) if fleet is not None]
    if not fleets:
        return [Text(text=f"Nothing could be compared: {plan.binding_constraint}", tone="bad")]
    caption = "the chosen fleet first, then by cost" if plan.recommended else "no fleet will do; the nearest miss"
    blocks: list[Block] = [
        Table(
            caption=f"Fleets at {digits(plan.peak_rps)} requests/s: {caption}",
            columns=(
                text("fleet"),
                number("USD a month"),
                text("prices from"),
                number("predicted p99, ms (interval)"),
                number("a replica carries, requests/s"),
                number("in use at the peak, spares gone"),
                basis(),
                reason("why"),
            ),
            rows=tuple(_row(fleet) for fleet in fleets),
            marked=(0,) if plan.recommended else (),
        )
    ]
    figures = (_figure(known, plan), front_figure(known))
    return [*blocks, *(one for one in figures if one is not None), *_worth_measuring(plan)]


def _worth_measuring(plan: Plan) -> list[Block]:
    """Which machine to measure next; nothing where that would save less than it costs."""
    if not plan.worth_measuring:
        return []
    return [
        Table(
            caption="What to measure next: types whose interval overlaps what the chosen fleet is sized on",
            columns=(
                text("instance type"),
                number("expected saving, USD a month"),
                number("chance of being cheaper"),
                number("measuring costs, USD once"),
                reason("why"),
                text("what to run there"),
            ),
            rows=tuple(
                (
                    one.type_name,
                    usd(one.expected_saving_usd_per_month),
                    percent(one.chance_ratio),
                    usd(one.measuring_usd),
                    one.reason,
                    one.command,
                )
                for one in plan.worth_measuring
            ),
        )
    ]


def _row(fleet: Fleet) -> tuple[str, ...]:
    capacity = fleet.capacity
    carried = digits(capacity.usable_capacity_rps)
    if capacity.usable_capacity_rps_low != capacity.usable_capacity_rps_high:
        low, high = digits(capacity.usable_capacity_rps_low), digits(capacity.usable_capacity_rps_high)
        carried = f"{carried} ({low} to {high})"
    return (
        fleet_name(fleet),
        usd(fleet.usd_per_month),
        ", ".join(dict.fromkeys(_layer(item.offer) for item in fleet.items)),
        _p99(fleet),
        carried,
        percent(fleet.utilisation_ratio_degraded),
        fleet.basis,
        fleet.reason,
    )


def _layer(offer: Offer) -> str:
    return offer.layer if offer.quality == "ok" else f"{offer.layer} (doubtful)"


def _p99(fleet: Fleet) -> str:
    if fleet.predicted_p99_s is None:
        return "unknown"
    if fleet.predicted_p99_s_low is None or fleet.predicted_p99_s_high is None:
        return digits(to_ms(fleet.predicted_p99_s))
    return f"{digits(to_ms(fleet.predicted_p99_s))} ({span_ms(fleet.predicted_p99_s_low, fleet.predicted_p99_s_high)})"


def _figure(known: Findings, plan: Plan) -> Figure | None:
    """Cost against predicted latency, of the fleets whose latency is predicted."""
    chosen = plan.recommended
    if chosen is None or chosen.predicted_p99_s is None:
        return None
    others = [fleet for fleet in plan.runners_up if fleet.predicted_p99_s is not None]
    if not others:
        return None
    limit_s = p99_limit_s(known.scenario)
    return Figure(
        name="cost-and-latency",
        title="Which fleet is cheapest and holds?",
        sentence=(
            f"The chosen fleet costs {usd(chosen.usd_per_month)} a month with a predicted p99 of "
            f"{ms(chosen.predicted_p99_s)} at the peak; {len(others)} others that hold cost "
            f"{usd(others[0].usd_per_month)} to {usd(others[-1].usd_per_month)} ({chosen.basis})."
        ),
        chart=Chart(
            x=Axis(title="USD a month", scale="log"),
            y=Axis(title="predicted p99 at the peak, ms", scale="log"),
            series=(_series("chosen", [chosen], hue=CHOSEN), _series("others that hold", others, hue=OTHERS)),
            marks=() if limit_s is None else (Mark(word=f"limit {given_ms(limit_s)}", y=to_ms(limit_s)),),
        ),
    )


def _series(name: str, fleets: list[Fleet], *, hue: int) -> Series:
    middles = [fleet.predicted_p99_s or 0.0 for fleet in fleets]
    return Series(
        name=name,
        x=[float(fleet.usd_per_month) for fleet in fleets],
        y=[to_ms(middle) for middle in middles],
        low=[to_ms(fleet.predicted_p99_s_low or middle) for fleet, middle in zip(fleets, middles, strict=True)],
        high=[to_ms(fleet.predicted_p99_s_high or middle) for fleet, middle in zip(fleets, middles, strict=True)],
        style="points",
        hue=hue,
        labels=[fleet_name(fleet) for fleet in fleets],
    )
