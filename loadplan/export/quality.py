"""Is the variant as right as its source, overall and in each segment? An average can hide a segment that got worse.

The judgement is about what may have been lost, not about what was: the rows are a sample, so a variant is refused when
the upper end of the one-sided 95 % interval of the loss is beyond the limit. The bootstrap is paired, row by row, since
both models answered the same rows: what neither got right says nothing about the difference. Segments of fewer than
300 rows are too small to tell half a point, and are said to be.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.export.artifact import QualityVerdict, SegmentQuality
from loadplan.scenario.spec import QualityGate, QualityMetric

MIN_ROWS = 300
_CONFIDENCE_RATIO = 0.95
_N_RESAMPLES = 2000


def segment_quality(
    predicted: NDArray[np.generic],
    *,
    source_predicted: NDArray[np.generic],
    labels: NDArray[np.generic],
    segments: Sequence[str],
    metric: QualityMetric,
    gate: QualityGate | None,
    generator: np.random.Generator,
) -> tuple[SegmentQuality, ...]:
    """All rows first, then each segment in name order; without a gate nothing is judged.

    The four arrays have one entry for each row. Rows without a segment ("") count overall only.
    """
    names = np.asarray(segments)
    values, source_values = _per_row(metric, predicted, labels), _per_row(metric, source_predicted, labels)
    drops = source_values - values if metric == "accuracy" else values - source_values
    groups = [("", np.ones(len(names), dtype=np.bool_))]
    groups += [(name, names == name) for name in sorted(set(segments)) if name]
    found = []
    for name, members in groups:
        bound = drop_bound(drops[members], generator)
        found.append(
            SegmentQuality(
                segment=name,
                n_rows=int(members.sum()),
                metric=metric,
                value=float(values[members].mean()),
                source_value=float(source_values[members].mean()),
                drop_bound=bound,
                verdict=_verdict(bound, int(members.sum()), gate),
            )
        )
    return tuple(found)


def drop_bound(drops: NDArray[np.float64], generator: np.random.Generator) -> float:
    """Upper end of the one-sided 95 % percentile-bootstrap interval of the mean of what each row lost."""
    n_rows = len(drops)
    if not drops.any():
        return 0.0  # every resample of nothing lost is nothing lost
    means = [drops[generator.integers(n_rows, size=n_rows)].mean() for _ in range(_N_RESAMPLES)]
    return float(np.quantile(means, _CONFIDENCE_RATIO, method="inverted_cdf"))


def _per_row(metric: QualityMetric, predicted: NDArray[np.generic], labels: NDArray[np.generic]) -> NDArray[np.float64]:
    if metric == "accuracy":
        return np.asarray(predicted == labels, dtype=np.float64)
    return np.asarray(np.abs(predicted.astype(np.float64) - labels.astype(np.float64)))


def _verdict(bound: float, n_rows: int, gate: QualityGate | None) -> QualityVerdict:
    if gate is None:
        return "not_judged"
    if n_rows < MIN_ROWS:
        return "too_few"
    return "lost" if bound > gate.max_drop else "held"
