"""A fleet as the simulator knows it, the requests that it is offered, and what became of them.

Who is who: a *replica* is a machine behind the balancer; on it run one or more server processes, each on cores of its
own with a queue of its own, as `loadplan serve --processes` starts them. Seconds throughout, from the start of the run.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import Balancing, ServingConfig
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import Draws, Rows, Times


class Fate(IntEnum):
    """How a request ended, at its last attempt."""

    ANSWERED = 0
    REFUSED = 1  # the queue was full: 503
    EXPIRED = 2  # its time was up before its inference could begin: 504
    LOST = 3  # with the replica that it was sent to


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """What clients do about an attempt that failed, whatever way: they wait, longer each time, and ask again."""

    n_most: int  # after the first attempt
    backoff_s: float  # before the second attempt; doubled for each that follows
    jitter_ratio: float = 0.0  # of the wait, how much of it at most is left out at random, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A replica that stops at once, with all that it held, and is replaced."""

    at_s: float
    replica: int  # index
    detected_after_s: float  # so long the balancer still sends to it
    back_after_s: float  # from its detection to the first request that its replacement takes; inf: never
    noticed_after_s: float = 0.0  # by a client, from the loss or from its sending; 0: its connection is reset at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Equal replicas, how requests are spread over them, and what goes wrong."""

    n_replicas: int
    balancing: Balancing
    serving: ServingConfig  # of each process; `n_server_processes` of them are a replica
    service_s: Times  # mean inference time by rows, long enough for full batches and for the largest request
    overhead: OverheadFit
    # None: inference inline, on the core that handles requests. Else it has a core and a thread of its own, and this
    # is the time from the loop's handing a batch over to the thread's first instruction.
    handover_s: float | None = None
    # The clients' connections, of which each request takes one at random. They are dealt out at random over the
    # processes of a replica, and over the replicas where the balancing is per connection.
    n_connections: int = 64
    timeout_s: float = math.inf  # of each request, from its entry into the queue; it is refused when it still waits
    retries: Retries = Retries(n_most=0, backoff_s=1.0)
    losses: tuple[Loss, ...] = ()

    @property
    def n_processes(self) -> int:
        """Of all replicas together."""
        return self.n_replicas * self.serving.n_server_processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The requests, as they leave their clients, and what delays them outside the fleet."""

    sent_s: Times  # (n,) ascending
    n_rows: Rows  # (n,) at least 1
    # Of each request on its way to the balancer and of its answer on the way back: (n,), or (1,) where all are alike.
    # A second attempt takes the delay of the next request.
    before_s: Times
    after_s: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDraws:
    """Everything random in a fleet, in standard form: the same for every law that is compared."""

    single: Draws  # of the first process; its multipliers serve all
    pause_gap: Times  # (n_processes - 1, n_pauses) of the others, exponential with mean 1
    pause_length: Times  # (n_processes - 1, n_pauses) exponential with mean 1, cut at 4
    # (4, 2^16) in [0, 1): the replica of a random balancer; a request's connection; where connections end; how much of
    # the jitter is used
    uniform: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNoise:
    """The draws, scaled to one law. The first process has the noise of a single server."""

    # (7, 2^16) as `fleet_kernel` numbers its rows: multipliers of requests and responses, by the order in which they
    # first reach the balancer; of inferences, from another place for each process; and the uniform draws
    multipliers: Times
    pauses_s: Times  # (2, n_processes, n_pauses + 1) when they begin, ascending, the last never; and how long they last


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRun:
    """What became of every request, in the order in which they were offered."""

    done_s: Times  # (n,) when the answer was complete at the client; NaN for those that were not answered
    fate: NDArray[np.uint8]  # (n,) of `Fate`
    ended_s: Times  # (n,) when the client knew, whatever the fate; inf where it waits for ever
    n_attempts: NDArray[np.int32]  # (n,)
    process: NDArray[np.int32]  # (n,) that had the last attempt: replica · processes + process; -1 for none
