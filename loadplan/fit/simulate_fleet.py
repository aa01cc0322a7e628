"""Replicas behind a balancer, request by request, with what goes wrong between them and their clients.

Every process takes the turns of `simulate`, to the bit: a fleet of one replica of one process is that simulator. What a
fleet adds, by the same rule of changing both or none:

- *Balancing*: `fleet_records.Balancing`. The balancer counts as outstanding what a replica was sent and has not
  answered. From the shared queue, which `max_queue_rows` bounds as a whole, a free process takes one batch when it
  polls, and reads only that; a process that sleeps is woken where those on their way can't empty the queue with a batch
  each, and one of those that wait for a window first.
- *Timeout*: requests that have waited for it are refused, at the price of a response, at the beginning of a turn and
  again before a batch is formed. A sleeping process wakes for it. `serve.batcher` drops them at the same moments.
- *Inference on a core of its own*: a turn sends the answers of an inference that has ended, reads, and hands a batch
  over if none is being inferred: `batch_s` on the loop's core, then `handover_s` until the thread begins. Both cores go
  cold apart; pauses stop both at once.
- *Loss*: what a replica held is lost, and whatever it had not sent. The balancer goes on sending until it has found
  out; what it sends is lost as well, and is outstanding until the client notices. While a replica is out, its
  connections are spread over the others; they return to it.
- *Retries*: an attempt that failed in any way is made again after the backoff, and counts as load like any other.
- *Delays* outside are part of each attempt, on the way to the balancer and back, so they change the order of arrival.

Not simulated: clients that give up before they are answered (give a timeout: the server drops the same requests),
health checks that are wrong, and replicas that slow each other down.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.execution import Balancing
from loadplan.fit import fleet_kernel as kernel
from loadplan.fit.fleet_records import Fleet, FleetDraws, FleetNoise, FleetRun, Loss, Offered
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import (
    LONGEST_PAUSE,
    N_DRAWS,
    N_PAUSES_MOST,
    NEVER_S,
    Rows,
    Times,
    draw,
    lasting_pauses,
    scale,
    scale_pauses,
)

_BALANCING: dict[Balancing, int] = {
    "random": kernel.RANDOM,
    "round_robin": kernel.ROUND_ROBIN,
    "least_outstanding": kernel.LEAST_OUTSTANDING,
    "per_connection": kernel.PER_CONNECTION,
    "shared_queue": kernel.SHARED_QUEUE,
}


def draw_fleet(rng: np.random.Generator, *, n_processes: int, n_pauses: int = 4096) -> FleetDraws:
    """Common random numbers for any number of simulated fleets of at most so many processes."""
    single = draw(rng, n_pauses=n_pauses)
    uniform = rng.random((4, N_DRAWS))  # before what there is more of in a larger fleet
    return FleetDraws(
        single=single,
        pause_gap=rng.standard_exponential((n_processes - 1, n_pauses)),
        pause_length=np.minimum(rng.standard_exponential((n_processes - 1, n_pauses)), LONGEST_PAUSE),
        uniform=uniform,
    )


def scale_fleet(draws: FleetDraws, overhead: OverheadFit, *, service_spread_ratio: float) -> FleetNoise:
    """The noise of one law, as `simulate.scale` for every process."""
    single = scale(draws.single, overhead, service_spread_ratio=service_spread_ratio)
    others = [scale_pauses(*each, overhead) for each in zip(draws.pause_gap, draws.pause_length, strict=True)]
    pauses_s = [(single.pause_start_s, single.pause_length_s), *others]
    return FleetNoise(
        multipliers=np.vstack([single.request, single.response, single.service, draws.uniform]),
        pauses_s=np.stack([np.array(each) for each in zip(*pauses_s, strict=True)]),
    )


def lasting_fleet(noise: FleetNoise, *, until_s: float) -> FleetNoise:
    """The same noise with each process's pauses over and over, up to this time, as `simulate.lasting`."""
    if until_s <= noise.pauses_s[0, :, -2:].min():  # of a law without pauses the only one is never
        return noise
    each_most = N_PAUSES_MOST // noise.pauses_s.shape[1]
    of_each = [lasting_pauses(*each, until_s=until_s, n_most=each_most) for each in noise.pauses_s.transpose(1, 0, 2)]
    n_most = max(starts_s.size for starts_s, _ in of_each)
    padded = [
        (
            np.pad(starts_s, (0, n_most - starts_s.size), constant_values=NEVER_S),
            np.pad(lengths_s, (0, n_most - lengths_s.size)),
        )
        for starts_s, lengths_s in of_each
    ]
    return FleetNoise(multipliers=noise.multipliers, pauses_s=np.array(padded).transpose(1, 0, 2).copy())


def offer(sent_s: Times, n_rows: Rows, *, before_s: Times | None = None, after_s: Times | None = None) -> Offered:
    """Requests with these delays outside the fleet, or with none."""
    none = np.zeros(1)
    return Offered(
        sent_s=sent_s,
        n_rows=n_rows,
        before_s=none if before_s is None else before_s,
        after_s=none if after_s is None else after_s,
    )


