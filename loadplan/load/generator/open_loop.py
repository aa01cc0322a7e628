"""The open loop: sends each request when it is due, whatever the answers do, and records what became of it.

One thread spins over non-blocking sockets and epoll, because a generator that sleeps wakes late (0.1 to 4 ms on a
virtual machine) and its lateness looks like the server's. All times are seconds on CLOCK_MONOTONIC, from the start of
the run in what is returned. The clock is read before each write and after each read, so the generator's own work counts
against the response time, never for it. Each stretch in which the loop did not run although it had little or nothing to
do is recorded as lost time.
"""

import gc
import math
import select
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from loadplan.load.connections.connection import Connection, Network, OwnFault, begin_connecting
from loadplan.load.connections.http2 import Http2Wire
from loadplan.load.connections.http_response import MalformedResponse
from loadplan.load.connections.pool import ConnectionPool
from loadplan.load.connections.wire import Answer, Http11Wire, Wire
from loadplan.load.generator.loop_order import LoopOrder, LoopResult
from loadplan.load.messages.answers import NOT_KEPT, AnswerBook
from loadplan.load.records import LostTime, Outcome, RequestLog
from loadplan.machine import asleep_s
from loadplan.noise import ROBBED_BEYOND_S

_MAX_SENDS_PER_TURN = 16  # more would leave answers unread while a backlog is sent
_MAX_READS_PER_TURN = 8  # more would hold up requests that fall due meanwhile
_READ_BYTES = 65_536  # larger buffers come from fresh pages, which cost more than a second read
_YIELD_EVERY_S = 0.020
_YIELD_NEEDS_S = 0.0005  # a yield takes 10 to 30 µs; a request that is due sooner than this waits for nobody
_YIELD_AT_LATEST_S = 1.0
HEAD_START_S = 0.005  # from the end of the preparations to the start of the schedule
_ACCEPTED_WITHIN_S = 0.3e-3  # a connection that was opened before the start; a server in Python takes half as long
# An idle turn takes 2 µs, a send or a read 5 to 25 µs: a turn far longer than its actions was somebody else's.
_GAP_PER_ACTION_S = 0.00005
# A kept-open connection that its server closes just as a request leaves is nobody's failure to answer. Servers
# close after seconds of idleness, so a loss sooner than this is a loss.
_STALE_AFTER_IDLE_S = 1.0
_EXPIRIES_PER_TURN = 64
_WARM_UP_LIMIT_S = 1.0
# Twenty requests and not one byte in return: there is no server to measure.
_N_UNANSWERED_TO_GIVE_UP = 20

