"""A fake HTTP server with a known law, in a process of its own: `python fake_server.py '{"service_s": 0.002}'`.

Prints its port, answers until its standard input ends. It stamps the arrival and departure of every request with
CLOCK_MONOTONIC and gives them back at GET /stamps, with the number of the connection it came over. The right answer to
a v2 request is `y = 2 x` per row, where x is the first number of the row; the answer to anything else is `ok`.
"""

import heapq
import itertools
import json
import random
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Law:
    service_s: float = 0.0
    is_single: bool = False  # one request at a time; otherwise all at once
    stall_at_s: float = 0.0  # after the first request: from then on for `stall_s` no service begins
    stall_s: float = 0.0
    odd: str = ""  # how odd requests are treated, see `_ODD`
    odd_share: float = 0.0
    odd_service_s: float = 0.0
    slow_mark: str = ""  # requests that hold this take `slow_ratio` times as long
    close_idle_s: float = 0.0  # 0: never
    is_split: bool = False  # the answer arrives in two segments
    is_chunked: bool = False
    has_interim: bool = False  # a 100 Continue goes before each answer
    is_unique: bool = False  # each answer carries an id of its own
    is_spinning: bool = False  # always polls, for exact departures
    is_exponential: bool = False  # service times are drawn, with `service_s` as their mean
    seed: int = 1
    n_slow: int = 0  # so many first requests take `slow_ratio` times as long
    slow_ratio: float = 5.0
    wrong_from_row: int = -1  # rows of an answer from here on are wrong; -1: none
    is_fast: bool = False  # doesn't look into the request: the answer is `ok`


@dataclass(eq=False)
class Client:
    sock: socket.socket
    number: int
    received: bytes = b""
    last_s: float = 0.0


@dataclass
class Server:
    law: Law
    listener: socket.socket
    epoll: select.epoll = field(default_factory=select.epoll)
    clients: dict[int, Client] = field(default_factory=dict)
    timers: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    counter: "itertools.count[int]" = field(default_factory=itertools.count)
    arrivals: list[float] = field(default_factory=list)
    came_over: list[int] = field(default_factory=list)  # the how many-th connection
    n_accepted: int = 0
    departures: list[float] = field(default_factory=list)
    free_at_s: float = 0.0
    dice: random.Random = field(default_factory=random.Random)
    last_answer: bytes = b""


def serve(server: Server) -> None:
    server.epoll.register(server.listener.fileno(), select.EPOLLIN)
    server.epoll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    while True:
        now = time.monotonic()
        while server.timers and server.timers[0][0] <= now:
            heapq.heappop(server.timers)[2]()
        wait_s = 0.05 if not server.timers else server.timers[0][0] - now - 0.0015
        for descriptor, _ in server.epoll.poll(0.0 if server.law.is_spinning else max(0.0, min(wait_s, 0.05)), 64):
            if descriptor == sys.stdin.fileno():
                return
            if descriptor == server.listener.fileno():
                accept(server)
            elif descriptor in server.clients:
                read(server, server.clients[descriptor])
        if server.law.close_idle_s:
            close_idle(server)


def accept(server: Server) -> None:
    sock, _ = server.listener.accept()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.clients[sock.fileno()] = Client(sock, server.n_accepted, last_s=time.monotonic())
    server.n_accepted += 1
    server.epoll.register(sock.fileno(), select.EPOLLIN)


def close(server: Server, client: Client) -> None:
    if client.sock.fileno() >= 0:
        del server.clients[client.sock.fileno()]
        client.sock.close()


def close_idle(server: Server) -> None:
    now = time.monotonic()
    for client in list(server.clients.values()):
        if now - client.last_s > server.law.close_idle_s:
            close(server, client)


def read(server: Server, client: Client) -> None:
    try:
        data = client.sock.recv(1 << 20)
    except OSError:
        data = b""
    if not data:
        close(server, client)
        return
    client.received += data
    head_end = client.received.find(b"\r\n\r\n") + 4
    if head_end < 4:
        return
    head = client.received[:head_end]
    mark = head.find(b"Content-Length: ")
    n_body = int(head[mark + 16 : head.index(b"\r\n", mark)]) if mark >= 0 else 0
    if len(client.received) < head_end + n_body:
        return
    body, client.received = client.received[head_end : head_end + n_body], client.received[head_end + n_body :]
    client.last_s = time.monotonic()
    if head.startswith(b"GET /metrics"):
        client.sock.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    elif head.startswith(b"GET /stamps"):
        stamps = json.dumps(
            {
                "arrivals": server.arrivals,
                "departures": server.departures,
                "connections": server.came_over,
            }
        ).encode()
        client.sock.setblocking(True)
        client.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(stamps) + stamps)
        client.sock.setblocking(False)
    else:
        take(server, client, body)


