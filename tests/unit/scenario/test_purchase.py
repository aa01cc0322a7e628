"""The ways to pay in a scenario file: figures as they were written, and each contradiction at its place."""

from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.scenario.purchase_rules import (
    ASSUMED_DISCOUNTS,
    ASSUMED_SPOT,
    CommitmentDiscounts,
    OwnedMachine,
    SpotRules,
)
from loadplan.scenario.reader import read_scenario
from tests.unit.scenario.files import MINIMAL, mistakes, write

RACK = (
    "{name: rack, like: aws/c7i.4xlarge, count: 4, purchase_usd: 9000.1, months: 36, power_watts: 350, pue: 1.4, "
    "usd_per_kwh: 0.15}"
)


def with_plan(keys: str) -> str:
    return MINIMAL + f"plan: {{{keys}}}\n"


def test_a_machine_of_ones_own_is_read_with_money_as_it_was_written(tmp_path: Path) -> None:
    text = with_plan(f"purchase: [on_demand, owned], owned: [{RACK}]")
    assert read_scenario(write(tmp_path, text)).plan.owned == (
        OwnedMachine(
            name="rack",
            region="site",
            like="aws/c7i.4xlarge",
            n_vcpus=None,
            memory_gib=None,
            n_available=4,
            purchase_usd=Decimal("9000.1"),
            residual_usd=Decimal("0.0"),
            n_months=36,
            power_watts=Decimal(350),
            pue_ratio=Decimal("1.4"),
            usd_per_kwh=Decimal("0.15"),
            operations_usd_per_month=Decimal(0),
            rack_usd_per_month=Decimal(0),
            is_sunk=False,
        ),
    )


def test_discounts_and_the_rules_for_spot_are_read(tmp_path: Path) -> None:
    keys = "commitment_discounts: {commit_1y_ratio: 0.3}, spot: {floor_ratio: 0.75, gone_ratio: 0.4}"
    rules = read_scenario(write(tmp_path, with_plan(keys))).plan
    assert rules.commitment_discounts == CommitmentDiscounts(
        commit_1y_ratio=Decimal("0.3"), commit_3y_ratio=ASSUMED_DISCOUNTS.commit_3y_ratio
    )
    assert rules.spot == SpotRules(floor_ratio=Decimal("0.75"), gone_ratio=Decimal("0.4"))


def test_what_is_not_said_is_assumed(tmp_path: Path) -> None:
    rules = read_scenario(write(tmp_path, MINIMAL)).plan
    assert (rules.owned, rules.commitment_discounts, rules.spot) == ((), ASSUMED_DISCOUNTS, ASSUMED_SPOT)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (f"owned: [{RACK}]", "plan.owned: machines of one's own are named, but may not be used; add owned"),
        ("purchase: [owned]", "plan.purchase: owned is allowed, but plan.owned names no machine"),
        ("purchase: [spot]", "plan.purchase: spot is only bought above a floor of replicas that stay"),
        ("purchase: [on_demand, sopt]", "did you mean spot?"),
        (f"purchase: [owned], owned: [{RACK}, {RACK}]", "plan.owned[1].name: rack is named twice"),
        (f"purchase: [owned], owned: [{RACK.replace('count: 4, ', '')}]", "plan.owned[0].count: missing"),
        (f"purchase: [owned], owned: [{RACK.replace('pue: 1.4', 'pue: 0.9')}]", "expected a number of 1 or more"),
        (
            f"purchase: [owned], owned: [{RACK.replace('months: 36', 'months: 36, residual_usd: 9001')}]",
            "plan.owned[0].residual_usd: residual_usd 9001 is above purchase_usd 9000.1",
        ),
        (
            f"purchase: [owned], owned: [{RACK.replace('like: aws/c7i.4xlarge, ', '')}]",
            "nothing says what machine it is; name the type it is like, or give vcpus and memory_gib",
        ),
        (
            f"purchase: [owned], owned: [{RACK.replace('aws/c7i.4xlarge', 'c7i.4xlarge')}]",
            "plan.owned[0].like: expected a type of the catalogue, such as aws/c7i.4xlarge, read 'c7i.4xlarge'",
        ),
        ("commitment_discounts: {commit_1y_ratio: 0.5}", "three years (0.45) take off less than one (0.5)"),
        ("commitment_discounts: {commit_1y_ratio: 1}", "expected a number below 1"),
        ("spot: {floor_ratio: 0}", "expected a number above 0"),
        ("spot: {gone_ratio: 1}", "expected a number below 1"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, keys: str, expected: str) -> None:
    said = mistakes(tmp_path, with_plan(keys))
    assert any(expected in line for line in said), said


def test_zones_are_read_and_contradict_fleets_of_several_types(tmp_path: Path) -> None:
    assert read_scenario(write(tmp_path, with_plan("zones: 3"))).plan.n_zones == 3
    assert read_scenario(write(tmp_path, MINIMAL)).plan.n_zones is None
    (mistake,) = mistakes(tmp_path, with_plan("zones: 3, instance_types: several"))
    assert "the loss of a zone is reckoned with for fleets of one type" in mistake
