from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import binom
from sklearn.metrics import ndcg_score, roc_auc_score

from loadplan.export.artifact import SegmentQuality
from loadplan.export.quality import Judged, auc, drop_bound, ndcg, segment_quality
from loadplan.scenario.spec import QualityGate, QualityMetric

N_SEGMENT = 400
SEGMENTS = tuple(f"s{i}" for i in range(10) for _ in range(N_SEGMENT))


def judge(
    answers: ArrayLike,
    *,
    source: ArrayLike,
    labels: ArrayLike,
    segments: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    metric: QualityMetric = "accuracy",
    max_drop: float | None = None,
) -> dict[str, SegmentQuality]:
    """By segment; "" is all rows."""
    truth = np.asarray(labels)
    parts = segment_quality(
        Judged(
            metric=metric,
            answers=np.asarray(answers),
            source_answers=np.asarray(source),
            labels=truth,
            segments=np.asarray(segments if segments is not None else [""] * len(truth)),
            groups=None if groups is None else np.asarray(groups),
        ),
        gate=None if max_drop is None else QualityGate(metric=metric, max_drop=max_drop),
        generator=np.random.default_rng(0),
    )
    return {part.segment: part for part in parts}


def judged(*, n_wrong: int, max_drop: float, segments: tuple[str, ...] = SEGMENTS) -> dict[str, SegmentQuality]:
    """A source that is always right, and a variant that is wrong on the first rows, all of the first segment."""
    labels = np.zeros(len(segments), dtype=np.int64)
    predicted = labels.copy()
    predicted[:n_wrong] = 1
    return judge(predicted, source=labels, labels=labels, segments=segments, max_drop=max_drop)


def test_accuracy_is_counted_overall_and_in_each_segment() -> None:
    parts = judge(
        [1, 1, 0, 0, 1], source=[1, 0, 0, 0, 1], labels=[1, 0, 0, 1, 0], segments=("b", "b", "a", "a", "")
    ).values()
    assert [(part.segment, part.n_rows, part.value, part.source_value, part.verdict) for part in parts] == [
        ("", 5, 0.4, 0.6, "not_judged"),
        ("a", 2, 0.5, 0.5, "not_judged"),
        ("b", 2, 0.5, 1.0, "not_judged"),
    ]


def test_class_names_in_words_are_compared_as_words() -> None:
    overall = judge(np.array(["no", "yes"], dtype=object), source=["no", "no"], labels=["no", "yes"])[""]
    assert (overall.value, overall.source_value) == (1.0, 0.5)


def test_the_mean_absolute_error_of_numbers_is_better_when_smaller() -> None:
    overall = judge([1.5, 2.0, 2.0], source=[1.0, 2.0, 2.0], labels=[1.0, 2.0, 5.0], metric="mae")[""]
    assert overall.value == pytest.approx(3.5 / 3)
    assert overall.source_value == 1.0
    assert overall.dropped == pytest.approx(0.5 / 3)
    # One row of three lost 0.5. Three rows drawn hold it at most once in 20 of 27 draws, at most twice in 26.
    assert overall.drop_bound == pytest.approx(1 / 3)


def test_the_area_under_the_curve_counts_pairs_in_the_right_order_and_half_of_the_ties() -> None:
    # Ones at 0.4 and 0.8, zeros at 0.1, 0.4 and 0.5: of six pairs four are right and one is a tie.
    assert auc(np.array([0.1, 0.4, 0.5, 0.4, 0.8]), np.array([0, 0, 0, 1, 1])) == pytest.approx(4.5 / 6)
    assert auc(np.array([3.0, 2.0, 1.0]), np.array([0, 1, 1])) == 0.0


def test_the_bound_of_an_area_is_that_of_pairs_counted_one_by_one() -> None:
    rng = np.random.default_rng(5)
    labels, scores = rng.integers(0, 2, 40), rng.integers(0, 8, 40) / 8
    overall = judge(scores, source=labels, labels=labels, metric="auc")[""]
    assert overall.value == pytest.approx(roc_auc_score(labels, scores))
    assert overall.source_value == 1.0
    drawing = np.random.default_rng(0)
    drops = []
    for _ in range(2000):
        rows = drawing.integers(40, size=40)
        ones, zeros = (scores[rows][labels[rows] == label] for label in (1, 0))
        won = (ones[:, None] > zeros).mean() + 0.5 * (ones[:, None] == zeros).mean()
        drops.append(1.0 - won)
    assert overall.drop_bound == pytest.approx(np.quantile(drops, 0.95, method="inverted_cdf"))


