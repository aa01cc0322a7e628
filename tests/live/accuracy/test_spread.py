"""One generator before two servers: who gets which request."""

import select
import socket
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from loadplan.execution import Balancing
from loadplan.load.connections.connection import Network
from loadplan.load.generator.loop_order import LoopOrder, LoopResult
from loadplan.load.messages.requests import PreparedRequests, wire_messages
from loadplan.load.records import Outcome
from tests.accuracy.spread import SpreadLoop
from tests.live.load.conftest import Fake, StartFake, plain, start_fake, start_process

__all__ = ["plain", "start_fake", "start_process"]

N = 400


def spread(
    fakes: Sequence[Fake], requests: PreparedRequests, balancing: Balancing, *, gap_s: float = 1e-3
) -> tuple[LoopResult, list[int]]:
    """So many requests, one every millisecond; what became of them, and to which server each went."""
    order = LoopOrder(
        family=socket.AF_INET,
        address=("127.0.0.1", fakes[0].port),
        due_s=np.arange(N, dtype=np.float64) * gap_s,
        payload=np.zeros(N, dtype=np.int32),
        messages=wire_messages(requests, host="fake"),
        timeout_s=5.0,
        n_warm_connections=4,
    )
    loop = SpreadLoop(
        order,
        Network(open_socket=socket.socket, open_epoll=select.epoll),
        addresses=[("127.0.0.1", fake.port) for fake in fakes],
        balancing=balancing,
    )
    return loop.run(), loop.sent_to.tolist()


def test_in_turn_each_server_gets_every_other_request(start_fake: StartFake, plain: PreparedRequests) -> None:
    fakes = [start_fake(is_fast=True), start_fake(is_fast=True)]

    result, sent_to = spread(fakes, plain, "round_robin")

    assert (result.requests.outcome == np.uint8(Outcome.OK)).all()
    assert sent_to in ([i % 2 for i in range(N)], [(i + 1) % 2 for i in range(N)])
    assert [len(fake.stamps()[0]) for fake in fakes] == [N // 2, N // 2]


def test_by_chance_each_gets_about_half_and_neither_every_other(start_fake: StartFake, plain: PreparedRequests) -> None:
    fakes = [start_fake(is_fast=True), start_fake(is_fast=True)]

    _, sent_to = spread(fakes, plain, "random")

    assert 150 < sum(sent_to) < 250  # within five standard deviations of 200
    n_changes = sum(a != b for a, b in pairwise(sent_to))
    assert 150 < n_changes < 250
    assert [len(fake.stamps()[0]) for fake in fakes] == [N - sum(sent_to), sum(sent_to)]


def test_the_one_with_the_fewest_waiting_gets_the_next(start_fake: StartFake, plain: PreparedRequests) -> None:
    """One of them answers nothing for so long as requests come: once it has one, the other has fewer at every one."""
    idle, stuck = start_fake(is_fast=True), start_fake(is_fast=True, service_s=1.0)

    result, sent_to = spread([idle, stuck], plain, "least_outstanding", gap_s=2e-3)

    assert (result.requests.outcome == np.uint8(Outcome.OK)).all()
    # The idle one may be slow for a moment, and then both have one.
    assert 1 <= sum(sent_to) < 20


def test_a_law_that_no_generator_has_is_refused(start_fake: StartFake, plain: PreparedRequests) -> None:
    fake = start_fake(is_fast=True)
    with pytest.raises(ValueError, match="shared_queue"):
        spread([fake], plain, "shared_queue")
