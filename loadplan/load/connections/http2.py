"""gRPC calls over one HTTP/2 connection, as many at once as the server takes (RFC 9113 and the gRPC protocol over it).

Written for the generator's speed: requests are frames made ready before the run, of which only the number of the stream
is filled in; a call costs a fraction of what it costs by h2 (`tests/performance/wire.py`). Nothing here depends on what
was sent before: our own header block refers to no table, and the server is told to keep none (a table of size 0), so
each block of its answers can be read by itself, and equal ones are read once. hpack reads them.

Calls have one message each way and no compression. `status` of an answer is 200, or `GRPC_STATUS` and the code of gRPC.
"""

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple

from loadplan.load.connections.http_response import MalformedResponse
from loadplan.load.connections.wire import Answer
from loadplan.load.records import GRPC_STATUS, Outcome

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = struct.Struct(">HBBBL")  # length (24 bits), type, flags, stream
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")
_MESSAGE = struct.Struct(">BL")  # of gRPC: whether compressed, and length

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    *(0, 1, 3, 4),
    *(5, 6, 7, 8, 9),
)
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_STREAMS, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 3, 4, 5
_REFUSED_STREAM, _CANCEL, _ENHANCE_YOUR_CALM = 7, 8, 11

_DEFAULT_WINDOW, _LARGEST_WINDOW, _FRAME_BYTES = 65_535, 2**31 - 1, 16_384  # RFC 9113, sections 6.5.2 and 6.9.2
_RENEW_WINDOW_AFTER = 2**30
# Until the server's settings arrive, which is at once: a call beyond its limit would be refused, and the haste be ours.
_STREAMS_UNTIL_TOLD = 1
_LAST_STREAM = 2**31 - 1

_HTTP_OK = 200
_GRPC_OK, _GRPC_UNKNOWN = 0, 2
# RESOURCE_EXHAUSTED and UNAVAILABLE: what a server says that sheds a call.
_SHED = frozenset({8, 14})


