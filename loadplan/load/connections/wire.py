"""What one connection speaks, without any I/O: requests become bytes, and the bytes that come back become answers.

The open loop owns sockets and clock and knows no protocol; a wire knows its protocol and neither of those. One wire
carries requests one after the other (HTTP/1.1), another many at once (HTTP/2).
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, Protocol

from loadplan.load.connections.http_response import MalformedResponse, ResponseReader
from loadplan.load.records import Outcome

WireKind = Literal["http/1.1", "http/2"]

_HTTP_SERVICE_UNAVAILABLE = 503


class Answer(NamedTuple):
    """One finished request."""

    request: int
    outcome: Outcome  # OK: its content is still to be judged
    status: int  # as `RequestLog` keeps it
    body: bytes
    n_json_bytes: int  # of a body that holds JSON and binary tensors, the length of the JSON; -1: the server didn't say


class Wire(Protocol):
    """One connection's side of a protocol."""

    is_shared: bool  # carries several requests at once

    @property
    def has_room(self) -> bool:
        """Whether it takes a further request right now."""

    def greet(self) -> bytes:
        """What is sent before any request."""

    def ask(self, request: int, message: bytes) -> bytes:
        """What to send for this request, whose answer will bear its number. Only where there is room."""

    def take(self, data: bytes) -> tuple[Collection[int], Sequence[Answer]]:
        """Requests whose answers have begun to arrive by now, and those that are complete. Raises MalformedResponse."""

    def reply(self) -> bytes:
        """What must be sent because of what was taken."""

    def end(self) -> Sequence[Answer]:
        """The server closed: the answers that end by that."""

    def give_up(self, request: int) -> bytes | None:
        """What takes this request back, so that its answer is not waited for; None: only closing the connection."""

    def in_flight(self) -> Collection[int]:
        """Requests without a complete answer."""


class Http11Wire:
    """HTTP/1.1 with kept-open connections: messages are complete, and one is under way at a time."""

    __slots__ = ("_reader", "_request", "has_room")

    is_shared = False

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._request = -1
        self.has_room = True

    def greet(self) -> bytes:
        """HTTP/1.1 begins with the first request."""
        return b""

    def ask(self, request: int, message: bytes) -> bytes:
        """The message as it was prepared."""
        self._request = request
        self.has_room = False
        return message

    def take(self, data: bytes) -> tuple[Collection[int], Sequence[Answer]]:
        """The answer to the one request, once it is whole."""
        request = self._request
        if request < 0:
            raise MalformedResponse("bytes that nobody asked for")
        response = self._reader.feed(data)
        if response is None:
            return (request,), ()
        self._request = -1
        self.has_room = response.keeps_open
        return (request,), (_answer(request, response.status, response.body, response.n_json_bytes),)

    def reply(self) -> bytes:
        """HTTP/1.1 has nothing but requests and answers."""
        return b""

    def end(self) -> Sequence[Answer]:
        """The answer of a server that ends it by closing."""
        request, response = self._request, self._reader.close()
        self.has_room = False
        if request < 0 or response is None:
            return ()
        self._request = -1
        return (_answer(request, response.status, response.body, response.n_json_bytes),)

    def give_up(self, request: int) -> bytes | None:  # noqa: ARG002 -- there is only one
        """A late answer would be taken for the next one."""
        return None

    def in_flight(self) -> Collection[int]:
        """The one request, or none."""
        return () if self._request < 0 else (self._request,)


def _answer(request: int, status: int, body: bytes, n_json_bytes: int) -> Answer:
    if 200 <= status < 300:
        outcome = Outcome.OK
    elif status == _HTTP_SERVICE_UNAVAILABLE:
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.HTTP_ERROR
    return Answer(request, outcome, status, body, n_json_bytes)
