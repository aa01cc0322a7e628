"""Clients that mean harm, or are broken: each is answered or cut off, and the server lives."""

import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.live.serve.conftest import Server, StartServer

_MIB = 1 << 20


@pytest.fixture
def server(start_server: "StartServer") -> Iterator["Server"]:
    server = start_server("--max-batch-size", "8", "--max-body-mib", "1")
    yield server
    assert server.infer(server.document([server.row(1)]))[0] == 200


def _send(server: "Server", *pieces: bytes) -> bytes:
    """What comes back until the server closes; writing may fail, since it closes early."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
        except ConnectionError:
            pass
        return _read_to_end(client)


def _read_to_end(client: socket.socket) -> bytes:
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


_INFER = b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: here\r\n"


@pytest.mark.parametrize("n_bytes", [_MIB + 1, 3 * _MIB], ids=["just too large", "three times"])
def test_a_body_that_is_too_large_gets_413_even_from_a_client_that_writes_first(server: "Server", n_bytes: int) -> None:
    assert server.infer(b" " * n_bytes)[0] == 413
    assert server.metrics()['loadplan_requests_total{outcome="too_large"}'] == 1


def test_a_claim_of_a_gigabyte_is_refused_without_reading_it(server: "Server") -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(_INFER + b"content-length: 1000000000\r\n\r\n{")
        assert _read_to_end(client).startswith(b"HTTP/1.1 413")


def test_small_chunks_without_end_are_cut_off_at_the_limit(server: "Server") -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    pieces = (b"6\r\n      \r\n" * 8192 for _ in range(400))
    _send(server, _INFER + b"transfer-encoding: chunked\r\n\r\n", *pieces)
    assert server.metrics()['loadplan_requests_total{outcome="too_large"}'] == 1
    assert psutil.Process(server.process.pid).memory_info().rss - before < 64 * _MIB


def test_a_head_without_end_gets_431(server: "Server") -> None:
    pieces = (b"x-%d: %s\r\n" % (index, b"y" * 1000) for index in range(2_000))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        for piece in [_INFER, *pieces]:
            try:
                client.sendall(piece)
            except ConnectionError:
                break
            time.sleep(0)  # arrives in many pieces
        received = _read_to_end(client)
    assert received in (b"",) or received.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "message",
    [
        _INFER + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        _INFER + b"content-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
        _INFER + b"content-length: -4\r\n\r\n",
        _INFER + b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
        _INFER + b"transfer-encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        b"GET /v2 HTTP/1.1\r\nhost: here\r\nx: a\r\n folded\r\n\r\n",
        b"GET /v2\xff HTTP/1.1\r\nhost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
    ],
    ids=[
        "length and chunked at once",
        "two lengths",
        "negative length",
        "chunk size not a number",
        "bare line feeds in chunks",
        "folded header",
        "path not ASCII",
        "TLS",
        "not HTTP",
    ],
)
def test_what_is_not_clean_http_gets_400_and_is_closed(server: "Server", message: bytes) -> None:
    assert _send(server, message).startswith(b"HTTP/1.1 400")


def test_a_compressed_body_is_not_unpacked(server: "Server") -> None:
    body = bytes.fromhex("1f8b08000000000000ff")
    answer = _send(server, _INFER + b"connection: close\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_client_that_leaves_in_mid_body_is_forgotten(server: "Server") -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(_INFER + b"content-length: 100\r\n\r\n{")
        server.wait_for("loadplan_requests_in_flight", 1.0)
    server.wait_for("loadplan_requests_in_flight", 0.0)


@pytest.mark.slow
def test_requests_that_never_finish_arriving_are_closed(server: "Server") -> None:
    half_head = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    half_head.sendall(_INFER)
    half_body = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    half_body.sendall(_INFER + b"content-length: 100\r\n\r\n{")
    idle = socket.create_connection(("127.0.0.1", server.port), timeout=0.1)
    assert _read_to_end(half_head) == b""
    assert _read_to_end(half_body) == b""
    with pytest.raises(TimeoutError):  # a connection that has asked for nothing is not slow, and stays
        idle.recv(1)
    for client in (half_head, half_body, idle):
        client.close()
