"""A subject that is driven in virtual time: a server whose law is known, behind the records of the real one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from loadplan.bench.records import BenchRun
from loadplan.fit.records import OverheadFit
from loadplan.fit.service_time import fit_service_times, service_times_s
from loadplan.fit.simulate import draw, saturated_rps, scale, simulate
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.arrivals import Callers
from loadplan.scenario.rows_law import draw_rows
from loadplan.scenario.spec import Scenario
from loadplan.scenario.traffic import schedule
from tests.accuracy.design import Configuration, Design, Subject
from tests.accuracy.runs import Prepare, Prepared

MakeRun = Callable[..., LoadRun]

# What callers ask who never let the server rest, over what it can answer: their backlog is bounded, so hardly more.
_BACKLOG = 1.03


def virtually(
    benched: BenchRun, scenario: Scenario, truth: OverheadFit, make_run: MakeRun, *, spread_ratio: float
) -> Prepare:
    """Prepares every subject as one and the same server, which answers each run with noise of the run's own."""
    service_s = service_times_s(fit_service_times(benched)[0], max(scenario.serving.max_batch_sizes))
    n_driven = iter(range(1_000_000))

    def drive(spec: LoadSpec) -> LoadRun:
        rng = np.random.default_rng((spec.seed, next(n_driven)))
        setting = spec.setting
        assert setting is not None
        if isinstance(spec.arrivals, Callers):
            ones = np.ones(1, np.int64)
            most_rps = saturated_rps(setting, truth, service_s=service_s, n_rows=ones)
            sent_s = np.arange(int(_BACKLOG * most_rps * spec.duration_s)) / (_BACKLOG * most_rps)
        else:
            sent_s = schedule(spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=rng)
        n_rows = draw_rows(scenario.traffic.rows_per_request, sent_s.size, rng)
        done_s = simulate(
            sent_s,
            n_rows,
            service_s=service_s,
            overhead=truth,
            serving=setting.serving,
            noise=scale(draw(rng), truth, service_spread_ratio=spread_ratio),
        )
        return make_run(_with_rate(spec, sent_s.size), sent_s, done_s, n_rows=n_rows)

    def drive_in_turn(one: Configuration, spec: LoadSpec) -> LoadRun:
        """Replicas in turn are single servers, each with every n-th request."""
        assert one.balancing == "round_robin"
        assert spec.setting is not None
        assert not isinstance(spec.arrivals, Callers)
        rng = np.random.default_rng((spec.seed, next(n_driven)))
        sent_s = schedule(spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=rng)
        n_rows = draw_rows(scenario.traffic.rows_per_request, sent_s.size, rng)
        done_s = np.empty(sent_s.size)
        for i in range(one.n_replicas):
            own = slice(i, None, one.n_replicas)
            done_s[own] = simulate(
                sent_s[own],
                n_rows[own],
                service_s=service_s,
                overhead=truth,
                serving=spec.setting.serving,
                noise=scale(draw(rng), truth, service_spread_ratio=spread_ratio),
            )
        return make_run(_with_rate(spec, sent_s.size), sent_s, done_s, n_rows=n_rows)

    def prepare(_folder: Path, _subject: Subject, _design: Design) -> Prepared:
        return Prepared(scenario=scenario, benched=benched, drive=drive, drive_replicas=drive_in_turn)

    return prepare


def _with_rate(spec: LoadSpec, n_requests: int) -> LoadSpec:
    return replace(spec, offered_rate_rps=n_requests / spec.duration_s)
