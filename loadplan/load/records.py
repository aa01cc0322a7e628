"""What a load run was asked to do and what happened to every request of it.

Times are seconds from the start of the run on one monotonic clock. The response time counts from the due time, so
waiting behind a stalled server is seen even by requests that could not be sent yet; `send_delay_s` is the
generator's own lateness.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.execution import Setting
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Arrivals, Callers, described

LoadPurpose = Literal["idle", "steady", "saturation", "verification", "ad_hoc"]


# Added to the code of gRPC in `RequestLog.status`, where a call was answered with an error.
GRPC_STATUS = 1000


class Outcome(IntEnum):
    """The one class that every due request ends in."""

    OK = 0  # answered 200 with the right content
    WRONG_ANSWER = 1  # answered 200, but not what this payload must get
    REFUSED = 2  # 503: the server shed it
    HTTP_ERROR = 3  # any other status, or something that is not an HTTP answer
    TIMED_OUT = 4  # no answer within the limit, or none before the run was closed
    CONNECTION_LOST = 5  # refused, reset, or closed in mid answer
    NOT_SENT = 6  # still waiting in the generator when its time was over
    # The server closed a long idle connection, or took no more on it, just as the request left.
    STALE_CONNECTION = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """One load run, complete: the same spec draws the same arrivals."""

    name: str  # unique in the run folder, names the parquet file
    purpose: LoadPurpose
    arrivals: Arrivals | Callers
    offered_rate_rps: float  # of callers what they came to; NaN before they have asked
    duration_s: float
    seed: int
    timeout_s: float  # a request unanswered for this long after its due time has failed
    setting: Setting | None  # how the server runs, where loadplan started it
    warm_up_s: float = 0.0  # driven alike before the run, and not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """What callers do who wait for their answer; see `load.generator.closed_loop`."""

    think_time_s: float  # from an answer to the next request
    until_s: float  # from the start; no request falls due from then on


def asked(spec: LoadSpec) -> str:
    """What is offered, in a few words: `300 requests/s`, or how many callers wait for their answers."""
    return described(spec.arrivals) if isinstance(spec.arrivals, Callers) else f"{spec.offered_rate_rps:g} requests/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """One entry per due request, in order of due time."""

    due_s: NDArray[np.float64]
    sent_s: NDArray[np.float64]  # just before the write, or before its new connection was open; NaN: never sent
    first_byte_s: NDArray[np.float64]  # NaN: no answer
    done_s: NDArray[np.float64]  # NaN: no complete answer
    outcome: NDArray[np.uint8]  # `Outcome`
    status: NDArray[np.int16]  # HTTP status, 0 where there was none; of gRPC an error is `GRPC_STATUS` and its code
    payload: NDArray[np.int32]  # index of the payload that was sent

    @property
    def n_requests(self) -> int:
        """Due requests."""
        return int(self.due_s.size)

    @property
    def response_time_s(self) -> NDArray[np.float64]:
        """Due time to last byte, of the requests answered correctly."""
        good: NDArray[np.bool_] = self.outcome == np.uint8(Outcome.OK)
        return self.done_s[good] - self.due_s[good]

    @property
    def send_delay_s(self) -> NDArray[np.float64]:
        """Sent minus due, of the requests that were sent."""
        sent = ~np.isnan(self.sent_s)
        return self.sent_s[sent] - self.due_s[sent]


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadClasses:
    """The classes of a run's requests, and which payloads are whose: so each request's payload tells its class."""

    names: tuple[str, ...]
    shares: tuple[float, ...]  # of all requests that are offered
    of_payload: NDArray[np.int16]  # the class of each payload, as its place among the names


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTime:
    """Stretches in which neighbours had the generator's core, seen as gaps between its clock reads."""

    start_s: NDArray[np.float64]
    length_s: NDArray[np.float64]
    worker: NDArray[np.int32] | None = None  # which of several workers; None: there is one, or nobody knows
    n_workers: int = 1  # worker i sends the requests i, i + n, i + 2 n, …


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadVerdict:
    """Whether the generator did what it was asked; an invalid run shows no latency."""

    valid: bool
    invalid_reasons: tuple[str, ...]
    achieved_rate_rps: float  # sends per second
    throughput_rps: float  # correct answers per second
    late_ratio: float  # share of sends that lagged by more than the limit, in clean windows
    clean_ratio: float  # share of 100 ms windows in which the generator's core was not robbed
    n_failed: int  # due requests with any outcome but OK
    saturation_ratio: float | None  # share of the generator's turns that found a due request late; None: not told


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSeries:
    """One figure of the server over a run, or the reason why there is none."""

    name: str  # with its unit, such as `rss_bytes`; see `load.target.watch.SERIES`
    values: NDArray[np.float64] | None  # one per sample; NaN: this sample has none
    absent_reason: str | None  # why `values` is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWatch:
    """What the server used while it was driven, sampled by the driver about once a second."""

    processes: str | None  # name and ids of those watched; None: none could be
    at_s: NDArray[np.float64]  # of each sample, from the start of the run; to within some ms
    series: tuple[WatchedSeries, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """One finished load run."""

    spec: LoadSpec
    url: str
    machine: Machine
    requests: RequestLog
    lost: LostTime
    verdict: LoadVerdict
    caveats: tuple[Caveat, ...]
    payload_rows: NDArray[np.int32] | None  # rows of each payload; None: nobody told what is in the requests
    server: ServerWatch | None = None  # None: nobody watched it
    classes: PayloadClasses | None = None  # None: all requests are of one kind

    @property
    def n_rows(self) -> NDArray[np.int64] | None:
        """Rows of each due request."""
        return None if self.payload_rows is None else self.payload_rows[self.requests.payload].astype(np.int64)

    @property
    def class_index(self) -> NDArray[np.int16] | None:
        """The class of each due request, as its place in `classes.names`; None where there are none."""
        return None if self.classes is None else self.classes.of_payload[self.requests.payload]
