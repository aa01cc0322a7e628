"""How fast a server works while requests pile up: its saturated throughput, read off any run that has bursts.

Saturating a server by offering more than it can carry does not measure it: the backlog opens a new connection for each
request that waits, and accepting those costs more than serving. A run of bursts at half the capacity shows the same
thing on connections that are already open. What is read are busy periods, from the request that finds the server empty
to the answer that leaves it empty, because a server reads a whole burst before it answers the first of it: the
pace of its answers alone would leave the reading out. The decision a reader would question: of all such periods the
median counts, because a neighbour who takes the server's core for a while is in some of them and says nothing about it.
Seconds; requests.
"""

import math

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import ServingConfig, Setting
from loadplan.load.records import Outcome, RequestLog

# With two full batches waiting, the next batch is full whatever arrives.
_BATCHES_WAITING = 2
REQUESTS_WAITING_LEAST = 16
# What comes in a few clusters of the bursts that are driven: where many of a burst are refused, the pace of the answers
# says little about what the server carries, for it spends its time on reading what it refuses.
_BATCHES_QUEUED_LEAST = 4
_REQUESTS_QUEUED_LEAST = 256
N_DEPARTURES_LEAST = 100  # a pace from fewer is too uncertain


def requests_in_full_batch(max_batch_size: int, rows_per_request: float) -> int:
    """Whole requests of the usual size that fit into a batch; a larger one alone fills a batch of its own."""
    return max(1, int(max_batch_size // rows_per_request))


def backlog_of(setting: Setting, rows_per_request: float) -> int:
    """Requests that must be under way for the server to be certainly saturated, with so many rows each on average."""
    n_requests = requests_in_full_batch(setting.serving.max_batch_size, rows_per_request)
    return max(REQUESTS_WAITING_LEAST, _BATCHES_WAITING * n_requests)


def queue_rows(max_batch_size: int, rows_per_request: float) -> int:
    """Rows that the server lets wait: what it lets by itself, but enough for the bursts that are driven.

    The usual bound counts rows, so of requests of hundreds of rows it would hold a handful, and refuse the rest of what
    a server works off in a moment.
    """
    of_requests = math.ceil(_REQUESTS_QUEUED_LEAST * rows_per_request)
    return max(ServingConfig().max_queue_rows, of_requests, _BATCHES_QUEUED_LEAST * max_batch_size)


def right_answers_s(log: RequestLog) -> NDArray[np.float64]:
    """When each right answer was complete; NaN for a refusal, which costs the server next to nothing, and the rest."""
    return np.where(log.outcome == np.uint8(Outcome.OK), log.done_s, np.nan)


def departure_gap_s(
    sent_s: NDArray[np.float64], done_s: NDArray[np.float64], *, n_waiting: int, n_least: int = N_DEPARTURES_LEAST
) -> float | None:
    """Time per request in busy periods with at least `n_waiting` requests under way on average.

    The number under way is by Little's law: the sum of the response times over the length of the period. Of the
    periods' times per request the median, each weighted by its requests. None where such periods hold fewer than
    `n_least` requests: there was no backlog to speak of. Requests never answered (NaN) are left out.

    Args:
        sent_s: (n,) ascending.
        done_s: (n,) of the same requests.
        n_waiting: see `backlog_of`.
        n_least: requests that such periods must hold.
    """
    is_answered = ~np.isnan(done_s)
    sent, done = sent_s[is_answered], np.sort(done_s[is_answered])
    if sent.size == 0:
        return None
    # The server is empty after its k-th answer when the next request is sent later than that.
    ends = np.append(np.flatnonzero(sent[1:] > done[:-1]), sent.size - 1)
    n_requests = np.diff(ends, prepend=-1)
    lengths_s = done[ends] - sent[np.append(0, ends[:-1] + 1)]
    waited_s = np.diff(np.cumsum(done - sent)[ends], prepend=0.0)
    is_backlog = waited_s >= n_waiting * lengths_s
    if n_requests[is_backlog].sum() < n_least:
        return None
    return _weighted_median((lengths_s / n_requests)[is_backlog], n_requests[is_backlog])


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2.0)])
