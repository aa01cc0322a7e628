"""The stretch before a run in which the server is asked alike and nothing is counted.

One schedule covers both, so the server never notices where the one ends and the other begins.
"""

from dataclasses import fields, replace

from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.records import LoadSpec, RequestLog

_TIMES = ("due_s", "sent_s", "first_byte_s", "done_s")


def with_warm_up(spec: LoadSpec) -> LoadSpec:
    """The run that is driven: the one that is counted and the stretch before it."""
    return replace(spec, duration_s=spec.warm_up_s + spec.duration_s, warm_up_s=0.0)


def without_warm_up(result: LoopResult, spec: LoadSpec) -> LoopResult:
    """What is counted: requests that fell due after the warm-up, with times from its end on."""
    if spec.warm_up_s == 0.0:
        return result
    is_counted = result.requests.due_s >= spec.warm_up_s
    columns = {field.name: getattr(result.requests, field.name)[is_counted] for field in fields(RequestLog)}
    columns |= {name: columns[name] - spec.warm_up_s for name in _TIMES}
    lost = replace(result.lost, start_s=result.lost.start_s - spec.warm_up_s)
    if lost.worker is not None:
        # The first request that counts is nobody's first: whose it is becomes worker 0.
        lost = replace(lost, worker=(lost.worker - int((~is_counted).sum())) % lost.n_workers)
    return replace(result, requests=RequestLog(**columns), lost=lost)
