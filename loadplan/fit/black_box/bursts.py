"""What a burst shows at a glance: how long the service takes to work it off. Seconds; requests per second."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from loadplan.load.records import LoadRun, Outcome
from loadplan.scenario.arrivals import RequestTimes, TraceArrivals

# Requests that fall due further apart than this share of the distance between two bursts are of different ones.
_APART_RATIO = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstFacts:
    """The bursts of one run together."""

    n_at_once: int
    makespan_s: float  # from a burst to its last right answer; median over the bursts


def burst_facts(run: LoadRun) -> BurstFacts | None:
    """What a run of equal bursts shows; None where hardly a burst was answered whole."""
    log = run.requests
    is_right = log.outcome == np.uint8(Outcome.OK)
    if not is_right.any():
        return None
    n_at_once = burst_size(run)
    gap_s = _APART_RATIO * n_at_once / run.spec.offered_rate_rps
    of_burst = np.split(np.arange(log.n_requests), np.flatnonzero(np.diff(log.due_s) > gap_s) + 1)
    makespans_s = [
        float(np.max(log.done_s[one] - log.due_s[one]))
        for one in of_burst
        if one.size == n_at_once and is_right[one].all()
    ]
    if not makespans_s:
        return None
    return BurstFacts(
        n_at_once=n_at_once,
        makespan_s=float(np.median(makespans_s)),
    )


def bursts_of(n_at_once: int) -> TraceArrivals:
    """Arrivals of so many requests at once, at equal distances: a rate of n over the distance between two bursts."""
    recording = RequestTimes(
        file=f"bursts of {n_at_once} requests", times_s=(0.0,) * n_at_once, length_s=float(n_at_once)
    )
    return TraceArrivals(recording=recording)


def looks_of(n_at_once: int) -> TraceArrivals:
    """The same with one request alone in the middle of each pause: a rate of n + 1 over the distance of two bursts."""
    n = n_at_once + 1
    times_s = (*(0.0,) * n_at_once, n / 2.0)
    return TraceArrivals(recording=RequestTimes(file=f"{n_at_once} requests, then one", times_s=times_s, length_s=n))


def burst_size(run: LoadRun) -> int:
    """Requests that fall due at once in each burst of a run of `bursts_of`; 1 for any other arrivals."""
    arrivals = run.spec.arrivals
    if isinstance(arrivals, TraceArrivals) and isinstance(arrivals.recording, RequestTimes):
        return sum(time_s == 0.0 for time_s in arrivals.recording.times_s)
    return 1


def lowest_s(runs: Iterable[LoadRun]) -> float:
    """The shortest wait for a right answer in any of these runs, of which one has an answer."""
    return min(float(run.requests.response_time_s.min()) for run in runs if run.requests.response_time_s.size)


def spacing_s(facts: BurstFacts, idle_s: float) -> float:
    """Time from one answer to the next while a burst is worked off: (makespan - a wait when idle) / (requests - 1).

    A request alone waits as long as it did when idle, and each further one adds a spacing.
    """
    return max(facts.makespan_s - idle_s, 1e-6) / max(facts.n_at_once - 1, 1)
