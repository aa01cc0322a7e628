"""A small real model of a table: breast tumours, told apart by gradient-boosted trees from scikit-learn.

The data come with scikit-learn: 569 tumours, each with 30 numbers measured on an image of its cells. Half of them are
held out; loadplan judges the ONNX variant by those rows and sends them as requests. The columns are a DataFrame's, so
the trees are trained as most tabular models are.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from loadplan.export.source import TrainedModel

SEED = 0  # split and training: the same model on every run


def build() -> TrainedModel:
    """Train in a second, and hand over the model with its held-out tumours and their segments."""
    data = load_breast_cancer(as_frame=True)
    columns = data.data.astype(np.float32)
    train_rows, rows, train_labels, labels = train_test_split(
        columns, data.target, test_size=0.5, stratify=data.target, random_state=SEED
    )
    estimator = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, random_state=SEED)
    estimator.fit(train_rows, train_labels)
    return TrainedModel(
        estimator=estimator,
        rows=rows,
        labels=labels.to_numpy(),
        segments=size_segments(rows["mean radius"].to_numpy()),
    )


def size_segments(radius: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[str, ...]:
    """Small, medium or large: the third of the tumours, by mean radius of their cells, that each belongs to.

    Nearly all small ones are benign and nearly all large ones malignant, so an average accuracy can hide that those in
    between are told apart worse; a segment shows it.
    """
    thirds = np.digitize(radius, np.quantile(radius, [1 / 3, 2 / 3]))
    return tuple(("small", "medium", "large")[third] for third in thirds)
