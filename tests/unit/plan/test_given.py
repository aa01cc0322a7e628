"""Plans on given capacities, worked out by hand to the cent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.scenario.outside import ConstantDelay, Vantage
from loadplan.scenario.spec import Scenario
from loadplan.slo import LatencyLimit, Slo

AS_OF = date(2026, 11, 24)


def given(name: str, rps: str, *, p99_ms: str | None = "10", batch_size: int | None = None) -> GivenCapacity:
    return GivenCapacity(
        provider="aws",
        region=None,
        instance_type=name,
        batch_size=batch_size,
        usable_capacity_rps=Decimal(rps),
        p99_s=None if p99_ms is None else Decimal(p99_ms) / 1000,
    )


def priced(offer: Offer, name: str, usd: str, *, region: str = "east") -> Offer:
    return replace(
        offer, instance_type=replace(offer.instance_type, name=name), region=region, usd_per_hour=Decimal(usd)
    )


def plan(scenario: Scenario, offers: Sequence[Offer], capacities: Sequence[GivenCapacity]) -> Plan:
    catalog = Catalog(version="test", offers=tuple(offers), cpu_families=())
    return plan_on_given(capacities, scenario=scenario, catalog=catalog, as_of=AS_OF)


def asked(scenario: Scenario, peak_rps: float, **rules: object) -> Scenario:
    return replace(
        scenario,
        traffic=replace(scenario.traffic, peak_rps=peak_rps),
        plan=replace(scenario.plan, **rules),  # type: ignore[arg-type]  # names are checked when the test runs
    )


def bought(fleet: Fleet | None) -> tuple[str, int, Decimal]:
    assert fleet is not None
    return fleet.items[0].offer.instance_type.name, fleet.items[0].n_replicas, fleet.usd_per_month


@pytest.mark.parametrize(
    ("n_spare", "expected"),
    [
        pytest.param(0, ("big", 1, Decimal("292.00")), id="without a spare one big machine is cheapest"),
        pytest.param(1, ("small", 3, Decimal("481.80")), id="with one to lose three small ones are"),
    ],
)
def test_redundancy_changes_the_winner(
    scenario: Scenario, offer: Offer, n_spare: int, expected: tuple[str, int, Decimal]
) -> None:
    offers = [priced(offer, "big", "0.40"), priced(offer, "small", "0.22")]
    question = asked(scenario, 300.0, headroom_ratio=0.0, n_spare_replicas=n_spare)
    assert bought(plan(question, offers, [given("big", "400"), given("small", "150")]).recommended) == expected


@pytest.mark.parametrize(
    ("limit_s", "expected"),
    [
        pytest.param(0.1, ("m", 2, Decimal("146.00")), id="a loose objective allows the large batch"),
        pytest.param(0.05, ("m", 3, Decimal("219.00")), id="a tight one forbids it"),
        pytest.param(0.08, ("m", 2, Decimal("146.00")), id="a p99 at the objective meets it"),
    ],
)
def test_the_objective_forbids_the_batch_size_with_the_best_throughput(
    scenario: Scenario, offer: Offer, limit_s: float, expected: tuple[str, int, Decimal]
) -> None:
    question = replace(
        asked(scenario, 800.0), objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=limit_s),)),)
    )
    rows = [given("m", "1000", p99_ms="80", batch_size=32), given("m", "500", p99_ms="30", batch_size=8)]
    assert bought(plan(question, [priced(offer, "m", "0.10")], rows).recommended) == expected


def test_a_gpu_is_not_worth_it_at_20_requests_per_second(scenario: Scenario, offer: Offer) -> None:
    gpu = priced(offer, "g6.xlarge", "0.8048")
    offers = [replace(gpu, instance_type=replace(gpu.instance_type, accelerator="L4")), priced(offer, "cpu", "0.08925")]
    result = plan(asked(scenario, 20.0), offers, [given("g6.xlarge", "2000"), given("cpu", "30")])
    assert bought(result.recommended) == ("cpu", 2, Decimal("130.3050"))


def test_evidence_is_given(scenario: Scenario, offer: Offer) -> None:
    fleet = plan(scenario, [priced(offer, "m", "0.1")], [given("m", "500")]).recommended
    assert fleet is not None
    assert (fleet.basis, fleet.predicted_p99_s, fleet.capacity.setting) == ("given", None, None)


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        pytest.param(("a", "0.10", "150"), ("b", "0.20", "200"), "b", id="fewer replicas"),
        pytest.param(("a", "0.10", "150"), ("b", "0.10", "160"), "b", id="then more headroom"),
        pytest.param(("b", "0.10", "150"), ("a", "0.10", "150"), "a", id="then by name"),
    ],
)
def test_ties_are_broken(
    scenario: Scenario, offer: Offer, first: tuple[str, str, str], second: tuple[str, str, str], winner: str
) -> None:
    # At 200 requests per second with no spare, a takes two replicas (0.20 $/h), with less of them in use.
    question = asked(scenario, 200.0, headroom_ratio=0.0, n_spare_replicas=0)
    offers = [priced(offer, name, usd) for name, usd, _ in (first, second)]
    result = plan(question, offers, [given(name, rps) for name, _, rps in (first, second)])
    assert bought(result.recommended)[0] == winner
    assert result.runners_up[0].reason.startswith("costs the same")


def test_a_fleet_within_five_percent_is_called_a_near_tie(scenario: Scenario, offer: Offer) -> None:
    offers = [priced(offer, "a", "0.100"), priced(offer, "b", "0.105"), priced(offer, "c", "0.106")]
    result = plan(asked(scenario, 200.0), offers, [given(name, "1000") for name in "abc"])
    assert [fleet.reason.startswith("near-tie: ") for fleet in result.runners_up] == [True, False]
    assert result.runners_up[0].reason.startswith("near-tie: $7.30 a month dearer (5.0 %)")
    assert result.recommended is not None
    assert "1 of the others cost at most 5 % more" in result.recommended.reason


def test_the_reason_names_what_one_replica_fewer_would_carry(scenario: Scenario, offer: Offer) -> None:
    # 4 of 1,000: 3 left carry 2,400 with 20 % free; 3 of 1,000: 2 left carry 1,600.
    result = plan(scenario, [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert result.binding_constraint == (
        "4 replicas: 3 would carry only 1,600 of 2,400 requests per second with 1 gone and 20 % kept free"
    )


def test_the_reason_says_when_the_scenario_asks_for_more_replicas(scenario: Scenario, offer: Offer) -> None:
    question = asked(scenario, 100.0, n_min_replicas=4)
    result = plan(question, [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert result.binding_constraint == (
        "4 replicas: the scenario asks for at least 4 replicas; 2 would carry the peak"
    )


def test_ten_runners_up_at_most_one_of_each_type_cheapest_first(scenario: Scenario, offer: Offer) -> None:
    names = [f"t{i:02}" for i in range(14)]
    offers = [
        priced(offer, name, f"0.{i + 10}", region=region) for i, name in enumerate(names) for region in ("east", "west")
    ]
    question = asked(scenario, 100.0, regions=("east", "west"))
    result = plan(question, offers, [given(name, "1000") for name in names])
    assert [bought(fleet)[0] for fleet in result.runners_up] == names[1:11]


def test_a_region_in_the_row_holds_only_there(scenario: Scenario, offer: Offer) -> None:
    offers = [priced(offer, "a", "0.1", region="west"), priced(offer, "a", "0.2")]
    question = asked(scenario, 100.0, regions=("east", "west"))
    result = plan(question, offers, [replace(given("a", "1000"), region="east")])
    assert result.recommended is not None
    assert result.recommended.items[0].offer.region == "east"


def test_a_doubtful_price_wins_only_with_a_caveat_that_names_the_fleet_without_it(
    scenario: Scenario, offer: Offer
) -> None:
    doubtful = replace(priced(offer, "x", "0.01"), quality="suspect: mixed meters")
    result = plan(scenario, [doubtful, priced(offer, "a", "0.1")], [given("x", "1000"), given("a", "1000")])
    assert bought(result.recommended)[0] == "x"
    (caveat,) = [one for one in result.caveats if one.code == "catalog.doubtful_price"]
    assert "suspect: mixed meters" in caveat.what
    # Two at 0.1 USD an hour for 730 hours: one carries 1,000 less a fifth, one is spare.
    assert "the answer is aws/east/a/on_demand at" in caveat.what


def test_a_row_without_a_price_is_named(scenario: Scenario, offer: Offer) -> None:
    result = plan(scenario, [priced(offer, "a", "0.1")], [given("a", "1000"), given("nowhere", "9000")])
    assert [one.offer_name for one in result.not_offered] == ["aws/*/nowhere"]


def test_a_row_without_p99_is_believed_with_a_caveat(scenario: Scenario, offer: Offer) -> None:
    result = plan(scenario, [priced(offer, "a", "0.1")], [given("a", "1000", p99_ms=None)])
    assert result.feasible
    assert "plan.given_without_p99" in [caveat.code for caveat in result.caveats]


def test_nothing_fast_enough_names_the_nearest_miss_and_what_to_relax(scenario: Scenario, offer: Offer) -> None:
    offers = [priced(offer, "a", "0.1"), priced(offer, "b", "0.2")]
    result = plan(scenario, offers, [given("a", "1000", p99_ms="90"), given("b", "1000", p99_ms="60")])
    assert (result.feasible, result.recommended, result.runners_up, result.months) == (False, None, (), ())
    assert bought(result.nearest_miss) == ("b", 4, Decimal("584.00"))
    assert result.binding_constraint is not None
    assert "p99 of at most 50 ms" in result.binding_constraint
    assert "60 ms" in result.binding_constraint


def test_a_budget_below_the_cheapest_fleet_says_by_how_much(scenario: Scenario, offer: Offer) -> None:
    question = asked(scenario, 2400.0, budget_usd_per_month=Decimal("250"))
    result = plan(question, [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert not result.feasible
    assert bought(result.nearest_miss) == ("a", 4, Decimal("292.00"))
    assert result.binding_constraint is not None
    assert "raise plan.budget_usd_per_month by $42.00" in result.binding_constraint


def test_a_budget_of_exactly_the_cost_is_enough(scenario: Scenario, offer: Offer) -> None:
    question = asked(scenario, 2400.0, budget_usd_per_month=Decimal("292"))
    assert plan(question, [priced(offer, "a", "0.1")], [given("a", "1000")]).feasible


@pytest.mark.parametrize(
    ("n_zones", "n_spare", "expected"),
    [
        # Three carry the peak: 2,400 over 1,000 with a fifth kept free.
        pytest.param(2, 1, 6, id="half of six may be gone"),
        pytest.param(3, 1, 5, id="two of five may be gone"),
        pytest.param(4, 1, 4, id="of four zones with one each no more than the spare is gone"),
        pytest.param(3, 0, 5, id="zones without spares"),
        pytest.param(3, 3, 6, id="three spares are more than a zone"),
    ],
)
def test_the_loss_of_a_zone_is_borne_where_it_is_asked_for(
    scenario: Scenario, offer: Offer, n_zones: int, n_spare: int, expected: int
) -> None:
    question = asked(scenario, 2400.0, n_zones=n_zones, n_spare_replicas=n_spare)
    result = plan(question, [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert bought(result.recommended) == ("a", expected, expected * Decimal(73))
    assert result.recommended is not None
    assert result.recommended.utilisation_ratio_degraded == 0.8


def test_the_reason_names_the_zone_that_is_gone(scenario: Scenario, offer: Offer) -> None:
    # Of four in three zones two are gone, and two carry 1,600.
    result = plan(asked(scenario, 2400.0, n_zones=3), [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert result.binding_constraint == (
        "5 replicas: 4 would carry only 1,600 of 2,400 requests per second with a zone of 2 gone and 20 % kept free"
    )


def test_a_budget_that_growth_breaks_names_the_month(scenario: Scenario, offer: Offer) -> None:
    # 292, 365 and 438 $ a month: see test_months_buy_replicas_as_the_peak_grows.
    question = asked(scenario, 2400.0, budget_usd_per_month=Decimal(365))
    question = replace(question, traffic=replace(question.traffic, growth_per_month_ratio=0.2))
    result = plan(question, [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert result.feasible
    assert [(one.code, one.number) for one in result.caveats] == [("plan.outgrows_budget", 3.0)]
    assert "costs $438.00 in month 3, above the budget of $365.00 a month" in result.caveats[0].what


def test_no_matching_offer_at_all_is_no_plan(scenario: Scenario, offer: Offer) -> None:
    result = plan(asked(scenario, 1.0, providers=("gcp",)), [priced(offer, "a", "0.1")], [given("a", "1000")])
    assert (result.feasible, result.nearest_miss, result.oldest_price_date) == (False, None, None)


def test_months_buy_replicas_as_the_peak_grows(scenario: Scenario, offer: Offer) -> None:
    # 2,400, 2,880, 3,456 requests per second at 800 usable each: 3 + 1, 4 + 1, 5 + 1 replicas at 73 $ a month.
    question = replace(scenario, traffic=replace(scenario.traffic, growth_per_month_ratio=0.2))
    months = plan(question, [priced(offer, "a", "0.1")], [given("a", "1000")]).months
    assert [(month.n_replicas, month.usd) for month in months] == [
        (4, Decimal(292)),
        (5, Decimal(365)),
        (6, Decimal(438)),
    ]


def test_prices_older_than_ninety_days_carry_their_age(scenario: Scenario, offer: Offer) -> None:
    old = replace(priced(offer, "a", "0.1"), price_date=date(2026, 8, 25))
    result = plan(scenario, [old], [given("a", "1000")])
    assert [(caveat.code, caveat.number) for caveat in result.caveats] == [("catalog.stale", 91.0)]
    assert result.oldest_price_date == date(2026, 8, 25)


def test_a_price_of_ninety_days_is_not_stale(scenario: Scenario, offer: Offer) -> None:
    fresh = replace(priced(offer, "a", "0.1"), price_date=date(2026, 8, 26))
    assert plan(scenario, [fresh], [given("a", "1000")]).caveats == ()


def test_what_falls_short_never_reads_as_if_it_were_enough(scenario: Scenario, offer: Offer) -> None:
    """Two carry 2 × 1,199.99 × 0.8 = 1,919.98 of 1,920 with the third one gone; three would, so four are needed."""
    planned = plan(asked(scenario, 1920.0), [priced(offer, "some", "0.10")], [given("some", "1199.99")])
    assert bought(planned.recommended)[1] == 4
    assert planned.recommended is not None
    assert "3 would carry only 1,919 of 1,920 requests per second with 1 gone" in planned.recommended.reason


def test_capacities_are_taken_to_be_measured_where_the_objectives_are_and_that_is_said(
    scenario: Scenario, offer: Offer
) -> None:
    further = replace(scenario, vantage=Vantage(at="caller", outside=ConstantDelay(delay_s=0.003)))
    here, there = (plan(asked, [priced(offer, "one", "0.10")], [given("one", "500")]) for asked in (scenario, further))
    assert (here.recommended, here.months) == (there.recommended, there.months)
    assert [c.code for c in there.caveats if c not in here.caveats] == ["plan.given_vantage"]
