"""Which offers of a catalogue a plan may choose from, why the others may not, and how old their prices are."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches

from loadplan.catalog.price import Catalog, Offer
from loadplan.catalog.staleness import age_days, age_limits, stale_offers, too_old_offers
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.plan.buying.commitments import assumed_commitments, discount_assumptions
from loadplan.plan.buying.owned import owned_assumptions, owned_offers
from loadplan.plan.records.fleet import Assumption, NotOffered, Plan
from loadplan.scenario.spec import PlanRules


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


def compared_offers(candidates: Iterable[Offer], offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """The offers that fleets are made of, and those on spot of the same types, of which a mix may be made."""
    made_of = tuple(candidates)
    types = {offer.type_name for offer in made_of}
    return (*made_of, *(offer for offer in offers if offer.purchase == "spot" and offer.type_name in types))


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
    return None


def listed(reasons: Iterable[tuple[Offer, str]]) -> tuple[NotOffered, ...]:
    """The offers that are not offered, those with the same reason together."""
    pairs = sorted((reason, offer.name) for offer, reason in reasons)
    return tuple(NotOffered(offer_name=name, reason=reason) for reason, name in pairs)


def stale_price_caveats(offers: Iterable[Offer], as_of: date) -> tuple[Caveat, ...]:
    """One caveat when prices that were compared are older than their kind allows, with the oldest one's age."""
    compared = list(offers)
    stale = stale_offers(compared, as_of)
    if not stale:
        return ()
    age = age_days(stale[0], as_of)
    n_refused = len(too_old_offers(compared, as_of))
    refused = f"; {n_refused} of them are so old that no budget may rest on them" if n_refused else ""
    return (
        Caveat(
            code="catalog.stale",
            what=(
                f"{len(stale)} of the {len(compared)} prices compared are older than their kind should be; the oldest,"
                f" of {stale[0].name}, was seen {age} days before {as_of}{refused}"
            ),
            fix="look up today's price of the recommended fleet and give it with --price",
            number=float(age),
        ),
    )


def bought(plan: Plan) -> tuple[Offer, ...]:
    """The offers of a plan's fleet; none where nothing is feasible."""
    return () if plan.recommended is None else tuple(item.offer for item in plan.recommended.items)


def doubtful_price_caveats(offers: Iterable[Offer], instead: str) -> tuple[Caveat, ...]:
    """One caveat for each doubtful price among those that a plan rests on.

    Args:
        offers: what the plan buys.
        instead: what would be without them, in words.
    """
    return tuple(
        Caveat(
            code="catalog.doubtful_price",
            what=f"the price of {offer.name}, on which this plan rests, is doubtful ({offer.quality}); {instead}",
            fix=f"look it up and give it with --price {offer.name}=USD per hour",
        )
        for offer in dict.fromkeys(offers)
        if offer.quality != "ok"
    )


def require_recent_prices(offers: Iterable[Offer], *, as_of: date) -> None:
    """Hold a budget to prices that are not too old for it.

    Raises:
        InputError: naming the oldest that is, its age, and what its kind may be old.
    """
    old = too_old_offers(offers, as_of)
    if old:
        raise InputError(
            what=_why_too_old(old[0], as_of),
            where=old[0].layer,
            fix=f"plan again with today's price: `loadplan plan RUN --price {old[0].name}=USD per hour`",
        )


def why_no_budget(plan: Plan, *, as_of: date) -> str | None:
    """Why no budget may rest on a plan's prices, by the oldest of them; None where one may."""
    old = too_old_offers(bought(plan), as_of)
    return _why_too_old(old[0], as_of) if old else None


def _why_too_old(offer: Offer, as_of: date) -> str:
    limit = age_limits(offer).refuse_after_days
    return (
        f"the price of {offer.name} was seen {age_days(offer, as_of)} days before {as_of}; a budget rests on prices of "
        f"its kind for {limit} days at most"
    )
