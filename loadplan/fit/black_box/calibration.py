"""Which gentle runs tell what a service is made of. Pure: the runs so far go in, the next comes out.

1. `look`: a few requests at once and one alone, some times: roughly what the service does with them, so that the rest
   can be gentle.
2. `burst`: up to 40 at once, with pauses three times as long as the service takes to work them off. It tells a CPU that
   is shared from one that is first come, first served, and a limit of slots from both; and it shows the CPU time of a
   request without any overload.
3. `low`: 12 % of what the burst showed, for the waits without CPU and the tail of an idle service.
4. `half`, and once more at the end, which shows whether the service was the same meanwhile.

All are Poisson but the bursts, whatever arrivals are planned for: the law of a service does not depend on them. The
decision a reader would question: nothing is driven above half of what the service carries, where queues would show more
in less time, because the service may be somebody's own in production; measured on seven services, runs up to
saturation made no prediction better. Seconds; requests per second.
"""

from collections.abc import Sequence

import numpy as np

from loadplan.errors import InvalidMeasurement
from loadplan.fit.black_box.bursts import BurstFacts, burst_facts, bursts_of, looks_of, lowest_s, spacing_s
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.records import LoadPurpose, LoadRun, LoadSpec, Outcome
from loadplan.scenario.arrivals import Arrivals, PoissonArrivals, TraceArrivals, n_recorded

N_RUNS_EXPECTED = 5

_POISSON = PoissonArrivals()
_LOOK_AT_ONCE, _N_LOOKS, _LOOK_PERIOD_S = 5, 8, 0.75
_AT_ONCE_LEAST, _AT_ONCE_MOST = 15, 40
_AT_ONCE_OF_SLOW = 5  # where even the least burst would take a second of CPU
_BURST_CPU_S, _BURST_CPU_MOST_S = 0.15, 1.0
_LARGER_FROM = 1.5  # times the burst that was driven, which was sized by a rough look
_N_BURSTS, _N_BURSTS_LEAST, _BURSTS_LONGEST_S = 15, 8, 20.0
_PERIOD_LEAST_S, _PERIOD_OF_MAKESPAN = 0.5, 4.0
_LOW_RATIO, _LOW_N_REQUESTS, _LOW_LEAST_S, _LOW_LONGEST_S = 0.12, 500, 8.0, 30.0
_HALF_RATIO, _HALF_N_REQUESTS, _HALF_LONGEST_S = 0.5, 800, 15.0
_FAILED_ALLOWED_RATIO = 0.02


def next_service_run(
    done: Sequence[LoadRun], *, seed: int, timeout_s: float = 10.0, duration_s: float = 7.0
) -> LoadSpec | None:
    """The run to drive next, or None where the runs say enough. The same runs give the same answer.

    Args:
        done: the runs so far, each by the name that was asked for; a run that says nothing counts as driven.
        seed: of the arrivals.
        timeout_s: how long a request may take.
        duration_s: of the runs at half load at least.

    Raises:
        InvalidMeasurement: when the service fails under one of them, or `look` or `burst` says nothing.
    """
    by_name = {run.spec.name: run for run in done}
    for run in done:
        _require_answers(run)

    def spec(
        name: str, purpose: LoadPurpose, arrivals: Arrivals, rate_rps: float, lasts_s: float, warm_up_s: float = 1.0
    ) -> LoadSpec:
        return LoadSpec(
            name=name,
            purpose=purpose,
            arrivals=arrivals,
            offered_rate_rps=rate_rps,
            duration_s=lasts_s,
            seed=seed + len(by_name),
            timeout_s=timeout_s,
            setting=None,
            warm_up_s=warm_up_s,
        )

    def bursts(name: str, arrivals: TraceArrivals, period_s: float, n_bursts: int) -> LoadSpec:
        rate_rps = n_recorded(arrivals.recording) / period_s
        return spec(name, "saturation", arrivals, rate_rps, n_bursts * period_s, warm_up_s=period_s)

    if "look" not in by_name:
        return bursts("look", looks_of(_LOOK_AT_ONCE), _LOOK_PERIOD_S, _N_LOOKS)
    if "burst" not in by_name:
        n_at_once, period_s, n_bursts = _sized(_facts(by_name["look"]), lowest_s(done))
        return bursts("burst", bursts_of(n_at_once), period_s, n_bursts)
    facts = _facts(by_name["burst"])
    n_at_once, period_s, n_bursts = _sized(facts, lowest_s(done))
    if "burst-larger" not in by_name and n_at_once >= _LARGER_FROM * facts.n_at_once:
        return bursts("burst-larger", bursts_of(n_at_once), period_s, n_bursts)
    carried_rps = carried_by_bursts_rps(done)
    if "low" not in by_name:
        rate_rps = _LOW_RATIO * carried_rps
        lasts_s = _lasting(_LOW_N_REQUESTS, rate_rps, _LOW_LEAST_S, _LOW_LONGEST_S)
        return spec("low", "idle", _POISSON, rate_rps, lasts_s)
    half_rps = _HALF_RATIO * carried_rps
    lasts_s = _lasting(_HALF_N_REQUESTS, half_rps, duration_s, max(duration_s, _HALF_LONGEST_S))
    missing = next((name for name in ("half", "half-again") if name not in by_name), None)
    return None if missing is None else spec(missing, "steady", _POISSON, half_rps, lasts_s)


