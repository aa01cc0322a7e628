"""Answers are read the same in whatever pieces they arrive."""

import pytest

from loadplan.load.connections.http_response import MalformedResponse, Response, ResponseReader

WHOLE = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Response(200, b"hello", True)),
    "length in capitals": (b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:5\r\n\r\nhello", Response(200, b"hello", True)),
    "empty body": (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", Response(503, b"", True)),
    "no reason phrase": (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", Response(200, b"x", True)),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, b"", True)),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", Response(200, b"ok", False)),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Response(200, b"ok", False)),
    "old kept open": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        Response(200, b"ok", True),
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Response(200, b"ok", True),
    ),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;note=1\r\n0123456789\r\n0\r\n\r\n",
        Response(200, b"abc0123456789", True),
    ),
    "chunked with trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nDigest: x\r\n\r\n",
        Response(200, b"abc", True),
    ),
}


@pytest.mark.parametrize(("data", "response"), WHOLE.values(), ids=WHOLE)
def test_an_answer_in_one_piece_is_read(data: bytes, response: Response) -> None:
    assert ResponseReader().feed(data) == response


@pytest.mark.parametrize(("data", "response"), WHOLE.values(), ids=WHOLE)
def test_an_answer_cut_anywhere_is_read_the_same(data: bytes, response: Response) -> None:
    for cut in range(1, len(data)):
        reader = ResponseReader()
        assert reader.feed(data[:cut]) is None
        assert reader.feed(data[cut:]) == response


@pytest.mark.parametrize(("data", "response"), WHOLE.values(), ids=WHOLE)
def test_an_answer_that_drips_is_read_the_same(data: bytes, response: Response) -> None:
    reader = ResponseReader()
    assert [reader.feed(data[i : i + 1]) for i in range(len(data))] == [None] * (len(data) - 1) + [response]


def test_one_reader_reads_answer_after_answer() -> None:
    reader = ResponseReader()
    for data, response in WHOLE.values():
        assert reader.feed(data[:20]) is None
        assert reader.feed(data[20:]) == response


def test_without_a_length_the_answer_ends_when_the_server_closes() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nsome") is None
    assert reader.feed(b" text") is None
    assert reader.close() == Response(200, b"some text", True)


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_half_an_answer_is_no_answer(name: str) -> None:
    reader = ResponseReader()
    assert reader.feed(WHOLE[name][0][:-3]) is None
    assert reader.close() is None


def test_bytes_after_the_answer_end_the_connection() -> None:
    assert ResponseReader().feed(WHOLE["length"][0] + b"HTTP/1.1 200 OK\r\n") == Response(200, b"hello", False)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
    ids=["TLS", "SSH", "status", "negative length", "two lengths", "chunk size", "endless head"],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedResponse):
        ResponseReader().feed(data)
