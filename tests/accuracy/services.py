"""How near the fit of a running service comes, measured live: `make accuracy ARGS="--only services"`.

Seven services of known structure are each driven as `loadplan quick URL` does, none above half load; then at rates and
with arrivals that the fit never saw, and to the rate at which their objective is missed. What is driven is fixed here.
Finished runs are kept, so the same command goes on where it was. Server and generator have a core each.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from loadplan.errors import LoadplanError
from loadplan.fit.black_box.calibration import carried_by_bursts_rps, next_service_run
from loadplan.fit.black_box.capacity import service_capacity
from loadplan.fit.black_box.doubt import structure_doubt
from loadplan.fit.black_box.fit import fit_service
from loadplan.fit.black_box.predict import predict_service_run
from loadplan.fit.black_box.records import Asked, ServiceFit
from loadplan.fit.black_box.structures import cpu_s, described
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.records import LoadPurpose, LoadRun, LoadSpec
from loadplan.machine import read_machine, usable_cores
from loadplan.pipeline.artifacts import read_load, write_load
from loadplan.scenario.arrivals import Arrivals, GammaArrivals, PoissonArrivals
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass
from loadplan.slo import LatencyLimit, Slo
from loadplan.store.files import write_text
from tests.accuracy.table import Circumstances
from tests.accuracy.truth import QUANTILES, bisected, repeat_of, strain_of, truth_of

_SERVICE = Path(__file__).parents[1] / "services" / "black_box.py"
_POISSON, _BURSTY = PoissonArrivals(), GammaArrivals(cv=2.0)
_TIMEOUT_S = 10.0
_N_REPEATS, _RUN_S, _N_WANTED, _LONGEST_S = 3, 7.0, 700, 12.0
# Held out: share of what the bursts showed, and the arrivals.
_CONFIGURATIONS: tuple[tuple[str, float, Arrivals], ...] = (
    ("30 %", 0.30, _POISSON),
    ("60 %", 0.60, _POISSON),
    ("70 %", 0.70, _POISSON),
    ("80 %", 0.80, _POISSON),
    ("55 % bursty", 0.55, _BURSTY),
)
_N_STEPS, _STEP_REPEATS, _STEP_S, _FROM, _TO = 5, 2, 6.0, 0.4, 1.0
_ATTEMPTS = 3  # a run that neighbours spoiled is driven again
_WANTED = {0.5: 0.08, 0.95: 0.10, 0.99: 0.15}
_FLOOR_ALLOWED = 0.12  # of a p99, where it is judged
_ROWS = tuple(range(1, 401, 7))
_CHECK_S, _CHECK_RATIO = 20.0, 0.9

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A service, and what is promised of it."""

    name: str
    law: dict[str, object]  # see `tests/services/black_box.py`
    limit_s: float  # on its p99
    rows: tuple[int, ...] = field(default=())  # of the payloads; none: there are none to tell


