"""What makes a run invalid, and what its requests say. Expected figures are worked out by hand."""

import dataclasses

import numpy as np
import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.load.records import LoadRun, LoadSpec, LoadVerdict, LostTime, Outcome, RequestLog
from loadplan.load.verdict import (
    clean_latency_summary,
    clean_response_times_s,
    clean_windows,
    due_in_clean_window,
    judge,
    judge_slo,
    latency_summary,
    response_times_s,
    send_delay_summary,
)
from loadplan.machine import read_machine
from loadplan.scenario.arrivals import Callers, ConstantArrivals
from loadplan.slo import LatencyLimit, Slo

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
QUIET = LostTime(start_s=np.empty(0), length_s=np.empty(0))


def log(*, response_s: float = 0.010, n: int = 1000, delay_s: float = 0.0) -> RequestLog:
    """A constant 100 requests/s, all answered after `response_s`."""
    due_s = np.arange(n) / 100.0
    return RequestLog(
        due_s=due_s,
        sent_s=due_s + delay_s,
        first_byte_s=due_s + response_s,
        done_s=due_s + response_s,
        outcome=np.zeros(n, dtype=np.uint8),
        status=np.full(n, 200, dtype=np.int16),
        payload=np.zeros(n, dtype=np.int32),
    )


def ended(requests: RequestLog, which: slice, outcome: Outcome) -> RequestLog:
    """The same requests, some of which ended otherwise."""
    outcomes, done_s = requests.outcome.copy(), requests.done_s.copy()
    outcomes[which] = outcome
    if outcome >= Outcome.TIMED_OUT:
        done_s[which] = np.nan
    return dataclasses.replace(requests, outcome=outcomes, done_s=done_s)


def sent_late(requests: RequestLog, which: slice, delay_s: float) -> RequestLog:
    sent_s = requests.sent_s.copy()
    sent_s[which] += delay_s
    return dataclasses.replace(requests, sent_s=sent_s)


def lost(*gaps: tuple[float, float]) -> LostTime:
    array = np.array(gaps, dtype=np.float64).reshape(-1, 2)
    return LostTime(start_s=array[:, 0], length_s=array[:, 1])


def run(requests: RequestLog, lost: LostTime = QUIET) -> LoadRun:
    return LoadRun(
        spec=SPEC,
        url="http://127.0.0.1:1/",
        machine=read_machine(),
        requests=requests,
        lost=lost,
        verdict=judge(SPEC, requests, lost),
        caveats=(),
        payload_rows=np.ones(1, dtype=np.int32),
    )


def verdict(requests: RequestLog, lost: LostTime = QUIET) -> LoadVerdict:
    return judge(SPEC, requests, lost)


def test_a_run_that_went_as_asked_is_valid() -> None:
    judged = verdict(log())
    assert (judged.valid, judged.achieved_rate_rps, judged.late_ratio, judged.clean_ratio) == (True, 100.0, 0.0, 1.0)


@pytest.mark.parametrize(("n_late", "valid"), [(10, True), (11, False)], ids=["one in a hundred", "more"])
def test_more_than_one_percent_of_late_sends_makes_a_run_invalid(n_late: int, valid: bool) -> None:
    assert verdict(sent_late(log(), slice(0, n_late), 0.0011)).valid is valid


@pytest.mark.parametrize(
    ("delay_s", "valid"), [(0.0049, True), (0.0051, False)], ids=["below 5 % of the median", "above"]
)
def test_slow_answers_allow_later_sends(delay_s: float, valid: bool) -> None:
    assert verdict(log(response_s=0.1, delay_s=delay_s)).valid is valid


def test_requests_that_were_never_sent_make_a_run_invalid() -> None:
    requests = ended(sent_late(log(), slice(970, 1000), np.nan), slice(970, 1000), Outcome.NOT_SENT)
    judged = verdict(requests)
    assert not judged.valid
    assert any("only 970 of 1000" in reason for reason in judged.invalid_reasons)


def test_a_schedule_finished_after_its_time_was_not_kept() -> None:
    # 40 of the last requests leave after the 10 s of the run.
    assert any("only 960" in reason for reason in verdict(sent_late(log(), slice(960, 1000), 0.5)).invalid_reasons)


def test_late_sends_in_a_robbed_window_are_the_neighbours_fault() -> None:
    requests = sent_late(log(), slice(100, 150), 0.3)
    assert not verdict(requests).valid
    assert verdict(requests, lost((1.0, 0.3))).valid


