"""The rows of the conversion table that are LightGBM's: each passes parity or stops with a message of its own."""

from typing import TYPE_CHECKING

import pytest

from loadplan.errors import InputError

if TYPE_CHECKING:
    from tests.unit.export.conftest import ExportSource

pytest.importorskip("lightgbm", reason="needs the extra boosting, which `make test-all` installs")
pytest.importorskip("onnxmltools", reason="needs the extra boosting, which `make test-all` installs")

IMPORT = """\
import lightgbm as lgb
settings = {'n_estimators': 20, 'n_jobs': 1, 'verbose': -1, 'min_child_samples': 5}
forest = {**settings, 'boosting_type': 'rf', 'bagging_freq': 1, 'bagging_fraction': 0.5}
rows = pd.DataFrame(rows)
kinds = pd.DataFrame(kinds)"""
STOPPING = (
    "{**settings, 'n_estimators': 200, 'learning_rate': 0.9}).fit(rows[:300], two[:300], eval_X=rows[300:], "
    "eval_y=two[300:], callbacks=[lgb.early_stopping(2, verbose=False)])"
)

CONVERTED = {
    "two classes": "model = lgb.LGBMClassifier(**settings).fit(rows, two)",
    "classes in words": "model = lgb.LGBMClassifier(**settings).fit(rows, np.array(['no', 'yes'])[two])",
    "three classes": "model = lgb.LGBMClassifier(**settings).fit(rows, three)",
    "regressor": "model = lgb.LGBMRegressor(**settings).fit(rows, score)",
    "categories": "model = lgb.LGBMClassifier(**settings).fit(kinds, two, categorical_feature=[3])\nrows = kinds",
    "trained on gaps": "model = lgb.LGBMClassifier(**settings).fit(pd.DataFrame(gaps), two)",
    "dart": "model = lgb.LGBMClassifier(boosting_type='dart', **settings).fit(rows, two)",
    "poisson": "model = lgb.LGBMRegressor(objective='poisson', **settings).fit(rows, counts)",
    "tweedie": "model = lgb.LGBMRegressor(objective='tweedie', **settings).fit(rows, counts)",
    "gamma": "model = lgb.LGBMRegressor(objective='gamma', **settings).fit(rows, counts + 1)",
    "quantile": "model = lgb.LGBMRegressor(objective='quantile', alpha=0.9, **settings).fit(rows, score)",
    "huber": "model = lgb.LGBMRegressor(objective='huber', **settings).fit(rows, score)",
    "absolute error": "model = lgb.LGBMRegressor(objective='l1', **settings).fit(rows, score)",
    "early stopping": f"model = lgb.LGBMClassifier(**{STOPPING}",
    "trained on float64": "model = lgb.LGBMClassifier(**settings).fit(rows.astype(float) + 1e-9, two)",
    "ranker": "model = lgb.LGBMRanker(**settings).fit(rows, grades, group=[20] * 20)",
    "ranker by cross entropy": "model = lgb.LGBMRanker(objective='rank_xendcg', **settings)"
    ".fit(rows, grades, group=[20] * 20)",
    "pipeline": "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import RobustScaler\n"
    "model = make_pipeline(RobustScaler().set_output(transform='pandas'), lgb.LGBMRegressor(**settings))"
    ".fit(rows, score)",
}
FORESTS = {
    "two classes": "model = lgb.LGBMClassifier(**forest).fit(rows, two)",
    "three classes": "model = lgb.LGBMClassifier(**forest).fit(rows, three)",
    "regressor": "model = lgb.LGBMRegressor(**forest).fit(rows, score)",
    "ranker": "model = lgb.LGBMRanker(**forest).fit(rows, grades, group=[20] * 20)",
    "under its other name": "model = lgb.LGBMRegressor(boosting='rf', bagging_freq=1, bagging_fraction=0.5, "
    "**settings).fit(rows, score)",
}
NAMES = "rows.columns = [f'f{name}' for name in rows]; kinds.columns = rows.columns"


@pytest.mark.parametrize("body", CONVERTED.values(), ids=CONVERTED)
def test_a_model_answers_as_lightgbm_does(export_source: "ExportSource", body: str) -> None:
    exported = export_source("lightgbm", IMPORT, NAMES, body)
    assert exported.max_abs_error <= 5e-6
    assert [(spec.name, spec.shape) for spec in exported.model.inputs] == [("input", (None, 5))]
    assert (exported.model.opset <= 21, exported.model.ir_version) == (True, 10)
    assert {"lightgbm", "onnxmltools", "skl2onnx"} <= set(exported.run.versions)


@pytest.mark.parametrize("body", FORESTS.values(), ids=FORESTS)
def test_a_random_forest_answers_with_the_average_of_its_trees(export_source: "ExportSource", body: str) -> None:
    exported = export_source("lightgbm", IMPORT, NAMES, body)
    assert exported.max_abs_error <= 5e-6
    assert "the average over its trees moved into their leaves" in exported.run.source


REFUSED = {
    "linear trees": (
        "model = lgb.LGBMRegressor(linear_tree=True, **settings).fit(rows, score)",
        "leave out the linear models in the leaves",
    ),
    "fair": (
        "model = lgb.LGBMRegressor(objective='fair', **settings).fit(rows, score)",
        "the objective fair without its link function",
    ),
    "cross entropy": (
        "model = lgb.LGBMRegressor(objective='cross_entropy', **settings).fit(rows, two)",
        "the objective cross_entropy without its link function",
    ),
    "one class against all": (
        "model = lgb.LGBMClassifier(objective='multiclassova', **settings).fit(rows, three)",
        "the objective multiclassova num_class:3 sigmoid:1 without its link function",
    ),
    "another sigmoid": (
        "model = lgb.LGBMClassifier(sigmoid=2.0, **settings).fit(rows, two)",
        "the objective binary sigmoid:2 without its link function",
    ),
    "roots": (
        "model = lgb.LGBMRegressor(reg_sqrt=True, **settings).fit(rows, score)",
        "the objective regression sqrt without its link function",
    ),
    "not fitted": ("model = lgb.LGBMClassifier()", "the estimator LGBMClassifier is not fitted"),
    "booster": (
        "model = lgb.LGBMClassifier(**settings).fit(rows, two).booster_",
        "Booster is not a scikit-learn estimator",
    ),
    "not of lightgbm": (
        "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression().fit(rows, two)",
        "LogisticRegression is not a model of lightgbm's",
    ),
    "words": (
        "model = lgb.LGBMClassifier(**settings).fit(rows, two)\nrows['f0'] = pd.Categorical(['old', 'new'] * 200)",
        "the column 'f0' holds words",
    ),
}


@pytest.mark.parametrize(("body", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_would_be_converted_wrongly_is_refused(
    export_source: "ExportSource", body: str, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        export_source("lightgbm", IMPORT, NAMES, body)
    assert expected in caught.value.what
