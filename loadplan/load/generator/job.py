"""Makes a load run ready: draws its schedule from the seed, finds the target, and encodes what will be sent.

Nothing random is left for later, so the same spec sends the same payloads at the same times, from whatever process.
"""

import math
import os
import resource

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import EnvironmentFault, InputError
from loadplan.load.generator.handoff import GeneratorJob
from loadplan.load.generator.loop_order import LoopOrder
from loadplan.load.messages.requests import PreparedRequests, wire_head, wire_messages
from loadplan.load.records import AskAgain, LoadSpec
from loadplan.load.target.address import find_target
from loadplan.scenario.arrivals import (
    Callers,
    GammaArrivals,
    MarkovArrivals,
    ReplayArrivals,
    TraceArrivals,
    described,
)
from loadplan.scenario.class_mix import draw_classes
from loadplan.scenario.traffic import schedule

# Enough connections for the answers that are usually under way, and for the clusters of bursty arrivals. Beside them
# stands a reserve for the backlog of a short stall, as callers who have been there for a while have theirs: opening one
# costs the server as much as some requests, so that a stall of 25 ms grew until the server stood still for 200 ms, and
# shed for seconds, at three quarters of what it could carry. Beyond the reserve they are opened as the backlog asks.
_WARM_CONNECTIONS_S = 0.02
_WARM_CONNECTIONS_MOST = 64
_TOGETHER_S = 2e-3  # what a recording has within this time is under way at once
# Each of these carries many requests at once; several, so that all processes behind one port get their share.
_WARM_SHARED_CONNECTIONS = 8
_WARM_CONNECTIONS_PER_CLUSTER = 4.0
_WARM_CONNECTIONS_OF_CLUSTERS_MOST = 512
_ASKED_BY_CALLERS = 1 << 14  # how many of their requests are drawn; after those they ask the same again
_RESERVE_S = 0.1  # the stall whose backlog finds its connections open
_RESERVE_CONNECTIONS_MOST = 1024
# The backlog of a stall this long must fit into the files this process may open, beside those it has; where a longer
# one does not, the run says so and is invalid.
_STALL_S = 0.25
_OTHER_FILES = 64


def prepare_job(
    spec: LoadSpec,
    *,
    url: str,
    requests: PreparedRequests,
    core: int | None = None,
    allow_remote: tuple[str, ...] = (),
) -> GeneratorJob:
    """All that a generator must know to drive `url` (http://host:port) as the spec says, staying on `core`.

    Raises:
        InputError: when the target is not loopback and not in `allow_remote`, or the URL, the rate
            or the core can't be used.
        EnvironmentFault: when nobody listens there, or this machine can't open enough connections.
    """
    arrival_rng, payload_rng, class_rng = np.random.default_rng(spec.seed).spawn(3)
    due_s = _due_s(spec, arrival_rng)
    target = find_target(url, allow_remote=allow_remote)
    _check_core(core)
    _check_files(spec, n_requests=due_s.size)
    n_drawn = max(due_s.size, _ASKED_BY_CALLERS) if isinstance(spec.arrivals, Callers) else due_s.size
    is_alone, n_warm = requests.wire == "http/1.1", _n_warm_connections(spec, due_s)  # one request a connection
    return GeneratorJob(
        order=LoopOrder(
            family=target.family,
            address=target.address,
            due_s=due_s,
            payload=_payloads(requests, n_drawn, rng=payload_rng, class_rng=class_rng),
            messages=wire_messages(requests, host=target.host),
            timeout_s=spec.timeout_s,
            n_warm_connections=n_warm if is_alone else _WARM_SHARED_CONNECTIONS,
            n_reserve_connections=_n_reserve_connections(spec, n_warm) if is_alone else 0,
            wire=requests.wire,
            head=wire_head(requests, host=target.host),
            again=_again(spec),
        ),
        expected=requests.expected,
        core=core,
    )


def _due_s(spec: LoadSpec, rng: np.random.Generator) -> NDArray[np.float64]:
    """The whole schedule; of callers their first requests, spread over the time that they think."""
    if not isinstance(spec.arrivals, Callers):
        return schedule(spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=rng)
    callers = spec.arrivals
    if callers.n_callers < 1 or not 0.0 <= callers.think_time_s < spec.duration_s:
        raise InputError(
            what=f"{callers.n_callers} callers who think for {callers.think_time_s:g} s ask nothing in "
            f"{spec.duration_s:g} s",
            where="the callers",
            fix="give at least one caller, and a think time shorter than the run",
        )
    return np.arange(callers.n_callers) / callers.n_callers * callers.think_time_s


