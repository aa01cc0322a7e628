"""How fast the simulators are: `python -m tests.performance.simulator`. Prints, asserts nothing.

Millions of requests a second on one core, by the processor time of this thread, arrivals and their quantiles included:
the full structure of one server, four replicas behind each balancer, and the cost of ten times as many requests, which
is to be ten times as much. Beside them SimPy and Ciw, where they are installed (`pip install simpy ciw`), on the same
queue without batches, costs or noise: Poisson arrivals, one server, equal service times.
"""

import importlib
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import Balancing, ServingConfig
from loadplan.fit.fleet_records import Fleet
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import draw, scale, simulate
from loadplan.fit.simulate_fleet import draw_fleet, offer, scale_fleet, simulate_fleet

_N = 2_000_000
_N_OTHERS = 50_000
_N_ROUNDS = 5
_LOAD = 0.7
_OVERHEAD = OverheadFit(
    request_s=30e-6,
    response_s=20e-6,
    batch_s=40e-6,
    wake_s=50e-6,
    transfer_s=70e-6,
    cold_ratio=0.5,
    spread_ratio=0.4,
    stall_s=1e-3,
    stall_rate_per_s=6.0,
    residuals=(),
)
_NOTHING = OverheadFit(
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
_SERVICE_S = 100e-6 + 5e-6 * np.arange(64, dtype=np.float64)
_PLAIN_S = 1e-3
_QUANTILES = (0.5, 0.95, 0.99)

Times = NDArray[np.float64]
Run = Callable[[int], object]


def main() -> None:
    """The fastest of several rounds each, for a neighbour can only slow them."""
    _say(f"million requests a second on one core (processor time, best of {_N_ROUNDS} rounds)")
    for max_batch_size in (1, 8, 32):
        _say(f"  one server, batches of up to {max_batch_size}: {_rate(_single(max_batch_size), _N):.1f}")
    for balancing in get_args(Balancing):
        speeds = ", ".join(f"{_rate(_replicas(balancing, size), _N):.1f}" for size in (1, 8))
        _say(f"  four replicas, {balancing}, batches of up to 1 and 8: {speeds}")
    once, ten = (_seconds(_single(8), n) for n in (_N // 4, 10 * _N // 4))
    _say(f"  ten times as many requests take {ten / once:.1f} times as long")
    _say(f"the same plain queue, {_N_OTHERS:,} requests")
    _say(f"  loadplan: {_rate(_plain, _N):.1f}")
    _say(f"  SimPy: {_rate(_in_simpy, _N_OTHERS):.3f}" if find_spec("simpy") else "  SimPy: pip install simpy")
    _say(f"  Ciw: {_rate(_in_ciw, _N_OTHERS):.3f}" if find_spec("ciw") else "  Ciw: pip install ciw")


def _single(max_batch_size: int) -> Run:
    serving = ServingConfig(max_batch_size=max_batch_size, max_queue_rows=10**6)
    noise = scale(draw(np.random.default_rng(1)), _OVERHEAD, service_spread_ratio=0.2)

    def run(n: int) -> Times:
        sent_s = _poisson(_LOAD * _saturated_rps(max_batch_size), n)
        done_s = simulate(
            sent_s,
            np.ones(n, dtype=np.int64),
            service_s=_SERVICE_S,
            overhead=_OVERHEAD,
            serving=serving,
            noise=noise,
        )
        return _quantiles_s(done_s - sent_s)

    return run


def _replicas(balancing: Balancing, max_batch_size: int) -> Run:
    noise = scale_fleet(draw_fleet(np.random.default_rng(1), n_processes=4), _OVERHEAD, service_spread_ratio=0.2)
    fleet = Fleet(
        n_replicas=4,
        balancing=balancing,
        serving=ServingConfig(max_batch_size=max_batch_size, max_queue_rows=10**6),
        service_s=_SERVICE_S,
        overhead=_OVERHEAD,
    )

    def run(n: int) -> Times:
        sent_s = _poisson(4.0 * _LOAD * _saturated_rps(max_batch_size), n)
        return _quantiles_s(simulate_fleet(offer(sent_s, np.ones(n, dtype=np.int64)), fleet, noise).done_s - sent_s)

    return run


def _plain(n: int) -> Times:
    sent_s = _poisson(_LOAD / _PLAIN_S, n)
    done_s = simulate(
        sent_s,
        np.ones(n, dtype=np.int64),
        service_s=np.array([0.0, _PLAIN_S]),
        overhead=_NOTHING,
        serving=ServingConfig(max_queue_rows=10**6),
        noise=scale(draw(np.random.default_rng(1)), _NOTHING, service_spread_ratio=0.0),
    )
    return _quantiles_s(done_s - sent_s)


def _in_simpy(n: int) -> list[float]:
    simpy: Any = importlib.import_module("simpy")
    environment = simpy.Environment()
    server = simpy.Resource(environment, capacity=1)
    times_s: list[float] = []

    def request() -> Any:
        sent_s = environment.now
        with server.request() as turn:
            yield turn
            yield environment.timeout(_PLAIN_S)
        times_s.append(environment.now - sent_s)

    def source() -> Any:
        for gap_s in np.random.default_rng(2).exponential(_PLAIN_S / _LOAD, n):
            yield environment.timeout(gap_s)
            environment.process(request())

    environment.process(source())
    environment.run()
    return times_s


def _in_ciw(n: int) -> object:
    ciw: Any = importlib.import_module("ciw")
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=_LOAD / _PLAIN_S)],
        service_distributions=[ciw.dists.Deterministic(value=_PLAIN_S)],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(n)
    return simulation.get_all_records()


def _saturated_rps(max_batch_size: int) -> float:
    per_request_s = _OVERHEAD.request_s + _OVERHEAD.response_s
    turn_s = float(_SERVICE_S[max_batch_size]) + _OVERHEAD.batch_s + max_batch_size * per_request_s
    return max_batch_size / turn_s


def _poisson(rate_rps: float, n: int) -> Times:
    return np.cumsum(np.random.default_rng(2).standard_exponential(n)) / rate_rps


def _quantiles_s(times_s: Times) -> Times:
    """All of them by one partition: sorting, or one partition each, would cost as much as the simulation."""
    ranks = [int(np.ceil(q * times_s.size)) - 1 for q in _QUANTILES]
    times_s.partition(ranks)
    return times_s[ranks]


def _rate(run: Run, n: int) -> float:
    return n / _seconds(run, n) / 1e6


def _seconds(run: Run, n: int) -> float:
    run(1000)  # compiled code is loaded, or made
    spent_s = []
    for _ in range(_N_ROUNDS):
        started_s = time.thread_time()
        run(n)
        spent_s.append(time.thread_time() - started_s)
    return min(spent_s)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
