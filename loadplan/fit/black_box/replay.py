"""Live runs of a service, ready to be simulated and compared with what was measured.

A run is simulated by the very requests that fell due in it, some times with other luck. Quantiles of all of them
together are compared, in logarithms, each over what repeats of a run stray by. Where requests differ in their rows,
those with the fewest and with the most are compared beside all. Seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.fit.black_box.simulate import Luck, Rows, Served, Times, draw_luck, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw
from loadplan.fit.records import Residual
from loadplan.fit.useful_runs import right_and_clean
from loadplan.load.records import LoadRun

Mask = NDArray[np.bool_]

# The first is the first of a burst of forty to be answered, by which sharing is told from first come, first served.
QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
# Standard deviation of ln(quantile) between repeats of one run.
SCATTER = np.array([0.05, 0.03, 0.02, 0.02, 0.02, 0.03, 0.05, 0.10])
_OF_THIRDS = (0.5, 0.9)
_OF_THIRDS_SCATTER = np.array([0.04, 0.06])
_IN_THIRD_LEAST = 30
_N_REPLICATES = 4
_SEED = 1  # of the luck; the fit must not depend on the scenario's seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One live run."""

    run: LoadRun
    due_s: Times  # (n,) of every request
    n_rows: Rows  # (n,) 1 where nobody told
    waited_s: Times  # (n,) due to answered; NaN: no right answer
    parts: tuple[Mask, ...]  # of the requests whose waits are compared: all, then those with few and with many rows
    lucks: tuple[Luck, ...]  # with each of which it is simulated


def replay_of(run: LoadRun) -> Replay:
    """The run with luck of its own, the same for the same run."""
    log = run.requests
    counts = right_and_clean(run)
    n_rows = np.ones(log.n_requests, dtype=np.int64) if run.n_rows is None else run.n_rows
    rng = np.random.default_rng((_SEED, run.spec.seed, log.n_requests))
    return Replay(
        run=run,
        due_s=log.due_s,
        n_rows=n_rows,
        waited_s=np.where(counts, log.done_s - log.due_s, np.nan),
        parts=(counts, *_thirds(n_rows, counts)),
        lucks=tuple(draw_luck(log.n_requests, rng) for _ in range(_N_REPLICATES)),
    )


def served(replay: Replay, law: ServiceLaw) -> list[Served]:
    """What becomes of its requests, once with each luck."""
    return [simulate_service(law, replay.due_s, replay.n_rows, luck) for luck in replay.lucks]


def misfit(replay: Replay, law: ServiceLaw) -> Times:
    """How far the simulated waits are from the measured ones, in standard deviations of a repeat."""
    # A request that waits for longer than anybody was seen to is one that timed out.
    times_s = [np.minimum(one.done_s - replay.due_s, replay.run.spec.timeout_s) for one in served(replay, law)]
    every, *thirds = replay.parts
    parts = [_log_ratios(replay, times_s, every, QUANTILES) / SCATTER]
    parts += [_log_ratios(replay, times_s, part, _OF_THIRDS) / _OF_THIRDS_SCATTER for part in thirds]
    return np.concatenate(parts)


def residuals(replay: Replay, law: ServiceLaw) -> list[Residual]:
    """The run as it was measured and as the law gives it."""
    every = replay.parts[0]
    times_s = np.concatenate([(one.done_s - replay.due_s)[every] for one in served(replay, law)])
    measured_s, predicted_s = np.quantile(replay.waited_s[every], QUANTILES), np.quantile(times_s, QUANTILES)
    spec = replay.run.spec
    return [
        Residual(
            run=spec.name,
            offered_rate_rps=spec.offered_rate_rps,
            quantile=q,
            measured=float(measured),
            predicted=float(predicted),
        )
        for q, measured, predicted in zip(QUANTILES, measured_s, predicted_s, strict=True)
    ]


def _log_ratios(replay: Replay, times_s: Sequence[Times], part: Mask, quantiles: Sequence[float]) -> Times:
    simulated_s = np.concatenate([times[part] for times in times_s])
    ratios: Times = np.log(np.quantile(simulated_s, quantiles) / np.quantile(replay.waited_s[part], quantiles))
    return ratios


def _thirds(n_rows: Rows, counts: Mask) -> tuple[Mask, ...]:
    """Those with at most the lower third of rows and those with at least the upper; none where hardly any differ."""
    if not counts.any():
        return ()
    low, high = np.quantile(n_rows[counts], (1.0 / 3.0, 2.0 / 3.0))
    if low == high:
        return ()
    few, many = counts & (n_rows <= low), counts & (n_rows >= high)
    return (few, many) if min(few.sum(), many.sum()) >= _IN_THIRD_LEAST else ()
