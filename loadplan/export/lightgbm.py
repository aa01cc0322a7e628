"""LightGBM to ONNX: classifiers, regressors and rankers of its scikit-learn interface, alone or at a pipeline's end.

Owns lightgbm, and onnxmltools' converter for it, which skl2onnx runs with its own opset. That converter answers wrongly
for random forests (`boosting_type="rf"`), whose trees are averaged and not summed: it is handed a copy whose leaves
are divided by the number of rounds. What can't be put right is refused.
"""

import copy
from typing import Any

import skl2onnx
from lightgbm import Booster, LGBMClassifier, LGBMModel, LGBMRanker, LGBMRegressor
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from loadplan.export.sklearn import convert_copy, last_step, require_fitted
from loadplan.export.source import Conversion, TrainedModel
from loadplan.export.trees import refuse, require_numbers, with_last_step

PACKAGES = ("lightgbm", "onnxmltools", "skl2onnx", "onnx", "numpy")  # what decides the bytes of the graph

# The objectives whose conversion was compared with LightGBM's own answers and is the same.
_OBJECTIVES = frozenset(
    {
        "binary",
        "gamma",
        "huber",
        "lambdarank",
        "multiclass",
        "poisson",
        "quantile",
        "rank_xendcg",
        "regression",
        "regression_l1",
        "tweedie",
    }
)
_AVERAGED = "\naverage_output\n"  # a line of the model's text

skl2onnx.update_registered_converter(
    LGBMClassifier,
    "LGBMClassifier",
    calculate_linear_classifier_output_shapes,
    convert_lightgbm,
    options={"zipmap": [True, False], "nocl": [True, False]},
)
for _kind in (LGBMRegressor, LGBMRanker):
    skl2onnx.update_registered_converter(
        _kind, _kind.__name__, calculate_linear_regressor_output_shapes, convert_lightgbm
    )


def convert(trained: TrainedModel, *, where: str) -> Conversion:
    """The model as an fp32 graph with a dynamic batch axis, beside its own answers to the rows.

    Raises:
        InputError: when the model is not fitted, not of LightGBM, or of a kind that isn't converted faithfully.
    """
    require_fitted(trained.estimator, where)
    model = last_step(trained.estimator)
    if not isinstance(model, LGBMModel):
        raise refuse(
            f"{type(model).__name__} is not a model of lightgbm's scikit-learn interface",
            where,
            "return an LGBMClassifier, LGBMRegressor or LGBMRanker, alone or as the last step of a Pipeline",
        )
    text = model.booster_.model_to_string()
    _require_faithful(model, text, where)
    require_numbers(trained, where)
    if _AVERAGED not in text:
        return convert_copy(trained.estimator, trained, where=where)
    return convert_copy(
        with_last_step(trained.estimator, _summed(model, text)),
        trained,
        where=where,
        note="the average over its trees moved into their leaves",
    )


def _require_faithful(model: LGBMModel, text: str, where: str) -> None:
    name, *settings = str(model.booster_.dump_model(num_iteration=1).get("objective", "none")).split()
    steepness = next((value for value in settings if value.startswith("sigmoid:")), "sigmoid:1")
    if name not in _OBJECTIVES or "sqrt" in settings or steepness != "sigmoid:1":
        raise refuse(
            f"onnxmltools would convert the objective {' '.join((name, *settings))} without its link function",
            where,
            f"train with one of {', '.join(sorted(_OBJECTIVES))}, without reg_sqrt and with sigmoid=1",
        )
    if "\nis_linear=1\n" in text:
        raise refuse(
            "onnxmltools would leave out the linear models in the leaves", where, "train with linear_tree=False"
        )


def _summed(model: LGBMModel, text: str) -> LGBMModel:
    """A copy that sums its trees to what the model has as their average."""
    booster: Any = Booster(model_str=text.replace(_AVERAGED, "\n"))
    n_rounds = booster.current_iteration()
    for tree in booster.dump_model()["tree_info"]:
        for leaf in range(tree["num_leaves"]):
            index = tree["tree_index"]
            booster.set_leaf_output(index, leaf, booster.get_leaf_output(index, leaf) / n_rounds)
    summed = copy.copy(model)
    summed._Booster = booster  # what booster_ returns
    summed.boosting_type = "gbdt"
    return summed
