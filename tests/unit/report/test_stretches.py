"""The time line of a run of any length, on a page of any length but too long a one."""

import numpy as np
import pytest

from loadplan.report.stretches import N_STRETCHES_MOST, figures_in, rates_in, stretches_of


@pytest.mark.parametrize("duration_s", [0.5, 5.0, 240.0, 240.5, 3_605.0, 36_000.0, 86_400.0, 1e7])
def test_a_run_of_any_length_is_covered_by_few_stretches(duration_s: float) -> None:
    stretches = stretches_of(duration_s)
    lengths_s = np.diff(stretches.edges_s)
    assert len(stretches.ends_s) <= N_STRETCHES_MOST
    assert stretches.edges_s[0] == 0.0
    assert stretches.ends_s[-1] >= duration_s
    assert lengths_s.min() >= 0.5 * stretches.length_s
    assert set(lengths_s[:-1]) <= {float(stretches.length_s)}


def test_up_to_four_minutes_are_seen_second_by_second() -> None:
    assert stretches_of(5.0).ends_s == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert stretches_of(4.5).ends_s == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert len(stretches_of(240.0).ends_s) == 240
    assert (stretches_of(240.5).length_s, stretches_of(240.5).name) == (2, "2 s")


def test_a_rate_is_per_second_whatever_the_length_of_its_stretch() -> None:
    # Ten a second, evenly, for 3,605 s: 180 stretches of 20 s, the last of which takes the 5 s that are left.
    times_s = np.arange(36_050) / 10.0 + 0.05
    stretches = stretches_of(3_605.0)
    assert (len(stretches.ends_s), stretches.ends_s[-1]) == (180, 3_605.0)
    assert rates_in(stretches, times_s) == pytest.approx([10.0] * 180, rel=0.01)
    assert rates_in(stretches, np.where(times_s < 20.0, np.nan, times_s))[:2] == pytest.approx([0.0, 10.0], rel=0.01)


def test_a_figure_is_of_the_requests_that_fell_due_in_its_stretch() -> None:
    due_s = np.array([0.0, 0.5, 1.0, 3.2])
    values = np.array([3.0, np.nan, 7.0, 9.0])
    found = figures_in(stretches_of(4.0), due_s, values.__getitem__, np.max)
    assert found == [(1.0, 3.0), (2.0, 7.0), (4.0, 9.0)]
