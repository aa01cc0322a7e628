"""Calls of gRPC over HTTP/2, held against the server side of h2, which others wrote; nothing goes over a network."""

import struct

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes, Settings

from loadplan.load.connections.http2 import Http2Wire, call_headers, framed_message
from loadplan.load.connections.http_response import MalformedResponse
from loadplan.load.connections.wire import Answer
from loadplan.load.records import Outcome

HEAD = call_headers("/s/M", host="h:1", headers=[("Authorization", "Bearer t")])
TRAILERS = (("grpc-status", "0"),)


class Server:
    """The server's end, and what it saw."""

    def __init__(self, wire: Http2Wire, **settings: int) -> None:
        self.wire = wire
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        named = {SettingCodes[name]: value for name, value in settings.items()}
        self.connection.local_settings = Settings(client=False, initial_values=named)
        self.connection.initiate_connection()
        self.events: list[Event] = []
        self.bodies: dict[int, bytes] = {}
        self.unread: list[DataReceived] = []
        self.take(wire.greet())

    def take(self, data: bytes) -> None:
        """Bytes from the wire."""
        new = self.connection.receive_data(data)
        self.events += new
        for event in new:
            if isinstance(event, DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.unread.append(event)

    def read(self) -> None:
        """Open the windows again by as much as arrived."""
        for event in self.unread:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.unread = []

    def give(self, *, piece: int = 1 << 20) -> tuple[list[int], list[Answer]]:
        """All that the server has to say, in pieces, and what the wire answers to it."""
        begun: list[int] = []
        answers: list[Answer] = []
        data = self.connection.data_to_send()
        for start in range(0, len(data), piece):
            some_begun, some = self.wire.take(data[start : start + piece])
            begun += some_begun
            answers += some
        self.take(self.wire.reply())
        return begun, answers

    def headers(self) -> dict[str, str]:
        (request,) = [event for event in self.events if isinstance(event, RequestReceived)]
        return {str(name): str(value) for name, value in request.headers or ()}

    def ended(self) -> list[int]:
        return [e.stream_id for e in self.events if isinstance(e, StreamEnded)]

    def answer(self, stream: int, message: bytes, *, trailers: tuple[tuple[str, str], ...] = TRAILERS) -> None:
        self.connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        if message:
            self.connection.send_data(stream, message)
        self.connection.send_headers(stream, trailers, end_stream=True)


@pytest.fixture
def pair() -> tuple[Http2Wire, Server]:
    """A wire and a server that know each other's settings."""
    wire = Http2Wire(HEAD)
    server = Server(wire)
    server.give()
    return wire, server


def test_the_settings_of_the_server_are_acknowledged(pair: tuple[Http2Wire, Server]) -> None:
    assert any(isinstance(event, SettingsAcknowledged) for event in pair[1].events)


def test_a_call_arrives_with_its_headers_and_its_message(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    server.take(wire.ask(7, framed_message(b"abc")))
    assert server.headers() == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/s/M",
        ":authority": "h:1",
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": "Bearer t",
    }
    assert server.bodies[1] == b"\x00\x00\x00\x00\x03abc"
    assert server.ended() == [1]


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_answers_find_their_calls_in_whatever_order_and_pieces_they_come(
    piece: int, pair: tuple[Http2Wire, Server]
) -> None:
    wire, server = pair
    for request in (10, 11, 12):
        server.take(wire.ask(request, framed_message(b"q")))
    for stream, text in ((5, b"twelve"), (1, b"ten"), (3, b"eleven")):
        server.answer(stream, framed_message(text))
    begun, answers = server.give(piece=piece)
    assert begun == [12, 10, 11]
    assert answers == [
        Answer(12, Outcome.OK, 200, b"twelve", -1),
        Answer(10, Outcome.OK, 200, b"ten", -1),
        Answer(11, Outcome.OK, 200, b"eleven", -1),
    ]
    assert not wire.in_flight()


def test_many_calls_one_after_the_other_share_the_connection(pair: tuple[Http2Wire, Server]) -> None:
    """Each block of headers is read by itself, so the server must do without a table, as it was told."""
    wire, server = pair
    for i in range(50):
        server.take(wire.ask(i, framed_message(b"q")))
        server.answer(2 * i + 1, framed_message(b"%d" % i), trailers=(("grpc-status", "0"), ("x-id", f"{i % 5}")))
        assert server.give()[1] == [Answer(i, Outcome.OK, 200, b"%d" % i, -1)]


ENDINGS: dict[str, tuple[tuple[tuple[str, str], ...], Outcome, int]] = {
    "resource exhausted": ((("grpc-status", "8"), ("grpc-message", "full")), Outcome.REFUSED, 1008),
    "unavailable": ((("grpc-status", "14"),), Outcome.REFUSED, 1014),
    "deadline exceeded": ((("grpc-status", "4"),), Outcome.HTTP_ERROR, 1004),
    "invalid argument": ((("grpc-status", "3"),), Outcome.HTTP_ERROR, 1003),
    "no status": ((("x", "y"),), Outcome.HTTP_ERROR, 1002),
    "a status that is none": ((("grpc-status", "fine"),), Outcome.HTTP_ERROR, 1002),
}


@pytest.mark.parametrize(("trailers", "outcome", "status"), ENDINGS.values(), ids=ENDINGS)
def test_the_status_in_the_trailers_decides(
    trailers: tuple[tuple[str, str], ...], outcome: Outcome, status: int, pair: tuple[Http2Wire, Server]
) -> None:
    wire, server = pair
    server.take(wire.ask(0, framed_message(b"q")))
    server.answer(1, framed_message(b"a"), trailers=trailers)
    assert server.give()[1] == [Answer(0, outcome, status, b"", -1)]


def test_an_answer_may_be_trailers_alone_or_no_grpc_at_all(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    for i in range(2):
        server.take(wire.ask(i, framed_message(b"q")))
    server.connection.send_headers(1, [(":status", "200"), ("grpc-status", "12")], end_stream=True)
    server.connection.send_headers(3, [(":status", "404")], end_stream=True)
    assert server.give()[1] == [
        Answer(0, Outcome.HTTP_ERROR, 1012, b"", -1),
        Answer(1, Outcome.HTTP_ERROR, 404, b"", -1),
    ]


@pytest.mark.parametrize(
    "message",
    [b"", b"\x00\x00\x00\x00\x05ab", b"\x01\x00\x00\x00\x02ab", framed_message(b"a") * 2],
    ids=["none", "half", "compressed", "two"],
)
def test_a_message_that_is_none_fails(message: bytes, pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    server.take(wire.ask(0, framed_message(b"q")))
    server.answer(1, message)
    assert server.give()[1] == [Answer(0, Outcome.HTTP_ERROR, 0, b"", -1)]


def test_a_body_larger_than_the_windows_waits_for_them_and_arrives_whole(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    large = framed_message(bytes(range(256)) * 1000)
    server.take(wire.ask(0, large))
    server.take(wire.ask(1, framed_message(b"behind it")))
    assert len(server.bodies[1]) == 65_535  # RFC 9113: the window of a new connection
    assert 3 not in server.bodies
    for _ in range(20):
        server.read()
        server.give()
    assert server.bodies == {1: large, 3: framed_message(b"behind it")}
    assert sorted(server.ended()) == [1, 3]


def test_windows_are_those_that_the_server_set_last_for_open_calls_too() -> None:
    wire = Http2Wire(HEAD)
    server = Server(wire, INITIAL_WINDOW_SIZE=10)
    early = wire.ask(0, framed_message(b"x" * 100))  # before the settings were seen: the default window
    server.give()
    assert len(early) > 100
    late = wire.ask(1, framed_message(b"y" * 100))
    assert late.count(b"y") == 5  # ten bytes, five of them the message's head
    wire.take(frame(4, 0, 0, struct.pack(">HL", 4, 60)))  # fifty more for each call
    assert wire.reply().count(b"y") == 50
    wire.take(frame(8, 0, 3, struct.pack(">L", 1000)))
    assert wire.reply().count(b"y") == 45


def test_a_call_given_up_sends_no_more_of_its_request() -> None:
    wire = Http2Wire(HEAD)
    server = Server(wire, INITIAL_WINDOW_SIZE=1 << 20)
    server.give()
    wire.ask(0, framed_message(bytes(100_000)))  # more than the connection's window
    wire.give_up(0)
    wire.take(frame(8, 0, 0, struct.pack(">L", 100_000)))
    assert wire.reply() == b""


def test_no_more_calls_are_open_than_the_server_takes() -> None:
    wire = Http2Wire(HEAD)
    server = Server(wire, MAX_CONCURRENT_STREAMS=2)
    server.give()
    server.take(wire.ask(0, framed_message(b"q")))
    assert wire.has_room
    server.take(wire.ask(1, framed_message(b"q")))
    assert not wire.has_room
    server.answer(1, framed_message(b"a"))
    server.give()
    assert wire.has_room


def test_a_new_connection_takes_one_call_until_the_server_said_how_many() -> None:
    wire = Http2Wire(HEAD)
    server = Server(wire)
    server.take(wire.ask(0, framed_message(b"q")))
    assert not wire.has_room
    server.give()
    assert wire.has_room


def test_a_call_given_up_is_cancelled_and_its_late_answer_passed_over(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    server.take(wire.ask(0, framed_message(b"q")))
    server.take(wire.ask(1, framed_message(b"q")))
    server.answer(1, framed_message(b"late"))
    late = server.connection.data_to_send()
    cancel = wire.give_up(0)
    assert cancel is not None
    assert wire.take(late) == ([], [])
    server.take(cancel)
    server.answer(3, framed_message(b"a"))
    assert server.give()[1] == [Answer(1, Outcome.OK, 200, b"a", -1)]


RESETS = {
    ErrorCodes.REFUSED_STREAM: Outcome.REFUSED,
    ErrorCodes.ENHANCE_YOUR_CALM: Outcome.REFUSED,
    ErrorCodes.INTERNAL_ERROR: Outcome.CONNECTION_LOST,
}


@pytest.mark.parametrize(("code", "outcome"), RESETS.items())
def test_a_reset_ends_one_call_alone(code: ErrorCodes, outcome: Outcome, pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    for i in range(2):
        server.take(wire.ask(i, framed_message(b"q")))
    server.connection.reset_stream(1, code)
    assert server.give()[1] == [Answer(0, outcome, 0, b"", -1)]
    assert list(wire.in_flight()) == [1]


def test_a_server_that_goes_away_answers_what_it_took_and_never_saw_the_rest(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    for i in range(3):
        server.take(wire.ask(i, framed_message(b"q")))
    server.answer(1, framed_message(b"a"))
    server.connection.close_connection(last_stream_id=3)
    begun, answers = server.give()
    assert answers == [Answer(0, Outcome.OK, 200, b"a", -1), Answer(2, Outcome.STALE_CONNECTION, 0, b"", -1)]
    assert begun == [0]
    assert not wire.has_room
    assert list(wire.in_flight()) == [1]


def test_a_request_answered_before_it_was_out_is_taken_back(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    server.take(wire.ask(0, framed_message(bytes(100_000))))
    server.answer(1, b"", trailers=(("grpc-status", "8"),))
    assert server.give()[1] == [Answer(0, Outcome.REFUSED, 1008, b"", -1)]
    assert [event.error_code for event in server.events if isinstance(event, StreamReset)] == [ErrorCodes.CANCEL]


def test_a_ping_is_answered(pair: tuple[Http2Wire, Server]) -> None:
    _, server = pair
    server.connection.ping(b"12345678")
    server.give()
    assert [event.ping_data for event in server.events if isinstance(event, PingAckReceived)] == [b"12345678"]


def test_padding_and_headers_in_several_frames_are_read(pair: tuple[Http2Wire, Server]) -> None:
    wire, server = pair
    server.take(wire.ask(0, framed_message(b"q")))
    server.connection.send_headers(1, [(":status", "200"), ("x-long", "é" * 6_000)])
    server.connection.send_data(1, framed_message(b"a"), pad_length=9)
    server.connection.send_headers(1, TRAILERS, end_stream=True)
    assert server.give(piece=1000)[1] == [Answer(0, Outcome.OK, 200, b"a", -1)]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


NOT_HTTP2: dict[str, bytes] = {
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "TLS": b"\x15\x03\x03\x00\x02\x02\x46" + bytes(9),
    "a frame that is too long": struct.pack(">HBBBL", 1 << 7, 0, 0, 0, 1),
    "headers within headers": frame(1, 0, 1, b"") + frame(0, 0, 1, b""),
    "headers that go on from nowhere": frame(9, 4, 1, b""),
    "headers of a table": frame(1, 5, 1, b"\xbe"),
    "a push": frame(5, 4, 1, bytes(8)),
    "padding of nothing": frame(0, 8, 1, b"\x05a"),
    "half a window": frame(8, 0, 0, b"\x00"),
    "half a reset": frame(3, 0, 1, b"\x00"),
}


@pytest.mark.parametrize("data", NOT_HTTP2.values(), ids=NOT_HTTP2)
def test_what_is_not_http2_is_refused(data: bytes, pair: tuple[Http2Wire, Server]) -> None:
    wire, _ = pair
    wire.ask(0, framed_message(b"q"))
    with pytest.raises(MalformedResponse):
        wire.take(data)


def test_headers_of_any_size_are_sent() -> None:
    wire = Http2Wire(call_headers("/s/M", host="h", headers=[("x-long", "!" * 40_000)]))
    server = Server(wire, MAX_HEADER_LIST_SIZE=1 << 20)
    server.give()
    server.take(wire.ask(0, framed_message(b"q")))
    assert len(server.headers()["x-long"]) == 40_000
