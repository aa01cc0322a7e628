import numpy as np
import pytest
from scipy.stats import binom

from loadplan.export.artifact import SegmentQuality
from loadplan.export.quality import drop_bound, segment_quality
from loadplan.scenario.spec import QualityGate

N_SEGMENT = 400
SEGMENTS = tuple(f"s{i}" for i in range(10) for _ in range(N_SEGMENT))


def judged(*, n_wrong: int, max_drop: float, segments: tuple[str, ...] = SEGMENTS) -> dict[str, SegmentQuality]:
    """A source that is always right, and a variant that is wrong on the first rows, all of the first segment."""
    labels = np.zeros(len(segments), dtype=np.int64)
    predicted = labels.copy()
    predicted[:n_wrong] = 1
    parts = segment_quality(
        predicted,
        source_predicted=labels,
        labels=labels,
        segments=segments,
        metric="accuracy",
        gate=QualityGate(metric="accuracy", max_drop=max_drop),
        generator=np.random.default_rng(0),
    )
    return {part.segment: part for part in parts}


def test_accuracy_is_counted_overall_and_in_each_segment() -> None:
    parts = segment_quality(
        np.array([1, 1, 0, 0, 1]),
        source_predicted=np.array([1, 0, 0, 0, 1]),
        labels=np.array([1, 0, 0, 1, 0]),
        segments=("b", "b", "a", "a", ""),
        metric="accuracy",
        gate=None,
        generator=np.random.default_rng(0),
    )
    assert [(part.segment, part.n_rows, part.value, part.source_value, part.verdict) for part in parts] == [
        ("", 5, 0.4, 0.6, "not_judged"),
        ("a", 2, 0.5, 0.5, "not_judged"),
        ("b", 2, 0.5, 1.0, "not_judged"),
    ]


def test_class_names_in_words_are_compared_as_words() -> None:
    (overall,) = segment_quality(
        np.array(["no", "yes"], dtype=object),
        source_predicted=np.array(["no", "no"]),
        labels=np.array(["no", "yes"]),
        segments=("", ""),
        metric="accuracy",
        gate=None,
        generator=np.random.default_rng(0),
    )
    assert (overall.value, overall.source_value) == (1.0, 0.5)


def test_the_mean_absolute_error_of_numbers_is_better_when_smaller() -> None:
    (overall,) = segment_quality(
        np.array([1.5, 2.0, 2.0]),
        source_predicted=np.array([1.0, 2.0, 2.0]),
        labels=np.array([1.0, 2.0, 5.0]),
        segments=("", "", ""),
        metric="mae",
        gate=None,
        generator=np.random.default_rng(0),
    )
    assert overall.value == pytest.approx(3.5 / 3)
    assert overall.source_value == 1.0
    # One row of three lost 0.5. Three rows drawn hold it at most once in 20 of 27 draws, at most twice in 26.
    assert overall.drop_bound == pytest.approx(1 / 3)


def test_the_bound_of_rows_that_lost_all_or_nothing_is_a_binomial_quantile() -> None:
    # A resample of n rows of which k lost 1 holds a binomial number of lost ones.
    for n_rows, n_lost in ((400, 16), (1000, 5), (300, 150)):
        drops = np.zeros(n_rows)
        drops[:n_lost] = 1.0
        exact = binom.ppf(0.95, n_rows, n_lost / n_rows) / n_rows
        assert drop_bound(drops, np.random.default_rng(1)) == pytest.approx(exact, abs=1.01 / n_rows)


def test_a_variant_wrong_in_one_segment_only_is_caught_though_the_average_looks_fine() -> None:
    parts = judged(n_wrong=16, max_drop=0.01)  # 4 % of one segment, 0.4 % of all
    assert parts[""].verdict == "held"
    assert parts["s0"].verdict == "lost"
    assert [part.verdict for name, part in parts.items() if name not in {"", "s0"}] == ["held"] * 9


def test_nothing_changed_is_never_a_loss_even_where_nothing_may_be_lost() -> None:
    assert all(part.verdict == "held" for part in judged(n_wrong=0, max_drop=0.0).values())


def test_a_variant_that_swaps_as_many_errors_as_it_mends_is_judged_by_what_it_may_lose() -> None:
    # 20 of 400 rows got worse and 20 better: nothing was lost on average, but 3 % might have been.
    drops = np.concatenate([np.ones(20), -np.ones(20), np.zeros(360)])
    # The mean of 400 rows has a standard deviation of sqrt(0.1 / 400) = 0.0158; 1.645 of them are 0.026.
    assert drop_bound(drops, np.random.default_rng(2)) == pytest.approx(0.026, abs=0.003)


def test_a_segment_of_fewer_than_300_rows_says_nothing() -> None:
    small = ("few",) * 299 + ("many",) * 300
    parts = judged(n_wrong=299, max_drop=0.6, segments=small)
    assert {name: part.verdict for name, part in parts.items()} == {"": "held", "few": "too_few", "many": "held"}
