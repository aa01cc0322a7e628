"""The open loop: sends each request when it is due, whatever the answers do, and records what became of it.

One thread spins over non-blocking sockets and epoll, because a generator that sleeps wakes late (0.1 to 4 ms on a
virtual machine) and its lateness looks like the server's. Requests never wait for a free connection: the pool grows
with the backlog. All times are seconds on CLOCK_MONOTONIC, from the start of the run in what is returned. The clock
is read before each write and after each read, so the generator's own work counts against the response time, never
for it. Each stretch in which the loop did not run although it had little or nothing to do is recorded as lost time.
"""

import errno
import gc
import math
import os
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.load.answers import NOT_KEPT, AnswerBook
from loadplan.load.http_response import MalformedResponse, Response, ResponseReader
from loadplan.load.records import LostTime, Outcome, RequestLog
from loadplan.noise import ROBBED_BEYOND_S

_MAX_SENDS_PER_TURN = 16  # more would leave answers unread while a backlog is sent
_MAX_READS_PER_TURN = 8  # more would hold up requests that fall due meanwhile
_READ_BYTES = 65_536  # larger buffers come from fresh pages, which cost more than a second read
_YIELD_EVERY_S = 0.020
_YIELD_NEEDS_S = 0.0005  # a yield takes 10 to 30 µs; a request that is due sooner than this waits for nobody
_YIELD_AT_LATEST_S = 1.0
_HEAD_START_S = 0.005  # from the end of the preparations to the start of the schedule
# An idle turn takes 2 µs, a send or a read 5 to 25 µs: a turn far longer than its actions was somebody else's.
_GAP_PER_ACTION_S = 0.00005
# A kept-open connection that its server closes just as a request leaves is nobody's failure to answer. Servers
# close after seconds of idleness, so a loss sooner than this is a loss.
_STALE_AFTER_IDLE_S = 1.0
_EXPIRIES_PER_TURN = 64
# Twenty requests and not one byte in return: there is no server to measure.
_N_UNANSWERED_TO_GIVE_UP = 20

