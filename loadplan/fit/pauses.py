"""How often and for how long a server stops for reasons of its own: scheduler, kernel, neighbours on the machine.

Such pauses make the p99 and no other mechanism of the simulator does, so they are read off the slowest answers
directly. With pauses at rate r whose lengths are exponential with mean m, and a server that then works off its backlog
at utilisation u, the share of requests that wait for longer than x because of a pause is

    share(x) = r m exp(-x / m) / (1 - u),

and what they wait beyond x has mean m, because the exponential law forgets. Seconds; x is far above what queueing
alone does, four times the p90. Where no pause is that long, it would not show in a percentile either, and none is kept.
The decision a reader would question: m is x / 2 at least. A shorter one would mean exp(x / m) times as many pauses as
were seen, a hundred times and more, and how long they are would rest on a few slow answers that queued.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BEYOND_P90 = 4.0
_SHORTEST_MEAN_RATIO = 0.5  # of the length beyond which answers are slow
_N_SLOW_LEAST = 10
# Pauses that take more of the time than this are no longer rare, and the formula has ended.
_PAUSED_AT_MOST_RATIO = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Rare pauses of exponential length."""

    mean_s: float
    rate_per_s: float


NO_PAUSES = Pauses(mean_s=0.0, rate_per_s=0.0)


def pauses_of(times_s: NDArray[np.float64], *, utilisation_ratio: float) -> Pauses:
    """The pauses that explain the slowest of these response times; the utilisation is below 1."""
    beyond_s = _BEYOND_P90 * float(np.quantile(times_s, 0.9))
    excess_s = times_s[times_s > beyond_s] - beyond_s
    if excess_s.size < _N_SLOW_LEAST:
        return NO_PAUSES
    mean_s = max(float(excess_s.mean()), _SHORTEST_MEAN_RATIO * beyond_s)
    share = excess_s.size / times_s.size
    rate_per_s = share * (1.0 - utilisation_ratio) * float(np.exp(beyond_s / mean_s)) / mean_s
    return Pauses(mean_s=mean_s, rate_per_s=min(rate_per_s, _PAUSED_AT_MOST_RATIO / mean_s))


def typical_pauses(runs: Sequence[Pauses]) -> Pauses:
    """The median over several runs, for one of them may have been hit by a neighbour that the others were spared."""
    if not runs or float(np.median([run.rate_per_s for run in runs])) == 0.0:
        return NO_PAUSES
    seen = [run for run in runs if run.rate_per_s > 0.0]
    return Pauses(
        mean_s=float(np.median([run.mean_s for run in seen])),
        rate_per_s=float(np.median([run.rate_per_s for run in runs])),
    )
