"""Whether it takes a cluster or a GPU, by hand: small carries 100 for 0.10 USD an hour, gpu 5,000 for 2.00.

One may be lost and nothing is kept free; 730 hours are 73.00 a month for small, 1,460.00 for gpu.
"""

from decimal import Decimal

import pytest

from loadplan.catalog.price import Offer
from loadplan.errors import InputError
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.cluster import Cluster
from loadplan.report.around_text import gpu_text, need_text, proposed_text
from loadplan.scenario.spec import Scenario
from tests.unit.plan.around.machines import Kind, asking, planned

SMALL = Kind(name="small", usd_per_hour="0.10", rps=100)
GPU = Kind(name="gpu", usd_per_hour="2.00", rps=5000, accelerator="L4")
UNKNOWN_GPU = Kind(name="gpu", usd_per_hour="2.00", accelerator="L4")


def cluster(scenario: Scenario, offer: Offer, *kinds: Kind, peak_rps: float = 300.0, **rules: object) -> Cluster:
    _, outlook = planned(asking(scenario, peak_rps=peak_rps, **rules), offer, kinds)
    assert outlook.cluster is not None
    return outlook.cluster


def fleet(name: str, n: int, usd: str) -> Choice:
    return Choice(offers=((f"aws/east/{name}/on_demand", n),), usd_per_month=Decimal(usd))


def test_the_cheapest_and_the_fewest_machines_stand_on_either_side(scenario: Scenario, offer: Offer) -> None:
    large = Kind(name="large", usd_per_hour="0.50", rps=400)
    found = cluster(scenario, offer, SMALL, large, GPU)
    # 300 take 3 + 1 small ones, 1 + 1 large ones, 1 + 1 with a GPU.
    assert (found.without_gpu.cheapest, found.without_gpu.fewest) == (
        fleet("small", 4, "292.00"),
        fleet("large", 2, "730.00"),
    )
    assert (found.with_gpu.cheapest, found.with_gpu.basis) == (fleet("gpu", 2, "2920.00"), "given")
    # With nothing to spare one large one does.
    assert (found.least, found.n_planned) == (fleet("large", 1, "365.00"), 4)
    assert need_text(found) == (
        "no, one machine carries the peak with nothing to spare (1 × aws/east/large/on_demand, $365.00 a month); the "
        "plan has 4 machines"
    )


def test_where_no_machine_carries_the_peak_alone_it_takes_a_cluster(scenario: Scenario, offer: Offer) -> None:
    found = cluster(scenario, offer, SMALL)
    assert found.least == fleet("small", 3, "219.00")
    assert need_text(found).startswith("yes, it takes 3 machines at least")


def test_a_gpu_wins_from_the_peak_on_at_which_its_steps_stay_below(scenario: Scenario, offer: Offer) -> None:
    """ceil(P / 100) + 1 small ones against ceil(P / 5,000) + 1: at 3,901 40 + 1 cost 2,993 against 2,920, but at 5,001
    51 + 1 cost 3,796 against 4,380. Beyond 5,900, where it is 60 + 1 for 4,453, the GPU stays cheaper.
    """
    wins = cluster(scenario, offer, SMALL, GPU).gpu_wins
    assert wins.from_rps is not None
    assert 5900.0 < wins.from_rps <= 5900.0 * 1.005
    assert (wins.is_earliest, wins.usd_per_month_at_least, wins.reason) == (False, Decimal("2920.00"), "")


def test_the_peak_of_today_does_not_move_that(scenario: Scenario, offer: Offer) -> None:
    wins = cluster(scenario, offer, SMALL, GPU, peak_rps=20_000.0).gpu_wins
    assert wins.from_rps == pytest.approx(5900.0, rel=0.006)


def test_of_a_gpu_that_nobody_measured_it_is_told_from_where_on_it_might_win(scenario: Scenario, offer: Offer) -> None:
    # Two that carried anything cost 2,920, which is what 40 small ones do: they carry 3,900 with one lost.
    found = cluster(scenario, offer, SMALL, UNKNOWN_GPU)
    wins = found.gpu_wins
    assert wins.from_rps is not None
    assert 3900.0 < wins.from_rps <= 3900.0 * 1.005
    assert (wins.is_earliest, wins.usd_per_month_at_least) == (True, Decimal("2920.00"))
    assert found.with_gpu.cheapest is None
    said = gpu_text(found)
    assert said.startswith("not known: nothing is known of what a machine with a GPU carries; at least $2,920.00")
    assert said.endswith("at the peak on at the earliest")


