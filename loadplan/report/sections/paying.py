"""How would the fleet best be paid for: commitments, by the hour, and spare machines above a floor?"""

from loadplan.catalog.price import Offer
from loadplan.plan.records.purchase import PurchaseMix
from loadplan.report.findings import Findings
from loadplan.report.page import Section, Table, Text, number, text
from loadplan.report.view import counted, percent, price_each, usd


def paying_section(known: Findings) -> Section | None:
    """The purchase mix beside the same fleet always on; nothing where only one way to pay is allowed."""
    mix = None if known.plan is None else known.plan.purchase_mix
    if mix is None:
        return None
    return Section(name="paying", title="How is it best paid for?", blocks=(Text(text=_in_words(mix)), _table(mix)))


def _in_words(mix: PurchaseMix) -> str:
    saved = mix.usd_per_month_always_on - mix.usd_per_month
    share = percent(float(saved / mix.usd_per_month_always_on))
    kind = mix.always_on.purchase.replace("_", " ")
    fleet = f"{counted(mix.n_always_on, 'replica')} always on, {kind}"
    said = (
        f"This mix costs as much as {fleet} ({usd(mix.usd_per_month)} a month)"
        if saved == 0
        else f"This mix costs {usd(mix.usd_per_month)} a month, {usd(saved)} ({share}) less than {fleet}"
    )
    reason = f" It rests on this: {mix.reason}." if mix.reason else ""
    return (
        f"{said}, with the replicas that each hour of the week needs.{reason} What is paid by the hour is taken to "
        "start and stop on the hour (assumed)."
    )


def _table(mix: PurchaseMix) -> Table:
    always = _row("always on, ", mix.always_on, mix.n_always_on, "100 %", usd(mix.usd_per_month_always_on))
    parts = (
        _row("", item.offer, item.n_replicas, percent(float(item.hours_ratio)), usd(item.usd_per_month))
        for item in mix.items
    )
    return Table(
        caption="The mix, and the same fleet always on",
        columns=(
            text("purchase"),
            number("replicas at most"),
            number("of the hours"),
            text("price"),
            number("USD a month"),
            text("source of the price"),
        ),
        rows=(*parts, _total(mix), always),
        marked=(len(mix.items),),
    )


def _total(mix: PurchaseMix) -> tuple[str, ...]:
    n_replicas = sum(item.n_replicas for item in mix.items)
    hours = sum(item.n_replicas * item.hours_ratio for item in mix.items) / n_replicas
    return "the mix", f"{n_replicas:,}", percent(float(hours)), "mixed", usd(mix.usd_per_month), "as above"


def _row(before: str, offer: Offer, n_replicas: int, hours: str, cost: str) -> tuple[str, ...]:
    source = f"{offer.source}, seen {offer.price_date} ({offer.layer})"
    return before + offer.purchase.replace("_", " "), f"{n_replicas:,}", hours, price_each(offer), cost, source
