"""What a server carries, read off a run of callers who wait for their answers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.carried import callers_for, carried_gap_s, queue_rows, right_answers_s
from loadplan.load.records import LoadRun, LoadSpec, LostTime, Outcome, RequestLog
from loadplan.scenario.arrivals import Callers

Times = NDArray[np.float64]
Drive = Callable[..., LoadRun]

GAP_S = 0.004


def setting(max_batch_size: int) -> Setting:
    return Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=max_batch_size))


@pytest.fixture
def drive(make_run: Callable[..., LoadRun], make_spec: Callable[..., LoadSpec]) -> Drive:
    """Ten callers who ask again at once and are answered one every 4 ms, at `done_s` instead where it is given."""

    def run(n: int = 1000, *, done_s: Times | None = None, purpose: str = "saturation", **options: object) -> LoadRun:
        answered_s = GAP_S * np.arange(1, n + 1, dtype=np.float64) if done_s is None else done_s
        spec = make_spec(purpose=purpose, duration_s=float(np.nanmax(answered_s, initial=0.0)) + 0.1)
        spec = replace(spec, arrivals=Callers(n_callers=10, think_time_s=0.0))
        asked_again_s = np.nan_to_num(np.sort(answered_s), nan=float(np.nanmax(answered_s)))
        sent_s = np.append(np.zeros(10), asked_again_s)[: answered_s.size]
        return make_run(spec, sent_s, answered_s, **options)

    return run


def test_requests_leave_at_the_servers_own_pace(drive: Drive) -> None:
    assert carried_gap_s(drive()) == pytest.approx(GAP_S)


def test_answers_that_leave_in_batches_of_another_size_leave_the_pace_alone(drive: Drive) -> None:
    """Eight at a time every 32 ms: of ten in a row two batches are, or one and the begin of the next."""
    done_s = 0.032 * np.repeat(np.arange(1.0, 126.0), 8)
    assert carried_gap_s(drive(done_s=done_s)) == pytest.approx(GAP_S, rel=0.25)


def test_stops_now_and_then_say_nothing_about_the_pace(drive: Drive) -> None:
    done_s = GAP_S * np.arange(1.0, 1001.0)
    done_s[300:] += 1.0
    done_s[700:] += 0.2
    assert carried_gap_s(drive(done_s=done_s)) == pytest.approx(GAP_S)


def test_answers_that_come_in_another_order_leave_the_pace_alone(drive: Drive) -> None:
    done_s = GAP_S * np.arange(1.0, 1001.0)
    assert carried_gap_s(drive(done_s=done_s.reshape(-1, 10)[:, ::-1].ravel())) == pytest.approx(GAP_S)


def test_what_fell_due_while_the_generator_was_robbed_is_left_out(drive: Drive) -> None:
    """A second in which the answers came half as often, as a stolen core's do."""
    done_s = np.cumsum(np.where(np.arange(1000) // 250 == 1, 2.0, 1.0) * GAP_S)
    run = replace(drive(done_s=done_s), lost=LostTime(start_s=np.array([1.0]), length_s=np.array([1.0])))
    assert carried_gap_s(run) == pytest.approx(GAP_S)


@pytest.mark.parametrize(("n", "is_enough"), [(99, False), (100, True)])
def test_too_few_answers_say_nothing(drive: Drive, n: int, is_enough: bool) -> None:
    assert (carried_gap_s(drive(n)) is not None) is is_enough


def test_refusals_and_requests_never_answered_are_left_out(drive: Drive) -> None:
    done_s = GAP_S * np.arange(1.0, 1001.0)
    done_s[500:] = np.nan
    assert carried_gap_s(drive(done_s=done_s)) == pytest.approx(GAP_S)


def test_runs_that_were_to_show_something_else_say_nothing(drive: Drive) -> None:
    assert carried_gap_s(drive(purpose="steady")) is None
    assert carried_gap_s(drive(invalid_reasons=("the cat sat on it",))) is None


@pytest.mark.parametrize(
    ("max_batch_size", "n_rows", "n_callers"),
    [(1, 1, 64), (8, 1, 64), (22, 1, 66), (32, 1, 96), (32, 10, 64), (100, 4, 75), (4, 100, 64)],
)
def test_three_full_batches_are_under_way_and_never_fewer_than_sixty_four_requests(
    max_batch_size: int, n_rows: int, n_callers: int
) -> None:
    assert callers_for(setting(max_batch_size), n_rows, rate_rps=1000.0, timeout_s=5.0) == n_callers


def test_their_requests_find_room_in_the_queue() -> None:
    for size, rows in ((1, 1.0), (512, 120.0), (1, 400.0), (4096, 1.0)):
        n = callers_for(setting(size), rows, rate_rps=1e6, timeout_s=5.0)
        assert queue_rows(size, rows) >= n * rows


def test_a_refusal_is_no_answer() -> None:
    """Three requests answered at 1, 2 and 3 s, of which the second was refused."""
    times_s = np.array([1.0, 2.0, 3.0])
    log = RequestLog(
        due_s=np.zeros(3),
        sent_s=np.zeros(3),
        first_byte_s=times_s,
        done_s=times_s,
        outcome=np.array([Outcome.OK, Outcome.REFUSED, Outcome.OK], dtype=np.uint8),
        status=np.array([200, 503, 200], dtype=np.int16),
        payload=np.zeros(3, dtype=np.int32),
    )
    assert right_answers_s(log) == pytest.approx([1.0, np.nan, 3.0], nan_ok=True)
