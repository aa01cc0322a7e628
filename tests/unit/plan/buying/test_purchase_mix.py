"""Ways to pay for one fleet, worked out by hand to the cent."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.purchase import PurchaseMix
from loadplan.scenario.purchase_rules import CommitmentDiscounts, SpotRules
from loadplan.scenario.spec import Scenario

AS_OF = date(2026, 11, 24)


def plan(scenario: Scenario, *offers: Offer, floor: str = "0.5", gone: str = "0.25", discount: str = "0.25") -> Plan:
    """2,400 requests per second in half of the week's hours take 3 + 1 of 1,000; 1,200 in the others 2 + 1."""
    rules = replace(
        scenario.plan,
        purchases=tuple(dict.fromkeys(offer.purchase for offer in offers)),
        spot=SpotRules(floor_ratio=Decimal(floor), gone_ratio=Decimal(gone)),
        commitment_discounts=CommitmentDiscounts(commit_1y_ratio=Decimal(discount), commit_3y_ratio=Decimal("0.45")),
    )
    row = GivenCapacity(
        provider="aws",
        region=None,
        instance_type="h.xlarge",
        batch_size=None,
        usable_capacity_rps=Decimal(1000),
        p99_s=Decimal("0.01"),
    )
    catalog = Catalog(version="test", offers=offers, cpu_families=())
    return plan_on_given([row], scenario=replace(scenario, plan=rules), catalog=catalog, as_of=AS_OF)


def mix_of(planned: Plan) -> PurchaseMix:
    assert planned.purchase_mix is not None
    return planned.purchase_mix


def shares(mix: PurchaseMix) -> list[tuple[str, int, Decimal, Decimal]]:
    return [(item.offer.purchase, item.n_replicas, item.hours_ratio, item.usd_per_month) for item in mix.items]


def committed(offer: Offer, usd: str) -> Offer:
    return replace(offer, purchase="commit_1y", usd_per_hour=Decimal(usd))


def spare(offer: Offer, usd: str) -> Offer:
    return replace(offer, purchase="spot", usd_per_hour=Decimal(usd))


@pytest.mark.parametrize(
    ("usd_committed", "expected", "usd"),
    [
        pytest.param(
            "0.07",
            [("commit_1y", 3, Decimal(1), Decimal("153.30")), ("on_demand", 1, Decimal("0.5"), Decimal("36.50"))],
            "189.80",
            id="70 % of the hours are not reached by the fourth, which half of them need",
        ),
        pytest.param(
            "0.05",
            [("commit_1y", 3, Decimal(1), Decimal("109.50")), ("on_demand", 1, Decimal("0.5"), Decimal("36.50"))],
            "146.00",
            id="at just the discount nothing is gained, so nothing is bound",
        ),
        pytest.param("0.04", [("commit_1y", 4, Decimal(1), Decimal("116.80"))], "116.80", id="40 % are passed"),
    ],
)
def test_the_ith_replica_is_committed_to_only_where_its_share_of_hours_beats_the_discount(
    scenario: Scenario,
    offer: Offer,
    usd_committed: str,
    expected: list[tuple[str, int, Decimal, Decimal]],
    usd: str,
) -> None:
    mix = mix_of(plan(scenario, offer, committed(offer, usd_committed)))
    assert shares(mix) == expected
    assert mix.usd_per_month == Decimal(usd)


def test_it_stands_beside_the_fleet_that_is_always_on_and_on_demand(scenario: Scenario, offer: Offer) -> None:
    planned = plan(scenario, offer, committed(offer, "0.07"))
    mix = mix_of(planned)
    assert (mix.always_on, mix.n_always_on, mix.usd_per_month_always_on) == (offer, 4, Decimal("292.00"))
    assert mix.reason == "a commitment pays for a replica that is needed in more than 70.0 % of the hours"


