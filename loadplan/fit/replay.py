"""Live runs of the embedded server, ready to be simulated and compared with what was measured.

Each run is replayed with the send times it really had, and judged by the same requests: those answered right and due
in clean windows. Times count from the actual send, for the generator's own lateness is no cost of the server. What is
compared are logarithms of the p10 to p99, so a tenth too long weighs the same at 50 µs and at 5 ms; where requests
differ in their rows, also how much longer the third with the most took than that with the fewest. A run in which the
server never rests is held to its pace alone, for how long callers wait there is a matter of how many they are. Seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement
from loadplan.execution import Setting
from loadplan.fit.carried import carried_gap_s, right_answers_s
from loadplan.fit.records import OverheadFit, Residual, ServiceTimeFit
from loadplan.fit.service_time import find_law, service_times_s
from loadplan.fit.simulate import Draws, Rows, paused_ratio, saturated_rps, scale, simulate
from loadplan.fit.useful_runs import reasons_against, right_and_clean
from loadplan.load.records import LoadRun
from loadplan.load.verdict import invalid_run

Times = NDArray[np.float64]
Mask = NDArray[np.bool_]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
# How far a quantile strays between repeats of the same run, in logarithms: 2 to 4 % at p50, 6 to 10 % at p95, 12 to
# 20 % at p99 on a shared virtual machine, and more where few slow requests decide.
SCATTER = np.array([0.04, 0.04, 0.04, 0.05, 0.07, 0.10, 0.20])
_THROUGHPUT_SCATTER = 0.03
_THIRDS_SCATTER = 0.05  # of the ratio of two medians, of a third of the requests each
_FOR_EVER_S = 1e3
_THIRDS = (1.0 / 3.0, 2.0 / 3.0)
_IN_THIRD_LEAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One live run, ready to be simulated."""

    run: LoadRun
    setting: Setting
    sent_s: Times  # ascending
    n_rows: Rows
    service_s: Times
    service_spread_ratio: float
    done_s: Times  # measured; NaN: no answer
    counts: Mask  # of the requests that were sent: those that are compared
    quantiles_s: Times  # measured
    gap_s: float | None  # measured time per request of a server that never rests; None: this run doesn't show it
    thirds: tuple[Mask, ...]  # of those that are compared: with the fewest and the most rows; none where all are alike


def replay_of(service_times: Sequence[ServiceTimeFit], run: LoadRun) -> Replay:
    """A run beside what its server executed.

    Raises:
        InvalidMeasurement: when it is invalid, says not how its server ran or what it was sent, or has too few answers.
        InputError: when its execution was not benchmarked.
    """
    error = invalid_run(run)
    if error is not None:
        raise error
    setting, all_rows = run.spec.setting, run.n_rows
    if setting is None:
        raise _useless(run, "does not say how its server ran", "let loadplan start the server it calibrates")
    if all_rows is None:
        raise _useless(run, "does not say how many rows its requests had", "let loadplan make the requests")
    log = run.requests
    is_sent = ~np.isnan(log.sent_s)
    counts = right_and_clean(run)[is_sent]
    sent_s, done_s = log.sent_s[is_sent], right_answers_s(log)[is_sent]
    reasons = reasons_against(run)
    if reasons:
        raise _useless(run, f"has {'; '.join(reasons)}", "let it run for longer, on a quieter machine")
    law = find_law(service_times, setting.execution)
    n_rows = all_rows[is_sent]
    return Replay(
        run=run,
        setting=setting,
        sent_s=sent_s,
        done_s=done_s,
        n_rows=n_rows,
        service_s=service_times_s(law, max(setting.serving.max_batch_size, int(n_rows.max()))),
        service_spread_ratio=float(np.median(law.spread_ratio)),
        counts=counts,
        quantiles_s=np.quantile((done_s - sent_s)[counts], QUANTILES),
        gap_s=carried_gap_s(run),
        thirds=_thirds(n_rows[counts]),
    )


