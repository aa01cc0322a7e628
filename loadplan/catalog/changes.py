"""What differs between two states of the catalogue, offer by offer."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.price import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """One offer whose price differs; None: the offer isn't in that state."""

    name: str
    before: Offer | None
    after: Offer | None

    @property
    def change_ratio(self) -> Decimal | None:
        """The rise over the price before; None where one of the two isn't there, or was free."""
        if self.before is None or self.after is None or self.before.usd_per_hour == 0:
            return None
        return self.after.usd_per_hour / self.before.usd_per_hour - 1


def price_changes(before: Iterable[Offer], after: Iterable[Offer]) -> tuple[PriceChange, ...]:
    """Offers that came, went, or have another price, by name; a new date alone is no change."""
    old = {offer.name: offer for offer in before}
    new = {offer.name: offer for offer in after}
    return tuple(
        PriceChange(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if _usd(old.get(name)) != _usd(new.get(name))
    )


def _usd(offer: Offer | None) -> Decimal | None:
    return None if offer is None else offer.usd_per_hour
