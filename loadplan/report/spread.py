"""How times are spread, as a curve that shows the slowest as clearly as the rest: percentiles over one in so many."""

import numpy as np
from numpy.typing import NDArray

from loadplan.report.chart import Series
from loadplan.report.view import percent, to_ms
from loadplan.stats import percentiles

_TICKS = ((2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1_000.0, "99.9 %"), (10_000.0, "99.99 %"))
_N_POINTS = 80


def ticks(n_samples: int) -> tuple[tuple[float, str], ...]:
    """Those of the axis of such curves that so many samples reach."""
    return tuple(tick for tick in _TICKS if tick[0] <= n_samples)


def curve(name: str, times_s: NDArray[np.float64], *, hue: int, is_dashed: bool = False) -> Series:
    """Percentiles from the fastest request to the slowest; x is one request in so many."""
    one_in = np.geomspace(1.05, max(float(times_s.size), 2.0), _N_POINTS)
    shares = [1.0 - 1.0 / float(n) for n in one_in]
    return Series(
        name=name,
        x=[float(n) for n in one_in],
        y=[to_ms(time_s) for time_s in percentiles(times_s, shares)],
        hue=hue,
        is_dashed=is_dashed,
        labels=[percent(share) for share in shares],
    )