SUBJECTS = (
    Subject(name="threads", law={}, limit_s=0.080),
    Subject(name="loop", law={"handler": "loop"}, limit_s=0.080),
    Subject(name="threads-4-workers", law={"n_workers": 4}, limit_s=0.080),
    Subject(name="loop-4-workers", law={"handler": "loop", "n_workers": 4}, limit_s=0.080),
    Subject(name="rows", law={"delay_s": 0.005, "cpu_s": 3.0e-3, "by_rows": True}, limit_s=0.060, rows=_ROWS),
    Subject(name="pool-of-5", law={"n_slots": 5}, limit_s=0.100),
    Subject(name="holds-the-gil", law={"holds_gil": True}, limit_s=0.080),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One held-out configuration: signed errors and noise floors, at QUANTILES."""

    subject: str
    name: str
    is_bursty: bool
    errors: tuple[float | None, ...]
    floors: tuple[float | None, ...]
    measured_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRow:
    """The rate at which an objective is missed, live and predicted."""

    subject: str
    low_rps: float
    high_rps: float
    predicted_rps: float
    predicted_low_rps: float
    predicted_high_rps: float

    @property
    def error(self) -> float:
        """Of the prediction, against the middle of the bracket."""
        return self.predicted_rps / ((self.low_rps + self.high_rps) / 2.0) - 1.0


def measure(folder: Path, names: Sequence[str], about: Circumstances, *, deadline_s: float | None, tell: Tell) -> str:
    """Drive what is missing of these services, all where none is named; returns the table."""
    rows: list[Row] = []
    capacities: list[CapacityRow] = []
    notes: list[str] = []
    for subject in SUBJECTS:
        if names and subject.name not in names:
            continue
        if deadline_s is not None and time.monotonic() > deadline_s:
            notes.append(f"{subject.name}: not driven, the time was up")
            continue
        with started(subject) as url:
            driver = _Driver(folder / subject.name, subject, url, tell)
            try:
                fit = driver.fitted()
                notes.append(f"{subject.name}: {told(fit)}")
                rows += driver.held_out(fit)
                capacities.append(driver.capacity(fit))
                notes += driver.on_the_mean(fit, capacities[-1])
                notes.append(f"{subject.name}: {driver.checked(fit, capacities[-1])}")
            except LoadplanError as error:
                notes.append(f"{subject.name}: {error}")
    return table(rows, capacities, notes, about)


def told(fit: ServiceFit) -> str:
    """The structures that were kept, best first."""
    mean_rows = 1.0 if fit.rows is None else fit.rows.mean
    kept = "; or ".join(described(law.structure) for law in fit.laws)
    return f"{1e3 * cpu_s(fit.laws[0], mean_rows):.2f} ms of CPU; {kept}"


@contextmanager
def started(subject: Subject) -> Iterator[str]:
    """The service on the first usable core; its address."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    core = usable_cores()[0]
    with subprocess.Popen(
        [sys.executable, str(_SERVICE), json.dumps(subject.law)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 -- no thread runs in here
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = int(process.stdout.readline())
        time.sleep(1.0)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(10.0)


class _Driver:
    """One service, and the finished runs of it."""

    def __init__(self, folder: Path, subject: Subject, url: str, tell: Tell) -> None:
        self._folder, self._subject, self._url, self._tell = folder, subject, url, tell
        self._machine = read_machine()
        self._calibration: list[LoadRun] = []

    def fitted(self) -> ServiceFit:
        """After the calibration."""
        while (spec := next_service_run(self._calibration, seed=11)) is not None:
            self._calibration.append(self._once(f"calibration/{spec.name}", spec))
        began_s = time.monotonic()
        fit = fit_service(self._calibration, seed=1)
        self._tell(f"{self._subject.name}: {told(fit)} (fitted in {time.monotonic() - began_s:.1f} s)")
        return fit

    def held_out(self, fit: ServiceFit) -> list[Row]:
        """Every configuration, its repeats between those of others."""
        carried_rps = carried_by_bursts_rps(self._calibration)
        driven: dict[str, list[LoadRun]] = {name: [] for name, _, _ in _CONFIGURATIONS}
        for i in range(_N_REPEATS):
            for name, ratio, arrivals in _CONFIGURATIONS:
                rate_rps = ratio * carried_rps
                lasts_s = min(max(_RUN_S, _N_WANTED / rate_rps), _LONGEST_S)
                spec = self._spec(name.replace(" %", "").replace(" ", "-"), arrivals, rate_rps, lasts_s, 100 + i)
                driven[name].append(self._once(f"held-out/{spec.name}/{i}", spec))
        return [self._row(fit, name, driven[name]) for name, _, _ in _CONFIGURATIONS]

    def _row(self, fit: ServiceFit, name: str, repeats: Sequence[LoadRun]) -> Row:
        valid = [run for run in repeats if repeat_of(run) is not None]
        truth = truth_of([repeat_of(run) for run in repeats])
        predictions = [predict_service_run(fit, run) for run in valid]
        middle = [
            float(np.median([getattr(one, key) for one in predictions])) if predictions else None
            for key in ("p50_s", "p95_s", "p99_s")
        ]
        errors = tuple(
            None if one is None or not measured else one / measured - 1.0
            for one, measured in zip(middle, truth.latencies_s, strict=True)
        )
        return Row(
            subject=self._subject.name,
            name=name,
            is_bursty="bursty" in name,
            errors=errors,
            floors=truth.floors,
            measured_s=truth.latencies_s,
        )

    def capacity(self, fit: ServiceFit) -> CapacityRow:
        """A bisection of Poisson runs against the objective, and the fit's own figure."""
        carried_rps, objective = carried_by_bursts_rps(self._calibration), self._objective()
        strains: list[list[float | None]] = []
        for step in range(_N_STEPS):
            low, high = bisected(_FROM, _TO, strains)
            rate_rps = carried_rps * (low + high) / 2.0
            found = []
            for i in range(_STEP_REPEATS):
                spec = self._spec(f"step-{step}", _POISSON, rate_rps, _STEP_S, 200 + 10 * step + i)
                found.append(strain_of(self._once(f"capacity/{step}-{i}", spec), objective))
            strains.append(found)
        low, high = bisected(_FROM, _TO, strains)
        told_of = service_capacity(fit, self._asked(), [objective])
        return CapacityRow(
            subject=self._subject.name,
            low_rps=low * carried_rps,
            high_rps=high * carried_rps,
            predicted_rps=told_of.usable_capacity_rps,
            predicted_low_rps=told_of.usable_capacity_rps_low,
            predicted_high_rps=told_of.usable_capacity_rps_high,
        )

    def on_the_mean(self, fit: ServiceFit, capacity: CapacityRow) -> Iterator[str]:
        """What would be promised had every request as many rows as they have on average."""
        rows = self._subject.rows
        if rows:
            asked = Asked(arrivals=_POISSON, rows_per_request=always(round(float(np.mean(rows)))))
            promised_rps = service_capacity(fit, asked, [self._objective()]).usable_capacity_rps
            error = replace(capacity, predicted_rps=promised_rps).error
            yield f"{self._subject.name}: on the mean of the rows {promised_rps:,.0f} requests/s, {error:+.1%}"

    def checked(self, fit: ServiceFit, capacity: CapacityRow) -> str:
        """What the one run at nine tenths of the predicted capacity says of the structure."""
        if capacity.predicted_rps <= 0.0:
            return "no check, for the objective is said to hold at no rate"
        spec = self._spec("check", _POISSON, _CHECK_RATIO * capacity.predicted_rps, _CHECK_S, 300)
        doubt = structure_doubt(fit, self._once("check", spec))
        return "the check suits" if doubt is None else doubt.what

    def _objective(self) -> Slo:
        return Slo(limits=(LatencyLimit(quantile=0.99, limit_s=self._subject.limit_s),), max_failed_ratio=0.001)

    def _asked(self) -> Asked:
        """By the rows of the payloads, each as likely: classes of one size each."""
        rows = self._subject.rows
        if not rows:
            return Asked(arrivals=_POISSON)
        classes = tuple(RequestClass(name=str(k), share=1.0 / len(rows), rows_per_request=always(k)) for k in rows)
        return Asked(arrivals=_POISSON, rows_per_request=always(max(rows)), classes=classes)

    def _spec(self, name: str, arrivals: Arrivals, rate_rps: float, lasts_s: float, seed: int) -> LoadSpec:
        purpose: LoadPurpose = "verification" if name == "check" else "steady"
        return LoadSpec(
            name=name,
            purpose=purpose,
            arrivals=arrivals,
            offered_rate_rps=rate_rps,
            duration_s=lasts_s,
            seed=seed,
            timeout_s=_TIMEOUT_S,
            setting=None,
            warm_up_s=1.0,
        )

    def _once(self, name: str, spec: LoadSpec) -> LoadRun:
        path = self._folder / f"{name}.parquet"
        if path.is_file():
            return read_load(path)
        for _ in range(_ATTEMPTS):
            run = run_load(
                spec, url=self._url, requests=self._requests(), machine=self._machine, core=usable_cores()[-1]
            )
            if run.verdict.valid:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_load(path, run)
                break
        said = "valid" if run.verdict.valid else "; ".join(run.verdict.invalid_reasons)
        self._tell(f"{self._subject.name}/{name}: {run.verdict.achieved_rate_rps:,.0f} requests/s, {said}")
        return run

    def _requests(self) -> PreparedRequests:
        rows = self._subject.rows
        return PreparedRequests(
            method="POST",
            path="/",
            headers=(("Content-Type", "text/plain"),),
            bodies=tuple(str(k).encode() for k in rows) or (b"1",),
            n_rows=rows or None,
            expected=None,
        )


_ABOUT = (
    "Service and generator had a core each. Each service was driven with a few at once, a burst, 12 % and half load; "
    "then held out at the rates below. An error is predicted / measured - 1, the floor how far repeats are from their "
    "median."
)
_HELD_OUT_HEAD = "| service | held out | p50 | floor | p95 | floor | p99 | floor |\n|---|---|---|---|---|---|---|---|"
_TARGETS_HEAD = "| target | median error | reached |\n|---|---|---|"
_CAPACITIES_HEAD = (
    "| service | objective missed between, requests/s | predicted | interval | error |\n|---|---|---|---|---|"
)


def table(rows: Sequence[Row], capacities: Sequence[CapacityRow], notes: Sequence[str], about: Circumstances) -> str:
    """All figures as Markdown, the targets beside them."""
    lines = [
        "# How near the fit of a running service comes",
        f"Commit {about.commit}, {about.date}, on {about.machine}. {_ABOUT}",
        "\n".join([_HELD_OUT_HEAD, *(_told(row) for row in rows)]),
        "\n".join([_TARGETS_HEAD, *_targets(rows)]),
        "\n".join([_CAPACITIES_HEAD, *(_told_capacity(one) for one in capacities)]),
        (
            f"Capacity within 10 %: {sum(abs(one.error) <= 0.10 for one in capacities)} of {len(capacities)}, worst "
            f"{max((abs(one.error) for one in capacities), default=0.0):.1%}; above the live one by more than 3 %: "
            f"{sum(one.error > 0.03 for one in capacities)}."
        ),
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(lines) + "\n"


def _told(row: Row) -> str:
    cells = [row.subject, row.name]
    for error, floor in zip(row.errors, row.floors, strict=True):
        cells += ["–" if error is None else f"{error:+.1%}", "–" if floor is None else f"{floor:.1%}"]
    return f"| {' | '.join(cells)} |"


def _told_capacity(one: CapacityRow) -> str:
    return (
        f"| {one.subject} | {one.low_rps:,.0f} to {one.high_rps:,.0f} | {one.predicted_rps:,.0f} "
        f"| {one.predicted_low_rps:,.0f} to {one.predicted_high_rps:,.0f} | {one.error:+.1%} |"
    )


def _targets(rows: Sequence[Row]) -> Iterator[str]:
    for i, quantile in enumerate(QUANTILES):
        judged = [row for row in rows if not row.is_bursty and (row.floors[2] or 0.0) <= _FLOOR_ALLOWED]
        yield _target(f"p{100 * quantile:g} ≤ {_WANTED[quantile]:.0%}", judged, i, _WANTED[quantile])
    yield _target("p99 of bursty arrivals ≤ 25 %", [row for row in rows if row.is_bursty], 2, 0.25)


def _target(what: str, rows: Sequence[Row], i: int, wanted: float) -> str:
    errors = [abs(error) for row in rows if (error := row.errors[i]) is not None]
    if not errors:
        return f"| {what} | – | not driven |"
    middle = float(np.median(errors))
    return f"| {what} | {middle:.1%} over {len(errors)} | {'yes' if middle <= wanted else '**no**'} |"


def write(text: str, folder: Path) -> None:
    """The table beside the others."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "services.md", text)
