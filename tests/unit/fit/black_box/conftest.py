"""Services whose structure is known, answering in virtual time whatever the calibration asks of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.fit.black_box.calibration import next_service_run
from loadplan.fit.black_box.simulate import draw_luck, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw, ServiceStructure, Sharing, cpu_s
from loadplan.load.records import LoadRun, LoadSpec, ServerWatch, WatchedSeries
from loadplan.scenario.arrivals import Callers
from loadplan.scenario.traffic import schedule
from tests.unit.fit.conftest import MakeRun

MakeLaw = Callable[..., ServiceLaw]
Answer = Callable[..., LoadRun]
DriveAll = Callable[..., tuple[LoadRun, ...]]
DrawRows = Callable[[int, np.random.Generator], NDArray[np.int64]]


@pytest.fixture(scope="session")
def make_law() -> MakeLaw:
    """A service that waits for about 20 ms (lognormal, s = 0.4) and works for 3 ms; tests name what they are about."""

    def make(
        *,
        sharing: Sharing = "shared",
        n_slots: int | None = None,
        n_cores: int = 1,
        request_s: float = 3e-3,
        row_s: float = 0.0,
        cpu_cv: float = 0.2,
        delay_s: float = 20e-3,
    ) -> ServiceLaw:
        # Drawn at random, not by quantiles: no law of the fit's own is hidden in them.
        delays_s = np.sort(delay_s * np.exp(0.4 * np.random.default_rng(7).standard_normal(20_000)))
        return ServiceLaw(
            structure=ServiceStructure(sharing=sharing, n_slots=n_slots, n_cores=n_cores),
            request_s=request_s,
            row_s=row_s,
            cpu_cv=cpu_cv,
            delays_s=tuple(delays_s.tolist()),
        )

    return make


@pytest.fixture(scope="session")
def answer(make_run: MakeRun) -> Answer:
    """One run, as a service with this law would have answered it."""

    def one(law: ServiceLaw, spec: LoadSpec, *, seed: int = 5, rows: DrawRows | None = None) -> LoadRun:
        assert not isinstance(spec.arrivals, Callers)
        rng = np.random.default_rng((seed, spec.seed))
        due_s = schedule(spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=rng)
        n_rows = np.ones(due_s.size, dtype=np.int64) if rows is None else rows(due_s.size, rng)
        done_s = simulate_service(law, due_s, n_rows, draw_luck(due_s.size, rng)).done_s
        run = make_run(spec, due_s, done_s, n_rows=n_rows)
        return replace(run, server=watched(cpu_s(law, float(n_rows.mean())) * due_s.size / spec.duration_s))

    def watched(cores_busy: float) -> ServerWatch:
        """As the system counts: with 2 % of what the processes do beside the requests."""
        series = WatchedSeries(name="cores_busy", values=np.array([1.02 * cores_busy]), absent_reason=None)
        return ServerWatch(processes="python (1)", at_s=np.array([1.0]), series=(series,))

    return one


@pytest.fixture(scope="session")
def drive_all(answer: Answer) -> DriveAll:
    """All the runs that are asked for, as a service with this law would have answered them."""

    def drive(law: ServiceLaw, *, seed: int = 5, rows: DrawRows | None = None) -> tuple[LoadRun, ...]:
        runs: list[LoadRun] = []
        while (spec := next_service_run(runs, seed=seed)) is not None:
            runs.append(answer(law, spec, seed=seed, rows=rows))
        return tuple(runs)

    return drive
