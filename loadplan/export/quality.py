"""Is the variant as right as its source, overall and in each segment? An average can hide a segment that got worse.

The judgement is about what may have been lost, not about what was: the rows are a sample, so a variant is refused when
the upper end of the one-sided 95 % interval of the loss is beyond the limit. The bootstrap is paired, since both models
answered the same rows: what neither got right says nothing about the difference. Rows are drawn anew; for NDCG whole
lists are, since one list is one answer. Segments of fewer than 300 rows are too small to tell half a point, and are
said to be; so are those of fewer than 30 lists, of which a bootstrap knows nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.export.artifact import LOWER_IS_BETTER, QualityVerdict, SegmentQuality
from loadplan.scenario.spec import QualityGate, QualityMetric

MIN_ROWS = 300
MIN_LISTS = 30
_CONFIDENCE_RATIO = 0.95
_N_RESAMPLES = 2000

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What two models answered to the same rows, and the truth. Every array has one entry for each row.

    By metric: for accuracy both are classes; for mae numbers; for auc scores, that of the second class, and the truth
    0 or 1; for ndcg scores, and the truth a grade.
    """

    metric: QualityMetric
    answers: NDArray[np.generic]
    source_answers: NDArray[np.generic]
    labels: NDArray[np.generic]
    segments: NDArray[np.str_]
    groups: NDArray[np.int64] | None = None  # of ndcg: the number of the list in which each row was ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    value: float | None  # None where the metric isn't defined on these rows
    source_value: float | None
    drop_bound: float | None
    n_draws: int  # what a resample draws from: rows or lists


def segment_quality(
    judged: Judged, *, gate: QualityGate | None, generator: np.random.Generator
) -> tuple[SegmentQuality, ...]:
    """All rows first, then each segment in name order; without a gate nothing is judged.

    Rows without a segment ("") count overall only.
    """
    names = judged.segments
    parts = [("", np.ones(len(names), dtype=np.bool_))]
    parts += [(str(name), names == name) for name in np.unique(names) if name]
    found = []
    for name, members in parts:
        n_rows = int(members.sum())
        compared = _compared(judged, members, generator)
        found.append(
            SegmentQuality(
                segment=name,
                n_rows=n_rows,
                metric=judged.metric,
                value=compared.value,
                source_value=compared.source_value,
                drop_bound=compared.drop_bound,
                verdict=_verdict(compared, judged.metric, n_rows, gate),
            )
        )
    return tuple(found)


def drop_bound(drops: _Floats, generator: np.random.Generator) -> float:
    """Upper end of the one-sided 95 % percentile-bootstrap interval of the mean of what each row or list lost."""
    n_draws = len(drops)
    if not drops.any():
        return 0.0  # every resample of nothing lost is nothing lost
    means = [drops[generator.integers(n_draws, size=n_draws)].mean() for _ in range(_N_RESAMPLES)]
    return _upper(np.asarray(means))


def auc(scores: NDArray[np.generic], labels: NDArray[np.generic]) -> float:
    """Share of pairs of a 1 and a 0 in which the 1 has the higher score; a pair with equal scores counts half.

    The area under the receiver operating characteristic, as Mann and Whitney's U over the number of pairs (Hanley and
    McNeil, Radiology 143, 1982). NaN where one of the classes is missing.
    """
    return _area(_places(scores, labels))


def ndcg(scores: NDArray[np.generic], grades: NDArray[np.generic], groups: NDArray[np.int64]) -> _Floats:
    """Normalised discounted cumulative gain of each list, over its whole length; lists of grade 0 alone are left out.

    DCG = Σ (2^grade - 1) / log2(1 + rank), over its largest possible value (Burges et al., Learning to Rank using
    Gradient Descent, 2005). Rows with equal scores share the mean of the gains on their ranks (McSherry and Najork,
    ECIR 2008), since which of them comes first would be chance.
    """
    gains = np.exp2(grades.astype(np.float64)) - 1.0
    got, ideal = _dcg(scores.astype(np.float64), gains, groups), _dcg(gains, gains, groups)
    has_ideal = ideal > 0.0
    return np.asarray(got[has_ideal] / ideal[has_ideal])


