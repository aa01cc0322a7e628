"""How fast a server works while requests pile up: its saturated throughput, read off any run that has bursts.

Saturating a server by offering more than it can carry does not measure it: the backlog opens a new connection for each
request that waits, and accepting those costs more than serving. A run of bursts at half the capacity shows the same
thing on connections that are already open: what leaves while enough requests wait, leaves at the saturated rate.
The decision a reader would question: that rate is the median over stretches of some dozens of departures, not the mean
over all, because a neighbour who takes the server's core for a while is in some stretches and says nothing about it.
Seconds; requests.
"""

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import Setting

# With two full batches waiting, the next batch is full whatever arrives.
_BATCHES_WAITING = 2
_REQUESTS_WAITING_LEAST = 16
_N_STRETCHES_LEAST = 3
N_DEPARTURES_LEAST = 100  # their mean is known to some 5 %


def backlog_of(setting: Setting, n_rows_per_request: int) -> int:
    """Requests that must be under way for the server to be certainly saturated."""
    n_requests = max(1, setting.serving.max_batch_size // n_rows_per_request)
    return max(_REQUESTS_WAITING_LEAST, _BATCHES_WAITING * n_requests)


def departure_gap_s(
    sent_s: NDArray[np.float64], done_s: NDArray[np.float64], *, n_waiting: int, n_least: int = N_DEPARTURES_LEAST
) -> float | None:
    """Time between departures while at least `n_waiting` requests are under way: the median of stretches' means.

    A stretch is `n_waiting` departures, so it holds whole batches. None where fewer than `n_least` departures are under
    such a backlog: there was none to speak of. Requests never answered (NaN) count as under way.
    """
    departed_s = np.sort(done_s[~np.isnan(done_s)])
    n_under_way = np.searchsorted(sent_s, departed_s, side="right") - np.arange(1, departed_s.size + 1)
    is_backlog = n_under_way[:-1] >= n_waiting
    if np.count_nonzero(is_backlog) < n_least:
        return None
    gaps_s = np.diff(departed_s)[is_backlog]
    n_stretches = gaps_s.size // n_waiting
    if n_stretches < _N_STRETCHES_LEAST:
        return float(gaps_s.mean())
    return float(np.median(gaps_s[: n_stretches * n_waiting].reshape(n_stretches, n_waiting).mean(axis=1)))