def call_headers(path: str, *, host: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The header block of every call, which refers to nothing that was sent before and enters nothing into a table."""
    fields = [
        *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", host)),
        *(("content-type", "application/grpc"), ("te", "trailers")),
        *((name.lower(), value) for name, value in headers),
    ]
    block: bytes = Encoder().encode([NeverIndexedHeaderTuple(name, value) for name, value in fields])
    return block


def framed_message(message: bytes) -> bytes:
    """A message of gRPC as it stands in the data of a call."""
    return _MESSAGE.pack(0, len(message)) + message


class _Stream:
    """One call under way."""

    __slots__ = ("body", "grpc_status", "http_status", "request", "unsent", "window")

    def __init__(self, request: int, *, window: int) -> None:
        self.request = request
        self.window = window  # bytes that the server takes further
        self.unsent: memoryview | None = None
        self.http_status = 0
        self.grpc_status: int | None = None
        self.body = b""


class Http2Wire:
    """One connection. What the limits of the server hold up is sent when they allow it."""

    is_shared = True

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._buffer = b""
        self._out: list[bytes] = []
        self._streams: dict[int, _Stream] = {}
        self._stream_of: dict[int, int] = {}  # by request
        self._blocked: dict[int, _Stream] = {}  # with unsent data, first come first served
        self._next_stream = 1
        self._window, self._initial_window = _DEFAULT_WINDOW, _DEFAULT_WINDOW
        self._max_streams, self._max_frame = _STREAMS_UNTIL_TOLD, _FRAME_BYTES
        self._is_told = False  # the server's settings
        self._is_closing = False
        self._n_received = 0  # bytes of data since the window was last renewed
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and beginning of headers in several frames

    @property
    def has_room(self) -> bool:
        """Whether the server takes another call."""
        return len(self._streams) < self._max_streams and not self._is_closing and self._next_stream < _LAST_STREAM

    def greet(self) -> bytes:
        """Preface and settings: no header table, nothing pushed, and windows that never hold an answer up."""
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, _LARGEST_WINDOW))
        return (
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings))
            + _frame(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(_LARGEST_WINDOW - _DEFAULT_WINDOW))
        )

    def ask(self, request: int, message: bytes) -> bytes:
        """Open a stream with the prepared headers and this data, as far as the windows reach."""
        number = self._next_stream
        self._next_stream = number + 2
        stream = self._streams[number] = _Stream(request, window=self._initial_window)
        self._stream_of[request] = number
        size = len(message)
        opening = b"".join(_header_frames(number, self._head, self._max_frame))
        if size <= self._max_frame and size <= self._window and size <= stream.window and not self._blocked:
            self._window -= size
            return opening + _frame(_DATA, _END_STREAM, number, message)
        stream.unsent = memoryview(message)
        self._blocked[number] = stream
        self._out.append(opening)
        self._send_blocked()
        return self.reply()

    def take(self, data: bytes) -> tuple[Collection[int], Sequence[Answer]]:
        """Every whole frame; what is left waits for more. Raises MalformedResponse."""
        if self._buffer:
            data = self._buffer + data
        begun: list[int] = []
        answers: list[Answer] = []
        position, end = 0, len(data)
        while end - position >= _FRAME.size:
            high, low, kind, flags, number = _FRAME.unpack_from(data, position)
            size = high << 8 | low
            if size > _FRAME_BYTES:
                raise MalformedResponse(f"a frame that begins with {data[position : position + 9]!r}")
            start = position + _FRAME.size
            if end - start < size:
                break
            position = start + size
            self._frame(kind, flags, number & _LAST_STREAM, data[start:position], begun, answers)
        self._buffer = data[position:]
        return begun, answers

    def reply(self) -> bytes:
        """Acknowledgements, renewed windows, and data that had to wait."""
        if not self._out:
            return b""
        out, self._out = b"".join(self._out), []
        return out

    def end(self) -> Sequence[Answer]:
        """No answer of HTTP/2 ends by closing."""
        self._is_closing = True
        return ()

    def give_up(self, request: int) -> bytes | None:
        """Cancel the one call; the others go on."""
        number = self._stream_of[request]
        self._forget(number)
        return _frame(_RST_STREAM, 0, number, _NUMBER.pack(_CANCEL))

    def in_flight(self) -> Collection[int]:
        """Calls without a complete answer."""
        return self._stream_of.keys()

    def _frame(
        self, kind: int, flags: int, number: int, payload: bytes, begun: list[int], answers: list[Answer]
    ) -> None:
        if self._block is not None and kind != _CONTINUATION:
            raise MalformedResponse("headers that do not go on")
        if kind == _DATA:
            self._take_data(flags, number, payload, answers)
        elif kind in {_HEADERS, _CONTINUATION}:
            self._take_headers(kind, flags, number, payload, begun, answers)
        elif kind == _RST_STREAM and number in self._streams:
            (code,) = _unpack(_NUMBER, payload)
            shed = code in {_REFUSED_STREAM, _ENHANCE_YOUR_CALM}
            answers.append(self._ended(number, Outcome.REFUSED if shed else Outcome.CONNECTION_LOST, 0))
        elif kind == _GOAWAY:
            answers += self._go_away(payload)
        elif kind == _PUSH_PROMISE:
            raise MalformedResponse("a pushed answer, which was forbidden")
        else:
            self._take_control(kind, flags, number, payload)

    def _take_data(self, flags: int, number: int, payload: bytes, answers: list[Answer]) -> None:
        self._n_received += len(payload)
        if self._n_received > _RENEW_WINDOW_AFTER:
            self._out.append(_frame(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(self._n_received)))
            self._n_received = 0
        stream = self._streams.get(number)
        if stream is None:
            return  # cancelled meanwhile
        body = _without_padding(flags, payload)
        stream.body = stream.body + body if stream.body else body
        if flags & _END_STREAM:
            answers.append(self._answer(number, stream))

    def _take_headers(
        self, kind: int, flags: int, number: int, payload: bytes, begun: list[int], answers: list[Answer]
    ) -> None:
        if kind == _HEADERS:
            block = _without_padding(flags, payload)[5 if flags & _PRIORITY else 0 :]
        elif self._block is None or self._block[0] != number:
            raise MalformedResponse("headers that go on without having begun")
        else:
            flags |= self._block[1]
            block = self._block[2] + payload
        if len(block) > _FRAME_BYTES * 4:
            raise MalformedResponse("headers without end")
        self._block = None if flags & _END_HEADERS else (number, flags, block)
        stream = self._streams.get(number)
        if stream is None or self._block is not None:
            return
        if not stream.http_status:
            begun.append(stream.request)
        fields = _read_headers(block)
        if b":status" in fields:
            stream.http_status = _status(fields[b":status"])
        if b"grpc-status" in fields:
            stream.grpc_status = _status(fields[b"grpc-status"])
        if flags & _END_STREAM:
            answers.append(self._answer(number, stream))

    def _answer(self, number: int, stream: _Stream) -> Answer:
        """A call that the server ended, by its status and its message."""
        if stream.http_status != _HTTP_OK:
            return self._ended(number, Outcome.HTTP_ERROR, stream.http_status)
        status = _GRPC_UNKNOWN if stream.grpc_status is None else stream.grpc_status
        if status != _GRPC_OK:
            return self._ended(
                number, Outcome.REFUSED if status in _SHED else Outcome.HTTP_ERROR, GRPC_STATUS + min(status, 99)
            )
        body = stream.body
        if len(body) < _MESSAGE.size or _MESSAGE.unpack_from(body) != (0, len(body) - _MESSAGE.size):
            return self._ended(number, Outcome.HTTP_ERROR, 0)
        return self._ended(number, Outcome.OK, _HTTP_OK, body[_MESSAGE.size :])

    def _ended(self, number: int, outcome: Outcome, status: int, body: bytes = b"") -> Answer:
        stream = self._forget(number)
        if stream.unsent is not None:  # answered before the whole request was out
            self._out.append(_frame(_RST_STREAM, 0, number, _NUMBER.pack(_CANCEL)))
        return Answer(stream.request, outcome, status, body, -1)

    def _forget(self, number: int) -> _Stream:
        stream = self._streams.pop(number)
        del self._stream_of[stream.request]
        self._blocked.pop(number, None)
        return stream

    def _go_away(self, payload: bytes) -> list[Answer]:
        """No further calls. Those after the last one named were never looked at.

        A client of gRPC may send them again. Here none is: each due request is sent once and ends in one class, and a
        second try behind the reader's back would hide what a server that restarts does to callers who don't try again.
        """
        self._is_closing = True
        (last,) = _unpack(_NUMBER, payload[:4])
        lost = [number for number in self._streams if number > last & _LAST_STREAM]
        return [self._ended(number, Outcome.STALE_CONNECTION, 0) for number in lost]

    def _take_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            if not self._is_told:
                self._is_told, self._max_streams = True, _LAST_STREAM  # unless they say otherwise
            for name, value in _SETTING.iter_unpack(payload[: len(payload) // _SETTING.size * _SETTING.size]):
                self._set(name, value)
            self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
            self._send_blocked()
        elif kind == _PING and not flags & _ACK:
            self._out.append(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            (more,) = _unpack(_NUMBER, payload)
            if number == 0:
                self._window += more
            elif number in self._streams:
                self._streams[number].window += more
            self._send_blocked()

    def _set(self, name: int, value: int) -> None:
        if name == _MAX_STREAMS:
            self._max_streams = value
        elif name == _MAX_FRAME:
            self._max_frame = value
        elif name == _INITIAL_WINDOW:
            for stream in self._streams.values():  # RFC 9113, section 6.9.2: also of streams that are open
                stream.window += value - self._initial_window
            self._initial_window = value

    def _send_blocked(self) -> None:
        """Send waiting data as far as the windows reach; a stream whose own is used up holds up no other."""
        for number, stream in list(self._blocked.items()):
            while stream.unsent is not None:
                n = min(self._window, stream.window, self._max_frame, len(stream.unsent))
                if n <= 0:
                    break
                self._window -= n
                stream.window -= n
                piece, rest = stream.unsent[:n], stream.unsent[n:]
                stream.unsent = rest if len(rest) else None
                self._out.append(_frame(_DATA, 0 if len(rest) else _END_STREAM, number, bytes(piece)))
            if stream.unsent is None:
                del self._blocked[number]


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def _header_frames(number: int, block: bytes, most: int) -> Iterator[bytes]:
    for start in range(0, len(block), most):
        flags = _END_HEADERS if start + most >= len(block) else 0
        yield _frame(_CONTINUATION if start else _HEADERS, flags, number, block[start : start + most])


def _without_padding(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise MalformedResponse("more padding than there is")
    return payload[1 : len(payload) - payload[0]]


def _unpack(form: struct.Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) != form.size:
        raise MalformedResponse("a frame of the wrong size")
    numbers: tuple[int, ...] = form.unpack(payload)
    return numbers


# Servers repeat their headers: two blocks for each kind of answer.
@lru_cache(maxsize=1024)
def _read_headers(block: bytes) -> Mapping[bytes, bytes]:
    try:
        return MappingProxyType(dict(Decoder().decode(block, raw=True)))
    except HPACKError as error:
        raise MalformedResponse(f"headers that can't be read: {error}") from error


def _status(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) <= 3 else _GRPC_UNKNOWN
