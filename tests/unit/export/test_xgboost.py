"""The rows of the conversion table that are XGBoost's: each passes parity or stops with a message of its own."""

from typing import TYPE_CHECKING

import pytest

from loadplan.errors import InputError

if TYPE_CHECKING:
    from tests.unit.export.conftest import ExportSource

pytest.importorskip("xgboost", reason="needs the extra boosting, which `make test-all` installs")
pytest.importorskip("onnxmltools", reason="needs the extra boosting, which `make test-all` installs")

IMPORT = "import xgboost as xgb\nsettings = {'n_estimators': 30, 'max_depth': 4, 'n_jobs': 1}"
STOPPING = "n_estimators=200, learning_rate=0.9, early_stopping_rounds=2, n_jobs=1"
UNTIL = "eval_set=[(rows[300:], {0}[300:])], verbose=False"

CONVERTED = {
    "two classes": "model = xgb.XGBClassifier(**settings).fit(rows, two)",
    "three classes": "model = xgb.XGBClassifier(**settings).fit(rows, three)",
    "hinge": "model = xgb.XGBClassifier(objective='binary:hinge', **settings).fit(rows, two)",
    "base score": "model = xgb.XGBClassifier(base_score=0.2, scale_pos_weight=5, **settings).fit(rows, two)",
    "regressor": "model = xgb.XGBRegressor(**settings).fit(rows, score)",
    "poisson": "model = xgb.XGBRegressor(objective='count:poisson', **settings).fit(rows, counts)",
    "gamma": "model = xgb.XGBRegressor(objective='reg:gamma', **settings).fit(rows, counts + 1)",
    "tweedie": "model = xgb.XGBRegressor(objective='reg:tweedie', **settings).fit(rows, counts)",
    "absolute error": "model = xgb.XGBRegressor(objective='reg:absoluteerror', **settings).fit(rows, score)",
    "quantile": "model = xgb.XGBRegressor(objective='reg:quantileerror', quantile_alpha=0.9, **settings)"
    ".fit(rows, score)",
    "early stopping": f"model = xgb.XGBClassifier({STOPPING}).fit(rows[:300], two[:300], {UNTIL.format('two')})",
    "early stopping of three": f"model = xgb.XGBClassifier({STOPPING}).fit(rows[:300], three[:300], "
    f"{UNTIL.format('three')})",
    "early stopping of a regressor": f"model = xgb.XGBRegressor({STOPPING}).fit(rows[:300], score[:300], "
    f"{UNTIL.format('score')})",
    "early stopping of several trees a round": f"model = xgb.XGBClassifier(num_parallel_tree=3, subsample=0.7, "
    f"{STOPPING}).fit(rows[:300], two[:300], {UNTIL.format('two')})",
    "trained on gaps": "model = xgb.XGBClassifier(**settings).fit(gaps, two)",
    "forest": "model = xgb.XGBRFClassifier(**settings).fit(rows, two)",
    "forest of a regressor": "model = xgb.XGBRFRegressor(**settings).fit(rows, score)",
}


@pytest.mark.parametrize("body", CONVERTED.values(), ids=CONVERTED)
def test_a_model_answers_as_xgboost_does(export_source: "ExportSource", body: str) -> None:
    exported = export_source("xgboost", IMPORT, body)
    assert exported.max_abs_error <= 5e-6
    assert [(spec.name, spec.shape) for spec in exported.model.inputs] == [("input", (None, 5))]
    assert (exported.model.opset <= 21, exported.model.ir_version) == (True, 10)
    assert {"onnxmltools", "skl2onnx"} <= set(exported.run.versions)
    assert any(name.startswith("xgboost") for name in exported.run.versions)


@pytest.mark.parametrize("scaler", ["StandardScaler", "MaxAbsScaler"])
def test_a_value_on_a_threshold_stays_on_its_side_behind_a_scaler(export_source: "ExportSource", scaler: str) -> None:
    # The thresholds of XGBoost are values that it saw, so these rows lie on them.
    fit = f"""\
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import {scaler}
model = make_pipeline({scaler}(), xgb.XGBClassifier(**settings)).fit(rows, two)"""
    assert export_source("xgboost", IMPORT, fit).max_abs_error <= 5e-6


def test_categories_enter_as_their_numbers(export_source: "ExportSource") -> None:
    fit = "model = xgb.XGBClassifier(enable_categorical=True, feature_types=list('qqqcq'), **settings).fit(kinds, two)"
    assert export_source("xgboost", IMPORT, fit, judged_by="kinds").max_abs_error <= 5e-6