def test_spares_count_for_what_a_gpu_costs_at_least(scenario: Scenario, offer: Offer) -> None:
    assert cluster(scenario, offer, SMALL, UNKNOWN_GPU, n_spare_replicas=0).gpu_wins.usd_per_month_at_least == 1460
    assert cluster(scenario, offer, SMALL, UNKNOWN_GPU, n_min_replicas=5).gpu_wins.usd_per_month_at_least == 7300


def test_without_any_machine_on_one_side_it_is_said(scenario: Scenario, offer: Offer) -> None:
    wins = cluster(scenario, offer, SMALL).gpu_wins
    assert (wins.from_rps, wins.reason) == (None, "the scenario allows no machine with a GPU that has a price")
    alone = cluster(scenario, offer, GPU)
    assert (alone.without_gpu.cheapest, alone.gpu_wins.reason) == (
        None,
        "nothing without a GPU meets the objectives",
    )


def test_a_gpu_that_is_never_worth_it_says_up_to_which_peak(scenario: Scenario, offer: Offer) -> None:
    # 5,000 for 10.00 an hour are dearer than fifty small ones.
    found = cluster(scenario, offer, SMALL, Kind(name="gpu", usd_per_hour="10.00", rps=5000, accelerator="L4"))
    assert found.gpu_wins.from_rps is None
    assert "a GPU wins at no peak up to 19,200 requests/s" in gpu_text(found)


def test_what_a_proposal_leaves_idle_and_would_have_to_carry(scenario: Scenario, offer: Offer) -> None:
    found = cluster(scenario, offer, SMALL, GPU, proposal=(("aws/east/gpu/on_demand", 3),)).proposed
    assert found is not None
    # 15,000 against a peak of 300 and a mean of 225; the plan is four small ones.
    assert (found.idle_at_peak_ratio, found.idle_on_average_ratio) == pytest.approx((0.98, 0.985))
    assert (found.usd_more_per_month, found.carried_rps, found.holds) == (Decimal("4088.00"), 10_000.0, True)
    # 4,380.00 buy sixty small ones, of which one may be lost.
    assert found.worth_rps == 5900.0
    said = proposed_text(found)
    assert "98 % of it stands idle at the peak and 98.5 % on average" in said
    assert "for as much money the plan's machines carry a peak of 5,900 requests/s" in said


def test_a_proposal_of_which_nothing_is_known_is_priced_all_the_same(scenario: Scenario, offer: Offer) -> None:
    found = cluster(scenario, offer, SMALL, UNKNOWN_GPU, proposal=(("aws/east/gpu/on_demand", 1),)).proposed
    assert found is not None
    assert (found.holds, found.carried_rps, found.idle_at_peak_ratio) == (None, None, None)
    assert found.usd_more_per_month == Decimal("1168.00")
    assert found.worth_rps == 1900.0  # twenty small ones, one lost
    assert "what aws/east/gpu/on_demand carries within the objectives isn't known" in proposed_text(found)


def test_a_proposal_that_is_too_small_is_not_idle_below_nothing(scenario: Scenario, offer: Offer) -> None:
    found = cluster(scenario, offer, SMALL, proposal=(("aws/east/small/on_demand", 2),)).proposed
    assert found is not None
    assert (found.holds, found.idle_at_peak_ratio) == (False, 0.0)
    assert found.usd_more_per_month == Decimal("-146.00")


def test_what_is_proposed_needs_a_price(scenario: Scenario, offer: Offer) -> None:
    with pytest.raises(InputError, match="no price for 'aws/east/huge/on_demand', which is proposed") as caught:
        cluster(scenario, offer, SMALL, proposal=(("aws/east/huge/on_demand", 1),))
    assert caught.value.where == "plan.proposal"
