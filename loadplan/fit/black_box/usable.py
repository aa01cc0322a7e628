"""The highest rate that one copy of a service carries in one world. Requests per second."""

from collections.abc import Sequence

from loadplan.fit.black_box.worlds import ServiceWorld, saturated_rps, waits_in
from loadplan.fit.rate_search import highest_rps
from loadplan.fit.usable import all_met
from loadplan.slo import Slo


def usable_rps(world: ServiceWorld, objectives: Sequence[Slo]) -> float:
    """The highest rate, up to 98 % of saturation, at which every objective holds; 0 where there is none."""
    return highest_rps(saturated_rps(world), lambda rate_rps: all_met(waits_in(world, rate_rps), objectives))
