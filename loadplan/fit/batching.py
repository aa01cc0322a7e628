"""Better batching than any that the scenario names: a small search between its batch sizes and windows.

The scenario's settings are tried all; around the best of each device the search goes half-way to the neighbours, first
in the batch size (by the geometric mean), then in the batch window. It stays between the smallest and the largest that
the scenario allows. The decision a reader would question: a setting is kept only where it carries more than one percent
more, for rates are found to about that, and every setting more is one more to explain. Requests per second.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from loadplan.execution import ServingConfig, Setting
from loadplan.fit.capacity import with_capacities
from loadplan.fit.carried import queue_rows
from loadplan.fit.records import CapacityFit, SettingCapacity
from loadplan.fit.service_time import find_law, servable_batch_sizes
from loadplan.fit.usable import usable_rps
from loadplan.fit.worlds import worlds_of
from loadplan.scenario.spec import Scenario

_WORTH_KEEPING = 1.01


def with_better_batching(fit: CapacityFit, scenario: Scenario) -> CapacityFit:
    """The same fit, with the capacities of the settings that the search found to carry more."""
    found = list(fit.capacities)
    for best in best_of_each_device(fit.capacities):
        better = _better_setting(fit, best, scenario) if best.usable_capacity_rps > 0.0 else None
        if better is not None:
            choices = replace(
                scenario.serving,
                max_batch_sizes=(better.serving.max_batch_size,),
                batch_windows_s=(better.serving.batch_window_s,),
            )
            of_all = with_capacities(fit, replace(scenario, serving=choices)).capacities
            found += [one for one in of_all if one.setting == better]
    return replace(fit, capacities=tuple(found))


def best_of_each_device(capacities: Iterable[SettingCapacity]) -> list[SettingCapacity]:
    """By the low end of what a core of it carries, or the device; in the order in which the devices come."""
    best: dict[str, SettingCapacity] = {}
    for capacity in capacities:
        provider = capacity.setting.execution.provider
        if provider not in best or _goodness(capacity) > _goodness(best[provider]):
            best[provider] = capacity
    return list(best.values())


def _goodness(capacity: SettingCapacity) -> tuple[float, float, int, float]:
    """What the best setting has most of: capacity of a core; among equals smaller batches and shorter windows."""
    execution, serving = capacity.setting.execution, capacity.setting.serving
    n_cores = execution.n_threads * execution.n_sessions if execution.is_on_cpu else 1
    low_rps, middle_rps = capacity.usable_capacity_rps_low / n_cores, capacity.usable_capacity_rps / n_cores
    return low_rps, middle_rps, -serving.max_batch_size, -serving.batch_window_s


def _better_setting(fit: CapacityFit, best: SettingCapacity, scenario: Scenario) -> Setting | None:
    """The setting near the best one that carries most by the best law; None where none carries clearly more."""
    choices, rows, execution = scenario.serving, scenario.traffic.rows_per_request, best.setting.execution
    world = worlds_of(fit, execution, max(choices.max_batch_sizes))[0]

    def batching(size: int, window_s: float) -> Setting:
        queue = queue_rows(size, rows.mean)
        serving = ServingConfig(max_batch_size=size, batch_window_s=window_s, max_queue_rows=queue)
        return Setting(execution=execution, serving=serving)

    def carries(setting: Setting) -> float:
        return usable_rps(world, setting, scenario.objectives)

    size, window_s = best.setting.serving.max_batch_size, best.setting.serving.batch_window_s
    sizes = [int(each) for each in _half_way(choices.max_batch_sizes, size, lambda a, b: round(math.sqrt(a * b)))]
    servable = servable_batch_sizes(find_law(fit.service_times, execution), sizes, n_rows_most=rows.most)
    size = max((size, *servable), key=lambda each: carries(batching(each, window_s)))
    windows_s = _half_way(choices.batch_windows_s, window_s, lambda a, b: (a + b) / 2.0)
    window_s = max((window_s, *windows_s), key=lambda each: carries(batching(size, each)))
    found = batching(size, window_s)
    return found if carries(found) > _WORTH_KEEPING * best.usable_capacity_rps else None


def _half_way(choices: Sequence[float], chosen: float, middle: Callable[[float, float], float]) -> tuple[float, ...]:
    """From the chosen one to its neighbours among the choices, where there is anything between them."""
    ordered = sorted({*choices, chosen})
    i = ordered.index(chosen)
    found = [middle(a, b) for a, b in pairwise(ordered[max(i - 1, 0) : i + 2])]
    return tuple(one for one in found if one not in choices)