def simulate_fleet(offered: Offered, fleet: Fleet, noise: FleetNoise) -> FleetRun:
    """What becomes of every request; the same for the same arguments.

    Raises:
        InputError: for a fleet that can't be: see `_require_possible`.
    """
    _require_possible(fleet, noise)
    before_s = offered.before_s + fleet.overhead.transfer_s
    # With one delay for all, requests come in the order in which they were sent.
    order = np.empty(0, np.int64) if before_s.size == 1 else np.argsort(offered.sent_s + before_s, kind="stable")
    requests = np.empty(offered.sent_s.size, dtype=kernel.REQUEST)
    kernel.lay_out(requests, offered.sent_s, offered.n_rows, before_s, offered.after_s, order)
    kernel.run_events(
        requests,
        _processes(fleet.n_processes),
        _replicas(fleet.n_replicas),
        _state(fleet.n_replicas),
        np.full((kernel.N_LISTS, 2, fleet.n_processes), -1, dtype=np.int64),
        np.empty(requests.size if fleet.retries.n_most else 1, dtype=kernel.RETRY),
        _law(fleet),
        noise.multipliers,
        noise.pauses_s,
        fleet.service_s,
        _controls(fleet.losses),
    )
    n = requests.size
    run = FleetRun(
        done_s=np.empty(n),
        fate=np.empty(n, np.uint8),
        ended_s=np.empty(n),
        n_attempts=np.empty(n, np.int32),
        process=np.empty(n, np.int32),
    )
    kernel.read_off(requests, order, run.done_s, run.ended_s, run.fate, run.n_attempts, run.process)
    return run


def _law(fleet: Fleet) -> Any:
    """One record of `fleet_kernel.LAW`."""
    overhead, serving = fleet.overhead, fleet.serving
    law = np.zeros(1, dtype=kernel.LAW)
    for name in ("request_s", "row_s", "response_s", "batch_s", "wake_s", "cold_ratio"):
        law[name] = getattr(overhead, name)
    law["window_s"] = serving.batch_window_s
    law["timeout_s"] = min(fleet.timeout_s, NEVER_S)
    law["handover_s"] = -1.0 if fleet.handover_s is None else fleet.handover_s
    law["backoff_s"] = fleet.retries.backoff_s
    law["jitter_ratio"] = fleet.retries.jitter_ratio
    law["max_batch_size"] = serving.max_batch_size
    law["max_queue_rows"] = serving.max_queue_rows
    law["n_retries"] = fleet.retries.n_most
    law["balancing"] = _BALANCING[fleet.balancing]
    law["n_replicas"] = fleet.n_replicas
    law["n_processes"] = serving.n_server_processes
    law["n_connections"] = fleet.n_connections
    law["is_tracked"] = fleet.balancing == "least_outstanding" or bool(fleet.losses)
    return law[0]


def _processes(n: int) -> NDArray[np.void]:
    """All asleep since 0."""
    processes = np.zeros(n, dtype=kernel.PROCESS)
    processes["event_s"] = NEVER_S
    processes["slow"] = 1.0
    return processes


def _replicas(n: int) -> NDArray[np.void]:
    replicas = np.zeros(n, dtype=kernel.REPLICA)
    replicas["is_in"] = 1
    return replicas


def _state(n_replicas: int) -> NDArray[np.void]:
    state = np.zeros(1, dtype=kernel.STATE)
    state["n_in"] = n_replicas
    return state


def _controls(losses: Sequence[Loss]) -> NDArray[np.void]:
    """In order of time, closed by one that never comes."""
    events = []
    for loss in sorted(losses, key=lambda loss: loss.at_s):  # at one time an earlier loss is over before a later one
        found_s = loss.at_s + loss.detected_after_s
        each = [
            (loss.at_s, kernel.IS_LOST),
            (found_s, kernel.IS_FOUND_OUT),
            (found_s + loss.back_after_s, kernel.IS_BACK),
        ]
        events += [(at_s, kind, loss.replica, loss.noticed_after_s) for at_s, kind in each if math.isfinite(at_s)]
    events.sort(key=lambda event: event[0])  # stable: a loss comes before its detection
    return np.array([*events, (NEVER_S, 0, 0, 0.0)], dtype=kernel.CONTROL)


def _require_possible(fleet: Fleet, noise: FleetNoise) -> None:
    """Random numbers for every process, replicas that exist, and no loss of what is lost already."""
    if noise.pauses_s.shape[1] < fleet.n_processes:
        raise _refusal(
            f"there are random numbers for {noise.pauses_s.shape[1]} processes and the fleet has {fleet.n_processes}",
            "draw them for as many",
        )
    if fleet.retries.n_most and fleet.retries.backoff_s <= 0.0:
        raise _refusal("clients try again without waiting", "give a backoff above 0")
    back_s: dict[int, float] = {}
    for loss in sorted(fleet.losses, key=lambda loss: loss.at_s):
        if not 0 <= loss.replica < fleet.n_replicas:
            raise _refusal(f"replica {loss.replica} of {fleet.n_replicas} is lost", "count from 0")
        if loss.at_s < back_s.get(loss.replica, 0.0):
            raise _refusal(f"replica {loss.replica} is lost again before it is back", "lose it later")
        if loss.noticed_after_s > loss.back_after_s:
            raise _refusal(
                f"clients notice the loss of replica {loss.replica} after its replacement has started",
                "let them notice sooner, as any timeout of theirs does",
            )
        back_s[loss.replica] = loss.at_s + loss.detected_after_s + loss.back_after_s


def _refusal(what: str, fix: str) -> InputError:
    return InputError(what=what, where="the simulated fleet", fix=fix)
