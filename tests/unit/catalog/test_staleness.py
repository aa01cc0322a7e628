"""How old a price may be."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from loadplan.catalog.price import PurchaseKind
from loadplan.catalog.staleness import oldest_price_date, stale_offers, too_old_offers
from loadplan.errors import InputError
from loadplan.plan.buying.offers import require_recent_prices, stale_price_caveats
from tests.unit.catalog.test_rules import SEEN, offer


@pytest.mark.parametrize(
    ("provider", "purchase", "warn", "refuse"),
    [
        pytest.param("aws", "on_demand", 90, 365, id="on demand"),
        pytest.param("gcp", "commit_3y", 90, 365, id="committed"),
        pytest.param("aws", "spot", 3, 14, id="spot"),
        pytest.param("runpod", "on_demand", 30, 180, id="a small cloud"),
        pytest.param("runpod", "spot", 3, 14, id="spot of a small cloud"),
    ],
)
def test_each_kind_of_price_has_its_own_age(provider: str, purchase: PurchaseKind, warn: int, refuse: int) -> None:
    one = offer("a.x", "1", purchase=purchase)
    one = replace(one, instance_type=replace(one.instance_type, provider=provider))
    for days, is_stale, is_refused in (
        (warn, False, False),
        (warn + 1, True, False),
        (refuse, True, False),
        (refuse + 1, True, True),
    ):
        day = SEEN + timedelta(days=days)
        assert bool(stale_offers([one], day)) is is_stale
        assert bool(too_old_offers([one], day)) is is_refused


def test_the_caveat_names_the_oldest_and_how_many_no_budget_may_rest_on() -> None:
    offers = [offer("a.x", "1"), replace(offer("b.x", "1"), price_date=date(2025, 11, 1)), offer("c.x", "1")]
    (caveat,) = stale_price_caveats(offers, SEEN + timedelta(days=10))
    assert "1 of the 3 prices compared" in caveat.what
    assert "aws/us-east-1/b.x/on_demand, was seen 375 days" in caveat.what
    assert "1 of them are so old that no budget" in caveat.what
    assert caveat.number == 375.0


def test_a_budget_refuses_the_price_that_is_too_old_and_says_what_to_do() -> None:
    require_recent_prices([offer("a.x", "1")], as_of=SEEN + timedelta(days=365))
    with pytest.raises(InputError, match="seen 366 days before 2027-11-02") as caught:
        require_recent_prices([offer("a.x", "1")], as_of=SEEN + timedelta(days=366))
    assert "--price aws/us-east-1/a.x/on_demand=" in caught.value.fix


def test_the_oldest_of_no_price_is_none() -> None:
    assert oldest_price_date([]) is None
    assert oldest_price_date([offer("a.x", "1"), replace(offer("b.x", "1"), price_date=date(2025, 1, 1))]) == date(
        2025, 1, 1
    )
