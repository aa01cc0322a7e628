import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from loadplan.errors import EnvironmentFault, InputError, ObjectiveMissed
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportRun
from loadplan.export.parity import check_parity
from loadplan.export.runner import export_model
from loadplan.inference import open_session
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, ParityLimits

ROOT = Path(__file__).parents[3]


def within(max_abs_error: float) -> ParityLimits:
    return ParityLimits(max_abs_error=max_abs_error, top1_agreement_ratio=None, min_cosine=None)


HEADER = """\
import numpy as np
from loadplan.export.source import TrainedModel
rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
labels = (rows.sum(axis=1) > 0).astype(int)
"""


def source(folder: Path, *, factory: str = "shop_model:build", max_abs_error: float = 1e-5) -> ModelSource:
    return ModelSource(
        kind="sklearn",
        factory=factory,
        folder=str(folder),
        variants=("fp32",),
        parity={"fp32": within(max_abs_error)},
    )


def export(folder: Path, body: str, *, max_abs_error: float = 1e-5) -> tuple[ExportRun, PayloadSet]:
    """Export what `build` with this body returns; the rows and labels above are at hand."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (folder / "shop_model.py").write_text(f"{HEADER}\ndef build():\n{lines}\n")
    models = folder / "models"
    models.mkdir(exist_ok=True)
    return export_model(source(folder, max_abs_error=max_abs_error), models_folder=models)


def trained(estimator: str, *, extra: str = "") -> str:
    return f"{estimator}\nreturn TrainedModel(estimator=model, rows=rows{extra})"


LOGISTIC = "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression().fit(rows, labels)"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportRun, PayloadSet, Path]:
    models = tmp_path_factory.mktemp("digits") / "models"
    models.mkdir()
    run, payloads = export_model(source(ROOT / "scenarios", factory="digits_model:build"), models_folder=models)
    return run, payloads, models / "fp32.onnx"


def test_the_digits_answer_like_their_source_at_every_batch_size(digits: tuple[ExportRun, PayloadSet, Path]) -> None:
    (model,) = digits[0].models
    assert [check.batch_size for check in model.parity] == [1, 2, 7, 32, 450]
    assert all(check.n_rows == 450 for check in model.parity)
    assert all(check.max_abs_error <= 1e-5 for check in model.parity)
    assert all(check.top1_agreement_ratio == 1.0 and check.n_not_finite == 0 for check in model.parity)


def test_the_digits_are_read_well_in_every_segment(digits: tuple[ExportRun, PayloadSet, Path]) -> None:
    (model,) = digits[0].models
    assert [part.segment for part in model.quality] == ["", "heavy", "light", "medium"]
    assert (model.quality[0].value or 0.0) >= 0.97
    assert sum(part.n_rows for part in model.quality[1:]) == 450
    assert all(145 <= part.n_rows <= 155 for part in model.quality[1:])


def test_the_artefact_describes_the_file_that_was_written(digits: tuple[ExportRun, PayloadSet, Path]) -> None:
    run, payloads, path = digits
    (model,) = run.models
    assert model.path == "models/fp32.onnx"
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.n_bytes == path.stat().st_size
    assert (model.opset, model.ir_version) == (21, 10)
    assert model.n_parameters == 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10
    assert [(spec.name, spec.dtype, spec.shape) for spec in model.inputs] == [("input", "float32", (None, 64))]
    assert [spec.shape for spec in model.outputs] == [(None,), (None, 10)]
    assert run.source == "sklearn digits_model:build (MLPClassifier)"
    assert {"scikit-learn", "skl2onnx", "onnx", "onnxruntime"} <= set(run.versions)
    batch_axes = {tensor.type.tensor_type.shape.dim[0].dim_param for tensor in onnx.load(path).graph.output}
    assert batch_axes == {"batch"}
    assert payloads.n_rows == 450
    assert sorted(payload.name for payload in path.parent.iterdir()) == ["fp32.onnx"]


def test_payloads_carry_the_answers_of_the_source(digits: tuple[ExportRun, PayloadSet, Path]) -> None:
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    payloads = digits[1]
    assert payloads.inputs["input"].dtype == payloads.expected["probabilities"].dtype == np.float32
    assert np.allclose(payloads.expected["probabilities"].sum(axis=1), 1.0, atol=1e-5)
    assert payloads.labels is not None
    # The rows are real images: each is one of the data set's, with the label that the data set gives it.
    data = load_digits()
    nearest = KNeighborsClassifier(n_neighbors=1).fit(data.data / 16.0, data.target)
    distances, _ = nearest.kneighbors(payloads.inputs["input"])
    assert distances.max() < 1e-6
    assert np.array_equal(nearest.predict(payloads.inputs["input"]), payloads.labels)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = [export(tmp_path, trained(LOGISTIC))[0].models[0].sha256 for _ in range(2)]
    assert digests[0] == digests[1]


def scaled_by_a_hundredth(path: Path, payloads: PayloadSet, limits: ParityLimits) -> tuple[list[str], list[str]]:
    """The names of the weights whose scaling the parity check catches, and of those that it lets pass."""
    patched = path.parent.parent / "patched.onnx"
    caught, unchanged = [], []
    for index, tensor in enumerate(onnx.load(path).graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        model = onnx.load(path)
        weights = numpy_helper.to_array(tensor) * np.float32(1.01)
        model.graph.initializer[index].CopyFrom(numpy_helper.from_array(weights, tensor.name))
        onnx.save(model, patched)
        session = open_session(patched, ExecutionConfig(variant="fp32"))
        try:
            check_parity(session, payloads, variant="fp32", limits=limits)
            unchanged.append(tensor.name)
        except ObjectiveMissed:
            caught.append(tensor.name)
    return caught, unchanged


def test_scaling_any_one_weight_of_the_digits_by_a_hundredth_is_caught(
    digits: tuple[ExportRun, PayloadSet, Path],
) -> None:
    run, payloads, path = digits
    caught, unchanged = scaled_by_a_hundredth(path, payloads, within(1e-5))
    assert unchanged == []  # no tensor of this model changes nothing
    assert len(caught) == 6  # weights and intercepts of three layers
    sensitivity = run.models[0].sensitivity
    assert sensitivity is not None
    assert (sensitivity.n_weights, sensitivity.n_examined, sensitivity.unproved) == (6, 6, ())


REGRESSOR_NEAR_100 = """\
from sklearn.neural_network import MLPRegressor
model = MLPRegressor(hidden_layer_sizes=(16,), max_iter=60, solver="lbfgs", random_state=0)
model.fit(rows, 100 + 20 * rows.sum(axis=1))"""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scaling_any_one_weight_of_a_regressor_is_caught_within_limits_that_grow_with_its_answers(
    tmp_path: Path,
) -> None:
    limits = ParityLimits(max_abs_error=1e-5, max_rel_error=1e-5, top1_agreement_ratio=None, min_cosine=None)
    _, payloads = export(tmp_path, trained(REGRESSOR_NEAR_100), max_abs_error=1e-2)
    assert float(np.abs(payloads.expected["variable"]).mean()) > 80.0
    path = tmp_path / "models" / "fp32.onnx"
    check_parity(
        open_session(path, ExecutionConfig(variant="fp32")), payloads, variant="fp32", limits=limits
    )  # as it is, it passes
    caught, unchanged = scaled_by_a_hundredth(path, payloads, limits)
    assert (len(caught), unchanged) == (4, [])


UNUSED = """\
from sklearn.neural_network import MLPRegressor
model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=60, solver="lbfgs", random_state=0).fit(rows, rows.sum(axis=1))
model.intercepts_[1] = np.full(1, 1e-7)"""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_weight_that_no_row_tells_of_is_a_doubt_by_name(tmp_path: Path) -> None:
    run, _ = export(tmp_path, trained(UNUSED))
    sensitivity = run.models[0].sensitivity
    assert sensitivity is not None
    assert sensitivity.unproved == ("intercepts1",)
    (caveat,) = run.caveats
    assert caveat.code == "export.unproved_weights"
    assert "1 of 4 weights of fp32 could be 1 % wrong and no answer to 40 evaluation rows would tell: intercepts1" in (
        caveat.what
    )


def test_a_failed_check_names_the_worst_element_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveMissed) as caught:
        export(tmp_path, trained(LOGISTIC, extra=", segments=['north'] * 40"), max_abs_error=1e-12)
    assert caught.value.exit_code == 1
    assert "variant fp32 differs from its source by" in caught.value.what
    assert "in output probabilities, element" in caught.value.what
    assert "evaluation row" in caught.value.where
    assert "(segment north) at batch size" in caught.value.where
    assert "input starting" in caught.value.where
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(
    "estimator",
    [
        "from sklearn.ensemble import RandomForestClassifier as C\nmodel = C(5, random_state=0).fit(rows, labels)",
        LOGISTIC.replace("labels)", "np.array(['no', 'yes'])[labels])"),
        LOGISTIC
        + "\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler"
        + "\nmodel = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)",
        "from sklearn.linear_model import Ridge\nmodel = Ridge().fit(rows, rows.sum(axis=1))",
    ],
    ids=["forest", "class names in words", "pipeline", "regressor"],
)
def test_other_estimators_export_too(tmp_path: Path, estimator: str) -> None:
    run, _ = export(tmp_path, trained(estimator))
    assert run.models[0].n_parameters > 0
    assert (tmp_path / "models" / "fp32.onnx").is_file()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (trained("from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression()"), "is not fitted"),
        (trained("model = 'no estimator'"), "str is not a scikit-learn estimator"),
        (trained("from sklearn.svm import LinearSVC\nmodel = LinearSVC().fit(rows, labels)"), "has no predict_proba"),
        (trained("from sklearn.cluster import KMeans\nmodel = KMeans(2).fit(rows)"), "neither a classifier nor"),
        (
            trained(
                "from sklearn.semi_supervised import LabelPropagation\nmodel = LabelPropagation().fit(rows, labels)"
            ),
            "skl2onnx has no converter for LabelPropagation",
        ),
        (trained(LOGISTIC, extra="[:, :2]"), "refuses the rows"),
        (trained(LOGISTIC, extra="[0]"), "the rows have the shape (3,)"),
        (trained(LOGISTIC, extra="[:0]"), "the rows have the shape (0, 3)"),
        (trained(LOGISTIC, extra=".astype(str)"), "not numbers"),
        (trained(LOGISTIC, extra=".astype(np.float64) * 1e39"), "not finite in float32"),
        (trained(LOGISTIC, extra=", labels=labels[1:]"), "40 rows and 39 labels"),
        (trained(LOGISTIC, extra=", segments=['a']"), "40 rows and 1 segments"),
        ("return 7", "returned int, not a TrainedModel"),
        ("raise ValueError('no data today')", "the factory failed with ValueError: no data today"),
    ],
    ids=[
        "not fitted",
        "no estimator",
        "no probabilities",
        "clusters",
        "no converter",
        "too few features",
        "one row only",
        "no rows",
        "text",
        "beyond float32",
        "labels",
        "segments",
        "another type",
        "factory raises",
    ],
)
def test_a_model_that_cannot_be_served_has_a_message_of_its_own(tmp_path: Path, body: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        export(tmp_path, body)
    assert expected in caught.value.what
    assert list((tmp_path / "models").iterdir()) == []


def test_a_factory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file shop_model\.py"):
        export_model(source(tmp_path), models_folder=tmp_path)
    (tmp_path / "shop_model.py").write_text("")
    with pytest.raises(InputError, match="has no function build"):
        export_model(source(tmp_path), models_folder=tmp_path)


@pytest.mark.parametrize(
    ("package", "fix"),
    [
        ("sklearn.linear_model", 'pip install "loadplan[sklearn]"'),
        ("xgboost", 'pip install "loadplan[boosting]"'),
        ("shop_tools", "install shop_tools"),
    ],
)
def test_a_package_that_is_not_installed_is_an_environment_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, fix: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, package.partition(".")[0], None)
    with pytest.raises(EnvironmentFault) as caught:
        export(tmp_path, f"import {package}")
    assert fix in caught.value.fix


def test_without_the_converter_the_extra_is_named(tmp_path: Path) -> None:
    # A fresh interpreter in which skl2onnx can't be imported.
    (tmp_path / "shop_model.py").write_text(
        f"{HEADER}\ndef build():\n    return TrainedModel(estimator=1, rows=rows)\n"
    )
    code = (
        "import sys; sys.modules['skl2onnx'] = None\n"
        "from pathlib import Path\n"
        "from loadplan.errors import EnvironmentFault\n"
        "from loadplan.export.runner import export_model\n"
        "from loadplan.scenario.spec import ModelSource, ParityLimits\n"
        "limits = ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None)\n"
        f"source = ModelSource(kind='sklearn', factory='shop_model:build', folder={str(tmp_path)!r},"
        " variants=('fp32',), parity={'fp32': limits})\n"
        "try: export_model(source, models_folder=Path('.'))\n"
        "except EnvironmentFault as fault: print(fault.what, '|', fault.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == 'the package skl2onnx is not installed | run: pip install "loadplan[sklearn]"\n'


def test_a_factory_may_import_its_neighbours_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for folder, value in ((tmp_path / "one", "1"), (tmp_path / "two", "2")):
        folder.mkdir()
        (folder / "shop_helpers.py").write_text(f"SCALE = {value}\n")
        body = f"import shop_helpers\nassert shop_helpers.SCALE == {value}\n" + trained(LOGISTIC)
        path = list(sys.path)
        export(folder, body)
        assert sys.path == path
        assert "shop_helpers" not in sys.modules


def test_a_factory_needs_no_heavy_import_from_loadplan() -> None:
    code = "import sys, loadplan.export.source; print(sorted({'onnx', 'onnxruntime', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
