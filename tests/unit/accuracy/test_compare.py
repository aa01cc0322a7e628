"""Errors, bias, coverage and widths, by hand."""

import pytest

from loadplan.fit.records import PredictedLatency
from loadplan.stats import Interval
from tests.accuracy.compare import (
    CapacityCase,
    Case,
    DecisionCase,
    capacity_error,
    case_error,
    count_decisions,
    median_error,
    summarise,
    too_noisy,
)
from tests.accuracy.truth import Truth


def predicted(p50_s: float, *, low: float, high: float) -> PredictedLatency:
    """A p95 and a p99 of twice and four times the p50, with the interval of the p50 scaled alike."""
    return PredictedLatency(
        offered_rate_rps=100.0,
        utilisation_ratio=0.5,
        p50_s=p50_s,
        p95_s=2.0 * p50_s,
        p99_s=4.0 * p50_s,
        p50_interval=Interval(low=low, high=high, confidence_ratio=0.9),
        p95_interval=Interval(low=2.0 * low, high=2.0 * high, confidence_ratio=0.9),
        p99_interval=Interval(low=4.0 * low, high=4.0 * high, confidence_ratio=0.9),
    )


def case(
    measured_s: tuple[float | None, ...],
    told: PredictedLatency | None,
    *,
    floors: tuple[float | None, ...] = (0.01, 0.02, 0.03),
    by_law: PredictedLatency | None = None,
    of_rounds: tuple[PredictedLatency, ...] = (),
) -> Case:
    truth = Truth(n_repeats=5, n_void=0, clean_s=15.0, rate_rps=100.0, latencies_s=measured_s, floors=floors)
    return Case(
        name="x",
        is_apart=False,
        utilisation_ratio=0.5,
        truth=truth,
        predicted=told,
        by_law=by_law,
        of_rounds=of_rounds,
    )


CASES = (
    case((1.0, 2.0, 4.0), predicted(1.10, low=0.99, high=1.21)),  # + 10 %, inside
    case((1.0, 2.0, 4.0), predicted(0.80, low=0.60, high=0.88)),  # - 20 %, outside
    case((1.0, 2.0, None), predicted(1.02, low=0.92, high=1.12)),  # + 2 %, inside; no p99
    case((1.0, 2.0, 4.0), None),
    case((None, None, None), predicted(1.0, low=0.9, high=1.1)),
)


def test_an_error_is_the_prediction_over_the_truth_less_one() -> None:
    assert case_error(CASES[0], 0.5) == pytest.approx(0.10)
    assert case_error(CASES[1], 0.99) == pytest.approx(-0.20)
    assert case_error(CASES[2], 0.99) is None
    assert case_error(CASES[3], 0.5) is None


def test_a_group_is_summed_up_by_those_with_truth_and_prediction() -> None:
    found = summarise(CASES, 0.5)

    assert found.n == 3
    assert found.median_error == pytest.approx(0.10)
    assert found.p90_error == pytest.approx(0.18)  # between 0.10 and 0.20, at 0.8 of the way
    assert found.bias == pytest.approx(0.02)
    assert found.coverage == pytest.approx(2 / 3)
    # Half-widths: 0.11 / 1.10, 0.14 / 0.80, 0.10 / 1.02.
    assert found.half_width == pytest.approx(0.1)
    assert found.floor == pytest.approx(0.01)
    assert found.single_walk_error is None


def test_the_p95_is_held_against_its_own_interval() -> None:
    """Scaled as the p50's: the truth of 2 lies in twice (0.99 to 1.21) and (0.92 to 1.12), not in (0.60 to 0.88)."""
    found = summarise(CASES, 0.95)

    assert found.n == 3
    assert found.coverage == pytest.approx(2 / 3)
    assert found.half_width == pytest.approx(0.1)


def test_what_the_law_of_the_arrivals_alone_says_is_counted_apart() -> None:
    """Errors of + 30 % and - 10 %; the others have none, or no truth."""
    right, none = predicted(1.0, low=0.9, high=1.1), (None, None, None)
    by_law = [predicted(p50_s, low=0.5, high=2.0) for p50_s in (1.3, 0.9)]
    cases = [case((1.0, 2.0, 4.0), right, by_law=one) for one in by_law]

    found = summarise([*cases, case((1.0, 2.0, 4.0), right), case(none, right, by_law=by_law[0])], 0.5)

    assert found.by_law_error == pytest.approx(0.20)
    assert found.median_error == pytest.approx(0.0)


def test_single_walks_are_pooled_over_rounds_and_cases() -> None:
    """Errors of + 10 %, - 30 % and + 50 %; the third interval does not hold what was measured."""
    walks = tuple(predicted(p50_s, low=0.5, high=2.0) for p50_s in (1.1, 0.7))
    cases = [
        case((1.0, 2.0, 4.0), None, of_rounds=walks),
        case((2.0, 2.0, 4.0), None, of_rounds=(predicted(3.0, low=2.1, high=4.0),)),
    ]

    found = summarise(cases, 0.5)

    assert found.single_walk_error == pytest.approx(0.30)
    assert found.single_walk_coverage == pytest.approx(2 / 3)


def test_an_empty_group_has_no_figures() -> None:
    found = summarise([], 0.5)

    assert found.n == 0
    assert found.median_error is None
    assert found.coverage is None
    assert not too_noisy([])


@pytest.mark.parametrize(
    ("floors", "n_reasons"),
    [((0.04, 0.9, 0.12), 0), ((0.041, 0.9, 0.12), 1), ((0.04, 0.9, 0.121), 1), ((0.05, 0.9, 0.2), 2)],
)
def test_a_floor_above_4_percent_at_p50_or_12_at_p99_is_too_noisy(floors: tuple[float, ...], n_reasons: int) -> None:
    assert len(too_noisy([case((1.0, 2.0, 4.0), None, floors=floors)])) == n_reasons


def test_capacities_are_summed_up_by_the_median_of_their_errors() -> None:
    cases = [
        CapacityCase(name="a", measured_rps=100.0, spread_ratio=None, predicted_rps=95.0, interval=None),
        CapacityCase(name="b", measured_rps=100.0, spread_ratio=None, predicted_rps=101.0, interval=None),
        CapacityCase(name="c", measured_rps=None, spread_ratio=None, predicted_rps=50.0, interval=None),
        CapacityCase(name="d", measured_rps=100.0, spread_ratio=None, predicted_rps=130.0, interval=None),
    ]

    assert capacity_error(cases[0]) == pytest.approx(-0.05)
    n, median = median_error(cases)
    assert n == 3
    assert median == pytest.approx(0.05)


def test_decisions_are_counted_on_each_side() -> None:
    cases = [
        DecisionCase(name="right", predicted_rps=1.0, low_rps=1.0, below="held", above="missed"),
        DecisionCase(name="timid", predicted_rps=1.0, low_rps=1.0, below="held", above="held"),
        DecisionCase(name="bold", predicted_rps=1.0, low_rps=1.0, below="missed", above="missed"),
        DecisionCase(name="void", predicted_rps=1.0, low_rps=1.0, below="held", above="void"),
        DecisionCase(name="none", predicted_rps=None, low_rps=None, below="not driven", above="not driven"),
    ]

    assert count_decisions(cases) == (3, 2, 3)
