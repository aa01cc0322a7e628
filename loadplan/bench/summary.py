"""What the rounds of a cell say together, and whether they say enough.

A machine's speed shifts between visits that lie seconds apart by more than it scatters within one, so the calls of a
visit are one observation of the mean, not hundreds: the interval rests on the means of the visits. Over all calls
taken as one series it would be a third as wide as it must be and hold the true mean in 60 % of cases, not 95 %.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, CellRound, CellSummary
from loadplan.caveat import Caveat
from loadplan.stats import mean_interval, percentile, supported_percentile

# The sweep stops when the 95 % interval of every mean is within this of the mean.
WANTED_HALF_WIDTH_RATIO = 0.02
# Fewer visits give no figure at all.
ROUNDS_AT_LEAST = 2
# Looking after every visit stops by luck, the sooner the likelier; from five on the interval keeps its word.
_ROUNDS_TO_SETTLE = 5
# A visit that lost more than this had a neighbour in it, who takes the caches with the core: others stand for it.
_VISIT_LOST_ALLOWED_RATIO = 0.10
# And what is left may not have lost more than this.
_CELL_LOST_ALLOWED_RATIO = 0.05


def by_cell(rounds: Iterable[CellRound]) -> dict[BenchCell, list[CellRound]]:
    """The rounds of each cell, in the order in which they were made."""
    grouped: dict[BenchCell, list[CellRound]] = {}
    for visit in rounds:
        grouped.setdefault(visit.cell, []).append(visit)
    return grouped


def calm_rounds(rounds: Sequence[CellRound]) -> Sequence[CellRound]:
    """The visits that lost at most a tenth of their time; all of them where fewer than two did.

    They are chosen by the time that was stolen, never by how long the calls took.
    """
    calm = [visit for visit in rounds if visit.lost_ratio <= _VISIT_LOST_ALLOWED_RATIO]
    return calm if len(calm) >= ROUNDS_AT_LEAST else rounds


def pooled_times_s(rounds: Sequence[CellRound]) -> NDArray[np.float64]:
    """All calls of the visits in order."""
    return np.concatenate([visit.service_times_s for visit in rounds])


def summarise_cell(rounds: Sequence[CellRound]) -> CellSummary:
    """Statistics over the calm visits of one cell.

    The mean is that of the visits' means m_1 … m_k, its interval Student's t with their variance and effective number
    (`stats.mean_interval`). n_effective is by batch means: k times the variance of all calls over that of the m_i,
    between 1 and the number of calls (Geyer, Practical Markov Chain Monte Carlo, 1992).

    Raises:
        InvalidMeasurement: when there are fewer than two visits.
    """
    used = calm_rounds(rounds)
    times_s, means_s = pooled_times_s(used), _means_s(used)
    interval = mean_interval(means_s)
    return CellSummary(
        cell=rounds[0].cell,
        n_samples=int(times_s.size),
        n_effective=_n_effective(times_s, means_s),
        min_s=float(times_s.min()),
        median_s=percentile(times_s, 0.5),
        mean_s=float(means_s.mean()),
        mean_s_low=max(interval.low, 0.0),
        mean_s_high=interval.high,
        p90_s=supported_percentile(times_s, 0.9),
        p99_s=supported_percentile(times_s, 0.99),
        is_noisy=_is_noisy(used),
    )


def is_settled(rounds: Sequence[CellRound]) -> bool:
    """Whether a cell needs no further visit."""
    used = calm_rounds(rounds)
    return len(used) >= _ROUNDS_TO_SETTLE and not _is_noisy(used)


def noise_caveats(cells: Sequence[CellSummary]) -> tuple[Caveat, ...]:
    """How many cells the machine was too noisy for."""
    n_noisy = sum(cell.is_noisy for cell in cells)
    if n_noisy == 0:
        return ()
    what = (
        f"{n_noisy} of {len(cells)} benchmark cells are noisy: the interval of their mean is wider than "
        f"±{WANTED_HALF_WIDTH_RATIO:.0%}, or neighbours took more than {_CELL_LOST_ALLOWED_RATIO:.0%} of their time"
    )
    fix = "give bench.budget_s more time, or run on a quieter machine"
    return (Caveat(code="bench.noisy", what=what, fix=fix, number=float(n_noisy)),)


def _is_noisy(used: Sequence[CellRound]) -> bool:
    means_s = _means_s(used)
    interval = mean_interval(means_s)
    half_width_ratio = (interval.high - interval.low) / (2.0 * float(means_s.mean()))
    lost_ratio = float(np.mean([visit.lost_ratio for visit in used]))
    return half_width_ratio > WANTED_HALF_WIDTH_RATIO or lost_ratio > _CELL_LOST_ALLOWED_RATIO


def _means_s(rounds: Sequence[CellRound]) -> NDArray[np.float64]:
    return np.array([visit.service_times_s.mean() for visit in rounds])


def _n_effective(times_s: NDArray[np.float64], means_s: NDArray[np.float64]) -> float:
    variance_of_means = float(means_s.var(ddof=1))
    if variance_of_means == 0.0:
        return float(times_s.size)
    n = means_s.size * float(times_s.var(ddof=1)) / variance_of_means
    return min(max(n, 1.0), float(times_s.size))