def test_named_columns_are_converted_by_number_and_the_model_keeps_its_names(export_source: "ExportSource") -> None:
    fit = "model = xgb.XGBClassifier(**settings).fit(frame, two)"
    exported = export_source("xgboost", IMPORT, fit, judged_by="frame")
    assert exported.max_abs_error <= 5e-6
    assert "converted by its features' numbers" in exported.run.source
    assert [(spec.name, spec.shape) for spec in exported.model.inputs] == [("input", (None, 5))]


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "rank:map"])
def test_a_ranker_answers_with_its_scores_and_not_as_a_classifier(
    export_source: "ExportSource", objective: str
) -> None:
    labels = "grades > 1" if objective == "rank:map" else "grades"
    fit = f"model = xgb.XGBRanker(objective={objective!r}, **settings).fit(rows, {labels}, qid=lists)"
    exported = export_source("xgboost", IMPORT, fit)
    assert exported.max_abs_error <= 5e-6
    assert [spec.shape for spec in exported.model.outputs] == [(None, 1)]
    assert "XGBRanker; converted as a regression" in exported.run.source


REFUSED = {
    "gblinear": ("model = xgb.XGBClassifier(booster='gblinear').fit(rows, two)", "xgboost's booster gblinear"),
    "dart": ("model = xgb.XGBRegressor(booster='dart', **settings).fit(rows, score)", "xgboost's booster dart"),
    "logistic regressor": (
        "model = xgb.XGBRegressor(objective='reg:logistic', **settings).fit(rows, two)",
        "the objective reg:logistic of XGBRegressor without its link function",
    ),
    "probabilities of a regressor": (
        "model = xgb.XGBRegressor(objective='binary:logistic', **settings).fit(rows, two)",
        "the objective binary:logistic of XGBRegressor",
    ),
    "softmax": (
        "model = xgb.XGBClassifier(objective='multi:softmax', **settings).fit(rows, three)",
        "the objective multi:softmax of XGBClassifier",
    ),
    "survival": (
        "model = xgb.XGBRegressor(objective='survival:cox', **settings).fit(rows, counts + 1)",
        "the objective survival:cox",
    ),
    "two answers": (
        "model = xgb.XGBRegressor(**settings).fit(rows, np.c_[score, -score])",
        "predicts 2 numbers for each row",
    ),
    "forest of three classes": (
        "model = xgb.XGBRFClassifier(**settings).fit(rows, three)",
        "mixes up the classes of several trees a round",
    ),
    "another missing": (
        "model = xgb.XGBClassifier(missing=-1.0, **settings).fit(rows, two)",
        "the model takes -1.0 for missing",
    ),
    "not fitted": ("model = xgb.XGBClassifier()", "the estimator XGBClassifier is not fitted"),
    "booster": (
        "model = xgb.XGBClassifier(**settings).fit(rows, two).get_booster()",
        "Booster is not a scikit-learn estimator",
    ),
    "not of xgboost": (
        "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression().fit(rows, two)",
        "LogisticRegression is not a model of xgboost's",
    ),
}


@pytest.mark.parametrize(("body", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_would_be_converted_wrongly_is_refused(
    export_source: "ExportSource", body: str, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        export_source("xgboost", IMPORT, body)
    assert expected in caught.value.what


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("gaps", "values of the rows are not finite in float32"),
        ("frame.assign(age=pd.Categorical(['old', 'new'] * 200))", "the column 'age' holds words"),
        ("rows[:, :3]", "refuses the rows"),
    ],
)
def test_rows_that_the_trees_cannot_take_are_refused(export_source: "ExportSource", rows: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        export_source("xgboost", IMPORT, "model = xgb.XGBClassifier(**settings).fit(rows, two)", judged_by=rows)
    assert expected in caught.value.what


@pytest.mark.parametrize("around", ["", "model = make_pipeline(StandardScaler(), model).fit(rows, two)"])
def test_as_a_model_of_scikit_learn_it_is_sent_to_its_own_source(export_source: "ExportSource", around: str) -> None:
    steps = "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler"
    fit = "model = xgb.XGBClassifier(**settings).fit(rows, two)"
    with pytest.raises(InputError) as caught:
        export_source("sklearn", IMPORT, steps, fit, around)
    assert caught.value.what == "XGBClassifier is a model of xgboost"
    assert caught.value.fix.startswith("write model.source: xgboost")
