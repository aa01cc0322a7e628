"""What the modules of gradient-boosted trees share: the model at a pipeline's end, and refusals."""

from typing import Any

from sklearn.pipeline import Pipeline

from loadplan.errors import InputError
from loadplan.export.frame import is_frame, read_columns
from loadplan.export.source import TrainedModel


def with_last_step(estimator: Any, model: Any) -> Any:
    """The estimator with another model at its end; the steps before are shared, not copied."""
    if not isinstance(estimator, Pipeline):
        return model
    return Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], model)])


def require_numbers(trained: TrainedModel, where: str) -> None:
    """Raises InputError when trees without a step before them are given words."""
    if isinstance(trained.estimator, Pipeline) or not is_frame(trained.rows):
        return
    words = next((column.name for column in read_columns(trained.rows) if column.is_text), None)
    if words is not None:
        raise refuse(
            f"the column {words!r} holds words, which an ONNX graph of trees can't take",
            where,
            "put an OrdinalEncoder or OneHotEncoder before the model in a Pipeline",
        )


def refuse(what: str, where: str, fix: str) -> InputError:
    """A model that can't be converted faithfully."""
    return InputError(what=what, where=where, fix=fix)
