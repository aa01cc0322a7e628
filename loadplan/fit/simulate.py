"""The embedded server's turn, simulated request by request: times of arrival in, times of the last byte out.

One core, one thread, inference inline. Each turn (`serve.batcher` states the same rule; change both or none):

1. Every request that had arrived when the sockets were polled is read, `request_s` each and `row_s` for each of its
   rows. One that would make the queue longer than `max_queue_rows` is refused at the price of a request and a response;
   an empty queue takes any size. Where not even one more row may wait, the rows are not looked at.
2. One batch: whole requests in order until the next would exceed `max_batch_size` rows, a larger one alone. With a
   window, and fewer rows waiting than that, nothing until the oldest has waited for `batch_window_s`.
3. `batch_s` + S(rows).
4. The responses in order, `response_s` each; each leaves when it is written. Then the sockets are polled again.

A server with nothing to do sleeps: the next arrival finds it awake after `wake_s`, or after half the gap where that is
shorter, for then it was only on its way to sleep. The whole turn after an idle gap g is slower by the factor
1 + cold_ratio · k(g), k(g) = clip(ln(g / g0) / ln(g1 / g0), 0, 1): the longer the core rested, the deeper it sleeps and
the less its caches remember. Rare pauses stop the server whatever it does. Every cost is multiplied by noise drawn
beforehand, so the same noise serves every rate and every parameter: differences between two simulations are
differences between their laws, and searches over either are smooth.

All that a row costs beside the inference falls due in step 1: there the server looks at each value of a request on its
own, while an answer goes from the array's memory straight into the text of the response.

Seconds throughout. Numba is imported here, in `fleet_kernel` and in `black_box.kernel` alone; no fastmath, which may
turn comparisons with sentinels into endless loops. The compiled code is cached on disk, so only the first process on a
machine waits for the compiler.
"""

import math
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from loadplan.execution import ServingConfig, Setting
from loadplan.fit.carried import requests_in_full_batch
from loadplan.fit.records import OverheadFit

Times = NDArray[np.float64]
Rows = NDArray[np.int64]

# Idle gaps between which a core goes cold. Sleeping states and caches differ little below the first and no more
# beyond the second, where inference took 119 µs after < 0.1 ms, 156 µs at 1-2 ms, 319 µs at 5-10 ms, 422 µs above 10 ms
# (a 9 MB model, measured on a virtual machine).
COLD_FROM_S = 0.5e-3
COLD_TO_S = 20e-3
# Draws are used over and over; a power of two, so that the index wraps with a mask.
N_DRAWS = 1 << 16
LONGEST_PAUSE = 4.0  # times its mean
N_PAUSES_MOST = 1 << 20  # in one simulation: fourteen hours of twenty a second
NEVER_S = 1e300


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Everything random in a simulation, in standard form: the same for every law that is compared."""

    request: Times  # (2^16,) standard normal
    response: Times  # (2^16,)
    service: Times  # (2^16,)
    pause_gap: Times  # (n_pauses,) exponential with mean 1
    pause_length: Times  # (n_pauses,) exponential with mean 1, cut at 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The draws, scaled to one law."""

    request: Times  # multipliers with mean 1; all three are of one size, a power of two
    response: Times
    service: Times
    pause_start_s: Times  # ascending; the last one is never
    pause_length_s: Times


def draw(rng: np.random.Generator, *, n_pauses: int = 4096) -> Draws:
    """Common random numbers for any number of simulations; for one longer than the pauses see `lasting`."""
    return Draws(
        request=rng.standard_normal(N_DRAWS),
        response=rng.standard_normal(N_DRAWS),
        service=rng.standard_normal(N_DRAWS),
        pause_gap=rng.standard_exponential(n_pauses),
        pause_length=np.minimum(rng.standard_exponential(n_pauses), LONGEST_PAUSE),
    )


