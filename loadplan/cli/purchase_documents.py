"""The purchase mix as the JSON that scripts rely on, and the line in the summary where one would save."""

from decimal import Decimal

from loadplan.cli.figures import Document, usd
from loadplan.plan.records.purchase import Bought, PurchaseMix
from loadplan.units import usd_text

WORTH_SAYING_RATIO = Decimal("0.05")  # of the bill of the fleet that is always on


def mix_document(mix: PurchaseMix | None) -> Document | None:
    """How the recommended fleet would best be paid for; None where the scenario allows only one way."""
    if mix is None:
        return None
    return {
        "items": [_item(item) for item in mix.items],
        "usd_per_month": usd(mix.usd_per_month),
        "always_on": {
            "offer": mix.always_on.name,
            "n_replicas": mix.n_always_on,
            "usd_per_month": usd(mix.usd_per_month_always_on),
        },
        "n_floor": mix.n_floor,
        "gone_ratio": float(mix.gone_ratio),
        "reason": mix.reason,
    }


def mix_text(mix: PurchaseMix | None) -> str | None:
    """What the mix would save; None where that is no more than 5 % of the bill, or there is none."""
    if mix is None or mix.usd_per_month >= (1 - WORTH_SAYING_RATIO) * mix.usd_per_month_always_on:
        return None
    parts = " + ".join(
        f"{item.n_replicas} {item.offer.purchase.replace('_', ' ')}"
        + ("" if item.hours_ratio == 1 else f" in {item.hours_ratio:.0%} of the hours")
        for item in mix.items
    )
    saved = 1 - mix.usd_per_month / mix.usd_per_month_always_on
    kind = mix.always_on.purchase.replace("_", " ")
    return f"{parts}: {usd_text(mix.usd_per_month)} a month (−{saved:.0%} of {mix.n_always_on} always on, {kind})"


def _item(item: Bought) -> Document:
    return {
        "offer": item.offer.name,
        "purchase": item.offer.purchase,
        "n_replicas": item.n_replicas,
        "hours_ratio": float(item.hours_ratio),
        "usd_per_month": usd(item.usd_per_month),
        "price_source": item.offer.source,
        "price_date": item.offer.price_date.isoformat(),
        "price_layer": item.offer.layer,
    }
