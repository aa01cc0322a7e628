"""What the callers of live runs should have waited, by the very requests that fell due in them.

A few seconds of Poisson arrivals stray by some percent from their rate, and of slow bursts a run meets none or several:
either moves a p99 by more than a good law is off. When each request was due, and how many rows it had, was settled
before the first was sent, so a prediction may know it. What it leaves open is the law, and the server's own luck: the
best law meets the same requests again and again, each time with other luck, and every plausible law once, as the live
server did.

The decision a reader would question: requests count as arriving when they were due, not when they were sent. How late
the generator was is known only afterwards, and a run in which it mattered is invalid. Seconds; requests per second.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError, InvalidMeasurement
from loadplan.execution import Setting
from loadplan.fit.doubts import require_stable
from loadplan.fit.latency import latency_of, widened_latency
from loadplan.fit.records import CapacityFit, PredictedLatency
from loadplan.fit.worlds import N_REQUESTS, Times, Waits, World, as_long_as, done_s_in, saturated_rps, worlds_of
from loadplan.load.records import LoadRun
from loadplan.scenario.arrivals import Callers
from loadplan.scenario.class_mix import ClassIndex
from loadplan.scenario.outside import AT_THE_SERVER

Mask = NDArray[np.bool_]

_TIMES_AT_MOST = 200  # that the best law meets a run; of a few requests that is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The requests of one run, all (n,)."""

    due_s: Times  # ascending
    n_rows: NDArray[np.int64] | None  # None: nobody told
    class_index: ClassIndex
    class_names: tuple[str, ...]  # none where the law doesn't tell the run's classes apart
    counts: Mask  # those whose waits are told
    timeout_s: float  # nobody was seen to wait for longer
    period_s: float  # from the first moment of a run to that of its repeat, when all is answered or given up


def all_requests(run: LoadRun) -> Mask:
    """(n,) every request of a run."""
    return np.ones(run.requests.n_requests, dtype=np.bool_)


def predict_runs(
    fit: CapacityFit, runs: Sequence[LoadRun], *, counted: Callable[[LoadRun], Mask] = all_requests
) -> tuple[PredictedLatency, ...]:
    """What callers should have waited in each of these runs of one setting, on the machine that was fitted.

    A live run meets nothing of what delays requests beside the server, so nothing of it is in the prediction. The rate
    is that of the due requests, which may be above the saturated one where a short run was asked for nearly as much.

    Args:
        fit: the laws.
        runs: with arrivals of their own, all with the same setting.
        counted: of which requests of a run the figures are, (n,).

    Raises:
        InvalidMeasurement: when a run says not how its server ran, or no request of it counts; when a law that explains
            the calibration as well answers none of them.
        InputError: when a run is one of callers who wait for their answers, was asked for more than a server carries,
            or its setting was not benchmarked.
    """
    setting = _setting_of(runs)
    n_rows_most = max([setting.serving.max_batch_size, *map(_most_rows, runs)])
    worlds = worlds_of(replace(fit, vantage=AT_THE_SERVER), setting.execution, n_rows_most)
    for run in runs:
        require_stable(run.spec.offered_rate_rps, saturated_rps=saturated_rps(worlds[0], setting))
    return tuple(widened_latency(_of_run(worlds, setting, run, counted(run)), fit.ledger) for run in runs)


def _most_rows(run: LoadRun) -> int:
    return 0 if run.n_rows is None else int(run.n_rows.max(initial=0))


def _of_run(worlds: Sequence[World], setting: Setting, run: LoadRun, counts: Mask) -> PredictedLatency:
    asked, n = _asked(run, counts, worlds[0].class_names), run.requests.n_requests
    n_times = min(math.ceil(N_REQUESTS / n), _TIMES_AT_MOST)
    best, *others = worlds
    met = [_waits_s(best, setting, asked, n_times), *(_waits_s(world, setting, asked, 1) for world in others)]
    return latency_of(worlds, met, setting, n / run.spec.duration_s)


def _waits_s(world: World, setting: Setting, asked: _Asked, n_times: int) -> Waits:
    """What the same requests wait in so many runs, one after the other; NaN: refused."""
    due_s: Times = (asked.period_s * np.arange(n_times)[:, None] + asked.due_s).ravel()
    n_rows = as_long_as(due_s, world.n_rows if asked.n_rows is None else asked.n_rows)
    waited_s = np.minimum(done_s_in(world, setting, due_s, n_rows) - due_s, asked.timeout_s)
    counts = as_long_as(due_s, asked.counts)
    return Waits(
        times_s=waited_s[counts],
        class_index=as_long_as(due_s, asked.class_index)[counts],
        class_names=asked.class_names,
    )


def _asked(run: LoadRun, counts: Mask, known: tuple[str, ...]) -> _Asked:
    if not counts.any():
        raise _useless(run, "has no request that counts", "let it run for longer, on a quieter machine")
    class_index, class_names = _classes(run, known)
    return _Asked(
        due_s=run.requests.due_s,
        n_rows=run.n_rows,
        class_index=class_index,
        class_names=class_names,
        counts=counts,
        timeout_s=run.spec.timeout_s,
        period_s=run.spec.duration_s + run.spec.timeout_s,
    )


def _classes(run: LoadRun, known: tuple[str, ...]) -> tuple[ClassIndex, tuple[str, ...]]:
    """The class of each request by the names that the law knows, and those; no names where it knows not all."""
    index, classes = run.class_index, run.classes
    if index is None or classes is None or not set(classes.names) <= set(known):
        return np.zeros(run.requests.n_requests, dtype=np.int16), ()
    place = np.array([known.index(name) for name in classes.names], dtype=np.int16)
    return place[index], known


def _setting_of(runs: Sequence[LoadRun]) -> Setting:
    settings = []
    for run in runs:
        if run.spec.setting is None:
            raise _useless(run, "does not say how its server ran", "let loadplan start the server")
        if isinstance(run.spec.arrivals, Callers):
            raise InputError(
                what=f"in the load run {run.spec.name} callers wait for their answers, so when they ask depends on the "
                "server whose answers are to be predicted",
                where=f"load run {run.spec.name}",
                fix="drive the server at a rate",
            )
        settings.append(run.spec.setting)
    if len(set(settings)) != 1:
        raise ValueError("runs of one setting, one at the least, are predicted together")
    return settings[0]


def _useless(run: LoadRun, what: str, fix: str) -> InvalidMeasurement:
    return InvalidMeasurement(what=f"the load run {what}", where=f"load run {run.spec.name}", fix=fix)
