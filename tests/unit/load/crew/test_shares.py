"""One schedule among several workers: every due request exactly once, and the records as if one had sent them."""

import socket
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadplan.load.crew.shares import merged, merged_early, share_of
from loadplan.load.generator.handoff import GeneratorJob
from loadplan.load.generator.loop_order import LoopOrder, LoopResult
from loadplan.load.records import LostTime, Outcome, RequestLog

N_MOST = 40


def job(due_s: NDArray[np.float64]) -> GeneratorJob:
    """Request k carries payload k, so that a mix-up shows."""
    return GeneratorJob(
        order=LoopOrder(
            family=socket.AF_INET,
            address=("127.0.0.1", 1),
            due_s=due_s,
            payload=np.arange(due_s.size, dtype=np.int32),
            messages=tuple(b"%d" % k for k in range(due_s.size)),
            timeout_s=1.0,
            n_warm_connections=5,
        ),
        expected=None,
        core=None,
    )


def done(own: GeneratorJob, *, lost_s: float = 0.0, fault: str | None = None) -> LoopResult:
    """What a worker delivers: each request sent 1 s and answered (payload + 1) s after it was due."""
    due_s, payload = own.order.due_s, own.order.payload
    return LoopResult(
        requests=RequestLog(
            due_s=due_s,
            sent_s=due_s + 1.0,
            first_byte_s=due_s + 2.0,
            done_s=due_s + payload + 1.0,
            outcome=np.full(due_s.size, Outcome.OK, dtype=np.uint8),
            status=np.full(due_s.size, 200, dtype=np.int16),
            payload=payload,
        ),
        lost=LostTime(start_s=np.array([lost_s]), length_s=np.array([0.5])),
        n_connections=2,
        n_answered=due_s.size,
        own_fault=fault,
        saturation_ratio=0.0,
    )


def schedules() -> st.SearchStrategy[NDArray[np.float64]]:
    gaps = st.lists(st.floats(0.0, 10.0), max_size=N_MOST)  # zeros: several requests at once
    return gaps.map(lambda listed: np.cumsum(np.array(listed, dtype=np.float64)))


@given(schedules(), st.integers(1, 7))
def test_the_shares_together_are_the_schedule(due_s: NDArray[np.float64], n_workers: int) -> None:
    whole = job(due_s)
    shares = [share_of(whole, i, n_workers, core=i) for i in range(n_workers)]
    sent = np.concatenate([share.order.payload for share in shares])
    assert sorted(sent.tolist()) == list(range(due_s.size))
    assert all((share.order.due_s == due_s[share.order.payload]).all() for share in shares)
    assert max(len(share.order.due_s) for share in shares) - min(len(share.order.due_s) for share in shares) <= 1
    assert [share.core for share in shares] == list(range(n_workers))


@given(schedules(), st.integers(1, 7))
def test_the_records_are_those_of_one_sender(due_s: NDArray[np.float64], n_workers: int) -> None:
    whole = job(due_s)
    parts = {i: done(share_of(whole, i, n_workers, core=None)) for i in reversed(range(n_workers))}
    log, single = merged(due_s, parts, n_workers=n_workers).requests, done(whole).requests
    for name in ("due_s", "sent_s", "first_byte_s", "done_s", "outcome", "status", "payload"):
        assert getattr(log, name).dtype == getattr(single, name).dtype
        np.testing.assert_array_equal(getattr(log, name), getattr(single, name))


def test_a_lost_worker_leaves_its_requests_out() -> None:
    due_s = np.arange(7.0)
    parts = {i: done(share_of(job(due_s), i, 3, core=None)) for i in (0, 2)}
    assert merged(due_s, parts, n_workers=3).requests.payload.tolist() == [0, 2, 3, 5, 6]


def test_a_share_that_is_not_the_workers_own_is_refused() -> None:
    due_s = np.arange(6.0)
    twice = done(share_of(job(due_s), 0, 2, core=None))
    with pytest.raises(ValueError, match="worker 2 are not those of its share"):
        merged(due_s, {0: twice, 1: twice}, n_workers=2)


def test_what_disturbed_the_workers_is_put_in_order_and_their_faults_keep_their_names() -> None:
    due_s = np.arange(6.0)
    whole = job(due_s)
    first = done(share_of(whole, 0, 2, core=None), lost_s=4.0, fault="no socket")
    second = replace(done(share_of(whole, 1, 2, core=None), lost_s=2.0), n_answered=1)
    result = merged(due_s, {0: first, 1: second}, n_workers=2)
    assert result.lost.start_s.tolist() == [2.0, 4.0]
    assert (result.n_connections, result.n_answered, result.own_fault) == (4, 4, "worker 1: no socket")
    assert (result.lost.n_workers, result.lost.worker is not None and result.lost.worker.tolist()) == (2, [1, 0])


def test_nobody_knows_whose_time_was_lost_where_a_worker_is_missing() -> None:
    due_s = np.arange(6.0)
    result = merged(due_s, {1: done(share_of(job(due_s), 1, 2, core=None))}, n_workers=2)
    assert (result.lost.n_workers, result.lost.worker) == (1, None)


def cut(result: LoopResult, kept: list[int]) -> LoopResult:
    """What a worker delivers that was stopped: these of its records."""
    log = result.requests
    columns = {field.name: getattr(log, field.name)[kept] for field in fields(RequestLog)}
    return replace(result, requests=RequestLog(**columns))


def test_records_of_a_run_that_was_stopped_are_put_in_order_though_each_worker_has_only_some() -> None:
    due_s = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    whole = job(due_s)
    first, second = (done(share_of(whole, i, 2, core=None)) for i in range(2))
    early = merged_early(due_s, {0: cut(first, [0, 1, 3]), 1: cut(second, [1, 2])}, n_workers=2)
    assert sorted(early.requests.payload.tolist()[:3]) == [0, 2, 3]
    assert early.requests.payload.tolist()[3:] == [5, 6]
    assert merged_early(due_s, {0: cut(first, [])}, n_workers=2).requests.n_requests == 0
    with pytest.raises(ValueError, match="worker 2 are not of its share"):
        merged_early(due_s, {1: cut(first, [2])}, n_workers=2)
