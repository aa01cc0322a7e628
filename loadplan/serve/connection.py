"""One client connection: uvicorn's HTTP protocol on httptools, with what it lacks.

uvicorn sets no limit to how long a request may take to arrive or how long its head may be, closes idle connections at
a stop even where a request is on its way, knows nothing of turns, and writes an answer in two pieces. Times are seconds
on the loop's clock.
"""

import http
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from loadplan.serve.app import CLIENT, Application

# A request must have arrived completely within this time of its first byte, or 500 idle-looking clients that send one
# byte a second hold 500 connections for ever.
RECEIPT_LIMIT_S: Final = 10.0
_MAX_HEAD_BYTES: Final = 65_536
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
# How long an idle connection may still bring a request after the stop: one that was on its way gets its answer.
_LINGER_S: Final = 0.2
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in http.HTTPStatus}


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batcher = cast("Application", self.app).batcher
        self._receiving_since_s: float | None = None  # None: no request is half here
        self._head_bytes = 0
        self._is_stopping = False

    def data_received(self, data: bytes) -> None:
        """Parse, and start a turn behind the tasks of the requests that were read."""
        super().data_received(data)
        self._batcher.request_turn()
        if self._is_half_here():
            self._watch(len(data))
        else:
            self._receiving_since_s = None
        if self._is_stopping and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """A request's head is here: its task is scheduled, and finds in the scope who waits for the answer."""
        super().on_headers_complete()
        self.scope[CLIENT] = WaitingClient(self.cycle)  # type: ignore[typeddict-unknown-key]  # ASGI allows more keys

    def close_if_slow(self, now_s: float) -> None:
        """Give up on a request that takes too long to arrive."""
        since_s = self._receiving_since_s
        if since_s is not None and now_s - since_s > RECEIPT_LIMIT_S and not self.flow.read_paused:
            self.transport.close()

    def shutdown(self) -> None:
        """Stop: answer what is here or on its way, then close."""
        self._is_stopping = True
        if self._is_idle():
            self.loop.call_later(_LINGER_S, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self._is_half_here()

    def _is_half_here(self) -> bool:
        """Whether a request has begun to arrive and is not complete."""
        if self.scope is None or self.transport.is_closing():
            return False
        # The path is set when the head is complete.
        return "path" not in self.scope or (self.cycle.more_body and not self.cycle.response_complete)

    def _watch(self, n_bytes: int) -> None:
        if self._receiving_since_s is None:
            self._receiving_since_s = self.loop.time()
            self._head_bytes = 0
        if "path" not in self.scope:
            self._head_bytes += n_bytes
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()


class WaitingClient:
    """Who waits for the answer to one request; see `app.Client`."""

    __slots__ = ("_cycle", "is_gone")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self.is_gone = cycle.transport.is_closing

    def forget(self) -> None:
        """Nobody waits: the server need not be answered for this request."""
        self._cycle.disconnected = True

    def answer(self, status: int, body: bytes, *, kind: bytes, headers: bytes = b"") -> None:
        """Write head and body in one piece, and do what uvicorn's `send` does after the last piece.

        A client that does not read can't make this grow: a connection's next request waits for this answer to leave.
        """
        cycle = self._cycle
        if cycle.disconnected:
            return
        if b"connection: close" in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers += b"connection: close\r\n"
        shown = b"" if cycle.scope["method"] == "HEAD" else body
        cycle.transport.write(
            b"%b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b"
            % (_STATUS_LINES[status], kind, len(body), headers, shown)
        )
        cycle.response_started = True
        cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        # The scope holds this object, which holds the cycle, which holds the scope: left alone, every request would be
        # garbage that only the collector finds, and its pauses of 1 to 15 ms would be the tail of the response times.
        del cycle.scope[CLIENT]  # type: ignore[typeddict-item]  # ASGI allows more keys
