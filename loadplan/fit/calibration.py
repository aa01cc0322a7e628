"""Which short live runs tell the server's overheads, at which rates. Pure: the runs so far go in, the next comes out.

Two runs of callers who never let the server rest, with the smallest and the largest batch size, show what it carries;
an idle run shows what waking costs, and two runs at moderate load show the tail. The rates of the later runs are shares
of the capacity that the first two showed. All of those are Poisson, whatever the scenario's own arrivals: the law of
the server does not depend on them, and the simulator takes the scenario's when it predicts.

The decision a reader would question: callers who wait for their answers prove no objective, but nothing shows as well
what a server carries. Offering more than that opens a connection for every request that waits, and measures the
opening. Bursts of open arrivals meet a server that reads all of them before it answers the first, and that has rested
in between: they showed 28 % more than it carries with batches of one, and 12 % less with batches of 32, measured. So
many callers that three full batches are always under way, and no more than it takes: a server's work on a request grows
with the connections among which it comes in turn. Seconds; requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadplan.bench.records import BenchRun
from loadplan.errors import InvalidMeasurement
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.carried import callers_for, carried_gap_s, queue_rows, requests_in_full_batch
from loadplan.fit.records import ServiceTimeFit
from loadplan.fit.service_time import fit_service_times, served_laws, service_times_s
from loadplan.fit.simulate import Rows, full_batches
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.records import LoadPurpose, LoadRun, LoadSpec
from loadplan.scenario.arrivals import Arrivals, Callers, PoissonArrivals
from loadplan.scenario.class_mix import draw_requests
from loadplan.scenario.spec import Scenario, Traffic

N_RUNS_EXPECTED = 5

_POISSON = PoissonArrivals()
_N_TYPICAL = 4096
_SEED = 1  # of typical requests; the runs must not depend on more than the scenario's seed
# What a small request costs beside its inference on one core of a virtual machine, until a run tells.
_REQUEST_S, _BATCH_S = 80e-6, 100e-6
_ROW_S = 10e-6  # of each row but the first, of some hundred numbers
# Runs that would hold fewer requests than these last longer, up to the limit.
_N_REQUESTS_LEAST = 300
_TURNS_LEAST = 6  # answers of each caller
_IDLE_RATIO, _IDLE_RATIO_MOST = 0.03, 0.12  # of the saturated rate; the second where the first holds too few requests
_LONGEST_S = 30.0
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    purpose: LoadPurpose
    max_batch_size: int
    load_ratio: float  # offered rate over the saturated rate of its setting; of callers what they come to


def next_run(benched: BenchRun, scenario: Scenario, runs: Sequence[LoadRun]) -> LoadSpec | None:
    """The calibration run to drive next, or None where the runs say enough. The same runs give the same answer.

    Raises:
        InvalidMeasurement: when the benchmark holds no cell.
        InputError: when the scenario's smallest batch is more than twice the largest that was benchmarked.
    """
    law = _law(benched, scenario)
    done = {run.spec.name for run in runs}
    for wanted in _wanted(scenario):
        if wanted.name not in done:
            rate_rps = _rate_rps(wanted, _saturated_rps(wanted.max_batch_size, law, scenario, runs))
            return _spec(wanted, rate_rps, law.execution, scenario)
    return None


def _wanted(scenario: Scenario) -> tuple[_Wanted, ...]:
    sizes = sorted(set(scenario.serving.max_batch_sizes))
    smallest, middle, largest = sizes[0], sizes[len(sizes) // 2], sizes[-1]
    saturated = [
        _Wanted(name=f"saturated-{size}", purpose="saturation", max_batch_size=size, load_ratio=1.0)
        for size in dict.fromkeys((smallest, largest))
    ]
    return (
        *saturated,
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


def require_enough(runs: Sequence[LoadRun]) -> None:
    """Hold finished calibration runs to what a fit can't do without: a useful run that shows the server under load.

    Raises:
        InvalidMeasurement: when no run of callers who wait says enough, with their reasons.
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


def _saturated_rps(
    max_batch_size: int,
    law: ServiceTimeFit,
    scenario: Scenario,
    runs: Sequence[LoadRun],
) -> float:
    """What the callers showed for this batch size; for one between theirs, by the costs they imply."""
    gaps_s = {
        run.spec.setting.serving.max_batch_size: gap_s
        for run in runs
        if run.spec.setting is not None and (gap_s := carried_gap_s(run)) is not None
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


def _spec(wanted: _Wanted, rate_rps: float, execution: ExecutionConfig, scenario: Scenario) -> LoadSpec:
    size, rows = wanted.max_batch_size, scenario.traffic.rows_per_request.mean
    setting = Setting(
        execution=execution, serving=ServingConfig(max_batch_size=size, max_queue_rows=queue_rows(size, rows))
    )
    arrivals: Arrivals | Callers = _POISSON
    n_requests = _N_REQUESTS_LEAST
    if wanted.purpose == "saturation":
        n_callers = callers_for(setting, rows, rate_rps=rate_rps, timeout_s=_TIMEOUT_S)
        arrivals = Callers(n_callers=n_callers, think_time_s=0.0)
        n_requests = max(n_requests, _TURNS_LEAST * n_callers)
    return LoadSpec(
        name=wanted.name,
        purpose=wanted.purpose,
        arrivals=arrivals,
        offered_rate_rps=rate_rps,
        duration_s=max(scenario.load.duration_s, min(n_requests / rate_rps, _LONGEST_S)),
        seed=scenario.load.seed,
        timeout_s=_TIMEOUT_S,
        setting=setting,
    )
