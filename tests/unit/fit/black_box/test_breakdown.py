"""Where the time of a service's slow requests goes, against the closed form of M/D/1."""

from dataclasses import replace

import pytest

from loadplan.fit.black_box.capacity import service_capacity
from loadplan.fit.black_box.records import Asked, ServiceCapacity
from loadplan.fit.black_box.structures import ServiceLaw
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.outside import ConstantDelay
from loadplan.slo import Slo
from tests.unit.fit.black_box.conftest import MakeLaw
from tests.unit.fit.black_box.test_capacity import known
from tests.unit.fit.capacity.queues import load_within, quantile_s, slo

POISSON = PoissonArrivals()
LIMIT = slo(0.99, 9e-3)


@pytest.fixture
def law(make_law: MakeLaw) -> ServiceLaw:
    """1 ms of work for each, in order, after 3 ms without CPU."""
    return replace(make_law(sharing="first_come", request_s=1e-3, cpu_cv=1e-6), delays_s=(3e-3,))


def carried(law: ServiceLaw, objective: Slo = LIMIT, outside_s: float = 0.0) -> ServiceCapacity:
    outside = ConstantDelay(delay_s=outside_s) if outside_s else None
    return service_capacity(known(law), Asked(arrivals=POISSON, outside=outside), [objective])


def test_each_part_that_is_halved_gains_what_the_closed_form_says(law: ServiceLaw) -> None:
    """Of 9 ms 6 are left for the queue; with half the fetch 7.5; half the work is a server of half a millisecond."""
    found = carried(law).breakdown
    assert found is not None
    assert {one.part: one.ratio for one in found.halved} == {
        "fetch": pytest.approx(load_within(7.5e-3) / load_within(6e-3), rel=0.02),
        "work": pytest.approx(2.0 * load_within(6e-3, service_s=0.5e-3) / load_within(6e-3), rel=0.03),
    }


def test_the_shares_of_the_slow_ones_add_up_with_what_they_wait(law: ServiceLaw) -> None:
    found = carried(law).breakdown
    assert found is not None
    for one in found.shares:
        shares = {each.part: each.ratio for each in one.parts}
        p99_s = 3e-3 + quantile_s(0.99, one.usable_ratio * load_within(6e-3))
        assert shares == pytest.approx({"fetch": 3e-3 / p99_s, "work": 1e-3 / p99_s}, rel=0.05)


def test_the_way_to_the_service_is_a_part_beside_its_own_fetch(law: ServiceLaw) -> None:
    found = carried(law, outside_s=1e-3).breakdown
    assert found is not None
    last = {one.part: one.ratio for one in found.shares[-1].parts}
    assert last == pytest.approx({"outside": 1 / 9, "fetch": 3 / 9, "work": 1 / 9}, rel=0.02)


def test_a_service_without_waits_has_no_fetch_and_one_that_carries_nothing_no_parts(law: ServiceLaw) -> None:
    at_once = carried(replace(law, delays_s=(0.0,))).breakdown
    assert at_once is not None
    assert [one.part for one in at_once.halved] == ["work"]
    assert carried(law, slo(0.99, 2e-3)).breakdown is None
