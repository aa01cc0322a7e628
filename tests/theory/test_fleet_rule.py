"""The simulated fleet against a second simulation of the same rule, request by request, on small random cases.

The second one is plain Python: a heap of events, of which every answer that leaves is one, where the first works turns
out at once and undoes what a loss takes back. Times are multiples of 2^-11 s, so that sums are exact and ties are ties.
"""

import heapq
import math
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.execution import Balancing, ServingConfig
from loadplan.fit.fleet_records import Fate, Fleet, Loss, Offered, Retries
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import scale, simulate
from loadplan.fit.simulate_fleet import draw_fleet, offer, scale_fleet, simulate_fleet

TICK_S = 2.0**-11
POLICIES: tuple[Balancing, ...] = ("random", "round_robin", "least_outstanding", "per_connection", "shared_queue")
COSTS = OverheadFit(
    request_s=2 * TICK_S,
    row_s=2 * TICK_S,
    response_s=2 * TICK_S,
    batch_s=4 * TICK_S,
    wake_s=4 * TICK_S,
    transfer_s=2 * TICK_S,
    cold_ratio=0.0,
    spread_ratio=0.0,
    stall_s=0.0,
    stall_rate_per_s=0.0,
    residuals=(),
)
SERVICE_S = TICK_S * np.array([6 + 4 * rows for rows in range(40)], dtype=np.float64)
DRAWS = draw_fleet(np.random.default_rng(3), n_processes=12, n_pauses=64)
EXACT = scale_fleet(DRAWS, COSTS, service_spread_ratio=0.0)
CHOICE, CONNECTION, DEAL, _ = DRAWS.uniform
MASK = CHOICE.size - 1

LEAVES, CONTROL, REACHES, TURNS = range(4)  # the order of events at the same time


@dataclass
class Process:
    index: int
    asleep_since_s: float = 0.0
    is_asleep: bool = True
    is_down: bool = False
    n_lost: int = 0
    is_coming: bool = False  # to the shared queue
    in_window: bool = False
    unread: list[int] = field(default_factory=list)
    queue: list[tuple[int, float]] = field(default_factory=list)  # with the time of its entry
    inferred: list[int] = field(default_factory=list)
    inferred_s: float = 0.0
    version: int = 0  # of what is planned for it: an older wake or poll is void


