"""What the rounds of a cell say together, and whether they say enough.

A machine's speed shifts between visits that lie seconds apart by more than it scatters within one, so the calls of a
visit are one observation of the mean, not hundreds: the interval rests on the means of the visits. Over all calls
taken as one series it would be a third as wide as it must be and hold the true mean in 60 % of cases, not 95 %. A visit
is also a process of its own (`worker_process`), the highest level of repetition, on which an interval must rest
(Kalibera & Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, CellRound, CellSummary
from loadplan.stats import mean_interval, percentile, supported_percentile

# The sweep stops when the 95 % interval of every mean is within this of the mean.
WANTED_HALF_WIDTH_RATIO = 0.02
# And within this after a pause: how deep a core sleeps scatters more, and only the size of the effect is wanted.
_COLD_HALF_WIDTH_RATIO = 0.10
# Such visits are long, most of it sleep, and so are those of the longest rows: more would take the others' budget.
_BESIDE_ROUNDS_MOST = 8
# Fewer visits give no figure at all.
ROUNDS_AT_LEAST = 2
# Looking after every visit stops by luck, the sooner the likelier; from five on the interval keeps its word.
_ROUNDS_TO_SETTLE = 5
# A visit that lost more than this had a neighbour in it, who takes the caches with the core: others stand for it.
VISIT_LOST_ALLOWED_RATIO = 0.10
# The cores are beside each other or on two caches, and nothing between: 2.1 to 2.6 turns, or 3.5 to 4.8.
FAR_RATIO = 1.4
# And what is left may not have lost more than this.
CELL_LOST_ALLOWED_RATIO = 0.05


def by_cell(rounds: Iterable[CellRound]) -> dict[BenchCell, list[CellRound]]:
    """The rounds of each cell, in the order in which they were made."""
    grouped: dict[BenchCell, list[CellRound]] = {}
    for visit in rounds:
        grouped.setdefault(visit.cell, []).append(visit)
    return grouped


def nearest_ratio(rounds: Iterable[CellRound]) -> float | None:
    """How close together the cores are in this sweep when nobody moves them; None: it didn't have to be known.

    The first decile: single readings may be too low, and where hardly any visit found them closer, far is usual.
    """
    ratios = np.array([visit.apart_ratio for visit in rounds if visit.apart_ratio is not None])
    return percentile(ratios, 0.1) if ratios.size else None


def is_far(visit: CellRound, nearest: float | None) -> bool:
    """Whether the cores that shared the work were farther apart than they usually are."""
    return nearest is not None and visit.apart_ratio is not None and visit.apart_ratio > FAR_RATIO * nearest


def calm_rounds(rounds: Sequence[CellRound], nearest: float | None = None) -> Sequence[CellRound]:
    """The visits that lost at most a tenth of their time, with the cores where they usually are.

    Fewer than two such visits say nothing; all of them count then. They are chosen by the time that was stolen and by
    where the cores were, never by how long the calls took.

    Args:
        rounds: the visits of one cell.
        nearest: of the sweep, by `nearest_ratio`.
    """
    calm = [visit for visit in rounds if visit.lost_ratio <= VISIT_LOST_ALLOWED_RATIO and not is_far(visit, nearest)]
    return calm if len(calm) >= ROUNDS_AT_LEAST else rounds


def pooled_times_s(rounds: Sequence[CellRound]) -> NDArray[np.float64]:
    """All single calls of the visits in order."""
    return np.concatenate([visit.service_times_s for visit in rounds])


def summarise_cell(rounds: Sequence[CellRound], nearest: float | None = None) -> CellSummary:
    """Statistics over the calm visits of one cell, as `calm_rounds` chooses them.

    The mean is that of the visits' means m_1 … m_k, its interval Student's t with their variance and effective number
    (`stats.mean_interval`). n_effective is by batch means: k times the variance of all calls over that of the m_i,
    between 1 and the number of calls (Geyer, Practical Markov Chain Monte Carlo, 1992). Minimum and median are of loops
    where calls are short, as in Google Benchmark and pyperf; percentiles are of single calls, with the clock's reading
    in them, and given only where the number of calls supports them (`stats.n_samples_needed`).

    Raises:
        InvalidMeasurement: when there are fewer than two visits.
    """
    used = calm_rounds(rounds, nearest)
    times_s, means_s = pooled_times_s(used), _means_s(used)
    typical_s = np.concatenate([visit.typical_times_s for visit in used])
    interval = mean_interval(means_s)
    n_samples = sum(visit.n_calls for visit in used)
    return CellSummary(
        cell=rounds[0].cell,
        n_samples=n_samples,
        n_effective=_n_effective(times_s, means_s, n_samples),
        min_s=float(typical_s.min()),
        median_s=percentile(typical_s, 0.5),
        mean_s=float(means_s.mean()),
        mean_s_low=max(interval.low, 0.0),
        mean_s_high=interval.high,
        p90_s=supported_percentile(times_s, 0.9),
        p99_s=supported_percentile(times_s, 0.99),
        is_noisy=_is_noisy(used, nearest),
        copy_in_s=_mean_told([visit.copy_in_s for visit in used]),
        copy_out_s=_mean_told([visit.copy_out_s for visit in used]),
    )


def is_settled(rounds: Sequence[CellRound], nearest: float | None = None) -> bool:
    """Whether a cell needs no further visit, or has had its share of them."""
    if len(rounds) >= _BESIDE_ROUNDS_MOST and not rounds[0].cell.is_of_table:
        return True
    used = calm_rounds(rounds, nearest)
    return len(used) >= _ROUNDS_TO_SETTLE and not _is_noisy(used, nearest)


def _is_noisy(used: Sequence[CellRound], nearest: float | None) -> bool:
    if any(is_far(visit, nearest) for visit in used):
        return True
    means_s = _means_s(used)
    interval = mean_interval(means_s)
    half_width_ratio = (interval.high - interval.low) / (2.0 * float(means_s.mean()))
    lost_ratio = float(np.mean([visit.lost_ratio for visit in used]))
    wanted_ratio = _COLD_HALF_WIDTH_RATIO if used[0].cell.idle_gap_s else WANTED_HALF_WIDTH_RATIO
    return half_width_ratio > wanted_ratio or lost_ratio > CELL_LOST_ALLOWED_RATIO


def _means_s(rounds: Sequence[CellRound]) -> NDArray[np.float64]:
    return np.array([visit.mean_s for visit in rounds])


def _n_effective(times_s: NDArray[np.float64], means_s: NDArray[np.float64], n_samples: int) -> float:
    variance_of_means = float(means_s.var(ddof=1))
    if variance_of_means == 0.0:
        return float(n_samples)
    n = means_s.size * float(times_s.var(ddof=1)) / variance_of_means
    return min(max(n, 1.0), float(n_samples))


def _mean_told(values_s: Sequence[float | None]) -> float | None:
    told_s = [value_s for value_s in values_s if value_s is not None]
    return float(np.mean(told_s)) if told_s else None