def take(server: Server, client: Client, body: bytes) -> None:
    law, k, now = server.law, len(server.arrivals), time.monotonic()
    server.arrivals.append(now)
    server.came_over.append(client.number)
    server.departures.append(float("nan"))
    is_odd = int((k + 1) * law.odd_share) > int(k * law.odd_share)
    begins = max(now, server.free_at_s) if law.is_single else now
    stall_from = server.arrivals[0] + law.stall_at_s
    if law.stall_s and stall_from <= begins < stall_from + law.stall_s:
        begins = stall_from + law.stall_s
    is_slow = k < law.n_slow or (law.slow_mark != "" and law.slow_mark.encode() in body)
    takes = law.odd_service_s if is_odd else law.service_s * (law.slow_ratio if is_slow else 1.0)
    departs = begins + (server.dice.expovariate(1.0 / takes) if law.is_exponential and takes else takes)
    server.free_at_s = departs

    def answer() -> None:
        content = b"ok" if law.is_fast else right_answer(server, body, k)
        message = whole(law, content) if not is_odd else _ODD[law.odd](server, client, content)
        server.last_answer = content
        server.departures[k] = time.monotonic()
        if message:
            send(server, client, message)

    if departs <= now:
        answer()
    else:
        at(server, departs, answer)


def at(server: Server, when_s: float, what: Callable[[], None]) -> None:
    heapq.heappush(server.timers, (when_s, next(server.counter), what))


def send(server: Server, client: Client, message: bytes) -> None:
    client.last_s = time.monotonic()
    try:
        if server.law.is_split:
            client.sock.send(message[: len(message) - 5])
            at(server, time.monotonic() + 0.0002, lambda: send_rest(client, message[-5:]))
        else:
            client.sock.send(message)
    except OSError:
        close(server, client)


def send_rest(client: Client, rest: bytes) -> None:
    if client.sock.fileno() >= 0:
        client.sock.send(rest)


def right_answer(server: Server, body: bytes, k: int) -> bytes:
    if not body.startswith(b'{"inputs"'):
        return b"ok"
    (tensor,) = json.loads(body)["inputs"]
    n_rows, width = tensor["shape"]
    doubled = [2.0 * tensor["data"][i * width] for i in range(n_rows)]
    if server.law.wrong_from_row >= 0:
        wrong = range(server.law.wrong_from_row, n_rows)
        for i in wrong:
            doubled[i] += 1.0
    output = {"name": "y", "datatype": "FP32", "shape": [n_rows], "data": doubled}
    answer: dict[str, object] = {"outputs": [output]}
    if server.law.is_unique:
        answer["id"] = str(k)
    return json.dumps(answer).encode()


def whole(law: Law, content: bytes, status: bytes = b"200 OK") -> bytes:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" if law.has_interim else b""
    if law.is_chunked:
        parts = (content[:3], content[3:])
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)
        return interim + b"HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n" % status + chunks + b"0\r\n\r\n"
    return interim + b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content


def _half(server: Server, client: Client, content: bytes) -> bytes:
    client.sock.send(whole(server.law, content)[:-2])
    close(server, client)
    return b""


def _reset(server: Server, client: Client, _content: bytes) -> bytes:
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    close(server, client)
    return b""


def _drip(server: Server, client: Client, content: bytes) -> bytes:
    message = whole(server.law, content)
    for i in range(len(message)):
        at(server, time.monotonic() + 0.1 * i, lambda byte=message[i : i + 1]: send_rest(client, byte))  # type: ignore[misc]
    return b""


def _last_word(_server: Server, _client: Client, content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content


_ODD: dict[str, Callable[[Server, Client, bytes], bytes]] = {
    "503": lambda s, _c, _b: whole(s.law, b"full", b"503 Service Unavailable"),
    "500": lambda s, _c, _b: whole(s.law, b"broken", b"500 Internal Server Error"),
    "302": lambda _s, _c, _b: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "garbage": lambda _s, _c, _b: b"\x16\x03\x01 this is not HTTP\r\n\r\n",
    "silent": lambda _s, _c, _b: b"",
    "half": _half,
    "reset": _reset,
    "drip": _drip,
    "close": _last_word,
    "zeros": lambda s, _c, _b: whole(s.law, b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[0.0]}]}'),
    "nan": lambda s, _c, _b: whole(s.law, b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[NaN]}]}'),
    "neighbour": lambda s, _c, _b: whole(s.law, s.last_answer),
    "error body": lambda s, _c, _b: whole(s.law, b'{"error":"out of memory"}'),
}


def main() -> None:
    law = Law(**json.loads(sys.argv[1]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve(Server(law, listener, dice=random.Random(law.seed)))


if __name__ == "__main__":
    main()
