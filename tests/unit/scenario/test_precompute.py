"""What is proposed, and answers worked out beforehand, as a scenario file has them."""

from pathlib import Path

import pytest

from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import PrecomputeRules
from tests.unit.scenario.files import MINIMAL, mistakes, write


def with_plan(keys: str) -> str:
    return MINIMAL + f"plan: {{{keys}}}\n"


def test_a_run_may_last_a_quarter_of_the_time_to_the_next_unless_the_scenario_says(tmp_path: Path) -> None:
    short = read_scenario(write(tmp_path, with_plan("precompute: {entities: 5000000}"))).plan.precompute
    assert short == PrecomputeRules(n_entities=5_000_000, rows_per_entity=None, every_s=86_400.0, within_s=21_600.0)
    keys = "precompute: {entities: 7, rows_per_entity: 100, every_h: 1, within_h: 0.5}"
    long = read_scenario(write(tmp_path, with_plan(keys))).plan.precompute
    assert long == PrecomputeRules(n_entities=7, rows_per_entity=100.0, every_s=3600.0, within_s=1800.0)
    assert read_scenario(write(tmp_path, MINIMAL)).plan.precompute is None


def test_what_is_proposed_is_read_as_what_runs_today(tmp_path: Path) -> None:
    rules = read_scenario(write(tmp_path, with_plan("proposal: {aws/us-east-1/p3.8xlarge/on_demand: 2}"))).plan
    assert rules.proposal == (("aws/us-east-1/p3.8xlarge/on_demand", 2),)
    assert rules.today == ()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("precompute: {}", "plan.precompute.entities: missing"),
        ("precompute: {entities: 0}", "plan.precompute.entities: expected a number of 1 or more"),
        ("precompute: {entities: 1, every_h: 6, within_h: 7}", "a run of 7 h isn't done when the next begins"),
        ("precompute: {entities: 1, every_min: 6}", "every_min"),
        ("proposal: {p3.8xlarge: 1}", "plan.proposal.'p3.8xlarge': expected provider/region/type/purchase, such as"),
        ("today: {p3.8xlarge: 1}", "plan.today.'p3.8xlarge': expected provider/region/type/purchase, such as"),
        ("today: {aws/us-east-1/p3.8xlarge/on_demand: 0}", "expected a number of 1 or more, read '0'"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, keys: str, expected: str) -> None:
    said = mistakes(tmp_path, with_plan(keys))
    assert any(expected in line for line in said), said
