"""A fleet that is paid for in several ways, beside the same fleet always on and on demand."""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.price import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """Replicas of one kind of purchase."""

    offer: Offer
    n_replicas: int  # at most at once
    hours_ratio: Decimal  # of the hours of all of them that are paid for; 1: always on
    usd_per_month: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseMix:
    """What to commit to, what to run by the hour, and what to take from spare machines."""

    items: tuple[Bought, ...]  # commitments first, spot last
    usd_per_month: Decimal
    always_on: Offer  # what it is compared with
    n_always_on: int
    usd_per_month_always_on: Decimal
    n_floor: int  # replicas that never are spot
    gone_ratio: Decimal  # share of the spot replicas that may be interrupted at once without a miss
    reason: str
