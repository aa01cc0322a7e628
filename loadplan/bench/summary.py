"""What the rounds of a cell say together, and whether they say enough."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, CellRound, CellSummary
from loadplan.caveat import Caveat
from loadplan.stats import effective_sample_size, mean_interval, percentile, supported_percentile

# The sweep stops when the 95 % interval of every mean is within this of the mean.
WANTED_HALF_WIDTH_RATIO = 0.02
# Beyond this share of stolen time the rest is doubtful too: a neighbour that takes the core also takes the caches.
_LOST_ALLOWED_RATIO = 0.05
_ROUNDS_AT_LEAST = 2


def by_cell(rounds: Iterable[CellRound]) -> dict[BenchCell, list[CellRound]]:
    """The rounds of each cell, in the order in which they were made."""
    grouped: dict[BenchCell, list[CellRound]] = {}
    for visit in rounds:
        grouped.setdefault(visit.cell, []).append(visit)
    return grouped


def summarise_cell(rounds: Sequence[CellRound]) -> CellSummary:
    """Statistics over all calls of one cell.

    The interval of the mean counts effective samples: neighbouring calls resemble each other, so n of them say less
    than n. Raises InvalidMeasurement when there are fewer than two calls.
    """
    times_s = pooled_times_s(rounds)
    interval = mean_interval(times_s)
    mean_s = float(times_s.mean())
    half_width_ratio = (interval.high - interval.low) / (2.0 * mean_s)
    lost = float(np.mean([visit.lost_ratio for visit in rounds]))
    return CellSummary(
        cell=rounds[0].cell,
        n_samples=int(times_s.size),
        n_effective=effective_sample_size(times_s),
        min_s=float(times_s.min()),
        median_s=percentile(times_s, 0.5),
        mean_s=mean_s,
        mean_s_low=max(interval.low, 0.0),
        mean_s_high=interval.high,
        p90_s=supported_percentile(times_s, 0.9),
        p99_s=supported_percentile(times_s, 0.99),
        is_noisy=half_width_ratio > WANTED_HALF_WIDTH_RATIO or lost > _LOST_ALLOWED_RATIO,
    )


def is_settled(rounds: Sequence[CellRound]) -> bool:
    """Whether a cell needs no further visit."""
    return len(rounds) > _ROUNDS_AT_LEAST and not summarise_cell(rounds).is_noisy


def needs_more(rounds: Sequence[CellRound]) -> bool:
    """Whether a cell has too few visits for any figure, budget or not."""
    return len(rounds) < _ROUNDS_AT_LEAST


def pooled_times_s(rounds: Sequence[CellRound]) -> NDArray[np.float64]:
    """All calls of a cell in order."""
    return np.concatenate([visit.service_times_s for visit in rounds])


def noise_caveats(cells: Sequence[CellSummary]) -> tuple[Caveat, ...]:
    """How many cells the machine was too noisy for."""
    n_noisy = sum(cell.is_noisy for cell in cells)
    if n_noisy == 0:
        return ()
    what = (
        f"{n_noisy} of {len(cells)} benchmark cells are noisy: the interval of their mean is wider than "
        f"±{WANTED_HALF_WIDTH_RATIO:.0%}, or neighbours took more than {_LOST_ALLOWED_RATIO:.0%} of their time"
    )
    fix = "give bench.budget_s more time, or run on a quieter machine"
    return (Caveat(code="bench.noisy", what=what, fix=fix, number=float(n_noisy)),)