def _again(spec: LoadSpec) -> AskAgain | None:
    if not isinstance(spec.arrivals, Callers):
        return None
    return AskAgain(think_time_s=spec.arrivals.think_time_s, until_s=spec.duration_s)


def _payloads(
    requests: PreparedRequests, n: int, *, rng: np.random.Generator, class_rng: np.random.Generator
) -> NDArray[np.int32]:
    """Which payload each of n requests carries: one of its class, which is drawn by the shares."""
    classes = requests.classes
    if classes is None:
        return _shuffled_rounds(n, n_payloads=len(requests.bodies), rng=rng)
    drawn = draw_classes(classes.shares, n, class_rng)
    payload = np.empty(n, dtype=np.int32)
    for i in range(len(classes.names)):
        own, is_due = np.flatnonzero(classes.of_payload == i), drawn == i
        payload[is_due] = own[_shuffled_rounds(int(np.count_nonzero(is_due)), n_payloads=own.size, rng=rng)]
    return payload


def _shuffled_rounds(n_requests: int, *, n_payloads: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Which payload each request carries: every payload once per round, each round in an order of its own."""
    n_rounds = math.ceil(n_requests / n_payloads)
    rounds = [rng.permutation(n_payloads) for _ in range(n_rounds)]
    return np.concatenate([*rounds, np.empty(0)]).astype(np.int32)[:n_requests]


def _n_warm_connections(spec: LoadSpec, due_s: NDArray[np.float64]) -> int:
    if isinstance(spec.arrivals, Callers):
        return min(spec.arrivals.n_callers, _WARM_CONNECTIONS_OF_CLUSTERS_MOST)
    busiest_rps = spec.offered_rate_rps * (spec.arrivals.busy_ratio if isinstance(spec.arrivals, MarkovArrivals) else 1)
    usual = min(_WARM_CONNECTIONS_MOST, max(2, math.ceil(busiest_rps * _WARM_CONNECTIONS_S)))
    if isinstance(spec.arrivals, TraceArrivals | ReplayArrivals):
        n_together = np.searchsorted(due_s, due_s + _TOGETHER_S) - np.arange(due_s.size)
        return max(usual, min(int(n_together.max(initial=0)), _WARM_CONNECTIONS_OF_CLUSTERS_MOST))
    if not isinstance(spec.arrivals, GammaArrivals) or spec.arrivals.cv <= 1.0:
        return usual
    # Gamma gaps of coefficient of variation cv come in clusters of cv² on average.
    of_clusters = math.ceil(_WARM_CONNECTIONS_PER_CLUSTER * spec.arrivals.cv**2)
    return max(usual, min(of_clusters, _WARM_CONNECTIONS_OF_CLUSTERS_MOST))


def _n_reserve_connections(spec: LoadSpec, n_warm: int) -> int:
    """What a stall would ask for beyond those that are asked in turn; of callers each has one of these already."""
    if isinstance(spec.arrivals, Callers):
        return 0
    of_stall = min(math.ceil(spec.offered_rate_rps * _RESERVE_S), _RESERVE_CONNECTIONS_MOST)
    return max(0, of_stall - n_warm)


def _check_core(core: int | None) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if core is not None and core not in allowed:
        raise InputError(
            what=f"core {core} is not one that this process may use",
            where="the load generator",
            fix=f"name one of {', '.join(map(str, allowed))}",
        )


def _check_files(spec: LoadSpec, *, n_requests: int) -> None:
    is_open = not isinstance(spec.arrivals, Callers)
    backlog = math.ceil(spec.offered_rate_rps * min(spec.timeout_s, _STALL_S)) if is_open else n_requests
    n_needed = min(n_requests, backlog) + _OTHER_FILES
    n_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if n_allowed != resource.RLIM_INFINITY and n_needed > n_allowed:
        raise EnvironmentFault(
            what=f"{n_needed} connections may be needed of {described(spec.arrivals)}, "
            f"and this process may open {n_allowed} files",
            where="this machine's limit on open files",
            fix=f"raise it with: ulimit -n {n_needed}",
        )
