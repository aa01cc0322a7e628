"""Fleets of several types: by hand, against brute force, and with any k replicas lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.catalog.price import Offer
from loadplan.plan.fleets.candidate import Candidate, least_fleet
from loadplan.plan.fleets.mixed import cheapest_mixed
from loadplan.plan.hardware.transfer import PredictedP99
from loadplan.plan.records.fleet import Fleet, ReplicaCapacity
from loadplan.scenario.spec import PlanRules, Scenario


@dataclass(frozen=True)
class Kind:
    """A machine that can be bought: its price in thousandths of a dollar and what it carries."""

    usd_per_1000h: int
    rps: int


def candidate(offer: Offer, name: str, usd: Decimal, rps: float, **other: object) -> Candidate:
    return Candidate(
        offer=replace(
            offer,
            instance_type=replace(offer.instance_type, name=name),
            usd_per_hour=usd,
            **other,  # type: ignore[arg-type]  # names are checked when the test runs
        ),
        capacity=ReplicaCapacity(
            usable_capacity_rps=rps,
            usable_capacity_rps_low=rps,
            usable_capacity_rps_high=rps,
            setting=None,
            speed_ratio=1.0,
            n_server_processes=1,
            basis="given",
        ),
        sizing_rps=rps,
        predict_p99=lambda rate_rps: PredictedP99(low_s=rate_rps / 2e4, middle_s=rate_rps / 1e4, high_s=rate_rps / 5e3),
    )


def candidates_of(offer: Offer, kinds: Sequence[Kind]) -> list[Candidate]:
    return [
        candidate(offer, f"t{i}", Decimal(kind.usd_per_1000h) / 1000, float(kind.rps)) for i, kind in enumerate(kinds)
    ]


def asked(scenario: Scenario, *, n_spare: int, headroom: float = 0.0, n_min: int = 1) -> PlanRules:
    return replace(scenario.plan, n_spare_replicas=n_spare, headroom_ratio=headroom, n_min_replicas=n_min)


def bought(fleet: Fleet | None) -> tuple[dict[str, int], Decimal]:
    assert fleet is not None
    return {item.offer.instance_type.name: item.n_replicas for item in fleet.items}, fleet.usd_per_month


def test_a_small_machine_beside_a_big_one_spares_a_second_big_one(scenario: Scenario, offer: Offer) -> None:
    # 1 big carries 1,000 of 1,100: a second is 2.00 an hour, eleven small ones 1.65, one of each 1.15 x 730 h.
    pair = [candidate(offer, "big", Decimal("1.00"), 1000.0), candidate(offer, "small", Decimal("0.15"), 100.0)]
    fleet = cheapest_mixed(pair, peak_rps=1100.0, rules=asked(scenario, n_spare=0))
    assert bought(fleet) == ({"big": 1, "small": 1}, Decimal("839.50"))
    assert fleet is not None
    assert [item.traffic_share for item in fleet.items] == pytest.approx([10 / 11, 1 / 11])
    assert fleet.utilisation_ratio == fleet.utilisation_ratio_degraded == 1.0
    # The largest p99 of the two, at the rates that fall to each: 1,000 on the big one, 100 on the small one.
    assert (fleet.predicted_p99_s_low, fleet.predicted_p99_s, fleet.predicted_p99_s_high) == (0.005, 0.1, 0.2)


def test_the_replica_that_is_lost_is_the_largest(scenario: Scenario, offer: Offer) -> None:
    # Should the big one go, the small ones alone must carry it all: twelve small ones for 1.80 win over any mix.
    pair = [candidate(offer, "big", Decimal("1.00"), 1000.0), candidate(offer, "small", Decimal("0.15"), 100.0)]
    assert cheapest_mixed(pair, peak_rps=1100.0, rules=asked(scenario, n_spare=1)) is None


def test_a_mix_is_as_full_as_its_largest_loss_leaves_it(scenario: Scenario, offer: Offer) -> None:
    # 35 with one gone: 2 x 30 + 10 leave 40 for 8.00 an hour; three big ones cost 9.00, five small ones 10.00.
    pair = [candidate(offer, "big", Decimal("3.00"), 30.0), candidate(offer, "small", Decimal("2.00"), 10.0)]
    fleet = cheapest_mixed(pair, peak_rps=35.0, rules=asked(scenario, n_spare=1))
    assert bought(fleet) == ({"big": 2, "small": 1}, Decimal("5840.00"))
    assert fleet is not None
    assert (fleet.utilisation_ratio, fleet.utilisation_ratio_degraded) == (35 / 70, 35 / 40)


def test_no_fleet_spans_two_regions(scenario: Scenario, offer: Offer) -> None:
    pair = [
        candidate(offer, "big", Decimal("1.00"), 1000.0),
        candidate(offer, "small", Decimal("0.15"), 100.0, region="west"),
    ]
    assert cheapest_mixed(pair, peak_rps=1100.0, rules=asked(scenario, n_spare=0)) is None


def test_of_mixes_at_one_price_the_one_with_fewer_replicas_is_taken(scenario: Scenario, offer: Offer) -> None:
    # 1,200: beside a big one two small ones, or one middle one, for 1.30 either way.
    names = {"big": ("1.00", 1000.0), "small": ("0.15", 100.0), "middle": ("0.30", 200.0)}
    kinds = [candidate(offer, name, Decimal(usd), rps) for name, (usd, rps) in names.items()]
    fleet = cheapest_mixed(kinds, peak_rps=1200.0, rules=asked(scenario, n_spare=0))
    assert bought(fleet) == ({"big": 1, "middle": 1}, Decimal("949.00"))


def test_no_mix_takes_more_than_there_are(scenario: Scenario, offer: Offer) -> None:
    # 2,500: of the cheap big one there are two, five small ones carry the rest: 2 x 0.20 + 5 x 0.15 an hour.
    kinds = [
        candidate(offer, "big", Decimal("0.20"), 1000.0, n_available=2),
        candidate(offer, "small", Decimal("0.15"), 100.0),
    ]
    fleet = cheapest_mixed(kinds, peak_rps=2500.0, rules=asked(scenario, n_spare=0))
    assert bought(fleet) == ({"big": 2, "small": 5}, Decimal("839.50"))


KINDS = st.lists(st.builds(Kind, st.integers(1, 60), st.integers(1, 40)), min_size=1, max_size=3)


@given(kinds=KINDS, peak=st.integers(1, 90), n_spare=st.integers(0, 2), n_min=st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_the_cost_is_that_of_the_best_of_all_fleets(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, n_spare: int, n_min: int
) -> None:
    rules = asked(scenario, n_spare=n_spare, n_min=n_min)
    uniform = [least_fleet(one, peak_rps=float(peak), rules=rules) for one in candidates_of(offer, kinds)]
    cheapest_uniform = min(fleet.usd_per_month for fleet in uniform)
    mixed = cheapest_mixed(candidates_of(offer, kinds), peak_rps=float(peak), rules=rules)
    found = cheapest_uniform if mixed is None else mixed.usd_per_month
    assert found <= cheapest_uniform
    assert found == 730 * brute_force(kinds, peak, n_spare, n_min) / 1000


def brute_force(kinds: Sequence[Kind], peak: int, n_spare: int, n_min: int) -> Decimal:
    """The least price of all fleets that carry the peak whichever replicas are lost, in thousandths an hour."""
    most = [-(-peak // kind.rps) + n_spare + n_min for kind in kinds]
    best = None
    for counts in product(*(range(n + 1) for n in most)):
        price = sum(n * kind.usd_per_1000h for n, kind in zip(counts, kinds, strict=True))
        if (best is not None and price >= best) or sum(counts) < n_min:
            continue
        if carries(kinds, counts, peak, n_spare):
            best = price
    assert best is not None
    return Decimal(best)


def carries(kinds: Sequence[Kind], counts: Sequence[int], peak: int, n_spare: int) -> bool:
    replicas = sorted((kind.rps for n, kind in zip(counts, kinds, strict=True) for _ in range(n)), reverse=True)
    return sum(replicas[n_spare:]) >= peak


@given(kinds=KINDS, peak=st.integers(1, 60), headroom=st.sampled_from([0.0, 0.2]))
@settings(max_examples=60, deadline=None)
def test_the_fleet_carries_the_peak_whichever_two_replicas_are_lost(
    scenario: Scenario, offer: Offer, kinds: list[Kind], peak: int, headroom: float
) -> None:
    rules = asked(scenario, n_spare=2, headroom=headroom)
    mixed = cheapest_mixed(candidates_of(offer, kinds), peak_rps=float(peak), rules=rules)
    if mixed is None:
        return
    replicas = [
        item.capacity.usable_capacity_rps for item in mixed.items if item.capacity for _ in range(item.n_replicas)
    ]
    left = [sum(replicas) - sum(lost) for lost in combinations(replicas, 2)]
    assert min(left) * (1 - headroom) >= peak - 1e-9
    assert mixed.utilisation_ratio_degraded == pytest.approx(peak / min(left))