def test_a_run_with_less_than_a_quarter_of_clean_windows_is_invalid() -> None:
    gaps = [(i * 0.1 + 0.02, 0.01) for i in range(76)]
    judged = verdict(log(), lost(*gaps))
    assert judged.clean_ratio == pytest.approx(0.24)
    assert not judged.valid
    assert verdict(log(), lost(*gaps[:75])).valid


def test_a_generator_robbed_all_the_time_is_not_called_slow() -> None:
    judged = verdict(sent_late(log(), slice(0, 1000), 0.05), lost(*((i * 0.1, 0.05) for i in range(100))))
    assert judged.late_ratio == 1.0
    assert len(judged.invalid_reasons) == 1
    assert "neighbours took" in judged.invalid_reasons[0]


@pytest.mark.parametrize(("length_s", "valid"), [(0.9, True), (1.1, False)])
def test_a_pause_of_more_than_a_second_makes_a_run_invalid(length_s: float, valid: bool) -> None:
    assert verdict(log(), lost((3.0, length_s))).valid is valid


def test_a_pause_of_seconds_makes_a_run_invalid() -> None:
    assert any("paused for 2.0 s" in reason for reason in verdict(log(), lost((3.0, 2.0))).invalid_reasons)


def test_a_run_in_which_nothing_was_due_is_invalid() -> None:
    assert any("no request was due" in reason for reason in verdict(log(n=0)).invalid_reasons)


def test_a_fault_of_the_generators_own_machine_makes_a_run_invalid() -> None:
    judged = judge(SPEC, log(), QUIET, own_fault="no socket could be opened")
    assert judged.invalid_reasons == ("no socket could be opened",)


@pytest.mark.parametrize(
    ("gaps", "dirty"),
    [
        ([], []),
        ([(0.55, 0.0004)], []),
        ([(0.55, 0.01)], [5]),
        ([(0.51, 0.0004), (0.57, 0.0004)], [5]),
        ([(0.58, 0.05)], [5, 6]),
        ([(0.28, 0.2)], [2, 3, 4, 5, 6]),
        ([(-0.05, 0.01), (0.99, 5.0)], [9]),
    ],
    ids=["none", "tiny", "one", "several small", "catching up", "long", "at the edges"],
)
def test_windows_are_dirty_where_time_was_lost_and_while_it_was_made_up(
    gaps: list[tuple[float, float]], dirty: list[int]
) -> None:
    assert np.flatnonzero(~clean_windows(lost(*gaps), duration_s=1.0)).tolist() == dirty


def test_an_invalid_run_shows_no_latency() -> None:
    invalid = run(log(delay_s=0.01))
    for show in (latency_summary, clean_latency_summary, response_times_s, clean_response_times_s):
        with pytest.raises(InvalidMeasurement, match="could not keep up"):
            show(invalid)
    with pytest.raises(InvalidMeasurement):
        judge_slo(invalid, Slo(limits=(LatencyLimit(quantile=0.99, limit_s=1.0),)))


def test_an_invalid_run_still_shows_how_late_its_sends_were() -> None:
    summary = send_delay_summary(run(log(delay_s=0.01)))
    assert summary is not None
    assert summary.p99 == pytest.approx(0.01)


def test_the_response_time_counts_the_wait_before_sending() -> None:
    times_s = response_times_s(run(sent_late(log(response_s=0.030), slice(0, 5), 0.020)))
    np.testing.assert_allclose(times_s, 0.030)


def test_timeouts_count_as_the_limit_instead_of_vanishing() -> None:
    summary = latency_summary(run(ended(log(), slice(500, 520), Outcome.TIMED_OUT)))
    assert summary is not None
    assert summary.p50 == pytest.approx(0.010)
    assert (summary.p99, summary.max) == (SPEC.timeout_s, SPEC.timeout_s)


def test_callers_who_wait_for_their_answers_prove_no_objective() -> None:
    valid = run(log())
    waiting = dataclasses.replace(valid.spec, arrivals=Callers(n_callers=1, think_time_s=0.01))
    slo = Slo(limits=(LatencyLimit(quantile=0.5, limit_s=1.0),), max_failed_ratio=0.1)
    assert all(met.is_met for met in judge_slo(valid, slo))
    with pytest.raises(InvalidMeasurement, match="prove no objective"):
        judge_slo(dataclasses.replace(valid, spec=waiting), slo)


