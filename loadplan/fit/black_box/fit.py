"""The laws of a service behind a few gentle runs: every structure is tried, and all that explain them are kept.

The decision a reader would question: structures whose costs are within three of the best all count, for the runs don't
tell them apart, and their predictions are averaged; how far those are from each other is part of the interval. A limit
of slots is only looked for below the largest burst that was sent: what was never met can't be told from no limit.

Seconds; requests per second.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.fit.black_box.bursts import burst_facts, burst_size, lowest_s, spacing_s
from loadplan.fit.black_box.records import RowsSeen, ServiceFit
from loadplan.fit.black_box.replay import QUANTILES, Replay, replay_of, residuals
from loadplan.fit.black_box.search import (
    Found,
    Seen,
    longest_cpu_s,
    plausible_law,
    replays_by_rate,
    rough,
    search,
)
from loadplan.fit.black_box.structures import ServiceStructure, Sharing, cpu_s
from loadplan.fit.doubts import contradiction_caveats, reasons_of, run_caveats
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.records import LoadRun

_KEPT_WITHIN = 3.0  # of the best cost
_WORTH_WITHIN, _WORTH_MOST = 15.0, 7  # of the best cost by a rough search
_KEPT_MOST = 6
_N_PLAUSIBLE = 16
_SHARINGS: tuple[Sharing, ...] = ("shared", "first_come", "turns")
_SHARINGS_OF_SLOTS: tuple[Sharing, ...] = ("shared", "first_come")  # behind few slots turns are like either
_CORES = (1, 2, 4, 8)
_SLOTS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 22, 32)
# Behind few slots the pace of a burst is the slots', so the CPU time is some part of it: the searches begin at these.
_STARTS_OF_SLOTS = (0.9, 0.4)
_NOT_FITTED = ("look",)  # its first requests may be the first of all that the service ever got
_DRIFT_FROM = 0.15  # of ln(p50) between the two runs at half load
# CPU time that was counted is doubted where it is less than this share of the time between two answers of a burst: few
# slots may be why, or that others do the work. It is not believed where it costs this much more than no count.
_DOUBTED_BELOW, _DISBELIEVED_FROM = 0.8, 10.0


def fit_service(runs: Sequence[LoadRun], *, seed: int) -> ServiceFit:
    """What the runs of `next_service_run` say, and more of them where there are.

    Args:
        runs: with one of bursts, and one at a low rate.
        seed: of the laws that are drawn from what the runs leave open.

    Raises:
        InvalidMeasurement: when no burst, or no other run, says enough.
    """
    useful = [run for run in runs if run.spec.name not in _NOT_FITTED and not reasons_against(run)]
    seen = _seen(useful, runs)
    n_at_once = max(burst_size(run) for run in useful)
    seen, found, of_others = _explained(seen, n_at_once, _most_cores(useful))
    kept = [one for one in found if one.cost <= found[0].cost + _KEPT_WITHIN][:_KEPT_MOST]
    rng = np.random.default_rng(seed)
    of_best = [one for replay in seen.replays for one in residuals(replay, kept[0].law)]
    return ServiceFit(
        machine=useful[0].machine,
        laws=tuple(one.law for one in kept),
        plausible=tuple(plausible_law(seen, kept[i % len(kept)], rng) for i in range(_N_PLAUSIBLE)),
        n_at_once=n_at_once,
        rows=_rows_seen(seen),
        counted_s=seen.counted_s,
        residuals=tuple(of_best),
        seed=seed,
        caveats=(*run_caveats(runs), *contradiction_caveats(of_best), *of_others, *_drift_caveats(useful)),
    )


def _explained(seen: Seen, n_at_once: int, most_cores: int) -> tuple[Seen, list[Found], tuple[Caveat, ...]]:
    """The best laws with the CPU time that was counted; without it where the runs speak against the count.

    What listens may be a proxy, whose CPU time is not the service's.
    """
    counted, counted_s = _searched(seen, n_at_once, most_cores), seen.counted_s
    if counted_s is None or counted_s >= _DOUBTED_BELOW * seen.spacing_s:
        return seen, counted, ()
    alone = replace(seen, counted_s=None)
    uncounted = _searched(alone, n_at_once, most_cores)
    if uncounted[0].cost + _DISBELIEVED_FROM > counted[0].cost:
        return seen, counted, ()
    return alone, uncounted, (_of_others(counted_s, cpu_s(uncounted[0].law, seen.mean_rows)),)


def _of_others(counted_s: float, worked_s: float) -> Caveat:
    return Caveat(
        code="fit.service_cpu_elsewhere",
        what=f"the processes that listen used {1e3 * counted_s:.2g} ms of CPU time for each request, and its answers "
        f"take {1e3 * worked_s:.3g} ms of it: others do the work, such as those behind a proxy, so their cores are not "
        "known",
        fix="give the address of the service itself, where it runs on this machine",
        number=counted_s / worked_s,
    )


def _searched(seen: Seen, n_at_once: int, most_cores: int) -> list[Found]:
    """The best laws of the structures that are worth a full search, by a rough one of all; the best first.

    Those with slots are tried on one core, and on as many as did best without.
    """
    few = rough(seen)
    cores = [
        n
        for n in _CORES
        # So much CPU time for each request is more than an idle service takes in all.
        if n == 1 or (n <= most_cores and n * seen.spacing_s <= longest_cpu_s(seen))
    ]
    without = [
        _rough(few, ServiceStructure(sharing=sharing, n_slots=None, n_cores=n)) for n in cores for sharing in _SHARINGS
    ]
    best = min(without, key=lambda one: one.cost)
    slots = [n for n in _SLOTS if n < n_at_once]
    structures = [
        ServiceStructure(sharing=sharing, n_slots=n, n_cores=n_cores)
        for n_cores in dict.fromkeys((1, best.law.structure.n_cores))
        for sharing in _SHARINGS_OF_SLOTS
        for n in slots
    ]
    every = sorted([*without, *(_rough(few, one) for one in structures)], key=lambda one: one.cost)
    worth = [one for one in every if one.cost <= every[0].cost + _WORTH_WITHIN][:_WORTH_MOST]
    found = {one.law.structure: _full(seen, one) for one in worth}
    _refine(seen, found, n_at_once)
    return sorted(found.values(), key=lambda one: one.cost)


def _rough(few: Seen, structure: ServiceStructure) -> Found:
    pace_s = few.spacing_s * structure.n_cores
    if few.counted_s is not None:
        starts_s = [few.counted_s]
    else:
        starts_s = [pace_s] if structure.n_slots is None else [ratio * pace_s for ratio in _STARTS_OF_SLOTS]
    found = (search(few, structure, start_s=start_s, is_rough=True) for start_s in starts_s)
    return min(found, key=lambda one: one.cost)


def _full(seen: Seen, found: Found) -> Found:
    return search(seen, found.law.structure, start_s=found.start_s, begin=found.vector)


def _refine(seen: Seen, found: dict[ServiceStructure, Found], n_at_once: int) -> None:
    """Try the neighbours of the best number of slots, where the best law has a limit, until none is better."""
    while True:
        best = min(found, key=lambda one: found[one].cost)
        if best.n_slots is None:
            return
        beside = [replace(best, n_slots=n) for n in (best.n_slots - 1, best.n_slots + 1) if 1 <= n < n_at_once]
        new = [one for one in beside if one not in found]
        if not new:
            return
        found.update({one: search(seen, one, start_s=found[best].start_s, begin=found[best].vector) for one in new})


def _seen(useful: Sequence[LoadRun], runs: Sequence[LoadRun]) -> Seen:
    facts = [one for run in useful if burst_size(run) > 1 and (one := burst_facts(run)) is not None]
    steady = [run for run in useful if burst_size(run) == 1]
    if not facts or not steady:
        lacking = "bursts" if not facts else "a low rate"
        raise InvalidMeasurement(
            what=f"none of the {len(runs)} runs at {lacking} says enough: "
            + ("; ".join(reasons_of(runs)) or "none was driven"),
            where="the fit of the service",
            fix="run the same command again when the machine is quieter",
        )
    largest = max(facts, key=lambda one: one.n_at_once)
    rows = [run.n_rows for run in useful]
    known = [one for one in rows if one is not None]
    has_rows = len(known) == len(rows) and len(np.unique(np.concatenate(known))) > 1
    return Seen(
        replays=replays_by_rate([replay_of(run) for run in useful]),
        spacing_s=spacing_s(largest, lowest_s(useful)),
        mean_rows=float(np.concatenate(known).mean()) if has_rows else 1.0,
        has_rows=has_rows,
        counted_s=_counted_s(steady),
    )


def _counted_s(runs: Sequence[LoadRun]) -> float | None:
    """CPU time of a request, by the cores that were busy in the service's processes while it was driven."""
    watched = [(run, busy) for run in runs if (busy := _cores_busy(run)) is not None]
    if not watched:
        return None
    seconds = math.fsum(busy * run.spec.duration_s for run, busy in watched)
    return seconds / sum(run.requests.n_requests for run, _ in watched) or None


