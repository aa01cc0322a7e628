"""Clients that mean harm, or are broken: each is answered or cut off, and the server lives."""

import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
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


@pytest.mark.nightly
def test_five_hundred_that_send_a_byte_now_and_then_are_closed_and_honest_ones_served(server: "Server") -> None:
    """Fault 39, G13. A receipt deadline counts from the first byte, so a byte a second does not help."""
    message = server.message([server.row(1)])
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(500)]
    for index, client in enumerate(slow):
        client.sendall(message[: 20 if index % 2 else len(message) - 40])  # in the head, in the body
    n_honest = 0
    end_s = time.monotonic() + 25.0
    while slow:
        assert time.monotonic() < end_s, f"{len(slow)} are still connected"
        assert server.infer(server.document([server.row(2)]))[0] == 200
        n_honest += 1
        slow = [client for client in slow if _is_open_after_one_byte(client)]
        time.sleep(0.5)
    assert n_honest > 5
    server.wait_for("loadplan_requests_in_flight", 0.0)


def _is_open_after_one_byte(client: socket.socket) -> bool:
    try:
        client.sendall(b" ")
        client.setblocking(False)
        is_open = client.recv(1) != b""
    except BlockingIOError:
        client.setblocking(True)
        return True
    except ConnectionError:
        is_open = False
    if not is_open:
        client.close()
    return is_open


@pytest.mark.nightly
def test_under_overload_each_request_is_answered_or_refused_and_memory_stays(start_server: "StartServer") -> None:
    """Fault 37, the part of G10 that is not a matter of speed: a queue of 16 rows, and 120 that want in at once."""
    server = start_server("--max-batch-size", "8", "--max-queue-rows", "16")
    clients = [server.connect() for _ in range(120)]
    process = psutil.Process(server.process.pid)
    answers = {200: 0, 503: 0}
    before = 0
    for turn in range(40):
        for client in clients:
            client.sendall(server.message([server.row(trips=200)]))
        for client in clients:
            answer = client.recv(65536)
            answers[int(answer[9:12])] += 1
            assert (b"retry-after: 1" in answer) == answer.startswith(b"HTTP/1.1 503")
        assert server.get("/v2/health/ready")[0] == 200
        before = before or (process.memory_info().rss if turn == 5 else 0)
    assert sum(answers.values()) == 40 * 120
    assert min(answers.values()) > 40  # it was overloaded, and went on serving
    assert process.memory_info().rss - before < 32 * _MIB
    assert server.metrics()["loadplan_queue_rows"] == 0.0
    assert server.metrics()['loadplan_requests_total{outcome="rejected"}'] == answers[503]


def test_bytes_that_are_no_message_are_refused_over_grpc_too(start_server: "StartServer") -> None:
    server = start_server("--grpc-port", "0", "--max-body-mib", "1")
    with grpc.insecure_channel(server.said["grpc"]) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for body, code in (
            (b"\xff\xff", "INVALID_ARGUMENT"),
            (bytes(2 * _MIB), "RESOURCE_EXHAUSTED"),
            (b"", "NOT_FOUND"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                infer(body, timeout=20)
            assert caught.value.code().name == code
        nothing = channel.unary_unary("/inference.GRPCInferenceService/ModelStreamInfer")
        with pytest.raises(grpc.RpcError) as caught:
            nothing(b"", timeout=20)
        assert caught.value.code().name == "UNIMPLEMENTED"
    assert server.infer(server.document([server.row(1)]))[0] == 200
    with socket.create_connection(("127.0.0.1", int(server.said["grpc"].rsplit(":", 1)[1])), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        _read_to_end(client)
    assert server.infer(server.document([server.row(1)]))[0] == 200
