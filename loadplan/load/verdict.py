"""Did the generator do what it was asked, and what do the requests say? Pure arithmetic on the records.

Verdicts on objectives use all due requests. Clean windows, in which nobody robbed the generator's core, decide only
whether the run is valid, and stand beside the full figures; a window is dropped for what happened to the generator,
never for how slow its answers were, so a server's own stall stays in. A request belongs to the window of its due time.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement, ObjectiveMissed
from loadplan.load.classes import run_of_class
from loadplan.load.records import GRPC_STATUS, LoadRun, LoadSpec, LoadVerdict, LostTime, Outcome, RequestLog
from loadplan.scenario.arrivals import Callers
from loadplan.slo import Attainment, Slo, attainment
from loadplan.stats import Summary, percentile, share_above, summarise

WINDOW_S = 0.1
_AT_ONCE = 1 << 20  # requests
# Up to this much may be missing from a window: less than the lateness that a send is allowed.
_LOST_ALLOWED_S = 0.001
_LAG_ALLOWED_S = 0.001
_LAG_ALLOWED_OF_MEDIAN_RATIO = 0.05
_LATE_ALLOWED_RATIO = 0.01
_SENT_NEEDED_RATIO = 0.98
_CLEAN_NEEDED_RATIO = 0.25
# Nobody's neighbour takes a core for this long: the machine was suspended, or the process was stopped.
_PAUSE_S = 1.0


def judge(
    spec: LoadSpec,
    requests: RequestLog,
    lost: LostTime,
    *,
    own_fault: str | None = None,
    saturation_ratio: float | None = None,
) -> LoadVerdict:
    """Whether the run may be believed, with every reason why not.

    Invalid when, among the requests due in clean windows, more than 1 % were sent later than max(1 ms, 5 % of the
    median response time) or never; when fewer than 98 % of the due requests were sent by the end of the schedule;
    when fewer than 25 % of the windows are clean; when the generator was paused; or when it lacked something itself.
    A saturation run may send late: it is to keep the server busy, and is read from its actual sends.
    """
    limit_s = lag_limit_s(requests)
    is_clean = clean_windows_of_each(lost, duration_s=spec.duration_s)
    in_clean = due_in_clean_window(requests.due_s, is_clean)
    # A comparison with NaN is False: a request that was never sent is late.
    is_late = ~(requests.sent_s - requests.due_s <= limit_s)
    # With no request in a clean window the share is that of all, and lateness is no reason: nobody knows whose it is.
    can_judge = bool(in_clean.any())
    late_ratio = float(np.mean(is_late[in_clean] if can_judge else is_late)) if is_late.size else 0.0
    n_sent = int(np.count_nonzero(requests.sent_s <= spec.duration_s + limit_s))
    is_good = requests.outcome == np.uint8(Outcome.OK)
    facts = _Facts(
        lag_limit_s=limit_s,
        late_ratio=late_ratio if can_judge else 0.0,
        clean_ratio=float(is_clean.mean()),
        n_due=requests.n_requests,
        n_sent=n_sent,
        longest_pause=max(zip(lost.length_s.tolist(), lost.start_s.tolist(), strict=True), default=(0.0, 0.0)),
    )
    reasons = _reasons(spec, facts) + ((own_fault,) if own_fault else ())
    return LoadVerdict(
        valid=not reasons,
        invalid_reasons=reasons,
        achieved_rate_rps=n_sent / spec.duration_s,
        throughput_rps=int(np.count_nonzero(requests.done_s[is_good] <= spec.duration_s)) / spec.duration_s,
        late_ratio=late_ratio,
        clean_ratio=facts.clean_ratio,
        n_failed=int(np.count_nonzero(~is_good)),
        saturation_ratio=saturation_ratio,
    )


def clean_windows(lost: LostTime, *, duration_s: float) -> NDArray[np.bool_]:
    """For each window of 100 ms of the run, whether the generator had its core for all but 1 ms of it.

    A gap counts twice its length: after it the generator needs about as long again to catch up. Of several workers
    none must have lost more.
    """
    return np.asarray(clean_windows_of_each(lost, duration_s=duration_s).all(axis=0))


def clean_windows_of_each(lost: LostTime, *, duration_s: float) -> NDArray[np.bool_]:
    """(n_workers, n_windows) the same for each worker alone; one row for one generator, or where nobody knows whose."""
    n_windows = max(1, math.ceil(round(duration_s / WINDOW_S, 6)))
    edges_s = np.arange(n_windows + 1) * WINDOW_S
    worker = np.zeros(lost.start_s.size, dtype=np.int32) if lost.worker is None else lost.worker
    missing_s = np.zeros((lost.n_workers, n_windows))
    for start_s, length_s, whose in zip(lost.start_s, lost.length_s, worker, strict=True):
        ends_s = np.clip(edges_s, start_s, start_s + 2.0 * length_s)
        missing_s[whose] += np.diff(ends_s)
    return missing_s <= _LOST_ALLOWED_S


def due_in_clean_window(due_s: NDArray[np.float64], is_clean: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each request, whether the window of its due time is clean; of several workers, for the one that sent it.

    `due_s` is the whole schedule then, and `is_clean` (n_workers, n_windows): worker i sends the requests i, i + n, …
    """
    of_each = np.atleast_2d(is_clean)
    n_workers, n_windows = of_each.shape
    clean = np.empty(due_s.size, dtype=np.bool_)
    for start in range(0, due_s.size, _AT_ONCE):  # the indexes of a long run take more memory than its requests
        part = due_s[start : start + _AT_ONCE]
        window = np.minimum((part / WINDOW_S).astype(np.intp), n_windows - 1)
        clean[start : start + part.size] = of_each[np.arange(start, start + part.size) % n_workers, window]
    return clean


