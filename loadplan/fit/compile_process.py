"""Process entry: compiles the simulators into numba's cache; `compiling` starts it.

One request through one replica is enough, for whatever a fit simulates has the types of these arguments.
"""

import numpy as np

from loadplan.child_process import die_with_parent
from loadplan.execution import ServingConfig
from loadplan.fit.fleet_records import Fleet
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import draw, full_batches, scale, simulate
from loadplan.fit.simulate_fleet import draw_fleet, offer, scale_fleet, simulate_fleet

FREE = OverheadFit(
    request_s=0.0,
    response_s=0.0,
    batch_s=0.0,
    wake_s=0.0,
    transfer_s=0.0,
    cold_ratio=0.0,
    spread_ratio=0.0,
    stall_s=0.0,
    stall_rate_per_s=0.0,
    residuals=(),
)


def main() -> None:
    """Simulate a request alone and in a fleet, and pack two that differ in their rows."""
    die_with_parent()
    rng, sent_s, n_rows, service_s = np.random.default_rng(0), np.zeros(1), np.ones(1, dtype=np.int64), np.zeros(2)
    serving = ServingConfig(max_batch_size=1)
    noise = scale(draw(rng), FREE, service_spread_ratio=0.0)
    simulate(sent_s, n_rows, service_s=service_s, overhead=FREE, serving=serving, noise=noise)
    full_batches(np.array([1, 2]), 2)
    fleet = Fleet(n_replicas=1, balancing="random", serving=serving, service_s=service_s, overhead=FREE)
    fleet_noise = scale_fleet(draw_fleet(rng, n_processes=1), FREE, service_spread_ratio=0.0)
    simulate_fleet(offer(sent_s, n_rows), fleet, fleet_noise)


if __name__ == "__main__":
    main()