def _cores_busy(run: LoadRun) -> float | None:
    series = () if run.server is None else run.server.series
    values = next((one.values for one in series if one.name == "cores_busy"), None)
    return None if values is None or not np.isfinite(values).any() else float(np.nanmean(values))


def _rows_seen(seen: Seen) -> RowsSeen | None:
    if any(replay.run.n_rows is None for replay in seen.replays):
        return None
    rows = np.concatenate([replay.n_rows for replay in seen.replays])
    return RowsSeen(mean=float(rows.mean()), most=int(rows.max()))


def _most_cores(useful: Sequence[LoadRun]) -> int:
    """A service on this machine has no more cores than it; one elsewhere may have any number."""
    run = useful[0]
    is_here = run.url.partition("://")[2].startswith(("127.", "localhost", "[::1]"))
    return run.machine.n_usable_cores if is_here else max(_CORES)


def _drift_caveats(useful: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    """Two equal runs, the second at the end of all: how far the service, or its machine, had changed meanwhile."""
    halves = [replay_of(run) for run in useful if run.spec.purpose == "steady"]
    if len(halves) < 2:
        return ()
    middle = QUANTILES.index(0.5)
    first, last = (_quantiles_s(replay)[middle] for replay in (halves[0], halves[-1]))
    drift = float(np.log(last / first))
    if abs(drift) <= _DRIFT_FROM:
        return ()
    return (
        Caveat(
            code="fit.service_drifted",
            what=f"the same rate took {1e3 * first:.3g} ms in the middle at first and {1e3 * last:.3g} ms at the end: "
            "the service, or what runs beside it, changed meanwhile",
            fix="run the same command again when nothing else uses the machine",
            number=abs(drift),
        ),
    )


def _quantiles_s(replay: Replay) -> list[float]:
    found: list[float] = np.quantile(replay.waited_s[replay.parts[0]], QUANTILES).tolist()
    return found
