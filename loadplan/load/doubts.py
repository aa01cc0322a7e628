"""What is doubtful about a load run that is valid: told beside its figures, for those who read them to weigh."""

import numpy as np

from loadplan.caveat import Caveat
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.records import LoadSpec, Outcome
from loadplan.scenario.arrivals import Callers, ReplayArrivals, described, requests_to_show
from loadplan.stats import half_test, slow_start

_CLOSED = Caveat(
    code="load.closed_loop",
    what="callers who wait for their answers ask less when the server is slow, so these latencies and this rate are "
    "kinder than what traffic that doesn't wait would meet: for comparison only",
    fix="offer a rate with --rate, which keeps coming whatever the server does",
)
_DRIFT_P_VALUE = 0.03
_DRIFT_RATIO = 0.01
_STRAY_RATIO = 0.05  # from the rate that was asked for
# Thefts by neighbours last some ten milliseconds; this long is a stop.
_PAUSE_S = 0.1
_THROTTLED_ALLOWED_RATIO = 0.01
_AS_MANY_RATIO = 0.1
_MANY_ALIKE = 100


def doubts_of(spec: LoadSpec, result: LoopResult, requests: PreparedRequests) -> tuple[Caveat, ...]:
    """Every doubt about a run that its records and its requests raise."""
    outcomes = result.requests.outcome
    is_asked_for_latency = spec.purpose != "saturation"
    caveats = [_CLOSED] if isinstance(spec.arrivals, Callers) and is_asked_for_latency else []
    n_timed_out = int(np.count_nonzero(outcomes == Outcome.TIMED_OUT))
    if n_timed_out:
        caveats.append(
            Caveat(
                code="load.timed_out",
                what=f"{n_timed_out} requests had no answer within {spec.timeout_s:g} s and count as that long, "
                "though it was longer",
                fix="allow more time per request to see how long",
                number=float(n_timed_out),
            )
        )
    n_stale = int(np.count_nonzero(outcomes == Outcome.STALE_CONNECTION))
    if n_stale:
        caveats.append(
            Caveat(
                code="load.stale_connection",
                what=f"{n_stale} requests met a kept-open connection that the server was just closing",
                fix="raise the server's keep-alive timeout; callers that don't send again lose such requests",
                number=float(n_stale),
            )
        )
    return (
        *caveats,
        *_pause_caveats(spec, result),
        *_start_caveats(spec, result, requests),
        *_drift_caveats(spec, result),
        *_payload_caveats(result, requests),
        *_stretch_caveats(spec, n_due=result.requests.n_requests),
    )


def throttled_reason(before_s: float | None, now_s: float | None, *, took_s: float) -> tuple[str, ...]:
    """Why a run is not to be believed in which a CPU quota stopped this process; none where it hardly did."""
    throttled_s = 0.0 if before_s is None or now_s is None else now_s - before_s
    if throttled_s <= _THROTTLED_ALLOWED_RATIO * took_s:
        return ()
    return (f"a CPU quota stopped this machine's processes for {throttled_s:.2f} s of {took_s:g} s",)


def _pause_caveats(spec: LoadSpec, result: LoopResult) -> tuple[Caveat, ...]:
    """A pause of the generator too short to spoil the run, and long enough to be in its tail."""
    lost = result.lost
    is_in_run = (lost.start_s + lost.length_s > 0.0) & (lost.start_s < spec.duration_s)
    is_pause = is_in_run & (lost.length_s > _PAUSE_S)
    if not is_pause.any():
        return ()
    longest = int(np.argmax(np.where(is_in_run, lost.length_s, 0.0)))
    return (
        Caveat(
            code="load.paused",
            what=f"the generator was stopped {int(is_pause.sum())} times for more than {_PAUSE_S * 1e3:.0f} ms, "
            f"longest for {lost.length_s[longest] * 1e3:.0f} ms, {lost.start_s[longest]:.1f} s after the start: "
            "requests due meanwhile count that wait as the server's",
            fix="look at response_time_clean_s beside it, or run again on a quieter machine",
            number=float(lost.length_s[longest]),
        ),
    )


def _start_caveats(spec: LoadSpec, result: LoopResult, requests: PreparedRequests) -> tuple[Caveat, ...]:
    """First answers that are slower than all others: of a server that warms up, or that remembers what it was asked."""
    start = None if spec.purpose == "saturation" else slow_start(result.requests.response_time_s)
    if start is None:
        return ()
    n_bodies = len(requests.bodies)
    is_cache = abs(start.n_samples / n_bodies - 1.0) <= _AS_MANY_RATIO and n_bodies > 1
    why = f"that is once each of the {n_bodies} payloads, so it may answer what it knows from a cache, or it"
    return (
        Caveat(
            code="load.cached" if is_cache else "load.slow_start",
            what=f"the first {start.n_samples} answers took {start.ratio:.2g} times as long as the rest: "
            f"{why if is_cache else 'the server'} was warming up, and all figures count them",
            fix="send payloads that don't repeat"
            if is_cache
            else "leave them out with --warm-up, such as --warm-up 5s",
            number=float(start.n_samples),
        ),
    )


def _payload_caveats(result: LoopResult, requests: PreparedRequests) -> tuple[Caveat, ...]:
    """One payload over and over: nobody can tell whether the server works or remembers."""
    if len(set(requests.bodies)) > 1 or result.requests.n_requests < _MANY_ALIKE:
        return ()
    return (
        Caveat(
            code="load.one_payload",
            what=f"all {result.requests.n_requests} requests were the same, so a server that keeps answers in a cache "
            "would look faster than it is",
            fix="send different bodies: a .jsonl with one a line",
        ),
    )


def _drift_caveats(spec: LoadSpec, result: LoopResult) -> tuple[Caveat, ...]:
    """Answers of the second half that take longer or shorter than those of the first: no steady state to speak of."""
    drift = None if spec.purpose == "saturation" else half_test(result.requests.response_time_s)
    if drift is None or drift.p_value >= _DRIFT_P_VALUE or abs(drift.ratio - 1.0) < _DRIFT_RATIO:
        return ()
    return (
        Caveat(
            code="load.not_steady",
            what=f"answers of the second half took {drift.ratio:.3g} times as long as those of the first: the server "
            "was warming up, wearing out, or offered more than it can carry",
            fix="drive it for longer, and look at what changes in it meanwhile",
            number=drift.ratio,
        ),
    )


def _stretch_caveats(spec: LoadSpec, *, n_due: int) -> tuple[Caveat, ...]:
    """A short run of slow bursts, or of a long recording, meets a stretch that is busier or quieter than the mean."""
    due_rps = n_due / spec.duration_s
    ratio = due_rps / spec.offered_rate_rps
    is_slow = requests_to_show(spec.arrivals, rate_rps=spec.offered_rate_rps) > n_due
    if not is_slow or isinstance(spec.arrivals, ReplayArrivals) or abs(ratio - 1.0) <= _STRAY_RATIO:
        return ()
    return (
        Caveat(
            code="load.stretch",
            what=f"this run met a stretch of its arrivals ({described(spec.arrivals)}) that came at "
            f"{due_rps:,.4g} requests/s, {ratio:.2g} times the rate that was asked for",
            fix="drive it for longer, or with other seeds as well",
            number=ratio,
        ),
    )
