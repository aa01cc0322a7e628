"""The open loop against fake servers with a known law. What it must show is worked out from law and schedule.

Neighbours on a busy machine only ever add to a time, and every lie of a load generator is a time that is too short:
so times are held against lower bounds, counts must be exact.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.load.generator.job import prepare_job
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import PreparedRequests, plain_requests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.load.verdict import judge, latency_summary, response_times_s
from loadplan.machine import Machine
from loadplan.stats import percentile

if TYPE_CHECKING:
    from tests.live.load.conftest import StartFake

Drive = Callable[..., LoopResult]
MakeSpec = Callable[..., LoadSpec]


def evenly(rate_rps: float, duration_s: float) -> NDArray[np.float64]:
    return np.arange(round(rate_rps * duration_s)) / rate_rps


def counts(result: LoopResult) -> dict[Outcome, int]:
    return {outcome: int(n) for outcome in Outcome if (n := (result.requests.outcome == outcome).sum())}


def one_at_a_time(
    due_s: NDArray[np.float64], *, service_s: float, stall_at_s: float, stall_s: float
) -> NDArray[np.float64]:
    """Response times of a server with one place and one stall, by Lindley's recursion."""
    free_s, times_s = 0.0, []
    for due in due_s:
        begins_s = max(due, free_s)
        if due_s[0] + stall_at_s <= begins_s < due_s[0] + stall_at_s + stall_s:
            begins_s = due_s[0] + stall_at_s + stall_s
        free_s = begins_s + service_s
        times_s.append(free_s - due)
    return np.array(times_s)


def test_a_stall_is_felt_by_every_request_that_was_due_in_it(start_fake: "StartFake", drive: Drive) -> None:
    law = {"service_s": 0.001, "stall_at_s": 1.0025, "stall_s": 0.8}  # begins between two requests
    due_s = evenly(200.0, 3.0)
    result = drive(start_fake(is_single=True, **law), plain_requests("/"), due_s)
    expected_s = one_at_a_time(due_s, **law)
    assert expected_s.max() > 0.79
    assert counts(result) == {Outcome.OK: due_s.size}
    measured_s = result.requests.response_time_s
    # The stall counts from when the first request arrives, which a neighbour may have delayed a little.
    is_certain = np.abs(due_s - law["stall_at_s"] - 0.025) > 0.025
    assert (measured_s > expected_s - 1e-4)[is_certain].all()
    for q in (0.9, 0.95, 0.99):
        assert percentile(measured_s, q) == pytest.approx(percentile(expected_s, q), abs=0.1)


def test_no_cap_on_connections_hides_a_stall(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(stall_at_s=0.2, stall_s=1.0), plain_requests("/"), evenly(500.0, 1.5))
    log = result.requests
    at_s = 1.1
    n_due = int(((log.due_s > 0.2) & (log.due_s < at_s)).sum())
    in_flight = (log.sent_s < at_s) & ~(log.done_s < at_s)
    assert in_flight.sum() > 0.8 * n_due
    assert counts(result) == {Outcome.OK: 750}


def test_the_generators_own_lateness_is_in_the_response_time_and_makes_the_run_invalid(
    start_fake: "StartFake", drive: Drive, make_spec: MakeSpec
) -> None:
    fake = start_fake()
    blocked = iter([0.2])
    # Other greenlets take 200 ms once: that is the generator's fault, not a neighbour's.
    result = drive(
        fake,
        plain_requests("/"),
        evenly(400.0, 1.0),
        yield_to_others=lambda: time.sleep(next(blocked, 0.0)),
    )
    log = result.requests
    # 80 requests fell due in these 200 ms, 60 of them more than 50 ms before the end.
    assert (log.send_delay_s > 0.05).sum() >= 55
    assert (log.response_time_s > 0.05).sum() >= 55
    verdict = judge(make_spec(rate_rps=400.0, duration_s=1.0), log, result.lost)
    assert any("the generator could not keep up" in reason for reason in verdict.invalid_reasons)


def test_a_rate_beyond_the_generator_is_invalid_and_shows_no_latency(
    start_fake: "StartFake", drive: Drive, make_spec: MakeSpec, machine: Machine
) -> None:
    spec = make_spec(rate_rps=300_000.0, duration_s=0.2, timeout_s=0.3)
    result = drive(start_fake(is_fast=True), plain_requests("/"), evenly(300_000.0, 0.2), timeout_s=0.3)
    verdict = judge(spec, result.requests, result.lost)
    assert any("due requests were sent in time" in reason for reason in verdict.invalid_reasons)
    assert sum(counts(result).values()) == 60_000
    run = LoadRun(
        spec=spec,
        url="",
        machine=machine,
        requests=result.requests,
        lost=result.lost,
        verdict=verdict,
        caveats=(),
        payload_rows=np.ones(1, dtype=np.int32),
    )
    for show in (latency_summary, response_times_s):
        with pytest.raises(Exception, match="load run is invalid"):
            show(run)


ENDINGS = {
    "503": Outcome.REFUSED,
    "500": Outcome.HTTP_ERROR,
    "302": Outcome.HTTP_ERROR,
    "garbage": Outcome.HTTP_ERROR,
    "half": Outcome.CONNECTION_LOST,
    "reset": Outcome.CONNECTION_LOST,
    "silent": Outcome.TIMED_OUT,
    "drip": Outcome.TIMED_OUT,
    "zeros": Outcome.WRONG_ANSWER,
    "nan": Outcome.WRONG_ANSWER,
    "neighbour": Outcome.WRONG_ANSWER,
    "error body": Outcome.WRONG_ANSWER,
}