LATE_TURN_S = 0.0001  # an idle loop takes up what falls due within microseconds
_ASLEEP_ALLOWED_S = 0.010
UNDECIDED = 255


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
        self._connections: dict[int, Connection] = {}  # by file descriptor
        self._in_flight: dict[int, Connection] = {}  # by request
        self._new_wire: Callable[[], Wire] = Http11Wire if order.wire == "http/1.1" else partial(Http2Wire, order.head)
        self._pool = ConnectionPool(n_regular=order.n_warm_connections)
        self._due = array("d", bytes(8 * n))
        self._payload = array("i", order.payload[:n].astype(np.int32).tobytes())
        self._sent, self._first_byte, self._done = (array("d", [np.nan]) * n for _ in range(3))
        self._outcome = array("B", [UNDECIDED]) * n
        self._status = array("h", [0]) * n
        self._answer = array("i", [NOT_KEPT]) * n
        self._gaps: list[tuple[float, float]] = []
        self._n_turns = self._n_late_turns = 0
        self._is_stopped = False
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

    def run(self, start_s: Callable[[], float] | None = None) -> LoopResult:
        """Send everything when it is due, wait for every answer or its timeout, and return the records.

        `start_s` is asked when all is ready, and says when the schedule starts on CLOCK_MONOTONIC; None: at once.
        """
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            n_warm = min(self._order.n_warm_connections + self._order.n_reserve_connections, self._n)
            for _ in range(n_warm):
                self._warm_up()
            # The system has accepted them; the server still has to, and what falls due must not wait for that.
            time.sleep(n_warm * _ACCEPTED_WITHIN_S)
            self._start = self._clock() + HEAD_START_S if start_s is None else start_s()
            self._due = array("d", (self._order.due_s + self._start).tobytes())
            self._spin()
        finally:
            gc.enable()
            gc.unfreeze()
            self._close_all()
        return self._result()

    @property
    def n_requests(self) -> int:
        """Requests that are known to be due so far."""
        return self._n

    def ended(self, i: int) -> tuple[Outcome, float | None] | None:
        """What became of request i and its response time, None where it has none; None while it is under way.

        Answers are judged after the run: until then a wrong one counts as right.
        """
        outcome, done = self._outcome[i], self._done[i]
        if outcome == UNDECIDED:
            return None
        return Outcome(outcome), None if math.isnan(done) else done - self._due[i]

    def stop(self) -> None:
        """Send nothing more and wait for nobody; may come from a signal. What has ended by then is the result."""
        self._is_stopped = True

    def _spin(self) -> None:
        slept_s = asleep_s()
        clock, poll, due, timeout_s = self._clock, self._epoll.poll, self._due, self._order.timeout_s
        before = yielded = clock()
        n_actions = 0
        while self._n_open and not self._is_hopeless and not self._is_stopped:
            now = clock()
            self._n_turns += self._next < self._n and now >= self._start  # before and afterwards nothing can be late
            if now - before > ROBBED_BEYOND_S + n_actions * _GAP_PER_ACTION_S:
                self._gaps.append((before, now - before))
            before = now
            next_due = due[self._next] if self._next < self._n else now + 1.0
            n_actions = 0
            if next_due <= now:
                self._n_late_turns += now - next_due > LATE_TURN_S
                n_actions = self._send_due()
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
                if asleep_s() - slept_s > _ASLEEP_ALLOWED_S:
                    self._own_fault = (
                        f"the machine was suspended for {asleep_s() - slept_s:.1f} s, {yielded - self._start:.1f} s "
                        "after the start"
                    )

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
        """Send request i over a connection with room, or over a new one; extra actions that this took."""
        connection, n_extra = self._pool.take(), 0
        if connection is None:
            connection, n_extra = self._open(), 2
            if connection is None:
                self._decide(i, Outcome.NOT_SENT)
                return n_extra
        wire = connection.wire
        if not wire.in_flight():
            connection.was_idle_s = self._clock() - connection.idle_since
        data = wire.ask(i, self._order.messages[self._payload[i]])
        self._in_flight[i] = connection
        self._sent[i] = self._clock()
        if self._write(connection, data):
            self._keep(connection)
        return n_extra

    def _write(self, connection: Connection, data: bytes) -> bool:
        """Write now or when the socket takes more; False where the connection was broken, and is given up."""
        try:
            connection.write(data)
        except OSError:
            self._lose(connection)
            return False
        return True

    def _keep(self, connection: Connection) -> None:
        """For a further request, where it has room for one."""
        self._pool.put(connection)

    def _open(self) -> Connection | None:
        """A new connection, on its way; None where this machine has no more to give."""
        try:
            sock = begin_connecting(self._network, self._order.family, self._order.address)
        except OwnFault as fault:
            self._own_fault = str(fault)
            return None
        is_reserve = self._pool.is_full
        connection = Connection(sock, self._new_wire(), self._epoll, now=self._clock(), is_reserve=is_reserve)
        self._pool.count_in(connection)
        self._connections[connection.descriptor] = connection
        self._n_connections += 1
        return connection

    def _warm_up(self) -> None:
        """Open a connection before the start, so that the first requests don't pay for it."""
        connection = self._open()
        if connection is None:
            return
        connection.await_writable()
        give_up_at = self._clock() + _WARM_UP_LIMIT_S
        while connection.is_waiting and connection.is_open and self._clock() < give_up_at:
            for descriptor, event in self._epoll.poll(_WARM_UP_LIMIT_S, _MAX_READS_PER_TURN):
                self._attend(descriptor, event)
        if connection.is_waiting and connection.is_open:
            self._close(connection)
        elif connection.is_open:
            self._keep(connection)

    def _attend(self, descriptor: int, event: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return  # closed earlier in this turn
        if connection.is_waiting and event & select.EPOLLOUT:
            try:
                connection.flush()
            except OSError:
                self._lose(connection)
        if connection.is_open and event & ~select.EPOLLOUT:
            self._receive(connection)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._lose(connection)
            return
        now = self._clock()
        if not data:
            self._answered(connection, connection.wire.end(), now)
            self._lose(connection)
            return
        try:
            begun, answers = connection.wire.take(data)
        except MalformedResponse:
            self._refuse_all(connection, now)
            return
        for i in begun:
            if math.isnan(self._first_byte[i]):
                self._first_byte[i] = now
                self._n_answered += 1
        self._answered(connection, answers, now)
        self._go_on(connection)

    def _answered(self, connection: Connection, answers: Sequence[Answer], now: float) -> None:
        for answer in answers:
            i = answer.request
            if answer.outcome < Outcome.TIMED_OUT:
                self._done[i] = now
            self._status[i] = answer.status
            self._decide(i, answer.outcome)
            if answer.outcome == Outcome.OK and self._answers is not None:
                self._answer[i] = self._answers.number(self._payload[i], answer.body, answer.n_json_bytes)
            connection.idle_since, connection.was_idle_s = now, 0.0

    def _go_on(self, connection: Connection) -> None:
        """Send what the answers call for; keep the connection for further requests where it takes any."""
        wire = connection.wire
        reply = wire.reply()
        if reply and not self._write(connection, reply):
            return
        if wire.in_flight() or (wire.has_room and (wire.is_shared or not connection.unsent)):
            self._keep(connection)
        else:
            self._close(connection)  # it takes no more, or was answered before the request was out

    def _refuse_all(self, connection: Connection, now: float) -> None:
        """What came back is no answer: all that is under way on this connection has failed."""
        for i in list(connection.wire.in_flight()):
            if math.isnan(self._first_byte[i]):
                self._first_byte[i] = now
                self._n_answered += 1
            self._decide(i, Outcome.HTTP_ERROR)
        self._close(connection)

    def _decide(self, i: int, outcome: Outcome) -> None:
        self._outcome[i] = outcome
        self._n_open -= 1
        self._in_flight.pop(i, None)
        if outcome >= Outcome.TIMED_OUT:
            self._n_given_up += 1
            self._is_hopeless = self._n_answered == 0 and self._n_given_up >= _N_UNANSWERED_TO_GIVE_UP

    def _lose(self, connection: Connection) -> None:
        """The connection broke: whatever was on it has no answer."""
        for i in list(connection.wire.in_flight()):
            is_stale = connection.was_idle_s > _STALE_AFTER_IDLE_S and math.isnan(self._first_byte[i])
            self._decide(i, Outcome.STALE_CONNECTION if is_stale else Outcome.CONNECTION_LOST)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.descriptor]
        self._pool.count_out(connection)
        connection.close()  # in the pool it is passed over when its turn comes

    def _take_back(self, i: int) -> None:
        """Stop waiting for request i; where its connection is its alone, that closes it."""
        connection = self._in_flight[i]
        self._decide(i, Outcome.TIMED_OUT)
        data = connection.wire.give_up(i)
        if data is None:
            self._close(connection)
        elif self._write(connection, data):
            self._keep(connection)

    def _expire(self, now: float) -> int:
        """Give up on requests whose time is over; how many. They fall due, and so expire, in order."""
        n_expired = 0
        for _ in range(_EXPIRIES_PER_TURN):
            i = self._oldest
            if i >= self._next:
                break
            if self._outcome[i] == UNDECIDED:
                if now - self._due[i] <= self._order.timeout_s:
                    break
                self._take_back(i)
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
        is_undecided = outcome == UNDECIDED  # only where the run was given up
        outcome[is_undecided] = np.where(np.isnan(sent_s[is_undecided]), Outcome.NOT_SENT, Outcome.TIMED_OUT)
        gaps = np.array(self._gaps, dtype=np.float64).reshape(-1, 2)
        # Of a run that was stopped, what was under way and what had not fallen due has no ending to tell.
        kept = ~is_undecided if self._is_stopped else np.ones(outcome.size, dtype=np.bool_)
        return LoopResult(
            requests=RequestLog(
                due_s=self._order.due_s[kept],
                sent_s=sent_s[kept],
                first_byte_s=(np.array(self._first_byte) - start)[kept],
                done_s=(np.array(self._done) - start)[kept],
                outcome=outcome[kept],
                status=np.array(self._status, dtype=np.int16)[kept],
                payload=self._order.payload[kept],
            ),
            lost=LostTime(start_s=gaps[:, 0] - start, length_s=gaps[:, 1]),
            n_connections=self._n_connections,
            n_answered=self._n_answered,
            own_fault=self._own_fault,
            saturation_ratio=self._n_late_turns / max(self._n_turns, 1),
        )
