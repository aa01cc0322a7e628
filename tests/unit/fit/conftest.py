"""A machine whose laws are known: its bench, its live runs (by the simulator, into the real records) and a scenario."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import summarise_cell
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.calibration import next_run
from loadplan.fit.records import OverheadFit
from loadplan.fit.service_time import fit_service_times, service_times_s
from loadplan.fit.simulate import draw, scale, simulate
from loadplan.load.records import LoadRun, LoadSpec, LoadVerdict, LostTime, Outcome, RequestLog
from loadplan.load.verdict import judge
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Arrivals, Callers, PoissonArrivals
from loadplan.scenario.rows_law import always, draw_rows
from loadplan.scenario.spec import (
    BenchBudget,
    LoadBudget,
    PlanRules,
    RowsPerRequest,
    Scenario,
    ServingChoices,
    Traffic,
)
from loadplan.scenario.traffic import schedule
from loadplan.slo import LatencyLimit, Slo

Times = NDArray[np.float64]
Rows = NDArray[np.int64]
MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
MakeRun = Callable[..., LoadRun]
Calibrate = Callable[..., tuple[LoadRun, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownServer:
    """A server whose laws are known, and what the stages before the fit would have recorded of it."""

    bench: BenchRun
    scenario: Scenario
    overhead: OverheadFit
    service_s: Times
    service_spread_ratio: float
    runs: tuple[LoadRun, ...]


MACHINE = Machine(
    cpu_model="test",
    architecture="x86_64",
    flags=(),
    n_cores=2,
    n_usable_cores=2,
    n_threads_per_core=1,
    n_sockets=1,
    n_numa_nodes=1,
    l1d_cache_bytes=32 << 10,
    l2_cache_bytes=512 << 10,
    l3_cache_bytes=32 << 20,
    n_cores_sharing_l3=2,
    quota_cores=None,
    memory_bytes=8 << 30,
    memory_limit_bytes=None,
    kernel="6",
    governor=None,
    max_frequency_hz=None,
    hypervisor=None,
    emulator=None,
    cloud=None,
    instance_type=None,
    gpus=(),
)
EXECUTION = ExecutionConfig(variant="fp32")
QUIET = LostTime(start_s=np.empty(0), length_s=np.empty(0))


@pytest.fixture(scope="session")
def execution() -> ExecutionConfig:
    """What everything here runs on, unless a test is about that."""
    return EXECUTION


@pytest.fixture(scope="session")
def make_overhead() -> MakeOverhead:
    """An overhead that costs nothing but what is named."""

    def make(**costs: float) -> OverheadFit:
        nothing = dict.fromkeys(
            (
                "request_s",
                "response_s",
                "batch_s",
                "wake_s",
                "transfer_s",
                "cold_ratio",
                "spread_ratio",
                "stall_s",
                "stall_rate_per_s",
                "row_s",
            ),
            0.0,
        )
        return OverheadFit(**{**nothing, **costs}, residuals=())

    return make


@pytest.fixture(scope="session")
def make_bench() -> MakeBench:
    """A finished sweep in which a batch of b rows always took `times_s[b]`, but for a lognormal scatter."""

    def make(
        times_s: dict[int, float],
        *,
        spread_ratio: float = 0.0,
        executions: Sequence[ExecutionConfig] = (EXECUTION,),
    ) -> BenchRun:
        scatter = np.exp(spread_ratio * np.random.default_rng(3).standard_normal(400) - spread_ratio**2 / 2.0)
        rounds = tuple(
            CellRound(
                cell=BenchCell(execution=execution, batch_size=size),
                i_round=i,
                service_times_s=time_s * np.roll(scatter, 7 * i),
                lost_ratio=0.0,
                dropped_ratio=0.0,
            )
            for execution in executions
            for size, time_s in times_s.items()
            for i in range(2)
        )
        cells = (rounds[i : i + 2] for i in range(0, len(rounds), 2))
        return BenchRun(
            machine=MACHINE, rounds=rounds, cells=tuple(summarise_cell(visits) for visits in cells), caveats=()
        )

    return make


@pytest.fixture(scope="session")
def make_scenario() -> MakeScenario:
    """Poisson requests of one row; tests name what they are about."""

    def make(
        *,
        max_batch_sizes: tuple[int, ...] = (1, 8, 32),
        batch_windows_s: tuple[float, ...] = (0.0,),
        n_rows: int | RowsPerRequest = 1,
        objectives: tuple[Slo, ...] = (Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.05),)),),
        duration_s: float = 4.0,
        n_threads: tuple[int, ...] = (1,),
        arrivals: Arrivals | None = None,
        seed: int = 1,
    ) -> Scenario:
        return Scenario(
            name="test",
            model=None,
            traffic=Traffic(
                peak_rps=1000.0,
                rows_per_request=always(n_rows) if isinstance(n_rows, int) else n_rows,
                arrivals=arrivals or PoissonArrivals(),
                profile="flat",
                week_shares=(1.0,) * 168,
                growth_per_month_ratio=0.0,
            ),
            objectives=objectives,
            serving=ServingChoices(
                n_threads=n_threads, max_batch_sizes=max_batch_sizes, batch_windows_s=batch_windows_s
            ),
            bench=BenchBudget(batch_sizes=(1,), budget_s=1.0),
            load=LoadBudget(duration_s=duration_s, seed=seed),
            plan=PlanRules(
                providers=("aws",),
                regions=("east",),
                purchases=("on_demand",),
                n_spare_replicas=0,
                n_min_replicas=1,
                headroom_ratio=0.0,
                hours_per_month=730,
                horizon_months=1,
                budget_usd_per_month=None,
            ),
        )

    return make


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """A live run with known times: everything was sent when due and answered right, where it was answered at all."""

    def make(
        spec: LoadSpec,
        sent_s: Times,
        done_s: Times,
        *,
        n_rows: Rows | None = None,
        invalid_reasons: tuple[str, ...] = (),
    ) -> LoadRun:
        sizes, payload = np.unique(np.ones(sent_s.size) if n_rows is None else n_rows, return_inverse=True)
        is_answered = ~np.isnan(done_s)
        requests = RequestLog(
            due_s=sent_s,
            sent_s=sent_s,
            first_byte_s=done_s,
            done_s=done_s,
            outcome=np.where(is_answered, Outcome.OK, Outcome.TIMED_OUT).astype(np.uint8),
            status=np.where(is_answered, 200, 0).astype(np.int16),
            payload=payload.astype(np.int32),
        )
        verdict = judge(spec, requests, QUIET)
        if invalid_reasons:
            verdict = LoadVerdict(
                valid=False,
                invalid_reasons=invalid_reasons,
                achieved_rate_rps=verdict.achieved_rate_rps,
                throughput_rps=verdict.throughput_rps,
                late_ratio=verdict.late_ratio,
                clean_ratio=verdict.clean_ratio,
                n_failed=verdict.n_failed,
                saturation_ratio=0.0,
            )
        return LoadRun(
            spec=spec,
            url="http://127.0.0.1:1",
            machine=MACHINE,
            requests=requests,
            lost=QUIET,
            verdict=verdict,
            caveats=(),
            payload_rows=sizes.astype(np.int32),
        )

    return make


def asked_without_rest(
    spec: LoadSpec, law: OverheadFit, *, rows: RowsPerRequest, service_s: Times, rng: np.random.Generator
) -> tuple[Times, Times, Rows]:
    """When callers who never think ask and are answered, and their rows: the server's turns in plain Python.

    As `simulate` tells of them, but that costs don't stray: over a turn of many callers that averages out.
    """
    assert isinstance(spec.arrivals, Callers)
    assert spec.setting is not None
    n_rows = draw_rows(rows, int(20.0 * spec.duration_s / float(service_s[1])), rng)
    arrived_s = [(law.transfer_s, 0.0)] * spec.arrivals.n_callers  # at the server, and when they were sent
    sent_s, done_s, queue = [], [], deque[int]()
    pause_s = rng.exponential(1.0 / law.stall_rate_per_s) if law.stall_s else np.inf
    now_s, i, head = 0.0, 0, 0
    while now_s < spec.duration_s:
        polled_s = now_s = max(now_s, arrived_s[head][0] if not queue else now_s)
        while head < len(arrived_s) and arrived_s[head][0] <= polled_s:
            sent_s.append(arrived_s[head][1])
            now_s += law.request_s + law.row_s * n_rows[i]
            queue.append(i)
            i, head = i + 1, head + 1
        batch = [queue.popleft()]
        while queue and n_rows[[*batch, queue[0]]].sum() <= spec.setting.serving.max_batch_size:
            batch.append(queue.popleft())
        now_s += law.batch_s + service_s[int(n_rows[batch].sum())]
        while pause_s <= now_s:
            now_s += law.stall_s * min(rng.exponential(), 4.0)
            pause_s += rng.exponential(1.0 / law.stall_rate_per_s)
        for _ in batch:
            now_s += law.response_s
            done_s.append(now_s)
            arrived_s.append((now_s + law.transfer_s, now_s))
    n = len(done_s)
    return np.array(sent_s[:n]), np.array(done_s), n_rows[:n]


@pytest.fixture(scope="session")
def calibrate(make_run: MakeRun) -> Calibrate:
    """All the runs that calibration asks for, as a server with a known law would have answered them."""

    def run_all(
        benched: BenchRun,
        scenario: Scenario,
        truth: OverheadFit,
        *,
        service_s: Times,
        service_spread_ratio: float,
        seed: int = 11,
    ) -> tuple[LoadRun, ...]:
        rng = np.random.default_rng(seed)
        runs: list[LoadRun] = []
        while (spec := next_run(benched, scenario, runs)) is not None:
            assert spec.setting is not None
            if isinstance(spec.arrivals, Callers):
                sent_s, done_s, n_rows = asked_without_rest(
                    spec, truth, rows=scenario.traffic.rows_per_request, service_s=service_s, rng=rng
                )
                runs.append(make_run(spec, sent_s, done_s, n_rows=n_rows))
                continue
            sent_s = schedule(spec.arrivals, rate_rps=spec.offered_rate_rps, duration_s=spec.duration_s, rng=rng)
            n_rows = draw_rows(scenario.traffic.rows_per_request, sent_s.size, rng)
            done_s = simulate(
                sent_s,
                n_rows,
                service_s=service_s,
                overhead=truth,
                serving=spec.setting.serving,
                noise=scale(draw(rng), truth, service_spread_ratio=service_spread_ratio),
            )
            runs.append(make_run(spec, sent_s, done_s, n_rows=n_rows))
        return tuple(runs)

    return run_all


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., LoadSpec]:
    """A load run of a few seconds at one batch size; tests name what they are about."""

    def make(
        *,
        name: str = "steady",
        purpose: str = "steady",
        max_batch_size: int = 1,
        rate_rps: float = 100.0,
        duration_s: float = 4.0,
        setting: Setting | None = None,
        has_setting: bool = True,
    ) -> LoadSpec:
        usual = Setting(execution=EXECUTION, serving=ServingConfig(max_batch_size=max_batch_size))
        return LoadSpec(
            name=name,
            purpose=purpose,  # type: ignore[arg-type]  # tests name it as text
            arrivals=PoissonArrivals(),
            offered_rate_rps=rate_rps,
            duration_s=duration_s,
            seed=1,
            timeout_s=5.0,
            setting=(setting or usual) if has_setting else None,
        )

    return make


@pytest.fixture(scope="session")
def server(
    make_bench: MakeBench, make_scenario: MakeScenario, make_overhead: MakeOverhead, calibrate: Calibrate
) -> KnownServer:
    """Its costs are those of a small model behind the embedded server; it never pauses."""
    scenario = make_scenario(duration_s=6.0)
    bench = make_bench({1: 0.30e-3, 2: 0.36e-3, 4: 0.50e-3, 8: 0.90e-3, 16: 1.50e-3, 32: 2.70e-3}, spread_ratio=0.1)
    overhead = make_overhead(
        request_s=60e-6,
        response_s=25e-6,
        batch_s=40e-6,
        wake_s=25e-6,
        transfer_s=20e-6,
        cold_ratio=0.4,
        spread_ratio=0.3,
    )
    service_s = service_times_s(fit_service_times(bench)[0], 32)
    return KnownServer(
        bench=bench,
        scenario=scenario,
        overhead=overhead,
        service_s=service_s,
        service_spread_ratio=0.1,
        runs=calibrate(bench, scenario, overhead, service_s=service_s, service_spread_ratio=0.1),
    )
