"""What would each way of paying come to, month by month? The fleet's own replicas, always on, by kind of purchase.

The decision a reader would question: a commitment is shown although the scenario doesn't allow it, at the assumed
discount where no price is known; the column says so, and the plan doesn't rest on it.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from loadplan.catalog.price import Offer, PurchaseKind
from loadplan.plan.buying.commitments import TERM_MONTHS, assumed_commitments, is_assumed
from loadplan.plan.fleets.sizing import usd_of
from loadplan.plan.records.fleet import Plan
from loadplan.report.chart import CHOSEN, Axis, Chart, Series
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Figure, Section, Table, Text, number, text
from loadplan.report.view import counted, usd
from loadplan.scenario.spec import PlanRules

_OTHER_HUES = (1, 2, 3)
_KINDS: dict[PurchaseKind, str] = {"commit_1y": "committed for a year", "commit_3y": "committed for 3 years"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A kind of purchase and what the months of the horizon cost with it."""

    offer: Offer
    months: tuple[Decimal, ...]

    @property
    def in_all(self) -> Decimal:
        return sum(self.months, Decimal(0))


def purchases_section(known: Findings) -> Section | None:
    """Months beside each other by kind of purchase; nothing where but one kind has a price, or of several types."""
    plan = known.plan
    if plan is None or plan.recommended is None or len(plan.recommended.items) > 1:
        return None
    chosen = plan.recommended.items[0].offer
    ways = [_way(plan, offer) for offer in (chosen, *_others(plan, chosen, known.scenario.plan))]
    if len(ways) < 2 or not plan.months:
        return None
    longest = max(TERM_MONTHS.get(way.offer.purchase, 0) for way in ways)
    blocks: list[Block] = [_figure(plan, ways), _table(plan, ways)]
    if longest > len(plan.months):
        said = (
            f"A commitment is paid to its end, {longest} months at most, and this plan looks {len(plan.months)} ahead: "
        )
        blocks.append(Text(text=f"{said}what it costs after that is not in these figures.", tone="doubt"))
    return Section(name="purchases", title="What does each way of paying come to?", blocks=tuple(blocks))


def _others(plan: Plan, chosen: Offer, rules: PlanRules) -> list[Offer]:
    """Other prices of the same machine in the same region: those of the plan's mix, else assumed from on demand."""
    mix = plan.purchase_mix
    known = [] if mix is None else [mix.always_on, *(item.offer for item in mix.items)]
    same: dict[PurchaseKind, Offer] = {
        offer.purchase: offer
        for offer in known
        if offer.type_name == chosen.type_name and offer.region == chosen.region and offer.purchase != "spot"
    }
    same[chosen.purchase] = chosen
    on_demand = same.get("on_demand")
    if on_demand is not None:
        every = replace(rules, purchases=tuple(TERM_MONTHS))
        same |= {one.purchase: one for one in assumed_commitments([on_demand], same.values(), every)}
    return [offer for kind, offer in same.items() if kind != chosen.purchase]


def _way(plan: Plan, offer: Offer) -> _Way:
    months = (usd_of(offer, month.n_replicas, hours_per_month=plan.hours_per_month) for month in plan.months)
    return _Way(offer=offer, months=tuple(months))


def _named(way: _Way) -> str:
    """Such as `on demand`, or `committed for a year (assumed discount)`."""
    kind = _KINDS.get(way.offer.purchase, way.offer.purchase.replace("_", " "))
    return f"{kind} (assumed discount)" if is_assumed(way.offer) else kind


def _figure(plan: Plan, ways: list[_Way]) -> Figure:
    said = ", ".join(f"{usd(way.in_all)} {_named(way)}" for way in ways)
    months = [float(month.i_month + 1) for month in plan.months]
    hues = (CHOSEN, *_OTHER_HUES)
    return Figure(
        name="ways-of-paying",
        title="What has been paid by the end of each month?",
        sentence=f"Over {counted(len(months), 'month')} the same replicas, always on, come to {said}; the plan buys "
        f"{_named(ways[0])}.",
        chart=Chart(
            x=Axis(title="month of the plan"),
            y=Axis(title="paid so far, USD", starts_at_zero=True),
            series=tuple(
                Series(name=_named(way), x=months, y=_sums(way), hue=hue, is_dashed=is_assumed(way.offer))
                for way, hue in zip(ways, hues, strict=False)
            ),
        ),
    )


def _sums(way: _Way) -> list[float]:
    paid, sums = Decimal(0), []
    for month in way.months:
        paid += month
        sums.append(float(paid))
    return sums


def _table(plan: Plan, ways: list[_Way]) -> Table:
    in_all = ("in all", "", *(usd(way.in_all) for way in ways))
    rows = [
        (str(month.i_month + 1), f"{month.n_replicas:,}", *(usd(way.months[i]) for way in ways))
        for i, month in enumerate(plan.months)
    ]
    if len({row[1:] for row in rows}) == 1:
        rows = [("each", *rows[0][1:])]
    return Table(
        caption="USD by month and kind of purchase, the replicas as planned and always on",
        columns=(text("month"), number("replicas"), *(number(f"{_named(way)}, USD") for way in ways)),
        rows=(*rows, in_all),
        marked=(len(rows),),
    )