def test_fast_refusals_leave_the_latency_alone_and_miss_the_objective() -> None:
    requests = ended(log(response_s=0.040), slice(0, 1000, 2), Outcome.REFUSED)
    requests.done_s[::2] = requests.due_s[::2] + 0.001
    summary = latency_summary(run(requests))
    assert summary is not None
    assert summary.n_samples == 500
    assert summary.p50 == pytest.approx(0.040)
    (met,) = judge_slo(run(requests), Slo(limits=(LatencyLimit(quantile=0.5, limit_s=0.030),)))
    assert (met.n_due, met.n_within, met.is_met) == (1000, 0, False)
    (met,) = judge_slo(run(requests), Slo(limits=(LatencyLimit(quantile=0.5, limit_s=0.050),)))
    assert (met.ratio, met.is_met) == (0.5, True)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_every_failure_is_a_miss(outcome: Outcome) -> None:
    requests = ended(log(), slice(0, 11), outcome)
    (met,) = judge_slo(run(requests), Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.05),)))
    assert (met.n_within, met.is_met, run(requests).verdict.n_failed) == (989, False, 11)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_a_run_without_any_right_answer_has_no_latency(outcome: Outcome) -> None:
    failed = run(ended(log(), slice(0, 1000), outcome))
    assert latency_summary(failed) is None
    assert failed.verdict.throughput_rps == 0.0


def test_answers_after_the_end_of_the_schedule_are_no_throughput() -> None:
    # Answers take half a second, so those to the requests of the last half second come too late.
    assert verdict(log(response_s=0.5001)).throughput_rps == pytest.approx(95.0)


def test_clean_windows_leave_out_what_neighbours_disturbed_but_not_what_the_server_did() -> None:
    requests = log()
    requests.done_s[300:400] += 0.5  # the server's own stall
    requests.done_s[700:730] += 0.3  # while the generator's core was taken
    disturbed = run(requests, lost((7.0, 0.1)))
    summary = clean_latency_summary(disturbed)
    assert summary is not None
    assert summary.n_samples == 980
    assert summary.max == pytest.approx(0.51)


def test_a_run_that_is_to_saturate_may_send_late_but_not_be_robbed() -> None:
    bursts = dataclasses.replace(SPEC, purpose="saturation")
    late = sent_late(log(), slice(0, 500), 0.1)
    assert not judge(SPEC, late, QUIET).valid
    assert judge(bursts, late, QUIET).valid
    assert not judge(bursts, late, lost((0.0, 4.9))).valid


def test_each_worker_is_judged_by_its_own_core() -> None:
    """Of four workers each loses a window in two, in turns: not one window is clean for all, and half are for each."""
    gaps = lost(*((0.1 * i + 0.02, 0.01) for i in range(100)), *((0.1 * i + 0.02, 0.01) for i in range(100)))
    worker = np.concatenate([np.arange(100) % 2, np.arange(100) % 2 + 2]).astype(np.int32)
    of_each = dataclasses.replace(gaps, worker=worker, n_workers=4)
    assert not verdict(log(), gaps).valid
    judged = verdict(log(), of_each)
    assert judged.valid
    assert judged.clean_ratio == pytest.approx(0.5)
    assert not clean_windows(of_each, duration_s=10.0).any()
    # Ten requests a window, 2.5 of each worker: those of the workers that were robbed may be late. The first of each is
    # due on the edge of two windows, and as floats go in either.
    i = np.arange(1000)
    for late, valid in (
        (slice(0, 1000, 4), False),
        (np.flatnonzero((i % 4 == i // 10 % 2) & (i % 10 > 0)), True),
    ):
        requests = log()
        requests.sent_s[late] += 0.005
        assert verdict(requests, of_each).valid is valid


def test_each_request_is_looked_up_in_its_window_and_for_its_worker_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loadplan.load.verdict._AT_ONCE", 4)  # an odd number of workers, so that no part begins alike
    due_s = np.linspace(0.0, 0.99, 23)
    is_clean = np.random.default_rng(3).random((3, 10)) < 0.5
    wanted = [bool(is_clean[i % 3, min(int(at_s / 0.1), 9)]) for i, at_s in enumerate(due_s)]
    assert due_in_clean_window(due_s, is_clean).tolist() == wanted