class PlainFleet:
    def __init__(self, offered: Offered, fleet: Fleet) -> None:
        self.fleet, self.law, self.serving = fleet, fleet.overhead, fleet.serving
        n = offered.sent_s.size
        self.rows = [int(rows) for rows in offered.n_rows]
        self.before_s = [float(s) for s in np.resize(offered.before_s, n)]
        self.after_s = [float(s) for s in np.resize(offered.after_s, n)]
        self.per = self.serving.n_server_processes
        self.processes = [Process(index) for index in range(fleet.n_processes)]
        self.is_in = [True] * fleet.n_replicas
        self.noticed_s = [0.0] * fleet.n_replicas
        self.outstanding: list[dict[int, int]] = [{} for _ in self.is_in]  # request: its process
        self.next_in_turn = 0
        self.shared: list[tuple[int, float]] = []
        self.fate, self.ended_s = [int(Fate.LOST)] * n, [math.inf] * n
        self.attempts, self.process = [0] * n, [-1] * n
        self.events: list[tuple[float, int, tuple[int, ...], Any]] = []
        self.n_events = 0
        # The requests' own order is that in which they would reach the balancer first.
        self.order = np.argsort(offered.sent_s + np.resize(offered.before_s, n) + self.law.transfer_s, kind="stable")
        self.rows, self.before_s, self.after_s = (
            [values[i] for i in self.order] for values in (self.rows, self.before_s, self.after_s)
        )
        for k, i in enumerate(self.order):
            at_s = float(offered.sent_s[i]) + self.before_s[k] + self.law.transfer_s
            self.at(at_s, REACHES, (0, k), self.reach, k)
        for i, loss in enumerate(sorted(fleet.losses, key=lambda loss: loss.at_s)):
            found_s = loss.at_s + loss.detected_after_s
            self.at(loss.at_s, CONTROL, (i, 0), self.lose, loss)
            self.at(found_s, CONTROL, (i, 1), self.find_out, loss)
            if math.isfinite(loss.back_after_s):
                self.at(found_s + loss.back_after_s, CONTROL, (i, 2), self.come_back, loss)

    def at(self, at_s: float, rank: int, key: tuple[int, ...], call: Any, *arguments: Any) -> None:
        self.n_events += 1
        heapq.heappush(self.events, (at_s, rank, (*key, self.n_events), (call, arguments)))

    def run(self) -> "PlainFleet":
        while self.events:
            at_s, _, _, (call, arguments) = heapq.heappop(self.events)
            call(at_s, *arguments)
        return self

    # The clients

    def delayed(self, k: int) -> int:
        return (k + self.attempts[k] - 1) % len(self.rows)

    def ends(self, at_s: float, k: int, fate: Fate, process: int) -> None:
        self.fate[k], self.process[k] = int(fate), process
        known_s = at_s if fate == Fate.LOST else at_s + self.after_s[self.delayed(k)]
        self.ended_s[k] = known_s
        if fate != Fate.ANSWERED and self.attempts[k] <= self.fleet.retries.n_most:
            wait_s = self.fleet.retries.backoff_s * 2.0 ** (self.attempts[k] - 1)
            again_s = known_s + wait_s + self.before_s[(k + self.attempts[k]) % len(self.rows)] + self.law.transfer_s
            self.at(again_s, REACHES, (1, k), self.reach, k)

    # The balancer

    def reach(self, at_s: float, k: int) -> None:
        self.attempts[k] += 1
        self.fate[k], self.ended_s[k], self.process[k] = int(Fate.LOST), math.inf, -1  # should nothing follow
        if self.fleet.balancing == "shared_queue":
            waiting = sum(self.rows[other] for other, _ in self.shared)
            if waiting and waiting + self.rows[k] > self.serving.max_queue_rows:
                self.ends(at_s, k, Fate.REFUSED, -1)
            else:
                self.shared.append((k, at_s))
                self.call_for_shared(at_s)
            return
        i = (k + (self.attempts[k] - 1) * 40503) & MASK
        replica = self.choose(i)
        if replica is None:
            self.ends(at_s, k, Fate.LOST, -1)
            return
        process = self.processes[replica * self.per + self.within(replica, i)]
        self.outstanding[replica][k] = process.index
        if process.is_down:
            self.at(at_s + self.noticed_s[replica], LEAVES, (k,), self.leave, k, Fate.LOST, process, 0)
            return
        process.unread.append(k)
        if process.is_asleep:
            self.wake(at_s, process)

    def choose(self, i: int) -> int | None:
        n = self.fleet.n_replicas
        inside = [m for m in range(n) if self.is_in[m]]
        if not inside:
            return None
        if self.fleet.balancing == "random":
            return inside[int(CHOICE[i] * len(inside))]
        if self.fleet.balancing == "per_connection":
            connection = int(CONNECTION[i] * self.fleet.n_connections)
            own = int(DEAL[connection] * n)
            return own if self.is_in[own] else inside[connection % len(inside)]
        in_turn = [m % n for m in range(self.next_in_turn, self.next_in_turn + n) if self.is_in[m % n]]
        if self.fleet.balancing == "least_outstanding":
            in_turn.sort(key=lambda m: len(self.outstanding[m]))
        self.next_in_turn = in_turn[0] + 1
        return in_turn[0]

    def within(self, replica: int, i: int) -> int:
        connection = int(CONNECTION[i] * self.fleet.n_connections)
        return int(DEAL[(replica + 1) * self.fleet.n_connections + connection] * self.per)

    def call_for_shared(self, at_s: float) -> None:
        coming = sum(process.is_coming for process in self.processes)
        if sum(self.rows[k] for k, _ in self.shared) <= coming * self.serving.max_batch_size:
            return
        n = len(self.processes)
        in_turn = [self.processes[(self.next_in_turn + j) % n] for j in range(n)]
        free = [process for process in in_turn if process.is_asleep and not process.inferred]
        chosen = next((process for process in free if process.in_window), free[0] if free else None)
        if chosen is not None:
            self.next_in_turn = (chosen.index + 1) % n
            self.wake(at_s, chosen)

    # Losses

    def lose(self, at_s: float, loss: Loss) -> None:
        self.noticed_s[loss.replica] = loss.noticed_after_s
        held = self.outstanding[loss.replica]
        for process in self.of(loss.replica):
            process.is_down, process.is_asleep, process.is_coming = True, False, False
            process.version += 1
            process.n_lost += 1
            for k in (k for k, index in held.items() if index == process.index):
                self.at(at_s + loss.noticed_after_s, LEAVES, (k,), self.leave, k, Fate.LOST, process, 0)
            process.unread, process.queue, process.inferred = [], [], []
        self.call_all(at_s)

    def find_out(self, at_s: float, loss: Loss) -> None:
        self.is_in[loss.replica] = False

    def come_back(self, at_s: float, loss: Loss) -> None:
        self.is_in[loss.replica] = True
        for process in self.of(loss.replica):
            process.is_down, process.inferred_s = False, at_s
            self.sleep(at_s, process, math.inf)
        self.call_all(at_s)

    def call_all(self, at_s: float) -> None:
        if self.fleet.balancing == "shared_queue":
            for _ in self.processes:
                self.call_for_shared(at_s)

    def of(self, replica: int) -> list[Process]:
        return self.processes[replica * self.per : (replica + 1) * self.per]

    # A process

    def wake(self, at_s: float, process: Process) -> None:
        gap_s = at_s - process.asleep_since_s
        poll_s = process.asleep_since_s
        if gap_s > 0.0:
            poll_s = at_s + (self.law.wake_s if process.in_window else min(self.law.wake_s, gap_s / 2.0))
        process.is_coming = True
        self.poll_at(poll_s, process)

    def poll_at(self, at_s: float, process: Process) -> None:
        process.is_asleep = False
        process.version += 1
        self.at(at_s, TURNS, (process.index,), self.planned, process, process.version, self.turn)

    def sleep(self, now_s: float, process: Process, due_s: float, *, in_window: bool = False) -> None:
        process.is_asleep, process.asleep_since_s, process.in_window = True, now_s, in_window
        process.version += 1
        if due_s < math.inf:
            at_s = max(due_s, now_s)
            self.at(at_s, TURNS, (process.index,), self.planned, process, process.version, self.wake)

    def planned(self, at_s: float, process: Process, version: int, call: Any) -> None:
        if process.version == version:
            call(at_s, process)

    def send(self, now_s: float, k: int, fate: Fate, process: Process) -> float:
        now_s += self.law.response_s
        self.outstanding[process.index // self.per][k] = process.index
        self.at(now_s, LEAVES, (k,), self.leave, k, fate, process, process.n_lost)
        return now_s

    def leave(self, at_s: float, k: int, fate: Fate, process: Process, life: int) -> None:
        held = self.outstanding[process.index // self.per]
        if fate != Fate.LOST and life != process.n_lost:
            return  # it was to leave after the loss
        del held[k]
        self.ends(at_s, k, fate, process.index)

    def refuse_late(self, now_s: float, process: Process) -> float:
        while process.queue and process.queue[0][1] + self.fleet.timeout_s <= now_s:
            now_s = self.send(now_s, process.queue.pop(0)[0], Fate.EXPIRED, process)
        return now_s

    def turn(self, polled_s: float, process: Process) -> None:
        process.is_coming = False
        if self.fleet.balancing == "shared_queue":
            self.shared_turn(polled_s, process)
            return
        now_s = self.send_inferred(polled_s, polled_s, process)
        now_s = self.refuse_late(now_s, process)
        for k in process.unread:
            waiting = sum(self.rows[other] for other, _ in process.queue)
            now_s += self.law.request_s + (
                self.law.row_s * self.rows[k] if waiting < self.serving.max_queue_rows else 0
            )
            if waiting and waiting + self.rows[k] > self.serving.max_queue_rows:
                now_s = self.send(now_s, k, Fate.REFUSED, process)
            else:
                process.queue.append((k, now_s))
        process.unread = []
        now_s = self.refuse_late(now_s, process)
        waiting = sum(self.rows[k] for k, _ in process.queue)
        if process.inferred or not process.queue:
            self.sleep(now_s, process, self.next_due_s(process))
            return
        full_s = process.queue[0][1] + self.serving.batch_window_s
        if waiting < self.serving.max_batch_size and now_s < full_s:
            due_s = min(full_s, process.queue[0][1] + self.fleet.timeout_s)
            self.sleep(now_s, process, due_s, in_window=True)
            return
        now_s = self.infer(now_s, process, self.take(process.queue))
        if self.fleet.handover_s is None and process.queue:
            self.poll_at(now_s, process)
        else:
            self.sleep(now_s, process, self.next_due_s(process))

    def next_due_s(self, process: Process) -> float:
        due_s = process.inferred_s if process.inferred else math.inf
        return min(due_s, process.queue[0][1] + self.fleet.timeout_s) if process.queue else due_s

    def send_inferred(self, polled_s: float, now_s: float, process: Process) -> float:
        if process.inferred and process.inferred_s <= polled_s:
            for k in process.inferred:
                now_s = self.send(now_s, k, Fate.ANSWERED, process)
            process.inferred = []
        return now_s

    def take(self, queue: list[tuple[int, float]]) -> list[int]:
        batch = [queue.pop(0)[0]]
        while queue and sum(self.rows[k] for k in batch) + self.rows[queue[0][0]] <= self.serving.max_batch_size:
            batch.append(queue.pop(0)[0])
        return batch

    def infer(self, now_s: float, process: Process, batch: list[int]) -> float:
        service_s = float(self.fleet.service_s[sum(self.rows[k] for k in batch)])
        now_s += self.law.batch_s
        if self.fleet.handover_s is not None:
            process.inferred, process.inferred_s = batch, now_s + self.fleet.handover_s + service_s
            return now_s
        now_s += service_s
        for k in batch:
            now_s = self.send(now_s, k, Fate.ANSWERED, process)
        return now_s

    def shared_turn(self, polled_s: float, process: Process) -> None:
        late = []
        while self.shared and self.shared[0][1] + self.fleet.timeout_s <= polled_s:
            late.append(self.shared.pop(0)[0])
        is_free = not process.inferred or process.inferred_s <= polled_s
        batch: list[int] = []
        due_s = math.inf
        if is_free and self.shared:
            waiting = sum(self.rows[k] for k, _ in self.shared)
            full_s = self.shared[0][1] + self.serving.batch_window_s
            if waiting >= self.serving.max_batch_size or polled_s >= full_s:
                batch = self.take(self.shared)
                self.call_for_shared(polled_s)
            else:
                due_s = min(full_s, self.shared[0][1] + self.fleet.timeout_s)
        for k in (*late, *batch):
            self.outstanding[process.index // self.per][k] = process.index
        now_s = self.send_inferred(polled_s, polled_s, process)
        for k in late:
            now_s = self.send(now_s, k, Fate.EXPIRED, process)
        if batch:
            now_s += sum(self.law.request_s + self.law.row_s * self.rows[k] for k in batch)
            now_s = self.infer(now_s, process, batch)
        if process.inferred:
            self.sleep(now_s, process, process.inferred_s)
        elif now_s > polled_s:
            self.poll_at(now_s, process)
        else:
            self.sleep(now_s, process, due_s, in_window=due_s < math.inf)


def in_given_order(plain: PlainFleet, values: list[Any]) -> list[Any]:
    back = [None] * len(values)
    for k, i in enumerate(plain.order):
        back[i] = values[k]
    return back


def ticks(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda n: 2 * n * TICK_S)


@st.composite
def offers(draw_: st.DrawFn) -> Offered:
    gaps = draw_(st.lists(st.integers(0, 12), min_size=1, max_size=50))
    n = len(gaps)
    delays = st.lists(ticks(0, 10), min_size=n, max_size=n).map(np.array)
    alike = ticks(0, 3).map(lambda delay_s: np.array([delay_s]))
    return Offered(
        sent_s=2 * TICK_S * np.cumsum(np.array(gaps, dtype=np.float64)),
        n_rows=np.array(draw_(st.lists(st.integers(1, 6), min_size=n, max_size=n)), dtype=np.int64),
        before_s=cast("NDArray[np.float64]", draw_(alike | delays)),
        after_s=cast("NDArray[np.float64]", draw_(alike | delays)),
    )


@st.composite
def fleets(draw_: st.DrawFn) -> Fleet:
    n_replicas = draw_(st.integers(1, 4))
    losses = []
    for replica in draw_(st.sets(st.integers(0, n_replicas - 1), max_size=2)):
        back_after_s = draw_(ticks(1, 100) | st.just(math.inf))
        loss = Loss(
            at_s=draw_(ticks(0, 150)),
            replica=replica,
            detected_after_s=draw_(ticks(1, 60)),
            back_after_s=back_after_s,
            noticed_after_s=min(draw_(ticks(0, 30)), back_after_s),
        )
        losses.append(loss)
        if math.isfinite(back_after_s) and draw_(st.booleans()):
            again_s = loss.at_s + loss.detected_after_s + back_after_s
            losses.append(replace(loss, at_s=again_s + draw_(ticks(0, 50))))
    return Fleet(
        n_replicas=n_replicas,
        balancing=draw_(st.sampled_from(POLICIES)),
        serving=ServingConfig(
            max_batch_size=draw_(st.integers(1, 12)),
            batch_window_s=draw_(ticks(0, 20)),
            max_queue_rows=draw_(st.integers(1, 30)),
            n_server_processes=draw_(st.integers(1, 3)),
        ),
        service_s=SERVICE_S,
        overhead=COSTS,
        handover_s=draw_(st.none() | ticks(0, 4)),
        n_connections=draw_(st.integers(1, 8)),
        timeout_s=draw_(st.just(math.inf) | ticks(1, 40)),
        retries=draw_(st.just(Retries(n_most=0, backoff_s=1.0)) | st.builds(retries, st.integers(1, 3), ticks(1, 20))),
        losses=tuple(losses),
    )


def retries(n_most: int, backoff_s: float) -> Retries:
    return Retries(n_most=n_most, backoff_s=backoff_s)


@settings(max_examples=150, deadline=None)
@given(offered=offers(), fleet=fleets())
def test_a_plain_simulation_of_the_same_rule_agrees_request_by_request(offered: Offered, fleet: Fleet) -> None:
    run = simulate_fleet(offered, fleet, EXACT)
    plain = PlainFleet(offered, fleet).run()
    assert run.fate.tolist() == in_given_order(plain, plain.fate)
    assert run.ended_s.tolist() == in_given_order(plain, plain.ended_s)
    assert run.n_attempts.tolist() == in_given_order(plain, plain.attempts)
    assert run.process.tolist() == in_given_order(plain, plain.process)


NOISY = replace(COSTS, cold_ratio=0.5, spread_ratio=0.4, stall_s=1e-3, stall_rate_per_s=20.0)


@pytest.mark.parametrize("balancing", POLICIES[:4])
@pytest.mark.parametrize(
    "serving",
    [
        ServingConfig(max_queue_rows=10),
        ServingConfig(max_batch_size=8, max_queue_rows=40),
        ServingConfig(max_batch_size=32, batch_window_s=5e-3),
    ],
    ids=["one by one", "batches", "window"],
)
def test_a_fleet_of_one_is_the_single_server_to_the_bit(balancing: Balancing, serving: ServingConfig) -> None:
    """With noise, pauses, cold turns and refusals."""
    rng = np.random.default_rng(8)
    draws = draw_fleet(rng, n_processes=2)
    rates_rps = np.repeat([20.0, 60.0, 250.0], 2000)
    sent_s = np.cumsum(rng.standard_exponential(rates_rps.size) / rates_rps)
    n_rows = rng.integers(1, 6, sent_s.size)
    one = Fleet(n_replicas=1, balancing=balancing, serving=serving, service_s=SERVICE_S, overhead=NOISY)
    noise = scale_fleet(draws, NOISY, service_spread_ratio=0.2)
    done_s = simulate(
        sent_s,
        n_rows,
        service_s=SERVICE_S,
        overhead=NOISY,
        serving=serving,
        noise=scale(draws.single, NOISY, service_spread_ratio=0.2),
    )
    run = simulate_fleet(offer(sent_s, n_rows), one, noise)
    np.testing.assert_array_equal(run.done_s, done_s)
    assert np.isnan(done_s).any()


@settings(max_examples=100, deadline=None)
@given(offered=offers(), fleet=fleets())
def test_every_request_ends_once_and_whoever_is_not_answered_has_tried_as_often_as_it_may(
    offered: Offered, fleet: Fleet
) -> None:
    run = simulate_fleet(offered, fleet, EXACT)
    is_answered = run.fate == int(Fate.ANSWERED)
    assert set(run.fate.tolist()) <= {int(fate) for fate in Fate}
    assert (np.isnan(run.done_s) == ~is_answered).all()
    assert (run.n_attempts >= 1).all()
    assert (run.n_attempts <= fleet.retries.n_most + 1).all()
    is_left = np.isinf(run.ended_s)  # in a shared queue of which nobody takes any more
    assert (run.n_attempts == fleet.retries.n_most + 1)[~is_answered & ~is_left].all()
    assert (run.ended_s > offered.sent_s).all()


@settings(max_examples=100, deadline=None)
@given(offered=offers(), n_replicas=st.integers(1, 5))
def test_one_more_server_of_a_shared_queue_makes_no_answer_later(offered: Offered, n_replicas: int) -> None:
    """Where batches are of one request; larger ones may well be worth the wait that fewer servers cause."""
    awake = replace(COSTS, wake_s=0.0)
    fewer = Fleet(
        n_replicas=n_replicas,
        balancing="shared_queue",
        serving=ServingConfig(max_batch_size=1, max_queue_rows=10**6),
        service_s=SERVICE_S,
        overhead=awake,
    )
    alike = replace(offered, after_s=np.zeros(1))
    noise = scale_fleet(DRAWS, awake, service_spread_ratio=0.0)
    more = replace(fewer, n_replicas=n_replicas + 1)
    later = simulate_fleet(alike, more, noise).done_s - simulate_fleet(alike, fewer, noise).done_s
    assert np.sort(later)[-1] <= 0.0


def small(**changes: Any) -> Fleet:
    """Two replicas in turn; an idle one answers a request of one row after 4 + 2 + 2 + 4 + 10 + 2 = 24 ticks."""
    fleet = Fleet(
        n_replicas=2,
        balancing="round_robin",
        serving=ServingConfig(max_queue_rows=100),
        service_s=SERVICE_S,
        overhead=replace(COSTS, transfer_s=0.0),
    )
    return replace(fleet, **changes)


def ended_ticks(fleet: Fleet, sent_ticks: list[int], **delays: Any) -> list[float]:
    sent_s = TICK_S * np.array(sent_ticks, dtype=np.float64)
    run = simulate_fleet(offer(sent_s, np.ones(sent_s.size, dtype=np.int64), **delays), fleet, EXACT)
    return cast("list[float]", (run.ended_s / TICK_S).tolist())


def test_what_a_lost_replica_held_is_asked_for_again_and_goes_to_the_one_that_is_left() -> None:
    """Sent at 100 and lost at 110; tried at 140 on the other, which answers after its 24 ticks."""
    loss = Loss(at_s=110 * TICK_S, replica=0, detected_after_s=10 * TICK_S, back_after_s=math.inf)
    fleet = small(losses=(loss,), retries=Retries(n_most=1, backoff_s=30 * TICK_S))
    assert ended_ticks(fleet, [100]) == [164.0]


def test_the_balancer_sends_to_a_lost_replica_until_it_has_found_out() -> None:
    """Requests 0, 2 and 4 go to replica 0, the last of them after the loss was found out: to replica 1."""
    loss = Loss(
        at_s=110 * TICK_S, replica=0, detected_after_s=200 * TICK_S, back_after_s=math.inf, noticed_after_s=5 * TICK_S
    )
    assert ended_ticks(small(losses=(loss,)), [50, 100, 200, 300, 400]) == [74.0, 124.0, 205.0, 324.0, 424.0]


def test_least_outstanding_feeds_a_lost_replica_that_fails_at_once_until_it_is_found_out() -> None:
    """The known black hole: a replica that refuses connections has nothing outstanding."""
    loss = Loss(at_s=TICK_S, replica=0, detected_after_s=10_000 * TICK_S, back_after_s=math.inf)
    fleet = small(losses=(loss,), balancing="least_outstanding")
    sent_s = TICK_S * (2.0 + np.arange(200.0))
    run = simulate_fleet(offer(sent_s, np.ones(200, dtype=np.int64)), fleet, EXACT)
    assert np.count_nonzero(run.fate == int(Fate.LOST)) > 150


def test_delays_outside_may_turn_the_order_of_arrival() -> None:
    """The first spends 50 ticks on its way, and is read when the only replica has answered the second."""
    before_s = TICK_S * np.array([50.0, 0.0])
    after_s = TICK_S * np.array([7.0, 3.0])
    assert ended_ticks(small(n_replicas=1), [100, 110], before_s=before_s, after_s=after_s) == [181.0, 137.0]


def test_inference_on_a_core_of_its_own_reads_on_meanwhile() -> None:
    """Wake 4, read 4, dispatch 4, hand-over 2, infer 10; the loop, asleep for 12, wakes in 4 and answers in 2.

    The second request, 10 ticks later, was read when the first was handed over. Its inference begins when the first has
    been answered, 30 ticks after the start: dispatch 4, hand-over 2, infer 10, wake 4, answer 2.
    """
    fleet = small(n_replicas=1, handover_s=2 * TICK_S)
    assert ended_ticks(fleet, [1000]) == [1030.0]
    assert ended_ticks(fleet, [1000, 1010]) == [1030.0, 1052.0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"n_replicas": 13}, "random numbers for 12 processes"),
        ({"retries": Retries(n_most=1, backoff_s=0.0)}, "without waiting"),
        ({"losses": (Loss(at_s=0.0, replica=2, detected_after_s=1.0, back_after_s=1.0),)}, "replica 2 of 2"),
        ({"losses": 2 * (Loss(at_s=5.0, replica=1, detected_after_s=1.0, back_after_s=1.0),)}, "before it is back"),
        (
            {"losses": (Loss(at_s=0.0, replica=0, detected_after_s=1.0, back_after_s=1.0, noticed_after_s=2.0),)},
            "after its replacement",
        ),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        simulate_fleet(offer(np.zeros(1), np.ones(1, dtype=np.int64)), small(**changes), EXACT)
