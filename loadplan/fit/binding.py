"""Which limit decides what a simulated server carries."""

from collections.abc import Sequence

import numpy as np

from loadplan.fit.records import Binding
from loadplan.fit.worlds import Waits, of_class
from loadplan.slo import Slo


def binding_of(waits: Waits, objectives: Sequence[Slo]) -> Binding:
    """The limit with the most misses over those that it allows."""
    strains: list[tuple[float, Binding]] = []
    for slo in objectives:
        times_s = of_class(waits, slo.class_name)
        n = max(times_s.size, 1)
        failed = np.count_nonzero(np.isnan(times_s)) / n / slo.max_failed_ratio if slo.max_failed_ratio else 0.0
        strains.append((float(failed), Binding(class_name=slo.class_name, limit=None)))
        for limit in slo.limits:
            missed = 1.0 - np.count_nonzero(times_s <= limit.limit_s) / n
            strains.append((missed / (1.0 - limit.quantile), Binding(class_name=slo.class_name, limit=limit)))
    return max(strains, key=lambda one: one[0])[1]
