"""How long callers wait for one server process at a rate, and how sure that is: by simulation.

The best law is simulated for long; every plausible law, one drawn from the uncertainty of the fit and of the bench, for
a few seconds with arrivals and noise of its own, and strays as far as repeats of one live run do on a shared machine.
The 5th to 95th percentile of what they say is the interval. Seconds; requests per second.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement
from loadplan.execution import Setting
from loadplan.fit.doubts import require_stable
from loadplan.fit.ledger import LedgerFindings, widened
from loadplan.fit.records import CapacityFit, ClassLatency, PredictedLatency
from loadplan.fit.replay import QUANTILES, SCATTER
from loadplan.fit.worlds import Waits, World, of_class, saturated_rps, waits_s, worlds_of
from loadplan.stats import Interval, percentile

Times = NDArray[np.float64]
Predicted = TypeVar("Predicted", PredictedLatency, ClassLatency)

_QUANTILES = (0.5, 0.95, 0.99)
_CONFIDENCE_RATIO = 0.9


def predict(fit: CapacityFit, setting: Setting, *, rate_rps: float, length: int | None = None) -> PredictedLatency:
    """How long callers wait at a rate, on the machine that was fitted; with a `length`, if all rows had that one.

    Raises:
        InvalidMeasurement: when a law that explains the runs as well answers nothing at this rate.
        InputError: when the setting's execution was not benchmarked, or its batches are far larger than any that were;
            when there is no traffic, or more than a server carries; when no length was timed, or none nearly as long.
    """
    worlds = worlds_of(fit, setting.execution, setting.serving.max_batch_size, length=length)
    require_stable(rate_rps, saturated_rps=saturated_rps(worlds[0], setting))
    return widened_latency(latency_at(worlds, setting, rate_rps), fit.ledger)


def latency_at(worlds: Sequence[World], setting: Setting, rate_rps: float) -> PredictedLatency:
    """Of these worlds at a rate. Raises InvalidMeasurement where one of them answers nothing."""
    return latency_of(worlds, [waits_s(world, setting, rate_rps) for world in worlds], setting, rate_rps)


def latency_of(worlds: Sequence[World], met: Sequence[Waits], setting: Setting, rate_rps: float) -> PredictedLatency:
    """What a run of each world, at about this rate, says together. Raises as `latency_at`."""
    of_all = _spread(worlds, [waits.times_s for waits in met])
    if of_all is None:
        raise InvalidMeasurement(
            what=f"the measurements leave open whether a server answers any of {rate_rps:,.0f} requests/s within "
            f"batches of {setting.serving.max_batch_size}",
            where="fit",
            fix="run the same command again when the machine is quieter, or allow more time with load.duration_s",
        )
    of_classes = {name: _spread(worlds, [of_class(waits, name) for waits in met]) for name in met[0].class_names}
    return PredictedLatency(
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / saturated_rps(worlds[0], setting),
        **of_all,
        classes=tuple(ClassLatency(name=name, **own) for name, own in of_classes.items() if own is not None),
    )


class Spread(TypedDict):
    """The figures that all requests and each class have."""

    p50_s: float
    p95_s: float
    p99_s: float
    p50_interval: Interval
    p95_interval: Interval
    p99_interval: Interval


def _spread(worlds: Sequence[World], times_s: Sequence[Times]) -> Spread | None:
    """Those of a live run in the best world, and how far the others' stray; None where one of them answers nobody."""
    answered_s = [times[~np.isnan(times)] for times in times_s]
    if not all(times.size for times in answered_s):
        return None
    best, *others = (_quantiles_s(world, times) for world, times in zip(worlds, answered_s, strict=True))
    return {
        "p50_s": best[0],
        "p95_s": best[1],
        "p99_s": best[2],
        "p50_interval": interval_of(best[0], [other[0] for other in others]),
        "p95_interval": interval_of(best[1], [other[1] for other in others]),
        "p99_interval": interval_of(best[2], [other[2] for other in others]),
    }


def _quantiles_s(world: World, answered_s: Times) -> list[float]:
    """Those of a live run in this world; only answered requests count."""
    strays = [math.exp(SCATTER[QUANTILES.index(q)] * world.stray) for q in _QUANTILES]
    return [percentile(answered_s, q) * stray for q, stray in zip(_QUANTILES, strays, strict=True)]


def interval_of(best: float, others: Sequence[float]) -> Interval:
    """Where nine in ten of the worlds lie, and the figure itself at the least."""
    tail = (1.0 - _CONFIDENCE_RATIO) / 2.0
    low, high = np.quantile([best, *others], [tail, 1.0 - tail])
    return Interval(low=min(best, float(low)), high=max(best, float(high)), confidence_ratio=_CONFIDENCE_RATIO)


def widened_latency(predicted: PredictedLatency, ledger: LedgerFindings | None) -> PredictedLatency:
    """With wider intervals, of each class too: the ledger knows no classes, but they come of the same laws."""
    if ledger is None:
        return predicted
    p50, p95, p99 = (ledger.widening_of(quantile) for quantile in _QUANTILES)

    def wider(one: Predicted) -> Predicted:
        return replace(
            one,
            p50_interval=widened(one.p50_s, one.p50_interval, p50),
            p95_interval=widened(one.p95_s, one.p95_interval, p95),
            p99_interval=widened(one.p99_s, one.p99_interval, p99),
        )

    return replace(wider(predicted), classes=tuple(wider(one) for one in predicted.classes))
