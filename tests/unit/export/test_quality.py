import numpy as np

from loadplan.export.quality import segment_quality


def test_accuracy_is_counted_overall_and_in_each_segment() -> None:
    parts = segment_quality(
        np.array([1, 1, 0, 0, 1]),
        source_predicted=np.array([1, 0, 0, 0, 1]),
        labels=np.array([1, 0, 0, 1, 0]),
        segments=("b", "b", "a", "a", ""),
    )
    assert [(part.segment, part.n_rows, part.accuracy_ratio, part.source_accuracy_ratio) for part in parts] == [
        ("", 5, 0.4, 0.6),
        ("a", 2, 0.5, 0.5),
        ("b", 2, 0.5, 1.0),
    ]


def test_class_names_in_words_are_compared_as_words() -> None:
    (overall,) = segment_quality(
        np.array(["no", "yes"], dtype=object),
        source_predicted=np.array(["no", "no"]),
        labels=np.array(["no", "yes"]),
        segments=("", ""),
    )
    assert (overall.accuracy_ratio, overall.source_accuracy_ratio) == (1.0, 0.5)
