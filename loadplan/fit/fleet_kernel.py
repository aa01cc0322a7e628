"""The compiled half of the fleet's simulation: events in order of time, state in records. `simulate_fleet` is its face.

There are four kinds of event: a replica is lost, found out or back; a request reaches the balancer; a process that
sleeps is woken; a process polls and takes a turn. At equal times they happen in this order. A turn is worked out at
once, into times that still lie ahead: only requests that reach the balancer after its poll could change it, and they
can't. What a loss undoes is whatever such a turn had sent after the loss. Requests wait in linked lists, for each is in
one place at a time: -1 ends a list.

No `fastmath`, as in `simulate`, and compiled code is cached. One long module, for the cache looks only at the file of
the function that is called: with the turns in another file, a change there would go unnoticed by whoever has run it.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-overload"
# ruff: noqa: ARG001, C901, PLR0912, PLR0913, PLR0917 -- what is passed on is the whole state, always in one order

from typing import Any

import numba
import numpy as np

from loadplan.fit.simulate import COLD_FROM_S, COLD_TO_S, N_DRAWS, NEVER_S, rest

SLEEPS, TO_POLL, IS_DOWN = 0, 1, 2
RANDOM, ROUND_ROBIN, LEAST_OUTSTANDING, PER_CONNECTION, SHARED_QUEUE = range(5)
ANSWERED, REFUSED, EXPIRED, LOST, PENDING = range(5)
IS_LOST, IS_FOUND_OUT, IS_BACK = range(3)
# Odd numbers that set second attempts, and the batches of further processes, to other places in the draws.
_ATTEMPT_SHIFT, _PROCESS_SHIFT = 40503, 27183

# Without counted references, of which none is kept here, and with what every request passes through in one piece: at
# each call that is left all these arrays are copied, word by word, to the stack.
_jit = numba.njit(cache=True, nogil=True, _nrt=False)
_jit_within = numba.njit(cache=True, nogil=True, _nrt=False, forceinline=True)


def _record(**fields: Any) -> np.dtype[np.void]:
    return np.dtype(list(fields.items()), align=True)


# Records in arrays, not tuples of arrays: what is passed on to a function is counted, array by array, at every call.

# What holds for every process, and for the clients.
LAW = _record(
    request_s=float,
    row_s=float,
    response_s=float,
    batch_s=float,
    wake_s=float,
    cold_ratio=float,
    window_s=float,
    timeout_s=float,  # NEVER_S for none
    handover_s=float,  # below 0: inference inline
    backoff_s=float,
    jitter_ratio=float,
    max_batch_size=np.int64,
    max_queue_rows=np.int64,
    n_retries=np.int64,
    balancing=np.int64,
    n_replicas=np.int64,
    n_processes=np.int64,  # of each replica
    n_connections=np.int64,
    is_tracked=np.int64,  # whether anybody asks what is outstanding: the balancer, or a loss
)
# Of each request, in the order in which the first attempts reach the balancer.
REQUEST = _record(
    reached_s=float,  # the balancer, at the last attempt
    before_s=float,
    after_s=float,
    enqueued_s=float,
    ended_s=float,  # at the fleet
    n_rows=np.int32,
    following=np.int32,  # in its list
    n_attempts=np.int32,
    process=np.int32,
    fate=np.int32,
)
PROCESS = _record(
    now_s=float,  # from when it sleeps, or polls
    event_s=float,  # when it is woken or polls; NEVER_S
    slow=float,  # of the next turn
    inferred_s=float,  # until when the core for inference works, or has worked
    queued_rows=np.int64,
    n_batches=np.int64,
    n_pauses=np.int64,  # that are over
    n_core_pauses=np.int64,
    phase=np.int32,
    in_window=np.int32,  # it sleeps because a batch is to fill
    is_woken=np.int32,  # and has not polled yet
)
REPLICA = _record(
    is_in=np.int64,  # gets requests
    n_outstanding=np.int64,
    down_s=float,  # after which its clients notice that it is lost
)
STATE = _record(n_in=np.int64, next_in_turn=np.int64, shared_rows=np.int64, n_woken=np.int64, n_retries=np.int64)
RETRY = _record(at_s=float, request=np.int64)
CONTROL = _record(at_s=float, kind=np.int64, replica=np.int64, noticed_after_s=float)
# Lists by process, first and last of each: come since the last poll, queued, in inference on a core of its own, ended
# (and perhaps not sent yet), and for the first process the shared queue.
UNREAD, QUEUED, RUNNING, ENDED, SHARED, N_LISTS = range(6)
# Rows of the draws.
REQUEST_Z, RESPONSE_Z, SERVICE_Z, CHOICE, CONNECTION, DEAL, JITTER = range(7)
_FIRST, _LAST = 0, 1
_MASK = N_DRAWS - 1


@_jit_within
def _delayed(k, r):
    """Whose delays the last attempt has: its own, then those of the next requests."""
    i = k + r[k].n_attempts - 1
    return i if i < r.size else i % r.size


@_jit
def lay_out(r, sent_s, n_rows, before_s, after_s, order):
    """Into records, in the order in which they reach the balancer; `order` is empty where that is the given one."""
    for k in range(r.size):
        i = order[k] if order.size else k
        r[k].before_s = before_s[i if before_s.size > 1 else 0]
        r[k].after_s = after_s[i if after_s.size > 1 else 0]
        r[k].reached_s = sent_s[i] + r[k].before_s
        r[k].n_rows = n_rows[i]
        r[k].n_attempts = 0
        r[k].process = -1
        r[k].fate = PENDING


@_jit
def read_off(r, order, done_s, ended_s, fate, n_attempts, process):
    """Back into the given order. A client notices a loss by itself; all else it is told."""
    for k in range(r.size):
        i = order[k] if order.size else k
        end_s = r[k].ended_s
        if r[k].fate == PENDING:  # in the shared queue of a fleet of which nothing is left
            r[k].fate = LOST
            end_s = np.inf
        elif r[k].fate != LOST:
            end_s += r[_delayed(k, r)].after_s
        done_s[i] = end_s if r[k].fate == ANSWERED else np.nan
        ended_s[i] = end_s
        fate[i] = r[k].fate
        n_attempts[i] = r[k].n_attempts
        process[i] = r[k].process


# Lists and the heap


@_jit_within
def _append(lists, which, u, r, k):
    r[k].following = -1
    if lists[which, _FIRST, u] < 0:
        lists[which, _FIRST, u] = k
    else:
        r[lists[which, _LAST, u]].following = k
    lists[which, _LAST, u] = k


@_jit
def _push(g, heap, at_s, k):
    i = g[0].n_retries
    g[0].n_retries += 1
    while i > 0:
        parent = (i - 1) // 2
        # Of equal times the smaller index first: the order must not hang on the heap's history.
        if heap[parent].at_s < at_s or (heap[parent].at_s == at_s and heap[parent].request < k):
            break
        heap[i].at_s, heap[i].request = heap[parent].at_s, heap[parent].request
        i = parent
    heap[i].at_s, heap[i].request = at_s, k


@_jit
def _pop(g, heap):
    k = heap[0].request
    g[0].n_retries -= 1
    n = g[0].n_retries
    at_s, moved = heap[n].at_s, heap[n].request
    i = 0
    while 2 * i + 1 < n:
        child = 2 * i + 1
        right = child + 1
        if right < n and (
            heap[right].at_s < heap[child].at_s
            or (heap[right].at_s == heap[child].at_s and heap[right].request < heap[child].request)
        ):
            child = right
        if at_s < heap[child].at_s or (at_s == heap[child].at_s and moved < heap[child].request):
            break
        heap[i].at_s, heap[i].request = heap[child].at_s, heap[child].request
        i = child
    heap[i].at_s, heap[i].request = at_s, moved
    return k


@_jit
def _take_back(g, heap, k):
    """Out of the heap, wherever it is; losses are rare, so all the others go in again."""
    n = g[0].n_retries
    g[0].n_retries = 0
    for i in range(n):
        at_s, other = heap[i].at_s, heap[i].request
        if other != k:
            _push(g, heap, at_s, other)


# How attempts end


@_jit_within
def _end(u, k, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    r[k].ended_s = at_s
    r[k].process = u
    if law.is_tracked:
        _append(lists, ENDED, u, r, k)


@_jit
def _fail(k, fate, at_s, known_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """The client knows at `known_s`, and tries again or not."""
    r[k].fate = fate
    r[k].ended_s = at_s
    tried = r[k].n_attempts
    if tried <= law.n_retries:
        i = (k + tried * _ATTEMPT_SHIFT) & _MASK
        wait_s = law.backoff_s * 2.0 ** (tried - 1) * (1.0 - law.jitter_ratio * z[JITTER, i])
        _push(g, heap, known_s + wait_s + r[(k + tried) % r.size].before_s, k)


@_jit
def _refuse(u, k, fate, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    following = r[k].following
    _end(u, k, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    _fail(k, fate, at_s, at_s + r[_delayed(k, r)].after_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    return following


@_jit_within
def _answer(u, first, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s):
    k = first
    while k >= 0:
        following = r[k].following
        now_s += law.response_s * z[RESPONSE_Z, k & _MASK] * slow
        r[k].fate = ANSWERED
        _end(u, k, now_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        k = following
    return now_s


@_jit_within
def _left_by(now_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """What has left is not outstanding any more."""
    for u in range(p.size):
        k = lists[ENDED, _FIRST, u]
        while k >= 0 and r[k].ended_s <= now_s:
            b[u // law.n_processes].n_outstanding -= 1
            k = r[k].following
        lists[ENDED, _FIRST, u] = k


# Sleeping and waking


@_jit_within
def _cold(gap_s, law):
    if gap_s > COLD_FROM_S:
        return 1.0 + law.cold_ratio * min(np.log(gap_s / COLD_FROM_S) / np.log(COLD_TO_S / COLD_FROM_S), 1.0)
    return 1.0


@_jit_within
def _wake(u, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """Something happened for a process that sleeps since `now_s`, or is about to."""
    now_s = p[u].now_s
    slow = 1.0
    if at_s > now_s:
        gap_s = at_s - now_s
        now_s, p[u].n_pauses = rest(at_s, pauses[0, u], pauses[1, u], p[u].n_pauses)
        if p[u].in_window:
            now_s += law.wake_s
        else:
            slow = _cold(gap_s, law)
            now_s += min(law.wake_s, 0.5 * gap_s) * slow
    p[u].slow = slow
    p[u].now_s = p[u].event_s = now_s
    p[u].phase = TO_POLL
    p[u].is_woken = 1
    g[0].n_woken += 1


@_jit_within
def _sleep(u, now_s, due_s, in_window, p):
    p[u].now_s = now_s
    p[u].in_window = in_window
    p[u].phase = SLEEPS
    p[u].event_s = max(due_s, now_s)


@_jit_within
def _poll_at_once(u, now_s, p):
    p[u].now_s = p[u].event_s = now_s
    p[u].phase = TO_POLL


@_jit
def _wake_for_shared(at_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """One more process comes for the shared queue, if those on their way to it won't empty it."""
    if g[0].shared_rows <= g[0].n_woken * law.max_batch_size:
        return
    m = p.size
    found = -1
    for j in range(m):
        u = (g[0].next_in_turn + j) % m
        if p[u].phase == SLEEPS and lists[RUNNING, _FIRST, u] < 0:
            if p[u].in_window:
                found = u
                break
            if found < 0:
                found = u
    if found >= 0:
        g[0].next_in_turn = (found + 1) % m
        _wake(found, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)


