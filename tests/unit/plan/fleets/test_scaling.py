"""Static, scheduled and reactive scaling over the week, worked out by hand to the minute and the cent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.records import CapacityFit, StartTimes
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.scaling import PolicyCost, Scaling
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import ScalingRules, Scenario, StartUpRules

TWO_MINUTES = StartUpRules(node_s=100.0, image_s=10.0, load_s=9.0, warm_up_s=1.0)


def planned(
    scenario: Scenario,
    offer: Offer,
    *,
    start_up: StartUpRules = TWO_MINUTES,
    scaling: ScalingRules | None = None,
    shares: Sequence[float] = (1.0,) * 84 + (0.5,) * 84,
    growth: float = 0.0,
    machines: dict[str, tuple[str, str]] | None = None,
    **rules: object,
) -> Plan:
    """On machines that carry so many requests per second for so many USD an hour; by default 500 for 0.10."""
    kinds = machines or {"only": ("500", "0.10")}
    offers = tuple(
        replace(offer, instance_type=replace(offer.instance_type, name=name), usd_per_hour=Decimal(usd))
        for name, (_, usd) in kinds.items()
    )
    rows = [
        GivenCapacity(
            provider="aws",
            region=None,
            instance_type=name,
            batch_size=None,
            usable_capacity_rps=Decimal(rps),
            p99_s=Decimal("0.01"),
        )
        for name, (rps, _) in kinds.items()
    ]
    asked = replace(
        scenario,
        traffic=replace(scenario.traffic, week_shares=tuple(shares), growth_per_month_ratio=growth),
        plan=replace(  # names are checked when the test runs
            scenario.plan,
            start_up=start_up,
            scaling=scaling or ScalingRules(),
            **rules,  # type: ignore[arg-type]
        ),
    )
    catalog = Catalog(version="test", offers=offers, cpu_families=())
    return plan_on_given(rows, scenario=asked, catalog=catalog, as_of=date(2026, 11, 24))


def scaled(plan: Plan) -> tuple[PolicyCost, PolicyCost, PolicyCost]:
    assert plan.scaling is not None
    static, scheduled, reactive = plan.scaling.policies
    assert [one.policy for one in plan.scaling.policies] == ["static", "scheduled", "reactive"]
    return static, scheduled, reactive


def test_a_week_of_two_levels_costs_what_it_does_by_hand(scenario: Scenario, offer: Offer) -> None:
    # 2400 / (500 x 0.8) + 1 = 7 replicas in the first half, 1200 / 400 + 1 = 4 in the second; 5040 minutes each.
    static, scheduled, reactive = scaled(planned(scenario, offer))
    assert static.usd_per_month == Decimal("511.00")  # 7 x 0.10 x 730
    assert (static.n_least, static.n_most, static.violation_minutes, static.thin_minutes) == (7, 7, 0, 0)

    # The three that are missing are asked for two minutes before the jump.
    minutes = 7 * (5040 + 2) + 4 * (5040 - 2)
    assert scheduled.usd_per_month == Decimal("73") * minutes / 10080
    assert (scheduled.n_least, scheduled.n_most, scheduled.violation_minutes, scheduled.thin_minutes) == (4, 7, 0, 0)

    # Seen a minute late, ready two minutes later; four replicas carry 2,000 of the 2,400. They stay for five more.
    minutes = 7 * (5040 + 5) + 4 * (5040 - 5)
    assert reactive.usd_per_month == Decimal("73") * minutes / 10080
    assert (reactive.n_least, reactive.n_most, reactive.violation_minutes, reactive.thin_minutes) == (4, 7, 3, 3)


def test_headroom_and_spares_bear_a_jump_that_they_are_wide_enough_for(scenario: Scenario, offer: Offer) -> None:
    # 2400 x 0.8 = 1920 needs 4.8 -> 5 + 1 = 6 replicas, which carry 3,000: thin for three minutes, in violation never.
    _, _, reactive = scaled(planned(scenario, offer, shares=(1.0,) * 84 + (0.8,) * 84))
    assert (reactive.violation_minutes, reactive.thin_minutes) == (0, 3)


def test_the_hours_say_what_is_ready_and_what_it_carries(scenario: Scenario, offer: Offer) -> None:
    static, scheduled, reactive = scaled(planned(scenario, offer))
    assert static.hourly_ready == (7,) * 168
    assert scheduled.hourly_ready == (7,) * 84 + (4,) * 84
    assert reactive.hourly_ready == (4,) + (7,) * 83 + (4,) * 84  # the first hour begins with four
    assert scheduled.hourly_carried_rps == (3500.0,) * 84 + (2000.0,) * 84


def test_growth_compounds_month_by_month(scenario: Scenario, offer: Offer) -> None:
    # 2400, 3600 and 5400 need 6, 9 and 13.5 replicas and the spare; half of each 3, 4.5 and 6.75.
    static, scheduled, _ = scaled(planned(scenario, offer, growth=0.5, horizon_months=3))
    assert [month.n_most for month in static.months] == [7, 10, 15]
    assert [month.usd for month in static.months] == [Decimal("511.00"), Decimal("730.00"), Decimal("1095.00")]
    minutes = [n_high * 5042 + n_low * 5038 for n_high, n_low in ((7, 4), (10, 6), (15, 8))]
    assert [month.usd for month in scheduled.months] == [Decimal("73") * each / 10080 for each in minutes]


def test_a_reactive_target_below_the_headroom_holds_more_but_never_more_than_the_peak_needs(
    scenario: Scenario, offer: Offer
) -> None:
    # At half of 500 each: 1200 / 250 + 1 = 5.8 -> 6, and 2400 / 250 + 1 = 10.6, of which the peak's 7 are bought.
    _, _, reactive = scaled(planned(scenario, offer, scaling=ScalingRules(target_ratio=0.5)))
    assert (reactive.n_least, reactive.n_most) == (6, 7)


def test_an_offer_that_is_finer_grained_may_win_by_a_schedule(scenario: Scenario, offer: Offer) -> None:
    # Without a spare: one large for 0.50 all week, or three small for 0.57 by day and by night one for 0.19.
    machines = {"large": ("3000", "0.50"), "small": ("1000", "0.19")}
    shares = (1.0,) * 84 + (0.1,) * 84
    plan = planned(scenario, offer, machines=machines, shares=shares, n_spare_replicas=0)
    assert plan.recommended is not None
    assert plan.recommended.items[0].offer.instance_type.name == "large"
    assert plan.scaling is not None
    cheaper = plan.scaling.cheapest_scheduled
    assert cheaper is not None
    assert "/small/" in cheaper.offer_name
    assert (cheaper.n_least, cheaper.n_most) == (1, 3)
    assert cheaper.usd_per_month == Decimal("0.19") * 730 * (3 * 5042 + 5038) / 10080


def test_every_part_of_a_start_up_says_how_it_is_known(scenario: Scenario, offer: Offer) -> None:
    scaling = planned(scenario, offer, start_up=StartUpRules(node_s=40.0)).scaling
    assert isinstance(scaling, Scaling)
    assert [(part.time_s, part.basis) for part in scaling.start_up] == [
        (40.0, "given"),
        (30.0, "assumed"),
        (10.0, "assumed"),
        (1.0, "assumed"),
    ]
    assert scaling.start_up_s == 81.0


def test_what_is_committed_to_costs_the_same_however_it_is_scaled(scenario: Scenario, offer: Offer) -> None:
    committed = replace(offer, purchase="commit_1y")
    static, scheduled, reactive = scaled(planned(scenario, committed, purchases=("commit_1y",)))
    assert static.usd_per_month == scheduled.usd_per_month == reactive.usd_per_month == Decimal("511.00")
    assert scheduled.mean_replicas < static.mean_replicas


SHARES = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.7, 0.9, 1.0]), min_size=7, max_size=7)
START_UP_S = st.integers(0, 7200)


def week_of(shares: Sequence[float]) -> tuple[float, ...]:
    """A week of seven levels of a day each, whose largest is the peak."""
    return tuple(share for share in (*shares[:-1], 1.0) for _ in range(24))


@settings(max_examples=40)
@given(shares=SHARES, start_s=START_UP_S, n_spare=st.integers(0, 2), rps=st.integers(40, 3000))
def test_a_schedule_is_never_dearer_than_static_and_neither_is_ever_short(
    scenario: Scenario, offer: Offer, shares: list[float], start_s: int, n_spare: int, rps: int
) -> None:
    plan = planned(
        scenario,
        offer,
        shares=week_of(shares),
        start_up=StartUpRules(node_s=float(start_s), image_s=0.0, load_s=0.0, warm_up_s=0.0),
        machines={"only": (str(rps), "0.10")},
        n_spare_replicas=n_spare,
    )
    static, scheduled, _ = scaled(plan)
    assert plan.recommended is not None
    assert static.usd_per_month == plan.recommended.usd_per_month
    assert scheduled.usd_per_month <= static.usd_per_month
    assert (static.violation_minutes, static.thin_minutes) == (0, 0)
    assert (scheduled.violation_minutes, scheduled.thin_minutes) == (0, 0)


@settings(max_examples=40)
@given(shares=SHARES, starts_s=st.tuples(START_UP_S, START_UP_S), stabilisation_s=st.integers(0, 7200))
def test_a_longer_start_up_is_never_fewer_minutes_of_violation(
    scenario: Scenario, offer: Offer, shares: list[float], starts_s: tuple[int, int], stabilisation_s: int
) -> None:
    minutes = [
        scaled(
            planned(
                scenario,
                offer,
                shares=week_of(shares),
                start_up=StartUpRules(node_s=float(start_s), image_s=0.0, load_s=0.0, warm_up_s=0.0),
                scaling=ScalingRules(stabilisation_s=float(stabilisation_s)),
                n_spare_replicas=0,
            )
        )[2].violation_minutes
        for start_s in sorted(starts_s)
    ]
    assert minutes[0] <= minutes[1]


@pytest.mark.parametrize("policy", ["static", "scheduled", "reactive"])
def test_the_scenario_chooses_whose_months_are_shown(scenario: Scenario, offer: Offer, policy: str) -> None:
    scaling = planned(scenario, offer, scaling=ScalingRules(policy=policy)).scaling  # type: ignore[arg-type]
    assert scaling is not None
    assert scaling.chosen == policy


def test_what_the_benchmark_measured_of_a_start_stands_in_it_by_the_speed_of_the_offer(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    """0.6 s to open and 0.02 s to answer here are twice that at half the speed; what is given goes before both."""
    start = StartTimes(load_s=0.6, first_inference_s=0.02, n_starts=3)
    started = replace(fit, service_times=tuple(replace(law, start=start) for law in fit.service_times))

    def parts(rules: StartUpRules) -> list[tuple[float, str]]:
        asked = replace(scenario, plan=replace(scenario.plan, start_up=rules))
        scaling = plan_fleet(fit=started, scenario=asked, catalog=catalog, as_of=date(2026, 11, 24)).scaling
        assert scaling is not None
        return [(part.time_s, part.basis) for part in scaling.start_up]

    assert parts(StartUpRules()) == [
        (90.0, "assumed"),
        (30.0, "assumed"),
        (pytest.approx(1.2), "extrapolated"),
        (pytest.approx(0.04), "extrapolated"),
    ]
    assert parts(StartUpRules(load_s=3.0))[2] == (3.0, "given")