def test_a_segment_of_one_class_has_no_area_and_is_not_judged() -> None:
    labels = np.array([0, 1] * 150 + [1] * 300)
    parts = judge(
        labels, source=labels, labels=labels, segments=["two"] * 300 + ["one"] * 300, metric="auc", max_drop=0.1
    )
    assert (parts["two"].value, parts["two"].verdict) == (1.0, "held")
    assert (parts["one"].value, parts["one"].drop_bound, parts["one"].verdict) == (None, None, "too_few")


def test_scores_that_lost_their_order_in_one_segment_are_caught_though_the_area_of_all_looks_fine() -> None:
    labels = np.tile([0, 1], 2000)
    scores = labels.astype(float)
    scores[:30:2] += 2.0  # the zeros of the first rows now come before every one
    parts = judge(scores, source=labels, labels=labels, segments=SEGMENTS, metric="auc", max_drop=0.02)
    assert parts["s0"].value == pytest.approx(1 - 15 / 200)
    assert parts["s0"].verdict == "lost"
    assert parts[""].verdict == "held"
    assert parts["s1"].verdict == "held"


def test_the_gain_of_a_list_is_that_of_the_formula_and_equal_scores_share_their_ranks() -> None:
    # Grades 3, 0, 1 in this order: (7/1 + 0 + 1/2) of at best (7/1 + 1/log2(3)).
    best = 7 + 1 / np.log2(3)
    assert ndcg(np.array([3.0, 2.0, 1.0]), np.array([3, 0, 1]), np.zeros(3, dtype=int)) == pytest.approx([7.5 / best])
    tied = (7 + 0) / 2 * (1 + 1 / np.log2(3)) + 1 / 2
    assert ndcg(np.array([2.0, 2.0, 1.0]), np.array([3, 0, 1]), np.zeros(3, dtype=int)) == pytest.approx([tied / best])


def test_the_gain_of_each_list_is_scikit_learns_on_the_same_gains() -> None:
    rng = np.random.default_rng(3)
    groups, grades, scores = np.repeat(np.arange(20), 10), rng.integers(0, 4, 200), rng.integers(0, 6, 200) / 4
    shuffled = rng.permutation(200)  # rows of a list need not stand together
    found = ndcg(scores[shuffled], grades[shuffled], groups[shuffled])
    wanted = [ndcg_score([2.0 ** grades[groups == i] - 1], [scores[groups == i]]) for i in range(20)]
    assert found == pytest.approx(wanted)


def test_a_list_without_a_relevant_row_is_left_out() -> None:
    assert len(ndcg(np.array([1.0, 2.0, 1.0, 2.0]), np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]))) == 1


def test_whole_lists_are_drawn_and_too_few_of_them_say_nothing() -> None:
    # A variant that turns every tenth list of 20 rows round.
    n_lists = 100
    groups = np.repeat(np.arange(n_lists), 20)
    grades = np.tile(np.r_[3, np.zeros(19)], n_lists)
    scores = np.where(groups % 10 == 0, -grades, grades)
    parts = judge(scores, source=grades, labels=grades, groups=groups, metric="ndcg", max_drop=0.05)
    # The one relevant row comes last, behind 19 that share ranks 1 to 19: 7 / log2(21) of 7 in a tenth of the lists.
    turned = 1 / np.log2(21)
    assert parts[""].value == pytest.approx(0.9 + 0.1 * turned)
    assert parts[""].drop_bound == pytest.approx(binom.ppf(0.95, n_lists, 0.1) / n_lists * (1 - turned), abs=0.01)
    assert parts[""].verdict == "lost"
    few = groups < 29
    kept = judge(scores[few], source=grades[few], labels=grades[few], groups=groups[few], metric="ndcg", max_drop=0.05)
    assert kept[""].n_rows == 580
    assert kept[""].verdict == "too_few"


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
