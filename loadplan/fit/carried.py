"""How fast a server works while it never rests: what it carries, read off a run of callers who wait for their answers.

With enough of them more requests than a full batch wait whenever a batch is formed, and the pace of the answers is the
server's own. Seconds; requests.
"""

import math

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import ServingConfig, Setting
from loadplan.fit.useful_runs import right_and_clean
from loadplan.load.records import LoadRun, Outcome, RequestLog
from loadplan.scenario.arrivals import Callers

# While a batch is computed, as many others wait as the next one takes, whatever the callers' own turn takes.
_BATCHES_UNDER_WAY = 3
_CALLERS_LEAST = 64  # as many connections as all other runs have
# Callers whose turn comes later than this share of the timeout would wait in vain.
_WAITING_RATIO = 0.5
# Where many requests are refused, the pace of the answers says little about what the server carries, for it spends its
# time on reading what it refuses.
_BATCHES_QUEUED_LEAST = 4
_REQUESTS_QUEUED_LEAST = 256
_N_ANSWERS_LEAST = 100  # a pace from fewer is too uncertain
_STRETCHES_LEAST = 3


def requests_in_full_batch(max_batch_size: int, rows_per_request: float) -> int:
    """Whole requests of the usual size that fit into a batch; a larger one alone fills a batch of its own."""
    return max(1, int(max_batch_size // rows_per_request))


def callers_for(setting: Setting, rows_per_request: float, *, rate_rps: float, timeout_s: float) -> int:
    """How many callers never let a server rest, with so many rows each on average, at what it probably carries.

    Fewer where the last of them would wait too long for an answer, but always so many that batches are full.
    """
    n_requests = requests_in_full_batch(setting.serving.max_batch_size, rows_per_request)
    wanted = max(_CALLERS_LEAST, _BATCHES_UNDER_WAY * n_requests)
    return max(min(wanted, int(_WAITING_RATIO * timeout_s * rate_rps)), n_requests + 1)


def queue_rows(max_batch_size: int, rows_per_request: float) -> int:
    """Rows that the server lets wait: what it lets by itself, but enough for the callers who wait.

    The usual bound counts rows, so of requests of hundreds of rows it would hold a handful, and refuse the rest of what
    a server works off in a moment.
    """
    of_requests = math.ceil(_REQUESTS_QUEUED_LEAST * rows_per_request)
    return max(ServingConfig().max_queue_rows, of_requests, _BATCHES_QUEUED_LEAST * max_batch_size)


def right_answers_s(log: RequestLog) -> NDArray[np.float64]:
    """When each right answer was complete; NaN for a refusal, which costs the server next to nothing, and the rest."""
    return np.where(log.outcome == np.uint8(Outcome.OK), log.done_s, np.nan)


def carried_gap_s(run: LoadRun) -> float | None:
    """Time per request of a valid run that was to show it, whose callers never let the server rest; None otherwise.

    The median over stretches of as many right answers in undisturbed time as there are callers: pauses and neighbours,
    who take the server for a moment, say nothing about its pace. None also of a run with too few.
    """
    if run.spec.purpose != "saturation" or not run.verdict.valid or not isinstance(run.spec.arrivals, Callers):
        return None
    done_s = np.sort(run.requests.done_s[right_and_clean(run)])
    n = run.spec.arrivals.n_callers
    stretches_s = np.diff(done_s[::n])
    if done_s.size < _N_ANSWERS_LEAST or stretches_s.size < _STRETCHES_LEAST:
        return None
    return float(np.median(stretches_s)) / n
