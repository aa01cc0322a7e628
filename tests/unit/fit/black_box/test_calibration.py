"""Which runs a service is asked for, and that they are gentle."""

from collections.abc import Sequence

import numpy as np
import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.fit.black_box.calibration import (
    N_RUNS_EXPECTED,
    carried_by_bursts_rps,
    next_service_run,
)
from loadplan.load.records import LoadRun
from tests.unit.fit.black_box.conftest import Answer, DriveAll, MakeLaw
from tests.unit.fit.conftest import MakeRun


def at_once(run: LoadRun) -> int:
    return int(np.unique(run.requests.due_s, return_counts=True)[1].max())


def named(runs: Sequence[LoadRun], name: str) -> LoadRun:
    return next(run for run in runs if run.spec.name == name)


def test_a_look_then_a_burst_then_two_rates(make_law: MakeLaw, drive_all: DriveAll) -> None:
    runs = drive_all(make_law())
    assert [run.spec.name for run in runs if run.spec.name != "burst-larger"] == [
        "look",
        "burst",
        "low",
        "half",
        "half-again",
    ]
    assert N_RUNS_EXPECTED == 5
    assert len({run.spec.seed for run in runs}) == len(runs)  # no two runs have the same arrivals


@pytest.mark.parametrize("cpu_ms", [0.3, 1.0, 3.0, 10.0, 40.0])
@pytest.mark.parametrize("delay_ms", [1.0, 20.0, 200.0])
def test_nothing_is_driven_above_half_load_and_bursts_are_small(
    cpu_ms: float, delay_ms: float, make_law: MakeLaw, drive_all: DriveAll
) -> None:
    cpu_s = 1e-3 * cpu_ms
    runs = drive_all(make_law(request_s=cpu_s, delay_s=1e-3 * delay_ms))
    for run in runs:
        if run.spec.purpose != "saturation":
            # A burst is worked off in no less time than its CPU takes, so the rate is on the safe side.
            assert run.spec.offered_rate_rps * cpu_s <= 0.55
        else:
            assert at_once(run) <= 40
            # 150 ms of CPU by a rough look, or the 15 requests without which nothing is seen; never a second.
            assert at_once(run) * cpu_s <= max(0.2, min(15.0 * cpu_s, 1.05))
            period_s = at_once(run) / run.spec.offered_rate_rps
            if run.spec.name != "look":
                assert period_s >= 3.0 * at_once(run) * cpu_s
    assert sum(run.spec.duration_s for run in runs) <= 110.0


def test_a_limit_of_slots_is_what_is_carried(make_law: MakeLaw, drive_all: DriveAll) -> None:
    runs = drive_all(make_law(n_slots=5, delay_s=20e-3))
    # 5 slots, each held for 20 ms exp(0.4²/2) + 3 ms on average and a wait for the CPU now and then.
    assert 0.8 <= carried_by_bursts_rps(runs) / (5 / (21.7e-3 + 3e-3)) <= 1.05


def test_the_low_run_holds_enough_requests_for_a_tail(make_law: MakeLaw, drive_all: DriveAll) -> None:
    low = named(drive_all(make_law()), "low")
    assert low.requests.n_requests >= 400  # 500 are asked for
    assert 8.0 <= low.spec.duration_s <= 30.0


def test_the_same_runs_give_the_same_answer(make_law: MakeLaw, drive_all: DriveAll) -> None:
    runs = drive_all(make_law())
    assert next_service_run(runs[:3], seed=5) == next_service_run(runs[:3], seed=5)
    assert next_service_run(runs, seed=5) is None


def test_a_service_that_fails_is_left_alone_and_said_to_fail(
    make_law: MakeLaw, answer: Answer, make_run: MakeRun
) -> None:
    spec = next_service_run([], seed=1)
    assert spec is not None
    due_s = answer(make_law(), spec).requests.due_s
    done_s = np.where(np.arange(due_s.size) % 4 == 0, np.nan, due_s + 0.01)
    with pytest.raises(InvalidMeasurement, match=r"failed 12 of 48 requests of the run 'look' .*12 timed out"):
        next_service_run([make_run(spec, due_s, done_s)], seed=1)


def test_without_a_burst_that_says_anything_nothing_is_sized(
    make_law: MakeLaw, answer: Answer, make_run: MakeRun
) -> None:
    look = next_service_run([], seed=1)
    assert look is not None
    first = answer(make_law(), look)
    burst = next_service_run([first], seed=1)
    assert burst is not None
    seen = answer(make_law(), burst).requests
    invalid = make_run(burst, seen.due_s, seen.done_s, invalid_reasons=("neighbours took the core",))
    with pytest.raises(InvalidMeasurement, match="'burst' says nothing: neighbours took the core"):
        next_service_run([first, invalid], seed=1)
