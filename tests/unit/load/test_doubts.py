"""What is said beside a run's figures, of runs made up for it."""

from dataclasses import replace

import numpy as np
import pytest

from loadplan.load.doubts import doubts_of, throttled_reason
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import PreparedRequests, plain_requests
from loadplan.load.records import LoadSpec, LostTime, Outcome, RequestLog
from loadplan.load.warm_up import with_warm_up, without_warm_up
from loadplan.scenario.arrivals import ConstantArrivals

SPEC = LoadSpec(
    name="run",
    purpose="ad_hoc",
    arrivals=ConstantArrivals(),
    offered_rate_rps=100.0,
    duration_s=10.0,
    seed=1,
    timeout_s=1.0,
    setting=None,
)


def different(n: int) -> PreparedRequests:
    return replace(plain_requests("/", body=b"x"), bodies=tuple(b"%d" % i for i in range(n)))


def result(times_s: np.ndarray, *gaps: tuple[float, float]) -> LoopResult:
    n = times_s.size
    due_s = np.arange(n) / 100.0
    array = np.array(gaps, dtype=np.float64).reshape(-1, 2)
    return LoopResult(
        requests=RequestLog(
            due_s=due_s,
            sent_s=due_s,
            first_byte_s=due_s + times_s,
            done_s=due_s + times_s,
            outcome=np.full(n, Outcome.OK, dtype=np.uint8),
            status=np.full(n, 200, dtype=np.int16),
            payload=np.zeros(n, dtype=np.int32),
        ),
        lost=LostTime(start_s=array[:, 0], length_s=array[:, 1]),
        n_connections=1,
        n_answered=n,
        own_fault=None,
        saturation_ratio=0.0,
    )


def codes(made: LoopResult, requests: PreparedRequests, spec: LoadSpec = SPEC) -> list[str]:
    return [caveat.code for caveat in doubts_of(spec, made, requests)]


def steady(n: int = 1000) -> np.ndarray:
    return np.abs(np.random.default_rng(1).normal(0.01, 0.001, n))


def test_a_steady_run_of_different_payloads_raises_no_doubt() -> None:
    assert codes(result(steady(), (3.0, 0.09)), different(40)) == []


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, []), (1.05, ["load.not_steady"]), (0.95, ["load.not_steady"])])
def test_a_run_whose_second_half_differs_says_so(ratio: float, expected: list[str]) -> None:
    times_s = steady()
    times_s[500:] *= ratio
    assert codes(result(times_s), different(40)) == expected
    for caveat in doubts_of(SPEC, result(times_s), different(40)):
        assert caveat.number == pytest.approx(ratio, rel=0.02)
    # A server that is to be saturated is offered more than it can carry.
    assert codes(result(times_s), different(40), replace(SPEC, purpose="saturation")) == []


def test_chance_alone_is_seldom_called_a_drift() -> None:
    runs = (np.random.default_rng(seed).exponential(0.01, 1000) for seed in range(100))
    assert sum("load.not_steady" in codes(result(times_s), different(40)) for times_s in runs) <= 8


def test_less_than_one_percent_of_drift_is_no_news() -> None:
    times_s = np.full(1000, 0.01) * (1.0 + 1e-5 * (np.arange(1000) % 7))
    times_s[500:] *= 1.009
    assert codes(result(times_s), different(40)) == []


def test_lie_9_a_slow_start_is_told_with_what_leaves_it_out() -> None:
    times_s = steady()
    times_s[:200] *= 5.0
    doubt = next(one for one in doubts_of(SPEC, result(times_s), different(40)) if one.code == "load.slow_start")
    assert doubt.number == pytest.approx(200, abs=20)
    assert "--warm-up" in doubt.fix
    assert codes(result(times_s), different(40), replace(SPEC, purpose="saturation")) == []


def test_lie_25_answers_that_are_slow_once_for_each_payload_may_come_from_a_cache() -> None:
    times_s = steady()
    times_s[:200] *= 5.0
    doubt = next(one for one in doubts_of(SPEC, result(times_s), different(200)) if one.code == "load.cached")
    assert "each of the 200 payloads" in doubt.what


def test_lie_25_one_payload_over_and_over_tells_nothing_of_a_server_with_a_cache() -> None:
    assert codes(result(steady()), plain_requests("/")) == ["load.one_payload"]
    assert codes(result(steady(50)), plain_requests("/")) == []


def test_lie_18_a_short_stop_of_the_generator_is_told_with_its_time() -> None:
    made = result(steady(), (-1.0, 0.3), (4.0, 0.3), (7.0, 0.2), (8.0, 0.05), (10.5, 0.9))
    (doubt,) = doubts_of(SPEC, made, different(40))
    assert (doubt.code, doubt.number) == ("load.paused", 0.3)
    assert "stopped 2 times" in doubt.what
    assert "300 ms, 4.0 s after the start" in doubt.what


@pytest.mark.parametrize(
    ("before_s", "now_s", "n_reasons"), [(5.0, 5.09, 0), (5.0, 5.11, 1), (None, None, 0), (5.0, 5.0, 0)]
)
def test_lie_18_more_than_one_percent_of_throttling_spoils_a_run(
    before_s: float | None, now_s: float | None, n_reasons: int
) -> None:
    assert len(throttled_reason(before_s, now_s, took_s=10.0)) == n_reasons


def test_what_falls_due_in_the_warm_up_is_not_counted_and_times_begin_after_it() -> None:
    spec = replace(SPEC, warm_up_s=2.0, duration_s=8.0)
    assert (with_warm_up(spec).duration_s, with_warm_up(spec).warm_up_s) == (10.0, 0.0)
    whole = result(steady(), (1.0, 0.3), (3.0, 0.2))
    counted = without_warm_up(whole, spec)
    np.testing.assert_allclose(counted.requests.due_s, np.arange(800) / 100.0, atol=1e-9)
    np.testing.assert_allclose(counted.requests.response_time_s, whole.requests.response_time_s[200:], atol=1e-9)
    np.testing.assert_allclose(counted.lost.start_s, [-1.0, 1.0])
    assert without_warm_up(whole, SPEC) is whole


def test_whose_time_was_lost_is_still_known_after_the_warm_up() -> None:
    """Of three workers the one that sent the 201st request, worker 200 % 3 = 2, sends the first that counts."""
    whole = result(steady(), (3.0, 0.2))
    lost = replace(whole.lost, worker=np.array([2], dtype=np.int32), n_workers=3)
    counted = without_warm_up(replace(whole, lost=lost), replace(SPEC, warm_up_s=2.0, duration_s=8.0))
    assert counted.lost.worker is not None
    assert counted.lost.worker.tolist() == [0]
