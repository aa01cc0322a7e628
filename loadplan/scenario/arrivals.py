"""The laws by which requests arrive: one record for each process, and nothing in it that another process has.

The rate is not part of a law: the same law is driven and simulated at many. What "rate" means is said at each.
"""

from dataclasses import dataclass
from typing import Literal

_N_CYCLES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantArrivals:
    """A request every 1/rate seconds: the kindest traffic there is."""

    process: Literal["constant"] = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonArrivals:
    """Many callers who know nothing of each other: exponential gaps with the mean 1/rate."""

    process: Literal["poisson"] = "poisson"


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaArrivals:
    """Independent gaps of a gamma law with the mean 1/rate; above a cv of 1 they come in clusters of cv² on average."""

    cv: float  # coefficient of variation of the gaps
    process: Literal["gamma"] = "gamma"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkovArrivals:
    """Poisson arrivals whose rate switches between busy and quiet at random; `rate` is the mean over both.

    Each busy period lasts for `mean_busy_s` on average, each quiet one for `mean_busy_s` (1 - share) / share, both
    exponential: the Markov-modulated Poisson process with two states.
    """

    busy_ratio: float  # rate while busy over the mean rate, above 1 and at most 1 / busy_share
    busy_share: float  # of the time, between 0 and 1
    mean_busy_s: float
    process: Literal["markov"] = "markov"

    @property
    def mean_cycle_s(self) -> float:
        """A busy and a quiet period together, on average."""
        return self.mean_busy_s / self.busy_share


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileStep:
    """A stretch of a profile: a level, or a straight ramp between two."""

    for_s: float
    share: float  # of the rate, 0 to 1, at its beginning
    to_share: float  # at its end; equal to `share` on a level


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileArrivals:
    """Poisson arrivals whose rate follows a plan, from its beginning and over again.

    `rate` is that of its busiest moment, which has the share 1.
    """

    steps: tuple[ProfileStep, ...]
    process: Literal["profile"] = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimes:
    """A recording of single requests."""

    file: str  # its name
    times_s: tuple[float, ...]  # ascending from 0; equal ones came together
    length_s: float  # up to the moment at which the first one would come again: one mean gap after the last


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalCounts:
    """A recording of how many requests came in each of many equal intervals."""

    file: str  # its name
    interval_s: float
    counts: tuple[int, ...]


Recording = RequestTimes | IntervalCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceArrivals:
    """A recording, from a random moment on and in a circle, its clock changed so that its mean rate is `rate`."""

    recording: Recording
    process: Literal["trace"] = "trace"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayArrivals:
    """A recording as it was, from its beginning and once; its rate is its own."""

    recording: Recording
    process: Literal["replay"] = "replay"


Arrivals = (
    ConstantArrivals
    | PoissonArrivals
    | GammaArrivals
    | MarkovArrivals
    | ProfileArrivals
    | TraceArrivals
    | ReplayArrivals
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Not arrivals: callers of whom each asks again only when it has its answer, so that a slow server is asked less.

    For comparison with tools that measure so; what comes of it is no law to plan on, and a scenario can't name it.
    """

    n_callers: int
    think_time_s: float  # from an answer to the next request
    process: Literal["callers"] = "callers"


def described(arrivals: Arrivals | Callers) -> str:
    """The law in a few words, as a person would name it: `gamma, cv 2`."""
    words: str = arrivals.process
    match arrivals:
        case GammaArrivals():
            words += f", cv {arrivals.cv:g}"
        case MarkovArrivals():
            words += (
                f", {arrivals.busy_ratio:g} times the mean rate in {arrivals.busy_share:.3g} of the time, "
                f"for {arrivals.mean_busy_s:g} s each"
            )
        case ProfileArrivals():
            words += f" of {len(arrivals.steps)} steps in {profile_length_s(arrivals):g} s, at its busiest moment"
        case TraceArrivals():
            words += f" {arrivals.recording.file}, its clock fitted to the rate"
        case ReplayArrivals():
            words += f" of {arrivals.recording.file} as recorded"
        case Callers():
            words = f"{arrivals.n_callers} callers who wait for their answers"
    return words


def profile_length_s(profile: ProfileArrivals) -> float:
    """How long the profile takes once."""
    return sum(step.for_s for step in profile.steps)


def n_recorded(recording: Recording) -> int:
    """Requests in the recording."""
    return len(recording.times_s) if isinstance(recording, RequestTimes) else sum(recording.counts)


def recorded_s(recording: Recording) -> float:
    """How long the recording is."""
    if isinstance(recording, RequestTimes):
        return recording.length_s
    return len(recording.counts) * recording.interval_s


def busiest(arrivals: Arrivals) -> Arrivals:
    """What a plan rests on: of a profile its busiest moment, held for as long as it takes; any other law as it is.

    A fleet must hold its objectives in the busiest moment, and the quiet ones must not dilute its percentiles.
    """
    return PoissonArrivals() if isinstance(arrivals, ProfileArrivals) else arrivals


def requests_to_show(arrivals: Arrivals | Callers, *, rate_rps: float) -> float:
    """How many requests it takes until a run has met what the process does; 0 where every stretch is like any other.

    Of busy and quiet periods fifty of each, for then their share is known to a fifth; of a recording all of it.
    """
    match arrivals:
        case MarkovArrivals():
            return _N_CYCLES * arrivals.mean_cycle_s * rate_rps
        case TraceArrivals() | ReplayArrivals():
            return float(n_recorded(arrivals.recording))
    return 0.0


def has_own_clock(arrivals: Arrivals) -> bool:
    """Whether it has times of its own beside the rate; without, twice the rate is the same picture in half the time."""
    return isinstance(arrivals, MarkovArrivals | ProfileArrivals | ReplayArrivals)