def response_times_s(run: LoadRun) -> NDArray[np.float64]:
    """What callers waited, in order of due time: right answers, and requests that timed out.

    The latter waited for at least the timeout and count as that long: a percentile equal to `spec.timeout_s` means
    "longer than". Leaving them out would make a server look better by not answering. Raises InvalidMeasurement for
    an invalid run.
    """
    waited_s, is_waited = _waited_s(run)
    return waited_s[is_waited]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTimes:
    """What the callers of one class waited."""

    name: str
    n_requests: int  # due
    n_failed: int
    times_s: NDArray[np.float64]  # as `response_times_s`; empty for an invalid run

    @property
    def summary(self) -> Summary | None:
        """Their spread; None where nothing was answered right."""
        return summarise(self.times_s) if self.times_s.size and self.n_failed < self.n_requests else None


def times_by_class(run: LoadRun) -> Iterator[ClassTimes]:
    """Each class in turn, in the scenario's order; nothing without classes.

    `load.classes` makes whole runs of them, which takes a long run's memory once more.
    """
    classes, index = run.classes, run.class_index
    if classes is None:
        return
    waited_s, is_waited = _waited_s(run) if run.verdict.valid else (np.empty(0), None)
    for i, name in enumerate(classes.names):
        is_own = index == i
        yield ClassTimes(
            name=name,
            n_requests=int(np.count_nonzero(is_own)),
            n_failed=int(np.count_nonzero(is_own & (run.requests.outcome != np.uint8(Outcome.OK)))),
            times_s=waited_s if is_waited is None else waited_s[is_own & is_waited],
        )


def clean_response_times_s(run: LoadRun) -> NDArray[np.float64]:
    """The same, of requests due in clean windows."""
    waited_s, is_waited = _waited_s(run)
    is_clean = clean_windows_of_each(run.lost, duration_s=run.spec.duration_s)
    return waited_s[is_waited & due_in_clean_window(run.requests.due_s, is_clean)]


def latency_summary(run: LoadRun) -> Summary | None:
    """The response times of a valid run; None where nothing was answered. Raises InvalidMeasurement otherwise."""
    return _summary(run, response_times_s(run))


def clean_latency_summary(run: LoadRun) -> Summary | None:
    """The same over clean windows. It stands beside the full figure and never replaces it."""
    return _summary(run, clean_response_times_s(run))


