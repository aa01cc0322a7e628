"""Parts one schedule among workers and puts their records together again.

Worker i of n takes the requests i, i + n, i + 2n, …: together they send exactly the schedule that one seed drew, which
n schedules of their own would not (n constant streams are no constant stream). Every worker's times count from its own
start, so clocks of different machines are never compared.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from loadplan.load.generator.handoff import GeneratorJob
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.records import LostTime, RequestLog


def share_of(job: GeneratorJob, index: int, n_workers: int, *, core: int | None) -> GeneratorJob:
    """The part of a job that worker `index` of `n_workers` does, on `core`."""
    order = job.order
    own = replace(
        order,
        due_s=order.due_s[index::n_workers].copy(),
        payload=order.payload[index::n_workers].copy(),
        n_warm_connections=math.ceil(order.n_warm_connections / n_workers),
        n_reserve_connections=math.ceil(order.n_reserve_connections / n_workers),
    )
    return replace(job, order=own, core=core)


def merged(due_s: NDArray[np.float64], parts: Mapping[int, LoopResult], *, n_workers: int) -> LoopResult:
    """The records of all parts by worker, in order of due time; requests of workers without records are left out.

    Raises:
        ValueError: when a part is not the share of its worker, so that a due request is there twice or not at all.
    """
    indices = {i: np.arange(i, due_s.size, n_workers) for i in sorted(parts)}
    for i, own in indices.items():
        if not np.array_equal(parts[i].requests.due_s, due_s[own]):
            raise ValueError(f"the records of worker {i + 1} are not those of its share of the schedule")
    result = _in_order(parts, indices)
    if len(parts) < n_workers:
        return result
    whose = np.concatenate([np.full(parts[i].lost.start_s.size, i, dtype=np.int32) for i in indices])
    in_time = np.argsort(np.concatenate([parts[i].lost.start_s for i in indices]), kind="stable")
    return replace(result, lost=replace(result.lost, worker=whose[in_time], n_workers=n_workers))


def merged_early(due_s: NDArray[np.float64], parts: Mapping[int, LoopResult], *, n_workers: int) -> LoopResult:
    """The same of a run that was stopped: each worker's records are some of its share, in order.

    Raises:
        ValueError: when a worker has records that are not of its share.
    """
    indices = {}
    for i in sorted(parts):
        own, kept = due_s[i::n_workers], parts[i].requests.due_s
        first = np.searchsorted(own, kept)
        nth_alike = np.arange(kept.size) - np.searchsorted(kept, kept)
        place = np.minimum(first + nth_alike, max(own.size - 1, 0))
        if kept.size and not np.array_equal(own[place], kept):
            raise ValueError(f"the records of worker {i + 1} are not of its share of the schedule")
        indices[i] = i + n_workers * place
    return _in_order(parts, indices)


def _in_order(parts: Mapping[int, LoopResult], indices: Mapping[int, NDArray[np.intp]]) -> LoopResult:
    """All records, sorted by their index in the schedule."""
    order = np.argsort(np.concatenate([np.empty(0, dtype=np.intp), *indices.values()]))
    logs = [parts[i].requests for i in indices]
    lost = [parts[i].lost for i in indices]
    columns = {
        field.name: np.concatenate([getattr(log, field.name) for log in logs])[order] for field in fields(RequestLog)
    }
    starts_s = np.concatenate([one.start_s for one in lost])
    lengths_s = np.concatenate([one.length_s for one in lost])
    in_time = np.argsort(starts_s, kind="stable")
    faults = [f"worker {i + 1}: {parts[i].own_fault}" for i in indices if parts[i].own_fault]
    return replace(
        parts[min(parts)],
        requests=RequestLog(**columns),
        lost=LostTime(start_s=starts_s[in_time], length_s=lengths_s[in_time]),
        n_connections=sum(part.n_connections for part in parts.values()),
        n_answered=sum(part.n_answered for part in parts.values()),
        own_fault="; ".join(faults) or None,
        saturation_ratio=max(part.saturation_ratio for part in parts.values()),
    )
