"""How often the variant is right, overall and in each segment: an average can hide a segment that got worse."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.export.artifact import SegmentQuality


def segment_quality(
    predicted: NDArray[np.generic],
    *,
    source_predicted: NDArray[np.generic],
    labels: NDArray[np.generic],
    segments: Sequence[str],
) -> tuple[SegmentQuality, ...]:
    """Accuracy (share of rows whose predicted class is the label) over all rows first, then by segment in name order.

    All four have one entry for each row. Rows without a segment ("") count overall only.
    """
    names = np.asarray(segments)
    is_right = predicted == labels
    source_is_right = source_predicted == labels
    groups = [("", np.ones(len(names), dtype=np.bool_))]
    groups += [(name, names == name) for name in sorted(set(segments)) if name]
    return tuple(
        SegmentQuality(
            segment=name,
            n_rows=int(members.sum()),
            accuracy_ratio=float(is_right[members].mean()),
            source_accuracy_ratio=float(source_is_right[members].mean()),
        )
        for name, members in groups
    )