_UNDECIDED = 255
# Errors of the generator's own machine, not of the target: no local port or file descriptor left.
_OWN_ERRORS = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The two things the loop takes from the system; under gevent they must be the unpatched ones."""

    open_socket: Callable[[int, int], socket.socket]
    open_epoll: "Callable[[], select.epoll]"  # in quotes, for under gevent `select` has none


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOrder:
    """What the loop is to do."""

    family: int  # address family of the target, such as AF_INET
    address: tuple[str, int]  # resolved, numeric
    due_s: NDArray[np.float64]  # ascending, from the start of the run
    payload: NDArray[np.int32]  # which message each request sends
    messages: tuple[bytes, ...]
    timeout_s: float
    n_warm_connections: int  # opened before the start


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResult:
    """What happened to every request, and what disturbed the generator."""

    requests: RequestLog
    lost: LostTime
    n_connections: int  # opened in all
    n_answered: int  # requests to which at least one byte came back
    own_fault: str | None  # why the generator itself could not go on sending; None: it could


class _Connection:
    __slots__ = ("descriptor", "idle_since", "is_open", "reader", "request", "sock", "unsent")

    def __init__(self, sock: socket.socket, *, now: float) -> None:
        self.sock = sock
        self.descriptor = sock.fileno()
        self.reader = ResponseReader()
        self.request = -1  # in flight on this connection; -1: idle
        self.unsent: memoryview | None = None
        self.idle_since = now
        self.is_open = True


class OpenLoop:
    """One run. `run()` returns when every due request has ended in exactly one class."""

    def __init__(
        self,
        order: LoopOrder,
        network: Network,
        *,
        answers: AnswerBook | None = None,
        yield_to_others: Callable[[], object] = lambda: None,
    ) -> None:
        n = order.due_s.size
        self._order = order
        self._answers = answers
        self._network = network
        self._yield = yield_to_others
        self._clock = time.monotonic
        self._epoll = self._network.open_epoll()
        self._connections: dict[int, _Connection] = {}  # by file descriptor
        self._in_flight: dict[int, _Connection] = {}  # by request
        self._idle: deque[_Connection] = deque()  # first in, first out: all connections, so all workers, get a share
        self._due = array("d", bytes(8 * n))
        self._payload = array("i", order.payload.astype(np.int32).tobytes())
        self._sent, self._first_byte, self._done = (array("d", [np.nan]) * n for _ in range(3))
        self._outcome = array("B", [_UNDECIDED]) * n
        self._status = array("h", [0]) * n
        self._answer = array("i", [NOT_KEPT]) * n
        self._gaps: list[tuple[float, float]] = []
        self._n = n
        self._next = 0  # the next request to be sent
        self._oldest = 0  # every request before this one is decided
        self._n_open = n  # undecided
        self._n_connections = 0
        self._n_answered = 0
        self._n_given_up = 0  # decided without an answer
        self._own_fault: str | None = None
        self._is_hopeless = False
        self._start = 0.0

    def run(self) -> LoopResult:
        """Send everything when it is due, wait for every answer or its timeout, and return the records."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            for _ in range(min(self._order.n_warm_connections, self._n)):
                self._warm_up()
            self._start = self._clock() + _HEAD_START_S
            self._due = array("d", (self._order.due_s + self._start).tobytes())
            self._spin()
        finally:
            gc.enable()
            gc.unfreeze()
            self._close_all()
        return self._result()

    def _spin(self) -> None:
        clock, poll, due, timeout_s = self._clock, self._epoll.poll, self._due, self._order.timeout_s
        before = yielded = clock()
        n_actions = 0
        while self._n_open and not self._is_hopeless:
            now = clock()
            if now - before > ROBBED_BEYOND_S + n_actions * _GAP_PER_ACTION_S:
                self._gaps.append((before, now - before))
            before = now
            next_due = due[self._next] if self._next < self._n else now + 1.0
            n_actions = self._send_due() if next_due <= now else 0
            for descriptor, event in poll(0, _MAX_READS_PER_TURN):
                self._attend(descriptor, event)
                n_actions += 1
            if now - due[self._oldest] > timeout_s:
                n_actions += self._expire(now)
            if now - yielded > _YIELD_EVERY_S and (
                next_due - now > _YIELD_NEEDS_S or now - yielded > _YIELD_AT_LATEST_S
            ):
                self._yield()
                before = yielded = clock()

    # Sending

    def _send_due(self) -> int:
        """Send what is due, up to a turn's share; how many actions that took."""
        n_actions = 0
        clock, due = self._clock, self._due
        while n_actions < _MAX_SENDS_PER_TURN and self._next < self._n:
            i = self._next
            now = clock()
            if due[i] > now:
                break
            self._next = i + 1
            n_actions += 1
            if now - due[i] > self._order.timeout_s:
                self._decide(i, Outcome.NOT_SENT)  # its time was over before the generator came to it
            else:
                n_actions += self._send(i)
        return n_actions

    def _send(self, i: int) -> int:
        """Send request i over an idle connection, or over a new one; extra actions that this took."""
        connection, n_extra = self._take_idle(), 0
        if connection is None:
            connection, n_extra = self._open(), 2
            if connection is None:
                self._decide(i, Outcome.NOT_SENT)
                return n_extra
        message = self._order.messages[self._payload[i]]
        connection.request = i
        self._in_flight[i] = connection
        self._sent[i] = self._clock()
        try:
            n_sent = connection.sock.send(message)
        except BlockingIOError:  # still connecting, or a full buffer
            n_sent = 0
        except OSError:
            self._lose(connection)
            return n_extra
        if n_sent < len(message):
            connection.unsent = memoryview(message)[n_sent:]
            self._epoll.modify(connection.descriptor, select.EPOLLIN | select.EPOLLOUT)
        return n_extra

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_open:
                return connection
        return None

    def _open(self) -> _Connection | None:
        """A new connection, on its way; None where this machine has no more to give."""
        try:
            sock = self._network.open_socket(self._order.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._own_fault = f"no socket could be opened: {error.strerror}"
            return None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(self._order.address)
        if code in _OWN_ERRORS:
            sock.close()
            self._own_fault = f"no connection could be opened: {os.strerror(code)}"
            return None
        connection = _Connection(sock, now=self._clock())
        self._connections[connection.descriptor] = connection
        self._epoll.register(connection.descriptor, select.EPOLLIN)
        self._n_connections += 1
        return connection

    def _warm_up(self) -> None:
        """Open a connection before the start, so that the first requests don't pay for it."""
        connection = self._open()
        if connection is None:
            return
        self._epoll.modify(connection.descriptor, select.EPOLLOUT)
        events = self._epoll.poll(1.0, 1)
        if events and events[0][1] == select.EPOLLOUT:
            self._epoll.modify(connection.descriptor, select.EPOLLIN)
            self._idle.append(connection)
        else:
            self._close(connection)

    # Receiving

    def _attend(self, descriptor: int, event: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return  # closed earlier in this turn
        if connection.unsent is not None and event & select.EPOLLOUT:
            self._flush(connection, connection.unsent)
        if connection.is_open and event & ~select.EPOLLOUT:
            self._receive(connection)

    def _flush(self, connection: _Connection, unsent: memoryview) -> None:
        """Write on where the last write stopped."""
        try:
            n_sent = connection.sock.send(unsent)
        except BlockingIOError:
            return
        except OSError:
            self._lose(connection)
            return
        connection.unsent = unsent[n_sent:] if n_sent < len(unsent) else None
        if connection.unsent is None:
            self._epoll.modify(connection.descriptor, select.EPOLLIN)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._lose(connection)
            return
        now = self._clock()
        i = connection.request
        if i < 0:
            self._close(connection)  # closed while idle, or bytes that nobody asked for
            return
        if data and math.isnan(self._first_byte[i]):
            self._first_byte[i] = now
            self._n_answered += 1
        try:
            response = connection.reader.feed(data) if data else connection.reader.close()
        except MalformedResponse:
            self._decide(i, Outcome.HTTP_ERROR)
            self._close(connection)
            return
        if response is not None:
            self._answered(connection, response, now)
        elif not data:
            self._lose(connection)

    def _answered(self, connection: _Connection, response: Response, now: float) -> None:
        i, status = connection.request, response.status
        self._done[i] = now
        self._status[i] = status
        if 200 <= status < 300:
            self._decide(i, Outcome.OK)
            if self._answers is not None:
                self._answer[i] = self._answers.number(self._payload[i], response.body)
        else:
            self._decide(i, Outcome.REFUSED if status == 503 else Outcome.HTTP_ERROR)
        connection.request = -1
        if response.keeps_open and connection.unsent is None:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            self._close(connection)

    # Endings

    def _decide(self, i: int, outcome: Outcome) -> None:
        self._outcome[i] = outcome
        self._n_open -= 1
        self._in_flight.pop(i, None)
        if outcome >= Outcome.TIMED_OUT:
            self._n_given_up += 1
            self._is_hopeless = self._n_answered == 0 and self._n_given_up >= _N_UNANSWERED_TO_GIVE_UP

    def _lose(self, connection: _Connection) -> None:
        """The connection broke: whatever was on it has no answer."""
        i = connection.request
        if i >= 0:
            was_idle_s = self._sent[i] - connection.idle_since
            is_stale = was_idle_s > _STALE_AFTER_IDLE_S and math.isnan(self._first_byte[i])
            self._decide(i, Outcome.STALE_CONNECTION if is_stale else Outcome.CONNECTION_LOST)
        self._close(connection)

    def _close(self, connection: _Connection) -> None:
        connection.is_open = False  # an idle one is passed over when its turn comes
        del self._connections[connection.descriptor]
        connection.sock.close()  # takes it out of epoll too

    def _expire(self, now: float) -> int:
        """Give up on requests whose time is over; how many. They fall due, and so expire, in order."""
        n_expired = 0
        for _ in range(_EXPIRIES_PER_TURN):
            i = self._oldest
            if i >= self._next:
                break
            if self._outcome[i] == _UNDECIDED:
                if now - self._due[i] <= self._order.timeout_s:
                    break
                connection = self._in_flight[i]
                self._decide(i, Outcome.TIMED_OUT)
                self._close(connection)
                n_expired += 1
            self._oldest += 1
        return n_expired

    def _close_all(self) -> None:
        for connection in self._connections.values():
            connection.sock.close()
        self._epoll.close()

    def _result(self) -> LoopResult:
        start = self._start
        outcome = np.array(self._outcome, dtype=np.uint8)
        answer = np.array(self._answer, dtype=np.int64)
        sent_s = np.array(self._sent) - start
        if self._answers is not None:
            is_kept = answer != NOT_KEPT
            is_right = self._answers.right_by_number()
            outcome[is_kept & ~is_right[np.where(is_kept, answer, 0)]] = Outcome.WRONG_ANSWER
        is_undecided = outcome == _UNDECIDED  # only where the run was given up
        outcome[is_undecided] = np.where(np.isnan(sent_s[is_undecided]), Outcome.NOT_SENT, Outcome.TIMED_OUT)
        gaps = np.array(self._gaps, dtype=np.float64).reshape(-1, 2)
        return LoopResult(
            requests=RequestLog(
                due_s=self._order.due_s,
                sent_s=sent_s,
                first_byte_s=np.array(self._first_byte) - start,
                done_s=np.array(self._done) - start,
                outcome=outcome,
                status=np.array(self._status, dtype=np.int16),
                payload=self._order.payload,
            ),
            lost=LostTime(start_s=gaps[:, 0] - start, length_s=gaps[:, 1]),
            n_connections=self._n_connections,
            n_answered=self._n_answered,
            own_fault=self._own_fault,
        )
