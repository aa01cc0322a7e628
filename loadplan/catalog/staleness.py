"""How old a price may be: when its age is worth a warning, and when no budget may rest on it. Ages are whole days.

Sources: in aws us-east-1 9 of 33,570 on-demand prices changed between two of 37 snapshots from 2023-09 to 2026-07;
gcp us-central1 set its spot prices anew about every two weeks from 2026-05 to 2026-08, with changes of up to 41 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from loadplan.catalog.price import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeLimits:
    """What a kind of price may be old."""

    warn_after_days: int
    refuse_after_days: int  # in a budget


ON_DEMAND = AgeLimits(warn_after_days=90, refuse_after_days=365)
SMALL_CLOUD = AgeLimits(warn_after_days=30, refuse_after_days=180)
SPOT = AgeLimits(warn_after_days=3, refuse_after_days=14)

# Their list prices stand for years. All other providers are taken for small ones, whose prices follow the market.
_LARGE_CLOUDS = ("aws", "azure", "gcp")


def age_limits(offer: Offer) -> AgeLimits:
    """The limits of an offer's kind; commitments are priced like what they discount."""
    if offer.purchase == "spot":
        return SPOT
    return ON_DEMAND if offer.instance_type.provider in _LARGE_CLOUDS or offer.purchase == "owned" else SMALL_CLOUD


def age_days(offer: Offer, as_of: date) -> int:
    """Days from when the price was seen to `as_of`."""
    return (as_of - offer.price_date).days


def stale_offers(offers: Iterable[Offer], as_of: date) -> tuple[Offer, ...]:
    """Those whose price is old enough for a warning, oldest first."""
    stale = (offer for offer in offers if age_days(offer, as_of) > age_limits(offer).warn_after_days)
    return tuple(sorted(stale, key=lambda offer: (offer.price_date, offer.name)))


def too_old_offers(offers: Iterable[Offer], as_of: date) -> tuple[Offer, ...]:
    """Those whose price no budget may rest on, oldest first."""
    old = (offer for offer in offers if age_days(offer, as_of) > age_limits(offer).refuse_after_days)
    return tuple(sorted(old, key=lambda offer: (offer.price_date, offer.name)))


def oldest_price_date(offers: Iterable[Offer]) -> date | None:
    """The day on which the oldest of these prices was seen; None without a price."""
    return min((offer.price_date for offer in offers), default=None)
