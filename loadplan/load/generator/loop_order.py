"""What a generator's loop is told, and what it gives back: all that passes between processes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadplan.load.connections.wire import WireKind
from loadplan.load.records import AskAgain, LostTime, RequestLog


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOrder:
    """What the loop is to do."""

    family: int  # address family of the target, such as AF_INET
    address: tuple[str, int]  # resolved, numeric
    due_s: NDArray[np.float64]  # ascending, from the start of the run
    payload: NDArray[np.int32]  # which message each request sends; of callers also those that they ask for later
    messages: tuple[bytes, ...] = field(repr=False)  # what the wire is asked to send; they may hold credentials
    timeout_s: float
    n_warm_connections: int  # opened before the start, and asked in turn
    n_reserve_connections: int = 0  # opened before the start too, and asked only while all others are busy
    wire: WireKind = "http/1.1"
    again: AskAgain | None = None  # None: the due times are the whole schedule
    head: bytes = field(default=b"", repr=False)  # of HTTP/2: the headers of every call


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResult:
    """What happened to every request, and what disturbed the generator."""

    requests: RequestLog
    lost: LostTime
    n_connections: int  # opened in all
    n_answered: int  # requests to which at least one byte came back
    own_fault: str | None  # why the generator itself could not go on sending; None: it could
    saturation_ratio: float  # share of the loop's turns that found a due request already late
