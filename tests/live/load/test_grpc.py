"""Calls of gRPC to a server that others wrote: its limits are kept, and what it says of itself is heard."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.messages.v2_grpc import v2_grpc_requests
from loadplan.load.records import Outcome
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

_FAKE = Path(__file__).parents[2] / "fakes" / "grpc_server.py"
Start = Callable[..., int]
Drive = Callable[..., LoopResult]


@pytest.fixture
def start(start_process: Callable[..., tuple[object, int]]) -> Start:
    """`start(service_s=0.05)` starts a server with that law and gives its port."""
    return lambda **law: start_process(_FAKE, **law)[1]


def doubling(*, width: int = 3, factor: float = 2.0) -> PreparedRequests:
    x = np.random.default_rng(3).normal(size=(20, width)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={"y": factor * x}, segments=("",) * 20, labels=None)
    return v2_grpc_requests(payloads, model="m", rows_per_request=always(2))


def counts(result: LoopResult) -> dict[Outcome, int]:
    return {outcome: int(n) for outcome in Outcome if (n := (result.requests.outcome == outcome).sum())}


def test_every_call_is_answered_and_compared_over_few_connections(start: Start, drive: Drive) -> None:
    port = start()
    result = drive(port, doubling(), np.arange(150) / 200.0)
    assert counts(result) == {Outcome.OK: 150}
    assert (result.requests.status == 200).all()
    assert result.n_connections == 2
    assert (result.requests.first_byte_s <= result.requests.done_s).all()
    assert counts(drive(port, doubling(factor=3.0), np.arange(20) / 200.0)) == {Outcome.WRONG_ANSWER: 20}


def test_more_calls_than_a_connection_takes_go_over_others(start: Start, drive: Drive) -> None:
    """A hundred calls a second of 100 ms each: ten are under way, two on each connection."""
    result = drive(start(service_s=0.1, max_streams=2), doubling(), np.arange(50) / 100.0)
    assert counts(result) == {Outcome.OK: 50}
    assert result.n_connections >= 5


def test_messages_larger_than_every_window_arrive(start: Start, drive: Drive) -> None:
    result = drive(start(), doubling(width=300_000), np.arange(6) / 10.0, timeout_s=20.0)
    assert counts(result) == {Outcome.OK: 6}


def test_a_status_is_an_outcome(start: Start, drive: Drive) -> None:
    result = drive(start(fails_every=5), doubling(), np.arange(50) / 200.0)
    assert counts(result) == {Outcome.OK: 40, Outcome.REFUSED: 10}
    assert set(result.requests.status[result.requests.outcome == Outcome.REFUSED]) == {1008}


def test_a_slow_call_is_given_up_alone(start: Start, drive: Drive) -> None:
    result = drive(start(service_s=0.6), doubling(), np.arange(4) / 10.0, timeout_s=0.3)
    assert counts(result) == {Outcome.TIMED_OUT: 4}
    assert result.n_connections == 2


def test_connections_that_are_told_to_go_away_are_replaced(start: Start, drive: Drive) -> None:
    result = drive(start(max_age_ms=300), doubling(), np.arange(150) / 100.0)
    ended = counts(result)
    assert set(ended) <= {Outcome.OK, Outcome.STALE_CONNECTION}
    assert ended[Outcome.OK] >= 140
    assert np.isnan(result.requests.done_s[result.requests.outcome == Outcome.STALE_CONNECTION]).all()
    assert result.n_connections > 2


def test_a_server_of_http1_is_no_server_of_grpc(start_fake: Callable[..., object], drive: Drive) -> None:
    result = drive(start_fake(), doubling(), np.arange(10) / 100.0)
    assert set(counts(result)) <= {Outcome.HTTP_ERROR, Outcome.CONNECTION_LOST, Outcome.TIMED_OUT}
