"""One client connection: uvicorn's HTTP protocol on httptools, with what it lacks.

uvicorn sets no limit to how long a request may take to arrive or how long its head may be, closes idle connections at
a stop even where a request is on its way, and knows nothing of turns. Times are seconds on the loop's clock.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from loadplan.serve.app import IS_GONE, Application

# A request must have arrived completely within this time of its first byte, or 500 idle-looking clients that send one
# byte a second hold 500 connections for ever.
RECEIPT_LIMIT_S: Final = 10.0
_MAX_HEAD_BYTES: Final = 65_536
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
# How long an idle connection may still bring a request after the stop: one that was on its way gets its answer.
_LINGER_S: Final = 0.2
# Below this many bytes uvloop keeps what is written until the end of the turn. The head of an answer is shorter and
# waits for the body; both leave together, at once.
_SEND_FROM_BYTES: Final = 100


class Connection(HttpToolsProtocol):
    """One client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batcher = cast("Application", self.app).batcher
        self._receiving_since_s: float | None = None  # None: no request is half here
        self._head_bytes = 0
        self._is_stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Send answers as soon as they are written."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_SEND_FROM_BYTES)

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

    def on_message_begin(self) -> None:
        """A request begins: let the application see whether its client has left."""
        super().on_message_begin()
        self.scope[IS_GONE] = self.transport.is_closing  # type: ignore[typeddict-unknown-key]  # servers may add keys

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
