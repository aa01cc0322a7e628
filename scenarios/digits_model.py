"""A small real model to plan for: handwritten digits, recognised by a neural network from scikit-learn.

The data come with scikit-learn: 1,797 images of 8 x 8 grey pixels, scanned forms filled in by 43 people. A quarter
of them is held out; loadplan judges the ONNX variant by those rows and sends them as requests.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from loadplan.export.source import TrainedModel

SEED = 0  # split and training: the same model on every run
WHITE = 16.0  # the data's pixels run from 0 to 16


def build() -> TrainedModel:
    """Train in a second, and hand over the model with its held-out images and their segments."""
    digits = load_digits()
    pixels = (digits.data / WHITE).astype(np.float32)
    train_rows, rows, train_labels, labels = train_test_split(
        pixels, digits.target, test_size=0.25, stratify=digits.target, random_state=SEED
    )
    # Training stops by itself after some 60 passes, when the loss has stopped falling by a thousandth.
    estimator = MLPClassifier(hidden_layer_sizes=(256, 128), tol=1e-3, max_iter=400, random_state=SEED)
    estimator.fit(train_rows, train_labels)
    return TrainedModel(estimator=estimator, rows=rows, labels=labels, segments=ink_segments(rows))


def ink_segments(rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> tuple[str, ...]:
    """Light, medium or heavy handwriting: the third of the images, by mean pixel, that each belongs to.

    An average accuracy can hide that faint digits are read worse; a segment shows it.
    """
    ink = rows.mean(axis=1)
    thirds = np.digitize(ink, np.quantile(ink, [1 / 3, 2 / 3]))
    return tuple(("light", "medium", "heavy")[third] for third in thirds)