# A turn


@_jit
def _expire(u, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s):
    k = lists[QUEUED, _FIRST, u]
    while k >= 0 and r[k].enqueued_s + law.timeout_s <= now_s:
        now_s += law.response_s * z[RESPONSE_Z, k & _MASK] * slow
        p[u].queued_rows -= r[k].n_rows
        k = _refuse(u, k, EXPIRED, now_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    lists[QUEUED, _FIRST, u] = k
    return now_s


@_jit_within
def _read(u, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s):
    k = lists[UNREAD, _FIRST, u]
    while k >= 0:
        following = r[k].following
        read_s = law.request_s
        if p[u].queued_rows < law.max_queue_rows:
            read_s += law.row_s * r[k].n_rows
        now_s += read_s * z[REQUEST_Z, k & _MASK] * slow
        if p[u].queued_rows > 0 and p[u].queued_rows + r[k].n_rows > law.max_queue_rows:
            now_s += law.response_s * z[RESPONSE_Z, k & _MASK] * slow
            _refuse(u, k, REFUSED, now_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        else:
            r[k].enqueued_s = now_s
            p[u].queued_rows += r[k].n_rows
            _append(lists, QUEUED, u, r, k)
        k = following
    lists[UNREAD, _FIRST, u] = -1
    return now_s


@_jit_within
def _pauses(now_s, starts_s, lengths_s, i):
    while starts_s[i] <= now_s:
        now_s += lengths_s[i]
        i += 1
    return now_s, i


@_jit_within
def _batch(which, u, r, lists, law):
    """The first requests that fit into a batch, cut off the list: the first of them and their rows."""
    first = last = lists[which, _FIRST, u]
    rows = r[first].n_rows
    k = r[first].following
    while k >= 0 and rows + r[k].n_rows <= law.max_batch_size:
        rows += r[k].n_rows
        last = k
        k = r[k].following
    r[last].following = -1
    lists[which, _FIRST, u] = k
    return first, rows


@_jit_within
def _infer(u, first, rows, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """Inline, with the answers; or handed over. Returns when the loop is free."""
    i = (p[u].n_batches + u * _PROCESS_SHIFT) & _MASK
    p[u].n_batches += 1
    if law.handover_s < 0.0:
        now_s += (law.batch_s + service_s[rows] * z[SERVICE_Z, i]) * slow
        now_s, p[u].n_pauses = _pauses(now_s, pauses[0, u], pauses[1, u], p[u].n_pauses)
        return _answer(u, first, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    now_s += law.batch_s * slow
    start_s = now_s + law.handover_s
    until_s = start_s + service_s[rows] * z[SERVICE_Z, i] * _cold(start_s - p[u].inferred_s, law)
    # A pause stops both cores; those that began earlier have delayed the loop, and so the start.
    j = p[u].n_core_pauses
    while pauses[0, u, j] <= until_s:
        if pauses[0, u, j] > start_s:
            until_s += pauses[1, u, j]
        j += 1
    p[u].n_core_pauses = j
    p[u].inferred_s = until_s
    lists[RUNNING, _FIRST, u] = first
    return now_s


@_jit_within
def _answer_inferred(u, polled_s, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s):
    if lists[RUNNING, _FIRST, u] >= 0 and p[u].inferred_s <= polled_s:
        now_s = _answer(u, lists[RUNNING, _FIRST, u], now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
        lists[RUNNING, _FIRST, u] = -1
    return now_s


@_jit_within
def _turn(u, r, p, b, g, lists, heap, law, z, pauses, service_s):
    polled_s = now_s = p[u].event_s
    slow = p[u].slow
    p[u].slow = 1.0
    now_s = _answer_inferred(u, polled_s, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    now_s = _expire(u, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    now_s = _read(u, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    now_s, p[u].n_pauses = _pauses(now_s, pauses[0, u], pauses[1, u], p[u].n_pauses)
    now_s = _expire(u, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    first = lists[QUEUED, _FIRST, u]
    if lists[RUNNING, _FIRST, u] >= 0:
        due_s = p[u].inferred_s
        if first >= 0:
            due_s = min(due_s, r[first].enqueued_s + law.timeout_s)
        _sleep(u, now_s, due_s, False, p)
        return
    if first < 0:
        _sleep(u, now_s, NEVER_S, False, p)
        return
    full_s = r[first].enqueued_s + law.window_s
    if law.window_s > 0.0 and p[u].queued_rows < law.max_batch_size and now_s < full_s:
        _sleep(u, now_s, min(full_s, r[first].enqueued_s + law.timeout_s), True, p)
        return
    first, rows = _batch(QUEUED, u, r, lists, law)
    p[u].queued_rows -= rows
    now_s = _infer(u, first, rows, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    if law.handover_s < 0.0:
        if lists[QUEUED, _FIRST, u] >= 0:
            _poll_at_once(u, now_s, p)
        else:
            _sleep(u, now_s, NEVER_S, False, p)
        return
    due_s = p[u].inferred_s
    if lists[QUEUED, _FIRST, u] >= 0:
        due_s = min(due_s, r[lists[QUEUED, _FIRST, u]].enqueued_s + law.timeout_s)
    _sleep(u, now_s, due_s, False, p)


@_jit
def _shared_turn(u, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """What is taken off the shared queue is taken at the moment of the poll, so that nobody else takes it as well."""
    polled_s = now_s = p[u].event_s
    slow = p[u].slow
    p[u].slow = 1.0
    # The list of those whose time is up is worked off below, as that of a queue of one's own.
    k = lists[SHARED, _FIRST, 0]
    while k >= 0 and r[k].enqueued_s + law.timeout_s <= polled_s:
        following = r[k].following
        g[0].shared_rows -= r[k].n_rows
        p[u].queued_rows += r[k].n_rows
        _append(lists, QUEUED, u, r, k)
        k = following
    lists[SHARED, _FIRST, 0] = k
    is_free = lists[RUNNING, _FIRST, u] < 0 or p[u].inferred_s <= polled_s
    full_s = NEVER_S
    first = -1
    rows = 0
    if is_free and k >= 0:
        full_s = r[k].enqueued_s + law.window_s
        if law.window_s <= 0.0 or g[0].shared_rows >= law.max_batch_size or polled_s >= full_s:
            first, rows = _batch(SHARED, 0, r, lists, law)
            g[0].shared_rows -= rows
            _wake_for_shared(polled_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        else:
            full_s = min(full_s, r[k].enqueued_s + law.timeout_s)
    now_s = _answer_inferred(u, polled_s, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    now_s = _expire(u, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    if first < 0:
        if not is_free:
            _sleep(u, now_s, p[u].inferred_s, False, p)
        elif now_s > polled_s:
            _poll_at_once(u, now_s, p)  # it was at work: what has come meanwhile?
        else:
            _sleep(u, now_s, full_s, full_s < NEVER_S, p)
        return
    k = first
    while k >= 0:
        now_s += (law.request_s + law.row_s * r[k].n_rows) * z[REQUEST_Z, k & _MASK] * slow
        k = r[k].following
    now_s, p[u].n_pauses = _pauses(now_s, pauses[0, u], pauses[1, u], p[u].n_pauses)
    now_s = _infer(u, first, rows, now_s, slow, r, p, b, g, lists, heap, law, z, pauses, service_s)
    if law.handover_s < 0.0:
        _poll_at_once(u, now_s, p)
    else:
        _sleep(u, now_s, p[u].inferred_s, False, p)


# The balancer


@_jit
def _nth_in(b, n):
    """The n-th of the replicas that get requests."""
    for m in range(b.size):
        if b[m].is_in:
            if n == 0:
                return m
            n -= 1
    return -1


@_jit_within
def _replica(i, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """Which one, by the draws at i; -1 where none gets requests."""
    n_in = g[0].n_in
    if n_in == 0:
        return -1
    if law.balancing == RANDOM:
        n = int(z[CHOICE, i] * n_in)
        return n if n_in == law.n_replicas else _nth_in(b, n)
    if law.balancing == PER_CONNECTION:
        connection = int(z[CONNECTION, i] * law.n_connections)
        m = int(z[DEAL, connection & _MASK] * law.n_replicas)
        return m if b[m].is_in else _nth_in(b, connection % n_in)
    best = -1
    m = g[0].next_in_turn
    for _ in range(law.n_replicas):
        if b[m].is_in:
            if law.balancing == ROUND_ROBIN:
                best = m
                break
            if best < 0 or b[m].n_outstanding < b[best].n_outstanding:
                best = m
        m = m + 1 if m + 1 < law.n_replicas else 0
    g[0].next_in_turn = best + 1 if best + 1 < law.n_replicas else 0
    return best


@_jit_within
def _process(m, i, law, z):
    """Of a replica's processes the one on which the request's connection has ended."""
    if law.n_processes == 1:
        return m
    connection = int(z[CONNECTION, i] * law.n_connections)
    i_deal = ((m + 1) * law.n_connections + connection) & _MASK
    return m * law.n_processes + int(z[DEAL, i_deal] * law.n_processes)


@_jit_within
def _arrive(k, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """An attempt at the balancer. Returns the process whose next event it changed, or -1."""
    r[k].reached_s = at_s
    r[k].n_attempts += 1
    r[k].fate = PENDING
    r[k].process = -1
    if law.is_tracked:
        _left_by(at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    if law.balancing == SHARED_QUEUE:
        if g[0].shared_rows > 0 and g[0].shared_rows + r[k].n_rows > law.max_queue_rows:
            r[k].process = -1
            _fail(
                k, REFUSED, at_s, at_s + r[_delayed(k, r)].after_s, r, p, b, g, lists, heap, law, z, pauses, service_s
            )
            return -1
        r[k].enqueued_s = at_s
        g[0].shared_rows += r[k].n_rows
        _append(lists, SHARED, 0, r, k)
        _wake_for_shared(at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        return 0
    i = (k + (r[k].n_attempts - 1) * _ATTEMPT_SHIFT) & _MASK
    m = _replica(i, r, p, b, g, lists, heap, law, z, pauses, service_s)
    if m < 0:
        _fail(k, LOST, at_s, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        return -1
    b[m].n_outstanding += 1
    u = _process(m, i, law, z)
    if p[u].phase == IS_DOWN:
        _end(u, k, at_s + b[m].down_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        _fail(k, LOST, at_s + b[m].down_s, at_s + b[m].down_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        return -1
    _append(lists, UNREAD, u, r, k)
    if p[u].phase == SLEEPS:
        _wake(u, at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        return u
    return -1


# Losses


@_jit
def _lose_list(which, u, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    k = lists[which, _FIRST, u]
    lists[which, _FIRST, u] = -1
    while k >= 0:
        following = r[k].following
        _end(u, k, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        _fail(k, LOST, lost_s, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        k = following


@_jit
def _lose(u, at_s, noticed_after_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    """All that the process held, and what its last turn would have sent from now on."""
    lost_s = at_s + noticed_after_s
    g[0].n_woken -= p[u].is_woken
    p[u].is_woken = 0
    k = lists[ENDED, _FIRST, u]
    while k >= 0:
        if r[k].fate != ANSWERED and r[k].n_attempts <= law.n_retries:
            _take_back(g, heap, k)
        k = r[k].following
    k = lists[ENDED, _FIRST, u]
    lists[ENDED, _FIRST, u] = -1
    while k >= 0:
        following = r[k].following
        _end(u, k, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        _fail(k, LOST, lost_s, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        k = following
    _lose_list(RUNNING, u, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    _lose_list(QUEUED, u, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    _lose_list(UNREAD, u, lost_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    p[u].queued_rows = 0
    p[u].phase = IS_DOWN
    p[u].event_s = NEVER_S


@_jit
def _come_back(u, at_s, p, pauses):
    p[u].slow = 1.0
    p[u].inferred_s = at_s
    while pauses[0, u, p[u].n_pauses] <= at_s:
        p[u].n_pauses += 1
    p[u].n_core_pauses = p[u].n_pauses
    _sleep(u, at_s, NEVER_S, False, p)


@_jit
def _control(kind, m, at_s, noticed_after_s, r, p, b, g, lists, heap, law, z, pauses, service_s):
    if kind == IS_FOUND_OUT:
        b[m].is_in = 0
        g[0].n_in -= 1
        return
    if kind == IS_LOST:
        b[m].down_s = noticed_after_s
        _left_by(at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
    else:
        b[m].is_in = 1
        g[0].n_in += 1
    for u in range(m * law.n_processes, (m + 1) * law.n_processes):
        if kind == IS_LOST:
            _lose(u, at_s, noticed_after_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
        else:
            _come_back(u, at_s, p, pauses)
    # Whoever was on the way to the shared queue may be lost, and whoever is back may be wanted.
    if law.balancing == SHARED_QUEUE:
        for _ in range(p.size):
            _wake_for_shared(at_s, r, p, b, g, lists, heap, law, z, pauses, service_s)


@_jit
def run_events(r, p, b, g, lists, heap, law, z, pauses, service_s, controls):
    """Until nothing is left to happen."""
    i = i_control = 0
    u = 0  # whose event is the next
    while True:
        reach_s = r[i].reached_s if i < r.size else NEVER_S
        is_retry = g[0].n_retries > 0 and heap[0].at_s < reach_s
        if is_retry:
            reach_s = heap[0].at_s
        event_s = p[u].event_s
        control_s = controls[i_control].at_s
        if control_s <= min(reach_s, event_s) and control_s < NEVER_S:
            c = controls[i_control]
            _control(
                c.kind, c.replica, control_s, c.noticed_after_s, r, p, b, g, lists, heap, law, z, pauses, service_s
            )
            i_control += 1
        elif reach_s <= event_s and reach_s < NEVER_S:
            if is_retry:
                k = _pop(g, heap)
            else:
                k = i
                i += 1
            changed = _arrive(k, reach_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
            if changed < 0:
                continue
            if law.balancing != SHARED_QUEUE and changed != u:
                if p[changed].event_s < p[u].event_s:
                    u = changed
                continue
        elif event_s < NEVER_S:
            if p[u].phase == SLEEPS:
                _wake(u, event_s, r, p, b, g, lists, heap, law, z, pauses, service_s)
            else:
                g[0].n_woken -= p[u].is_woken
                p[u].is_woken = 0
                if law.balancing == SHARED_QUEUE:
                    _shared_turn(u, r, p, b, g, lists, heap, law, z, pauses, service_s)
                else:
                    _turn(u, r, p, b, g, lists, heap, law, z, pauses, service_s)
        else:
            return
        u = 0
        for v in range(1, p.size):
            if p[v].event_s < p[u].event_s:
                u = v
