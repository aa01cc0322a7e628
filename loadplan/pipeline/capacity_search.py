"""Searches the usable capacity of something that answers: probe by probe, each a load run of its own.

What to probe next and what the probes prove is `load.search`; here they are driven, and the target gets time to work
off what an overload left in its queue.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from loadplan.load.records import LoadRun
from loadplan.load.search import (
    FoundCapacity,
    Probe,
    ProbeOrder,
    SearchLimits,
    conclude,
    invalid_probe,
    judge_probe,
    next_probe,
)
from loadplan.load.verdict import times_of_all_s
from loadplan.pipeline.adhoc import LoadRequest
from loadplan.slo import Slo

_REST_AT_MOST_S = 10.0


def search_capacity(
    drive: Callable[[LoadRequest], LoadRun],
    request: LoadRequest,
    limits: SearchLimits,
    slo: Slo,
    *,
    on_probe: Callable[[Probe], None],
) -> FoundCapacity:
    """Drive probes until the capacity is known as well as it can be; each is told as soon as it is there.

    `request` says all of a probe but its rate, its duration and its seed, of which each has its own.

    Raises:
        LoadplanError: whatever keeps a probe from being driven.
    """
    probes: list[Probe] = []
    while (order := next_probe(limits, probes)) is not None:
        asked = replace(request, rate_rps=order.rate_rps, duration_s=order.duration_s, seed=request.seed + len(probes))
        probes.append(_judged(order, drive(asked), slo))
        on_probe(probes[-1])
        time.sleep(_rest_s(probes[-1]))
    return conclude(limits, probes)


def _judged(order: ProbeOrder, run: LoadRun, slo: Slo) -> Probe:
    if not run.verdict.valid:
        return invalid_probe(order, n_requests=run.requests.n_requests, reasons=run.verdict.invalid_reasons)
    return judge_probe(order, times_of_all_s(run.requests), slo)


def _rest_s(probe: Probe) -> float:
    """How long the backlog takes that an overload left, if the server goes on at the same speed."""
    if probe.outcome != "missed" or probe.throughput_rps <= 0.0:
        return 0.0
    return min(max(probe.rate_rps / probe.throughput_rps - 1.0, 0.0) * probe.duration_s, _REST_AT_MOST_S)
