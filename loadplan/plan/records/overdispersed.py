"""What the plan would be if requests came in clusters: a record that a plan carries."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdispersedCase:
    """The recommended offer, and the cheapest one, where arrivals are not Poisson as assumed but come in clusters."""

    arrivals: str  # the law, in words
    usable_ratio: float  # what a replica of the recommended offer carries then, over what it does of Poisson arrivals
    n_replicas: int | None  # of the recommended offer; None: it can't meet the objectives then, or there are too few
    usd_per_month: Decimal | None
    cheapest_offer: str | None  # None: nothing meets the objectives then
    cheapest_n_replicas: int | None
    cheapest_usd_per_month: Decimal | None
