"""What differs between two states of the catalogue, offer by offer."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from loadplan.catalog.price import Catalog, Offer
from loadplan.catalog.price_list import PriceList
from loadplan.catalog.validation import offers_of


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


def changes_by_list(catalog: Catalog, listed: PriceList, *, as_of: date) -> tuple[PriceChange, ...]:
    """What an import of this list would change; offers that it doesn't name stay as they are.

    Args:
        catalog: as it is now.
        listed: a validated list.
        as_of: today.
    """
    priced = offers_of(listed, as_of=as_of)
    names = {offer.name for offer in priced}
    return price_changes((offer for offer in catalog.offers if offer.name in names), priced)


def _usd(offer: Offer | None) -> Decimal | None:
    return None if offer is None else offer.usd_per_hour
