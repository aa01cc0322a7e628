"""Arrival schedules: when each request is due, fixed before the first is sent, whatever the answers do.

Times are seconds from the start of the run. All but a profile and a replay are stationary processes seen from a random
moment on, so any stretch of a run is like any other: the wait for the first arrival is drawn from the law of a gap met
at a random moment, not from that of a fresh gap, which would start every bursty run with a burst.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.scenario.arrivals import (
    Arrivals,
    ConstantArrivals,
    GammaArrivals,
    MarkovArrivals,
    PoissonArrivals,
    ProfileArrivals,
    Recording,
    ReplayArrivals,
    RequestTimes,
    TraceArrivals,
    n_recorded,
    recorded_s,
)

Times = NDArray[np.float64]


def schedule(arrivals: Arrivals, *, rate_rps: float, duration_s: float, rng: np.random.Generator) -> Times:
    """Due times in [0, duration_s), ascending, at `rate_rps` as the process understands it (see its record).

    `constant`: every 1/rate seconds from 0 on. `poisson`: gaps exponential with mean 1/rate. `gamma`: gaps of the
    gamma law with shape k = 1/cv² and scale cv²/rate, whose mean is 1/rate and coefficient of variation cv. `markov`
    and `profile`: Poisson arrivals of a changing rate, a unit Poisson process carried through the inverse of the rate's
    integral (Cinlar, Introduction to Stochastic Processes, 1975, chapter 4.7). `trace`: the recording in a circle, from
    a random moment on, with its clock divided by rate over own rate; counts are spread evenly at random over their
    interval. `replay`: the recording from its beginning, whatever the rate.

    The random numbers of `markov` are two streams, one for the periods and one for the arrivals: the same generator
    draws the same busy periods at every rate.

    Raises:
        InputError: when rate, duration or a parameter of the process makes no sense, or a replay is shorter than the
            duration.
    """
    _require_positive("rate", rate_rps)
    _require_positive("duration", duration_s)
    match arrivals:
        case ConstantArrivals():
            due_s = np.arange(math.ceil(rate_rps * duration_s)) / rate_rps
            return due_s[due_s < duration_s]
        case PoissonArrivals() | GammaArrivals():
            cv = arrivals.cv if isinstance(arrivals, GammaArrivals) else 1.0
            _require_positive("coefficient of variation", cv)
            return _renewal(shape=1.0 / cv**2, rate_rps=rate_rps, duration_s=duration_s, rng=rng)
        case MarkovArrivals():
            phase_rng, arrival_rng = rng.spawn(2)
            intensity = _phases(arrivals, rate_rps=rate_rps, duration_s=duration_s, rng=phase_rng)
            return _inhomogeneous(intensity, duration_s=duration_s, rng=arrival_rng)
        case ProfileArrivals():
            intensity = _profile(arrivals, rate_rps=rate_rps, duration_s=duration_s)
            return _inhomogeneous(intensity, duration_s=duration_s, rng=rng)
        case TraceArrivals():
            return _scaled(arrivals.recording, rate_rps=rate_rps, duration_s=duration_s, rng=rng)
        case ReplayArrivals():
            _require_length(arrivals.recording, duration_s)
            return _stretch(arrivals.recording, from_s=0.0, length_s=duration_s, rng=rng)


def replayed_rate_rps(recording: Recording, *, duration_s: float) -> float:
    """Requests per second in the beginning of a recording; of all of it where the beginning holds none.

    Raises:
        InputError: when the recording is shorter than that.
    """
    _require_length(recording, duration_s)
    n = _stretch(recording, from_s=0.0, length_s=duration_s, rng=np.random.default_rng(0)).size
    return n / duration_s if n else n_recorded(recording) / recorded_s(recording)


def quiet_ratio(markov: MarkovArrivals) -> float:
    """The rate while quiet over the mean rate, so that both together give the mean."""
    return max(0.0, (1.0 - markov.busy_share * markov.busy_ratio) / (1.0 - markov.busy_share))


def _renewal(*, shape: float, rate_rps: float, duration_s: float, rng: np.random.Generator) -> Times:
    """Arrivals with gamma gaps, seen from a random moment on.

    A random moment falls into a gap with a probability proportional to its length, which turns a gamma law of shape
    k into one of shape k + 1, and uniformly within it (Cox, Renewal Theory, 1962, chapter 5).
    """
    scale_s = 1.0 / (shape * rate_rps)
    start_s = rng.random() * rng.standard_gamma(shape + 1.0) * scale_s
    pieces = [np.array([start_s])]
    # Five standard deviations above the expected count: one piece is nearly always enough.
    n_expected = rate_rps * duration_s
    n_draws = math.ceil(n_expected + 5.0 * math.sqrt(n_expected / shape)) + 16
    while pieces[-1][-1] < duration_s:
        gaps_s = rng.standard_gamma(shape, size=n_draws) * scale_s
        pieces.append(pieces[-1][-1] + np.cumsum(gaps_s))
    due_s = np.concatenate(pieces)
    return due_s[: np.searchsorted(due_s, duration_s)]


# Poisson arrivals of a changing rate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intensity:
    """A rate that is a straight line within each of m stretches."""

    edges_s: Times  # (m + 1,) ascending from 0
    from_rps: Times  # (m,) at the beginning of each stretch
    to_rps: Times  # (m,) at its end


def _phases(markov: MarkovArrivals, *, rate_rps: float, duration_s: float, rng: np.random.Generator) -> _Intensity:
    """Busy and quiet periods, from a random moment on: the first is busy with the probability `busy_share`.

    How long a period still lasts does not depend on how long it has lasted, so the first is drawn like any other.
    """
    _require_markov(markov)
    mean_quiet_s = markov.mean_busy_s * (1.0 - markov.busy_share) / markov.busy_share
    is_busy_first = bool(rng.random() < markov.busy_share)
    lengths_s = np.empty(0)
    while lengths_s.sum() <= duration_s:
        n_draws = 2 * (math.ceil(duration_s / (markov.mean_busy_s + mean_quiet_s)) + 8)
        means_s = np.where((np.arange(n_draws) % 2 == 0) == is_busy_first, markov.mean_busy_s, mean_quiet_s)
        lengths_s = np.concatenate([lengths_s, rng.standard_exponential(n_draws) * means_s])
    is_busy = (np.arange(lengths_s.size) % 2 == 0) == is_busy_first
    level_rps = rate_rps * np.where(is_busy, markov.busy_ratio, quiet_ratio(markov))
    return _Intensity(edges_s=np.concatenate([[0.0], np.cumsum(lengths_s)]), from_rps=level_rps, to_rps=level_rps)


def _profile(profile: ProfileArrivals, *, rate_rps: float, duration_s: float) -> _Intensity:
    """The steps, as often as the duration needs."""
    for step in profile.steps:
        _require_positive("length of a step", step.for_s)
    once_s = np.array([step.for_s for step in profile.steps])
    if not once_s.size or max(max(step.share, step.to_share) for step in profile.steps) <= 0.0:
        raise _refusal("profile of the arrivals holds no request at all", "give a step with a share above 0")
    n_rounds = math.ceil(duration_s / float(once_s.sum()) + 1e-9)
    return _Intensity(
        edges_s=np.concatenate([[0.0], np.cumsum(np.tile(once_s, n_rounds))]),
        from_rps=rate_rps * np.tile([step.share for step in profile.steps], n_rounds),
        to_rps=rate_rps * np.tile([step.to_share for step in profile.steps], n_rounds),
    )


def _inhomogeneous(intensity: _Intensity, *, duration_s: float, rng: np.random.Generator) -> Times:
    """A unit Poisson process, carried through the inverse of the integral of the rate.

    Within a stretch of length L from rate a to b, the time t after which r requests are expected solves
    a t + (b - a) t² / (2 L) = r; written as 2 r / (a + sqrt(a² + 2 r (b - a) / L)) it holds for levels as well.
    """
    lengths_s = np.diff(intensity.edges_s)
    slope = (intensity.to_rps - intensity.from_rps) / lengths_s
    expected = np.concatenate([[0.0], np.cumsum((intensity.from_rps + intensity.to_rps) / 2.0 * lengths_s)])
    if expected[-1] <= 0.0:
        return np.empty(0)
    unit = _renewal(shape=1.0, rate_rps=1.0, duration_s=float(expected[-1]), rng=rng)
    # Both are sorted: looking up the few edges among the many requests is ten times as fast as the reverse.
    at = np.repeat(np.arange(lengths_s.size), np.diff(np.searchsorted(unit, expected)))
    rest = unit - expected[at]
    first_rps = intensity.from_rps[at]
    root = np.sqrt(np.maximum(first_rps**2 + 2.0 * rest * slope[at], 0.0))
    # Where the rate rises from 0 and nothing is left, both are 0.
    within_s = np.divide(2.0 * rest, first_rps + root, out=np.zeros_like(rest), where=first_rps + root > 0.0)
    due_s: Times = intensity.edges_s[at] + np.minimum(within_s, lengths_s[at])
    return due_s[due_s < duration_s]


# Recordings


def _scaled(recording: Recording, *, rate_rps: float, duration_s: float, rng: np.random.Generator) -> Times:
    n, length_s = n_recorded(recording), recorded_s(recording)
    if not (n > 0 and math.isfinite(length_s) and length_s > 0.0):
        raise _refusal("recording of the arrivals holds no request", "name a file with requests in it")
    faster = rate_rps * length_s / n
    from_s = float(rng.random()) * length_s
    due_s = _stretch(recording, from_s=from_s, length_s=duration_s * faster, rng=rng) / faster
    return due_s[due_s < duration_s]


def _stretch(recording: Recording, *, from_s: float, length_s: float, rng: np.random.Generator) -> Times:
    """The requests of a stretch of the recording on its own clock, from its beginning at 0; it may go round."""
    if isinstance(recording, RequestTimes):
        once_s: Times = np.array(recording.times_s)
        rounds = np.arange(math.floor((from_s + length_s) / recording.length_s) + 1)
        times_s: Times = (once_s + rounds[:, None] * recording.length_s).ravel()
    else:
        first = math.floor(from_s / recording.interval_s)
        last = math.ceil((from_s + length_s) / recording.interval_s)
        interval = np.arange(first, last)
        begins = np.repeat(interval, np.array(recording.counts)[interval % len(recording.counts)])
        times_s = np.sort(begins + rng.random(begins.size)) * recording.interval_s
    times_s -= from_s
    return times_s[(times_s >= 0.0) & (times_s < length_s)]


# What can't be


def _require_length(recording: Recording, duration_s: float) -> None:
    if duration_s > recorded_s(recording):
        raise _refusal(
            f"recording {recording.file} is {recorded_s(recording):g} s long, and the run {duration_s:g} s",
            "shorten the run, or give a rate: then the recording goes round",
        )


def _require_markov(markov: MarkovArrivals) -> None:
    _require_positive("mean length of a busy period", markov.mean_busy_s)
    if not 0.0 < markov.busy_share < 1.0:
        raise _refusal(f"share of the busy time is {markov.busy_share}", "give a share between 0 and 1")
    if not 1.0 < markov.busy_ratio <= 1.0 / markov.busy_share * (1.0 + 1e-9):
        raise _refusal(
            f"ratio of the busy rate to the mean is {markov.busy_ratio}",
            f"give a ratio above 1 and at most {1.0 / markov.busy_share:.4g}, with which no request comes between",
        )


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise _refusal(f"{name} of the arrivals is {value}", f"give a {name} above 0")


def _refusal(what: str, fix: str) -> InputError:
    return InputError(what=f"the {what}", where="the arrival schedule", fix=fix)
