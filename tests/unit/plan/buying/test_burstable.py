"""Burstable types: never planned at full speed unless the credits for it are paid."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.records import CapacityFit
from loadplan.plan.buying.burstable import surplus_usd_per_hour
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario

AS_OF = date(2026, 11, 24)


@pytest.fixture
def burstable(offer: Offer) -> Offer:
    """Two vCPUs for 5 cents, a fifth of each always there, surplus credits at 5 cents."""
    own = replace(
        offer.instance_type,
        name="t3",
        n_vcpus=2,
        baseline_ratio=0.2,
        surplus_usd_per_vcpu_hour=Decimal("0.05"),
    )
    return replace(offer, instance_type=own, usd_per_hour=Decimal("0.05"))


def plan(scenario: Scenario, *offers: Offer) -> Plan:
    """Each carries 1,000 at full speed; 2,400 requests per second in half of the hours, 1,200 in the others."""
    rows = [
        GivenCapacity(
            provider="aws",
            region=None,
            instance_type=offer.instance_type.name,
            batch_size=None,
            usable_capacity_rps=Decimal(1000),
            p99_s=Decimal("0.01"),
        )
        for offer in offers
    ]
    catalog = Catalog(version="test", offers=offers, cpu_families=())
    return plan_on_given(rows, scenario=scenario, catalog=catalog, as_of=AS_OF)


def priced(offer: Offer, usd: str) -> Offer:
    return replace(offer, usd_per_hour=Decimal(usd))


def bought(planned: Plan) -> tuple[str, int, Decimal, str | None]:
    fleet = planned.recommended
    assert fleet is not None
    return fleet.items[0].offer.instance_type.name, fleet.items[0].n_replicas, fleet.usd_per_month, fleet.capacity.burst


def test_one_would_win_if_its_credits_were_forgotten(scenario: Scenario, offer: Offer, burstable: Offer) -> None:
    """Four at full speed would cost 4 x 0.05 x 730 = 146.00 against 4 x 0.08 x 730 = 233.60.

    At its baseline one carries 200, so 2,400 / (200 x 0.8) + 1 = 16 cost 584.00. With credits 4 cost 262.80: used at
    0.8 and 0.4 of full speed, 0.6 and 0.2 above the baseline, 0.4 on average: 0.05 + 2 x 0.05 x 0.4 = 0.09 an hour.
    """
    planned = plan(scenario, priced(offer, "0.08"), burstable)
    assert bought(planned) == ("h.xlarge", 4, Decimal("233.60"), None)
    loser = planned.runners_up[0]
    assert (loser.items[0].n_replicas, loser.usd_per_month) == (4, Decimal("262.80"))
    assert loser.reason.endswith("; surplus credits are in its price")


def test_one_wins_where_its_credits_are_worth_it(scenario: Scenario, offer: Offer, burstable: Offer) -> None:
    planned = plan(scenario, offer, burstable)
    assert bought(planned) == ("t3", 4, Decimal("262.80"), "surplus")
    assert [caveat.code for caveat in planned.caveats] == ["plan.burstable_surplus"]
    told = {one.name: one.value for one in planned.assumptions}
    assert (told["aws/t3: baseline"], told["aws/t3: surplus credits"]) == (0.2, 0.05)


def test_without_a_price_of_credits_it_is_planned_at_its_baseline(
    scenario: Scenario, offer: Offer, burstable: Offer
) -> None:
    """Half of each vCPU: 500 each, so 2,400 / (500 x 0.8) + 1 = 7 at 36.50 a month."""
    own = replace(burstable.instance_type, baseline_ratio=0.5, surplus_usd_per_vcpu_hour=None)
    planned = plan(scenario, offer, replace(burstable, instance_type=own))
    assert bought(planned) == ("t3", 7, Decimal("255.50"), "baseline")
    assert planned.recommended is not None
    assert planned.recommended.capacity.usable_capacity_rps == 500.0
    assert "planned at its baseline" in planned.recommended.reason


def test_what_is_used_below_the_baseline_costs_no_credits(scenario: Scenario, burstable: Offer) -> None:
    # 0.25 x 0.8 = 0.2, just the baseline, in every hour but one: 2 x 0.05 x (0.8 - 0.2) / 168.
    shares = (1.0,) + (0.25,) * 167
    found = surplus_usd_per_hour(burstable, shares, scenario.plan)
    assert found == Decimal("0.06") / 168


def test_following_the_week_saves_nothing_where_credits_are_paid(
    scenario: Scenario, offer: Offer, burstable: Offer
) -> None:
    """Fewer replicas in the quiet half would be used more, and the credits in the price are those of all of them."""
    scaling = plan(scenario, offer, burstable).scaling
    assert scaling is not None
    assert {one.usd_per_month for one in scaling.policies} == {Decimal("262.80")}


def test_a_fit_is_planned_at_the_baseline_too(
    scenario: Scenario, fit: CapacityFit, catalog: Catalog, offer: Offer
) -> None:
    """A fifth of what the same type carries at full speed, and the same count as that capacity takes."""
    own = replace(offer.instance_type, baseline_ratio=0.2)
    burst = replace(catalog, offers=(replace(offer, instance_type=own),))
    full = plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=AS_OF).recommended
    slow = plan_fleet(fit=fit, scenario=scenario, catalog=burst, as_of=AS_OF).recommended
    assert full is not None
    assert slow is not None
    low_rps = full.capacity.usable_capacity_rps_low
    assert slow.capacity.usable_capacity_rps_low == pytest.approx(0.2 * low_rps, rel=1e-12)
    n_left = slow.items[0].n_replicas - 1
    assert n_left * 0.2 * low_rps * 0.8 >= 2400.0 > (n_left - 1) * 0.2 * low_rps * 0.8