def scale(draws: Draws, overhead: OverheadFit, *, service_spread_ratio: float) -> Noise:
    """The noise of one law: lognormal multipliers with mean 1, and pauses at the law's rate and length."""
    starts_s, lengths_s = scale_pauses(draws.pause_gap, draws.pause_length, overhead)
    return Noise(
        request=_lognormal(draws.request, overhead.spread_ratio),
        response=_lognormal(draws.response, overhead.spread_ratio),
        service=_lognormal(draws.service, service_spread_ratio),
        pause_start_s=starts_s,
        pause_length_s=lengths_s,
    )


def scale_pauses(gaps: Times, lengths: Times, overhead: OverheadFit) -> tuple[Times, Times]:
    """When the law's pauses begin, ascending, and how long they last; the last one is never."""
    has_pauses = overhead.stall_s > 0.0 and overhead.stall_rate_per_s > 0.0
    starts_s = np.cumsum(gaps) / overhead.stall_rate_per_s if has_pauses else np.empty(0)
    return np.append(starts_s, NEVER_S), np.append(lengths * overhead.stall_s if has_pauses else starts_s, 0.0)


def lasting(noise: Noise, *, until_s: float) -> Noise:
    """The same noise with its pauses over and over, up to this time: a slow server is simulated for hours."""
    starts_s, lengths_s = lasting_pauses(noise.pause_start_s, noise.pause_length_s, until_s=until_s)
    return replace(noise, pause_start_s=starts_s, pause_length_s=lengths_s)