@pytest.mark.parametrize(
    ("floor", "gone", "firm", "spot", "usd"),
    [
        # Two stay for 146.00. Two more with a quarter gone take three, one more takes two: 2.5 on average at 21.90.
        pytest.param("0.5", "0.25", 2, (3, Decimal("54.75")), "200.75", id="half stay, a quarter may go"),
        pytest.param("0.5", "0", 2, (2, Decimal("32.85")), "178.85", id="none may go"),
        # Three stay for 219.00, and the fourth takes two in half of the hours.
        pytest.param("0.75", "0.25", 3, (2, Decimal("21.90")), "240.90", id="three quarters stay"),
        # One of four spot replicas would have to be enough: eight at 21.90 in half of the hours, four in the others.
        pytest.param("0.5", "0.75", 4, None, "255.50", id="three quarters may go, which costs more than it saves"),
        pytest.param("1", "0.25", 4, None, "255.50", id="all stay"),
    ],
)
def test_spot_is_only_bought_above_the_floor_and_enough_is_left_when_some_of_it_goes(
    scenario: Scenario, offer: Offer, floor: str, gone: str, firm: int, spot: tuple[int, Decimal] | None, usd: str
) -> None:
    mix = mix_of(plan(scenario, offer, spare(offer, "0.03"), floor=floor, gone=gone))
    found = {item.offer.purchase: item for item in mix.items}
    assert found["on_demand"].n_replicas == firm
    bought = (found["spot"].n_replicas, found["spot"].usd_per_month) if "spot" in found else None
    assert bought == spot
    assert mix.usd_per_month == Decimal(usd)


def test_a_fleet_of_nothing_but_spot_is_never_recommended(scenario: Scenario, offer: Offer) -> None:
    planned = plan(scenario, offer, spare(offer, "0.03"))
    assert planned.recommended is not None
    assert planned.recommended.items[0].offer == offer
    assert [one.reason for one in planned.not_offered] == [
        "spot: only bought above a floor of replicas that stay; see the purchase mix"
    ]


def test_where_spot_saves_nothing_none_is_bought(scenario: Scenario, offer: Offer) -> None:
    mix = mix_of(plan(scenario, offer, spare(offer, "0.10"), gone="0"))
    assert [(item.offer.purchase, item.n_replicas) for item in mix.items] == [("on_demand", 4)]
    assert mix.reason == "spot would not be cheaper"


def test_what_it_assumes_of_interruptions_is_told(scenario: Scenario, offer: Offer) -> None:
    told = {one.name: one.value for one in plan(scenario, offer, spare(offer, "0.03")).assumptions}
    assert told["share of the spot replicas that may be interrupted at once"] == 0.25
    assert told["share of the replicas needed at the peak that never are spot"] == 0.5
    assert told["start-up of replicas that are paid by the hour, in the purchase mix"] == 0.0


def test_a_doubtful_spot_price_does_not_win_in_silence(scenario: Scenario, offer: Offer) -> None:
    doubtful = replace(spare(offer, "0.03"), quality="undated")
    planned = plan(scenario, offer, doubtful)
    assert mix_of(planned).usd_per_month == Decimal("200.75")
    assert "catalog.doubtful_price" in [caveat.code for caveat in planned.caveats]


def test_an_old_spot_price_is_said_to_be_old(scenario: Scenario, offer: Offer) -> None:
    # 1 November to the 24th: young for a price on demand, old for one that is set anew every fortnight.
    assert plan(scenario, offer).caveats == ()
    stale = [one for one in plan(scenario, offer, spare(offer, "0.03")).caveats if one.code == "catalog.stale"]
    assert [one.number for one in stale] == [23.0]


def test_where_only_one_way_to_pay_is_allowed_there_is_no_mix(scenario: Scenario, offer: Offer) -> None:
    assert plan(scenario, offer).purchase_mix is None


def test_commitments_and_spot_alone_make_a_mix_without_on_demand(scenario: Scenario, offer: Offer) -> None:
    # Two committed at 51.10; 2.5 spot at 21.90 on average: cheaper than three or four committed.
    mix = mix_of(plan(scenario, committed(offer, "0.07"), spare(offer, "0.03")))
    assert [(item.offer.purchase, item.n_replicas) for item in mix.items] == [("commit_1y", 2), ("spot", 3)]
    assert mix.usd_per_month == Decimal("156.95")
    assert mix.usd_per_month_always_on == Decimal("204.40")


def test_no_commitment_is_said_to_pay_where_none_is_allowed(scenario: Scenario, offer: Offer) -> None:
    mix = mix_of(plan(scenario, offer, spare(offer, "0.03")))
    assert mix.reason == "spot only above 2 replicas that stay, 25 % of it may be interrupted at once"


def test_the_oldest_price_is_that_of_the_mix_where_one_of_its_parts_is_older(scenario: Scenario, offer: Offer) -> None:
    older = replace(spare(offer, "0.01"), price_date=date(2026, 10, 1))
    planned = plan(scenario, offer, older)
    assert [item.offer.purchase for item in mix_of(planned).items] == ["on_demand", "spot"]
    assert planned.oldest_price_date == date(2026, 10, 1)
