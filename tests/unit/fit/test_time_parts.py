"""The parts of each request's time in a simulated run, counted out by hand.

One tick is 2^-10 s. Reading a request takes 1 tick and 2 for each row, an answer 2, a batch 4 and inference of b rows
3 + 2b; the server wakes at once and nothing scatters.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from loadplan.execution import ServingConfig
from loadplan.fit.records import OverheadFit
from loadplan.fit.simulate import TimeParts, simulate, simulate_parts
from tests.unit.fit.test_simulate import TICK_S, noise

MakeOverhead = Callable[..., OverheadFit]
Told = Callable[..., TimeParts]


@pytest.fixture
def told(make_overhead: MakeOverhead) -> Told:
    def run(sent: Sequence[float], rows: Sequence[int], *, bound: int = 1000, scatter: float = 1.0) -> TimeParts:
        asked = {
            "service_s": TICK_S * (3.0 + 2.0 * np.arange(20, dtype=np.float64)),
            "overhead": make_overhead(
                request_s=TICK_S, row_s=2 * TICK_S, response_s=2 * TICK_S, batch_s=4 * TICK_S, transfer_s=3 * TICK_S
            ),
            "serving": ServingConfig(max_batch_size=8, max_queue_rows=bound),
            "noise": noise(service=(scatter,)),
        }
        sent_s, n_rows = TICK_S * np.array(sent, dtype=np.float64), np.array(rows, dtype=np.int64)
        parts = simulate_parts(sent_s, n_rows, **asked)  # type: ignore[arg-type]  # each of its own type
        assert np.array_equal(
            parts.done_s,
            simulate(sent_s, n_rows, **asked),  # type: ignore[arg-type]
            equal_nan=True,
        )
        return parts

    return run


def ticks(times_s: np.ndarray) -> list[float]:
    return [float(time_s / TICK_S) for time_s in times_s]


def test_a_request_alone_is_worked_on_all_the_time(told: Told) -> None:
    # 3 on the way, read by 1 + 2, a batch 4, inference 5, an answer 2.
    parts = told([10], [1])
    assert (ticks(parts.done_s), ticks(parts.model_s), ticks(parts.web_s)) == ([10 + 3 + 14], [5], [3 + 3 + 4 + 2])


def test_what_is_done_for_others_is_waiting(told: Told) -> None:
    # The first is read by 16 and answered at 27. The others came at 15 and 16 meanwhile, are read by 27 + 3 + 5, then
    # a batch of three rows is inferred by 35 + 4 + 9, and answers leave at 50 and 52.
    parts = told([10, 12, 13], [1, 1, 2])
    assert ticks(parts.done_s) == [27, 50, 52]
    assert ticks(parts.model_s) == [5, 9, 9]
    # The way, reading one or two rows, the handling of the whole batch, and one's own answer.
    assert ticks(parts.web_s) == [3 + 3 + 4 + 2, 3 + 3 + 4 + 2, 3 + 5 + 4 + 2]


def test_inference_that_scatters_is_told_as_it_was(told: Told) -> None:
    assert ticks(told([10], [1], scatter=3.0).model_s) == [15]


def test_of_a_refused_request_nothing_is_told(told: Told) -> None:
    parts = told([10, 10], [1, 1], bound=1)
    assert np.isnan(parts.done_s).tolist() == [False, True]
    assert ticks(parts.model_s)[1] == 0.0
