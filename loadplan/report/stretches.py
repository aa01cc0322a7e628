"""The time line of a run in stretches of equal length: seconds, or longer ones where a page can't list so many."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_STRETCHES_MOST = 240
_LENGTHS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretches:
    """How a run is cut."""

    length_s: int
    edges_s: tuple[float, ...]  # from 0 on, one more than there are stretches

    @property
    def ends_s(self) -> tuple[float, ...]:
        """Where each ends."""
        return self.edges_s[1:]

    @property
    def name(self) -> str:
        """One of them, such as `second` or `30 s`."""
        return "second" if self.length_s == 1 else f"{self.length_s} s"


def stretches_of(duration_s: float) -> Stretches:
    """Seconds, or the shortest round length of which `N_STRETCHES_MOST` cover the run.

    A last second that is cut short is one; of longer stretches the last takes what is left where that is less than
    half of one, since a rate over a moment says nothing.
    """
    lengths_s = (*_LENGTHS_S, math.ceil(duration_s / N_STRETCHES_MOST))
    length_s = next(length_s for length_s in lengths_s if duration_s <= length_s * N_STRETCHES_MOST)
    if length_s == 1:
        return Stretches(length_s=1, edges_s=tuple(float(i) for i in range(max(1, math.ceil(duration_s)) + 1)))
    n = max(1, round(duration_s / length_s))
    return Stretches(length_s=length_s, edges_s=(*(float(i * length_s) for i in range(n)), duration_s))


def rates_in(stretches: Stretches, times_s: Times) -> list[float]:
    """Events per second in each stretch; NaN, and what came after the last, is left out."""
    counts, edges_s = np.histogram(times_s[~np.isnan(times_s)], bins=np.array(stretches.edges_s))
    return [float(rate) for rate in counts / np.diff(edges_s)]


def figures_in(
    stretches: Stretches, due_s: Times, values_of: Callable[[slice], Times], figure: Callable[[Times], np.floating]
) -> list[tuple[float, float]]:
    """The end of each stretch and a figure of its requests; no pair where that is 0 or less, or there are none.

    Args:
        stretches: how the run is cut.
        due_s: of every request, ascending: each belongs to the stretch in which it fell due.
        values_of: the values of a slice of the requests, NaN where there is none. Asked stretch by stretch, so that a
            long run takes no memory beside its requests.
        figure: such as the largest or the median of them.
    """
    firsts = [*np.searchsorted(due_s, stretches.edges_s[:-1]).tolist(), due_s.size]
    found = []
    for end_s, first, behind in zip(stretches.ends_s, firsts[:-1], firsts[1:], strict=True):
        values = values_of(slice(first, behind))
        values = values[~np.isnan(values)]
        if values.size and (one := float(figure(values))) > 0.0:
            found.append((end_s, one))
    return found
