"""How long callers of a service wait at a rate, or should have waited in a live run. Seconds; requests per second.

A figure is the geometric mean over the laws that were kept, for the runs don't tell them apart. The interval holds what
they and every plausible law say, each with luck of its own, strayed as far as repeats of one live run do.
"""

import math
from collections.abc import Sequence

import numpy as np

from loadplan.errors import InvalidMeasurement
from loadplan.fit.black_box.records import Asked, ServiceFit
from loadplan.fit.black_box.simulate import Times, draw_luck, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw
from loadplan.fit.black_box.structures import saturated_rps as saturated_law_rps
from loadplan.fit.black_box.worlds import ServiceWorld, saturated_rps, waits_in, worlds_of
from loadplan.fit.doubts import require_stable
from loadplan.fit.latency import Spread, interval_of
from loadplan.fit.records import ClassLatency, PredictedLatency
from loadplan.fit.replay import QUANTILES, SCATTER
from loadplan.fit.useful_runs import right_and_clean
from loadplan.fit.worlds import Waits, of_class
from loadplan.load.records import LoadRun
from loadplan.stats import percentile

_QUANTILES = (0.5, 0.95, 0.99)
_N_LUCKS_OF_RUN = 24  # with which the requests of a live run are met, over all laws that were kept


def predict_service(fit: ServiceFit, asked: Asked, *, rate_rps: float) -> PredictedLatency:
    """How long callers of one copy of the service wait at a rate, on the machine that it was driven on.

    Raises:
        InputError: when there is no traffic, or more than the service carries by the best law.
    """
    worlds = worlds_of(fit, asked)
    require_stable(rate_rps, saturated_rps=saturated_rps(worlds[0]))
    return latency_at(worlds, len(fit.laws), rate_rps)


def latency_at(worlds: Sequence[ServiceWorld], n_kept: int, rate_rps: float) -> PredictedLatency:
    """What a run of each of these worlds says together, of which the first `n_kept` are of laws that were kept."""
    met = [waits_in(world, rate_rps) for world in worlds]
    strays = [world.stray for world in worlds]
    return PredictedLatency(
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / saturated_rps(worlds[0]),
        **_spread([waits.times_s for waits in met], strays, n_kept),
        classes=tuple(_of_class(met, name, strays, n_kept) for name in met[0].class_names),
    )


def predict_service_run(fit: ServiceFit, run: LoadRun) -> PredictedLatency:
    """What callers should have waited in this live run, by the very requests that fell due in it and count.

    The interval says where a repeat of the run would lie.

    Raises:
        InvalidMeasurement: when no request of the run counts.
    """
    counts = right_and_clean(run)
    if not counts.any():
        raise InvalidMeasurement(
            what="the load run has no request that counts",
            where=f"load run {run.spec.name}",
            fix="let it run for longer, on a quieter machine",
        )
    n_rows = np.ones(run.requests.n_requests, dtype=np.int64) if run.n_rows is None else run.n_rows
    n_of_each = math.ceil(_N_LUCKS_OF_RUN / len(fit.laws))
    laws = [*(law for law in fit.laws for _ in range(n_of_each)), *fit.plausible]
    rng = np.random.default_rng((fit.seed, run.spec.seed))

    def waited_s(law: ServiceLaw) -> Times:
        luck = draw_luck(n_rows.size, rng)
        done_s = simulate_service(law, run.requests.due_s, n_rows, luck).done_s
        return np.minimum(done_s - run.requests.due_s, run.spec.timeout_s)[counts]

    times_s = [waited_s(law) for law in laws]
    n_kept = n_of_each * len(fit.laws)
    strays = rng.standard_normal(len(laws)).tolist()
    rate_rps = run.requests.n_requests / run.spec.duration_s
    return PredictedLatency(
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / saturated_law_rps(fit.laws[0], float(n_rows.mean())),
        **_spread(times_s, strays, n_kept),
    )


def _of_class(met: Sequence[Waits], name: str, strays: Sequence[float], n_kept: int) -> ClassLatency:
    return ClassLatency(name=name, **_spread([of_class(waits, name) for waits in met], strays, n_kept))


def _spread(times_s: Sequence[Times], strays: Sequence[float], n_kept: int) -> Spread:
    """The middle of the first `n_kept` runs, and where nine in ten of all lie once they strayed."""
    quantiles_s = np.array([[percentile(times, q) for q in _QUANTILES] for times in times_s])
    middle = np.exp(np.log(quantiles_s[:n_kept]).mean(axis=0))
    scatter = np.array([SCATTER[QUANTILES.index(q)] for q in _QUANTILES])
    strayed = quantiles_s * np.exp(np.outer(strays, scatter))
    p50, p95, p99 = (interval_of(float(middle[i]), strayed[:, i].tolist()) for i in range(len(_QUANTILES)))
    return {
        "p50_s": float(middle[0]),
        "p95_s": float(middle[1]),
        "p99_s": float(middle[2]),
        "p50_interval": p50,
        "p95_interval": p95,
        "p99_interval": p99,
    }