def _compared(judged: Judged, members: NDArray[np.bool_], generator: np.random.Generator) -> _Comparison:
    answers, source, labels = judged.answers[members], judged.source_answers[members], judged.labels[members]
    if judged.metric == "auc":
        return _compared_auc(answers, source, labels, generator)
    if judged.metric == "ndcg":
        assert judged.groups is not None  # noqa: S101 -- the gate sees to it
        lists = np.unique(judged.groups[members], return_inverse=True)[1]
        values, source_values = ndcg(answers, labels, lists), ndcg(source, labels, lists)
    else:
        values, source_values = _per_row(judged.metric, answers, labels), _per_row(judged.metric, source, labels)
    if not len(values):
        return _Comparison(value=None, source_value=None, drop_bound=None, n_draws=0)
    drops = values - source_values if judged.metric in LOWER_IS_BETTER else source_values - values
    return _Comparison(
        value=float(values.mean()),
        source_value=float(source_values.mean()),
        drop_bound=drop_bound(drops, generator),
        n_draws=len(values),
    )


def _compared_auc(
    answers: NDArray[np.generic],
    source: NDArray[np.generic],
    labels: NDArray[np.generic],
    generator: np.random.Generator,
) -> _Comparison:
    places, source_places = _places(answers, labels), _places(source, labels)
    value, source_value = _area(places), _area(source_places)
    if np.isnan(value):
        return _Comparison(value=None, source_value=None, drop_bound=None, n_draws=0)
    drops = np.empty(_N_RESAMPLES)
    for i in range(_N_RESAMPLES):
        rows = generator.integers(len(labels), size=len(labels))
        drops[i] = _area(source_places[rows]) - _area(places[rows])
    return _Comparison(
        value=value,
        source_value=source_value,
        drop_bound=_upper(drops[~np.isnan(drops)]),  # a resample of one class says nothing
        n_draws=len(labels),
    )


def _places(scores: NDArray[np.generic], labels: NDArray[np.generic]) -> NDArray[np.intp]:
    """Twice the place of each row's score among the distinct ones, and one more for rows labelled 1."""
    return np.asarray(np.unique(scores, return_inverse=True)[1] * 2 + labels.astype(np.bool_))


def _area(places: NDArray[np.intp]) -> float:
    """The AUC of rows by their places: one count for each score and label, so that nothing is sorted again."""
    counts = np.bincount(places, minlength=2 * (int(places.max()) // 2 + 1))
    zeros, ones = counts[0::2], counts[1::2]
    below = np.cumsum(zeros) - zeros
    n_pairs = int(zeros.sum()) * int(ones.sum())
    return float((ones * (below + 0.5 * zeros)).sum()) / n_pairs if n_pairs else math.nan


def _dcg(scores: _Floats, gains: _Floats, groups: NDArray[np.int64]) -> _Floats:
    """Of each list, whose numbers run from 0 without a gap."""
    order = np.lexsort((-scores, groups))
    lists, ordered = groups[order], scores[order]
    starts_list = np.r_[True, lists[1:] != lists[:-1]]
    ranks = np.arange(len(order)) - np.flatnonzero(starts_list)[lists] + 1
    ties = np.cumsum(starts_list | np.r_[True, ordered[1:] != ordered[:-1]]) - 1
    mean_gains = np.bincount(ties, weights=gains[order]) / np.bincount(ties)
    return np.bincount(lists, weights=mean_gains[ties] / np.log2(1.0 + ranks)).astype(np.float64)


def _per_row(metric: QualityMetric, answers: NDArray[np.generic], labels: NDArray[np.generic]) -> _Floats:
    if metric == "accuracy":
        return np.asarray(answers == labels, dtype=np.float64)
    return np.asarray(np.abs(answers.astype(np.float64) - labels.astype(np.float64)))


def _upper(values: _Floats) -> float:
    return float(np.quantile(values, _CONFIDENCE_RATIO, method="inverted_cdf"))


def _verdict(compared: _Comparison, metric: QualityMetric, n_rows: int, gate: QualityGate | None) -> QualityVerdict:
    if gate is None:
        return "not_judged"
    if compared.drop_bound is None or n_rows < MIN_ROWS or (metric == "ndcg" and compared.n_draws < MIN_LISTS):
        return "too_few"
    return "lost" if compared.drop_bound > gate.max_drop else "held"
