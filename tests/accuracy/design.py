"""What is driven, fixed before anything is measured: subjects, held-out configurations, capacities and decisions.

Pure. Rates are shares of a capacity that is measured before the rounds begin, so the predictions have no say in what
they are held against. The decisions a reader would question:

- Of 30, 50 and 70 % of the capacity each subject meets two with each batch size, in turn; but one at a time and at
  50 %, where a calibration run is driven, is held out nowhere. Loads above 72 % are told apart: there a few percent of
  capacity are a fifth of a p50.
- One configuration in six has gamma arrivals of CV 2, one in six a batch window of 2 ms.
- Saturation is held out for two batch sizes that no calibration run saturates, one of which is in no run at all.
- Two replicas are driven with an inference that is a timer (`timed`): real ones would need a core each, and the
  generator a third. Their law is fitted on runs of one of them.
- The decisions are drawn once, from a seed that was never changed to make them come out otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from loadplan.errors import InputError
from loadplan.execution import Balancing
from loadplan.scenario.arrivals import GammaArrivals, PoissonArrivals
from loadplan.slo import LatencyLimit, Slo

Law = PoissonArrivals | GammaArrivals
Part = Literal["prediction", "saturation", "slo", "decision", "replicas"]
PARTS: tuple[Part, ...] = ("prediction", "saturation", "slo", "decision", "replicas")

HIGHEST_LOAD_RATIO = 0.72  # above it a configuration is told apart
_POISSON, _BURSTY = PoissonArrivals(), GammaArrivals(cv=2.0)
_LOADS = (0.3, 0.5, 0.7)
_APART_LOAD = 0.78
_WINDOW_S = 2e-3
_DECISION_SEED = 2026
_N_DECISIONS = 14
_MAX_FAILED_RATIO = 0.001
_START_S = 2.5  # of a server and of a generator, for the estimate of how long all takes
_BENCH_OVERHEAD_S, _FIT_S = 25.0, 12.0
_CALIBRATIONS = 5  # runs of one round and subject
_FLEET_RUN_S, _FLEET_START_S = 4.0, 4.0  # of two replicas; slow inferences make longer runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model with its requests, and what may be asked of it."""

    name: str
    max_batch_sizes: tuple[int, int, int]  # rows; those that its calibration serves
    unseen_batch_size: int  # of no calibration run
    limits_s: tuple[float, ...]  # p99 limits that objectives are drawn from; at least some times an idle p99


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to serve and to ask a subject, whose latency is predicted and measured."""

    subject: str
    max_batch_size: int
    load_ratio: float  # of the capacity that was measured before, of all replicas together
    arrivals: Law = _POISSON
    batch_window_s: float = 0.0
    n_replicas: int = 1
    balancing: Balancing = "round_robin"  # of several replicas

    @property
    def name(self) -> str:
        """Unique in a design."""
        replicas = f"-{self.n_replicas}x-{self.balancing.replace('_', '-')}" if self.n_replicas > 1 else ""
        return f"{_served(self)}{replicas}-{100.0 * self.load_ratio:.0f}"

    @property
    def is_apart(self) -> bool:
        """Whether it is so near saturation that its errors are reported by themselves."""
        return self.load_ratio > HIGHEST_LOAD_RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """The largest throughput of a subject with one batch size."""

    subject: str
    max_batch_size: int
    is_held_out: bool  # whether its capacity is predicted; all of them say at which rates the rest is driven

    @property
    def name(self) -> str:
        """Unique in a design."""
        return f"{self.subject}-mb{self.max_batch_size}-saturated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The largest rate at which one objective holds: searched live where it is a capacity, driven where a decision."""

    subject: str
    max_batch_size: int
    objective: Slo
    arrivals: Law = _POISSON
    batch_window_s: float = 0.0
    number: int = 0  # tells decisions apart that were drawn alike

    @property
    def name(self) -> str:
        """Unique among the capacities, and among the decisions, of a design."""
        limits = "-".join(f"p{100.0 * one.quantile:g}-{1e3 * one.limit_s:g}ms" for one in self.objective.limits)
        return f"{_served(self)}-{limits}" + (f"-d{self.number:02}" if self.number else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """All that is to be driven."""

    subjects: tuple[Subject, ...]
    configurations: tuple[Configuration, ...]
    saturations: tuple[Saturation, ...]
    capacities: tuple[Question, ...]
    decisions: tuple[Question, ...]
    fleets: tuple[Configuration, ...] = ()  # of several replicas; told apart from the others
    n_rounds: int = 5
    n_more_rounds: int = 3  # for configurations that have too little undisturbed time after those
    clean_s: float = 10.0  # undisturbed time that a configuration must have in all
    run_s: float = 3.0  # of a held-out or a calibration run at least
    saturated_s: float = 1.5
    bench_s: float = 15.0

    @property
    def held_out(self) -> tuple[Configuration, ...]:
        """Whatever is driven in rounds beside the calibration."""
        return (*self.configurations, *self.fleets)

    def subject(self, name: str) -> Subject:
        """The subject of that name."""
        return next(subject for subject in self.subjects if subject.name == name)


@dataclass(frozen=True, slots=True)
class Slot:
    """One run of a round: of a held-out configuration, or whatever the subject's calibration asks for next."""

    subject: str
    configuration: Configuration | None  # None: a calibration run


SUBJECTS = (
    Subject(name="small", max_batch_sizes=(1, 8, 32), unseen_batch_size=16, limits_s=(5e-3, 10e-3, 20e-3)),
    Subject(name="chain", max_batch_sizes=(1, 8, 32), unseen_batch_size=16, limits_s=(5e-3, 10e-3, 20e-3)),
    Subject(name="large", max_batch_sizes=(1, 8, 32), unseen_batch_size=16, limits_s=(30e-3, 60e-3, 120e-3)),
    Subject(name="digits", max_batch_sizes=(1, 8, 32), unseen_batch_size=16, limits_s=(5e-3, 10e-3, 20e-3)),
    Subject(name="rows", max_batch_sizes=(1, 128, 512), unseen_batch_size=256, limits_s=(20e-3, 50e-3, 100e-3)),
)
# Of it nothing is held out but what two of them do together.
PAIR = Subject(name="pair", max_batch_sizes=(1, 4, 16), unseen_batch_size=8, limits_s=(50e-3,))


def full_design() -> Design:
    """Everything that is promised."""
    return Design(
        subjects=(*SUBJECTS, PAIR),
        configurations=tuple(one for i, subject in enumerate(SUBJECTS) for one in _held_out(i, subject)),
        saturations=(*(one for subject in SUBJECTS for one in saturations_of(subject)), *_saturations_of_pair()),
        capacities=tuple(_capacity(*chosen) for chosen in _CAPACITIES),
        decisions=_drawn(np.random.default_rng(_DECISION_SEED)),
        fleets=tuple(_two_replicas(*chosen) for chosen in _FLEETS),
    )


# Subject, which of its batch sizes, which of its limits.
_CAPACITIES = (
    ("small", 1, 0),
    ("chain", 0, 1),
    ("chain", 2, 1),
    ("large", 0, 1),
    ("large", 1, 1),
    ("digits", 1, 0),
    ("rows", 1, 1),
)

# Of the pair: batch size, share of the capacity of both, which way requests are spread, and when they come.
_FLEETS: tuple[tuple[int, float, Balancing, Law], ...] = (
    (1, 0.3, "random", _POISSON),
    (1, 0.5, "least_outstanding", _BURSTY),
    (1, 0.7, "round_robin", _POISSON),
    (4, 0.3, "round_robin", _BURSTY),
    (4, 0.5, "random", _POISSON),
    (4, 0.7, "least_outstanding", _POISSON),
    (16, 0.3, "random", _BURSTY),
    (16, 0.5, "round_robin", _POISSON),
)


def saturations_of(subject: Subject) -> tuple[Saturation, ...]:
    """Every batch size; held out those that the calibration doesn't saturate."""
    smallest, middle, largest = subject.max_batch_sizes
    sizes = (smallest, middle, subject.unseen_batch_size, largest)
    return tuple(
        Saturation(subject=subject.name, max_batch_size=size, is_held_out=size in (middle, subject.unseen_batch_size))
        for size in sizes
    )


def only(design: Design, names: Sequence[str]) -> Design:
    """The part of a design that these names of subjects and of parts leave; no name of a kind leaves all of it.

    Saturations stay, for the rates of all else are shares of them; what is held out of them goes. A subject of which a
    part holds nothing goes with all that is its.

    Raises:
        ValueError: for a name that is neither.
        InputError: where nothing is left.
    """
    subjects = [subject.name for subject in design.subjects]
    unknown = [name for name in names if name not in (*subjects, *PARTS)]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is neither of {', '.join(subjects)} nor of {', '.join(PARTS)}")
    parts = {name for name in names if name in PARTS} or set(PARTS)
    named = [name for name in names if name in subjects] or subjects
    kept = {name for name in named if parts & ({"replicas"} if name == PAIR.name else {*PARTS} - {"replicas"})}
    if not kept:
        raise InputError(
            what=f"{' and '.join(names)} have nothing in common",
            where="--only",
            fix=f"{PAIR.name} has replicas alone, the other subjects have all else",
        )
    return replace(
        design,
        subjects=tuple(one for one in design.subjects if one.name in kept),
        configurations=tuple(one for one in design.configurations if one.subject in kept and "prediction" in parts),
        saturations=tuple(
            replace(one, is_held_out=one.is_held_out and "saturation" in parts)
            for one in design.saturations
            if one.subject in kept
        ),
        capacities=tuple(one for one in design.capacities if one.subject in kept and "slo" in parts),
        decisions=tuple(one for one in design.decisions if one.subject in kept and "decision" in parts),
        fleets=tuple(one for one in design.fleets if one.subject in kept and "replicas" in parts),
    )


def round_order(design: Design, i_round: int) -> tuple[Slot, ...]:
    """The runs of a round in an order of its own, calibration among the rest; the same for the same round."""
    slots = [Slot(one.subject, one) for one in design.held_out]
    slots += [Slot(subject.name, None) for subject in design.subjects for _ in range(_CALIBRATIONS)]
    order = np.random.default_rng((_DECISION_SEED, i_round)).permutation(len(slots))
    return tuple(slots[i] for i in order)


def saturation_order(design: Design, i_round: int) -> tuple[Saturation, ...]:
    """The saturations of a round in an order of its own."""
    order = np.random.default_rng((_DECISION_SEED, 1, i_round)).permutation(len(design.saturations))
    return tuple(design.saturations[i] for i in order)


def estimated_s(design: Design) -> float:
    """How long all of it takes, about, on a quiet machine."""
    n_subjects = len(design.subjects)
    in_rounds = len(design.configurations) + _CALIBRATIONS * n_subjects
    runs = design.n_rounds * (
        in_rounds * (design.run_s + _START_S)
        + len(design.fleets) * (_FLEET_RUN_S + _FLEET_START_S)
        + len(design.saturations) * (design.saturated_s + _START_S)
    )
    capacities = len(design.capacities) * N_BISECTIONS * N_REPEATS_OF_BISECTION * (BISECTION_S + _START_S)
    decisions = 2 * len(design.decisions) * (DECISION_S + _START_S)
    fits = n_subjects * (design.n_rounds + 1) * _FIT_S
    return n_subjects * (design.bench_s + _BENCH_OVERHEAD_S) + runs + capacities + decisions + fits


# The search for a capacity at an objective: between these shares of the saturated one, to 2 % of it.
BISECTION_FROM, BISECTION_TO = 0.4, 1.0
N_BISECTIONS, N_REPEATS_OF_BISECTION, BISECTION_S = 5, 3, 4.0
DECISION_S = 10.0


def _held_out(i_subject: int, subject: Subject) -> list[Configuration]:
    smallest, middle, largest = subject.max_batch_sizes
    turns = [[load for i, load in enumerate(_LOADS) if (i_subject + i_size + i) % 3] for i_size in range(3)]
    plain = {middle: turns[1], largest: turns[2]}
    found = [_configuration(subject, smallest, load) for load in (_LOADS[0], _LOADS[2])]
    found += [_configuration(subject, size, load) for size, loads in plain.items() for load in loads]
    # One of each size is asked in bursts, or waits for others to join.
    bursty = replace(found[2], arrivals=_BURSTY)
    waiting = replace(found[4], batch_window_s=_WINDOW_S)
    apart = _configuration(subject, middle, _APART_LOAD)
    return [*found[:2], bursty, found[3], waiting, found[5], apart]


def _saturations_of_pair() -> tuple[Saturation, ...]:
    return tuple(Saturation(subject=PAIR.name, max_batch_size=size, is_held_out=False) for size in PAIR.max_batch_sizes)


def _two_replicas(size: int, load_ratio: float, balancing: Balancing, arrivals: Law) -> Configuration:
    return Configuration(
        subject=PAIR.name,
        max_batch_size=size,
        load_ratio=load_ratio,
        arrivals=arrivals,
        n_replicas=2,
        balancing=balancing,
    )


def _configuration(subject: Subject, size: int, load_ratio: float) -> Configuration:
    return Configuration(subject=subject.name, max_batch_size=size, load_ratio=load_ratio)


def _capacity(name: str, i_size: int, i_limit: int) -> Question:
    subject = next(subject for subject in SUBJECTS if subject.name == name)
    limit = LatencyLimit(quantile=0.99, limit_s=subject.limits_s[i_limit])
    objective = Slo(limits=(limit,), max_failed_ratio=_MAX_FAILED_RATIO)
    return Question(subject=name, max_batch_size=subject.max_batch_sizes[i_size], objective=objective)


def _drawn(rng: np.random.Generator) -> tuple[Question, ...]:
    """Every subject in turn; batch size, arrivals, window and objective by chance."""
    drawn = []
    for i in range(_N_DECISIONS):
        subject = SUBJECTS[i % len(SUBJECTS)]
        limit_s = subject.limits_s[rng.integers(len(subject.limits_s))]
        limits = [LatencyLimit(quantile=0.99, limit_s=limit_s)]
        if rng.random() < 1.0 / 3.0:
            limits.insert(0, LatencyLimit(quantile=0.95, limit_s=0.6 * limit_s))
        sizes = (*subject.max_batch_sizes, subject.unseen_batch_size)
        drawn.append(
            Question(
                subject=subject.name,
                max_batch_size=sizes[rng.integers(len(sizes))],
                objective=Slo(limits=tuple(limits), max_failed_ratio=_MAX_FAILED_RATIO),
                arrivals=_BURSTY if rng.random() < 1.0 / 3.0 else _POISSON,
                batch_window_s=_WINDOW_S if rng.random() < 0.25 else 0.0,
                number=i + 1,
            )
        )
    return tuple(drawn)


def _served(one: Configuration | Question) -> str:
    bursts = f"-cv{one.arrivals.cv:g}" if isinstance(one.arrivals, GammaArrivals) else ""
    window = f"-w{1e3 * one.batch_window_s:g}ms" if one.batch_window_s else ""
    return f"{one.subject}-mb{one.max_batch_size}{bursts}{window}"
