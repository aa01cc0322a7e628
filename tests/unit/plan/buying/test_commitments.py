"""Commitments: the catalogue's price where there is one, else an assumed discount that is told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer, PurchaseKind
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.purchase_rules import CommitmentDiscounts
from loadplan.scenario.spec import Scenario

AS_OF = date(2026, 11, 24)
DISCOUNTS = CommitmentDiscounts(commit_1y_ratio=Decimal("0.25"), commit_3y_ratio=Decimal("0.45"))


def plan(scenario: Scenario, offers: Sequence[Offer], *purchases: PurchaseKind, horizon_months: int = 12) -> Plan:
    """Four replicas of 1,000 for 2,400 requests per second."""
    rules = replace(scenario.plan, purchases=purchases, commitment_discounts=DISCOUNTS, horizon_months=horizon_months)
    row = GivenCapacity(
        provider="aws",
        region=None,
        instance_type="h.xlarge",
        batch_size=None,
        usable_capacity_rps=Decimal(1000),
        p99_s=Decimal("0.01"),
    )
    catalog = Catalog(version="test", offers=tuple(offers), cpu_families=())
    return plan_on_given([row], scenario=replace(scenario, plan=rules), catalog=catalog, as_of=AS_OF)


def bought(planned: Plan) -> tuple[str, Decimal]:
    assert planned.recommended is not None
    return planned.recommended.items[0].offer.purchase, planned.recommended.usd_per_month


def test_without_a_known_price_the_discount_is_assumed_and_told(scenario: Scenario, offer: Offer) -> None:
    # 4 x 0.10 x 0.75 x 730 = 219.00
    planned = plan(scenario, [offer], "on_demand", "commit_1y")
    assert bought(planned) == ("commit_1y", Decimal("219.00"))
    assert [caveat.code for caveat in planned.caveats] == ["plan.discount_assumed"]
    told = {one.name: (one.value, one.source) for one in planned.assumptions}
    name = "discount of a commitment for 12 months where the catalogue has no price"
    assert told[name] == (0.25, "assumed: plan.commitment_discounts")
    assert planned.recommended is not None
    assert planned.recommended.items[0].offer.source == "test; on demand less an assumed discount of 25 %"


def test_a_price_of_the_catalogue_comes_before_an_assumed_one(scenario: Scenario, offer: Offer) -> None:
    known = replace(offer, purchase="commit_1y", usd_per_hour=Decimal("0.08"))
    planned = plan(scenario, [offer, known], "on_demand", "commit_1y")
    assert bought(planned) == ("commit_1y", Decimal("233.60"))
    assert planned.caveats == ()
    assert not any("discount" in one.name for one in planned.assumptions)


def test_three_years_are_said_to_outlast_a_horizon_of_one(scenario: Scenario, offer: Offer) -> None:
    # 4 x 0.10 x 0.55 x 730 = 160.60
    planned = plan(scenario, [offer], "on_demand", "commit_3y")
    assert bought(planned) == ("commit_3y", Decimal("160.60"))
    assert [caveat.code for caveat in planned.caveats] == [
        "plan.discount_assumed",
        "plan.commitment_outlasts_horizon",
    ]
    longer = plan(scenario, [offer], "on_demand", "commit_3y", horizon_months=36)
    assert [caveat.code for caveat in longer.caveats] == ["plan.discount_assumed"]


def test_a_commitment_needs_no_leave_to_buy_on_demand(scenario: Scenario, offer: Offer) -> None:
    assert bought(plan(scenario, [offer], "commit_1y")) == ("commit_1y", Decimal("219.00"))


def test_nothing_is_assumed_of_offers_on_spot(scenario: Scenario, offer: Offer) -> None:
    spot = replace(offer, purchase="spot", usd_per_hour=Decimal("0.02"))
    planned = plan(scenario, [offer, spot], "on_demand", "commit_1y")
    assert bought(planned) == ("commit_1y", Decimal("219.00"))
