"""The highest rate that one server process carries in one world. Requests per second."""

from collections.abc import Sequence

from loadplan.execution import Setting
from loadplan.fit.rate_search import highest_rps, is_met
from loadplan.fit.worlds import Waits, World, of_class, saturated_rps, waits_s
from loadplan.slo import Slo


def usable_rps(world: World, setting: Setting, objectives: Sequence[Slo]) -> float:
    """The highest rate, up to 98 % of saturation, at which every objective holds; 0 where there is none."""
    return highest_rps(
        saturated_rps(world, setting), lambda rate_rps: all_met(waits_s(world, setting, rate_rps), objectives)
    )


def all_met(waits: Waits, objectives: Sequence[Slo]) -> bool:
    """Whether every objective holds in a simulated run, each over the requests that it is about."""
    return all(is_met(slo, of_class(waits, slo.class_name)) for slo in objectives)
