"""Which short live runs tell the server's overheads, at which rates. Pure: the runs so far go in, the next comes out.

Two runs of bursts, with the smallest and the largest batch size, show what the server carries while requests wait;
an idle run shows what waking costs, and two runs at moderate load show the tail. The rates of the later runs are shares
of the capacity that the bursts showed. All are Poisson but the bursts, whatever the scenario's own arrivals: the law
of the server does not depend on them, and the simulator takes the scenario's when it predicts.

The decision a reader would question: all bursts of a run are of one size, no larger than it takes to see a backlog. A
server's work on a request grows with the connections among which it comes in turn, for each of them has to come into
the caches again: by a tenth of its CPU time from 24 connections to 250, measured. Bursts of random size need four times
as many connections as the mean burst has requests, and so showed a server slower than any other run meets. Seconds;
requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadplan.bench.records import BenchRun
from loadplan.errors import InvalidMeasurement
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.backlog import (
    REQUESTS_WAITING_LEAST,
    backlog_of,
    departure_gap_s,
    queue_rows,
    requests_in_full_batch,
    right_answers_s,
)
from loadplan.fit.records import ServiceTimeFit
from loadplan.fit.service_time import fit_service_times, served_laws, service_times_s
from loadplan.fit.simulate import Rows, full_batches
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.records import LoadPurpose, LoadRun, LoadSpec
from loadplan.scenario.arrivals import Arrivals, PoissonArrivals, RequestTimes, TraceArrivals
from loadplan.scenario.class_mix import draw_requests
from loadplan.scenario.spec import Scenario, Traffic

N_RUNS_EXPECTED = 5

_POISSON = PoissonArrivals()
_N_TYPICAL = 4096
_SEED = 1  # of typical requests; the runs must not depend on more than the scenario's seed
# A burst that is worked off has half of its requests under way on average, and its first ones before all have come.
_BURST_OF_BACKLOG = 3
_BURSTS_LEAST = 4  # in a run, however large the batches are
_BURST_GAP_RATIO = 0.05  # between the requests of a burst, of the mean gap: an eighth of what the server needs for each
# What a small request costs beside its inference on one core of a virtual machine, until a run tells. Rather too much:
# bursts at a lower share of the capacity still queue up, at a higher one they overflow the queue.
_REQUEST_S, _BATCH_S = 80e-6, 100e-6
_ROW_S = 10e-6  # of each row but the first, of some hundred numbers
_BURST_RATIO = 0.4
_BURST_RATIO_MOST = 1.2  # an overload opens a connection per waiting request, and then measures the opening
_LOUDER = 1.7
# Runs that would hold fewer requests than these last longer, up to the limit.
_N_REQUESTS_LEAST = 300
_IDLE_RATIO, _IDLE_RATIO_MOST = 0.03, 0.12  # of the saturated rate; the second where the first holds too few requests
_LONGEST_S = 30.0
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    purpose: LoadPurpose
    max_batch_size: int
    load_ratio: float  # offered rate over the saturated rate of its setting


def next_run(benched: BenchRun, scenario: Scenario, runs: Sequence[LoadRun]) -> LoadSpec | None:
    """The calibration run to drive next, or None where the runs say enough. The same runs give the same answer.

    Raises:
        InvalidMeasurement: when the benchmark holds no cell.
        InputError: when the scenario's smallest batch is more than twice the largest that was benchmarked.
    """
    law = _law(benched, scenario)
    done = {run.spec.name: run for run in runs}
    for wanted in _wanted(scenario):
        if wanted.purpose == "saturation":
            spec = _next_burst(wanted, law, scenario, done)
        elif wanted.name in done:
            spec = None
        else:
            rate_rps = _rate_rps(wanted, _saturated_rps(wanted.max_batch_size, law, scenario, runs))
            spec = _spec(wanted, wanted.name, rate_rps, law.execution, scenario)
        if spec is not None:
            return spec
    return None


def _wanted(scenario: Scenario) -> tuple[_Wanted, ...]:
    sizes = sorted(set(scenario.serving.max_batch_sizes))
    smallest, middle, largest = sizes[0], sizes[len(sizes) // 2], sizes[-1]
    bursts = [
        _Wanted(name=f"bursts-{size}", purpose="saturation", max_batch_size=size, load_ratio=_BURST_RATIO)
        for size in dict.fromkeys((smallest, largest))
    ]
    return (
        *bursts,
        _Wanted(name=f"idle-{smallest}", purpose="idle", max_batch_size=smallest, load_ratio=_IDLE_RATIO),
        _Wanted(name=f"steady-50-{smallest}", purpose="steady", max_batch_size=smallest, load_ratio=0.5),
        _Wanted(name=f"steady-65-{middle}", purpose="steady", max_batch_size=middle, load_ratio=0.65),
    )


def _rate_rps(wanted: _Wanted, saturated_rps: float) -> float:
    """The share that is wanted; of an idle run more where it would hold too few requests even at its longest."""
    rate_rps = wanted.load_ratio * saturated_rps
    if wanted.purpose != "idle":
        return rate_rps
    return max(rate_rps, min(_N_REQUESTS_LEAST / _LONGEST_S, _IDLE_RATIO_MOST * saturated_rps))


def _law(benched: BenchRun, scenario: Scenario) -> ServiceTimeFit:
    """That of the execution that all runs use: overheads are the server's own, so one tells them for every other."""
    laws = served_laws(fit_service_times(benched, extrapolate_batches=scenario.serving.extrapolate_batches))
    fewest = min(scenario.serving.n_threads)
    return next((law for law in laws if law.execution.n_threads == fewest), laws[0])


