"""A fleet in few words, by the names of its offers."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A fleet in few words."""

    offers: tuple[tuple[str, int], ...]  # name and replicas of each
    usd_per_month: Decimal
    predicted_p99_s: float | None = None  # at the peak with the spares gone; None: not known
