"""How fast a server works while requests pile up: its saturated throughput, read off any run that has bursts.

Saturating a server by offering more than it can carry does not measure it: the backlog opens a new connection for each
request that waits, and accepting those costs more than serving. A run of bursts at half the capacity shows the same
thing on connections that are already open: what leaves while enough requests wait, leaves at the saturated rate.
Seconds; requests.
"""

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import Setting

# With two full batches waiting, the next batch is full whatever arrives.
_BATCHES_WAITING = 2
_REQUESTS_WAITING_LEAST = 16
N_DEPARTURES_LEAST = 200


def backlog_of(setting: Setting, n_rows_per_request: int) -> int:
    """Requests that must be under way for the server to be certainly saturated."""
    n_requests = max(1, setting.serving.max_batch_size // n_rows_per_request)
    return max(_REQUESTS_WAITING_LEAST, _BATCHES_WAITING * n_requests)


def departure_gap_s(
    sent_s: NDArray[np.float64], done_s: NDArray[np.float64], *, n_waiting: int, n_least: int = N_DEPARTURES_LEAST
) -> float | None:
    """Mean time between departures while at least `n_waiting` requests are under way.

    None where fewer than `n_least` departures are that: there was no backlog to speak of. Requests never answered
    (NaN) count as under way.
    """
    departed_s = np.sort(done_s[~np.isnan(done_s)])
    n_under_way = np.searchsorted(sent_s, departed_s, side="right") - np.arange(1, departed_s.size + 1)
    is_backlog = n_under_way[:-1] >= n_waiting
    if np.count_nonzero(is_backlog) < n_least:
        return None
    return float(np.diff(departed_s)[is_backlog].mean())
