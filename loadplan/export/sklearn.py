"""scikit-learn to ONNX: fitted classifiers with `predict_proba`, and regressors. Owns sklearn and skl2onnx.

Classes and their probabilities leave as two plain tensors (no ZipMap, which would answer with a list of
dictionaries). The rows of an array, or of a DataFrame of numbers, enter as one tensor; where the estimator picks
columns by name or a column holds text, each column of a DataFrame is an input of its own. The source's answers are
computed from the same float32 values that the graph gets, so that parity compares two models and not two roundings of
the input.
"""

import re
from typing import Any

import numpy as np
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from loadplan.errors import InputError, first_line
from loadplan.export.frame import Column, is_frame, read_columns, rounded
from loadplan.export.graph import ML_OPSET, OPSET, finish
from loadplan.export.source import Conversion, TrainedModel

PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "numpy")  # what decides the bytes of the graph

_INPUT = "input"
_OTHER_SOURCES = frozenset({"xgboost", "lightgbm"})  # with a module of their own beside this one
# Scalers that divide with the precision that scikit-learn's have: multiplied by the reciprocal, which is skl2onnx's
# default, a value on the threshold of a tree behind them would fall on its other side.
_DIVISION = {MaxAbsScaler: "div_cast", RobustScaler: "div", StandardScaler: "div"}


def convert(trained: TrainedModel, *, where: str) -> Conversion:
    """The estimator as an fp32 graph with a dynamic batch axis, beside its own answers to the rows.

    Raises:
        InputError: when the estimator is not fitted, of a kind that isn't served, or unknown to skl2onnx.
    """
    _require_servable(trained.estimator, where)
    return convert_copy(trained.estimator, trained, where=where)


def convert_copy(copy: BaseEstimator, trained: TrainedModel, *, where: str, note: str | None = None) -> Conversion:
    """`copy` as a graph beside the answers of the trained model itself, which it is to be equal to.

    Raises:
        InputError: when the model refuses the rows, or skl2onnx has no converter for it or fails.
    """
    estimator = trained.estimator
    rows = rounded(trained.rows) if is_frame(trained.rows) else np.ascontiguousarray(trained.rows, dtype=np.float32)
    columns = _columns(estimator, rows)
    answers = _answers(estimator, rows, where)
    options: dict[object, dict[str, object]] = {scaler: {"div": how} for scaler, how in _DIVISION.items()}
    if is_classifier(estimator):
        options[id(copy)] = {"zipmap": False}
    try:
        model = skl2onnx.convert_sklearn(
            copy,
            name=type(estimator).__name__,  # by default a random name, and so another file each time
            initial_types=[
                (column.name, (StringTensorType if column.is_text else FloatTensorType)([None, column.values.shape[1]]))
                for column in columns
            ],
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            options=options,
        )
        # skl2onnx keeps the order of the columns, but replaces what is no letter or digit in their names.
        named = {tensor.name: column for tensor, column in zip(model.graph.input, columns, strict=True)}
        words = {name: str(column.values[0, 0]) for name, column in named.items() if column.is_text}
        serialised = finish(model, example_text=words)
    except (MissingConverter, MissingShapeCalculator) as error:
        unknown = re.search(r"<class '[\w.]*?(\w+)'>", str(error))
        raise InputError(
            what=f"skl2onnx has no converter for {unknown[1] if unknown else _name(estimator)} (opset {OPSET})",
            where=where,
            fix="replace it by an estimator or transformer that skl2onnx supports",
        ) from error
    except Exception as error:  # converters raise whatever their NumPy code happens to raise
        said = first_line(error) or type(error).__name__
        raise InputError(
            what=f"skl2onnx can't convert {_name(estimator)}: {type(error).__name__}: {said}",
            where=where,
            fix="check the estimator against the list that skl2onnx supports at opset 21",
        ) from error
    names = [output.name for output in model.graph.output]
    return Conversion(
        onnx=serialised,
        inputs={name: column.values for name, column in named.items()},
        answers=dict(zip(names, answers, strict=True)),
        label_output=names[0] if is_classifier(estimator) else None,
        note=note,
    )


def _columns(estimator: BaseEstimator, rows: Any) -> tuple[Column, ...]:
    """What the graph takes: the columns of the rows one by one, or all of them as one."""
    if not is_frame(rows):
        return (Column(name=_INPUT, values=rows),)
    columns = read_columns(rows)
    if _picks_columns(estimator) or any(column.is_text for column in columns):
        return columns
    return (Column(name=_INPUT, values=np.hstack([column.values for column in columns])),)


def _picks_columns(estimator: object) -> bool:
    if isinstance(estimator, Pipeline):
        return _picks_columns(estimator.steps[0][1])
    return isinstance(estimator, ColumnTransformer)


def last_step(estimator: Any) -> Any:
    """The model itself, which may stand at the end of a pipeline."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def require_fitted(estimator: object, where: str) -> None:
    """Raises InputError when it is no estimator, or was not fitted."""
    if not isinstance(estimator, BaseEstimator):
        raise InputError(
            what=f"{_name(estimator)} is not a scikit-learn estimator",
            where=where,
            fix="return a fitted estimator or pipeline in TrainedModel.estimator",
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise InputError(
            what=f"the estimator {_name(estimator)} is not fitted",
            where=where,
            fix="call its fit() before it is returned or saved",
        ) from error


def _require_servable(estimator: object, where: str) -> None:
    model = last_step(estimator)
    package = type(model).__module__.partition(".")[0]
    if package in _OTHER_SOURCES:
        raise InputError(
            what=f"{_name(model)} is a model of {package}",
            where=where,
            fix=f"write model.source: {package}, which knows what its converter gets wrong",
        )
    require_fitted(estimator, where)
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        raise InputError(
            what=f"the classifier {_name(estimator)} has no predict_proba",
            where=where,
            fix="wrap it in sklearn.calibration.CalibratedClassifierCV, or choose one that has it",
        )
    if not (is_classifier(estimator) or is_regressor(estimator)):
        raise InputError(
            what=f"{_name(estimator)} is neither a classifier nor a regressor",
            where=where,
            fix="serve a classifier with predict_proba or a regressor",
        )


def _answers(estimator: BaseEstimator, rows: Any, where: str) -> list[NDArray[np.generic]]:
    """The estimator's own answers in the order of the graph's outputs."""
    try:
        if not is_classifier(estimator):
            predicted = np.asarray(estimator.predict(rows), dtype=np.float32)
            return [predicted.reshape(len(rows), -1)]  # skl2onnx answers with a column
        labels = np.asarray(estimator.predict(rows))
        probabilities = np.asarray(estimator.predict_proba(rows), dtype=np.float32)
    except Exception as error:  # the estimator is the user's
        raise InputError(
            what=f"{_name(estimator)} refuses the rows: {first_line(error) or type(error).__name__}",
            where=where,
            fix="return rows of the shape that the estimator was fitted on",
        ) from error
    if labels.ndim != 1:
        raise InputError(
            what=f"{_name(estimator)} predicts {labels.shape[1]} labels for each row",
            where=where,
            fix="serve one estimator for each label",
        )
    is_whole = np.issubdtype(labels.dtype, np.integer) or labels.dtype == np.bool_
    return [labels.astype(np.int64) if is_whole else labels.astype(str), probabilities]


def _name(estimator: object) -> str:
    return type(estimator).__name__