def _thirds(n_rows: Rows) -> tuple[Mask, ...]:
    """Who is in the third with the fewest rows and who in that with the most; nothing where hardly any differ.

    Equal ones are together: where both borders are the same number, what lies beyond it is compared with the rest.
    """
    low, high = np.quantile(n_rows, _THIRDS)
    small, large = n_rows <= low, n_rows >= high
    if low == high:
        is_at_top = high == n_rows.max()
        small, large = (n_rows < high, large) if is_at_top else (small, n_rows > high)
    return (small, large) if min(small.sum(), large.sum()) >= _IN_THIRD_LEAST else ()


def misfit_of(replay: Replay, overhead: OverheadFit, draws: Draws) -> Times:
    """How far the law is from the run, each figure over what repeats of it stray by."""
    if replay.run.spec.purpose == "saturation":
        if replay.gap_s is None:
            return np.empty(0)
        return np.log([_carried_gap_s(replay, overhead) / replay.gap_s]) / _THROUGHPUT_SCATTER
    times_s = _predict(replay, overhead, draws)
    misfit: Times = np.log(_quantiles_s(times_s) / replay.quantiles_s) / SCATTER
    if not replay.thirds:
        return misfit
    measured_s = (replay.done_s - replay.sent_s)[replay.counts]
    of_rows = np.log(_larger_ratio(replay, times_s) / _larger_ratio(replay, measured_s))
    return np.append(misfit, of_rows / _THIRDS_SCATTER)


def _larger_ratio(replay: Replay, times_s: Times) -> float:
    """How many times as long requests with the most rows took as those with the fewest, each by their middle one."""
    small, large = (times_s[third][~np.isnan(times_s[third])] for third in replay.thirds)
    return float(np.median(large) / np.median(small)) if small.size and large.size else 1.0  # all of them refused


def _carried_gap_s(replay: Replay, overhead: OverheadFit) -> float:
    """Time per request of a server that never rests, between its pauses."""
    carried_rps = saturated_rps(replay.setting, overhead, service_s=replay.service_s, n_rows=replay.n_rows)
    return (1.0 - paused_ratio(overhead)) / carried_rps


def _predict(replay: Replay, overhead: OverheadFit, draws: Draws) -> Times:
    """Response times of the requests that are compared, NaN for one that is refused."""
    done_s = simulate(
        replay.sent_s,
        replay.n_rows,
        service_s=replay.service_s,
        overhead=overhead,
        serving=replay.setting.serving,
        noise=scale(draws, overhead, service_spread_ratio=replay.service_spread_ratio),
    )
    times_s: Times = (done_s - replay.sent_s)[replay.counts]
    return times_s


def _quantiles_s(times_s: Times) -> Times:
    answered_s = times_s[~np.isnan(times_s)]
    # A replay in which all of them are refused is of a server that is far too slow.
    return np.quantile(answered_s, QUANTILES) if answered_s.size else np.full(len(QUANTILES), _FOR_EVER_S)


def residuals_of(replay: Replay, overhead: OverheadFit, draws: Draws) -> list[Residual]:
    """What was measured in the run, each figure beside what the law says of it."""

    def residual(quantile: float | None, measured: float, predicted: float) -> Residual:
        return Residual(
            run=replay.run.spec.name,
            offered_rate_rps=replay.run.spec.offered_rate_rps,
            quantile=quantile,
            measured=float(measured),
            predicted=float(predicted),
        )

    if replay.run.spec.purpose == "saturation":
        if replay.gap_s is None:
            return []
        return [residual(None, 1.0 / replay.gap_s, 1.0 / _carried_gap_s(replay, overhead))]
    found_s = _quantiles_s(_predict(replay, overhead, draws))
    return [residual(*each) for each in zip(QUANTILES, replay.quantiles_s, found_s, strict=True)]


def _useless(run: LoadRun, what: str, fix: str) -> InvalidMeasurement:
    return InvalidMeasurement(what=f"the load run {what}", where=f"load run {run.spec.name}", fix=fix)
