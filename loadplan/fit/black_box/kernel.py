"""The compiled half of a service's simulation: three kinds of event in order of time. `simulate` is its face.

A request gets a slot, its delay ends, its work on the CPU ends. At equal times work ends before delays do, and delays
before requests arrive, so that a slot that is freed is there for whoever comes at that moment. Requests that wait for
a slot get it in the order in which they came.

Shared evenly, each of n ready requests gets min(1, cores / n) of a core. With V the work that a request has got which
was there all the time, one that becomes ready at V with the work S is done when V has grown by S: so the next to end is
the first of a heap, and nothing is cut into slices (exact, not a small quantum). Otherwise a core works on one request
for a turn at most, then on the one that has waited longest; an endless turn is first come, first served.

No `fastmath`, as in `fit.simulate`. One module, for the cache looks only at the file of the function that is called.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import numba
import numpy as np

NEVER_S = 1e300

_jit = numba.njit(cache=True, nogil=True)


@_jit
def _push(key_s, job, n, at_s, j):
    """Add to a heap of n, ordered by time and then by number."""
    i = n
    while i > 0:
        above = (i - 1) >> 1
        if key_s[above] < at_s or (key_s[above] == at_s and job[above] < j):
            break
        key_s[i], job[i] = key_s[above], job[above]
        i = above
    key_s[i], job[i] = at_s, j


@_jit
def _pop(key_s, job, n):
    """Take the first of a heap of n away."""
    last = n - 1
    at_s, j = key_s[last], job[last]
    i = 0
    while True:
        below = 2 * i + 1
        if below >= last:
            break
        right = below + 1
        if right < last and (key_s[right] < key_s[below] or (key_s[right] == key_s[below] and job[right] < job[below])):
            below = right
        if at_s < key_s[below] or (at_s == key_s[below] and j < job[below]):
            break
        key_s[i], job[i] = key_s[below], job[below]
        i = below
    key_s[i], job[i] = at_s, j


@_jit
def serve(arrive_s, delay_s, work_s, n_slots, n_cores, turn_s, is_shared):  # noqa: C901, PLR0912, PLR0915 -- one loop, for the compiler's sake
    """When each request was ready for the CPU, and when it was done; all (n,), `arrive_s` ascending.

    `n_slots` is at least 1; `turn_s` is of no use where the CPU is shared.
    """
    n = arrive_s.size
    ready_s, done_s = np.empty(n), np.empty(n)
    delayed_s, delayed_job = np.empty(n), np.empty(n, np.int64)  # heap by the end of the delay
    n_delayed = 0
    # Shared: a heap by the V at which each is done.
    end_v, end_job = np.empty(n), np.empty(n, np.int64)
    n_ready, v, clock_s = 0, 0.0, 0.0
    # In turns: a ring of those that wait, and what each core does.
    ring, head, n_waiting = np.empty(n, np.int64), 0, 0
    left_s = work_s.copy()
    turn_end_s, on_core = np.full(n_cores, NEVER_S), np.full(n_cores, -1, np.int64)
    i = i_admitted = n_inside = n_done = 0
    while n_done < n:
        arrival_s = arrive_s[i] if i < n else NEVER_S
        delay_end_s = delayed_s[0] if n_delayed > 0 else NEVER_S
        cpu_end_s = NEVER_S
        core = 0
        if is_shared:
            if n_ready > 0:
                cpu_end_s = clock_s + (end_v[0] - v) * max(1.0, n_ready / n_cores)
        else:
            for c in range(n_cores):
                if turn_end_s[c] < cpu_end_s:
                    cpu_end_s, core = turn_end_s[c], c
        freed = False
        if cpu_end_s <= delay_end_s and cpu_end_s <= arrival_s:
            now_s = cpu_end_s
            if is_shared:
                clock_s, v = now_s, end_v[0]
                done_s[end_job[0]] = now_s
                _pop(end_v, end_job, n_ready)
                n_ready -= 1
                freed = True
            else:
                j = on_core[core]
                if left_s[j] <= turn_s:
                    done_s[j] = now_s
                    freed = True
                else:
                    left_s[j] -= turn_s
                    ring[(head + n_waiting) % n] = j
                    n_waiting += 1
                on_core[core], turn_end_s[core] = -1, NEVER_S
                if n_waiting > 0:
                    j = ring[head]
                    head = (head + 1) % n
                    n_waiting -= 1
                    on_core[core], turn_end_s[core] = j, now_s + min(left_s[j], turn_s)
            if freed:
                n_done += 1
                n_inside -= 1
        elif delay_end_s <= arrival_s:
            now_s = delay_end_s
            j = delayed_job[0]
            _pop(delayed_s, delayed_job, n_delayed)
            n_delayed -= 1
            ready_s[j] = now_s
            if is_shared:
                if n_ready == 0:
                    v = 0.0
                else:
                    v += (now_s - clock_s) / max(1.0, n_ready / n_cores)
                clock_s = now_s
                _push(end_v, end_job, n_ready, v + work_s[j], j)
                n_ready += 1
            else:
                idle = -1
                for c in range(n_cores):
                    if on_core[c] < 0:
                        idle = c
                        break
                if idle >= 0:
                    on_core[idle], turn_end_s[idle] = j, now_s + min(left_s[j], turn_s)
                else:
                    ring[(head + n_waiting) % n] = j
                    n_waiting += 1
        else:
            now_s = arrival_s
            i += 1
        while i_admitted < i and n_inside < n_slots:
            _push(delayed_s, delayed_job, n_delayed, now_s + delay_s[i_admitted], i_admitted)
            n_delayed += 1
            n_inside += 1
            i_admitted += 1
    return ready_s, done_s
