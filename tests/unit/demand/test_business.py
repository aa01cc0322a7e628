"""Users are not requests: what is given, what is assumed, and what it would be else."""

import pytest

from loadplan.demand.business import demand_from_users
from loadplan.errors import InputError


def test_the_peak_is_the_product_of_what_is_given() -> None:
    # 360,000 users, 10 requests each, a fifth of them in the busiest hour, on a day half as busy again.
    demand = demand_from_users(daily_users=360_000, requests_per_user=10, peak_share=0.2, busiest_day_ratio=1.5)
    assert demand.peak_hour.rate_rps == pytest.approx(300.0)
    assert demand.mean_rps == pytest.approx(3_600_000 / 86_400)
    assert demand.basis == "given"
    assert not demand.doubts
    assert not demand.caveats


def test_each_figure_that_is_missing_is_a_doubt_with_the_peak_it_may_make() -> None:
    demand = demand_from_users(daily_users=36_000)
    assert demand.basis == "assumed"
    assert demand.peak_hour.rate_rps == pytest.approx(1.0)  # one request each, a tenth in the busiest hour
    assert {doubt.what: doubt.peak_rps for doubt in demand.doubts} == {
        "the number of requests of a user is 10 and not 1": pytest.approx(10.0),
        "the peak share is 20 % and not 10 %": pytest.approx(2.0),
        "the busiest day over a usual one is 1.5 and not 1": pytest.approx(1.5),
    }
    assert [caveat.code for caveat in demand.caveats] == [doubt.code for doubt in demand.doubts]


def test_large_peaks_are_written_out() -> None:
    caveat = demand_from_users(daily_users=86_400_000, requests_per_user=10, busiest_day_ratio=1).caveats[0]
    assert "the peak would be 48,000 requests/s" in caveat.what


@pytest.mark.parametrize(
    ("figures", "option"),
    [
        ({"daily_users": 0.0}, "--daily-users"),
        ({"daily_users": float("nan")}, "--daily-users"),
        ({"daily_users": 10.0, "requests_per_user": -1.0}, "--requests-per-user"),
        ({"daily_users": 10.0, "peak_share": 0.01}, "--peak-share"),  # less than an even day's 1/24
        ({"daily_users": 10.0, "busiest_day_ratio": 0.5}, "--busiest-day"),
        ({"daily_users": 1e12, "requests_per_user": 1e9}, "--daily-users"),
    ],
)
def test_figures_that_cant_be_are_refused(figures: dict[str, float], option: str) -> None:
    with pytest.raises(InputError) as caught:
        demand_from_users(**figures)
    assert caught.value.where == option