@pytest.mark.parametrize(("odd", "outcome"), ENDINGS.items(), ids=ENDINGS)
def test_each_way_to_fail_is_a_class_of_its_own_and_nothing_is_sent_twice(
    odd: str, outcome: Outcome, start_fake: "StartFake", drive: Drive, doubling: PreparedRequests
) -> None:
    fake = start_fake(odd=odd, odd_share=0.25)
    result = drive(fake, doubling, evenly(500.0, 0.4), timeout_s=1.5)
    assert counts(result) == {Outcome.OK: 150, outcome: 50}
    assert len(fake.stamps()[0]) == 200


WAYS_TO_ANSWER: dict[str, dict[str, object]] = {
    "in two segments": {"is_split": True},
    "chunked": {"is_chunked": True},
    "after an interim answer": {"has_interim": True},
    "never twice the same": {"is_unique": True},
    "and then close": {"odd": "close", "odd_share": 0.5},
    "slowly": {"service_s": 0.2},
}


@pytest.mark.parametrize("law", WAYS_TO_ANSWER.values(), ids=WAYS_TO_ANSWER)
def test_every_right_answer_is_taken(
    law: dict[str, object], start_fake: "StartFake", drive: Drive, doubling: PreparedRequests
) -> None:
    result = drive(start_fake(**law), doubling, evenly(500.0, 0.4))
    assert counts(result) == {Outcome.OK: 200}
    assert (result.requests.status == 200).all()


def test_answers_after_the_last_due_time_are_waited_for(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(service_s=0.6), plain_requests("/"), evenly(100.0, 0.3))
    assert counts(result) == {Outcome.OK: 30}
    assert (result.requests.response_time_s >= 0.6).all()


def test_a_connection_that_the_server_closed_while_idle_is_replaced(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(close_idle_s=0.05), plain_requests("/"), evenly(4.0, 1.0))
    assert counts(result) == {Outcome.OK: 4}
    assert result.n_connections >= 5


def test_requests_rotate_over_the_connections(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(), plain_requests("/"), evenly(50.0, 0.4))
    assert counts(result) == {Outcome.OK: 20}
    assert result.n_connections < 20


def test_the_backlog_of_a_stall_finds_its_connections_open_and_leaves_no_trace(
    start_fake: "StartFake", drive: Drive
) -> None:
    fake = start_fake(stall_at_s=0.2, stall_s=0.1)
    result = drive(fake, plain_requests("/"), evenly(500.0, 1.0), n_reserve_connections=200)
    assert counts(result) == {Outcome.OK: 500}
    assert result.n_connections == 202
    over = np.array(fake.connections()[:500])
    in_stall = (result.requests.due_s > 0.2) & (result.requests.due_s < 0.3)
    assert np.unique(over[in_stall]).size > 25
    # Once it has cleared, requests come over few connections again; a neighbour may hold up some of them.
    assert np.unique(over[result.requests.due_s > 0.8]).size < 15


@pytest.mark.parametrize(("rate_rps", "n_reserve"), [(100.0, 8), (2000.0, 160), (50_000.0, 1024 - 64)])
def test_a_reserve_of_connections_holds_the_backlog_of_a_tenth_of_a_second(
    rate_rps: float, n_reserve: int, start_fake: "StartFake", make_spec: MakeSpec
) -> None:
    job = prepare_job(make_spec(rate_rps=rate_rps, duration_s=0.5), url=start_fake().url, requests=plain_requests("/"))
    assert job.order.n_reserve_connections == n_reserve


def test_a_body_larger_than_the_socket_buffers_arrives(start_fake: "StartFake", drive: Drive) -> None:
    fake = start_fake()
    result = drive(fake, plain_requests("/", body=b"x" * 12_000_000), evenly(10.0, 0.3))
    assert counts(result) == {Outcome.OK: 3}


def test_a_server_that_dies_leaves_lost_connections_not_missing_requests(start_fake: "StartFake", drive: Drive) -> None:
    fake = start_fake()
    timer = threading.Timer(0.3, fake.process.kill)
    timer.start()
    result = drive(fake, plain_requests("/"), evenly(500.0, 0.6))
    ended = counts(result)
    assert set(ended) == {Outcome.OK, Outcome.CONNECTION_LOST}
    assert sum(ended.values()) == 300


def test_a_server_that_never_answers_is_given_up_after_twenty_requests(start_fake: "StartFake", drive: Drive) -> None:
    result = drive(start_fake(odd="reset", odd_share=1.0), plain_requests("/"), evenly(100.0, 30.0))
    ended = counts(result)
    assert result.n_answered == 0
    assert ended[Outcome.NOT_SENT] > 2900
    assert sum(ended.values()) == 3000


def test_the_generators_times_lie_around_the_servers_own_stamps(start_fake: "StartFake", drive: Drive) -> None:
    fake = start_fake(service_s=0.005)
    result = drive(fake, plain_requests("/"), evenly(100.0, 0.5))
    arrivals, departures = fake.stamps()
    log = result.requests
    inside_s = np.array(departures) - np.array(arrivals)
    assert (log.done_s - log.sent_s >= inside_s).all()
    assert (log.sent_s >= log.due_s).all()
    assert (log.first_byte_s <= log.done_s).all()


def test_nothing_due_ends_at_once(start_fake: "StartFake", drive: Drive) -> None:
    assert drive(start_fake(), plain_requests("/"), np.empty(0)).requests.n_requests == 0
