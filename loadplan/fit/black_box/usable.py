"""The highest rate that one copy of a service carries in one world. Requests per second."""

from collections.abc import Sequence

from loadplan.fit.black_box.worlds import ServiceWorld, saturated_rps, waits_in
from loadplan.fit.rate_search import highest_rps, is_met
from loadplan.fit.worlds import of_class
from loadplan.slo import Slo


def usable_rps(world: ServiceWorld, objectives: Sequence[Slo]) -> float:
    """The highest rate, up to 98 % of saturation, at which every objective holds; 0 where there is none."""

    def holds(rate_rps: float) -> bool:
        waits = waits_in(world, rate_rps)
        return all(is_met(slo, of_class(waits, slo.class_name)) for slo in objectives)

    return highest_rps(saturated_rps(world), holds)