def send_delay_summary(run: LoadRun) -> Summary | None:
    """The generator's own lateness, of valid and invalid runs; None where nothing was sent."""
    delays_s = run.requests.send_delay_s
    return summarise(delays_s) if delays_s.size else None


def judge_slo(run: LoadRun, slo: Slo, *, confidence_ratio: float = 0.95) -> tuple[Attainment, ...]:
    """Count every latency limit over all due requests, or over those of the objective's class; a failure is a miss.

    Each carries the bounds of the share that misses in the long run, at the confidence asked, which stay right
    though slow answers come in clusters (`stats.share_above`).
    Raises InvalidMeasurement for an invalid run, one of callers who wait, or when nothing was due.
    """
    _require_valid(run)
    _require_open(run)
    times_s = times_of_all_s(judged_by(run, slo).requests)
    counted = (
        attainment(
            limit,
            n_due=times_s.size,
            n_within=int(np.count_nonzero(times_s <= limit.limit_s)),
            class_name=slo.class_name,
        )
        for limit in slo.limits
    )
    return tuple(_bounded(one, times_s, confidence_ratio) for one in counted)


def judged_by(run: LoadRun, slo: Slo) -> LoadRun:
    """The run as far as an objective is about it: all of it, or the requests of a class."""
    return run if slo.class_name is None else run_of_class(run, slo.class_name)


def failures_allowed(run: LoadRun, slo: Slo) -> bool:
    """Whether no more of the requests that an objective is about failed than it allows."""
    judged = judged_by(run, slo)
    return judged.verdict.n_failed <= slo.max_failed_ratio * max(judged.requests.n_requests, 1)


def objectives_missed(run: LoadRun, objectives: Sequence[Slo]) -> ObjectiveMissed | None:
    """The objectives that a valid run missed for sure, as an error to raise; None where it missed none."""
    missed: list[str] = []
    for slo in objectives:
        of = "" if slo.class_name is None else f"{slo.class_name}: "
        missed += [
            f"{of}{one.ratio:.2%} of {one.n_due} requests were within {1e3 * one.limit.limit_s:g} ms, "
            f"{one.limit.quantile:g} of them must be"
            for one in judge_slo(run, slo)
            if one.outcome == "missed"
        ]
        if not failures_allowed(run, slo):
            log = judged_by(run, slo)
            missed.append(
                f"{of}{log.verdict.n_failed} of {log.requests.n_requests} requests failed, "
                f"{slo.max_failed_ratio:g} of them may"
            )
    if not missed:
        return None
    return ObjectiveMissed(what="; ".join(missed), where=run.url, fix="offer less, or serve those requests faster")


def times_of_all_s(requests: RequestLog) -> NDArray[np.float64]:
    """Due time to last byte of every due request, in order; infinite where there was no right answer."""
    is_good = requests.outcome == np.uint8(Outcome.OK)
    return np.where(is_good, requests.done_s - requests.due_s, np.inf)


def answer_counts(run: LoadRun) -> dict[str, int]:
    """How many requests ended how, but for right answers, most first: `HTTP 404`, `timed out`, `connection lost`."""
    log = run.requests
    counts: dict[str, int] = {}
    for outcome in Outcome:
        is_so = log.outcome == np.uint8(outcome)
        if outcome is Outcome.OK or not is_so.any():
            continue
        if outcome in (Outcome.HTTP_ERROR, Outcome.REFUSED):
            for status, n in zip(*np.unique(log.status[is_so], return_counts=True), strict=True):
                name = _status_name(int(status))
                counts[name] = counts.get(name, 0) + int(n)
        else:
            counts[outcome.name.lower().replace("_", " ")] = int(np.count_nonzero(is_so))
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _status_name(status: int) -> str:
    if status >= GRPC_STATUS:
        return f"gRPC status {status - GRPC_STATUS}"
    return f"HTTP {status}" if status else "no HTTP answer"


