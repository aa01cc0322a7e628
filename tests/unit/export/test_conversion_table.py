"""The rows of the conversion table that are scikit-learn's own: each passes parity."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadplan.export.runner import export_model
from loadplan.scenario.reader import read_scenario

if TYPE_CHECKING:
    from tests.unit.export.conftest import ExportSource

ROOT = Path(__file__).parents[3]

CONVERTED = {
    "logistic regression": "from sklearn.linear_model import LogisticRegression as Model\n"
    "model = Model().fit(rows, three)",
    "random forest": "from sklearn.ensemble import RandomForestClassifier as Model\n"
    "model = Model(20, random_state=0).fit(rows, three)",
    "random forest, regressor": "from sklearn.ensemble import RandomForestRegressor as Model\n"
    "model = Model(20, random_state=0).fit(rows, score)",
    "support vectors": "from sklearn.svm import SVC\nfrom sklearn.calibration import CalibratedClassifierCV as Model\n"
    "model = Model(SVC(), ensemble=False).fit(rows, two)",
    "extra trees": "from sklearn.ensemble import ExtraTreesClassifier as Model\n"
    "model = Model(20, random_state=0).fit(rows, two)",
    "gradient boosting": "from sklearn.ensemble import GradientBoostingClassifier as Model\n"
    "model = Model(n_estimators=20, random_state=0).fit(rows, two)",
    "gradient boosting, regressor": "from sklearn.ensemble import GradientBoostingRegressor as Model\n"
    "model = Model(n_estimators=20, random_state=0).fit(rows, score)",
    "histogram gradient boosting": "from sklearn.ensemble import HistGradientBoostingClassifier as Model\n"
    "model = Model(max_iter=20).fit(rows, two)",
    "histogram gradient boosting of three": "from sklearn.ensemble import HistGradientBoostingClassifier as Model\n"
    "model = Model(max_iter=20).fit(rows, three)",
    "histogram gradient boosting, regressor": "from sklearn.ensemble import HistGradientBoostingRegressor as Model\n"
    "model = Model(max_iter=20).fit(rows, score)",
    "histogram boosting trained on gaps": "from sklearn.ensemble import HistGradientBoostingClassifier as Model\n"
    "model = Model(max_iter=20).fit(gaps, two)",
    "a frame of numbers": "from sklearn.ensemble import HistGradientBoostingClassifier as Model\n"
    "model = Model(max_iter=20).fit(frame, two)\nrows = frame",
}


@pytest.mark.filterwarnings("ignore:Attribute `prob[AB]_`:FutureWarning")  # skl2onnx asks every SVC for it
@pytest.mark.parametrize("body", CONVERTED.values(), ids=CONVERTED)
def test_an_estimator_answers_as_scikit_learn_does(export_source: "ExportSource", body: str) -> None:
    exported = export_source("sklearn", body)
    assert exported.max_abs_error <= 5e-6
    assert [(spec.name, spec.dtype, spec.shape) for spec in exported.model.inputs] == [("input", "float32", (None, 5))]
    assert {spec.dtype for spec in exported.model.outputs} <= {"float32", "int64"}  # no list of dictionaries


def test_the_tabular_scenario_answers_like_its_source_and_tells_tumours_of_every_size_apart(tmp_path: Path) -> None:
    source = read_scenario(ROOT / "scenarios" / "tabular.yaml").model
    assert source is not None
    run, payloads = export_model(source, models_folder=tmp_path)
    (model,) = run.models
    assert all(check.max_abs_error <= 1e-5 and check.top1_agreement_ratio == 1.0 for check in model.parity)
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("input", (None, 30))]
    assert [part.segment for part in model.quality] == ["", "large", "medium", "small"]
    assert (model.quality[0].value or 0.0) >= 0.94
    # Thresholds and leaves of the trees, and the score that they start from.
    assert model.sensitivity is not None
    assert (model.sensitivity.n_weights, model.sensitivity.n_examined, model.sensitivity.unproved) == (3, 3, ())
    assert payloads.n_rows == sum(part.n_rows for part in model.quality[1:]) == 285
