"""What the same server carries where requests come in clusters, beside a plan that takes them for Poisson.

Real traffic comes in clusters more often than not, and a fleet that was sized for Poisson arrivals needs more machines
then. The case is gamma arrivals with twice the variation of Poisson's gaps, four requests at a time on average, by the
best law alone: it is a price to look at, not an interval.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadplan.fit.records import SettingCapacity
from loadplan.fit.usable import usable_rps
from loadplan.fit.worlds import N_REQUESTS, World
from loadplan.scenario.arrivals import GammaArrivals, PoissonArrivals
from loadplan.scenario.traffic import schedule
from loadplan.slo import Slo

OVERDISPERSED = GammaArrivals(cv=2.0)


def with_overdispersed(
    capacities: Sequence[SettingCapacity], world: World, objectives: Sequence[Slo]
) -> list[SettingCapacity]:
    """The capacities of one execution with what each carries of clusters; as they are where arrivals aren't Poisson."""
    if not isinstance(world.arrivals, PoissonArrivals):
        return list(capacities)
    rng = np.random.default_rng((N_REQUESTS, world.unit_s.size))  # the same for every law, as the world's own draws
    unit_s = schedule(OVERDISPERSED, rate_rps=1.0, duration_s=float(N_REQUESTS), rng=rng)
    clustered = replace(world, arrivals=OVERDISPERSED, n_requests=N_REQUESTS, unit_s=unit_s)
    return [
        replace(one, overdispersed_rps=usable_rps(clustered, one.setting, objectives))
        if one.usable_capacity_rps > 0.0
        else one
        for one in capacities
    ]
