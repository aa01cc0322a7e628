"""How much slower work is after a pause, read off the benchmark: where the search for the server's own law begins.

The simulator's law is a factor 1 + c k(g) on the turn after an idle gap g. The benchmark times one call after pauses of
known length; with r_i the mean after pause i over that after a pause too short to cool anything, and k_i = k(g_i), the
least squares through the origin are c = Σ w_i k_i (r_i - 1) / Σ w_i k_i², each pause weighing by its interval. A pause
too short to cool anything is the base, not the tight loop, because a process that slept at all has a fixed price to
pay first, which the server's law holds under another name: its wake.
"""

import numpy as np

from loadplan.bench.records import BenchRun, CellSummary
from loadplan.fit.simulate import COLD_FROM_S, COLD_TO_S

# Beyond these a start value would tell of noise: no work was ever seen to be ten times as slow after a pause.
_RATIO_LEAST, _RATIO_MOST = 0.05, 9.0


def coldness(gap_s: float) -> float:
    """k(g): 0 for a gap too short to cool anything, 1 for one beyond which nothing goes colder, logarithmic between."""
    return float(np.clip(np.log(max(gap_s, COLD_FROM_S) / COLD_FROM_S) / np.log(COLD_TO_S / COLD_FROM_S), 0.0, 1.0))


def measured_cold_ratio(bench: BenchRun) -> float | None:
    """The c of the law by the calls after pauses; None where they don't tell it."""
    told = [cell for cell in bench.cold if cell.mean_s_high > cell.mean_s_low]
    warm = [cell for cell in told if coldness(cell.cell.idle_gap_s) == 0.0]
    cold = [cell for cell in told if coldness(cell.cell.idle_gap_s) > 0.0]
    if not warm or not cold:
        return None
    base_s = min(warm, key=_half_width_ratio).mean_s
    k = np.array([coldness(cell.cell.idle_gap_s) for cell in cold])
    ratios = np.array([cell.mean_s / base_s for cell in cold])
    weights = 1.0 / np.array([(_half_width_ratio(cell) * cell.mean_s / base_s) ** 2 for cell in cold])
    c = float((weights * k * (ratios - 1.0)).sum() / (weights * k**2).sum())
    return float(np.clip(c, _RATIO_LEAST, _RATIO_MOST))


def _half_width_ratio(cell: CellSummary) -> float:
    return (cell.mean_s_high - cell.mean_s_low) / (2.0 * cell.mean_s)
