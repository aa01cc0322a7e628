"""XGBoost to ONNX: classifiers, regressors and rankers of its scikit-learn interface, alone or at a pipeline's end.

Owns xgboost, and onnxmltools' converter for it, which skl2onnx runs with its own opset. That converter is right for
fewer models than it takes: it knows features by number only, cuts an early-stopped forest short, and converts some
objectives without their link function. So it is handed a copy with these put right, and what can't be is refused.
"""

import copy
import json
from importlib import metadata
from typing import Any

import numpy as np
import skl2onnx
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.base import is_classifier
from xgboost import XGBClassifier, XGBModel, XGBRanker, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from loadplan.export.sklearn import convert_copy, last_step, require_fitted
from loadplan.export.source import Conversion, TrainedModel
from loadplan.export.trees import refuse, require_numbers, with_last_step

# What decides the bytes of the graph; xgboost is installed by one of two distributions.
PACKAGES = (*metadata.packages_distributions()["xgboost"], "onnxmltools", "skl2onnx", "onnx", "numpy")

# The objectives whose conversion was compared with XGBoost's own answers and is the same.
_OBJECTIVES = frozenset(
    {
        "binary:hinge",
        "binary:logistic",
        "count:poisson",
        "multi:softprob",
        "rank:map",
        "rank:ndcg",
        "rank:pairwise",
        "reg:absoluteerror",
        "reg:gamma",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "reg:squarederror",
        "reg:squaredlogerror",
        "reg:tweedie",
    }
)
_CLASSIFIERS = frozenset({"binary:hinge", "binary:logistic", "multi:softprob"})

for _kind in (XGBClassifier, XGBRFClassifier):
    skl2onnx.update_registered_converter(
        _kind,
        _kind.__name__,
        calculate_linear_classifier_output_shapes,
        convert_xgboost,
        options={"zipmap": [True, False], "nocl": [True, False]},
    )
# A ranker's answer is the plain sum of its trees, like a regressor's.
for _kind in (XGBRegressor, XGBRFRegressor, XGBRanker):
    skl2onnx.update_registered_converter(
        _kind, _kind.__name__, calculate_linear_regressor_output_shapes, convert_xgboost
    )


def convert(trained: TrainedModel, *, where: str) -> Conversion:
    """The model as an fp32 graph with a dynamic batch axis, beside its own answers to the rows.

    Raises:
        InputError: when the model is not fitted, not of XGBoost, or of a kind that isn't converted faithfully.
    """
    require_fitted(trained.estimator, where)
    model = last_step(trained.estimator)
    if not isinstance(model, XGBModel):
        raise refuse(
            f"{type(model).__name__} is not a model of xgboost's scikit-learn interface",
            where,
            "return an XGBClassifier, XGBRegressor or XGBRanker, alone or as the last step of a Pipeline",
        )
    _require_faithful(model, where)
    require_numbers(trained, where)
    plain, note = _plain(model)
    return convert_copy(with_last_step(trained.estimator, plain), trained, where=where, note=note)


def _require_faithful(model: XGBModel, where: str) -> None:
    learner = json.loads(model.get_booster().save_config())["learner"]
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        raise refuse(
            f"onnxmltools can't convert xgboost's booster {kind}",
            where,
            "train with booster='gbtree'" + ("; a linear model is served as one of scikit-learn's" * (kind != "dart")),
        )
    if objective not in _OBJECTIVES or (objective in _CLASSIFIERS) != is_classifier(model):
        known = sorted(name for name in _OBJECTIVES if (name in _CLASSIFIERS) == is_classifier(model))
        raise refuse(
            f"onnxmltools would convert the objective {objective} of {type(model).__name__} without its link function",
            where,
            f"train with one of {', '.join(known)}",
        )
    trees = learner["gradient_booster"]["gbtree_model_param"]
    n_answers = int(learner["learner_model_param"]["num_target"])
    if n_answers > 1:
        raise refuse(f"the model predicts {n_answers} numbers for each row", where, "serve one model for each")
    if int(learner["learner_model_param"]["num_class"]) > 1 and int(trees["num_parallel_tree"]) > 1:
        raise refuse(
            "onnxmltools mixes up the classes of several trees a round",
            where,
            "train with num_parallel_tree=1, or a RandomForestClassifier of scikit-learn",
        )
    if model.missing is not None and not np.isnan(model.missing):
        raise refuse(f"the model takes {model.missing} for missing", where, "train with missing=np.nan")


def _plain(model: XGBModel) -> tuple[XGBModel, str | None]:
    """A copy that the converter gets right, and what is different about it."""
    booster = model.get_booster()
    best = booster.attr("best_iteration")
    trees = booster.copy() if best is None else booster[: int(best) + 1]
    changes = {
        "converted by its features' numbers": booster.feature_names is not None and not _is_numbered(booster),
        "the rounds after the best one left out": best is not None,
        "converted as a regression, whose answer is the same sum of trees": isinstance(model, XGBRanker),
    }
    trees.feature_names = None
    plain = copy.copy(model)
    plain._Booster = trees  # what get_booster() returns; saving and loading would lose the class
    return plain, ", ".join(text for text, is_so in changes.items() if is_so) or None


def _is_numbered(booster: Any) -> bool:
    return list(booster.feature_names) == [f"f{number}" for number in range(booster.num_features())]