def no_right_answer(run: LoadRun) -> ObjectiveMissed | None:
    """The run in which nobody was answered right, as an error to raise; None for any other."""
    if run.verdict.n_failed < run.requests.n_requests or not run.requests.n_requests:
        return None
    counts = ", ".join(f"{n} × {name}" for name, n in answer_counts(run).items())
    return ObjectiveMissed(
        what=f"none of {run.requests.n_requests} requests was answered right: {counts}",
        where=run.url,
        fix="check path, body and headers with a single request first",
    )


def invalid_run(run: LoadRun) -> InvalidMeasurement | None:
    """Why the run can't be believed, as an error to raise; None for a valid run."""
    if run.verdict.valid:
        return None
    return InvalidMeasurement(
        what="the load run is invalid: " + "; ".join(run.verdict.invalid_reasons),
        where=f"load run {run.spec.name}",
        fix="run again on a quieter machine, at a lower rate, or with a core for the generator alone",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    lag_limit_s: float
    late_ratio: float
    clean_ratio: float
    n_due: int
    n_sent: int
    longest_pause: tuple[float, float]  # how long, and when it began


def _reasons(spec: LoadSpec, facts: _Facts) -> tuple[str, ...]:
    reasons = []
    if facts.n_due == 0:
        reasons.append(f"no request was due in {spec.duration_s:g} s at {spec.offered_rate_rps:g} requests/s")
    may_be_late = spec.purpose == "saturation"
    if facts.late_ratio > _LATE_ALLOWED_RATIO and not may_be_late:
        reasons.append(
            f"the generator could not keep up: {facts.late_ratio:.1%} of its sends were later than "
            f"{facts.lag_limit_s * 1e3:.1f} ms, {_LATE_ALLOWED_RATIO:.0%} may be"
        )
    if facts.n_sent < _SENT_NEEDED_RATIO * facts.n_due and not may_be_late:
        reasons.append(
            f"only {facts.n_sent} of {facts.n_due} due requests were sent in time, {_SENT_NEEDED_RATIO:.0%} must be"
        )
    if facts.clean_ratio < _CLEAN_NEEDED_RATIO:
        reasons.append(
            f"neighbours took the generator's core: {facts.clean_ratio:.0%} of the run was undisturbed, "
            f"{_CLEAN_NEEDED_RATIO:.0%} must be"
        )
    pause_s, at_s = facts.longest_pause
    if pause_s > _PAUSE_S:
        reasons.append(f"the generator was paused for {pause_s:.1f} s, {at_s:.1f} s after the start")
    return tuple(reasons)


def lag_limit_s(requests: RequestLog) -> float:
    """How late a send may be: 1 ms, or 5 % of the median response time where that is more."""
    times_s = requests.response_time_s
    median_s = percentile(times_s, 0.5) if times_s.size else 0.0
    return max(_LAG_ALLOWED_S, _LAG_ALLOWED_OF_MEDIAN_RATIO * median_s)


def _bounded(counted: Attainment, times_s: NDArray[np.float64], confidence_ratio: float) -> Attainment:
    bounds = share_above(times_s, counted.limit.limit_s, confidence_ratio=confidence_ratio).interval
    return replace(counted, miss_ratio_low=bounds.low, miss_ratio_high=bounds.high)


def _waited_s(run: LoadRun) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    _require_valid(run)
    log = run.requests
    is_timed_out = log.outcome == np.uint8(Outcome.TIMED_OUT)
    waited_s = np.where(is_timed_out, run.spec.timeout_s, log.done_s - log.due_s)
    return waited_s, is_timed_out | (log.outcome == np.uint8(Outcome.OK))


def _summary(run: LoadRun, times_s: NDArray[np.float64]) -> Summary | None:
    # Timeouts alone say that nothing was answered, not how long an answer takes.
    return summarise(times_s) if times_s.size and run.requests.response_time_s.size else None


def _require_open(run: LoadRun) -> None:
    if isinstance(run.spec.arrivals, Callers):
        raise InvalidMeasurement(
            what="callers who wait for their answers prove no objective: they ask less when the server is slow",
            where=f"load run {run.spec.name}",
            fix="offer a rate, which keeps coming whatever the server does",
        )


def _require_valid(run: LoadRun) -> None:
    error = invalid_run(run)
    if error is not None:
        raise error
