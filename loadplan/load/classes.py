"""The requests of one class of a run, as a run of its own: what is said of a run can be said of each class of it.

The average may be fine while one segment of users is badly served, so nothing here is weighed or pooled: each class
has its own due requests as denominator, and those of all classes are exactly the due requests of the run.
"""

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from loadplan.errors import InputError
from loadplan.load.records import LoadRun, Outcome, PayloadClasses, RequestLog


def run_of_class(run: LoadRun, name: str) -> LoadRun:
    """What happened to the requests of one class; whether the run is valid was decided on all of them.

    Raises:
        InputError: when the run has no such class.
    """
    if run.classes is None or run.class_index is None or name not in run.classes.names:
        known = ", ".join(run.classes.names) if run.classes else "none"
        raise InputError(
            what=f"the run has no class {name}; its classes: {known}",
            where=f"load run {run.spec.name}",
            fix="drive the scenario again, which names the class",
        )
    return _part(run, run.classes, run.classes.names.index(name))


def class_runs(run: LoadRun) -> Iterator[tuple[str, LoadRun]]:
    """Each class with the run of its requests, one at a time, in the scenario's order; nothing without classes."""
    if run.classes is not None:
        for i, name in enumerate(run.classes.names):
            yield name, _part(run, run.classes, i)


def _part(run: LoadRun, classes: PayloadClasses, i_class: int) -> LoadRun:
    is_own = classes.of_payload[run.requests.payload] == i_class
    log = RequestLog(**{field.name: getattr(run.requests, field.name)[is_own] for field in fields(RequestLog)})
    is_good = log.outcome == np.uint8(Outcome.OK)
    duration_s = run.spec.duration_s
    return replace(
        run,
        spec=replace(run.spec, offered_rate_rps=classes.shares[i_class] * run.spec.offered_rate_rps),
        requests=log,
        # Which worker sent a request is told by its place among all, which is lost here: so a window is clean when it
        # was for every worker.
        lost=replace(run.lost, worker=None, n_workers=1),
        verdict=replace(
            run.verdict,
            achieved_rate_rps=int(np.count_nonzero(log.sent_s <= duration_s)) / duration_s,
            throughput_rps=int(np.count_nonzero(log.done_s[is_good] <= duration_s)) / duration_s,
            n_failed=int(np.count_nonzero(~is_good)),
        ),
        classes=None,
    )
