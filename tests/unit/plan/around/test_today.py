"""What runs today where it is committed to: a commitment is paid until it ends, whatever is bought.

small carries 150 for 0.22 USD an hour, big 400 for 0.40; of 300 one may be lost, so three small ones for 481.80 are
planned. A year takes a quarter off: 120.45 a month for a small one, 219.00 for a big one.
"""

from decimal import Decimal

from loadplan.catalog.price import Offer
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.outlook import Today
from loadplan.report.outlook_text import today_text
from loadplan.scenario.spec import Scenario
from tests.unit.plan.around.machines import Kind, asking, planned

KINDS = (Kind(name="big", usd_per_hour="0.40", rps=400), Kind(name="small", usd_per_hour="0.22", rps=150))


def against(scenario: Scenario, offer: Offer, *running: tuple[str, int], kinds: tuple[Kind, ...] = KINDS) -> Today:
    return beside(scenario, offer, *running, kinds=kinds)[1]


def beside(
    scenario: Scenario, offer: Offer, *running: tuple[str, int], kinds: tuple[Kind, ...] = KINDS
) -> tuple[Plan, Today]:
    today = tuple((f"aws/east/{name}", n) for name, n in running)
    plan, outlook = planned(asking(scenario, today=today), offer, kinds)
    assert outlook.today is not None
    return plan, outlook.today


def test_committed_machines_of_the_plans_own_type_are_used_by_it(scenario: Scenario, offer: Offer) -> None:
    # Today: 2 x 120.45 + 292.00. Until the commitment ends the plan buys one small one more: 240.90 + 160.60.
    found = against(scenario, offer, ("small/commit_1y", 2), ("big/on_demand", 1))
    assert found.choice.usd_per_month == Decimal("532.90")
    assert found.usd_less_per_month == Decimal("51.10")
    assert found.committed_usd_per_month == Decimal("240.90")
    assert found.usd_less_while_committed == Decimal("131.40")
    assert (found.holds, found.carried_rps) == (True, 300.0)  # the big one lost


def test_committed_machines_of_another_type_are_paid_for_beside_the_plan(scenario: Scenario, offer: Offer) -> None:
    found = against(scenario, offer, ("big/commit_1y", 2))
    assert (found.usd_less_per_month, found.usd_less_while_committed) == (Decimal("-43.80"), Decimal("-481.80"))
    assert today_text(found).startswith(
        "2 × aws/east/big/commit_1y, $438.00 a month; the plan is $43.80 a month dearer; $438.00 of today's is "
        "committed: until that ends the plan is $481.80 a month dearer; it would do: "
    )


def test_more_is_committed_to_than_the_plan_can_use(scenario: Scenario, offer: Offer) -> None:
    # Five small ones: three serve the plan, and two are paid for all the same.
    found = against(scenario, offer, ("small/commit_1y", 5))
    assert found.choice.usd_per_month == Decimal("602.25")
    assert (found.usd_less_per_month, found.usd_less_while_committed) == (Decimal("120.45"), Decimal(0))


def test_an_assumed_discount_of_what_runs_today_is_told(scenario: Scenario, offer: Offer) -> None:
    plan, _ = beside(scenario, offer, ("big/commit_1y", 2))
    assert [one.what for one in plan.caveats if one.code == "plan.today_discount_assumed"] == [
        "what runs today is priced by an assumed discount for aws/east/big/commit_1y"
    ]
    known = Kind(name="big", usd_per_hour="0.35", purchase="commit_1y")
    plan, today = beside(scenario, offer, ("big/commit_1y", 2), kinds=(*KINDS, known))
    assert today.choice.usd_per_month == Decimal("511.00")
    assert [one for one in plan.caveats if one.code == "plan.today_discount_assumed"] == []


def test_without_a_commitment_nothing_is_said_of_one(scenario: Scenario, offer: Offer) -> None:
    found = against(scenario, offer, ("big/on_demand", 2))
    assert (found.committed_usd_per_month, found.usd_less_while_committed) == (None, None)
    assert "commitment" not in today_text(found)