def _next_burst(wanted: _Wanted, law: ServiceTimeFit, scenario: Scenario, done: dict[str, LoadRun]) -> LoadSpec | None:
    """A run of bursts, and a louder one after each that left no backlog, as far as that is safe."""
    saturated_rps = _saturated_rps(wanted.max_batch_size, law, scenario, tuple(done.values()))
    ratio, name = wanted.load_ratio, wanted.name
    while name in done:
        louder = ratio * _LOUDER
        if not done[name].verdict.valid or backlog_gap_s(done[name]) is not None or louder > _BURST_RATIO_MOST:
            return None
        ratio, name = louder, f"{name}-louder"
    return _spec(wanted, name, ratio * saturated_rps, law.execution, scenario)


def require_enough(runs: Sequence[LoadRun]) -> None:
    """Hold finished calibration runs to what a fit can't do without: a useful run that shows the server under load.

    Raises:
        InvalidMeasurement: when no run of bursts says enough, with their reasons.
    """
    loaded = [run for run in runs if run.spec.purpose == "saturation"]
    if any(not reasons_against(run) for run in loaded):
        return
    reasons = dict.fromkeys(reason for run in loaded for reason in reasons_against(run))
    raise InvalidMeasurement(
        what="no live run shows what the server carries: " + ("; ".join(reasons) or "none was driven to show it"),
        where="the calibration runs",
        fix="run the same command again when the machine is quieter, or on one with more cores; valid runs are kept",
    )


def backlog_gap_s(run: LoadRun) -> float | None:
    """Time between departures while requests waited, of a run that was to show it; None where there was no backlog."""
    if run.spec.purpose != "saturation" or run.spec.setting is None or not run.verdict.valid or run.n_rows is None:
        return None
    n_waiting = backlog_of(run.spec.setting, float(run.n_rows.mean()))
    return departure_gap_s(run.requests.sent_s, right_answers_s(run.requests), n_waiting=n_waiting)


def _saturated_rps(
    max_batch_size: int,
    law: ServiceTimeFit,
    scenario: Scenario,
    runs: Sequence[LoadRun],
) -> float:
    """What the bursts showed for this batch size; for one between theirs, by the costs they imply."""
    gaps_s = {
        run.spec.setting.serving.max_batch_size: gap_s
        for run in runs
        if run.spec.setting is not None and (gap_s := backlog_gap_s(run)) is not None
    }
    if max_batch_size in gaps_s:
        return 1.0 / gaps_s[max_batch_size]
    rows = scenario.traffic.rows_per_request
    service_s = service_times_s(law, max(max_batch_size, *gaps_s, rows.most))

    def inference_s(size: int) -> float:
        """Share of each request in the inference of a full batch."""
        full = full_batches(_typical_rows(scenario.traffic, size), size)
        return float(service_s[full.n_rows].sum()) / int(full.n_requests.sum())

    # What a full batch took beside its inference, per request, so that it carries over to another size.
    beside_s = [max(gap_s - inference_s(size), 0.0) for size, gap_s in gaps_s.items()]
    if not beside_s:
        per_batch = requests_in_full_batch(max_batch_size, rows.mean)
        beside_s = [_REQUEST_S + _ROW_S * (rows.mean - 1.0) + _BATCH_S / per_batch]
    return 1.0 / (inference_s(max_batch_size) + sum(beside_s) / len(beside_s))


def _typical_rows(traffic: Traffic, max_batch_size: int) -> Rows:
    """Enough requests for some full batches and for the mean of the law."""
    rows = traffic.rows_per_request
    n_requests = _N_TYPICAL + 2 * requests_in_full_batch(max_batch_size, rows.mean)
    return draw_requests(rows, traffic.classes, n_requests, np.random.default_rng(_SEED))[0]


def _spec(wanted: _Wanted, name: str, rate_rps: float, execution: ExecutionConfig, scenario: Scenario) -> LoadSpec:
    duration_s = max(scenario.load.duration_s, min(_N_REQUESTS_LEAST / rate_rps, _LONGEST_S))
    size = wanted.max_batch_size
    bound = queue_rows(size, scenario.traffic.rows_per_request.mean)
    setting = Setting(execution=execution, serving=ServingConfig(max_batch_size=size, max_queue_rows=bound))
    return LoadSpec(
        name=name,
        purpose=wanted.purpose,
        arrivals=_bursts(setting, scenario, rate_rps * duration_s) if wanted.purpose == "saturation" else _POISSON,
        offered_rate_rps=rate_rps,
        duration_s=duration_s,
        seed=scenario.load.seed,
        timeout_s=_TIMEOUT_S,
        setting=setting,
    )


def _bursts(setting: Setting, scenario: Scenario, n_requests: float) -> Arrivals:
    """Bursts of one size, the next when the last is long worked off; several in a run, however large the batches."""
    n_waiting = backlog_of(setting, scenario.traffic.rows_per_request.mean)
    n = _BURST_OF_BACKLOG * n_waiting
    n = max(min(n, int(n_requests / _BURSTS_LEAST)), _BURST_OF_BACKLOG * REQUESTS_WAITING_LEAST)
    times_s = tuple(i * _BURST_GAP_RATIO for i in range(n))  # at one request per second
    return TraceArrivals(recording=RequestTimes(file=f"bursts of {n} requests", times_s=times_s, length_s=float(n)))
