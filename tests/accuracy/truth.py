"""What the live runs of one thing say together, and how far they are from each other: the machine's own noise.

Pure. A latency is the median over repeats of the run's own quantile, of the requests that were answered right and fell
due in undisturbed windows, from their actual send: the law that is judged is the server's, and the generator's own
lateness is no part of it. A run whose sends lag too far is void, for its arrivals were others than were asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadplan.fit.useful_runs import right_and_clean
from loadplan.load.records import LoadRun, Outcome
from loadplan.load.verdict import WINDOW_S, clean_windows, due_in_clean_window, times_of_all_s
from loadplan.slo import Slo
from loadplan.stats import percentile, supported_percentile

QUANTILES = (0.5, 0.95, 0.99)
# The p99 of the lateness of sends. A generator writes requests that come together one after the other, 10 µs apart, and
# the server takes 50 µs to read each: so little lateness changes no queue.
_LAG_OF_MEDIAN_RATIO = 0.05
_LAG_ALWAYS_ALLOWED_S = 100e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One valid run."""

    rate_rps: float  # realised: due requests per second
    clean_s: float  # undisturbed time
    latencies_s: tuple[float | None, ...]  # at QUANTILES; None: too few requests for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the repeats say together."""

    n_repeats: int
    n_void: int  # runs beside them that say nothing
    clean_s: float  # undisturbed time of all repeats
    rate_rps: float | None  # mean realised rate; None: no repeat
    latencies_s: tuple[float | None, ...]  # median over the repeats, at QUANTILES
    floors: tuple[float | None, ...]  # median distance of a repeat from that median; None: one repeat has no distance


def repeat_of(run: LoadRun) -> Repeat | None:
    """What a run says; None where it is void: invalid, or its sends lagged too far."""
    if not run.verdict.valid:
        return None
    log, is_clean = run.requests, clean_windows(run.lost, duration_s=run.spec.duration_s)
    counts = right_and_clean(run)
    if not counts.any():
        return None
    times_s = log.done_s[counts] - log.sent_s[counts]
    in_clean = due_in_clean_window(log.due_s, is_clean) & ~np.isnan(log.sent_s)
    lag_s = percentile(log.sent_s[in_clean] - log.due_s[in_clean], 0.99)
    if lag_s > max(_LAG_OF_MEDIAN_RATIO * percentile(times_s, 0.5), _LAG_ALWAYS_ALLOWED_S):
        return None
    return Repeat(
        rate_rps=log.n_requests / run.spec.duration_s,
        clean_s=float(np.count_nonzero(is_clean)) * WINDOW_S,
        latencies_s=tuple(supported_percentile(times_s, q) for q in QUANTILES),
    )


def truth_of(repeats: Sequence[Repeat | None]) -> Truth:
    """All runs of one configuration; None stands for one that is void."""
    valid = [one for one in repeats if one is not None]
    by_quantile = [[t for one in valid if (t := one.latencies_s[i]) is not None] for i in range(len(QUANTILES))]
    return Truth(
        n_repeats=len(valid),
        n_void=len(repeats) - len(valid),
        clean_s=sum(one.clean_s for one in valid),
        rate_rps=float(np.mean([one.rate_rps for one in valid])) if valid else None,
        latencies_s=tuple(float(np.median(times_s)) if times_s else None for times_s in by_quantile),
        floors=tuple(noise_floor(times_s) for times_s in by_quantile),
    )


def noise_floor(values: Sequence[float]) -> float | None:
    """Median of |value / median - 1|; None of fewer than two."""
    if len(values) < 2:
        return None
    middle = float(np.median(values))
    return float(np.median(np.abs(np.array(values) / middle - 1.0)))


def saturated_rps(run: LoadRun) -> float | None:
    """Throughput of a run of callers who never let the server rest; None where it is void.

    The upper quartile over undisturbed windows of the right answers per second: a window in which a neighbour had the
    server's core says nothing about the server. The first and the last are left out, for they are not full.
    """
    if not run.verdict.valid:
        return None
    is_clean = clean_windows(run.lost, duration_s=run.spec.duration_s)[1:-1]
    log = run.requests
    edges_s = WINDOW_S * np.arange(1, is_clean.size + 2)
    counts, _ = np.histogram(log.done_s[log.outcome == np.uint8(Outcome.OK)], bins=edges_s)
    return percentile(counts[is_clean] / WINDOW_S, 0.75) if is_clean.any() else None


def best_of(values: Sequence[float | None]) -> float | None:
    """The largest of the rounds: neighbours only ever take throughput away."""
    return max((value for value in values if value is not None), default=None)


def strain_of(run: LoadRun, objective: Slo) -> float | None:
    """Share of requests in undisturbed windows that miss a limit over the share that may; None where it is void.

    Of several limits the largest. From the due time, as verdicts count.
    """
    if not run.verdict.valid:
        return None
    is_clean = clean_windows(run.lost, duration_s=run.spec.duration_s)
    times_s = times_of_all_s(run.requests)[due_in_clean_window(run.requests.due_s, is_clean)]
    if not times_s.size:
        return None
    return max(float(np.mean(times_s > limit.limit_s)) / (1.0 - limit.quantile) for limit in objective.limits)


def bisected(low: float, high: float, strains: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    """The bracket that is left after these steps: at the middle of each, the median strain of the repeats decides.

    A step without a single valid repeat leaves it as it was, and the next one asks the same again.
    """
    for repeats in strains:
        valid = [strain for strain in repeats if strain is not None]
        if not valid:
            continue
        middle = (low + high) / 2.0
        low, high = (middle, high) if float(np.median(valid)) <= 1.0 else (low, middle)
    return low, high
