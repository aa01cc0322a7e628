"""Commitments for one and three years: the catalogue's prices where it has them, else an assumed discount.

A commitment is paid for every hour of its term, whether the machine runs or not. The decision a reader would question:
where no price is known a discount is taken off the on-demand price of every provider, small ones too, which may not
sell commitments at all; each such offer says in its source that it is assumed, and a caveat travels with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from loadplan.catalog.price import Offer, PurchaseKind
from loadplan.caveat import Caveat
from loadplan.plan.records.fleet import Assumption
from loadplan.scenario.spec import PlanRules

ASSUMED_LAYER = "assumed discount"
TERM_MONTHS: dict[PurchaseKind, int] = {"commit_1y": 12, "commit_3y": 36}


def assumed_commitments(on_demand: Iterable[Offer], known: Iterable[Offer], rules: PlanRules) -> tuple[Offer, ...]:
    """A commitment for each on-demand offer, of each kind that the scenario allows and no price is known of.

    Args:
        on_demand: offers on demand, whether they themselves may be bought or not.
        known: the offers of the catalogue.
        rules: the kinds of purchase that are allowed, and the discounts.
    """
    priced = {offer.name for offer in known}
    assumed = (
        _assumed(offer, kind, _discount(kind, rules))
        for offer in on_demand
        for kind in TERM_MONTHS
        if kind in rules.purchases
    )
    return tuple(offer for offer in assumed if offer.name not in priced)


def discount_assumptions(offers: Sequence[Offer], rules: PlanRules) -> Iterable[Assumption]:
    """The discounts that some offer rests on."""
    for kind, n_months in TERM_MONTHS.items():
        if any(is_assumed(offer) and offer.purchase == kind for offer in offers):
            yield Assumption(
                name=f"discount of a commitment for {n_months} months where the catalogue has no price",
                value=float(_discount(kind, rules)),
                unit="ratio of the on-demand price",
                source="assumed: plan.commitment_discounts",
            )


def commitment_caveats(bought: Iterable[Offer], rules: PlanRules) -> Iterable[Caveat]:
    """What is doubtful about the commitments that a fleet rests on."""
    bought = tuple(bought)
    assumed = sorted({offer.name for offer in bought if is_assumed(offer)})
    if assumed:
        yield Caveat(
            code="plan.discount_assumed",
            what=f"the price of {', '.join(assumed)} is the on-demand price less an assumed discount",
            fix="ask the provider for the price of the commitment and give it with --price",
        )
    terms = [TERM_MONTHS[offer.purchase] for offer in bought if offer.purchase in TERM_MONTHS]
    if terms and max(terms) > rules.horizon_months:
        yield Caveat(
            code="plan.commitment_outlasts_horizon",
            what=f"it is committed to for {max(terms)} months, and the plan looks {rules.horizon_months} ahead",
            fix="lengthen plan.horizon_months, or allow shorter commitments only",
            number=float(max(terms)),
        )


def is_assumed(offer: Offer) -> bool:
    """Whether its price is an on-demand price less a discount that nobody quoted."""
    return offer.layer == ASSUMED_LAYER


def _assumed(offer: Offer, kind: PurchaseKind, discount: Decimal) -> Offer:
    return replace(
        offer,
        purchase=kind,
        usd_per_hour=offer.usd_per_hour * (1 - discount),
        source=f"{offer.source}; on demand less an assumed discount of {(100 * discount).normalize():f} %",
        layer=ASSUMED_LAYER,
    )


def _discount(kind: PurchaseKind, rules: PlanRules) -> Decimal:
    discounts = rules.commitment_discounts
    return discounts.commit_1y_ratio if kind == "commit_1y" else discounts.commit_3y_ratio