def lasting_pauses(
    starts_s: Times, lengths_s: Times, *, until_s: float, n_most: int = N_PAUSES_MOST
) -> tuple[Times, Times]:
    """Pauses as of `scale_pauses`, over and over where they end before this time; `n_most` or somewhat fewer at most.

    A run that has more of them is one of inferences so long, or of a server so idle, that pauses are nothing beside.
    """
    once_s = starts_s[:-1]
    if not once_s.size or until_s <= once_s[-1]:
        return starts_s, lengths_s
    n_rounds = max(min(math.ceil(until_s / float(once_s[-1])), n_most // once_s.size), 1)
    all_s = (once_s[-1] * np.arange(n_rounds)[:, None] + once_s).ravel()
    return np.append(all_s, NEVER_S), np.append(np.tile(lengths_s[:-1], n_rounds), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullBatches:
    """The batches in which a server works off an endless backlog."""

    n_requests: Rows  # (n_batches,)
    n_rows: Rows  # (n_batches,) of those requests together


def full_batches(n_rows: Rows, max_batch_size: int) -> FullBatches:
    """The batches that the rule of step 2 forms of requests with these rows, which all wait.

    The last one is left out, for more requests might have made it larger, unless it is the only one. Where all requests
    are alike all batches are, and one of them stands for all.
    """
    if n_rows.min() == n_rows.max():
        n_whole = requests_in_full_batch(max_batch_size, int(n_rows[0]))
        return FullBatches(n_requests=np.array([n_whole]), n_rows=n_whole * n_rows[:1])
    n_requests, rows = _pack(n_rows, max_batch_size)
    return FullBatches(n_requests=n_requests, n_rows=rows)


def saturated_rps(setting: Setting, overhead: OverheadFit, *, service_s: Times, n_rows: Rows) -> float:
    """The rate at which the queue grows without end, of requests with these rows, (n,), that come over and over.

    n / Σ (S(rows) + requests (request + response) + rows row + batch) over the full batches that they form, times the
    share of the time that is not lost to pauses. With k rows in each and b = max(1, max_batch_size // k) that is
    b / (S(b k) + b (request + response) + b k row + batch).
    """
    full = full_batches(n_rows, setting.serving.max_batch_size)
    n_requests = int(full.n_requests.sum())
    work_s = float(service_s[full.n_rows].sum()) + n_requests * (overhead.request_s + overhead.response_s)
    work_s += full.n_rows.size * overhead.batch_s + int(full.n_rows.sum()) * overhead.row_s
    return (1.0 - paused_ratio(overhead)) * n_requests / work_s


def paused_ratio(overhead: OverheadFit) -> float:
    """Share of the time that the server is stopped by pauses: rate x mean length, E[min(Exp(1), 4)] = 1 - exp(-4)."""
    return overhead.stall_rate_per_s * overhead.stall_s * (1.0 - float(np.exp(-LONGEST_PAUSE)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeParts:
    """Of each request of a run, (n,): when it was answered, and what of its time was work on it; the rest it waited."""

    done_s: Times  # NaN: refused, and then the others say nothing
    model_s: Times  # the inference of its batch
    web_s: Times  # its own reading and answering, the handling of its batch, and the way to the serving core


def simulate(
    sent_s: Times,
    n_rows: Rows,
    *,
    service_s: Times,
    overhead: OverheadFit,
    serving: ServingConfig,
    noise: Noise,
) -> Times:
    """When each request's answer is complete at the client; NaN for one that was refused.

    Args:
        sent_s: (n,) ascending times at which the requests leave the client.
        n_rows: (n,) rows of each request, at least 1.
        service_s: mean inference time by rows, long enough for `max_batch_size` and for the largest request.
        overhead: the costs of a turn.
        serving: batching rule and bound of the queue.
        noise: multipliers and pauses.
    """
    untold = np.empty(0)
    return _run(sent_s, n_rows, service_s, overhead, serving, noise, model_s=untold, web_s=untold)


def simulate_parts(
    sent_s: Times,
    n_rows: Rows,
    *,
    service_s: Times,
    overhead: OverheadFit,
    serving: ServingConfig,
    noise: Noise,
) -> TimeParts:
    """The same run as `simulate`, with the parts of each request's time."""
    model_s, web_s = np.zeros(sent_s.size), np.zeros(sent_s.size)
    done_s = _run(sent_s, n_rows, service_s, overhead, serving, noise, model_s=model_s, web_s=web_s)
    return TimeParts(done_s=done_s, model_s=model_s, web_s=web_s + overhead.transfer_s)


def _run(
    sent_s: Times,
    n_rows: Rows,
    service_s: Times,
    overhead: OverheadFit,
    serving: ServingConfig,
    noise: Noise,
    *,
    model_s: Times,
    web_s: Times,
) -> Times:
    """Fills the parts, (n,) zeros, where there is room for them."""
    costs = np.array(
        [
            overhead.request_s,
            overhead.row_s,
            overhead.response_s,
            overhead.batch_s,
            overhead.wake_s,
            overhead.cold_ratio,
            serving.batch_window_s,
        ]
    )
    done_s: Times = _turns(
        sent_s + overhead.transfer_s,
        n_rows,
        service_s,
        costs,
        serving.max_batch_size,
        serving.max_queue_rows,
        noise.request,
        noise.response,
        noise.service,
        noise.pause_start_s,
        noise.pause_length_s,
        model_s,
        web_s,
    )
    return done_s


def _lognormal(normal: Times, spread_ratio: float) -> Times:
    return np.exp(spread_ratio * normal - 0.5 * spread_ratio**2)


@numba.njit(cache=True, nogil=True)
def rest(until_s, pauses_s, lengths_s, i_pause):  # type: ignore[no-untyped-def]  # compiled: types are inferred
    """Sleep; a pause that began meanwhile may last longer. Returns the time and the next pause."""
    now_s = until_s
    while pauses_s[i_pause] <= until_s:
        now_s = max(now_s, pauses_s[i_pause] + lengths_s[i_pause])
        i_pause += 1
    return now_s, i_pause


@numba.njit(cache=True, nogil=True)
def _pack(n_rows, max_batch_size):  # type: ignore[no-untyped-def]
    """Requests and rows of each batch, as `full_batches` says."""
    n_requests = np.zeros(n_rows.size, np.int64)
    rows = np.zeros(n_rows.size, np.int64)
    i_batch = 0
    for i in range(n_rows.size):
        if rows[i_batch] > 0 and rows[i_batch] + n_rows[i] > max_batch_size:
            i_batch += 1
        rows[i_batch] += n_rows[i]
        n_requests[i_batch] += 1
    # A last batch that is full to the row is as good as any.
    n_whole = i_batch + 1 if rows[i_batch] >= max_batch_size else max(i_batch, 1)
    return n_requests[:n_whole], rows[:n_whole]


@numba.njit(cache=True, nogil=True)
def _turns(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 -- one loop, for the compiler's sake
    arrive_s,
    n_rows,
    service_s,
    costs,
    max_batch_size,
    max_queue_rows,
    request_z,
    response_z,
    service_z,
    pauses_s,
    lengths_s,
    model_s,
    web_s,
):
    request_s, row_s, response_s, batch_s, wake_s, cold_ratio, window_s = costs
    n = arrive_s.size
    mask = request_z.size - 1
    log_cold = np.log(COLD_TO_S / COLD_FROM_S)
    done_s = np.empty(n)
    is_told = model_s.size > 0  # whether anybody asks for the parts of each request's time
    queue = np.empty(n, np.int64)  # accepted requests in order
    enqueued_s = np.empty(n if window_s > 0.0 else 0)  # when each of them was
    head = tail = 0
    queued_rows = 0
    i = i_batch = i_pause = 0
    now_s = 0.0
    while True:
        slow = 1.0
        if head == tail:
            if i == n:
                return done_s
            if arrive_s[i] > now_s:
                gap_s = arrive_s[i] - now_s
                if gap_s > COLD_FROM_S:
                    slow += cold_ratio * min(np.log(gap_s / COLD_FROM_S) / log_cold, 1.0)
                now_s, i_pause = rest(arrive_s[i], pauses_s, lengths_s, i_pause)
                now_s += min(wake_s, 0.5 * gap_s) * slow
        # 1. Read all that was there when the sockets were polled.
        polled_s = now_s
        while i < n and arrive_s[i] <= polled_s:
            read_s = request_s
            if queued_rows < max_queue_rows:
                read_s += row_s * n_rows[i]
            read_s = read_s * request_z[i & mask] * slow
            now_s += read_s
            if queued_rows > 0 and queued_rows + n_rows[i] > max_queue_rows:
                now_s += response_s * response_z[i & mask] * slow
                done_s[i] = np.nan
            else:
                queue[tail] = i
                if window_s > 0.0:
                    enqueued_s[tail] = now_s
                if is_told:
                    web_s[i] = read_s
                tail += 1
                queued_rows += n_rows[i]
            i += 1
        while pauses_s[i_pause] <= now_s:
            now_s += lengths_s[i_pause]
            i_pause += 1
        if head == tail:
            continue
        # 2. Wait for the window, or form a batch.
        if window_s > 0.0 and queued_rows < max_batch_size and now_s < enqueued_s[head] + window_s:
            until_s = enqueued_s[head] + window_s
            if i < n and arrive_s[i] < until_s:
                until_s = arrive_s[i]
            if until_s > now_s:
                now_s, i_pause = rest(until_s, pauses_s, lengths_s, i_pause)
                now_s += wake_s
            continue
        first = head
        rows = n_rows[queue[head]]
        head += 1
        while head < tail and rows + n_rows[queue[head]] <= max_batch_size:
            rows += n_rows[queue[head]]
            head += 1
        queued_rows -= rows
        # 3. Infer.
        infer_s = service_s[rows] * service_z[i_batch & mask]
        now_s += (batch_s + infer_s) * slow
        i_batch += 1
        while pauses_s[i_pause] <= now_s:
            now_s += lengths_s[i_pause]
            i_pause += 1
        # 4. Answer.
        for j in range(first, head):
            answer_s = response_s * response_z[queue[j] & mask] * slow
            now_s += answer_s
            done_s[queue[j]] = now_s
            if is_told:
                model_s[queue[j]] = infer_s * slow
                web_s[queue[j]] += batch_s * slow + answer_s
