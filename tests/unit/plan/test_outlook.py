"""What lies around a plan, worked out by hand to the cent on two machines that share a peak of 300.

big carries 400 for 0.40 USD an hour, small 150 for 0.22; one may be lost, nothing is kept free, a month has 730 hours.
Two of big are 584.00 a month, three of small 481.80, so small wins.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.fit.records import CapacityFit
from loadplan.plan.answer import Considered
from loadplan.plan.fleets.chance import chance_of_at_least
from loadplan.plan.given import searching_given
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.fleet import Plan, ReplicaCapacity
from loadplan.plan.records.loss import LossOutcome
from loadplan.plan.records.outlook import Outlook, SizeRange
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.outlook_text import size_text, today_text
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo

Lose = Callable[[int, float], LossOutcome]

AS_OF = date(2026, 11, 24)
KINDS = {"big": ("0.40", "400", "40"), "small": ("0.22", "150", "10")}


def question(scenario: Scenario, **rules: object) -> Scenario:
    asked = {"headroom_ratio": 0.0, **rules}
    return replace(
        scenario,
        traffic=replace(scenario.traffic, peak_rps=300.0),
        plan=replace(scenario.plan, **asked),  # type: ignore[arg-type]  # names are checked when the test runs
    )


def plan(
    scenario: Scenario, offer: Offer, *, names: Sequence[str] = ("big", "small"), lose: Lose | None = None
) -> Plan:
    """`lose` says what the loss of its spare does to so many of small."""
    catalog = Catalog(
        version="test",
        offers=tuple(
            replace(offer, instance_type=replace(offer.instance_type, name=name), usd_per_hour=Decimal(usd))
            for name, (usd, _, _) in KINDS.items()
        ),
        cpu_families=(),
    )
    rows = [
        GivenCapacity(
            provider="aws",
            region=None,
            instance_type=name,
            batch_size=None,
            usable_capacity_rps=Decimal(KINDS[name][1]),
            p99_s=Decimal(KINDS[name][2]) / 1000,
        )
        for name in names
    ]
    found = searching_given(rows, catalog=catalog, as_of=AS_OF)

    def search(scenario: Scenario) -> Considered:
        considered = found(scenario)
        if lose is None:
            return considered
        candidates = [
            replace(one, lose=lose) if one.offer.instance_type.name == "small" else one for one in considered.candidates
        ]
        return replace(considered, candidates=tuple(candidates))

    return plan_with_outlook(search, scenario=scenario, catalog=catalog)


def around(scenario: Scenario, offer: Offer, **rules: object) -> Outlook:
    outlook = plan(question(scenario, **rules), offer).outlook
    assert outlook is not None
    return outlook


def said(choice: Choice | None) -> tuple[str, int, str] | None:
    if choice is None:
        return None
    ((name, n),) = choice.offers
    return name.split("/")[2], n, f"{choice.usd_per_month:.2f}"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("traffic −20 %", ("small", 3, "481.80")),
        ("traffic +20 %", ("big", 2, "584.00")),
        ("price of aws/small −20 %", ("small", 3, "385.44")),
        ("price of aws/small +20 %", ("small", 3, "578.16")),
        ("limits × 0.5", ("small", 3, "481.80")),
        ("limits × 2", ("small", 3, "481.80")),
        ("0 spares", ("big", 1, "292.00")),
        ("2 spares", ("small", 4, "642.40")),
    ],
)
def test_each_case_has_its_own_winner(
    scenario: Scenario, offer: Offer, changed: str, expected: tuple[str, int, str]
) -> None:
    case = {case.changed: case for case in around(scenario, offer).cases}[changed]
    assert said(case.choice) == expected
    assert case.same_type == (expected[0] == "small")


@pytest.mark.parametrize(
    ("traffic", "limit", "price", "expected"),
    [
        (0.5, 1.0, "1", ("small", 2, "321.20")),  # 150
        (1.0, 1.0, "1", ("small", 3, "481.80")),
        (1.25, 1.0, "1", ("big", 2, "584.00")),  # 375; four small ones are 642.40
        (2.0, 1.0, "1", ("small", 5, "803.00")),  # 600; three big ones are 876.00
        (2.0, 1.0, "1.2", ("big", 3, "876.00")),  # five small ones are 963.60
        (1.25, 0.5, "1", ("small", 4, "642.40")),  # 25 ms; big has 40
        (1.25, 1.0, "0.8", ("small", 4, "513.92")),
    ],
)
def test_each_point_of_the_grid_has_its_own_winner(
    scenario: Scenario, offer: Offer, traffic: float, limit: float, price: str, expected: tuple[str, int, str]
) -> None:
    grid = around(scenario, offer).grid
    (point,) = (
        one
        for one in grid
        if (one.traffic_factor, one.limit_factor, one.price_factor) == (traffic, limit, Decimal(price))
    )
    assert said(point.choice) == expected
    assert point.same_type == (expected[0] == "small")


def test_the_grid_reaches_from_half_to_twice_the_traffic_and_holds_each_point_once(
    scenario: Scenario, offer: Offer
) -> None:
    points = [(one.traffic_factor, one.limit_factor, one.price_factor) for one in around(scenario, offer).grid]
    assert len(points) == len(set(points)) == 40  # 8 x 3 limits, and 8 x 2 other prices
    assert {min(points)[0], max(points)[0]} == {0.5, 2.0}


def test_half_the_limit_forbids_what_is_slower(scenario: Scenario, offer: Offer) -> None:
    outlook = plan(question(scenario), offer, names=["big"]).outlook
    assert outlook is not None
    case = next(case for case in outlook.cases if case.changed == "limits × 0.5")  # 25 ms; big has 40
    assert (case.choice, case.reason) == (None, "no offer meets the objectives")


def test_the_figures_at_which_the_other_machine_wins(scenario: Scenario, offer: Offer) -> None:
    found = {(one.kind, one.what): (one.then, round(one.change_ratio, 4)) for one in around(scenario, offer).switches}
    assert found == {
        ("traffic", "peak"): (306.0, 0.02),  # a fourth small one is 642.40
        ("capacity", "what a replica of aws/small carries"): (150.0, 0.0),  # three of less carry no 300 with one gone
        ("price", "price of aws/east/small/on_demand"): (pytest.approx(0.22 * 584 / 481.8), 0.2121),
        ("price", "price of aws/east/big/on_demand"): (pytest.approx(0.33), -0.175),
    }


def test_where_the_next_type_is_cheaper_and_bears_no_loss_no_capacity_makes_it_win(
    scenario: Scenario, offer: Offer
) -> None:
    """Three of small recover too late, and five that recover in time cost 803.00: two of big are planned for 584.00."""

    def lose(n_replicas: int, _used: float) -> LossOutcome:
        return LossOutcome(
            n_lost=1,
            n_replicas=n_replicas,
            failed_ratio=0.0,
            tried_again_ratio=0.0,
            recovered_after_s=5.0 if n_replicas >= 5 else None,
            watched_s=30.0,
            allowed_s=30.0,
        )

    planned = plan(question(scenario), offer, lose=lose)
    assert planned.recommended is not None
    assert f"{planned.recommended.usd_per_month:.2f}" == "584.00"
    assert planned.outlook is not None
    assert "capacity" not in {one.kind for one in planned.outlook.switches}


def test_a_million_requests_cost_what_the_mean_rate_says(scenario: Scenario, offer: Offer) -> None:
    # The mean of the week is 225: 225 x 3600 x 730 = 591.3 million requests for 481.80. A tenth more takes a fourth.
    costs = around(scenario, offer).unit_costs
    assert costs is not None
    assert costs.usd_per_million_requests == Decimal("481.80") / Decimal("591.3")
    assert (costs.usd_per_month_of_more_traffic, costs.n_replicas_of_more_traffic) == (Decimal("160.60"), 1)


@pytest.mark.parametrize(
    ("running", "less", "holds", "carried"),
    [
        pytest.param(("big", 2), "102.20", True, 400.0, id="dearer than the plan and enough"),
        pytest.param(("small", 2), "-160.60", False, 150.0, id="cheaper than the plan, and not enough"),
    ],
)
def test_today_is_held_to_the_same_rules(
    scenario: Scenario, offer: Offer, running: tuple[str, int], less: str, holds: bool, carried: float
) -> None:
    name, n = running
    today = around(scenario, offer, today=((f"aws/east/{name}/on_demand", n),)).today
    assert today is not None
    assert (today.usd_less_per_month, today.holds, today.carried_rps) == (Decimal(less), holds, carried)


def test_of_what_is_unknown_it_is_not_said_whether_it_holds(scenario: Scenario, offer: Offer) -> None:
    asked = question(scenario, today=(("aws/east/big/on_demand", 9),))
    outlook = plan(asked, offer, names=["small"]).outlook
    assert outlook is not None
    assert outlook.today is not None
    assert (outlook.today.holds, outlook.today.usd_less_per_month) == (None, Decimal("2146.20"))


def test_against_no_plan_what_runs_today_is_neither_cheaper_nor_dearer(scenario: Scenario, offer: Offer) -> None:
    outlook = around(scenario, offer, today=(("aws/east/big/on_demand", 2),), budget_usd_per_month=Decimal(100))
    assert outlook.today is not None
    assert outlook.today.usd_less_per_month is None
    assert today_text(outlook.today).startswith("2 × aws/east/big/on_demand, $584.00 a month; it would do: ")


def test_what_runs_today_needs_a_price(scenario: Scenario, offer: Offer) -> None:
    with pytest.raises(InputError, match="no price for 'aws/east/huge/on_demand'"):
        around(scenario, offer, today=(("aws/east/huge/on_demand", 1),))


def test_above_the_budget_each_rule_is_relaxed_alone(scenario: Scenario, offer: Offer) -> None:
    # 400 USD: without a spare one big one is 292.00; two small ones, one lost, carry 150 for 321.20.
    outlook = around(scenario, offer, budget_usd_per_month=Decimal(400))
    found = {one.rule: (one.change, said(one.choice)) for one in outlook.relaxations}
    assert found == {
        "plan.spare_replicas": ("0 in place of 1", ("big", 1, "292.00")),
        "traffic.peak_rps": ("150 at most", ("small", 2, "321.20")),
    }


def test_a_rule_is_relaxed_as_far_as_the_budget_needs(scenario: Scenario, offer: Offer) -> None:
    # 300 USD and two spares: with one spare it is still 481.80.
    outlook = around(scenario, offer, budget_usd_per_month=Decimal(300), n_spare_replicas=2)
    found = {one.rule: (one.change, said(one.choice)) for one in outlook.relaxations}
    assert found == {"plan.spare_replicas": ("0 in place of 2", ("big", 1, "292.00"))}


def test_several_types_are_a_rule_to_relax_where_they_alone_keep_to_the_budget(
    scenario: Scenario, offer: Offer
) -> None:
    # One of each is 452.60 where two big ones are 584.00: see the mix below.
    asked = question(scenario, n_spare_replicas=0, budget_usd_per_month=Decimal(500))
    outlook = plan(replace(asked, traffic=replace(asked.traffic, peak_rps=550.0)), offer).outlook
    assert outlook is not None
    found = {one.rule: (one.change, one.choice.usd_per_month) for one in outlook.relaxations}
    assert found["plan.instance_types"] == ("several in place of one", Decimal("452.60"))


def test_the_loss_of_a_zone_is_a_rule_that_can_be_relaxed(scenario: Scenario, offer: Offer) -> None:
    # Two carry 300, so in two zones four small ones are needed, 642.40, or two big ones, 584.00; without, 481.80.
    outlook = around(scenario, offer, n_zones=2, budget_usd_per_month=Decimal(500))
    found = {one.rule: (one.change, said(one.choice)) for one in outlook.relaxations}
    assert found["plan.zones"] == ("left out in place of 2", ("small", 3, "481.80"))
    # Of three small ones, which are paid for, two are in one zone; so two do for what the third carries.
    assert found["traffic.peak_rps"] == ("150 at most", ("small", 2, "321.20"))


def test_where_nothing_meets_the_limit_the_least_looser_one_is_named(scenario: Scenario, offer: Offer) -> None:
    # 8 ms: small has 10, which 1.25 times the limit allows.
    tight = replace(question(scenario), objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.008),)),))
    found = plan(tight, offer)
    assert not found.feasible
    assert found.outlook is not None
    assert [(one.change, said(one.choice)) for one in found.outlook.relaxations] == [
        ("every limit × 1.25", ("small", 3, "481.80"))
    ]


def test_a_mix_that_is_cheaper_is_shown_beside_and_recommended_on_request(scenario: Scenario, offer: Offer) -> None:
    # Without a spare, 550: one big and one small for 0.62 an hour; two big ones are 0.80, four small ones 0.88.
    asked = question(scenario, n_spare_replicas=0)
    asked = replace(asked, traffic=replace(asked.traffic, peak_rps=550.0, growth_per_month_ratio=0.1))
    beside = plan(asked, offer)
    assert beside.recommended is not None
    assert beside.outlook is not None
    assert beside.outlook.mixed is not None
    assert (beside.recommended.usd_per_month, beside.outlook.mixed.usd_per_month) == (Decimal(584), Decimal("452.60"))
    several = plan(replace(asked, plan=replace(asked.plan, instance_types="several")), offer)
    assert several.recommended is not None
    names = {item.offer.instance_type.name: item.n_replicas for item in several.recommended.items}
    assert (names, several.recommended.usd_per_month) == ({"big": 1, "small": 1}, Decimal("452.60"))
    assert several.runners_up[0].reason == "$131.40 a month dearer (29 %): the best fleet of one type"
    # Four small ones are 642.40.
    assert several.runners_up[1].reason.startswith(
        "$189.80 a month dearer (42 %): needs 4 replicas, 3 would carry only"
    )
    # A tenth more a month: for 605, and for 665.5, two big ones are cheaper than one and two small ones (613.20).
    assert [(month.n_of_each, month.usd) for month in several.months] == [
        ((1, 1), Decimal("452.60")),
        ((2, 0), Decimal("584.00")),
        ((2, 0), Decimal("584.00")),
    ]


def test_a_budget_that_only_a_mix_keeps_is_kept(scenario: Scenario, offer: Offer) -> None:
    # As above: the mix is 452.60, the best of one type 584.00.
    asked = question(scenario, n_spare_replicas=0, instance_types="several", budget_usd_per_month=Decimal(500))
    found = plan(replace(asked, traffic=replace(asked.traffic, peak_rps=550.0)), offer)
    assert found.recommended is not None
    assert found.recommended.usd_per_month == Decimal("452.60")
    assert [caveat.code for caveat in found.caveats if caveat.code == "plan.mix_not_simulated"] != []


def test_the_ends_of_an_interval_are_its_5th_and_95th_percentile() -> None:
    capacity = ReplicaCapacity(
        usable_capacity_rps=1200.0,
        usable_capacity_rps_low=1000.0,
        usable_capacity_rps_high=1300.0,
        setting=None,
        speed_ratio=1.0,
        n_server_processes=1,
        basis="simulated",
    )
    chances = [chance_of_at_least(capacity, rate_rps) for rate_rps in (1000.0, 1200.0, 1300.0)]
    assert chances == pytest.approx([0.95, 0.5, 0.05], abs=1e-4)


def test_the_ends_of_what_a_replica_may_carry_are_those_of_the_replicas_and_of_the_bill(
    scenario: Scenario, fit: CapacityFit, catalog: Catalog, offer: Offer
) -> None:
    """Four cores of half the speed, give or take 1.5, carry 3,960 at the high end, of which a fifth is kept free.

    So one would carry the 2,400, and one is spare; the fleet is sized on the low end, and has six. A month has 730 h.
    """
    search = searching(fit=fit, catalog=catalog, as_of=AS_OF)
    found = plan_with_outlook(search, scenario=scenario, catalog=catalog)
    assert found.outlook is not None
    assert found.recommended is not None
    assert found.recommended.capacity.usable_capacity_rps_high == pytest.approx(4 * 1320.0 * 0.5 * 1.5)
    assert found.outlook.size == SizeRange(
        n_replicas_low=2,
        n_replicas_high=6,
        usd_per_month_low=2 * 730 * Decimal("0.10"),
        usd_per_month_high=6 * 730 * Decimal("0.10"),
    )
    assert size_text(found.outlook.size) == (
        "2 to 6 replicas, $146.00 to $438.00 a month, by the ends of what one may carry; sized on the low end"
    )
    # Where six are the least that is allowed, both ends are six.
    least = replace(scenario, plan=replace(scenario.plan, n_min_replicas=6))
    alike = plan_with_outlook(search, scenario=least, catalog=catalog)
    assert alike.outlook is not None
    assert alike.outlook.size is not None
    assert size_text(alike.outlook.size) == "6 replicas at either end of what one may carry, $438.00 a month"
    # A capacity that was given is one number.
    given = plan(question(scenario), offer)
    assert given.outlook is not None
    assert given.outlook.size is None


def test_each_point_of_the_front_is_dearer_and_faster_than_the_one_before(
    scenario: Scenario, fit: CapacityFit, catalog: Catalog
) -> None:
    # 6 replicas of 4 half-speed cores (see conftest): each more leaves less for each, down to twice the cost.
    # A type that is as fast and dearer is on no front.
    (own,) = catalog.offers
    dearer = replace(
        own, instance_type=replace(own.instance_type, name="dearer"), usd_per_hour=own.usd_per_hour + Decimal("0.001")
    )
    catalog = replace(catalog, offers=(own, dearer))
    search = searching(fit=fit, catalog=catalog, as_of=AS_OF)
    found = plan_with_outlook(search, scenario=scenario, catalog=catalog)
    assert found.outlook is not None
    assert found.recommended is not None
    front = found.outlook.front
    assert front[0].choice.usd_per_month == found.recommended.usd_per_month
    assert front[0].choice.predicted_p99_s == found.recommended.predicted_p99_s
    costs = [point.choice.usd_per_month for point in front]
    p99s = [point.choice.predicted_p99_s or 0.0 for point in front]
    assert len(front) > 2
    assert {name for point in front for name, _ in point.choice.offers} == {own.name}
    assert costs == sorted(set(costs))
    assert p99s == sorted(set(p99s), reverse=True)
    assert costs[-1] <= 2 * costs[0]
    assert found.outlook.chance is not None
    assert 0.95 <= found.outlook.chance.with_spares_gone_ratio <= found.outlook.chance.with_all_ratio
