"""Which offers of a catalogue a plan may choose from, why the others may not, and how old their prices are."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches

from loadplan.catalog.price import Catalog, Offer, PurchaseKind
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.plan.commitments import assumed_commitments, discount_assumptions
from loadplan.plan.fleet import Assumption, NotOffered
from loadplan.plan.owned import owned_assumptions, owned_offers
from loadplan.scenario.spec import PlanRules

# Days after which a price is doubted. In aws us-east-1 9 of 33,570 on-demand prices changed between two of 37 snapshots
# of 2023-09 to 2026-07; spot prices are set anew about every two weeks.
_STALE_AFTER_DAYS: dict[PurchaseKind, int] = {"on_demand": 90, "spot": 3, "commit_1y": 90, "commit_3y": 90}


def allowed_offers(catalog: Catalog, rules: PlanRules) -> tuple[Offer, ...]:
    """The offers of the providers, regions and kinds of purchase that the scenario allows."""
    return tuple(
        offer
        for offer in catalog.offers
        if offer.instance_type.provider in rules.providers
        and offer.region in rules.regions
        and offer.purchase in rules.purchases
    )


def offers_to_buy(catalog: Catalog, rules: PlanRules, *, as_of: date) -> tuple[Offer, ...]:
    """The allowed offers, commitments at an assumed discount where no price is known, and machines of one's own.

    Raises:
        InputError: where a machine of one's own is like a type that the catalogue doesn't know.
    """
    on_demand = allowed_offers(catalog, replace(rules, purchases=("on_demand",)))
    return (
        *allowed_offers(catalog, rules),
        *assumed_commitments(on_demand, catalog.offers, rules),
        *owned_offers(catalog, rules, as_of=as_of),
    )


def price_assumptions(offers: Sequence[Offer], rules: PlanRules) -> tuple[Assumption, ...]:
    """What the prices of these offers rest on that nobody quoted."""
    return (*discount_assumptions(offers, rules), *owned_assumptions(rules))


def check_places(catalog: Catalog, rules: PlanRules) -> None:
    """Hold the scenario's providers, regions and types to those that have prices, before anything is measured for them.

    Raises:
        InputError: naming the first that has none, and the nearest that has.
    """
    owned_offers(catalog, rules, as_of=date.min)
    known = {
        "plan.providers": (rules.providers, {offer.instance_type.provider for offer in catalog.offers}),
        "plan.regions": (rules.regions, {offer.region for offer in catalog.offers}),
    }
    for key, (asked, priced) in known.items():
        for name in asked:
            if name not in priced:
                near = get_close_matches(name, priced, n=1, cutoff=0.5)
                meant = f"did you mean {near[0]}? " if near else ""
                raise InputError(
                    what=f"the catalogue has no price for {name!r}",
                    where=key,
                    fix=f"{meant}There are prices for {', '.join(sorted(priced))}",
                )


def why_not_plannable(offer: Offer) -> str | None:
    """Why no plan may rest on this offer, however its capacity is known; None where one may."""
    if offer.purchase == "spot":
        return "spot: only bought above a floor of replicas that stay; see the purchase mix"
    if offer.quality != "ok":
        return f"its price is doubtful ({offer.quality}); give one that you trust with --price"
    return None


def listed(reasons: Iterable[tuple[Offer, str]]) -> tuple[NotOffered, ...]:
    """The offers that are not offered, those with the same reason together."""
    pairs = sorted((reason, offer.name) for offer, reason in reasons)
    return tuple(NotOffered(offer_name=name, reason=reason) for reason, name in pairs)


def stale_price_caveats(offers: Iterable[Offer], as_of: date) -> tuple[Caveat, ...]:
    """One caveat when prices that were compared are older than their kind allows, with the oldest one's age."""
    compared = list(offers)
    stale = [offer for offer in compared if _age_days(offer, as_of) > _STALE_AFTER_DAYS.get(offer.purchase, 90)]
    if not stale:
        return ()
    oldest = min(stale, key=lambda offer: (offer.price_date, offer.name))
    age_days = _age_days(oldest, as_of)
    return (
        Caveat(
            code="catalog.stale",
            what=(
                f"{len(stale)} of the {len(compared)} prices compared are older than their kind should be; the oldest,"
                f" of {oldest.name}, was seen {age_days} days before {as_of}"
            ),
            fix="look up today's price of the recommended fleet and give it with --price",
            number=float(age_days),
        ),
    )


def _age_days(offer: Offer, as_of: date) -> int:
    return (as_of - offer.price_date).days
