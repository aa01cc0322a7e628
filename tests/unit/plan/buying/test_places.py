"""Providers and regions are held to those that have prices, before anything is measured for them."""

from dataclasses import replace

import pytest

from loadplan.catalog.price import Catalog
from loadplan.errors import InputError
from loadplan.plan.buying.offers import check_places
from loadplan.scenario.spec import Scenario


def test_places_with_prices_pass(catalog: Catalog, scenario: Scenario) -> None:
    check_places(catalog, scenario.plan)


@pytest.mark.parametrize(
    ("key", "asked", "near"),
    [("providers", ("aws", "awz"), "did you mean aws?"), ("regions", ("eats",), "did you mean east?")],
)
def test_one_without_is_named_with_the_nearest_that_has(
    catalog: Catalog, scenario: Scenario, key: str, asked: tuple[str, ...], near: str
) -> None:
    rules = replace(scenario.plan, **{key: asked})  # type: ignore[arg-type]  # names are checked when the test runs
    with pytest.raises(InputError) as caught:
        check_places(catalog, rules)
    assert asked[-1] in caught.value.what
    assert caught.value.where == f"plan.{key}"
    assert near in caught.value.fix
