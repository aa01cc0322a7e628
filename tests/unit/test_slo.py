"""Objectives are counted over all due requests."""

import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.slo import LatencyLimit, attainment


@pytest.mark.parametrize(
    ("quantile", "n_due", "n_missed", "is_met"),
    [
        (0.99, 100, 1, True),
        (0.99, 100, 2, False),
        (0.99, 99, 0, True),
        (0.99, 99, 1, False),
        (0.999, 1000, 1, True),
        (0.999, 1000, 2, False),
        (0.9, 10, 1, True),
        (0.7, 10, 3, True),  # 10 * (1 - 0.7) is 3.0000000000000004 in floats
        (0.5, 3, 1, True),
        (0.5, 3, 2, False),
        (0.99, 10, 10, False),
    ],
)
def test_no_more_may_miss_than_the_quantile_allows(quantile: float, n_due: int, n_missed: int, is_met: bool) -> None:
    limit = LatencyLimit(quantile=quantile, limit_s=0.05)
    counted = attainment(limit, n_due=n_due, n_within=n_due - n_missed)
    assert counted.is_met is is_met
    assert counted.ratio == (n_due - n_missed) / n_due


def test_an_empty_run_meets_no_objective() -> None:
    with pytest.raises(InvalidMeasurement, match="no request was due"):
        attainment(LatencyLimit(quantile=0.99, limit_s=0.05), n_due=0, n_within=0)
