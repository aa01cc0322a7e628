"""Reads HTTP/1.1 answers off one connection, in whatever pieces they arrive (RFC 9112).

Only what a load generator needs: status, body, and whether the connection may be used again. The common case, an
answer that arrives whole with a Content-Length, costs one search for the end of the head and one dictionary look-up.
Nothing is decompressed and no redirect is followed.
"""

from dataclasses import dataclass
from functools import lru_cache

from loadplan.v2_tensors import HEADER_LENGTH

_MAX_HEAD_BYTES = 65_536  # far above what servers send; a longer head is not an answer
_MOST_DIGITS = 18  # of a length; Python refuses to read numbers of thousands of digits
_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
_JSON_LENGTH = HEADER_LENGTH.lower().encode()


class MalformedResponse(Exception):
    """What the server sent is not an HTTP/1.1 answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer."""

    status: int
    body: bytes
    keeps_open: bool  # whether the connection may carry another request
    n_json_bytes: int = -1  # by the header of binary tensors; -1: there was none


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    n_json_bytes: int
    n_body_bytes: int | None  # None: chunked, or until the server closes
    is_chunked: bool
    keeps_open: bool


class ResponseReader:
    """Feed it what arrives; it gives the answer back once it is whole. One per connection."""

    __slots__ = ("_buffer", "_chunks", "_head")

    def __init__(self) -> None:
        self._buffer = b""
        self._head: _Head | None = None
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> Response | None:
        """Take the next bytes; None while the answer is not whole. Raises MalformedResponse."""
        if self._buffer:
            data = self._buffer + data
        head = self._head
        if head is None:
            start, head = self._read_head(data)
            if head is None:
                self._buffer = data[start:]
                return None
            data = data[start:] if start else data
        if head.n_body_bytes is None:
            return self._read_open_ended(head, data)
        if len(data) < head.n_body_bytes:
            self._head, self._buffer = head, data
            return None
        return self._complete(head, data[: head.n_body_bytes], n_left_over=len(data) - head.n_body_bytes)

    def close(self) -> Response | None:
        """The server closed: the answer, where closing is what ends it, else None (half an answer or none)."""
        head = self._head
        if head is None or head.is_chunked or head.n_body_bytes is not None:
            return None
        return self._complete(head, self._buffer, n_left_over=0)

    @staticmethod
    def _read_head(data: bytes) -> tuple[int, _Head | None]:
        """Where the body starts and the final head; interim 1xx answers are passed over."""
        start = 0
        while True:
            end = data.find(_HEAD_END, start)
            if end < 0:
                _check_beginning(data, start)
                return start, None
            head = _parse_head(data[start:end])
            start = end + len(_HEAD_END)
            if head.status >= 200:
                return start, head

    def _read_open_ended(self, head: _Head, data: bytes) -> Response | None:
        self._head = head
        if not head.is_chunked:
            self._buffer = data
            return None
        rest = _take_chunks(data, self._chunks)
        if rest is None:
            body = b"".join(self._chunks)
            return self._complete(head, body, n_left_over=0)
        self._buffer = rest
        return None

    def _complete(self, head: _Head, body: bytes, *, n_left_over: int) -> Response:
        self._buffer, self._head, self._chunks = b"", None, []
        # Bytes that nobody asked for would be taken for the next answer, so the connection is not used again.
        return Response(head.status, body, head.keeps_open and n_left_over == 0, head.n_json_bytes)


def _check_beginning(data: bytes, start: int) -> None:
    beginning = data[start : start + 7]
    if not b"HTTP/1.".startswith(beginning) or len(data) - start > _MAX_HEAD_BYTES:
        raise MalformedResponse(f"an answer that begins with {beginning!r}")


# Servers repeat their head but for the date, which changes once a second.
@lru_cache(maxsize=1024)
def _parse_head(raw: bytes) -> _Head:
    status_line, *lines = raw.split(_LINE_END)
    parts = status_line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not (len(parts[1]) == 3 and parts[1].isdigit()):
        raise MalformedResponse(f"the status line {status_line[:80]!r}")
    status = int(parts[1])
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    is_chunked = any(name == b"transfer-encoding" and b"chunked" in value.lower() for name, value in headers)
    connection = b",".join(value.lower() for name, value in headers if name == b"connection")
    is_old = parts[0] == b"HTTP/1.0"
    n_body_bytes = 0 if status in {204, 304} or status < 200 else _content_length(headers)
    return _Head(
        status=status,
        n_json_bytes=_n_json_bytes(headers),
        n_body_bytes=None if is_chunked else n_body_bytes,
        is_chunked=is_chunked,
        keeps_open=(b"keep-alive" in connection) if is_old else (b"close" not in connection),
    )


def _n_json_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    value = dict(headers).get(_JSON_LENGTH, b"")
    return int(value) if value.isdigit() and len(value) <= _MOST_DIGITS else -1


def _content_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    values = {value for name, value in headers if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not value.isdigit() or len(value) > _MOST_DIGITS:
        raise MalformedResponse(f"the content length {value[:40]!r}")
    return int(value)


def _take_chunks(data: bytes, chunks: list[bytes]) -> bytes | None:
    """Move whole chunks from `data` to `chunks`; what is left over, or None when the last chunk was there."""
    position = 0
    while True:
        line_end = data.find(_LINE_END, position)
        if line_end < 0:
            return data[position:]
        size = _chunk_size(data[position:line_end])
        start = line_end + len(_LINE_END)
        if size == 0:
            # Trailers end with an empty line; without any, that line follows at once.
            ended = data.startswith(_LINE_END, start) or data.find(_HEAD_END, start) >= 0
            return None if ended else data[position:]
        if len(data) < start + size + len(_LINE_END):
            return data[position:]
        chunks.append(data[start : start + size])
        position = start + size + len(_LINE_END)


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise MalformedResponse(f"the chunk size {line[:40]!r}") from None