def carried_by_bursts_rps(runs: Sequence[LoadRun]) -> float:
    """The rate at which the largest bursts were worked off: requests / (makespan - the shortest wait of all).

    Raises:
        InvalidMeasurement: when no run of bursts says anything.
    """
    facts = [_facts(run) for run in runs if run.spec.name.startswith("burst")]
    if not facts:
        raise _useless("no bursts were driven", "the runs of the service", "drive what `next_service_run` asks for")
    largest = max(facts, key=lambda one: one.n_at_once)
    return 1.0 / spacing_s(largest, lowest_s(runs))


def _sized(facts: BurstFacts, idle_s: float) -> tuple[int, float, int]:
    """Requests at once, the distance between bursts, and how many of them, by what smaller bursts showed."""
    each_s = spacing_s(facts, idle_s)
    n = min(max(int(_BURST_CPU_S / each_s), _AT_ONCE_LEAST), _AT_ONCE_MOST)
    n = max(min(n, int(_BURST_CPU_MOST_S / each_s)), _AT_ONCE_OF_SLOW)
    period_s = max(_PERIOD_LEAST_S, _PERIOD_OF_MAKESPAN * (idle_s + n * each_s))
    return n, period_s, min(_N_BURSTS, max(int(_BURSTS_LONGEST_S / period_s), _N_BURSTS_LEAST))


def _lasting(n_requests: int, rate_rps: float, least_s: float, most_s: float) -> float:
    return min(max(n_requests / rate_rps, least_s), most_s)


def _facts(run: LoadRun) -> BurstFacts:
    """Of a run without which nothing can be sized."""
    facts = burst_facts(run) if not reasons_against(run) else None
    if facts is None:
        reasons = "; ".join(reasons_against(run)) or "no burst was answered whole"
        raise _useless(
            f"the run {run.spec.name!r} says nothing: {reasons}",
            f"load run {run.spec.name}",
            "run the same command again when the machine is quieter",
        )
    return facts


def _require_answers(run: LoadRun) -> None:
    """A service that fails under so little can't be planned: what it carries is not what it answers in time."""
    n = run.requests.n_requests
    n_failed = run.verdict.n_failed
    if n == 0 or n_failed <= _FAILED_ALLOWED_RATIO * n:
        return
    outcomes = run.requests.outcome
    kinds = ", ".join(
        f"{int(np.count_nonzero(outcomes == kind))} {kind.name.lower().replace('_', ' ')}"
        for kind in Outcome
        if kind is not Outcome.OK and np.any(outcomes == kind)
    )
    statuses = sorted({int(status) for status in run.requests.status if status not in (0, 200)})
    said = f"; statuses {', '.join(map(str, statuses))}" if statuses else ""
    raise _useless(
        f"the service failed {n_failed} of {n} requests of the run {run.spec.name!r} ({kinds}{said})",
        f"load run {run.spec.name}",
        "look at the service's log; check the request with `loadplan load URL --rate 1`; raise a limit on its requests",
    )


def _useless(what: str, where: str, fix: str) -> InvalidMeasurement:
    return InvalidMeasurement(what=what, where=where, fix=fix)
