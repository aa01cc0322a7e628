"""What one request costs the load generator besides the network: `python -m tests.performance.wire`. Asserts nothing.

The bytes of a request are made and those of its answer read, in one process and without a socket, over HTTP/1.1 and
over HTTP/2 as calls of gRPC; beside them the same calls by h2, a general library. Medians of interleaved rounds.
"""

import statistics
import sys
import time
from collections.abc import Callable

import hpack
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived

from loadplan.load.connections.http2 import Http2Wire, call_headers, framed_message
from loadplan.load.connections.wire import Http11Wire, Wire

_N_ROUNDS, _N_REQUESTS = 15, 1000
_REQUEST, _ANSWER = b"q" * 300, b"a" * 100
_PATH = "/inference.GRPCInferenceService/ModelInfer"
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _block(*fields: tuple[str, str]) -> bytes:
    encoded: bytes = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*field) for field in fields])
    return encoded


_HEAD, _TAIL = _block((":status", "200"), ("content-type", "application/grpc")), _block(("grpc-status", "0"))


def _call_answer(stream: int) -> bytes:
    opened = _frame(8, 0, 0, len(_REQUEST).to_bytes(4, "big"))  # the window that the request took
    return (
        opened
        + _frame(1, 4, stream, _HEAD)
        + _frame(0, 0, stream, framed_message(_ANSWER))
        + _frame(1, 5, stream, _TAIL)
    )


def _over(wire: Wire, message: bytes, answer_to: Callable[[int], bytes]) -> float:
    """Seconds for each request."""
    answers = [answer_to(i) for i in range(_N_REQUESTS)]
    began = time.perf_counter()
    for i, answer in enumerate(answers):
        wire.ask(i, message)
        wire.take(answer)
        wire.reply()
    return (time.perf_counter() - began) / _N_REQUESTS


def _http1() -> float:
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n" + _ANSWER
    return _over(Http11Wire(), _REQUEST, lambda _i: answer)


def _http2() -> float:
    wire = Http2Wire(call_headers(_PATH, host="127.0.0.1:8001", headers=()))
    wire.greet()
    wire.take(_SETTINGS)
    wire.reply()
    return _over(wire, framed_message(_REQUEST), lambda i: _call_answer(2 * i + 1))


def _library() -> float:
    """The same calls by h2, with all the checks off that it lets one turn off."""
    unchecked = H2Configuration(
        client_side=True,
        header_encoding=None,
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )
    client = H2Connection(unchecked)
    client.initiate_connection()
    client.receive_data(_SETTINGS)
    client.data_to_send()
    message = framed_message(_REQUEST)
    pseudo = [(":method", "POST"), (":scheme", "http"), (":path", _PATH), (":authority", "127.0.0.1:8001")]
    given = [*pseudo, ("content-type", "application/grpc"), ("te", "trailers")]
    headers = [(name.encode(), value.encode()) for name, value in given]
    answers = [_call_answer(2 * i + 1) for i in range(_N_REQUESTS)]
    began = time.perf_counter()
    for answer in answers:
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, headers)
        client.send_data(stream, message, end_stream=True)
        client.data_to_send()
        for event in client.receive_data(answer):
            if isinstance(event, DataReceived):
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        client.data_to_send()
    return (time.perf_counter() - began) / _N_REQUESTS


def main() -> None:
    """Interleaved rounds, medians, and what a core could do at most."""
    ways: dict[str, Callable[[], float]] = {"HTTP/1.1": _http1, "gRPC": _http2, "gRPC by h2": _library}
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_N_ROUNDS):
        for name, way in ways.items():
            times_s[name].append(way())
    for name, seconds in times_s.items():
        median_s = statistics.median(seconds)
        sys.stdout.write(
            f"{name:10}  {median_s * 1e6:6.1f} µs a request (best {min(seconds) * 1e6:.1f}), "
            f"{median_s / statistics.median(times_s['HTTP/1.1']):4.1f} times HTTP/1.1\n"
        )


if __name__ == "__main__":
    main()
