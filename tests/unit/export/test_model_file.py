"""A model in a file: what is opened, what is not, and what is said."""

import os
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.base
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from loadplan.errors import InputError
from loadplan.export.artifact import ExportRun
from loadplan.export.model_file import identity
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, ModelSourceKind, ParityLimits, QualityGate

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 3)).astype(np.float32)
LABELS = (ROWS.sum(axis=1) > 0).astype(int)
GRADES = np.digitize(ROWS[:, 0], [-0.5, 0.5])
FITTED = LogisticRegression().fit(ROWS, LABELS)


class Hostile:
    """Its unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def source(
    folder: Path, file: str, *, kind: ModelSourceKind = "sklearn", trust: bool | tuple[str, ...] = False
) -> ModelSource:
    return ModelSource(
        kind=kind,
        factory=None,
        folder=str(folder),
        variants=("fp32",),
        parity={"fp32": ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None)},
        file=file,
        payload="rows.npz",
        trusts_file=trust is True,
        trusted_types=trust if isinstance(trust, tuple) else (),
    )


def export(given: ModelSource, **arrays: Any) -> tuple[ExportRun, PayloadSet]:
    """Export with these arrays as the rows, `ROWS` by default."""
    folder = Path(given.folder)
    np.savez(folder / "rows.npz", **(arrays or {"rows": ROWS}))
    (folder / "models").mkdir(exist_ok=True)
    return export_model(given, models_folder=folder / "models")


def refusal(given: ModelSource, **arrays: Any) -> InputError:
    shutil.rmtree(Path(given.folder) / "models", ignore_errors=True)
    with pytest.raises(InputError) as caught:
        export(given, **arrays)
    assert list((Path(given.folder) / "models").iterdir()) == []
    return caught.value


def test_a_skops_file_answers_as_the_model_that_was_saved(tmp_path: Path) -> None:
    skops.io.dump(FITTED, tmp_path / "model.skops")
    given = source(tmp_path, "model.skops")
    run, payloads = export(given, rows=ROWS, labels=LABELS, segments=np.array(["a", "b"] * 30))
    assert run.source == "sklearn model.skops (LogisticRegression)"
    assert run.caveats == ()
    assert np.allclose(payloads.expected["probabilities"], FITTED.predict_proba(ROWS), atol=1e-6)
    assert payloads.segments == ("a", "b") * 30
    assert [part.segment for part in run.models[0].quality] == ["", "a", "b"]


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.PKL"])
@pytest.mark.parametrize("trust", [False, ("posix.mkdir",)])
def test_a_pickle_is_not_opened_untrusted_and_the_message_says_why(
    tmp_path: Path, name: str, trust: bool | tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Hostile(tmp_path / "mark")))
    error = refusal(source(tmp_path, name, trust=trust))
    assert not (tmp_path / "mark").exists()
    assert "runs whatever code is in it" in error.what
    assert "skops.io.dump" in error.fix
    assert "model.trust: true" in error.fix
    assert ("a list of types can't bind a pickle" in error.what) == bool(trust)


def test_a_pickle_that_is_trusted_runs_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Hostile(tmp_path / "mark")))
    assert "NoneType is not a scikit-learn estimator" in refusal(source(tmp_path, "model.pkl", trust=True)).what
    assert (tmp_path / "mark").is_dir()  # so the file of the test above would have done it, too
    joblib.dump(FITTED, tmp_path / "model.joblib")
    run, _ = export(source(tmp_path, "model.joblib", trust=True))
    assert run.source == "sklearn model.joblib (LogisticRegression)"


@pytest.mark.parametrize(
    ("kind", "name"), [("sklearn", "model.skops"), ("xgboost", "model.json"), ("lightgbm", "model.txt")]
)
def test_a_pickle_under_another_name_is_not_opened_either(tmp_path: Path, kind: ModelSourceKind, name: str) -> None:
    pytest.importorskip("sklearn" if kind == "sklearn" else kind)
    for written in (pickle.dumps(Hostile(tmp_path / "mark")), b"", b"\0" * 99):
        (tmp_path / name).write_bytes(written)
        said = refusal(source(tmp_path, name, kind=kind)).what
        assert "can't be opened" in said or "is empty" in said
        assert "\n" not in said
    assert not (tmp_path / "mark").exists()


def test_types_that_skops_does_not_vouch_for_are_named_and_can_be_allowed(tmp_path: Path) -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(ROWS, LABELS)
    skops.io.dump(forest, tmp_path / "model.skops")
    error = refusal(source(tmp_path, "model.skops", trust=("shop.Other",)))
    assert error.what == "the file holds types that skops doesn't vouch for: sklearn.tree._tree.Tree"
    assert "model.trust: [shop.Other, sklearn.tree._tree.Tree]" in error.fix
    for trust in (("sklearn.tree._tree.Tree",), True):
        _, payloads = export(source(tmp_path, "model.skops", trust=trust))
        assert np.allclose(payloads.expected["probabilities"], forest.predict_proba(ROWS), atol=1e-6)


OWN_TYPE = """\
from pathlib import Path
from sklearn.linear_model import LogisticRegression
Path(__file__).with_name("imported").touch()
class Mine(LogisticRegression):
    pass
"""


def test_a_type_of_the_users_own_is_imported_from_beside_the_file_when_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_types.py").write_text(OWN_TYPE)
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        import shop_types  # type: ignore[import-not-found]

        skops.io.dump(shop_types.Mine().fit(ROWS, LABELS), tmp_path / "model.skops")
    monkeypatch.delitem(__import__("sys").modules, "shop_types")
    (tmp_path / "imported").unlink()
    assert "shop_types.Mine" in refusal(source(tmp_path, "model.skops")).what
    assert not (tmp_path / "imported").exists()
    said = refusal(source(tmp_path, "model.skops", trust=("shop_types.Mine",))).what
    assert said == "skl2onnx has no converter for Mine (opset 21)"
    assert (tmp_path / "imported").exists()


def test_an_estimator_that_was_saved_unfitted_is_named(tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression(), tmp_path / "model.skops")
    error = refusal(source(tmp_path, "model.skops"))
    assert error.what == "the estimator LogisticRegression is not fitted"
    assert "saved" in error.fix


def test_a_file_of_another_scikit_learn_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(sklearn.base, "__version__", "1.3.2")
        skops.io.dump(FITTED, tmp_path / "model.skops")
    (caveat,) = export(source(tmp_path, "model.skops"))[0].caveats
    assert caveat.code == "export.other_version"
    assert "written by scikit-learn 1.3.2" in caveat.what


def test_one_array_a_column_becomes_the_frame_that_the_model_was_fitted_on(tmp_path: Path) -> None:
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    colours = np.array(["red", "blue", "green"])[GRADES]
    frame = pd.DataFrame({"age": ROWS[:, 1], "colour": colours})
    columns = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["colour"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, LABELS)
    skops.io.dump(model, tmp_path / "model.skops")
    _, payloads = export(source(tmp_path, "model.skops"), colour=colours, age=ROWS[:, 1])
    assert np.allclose(payloads.expected["probabilities"], model.predict_proba(frame), atol=1e-6)
    error = refusal(source(tmp_path, "model.skops"), color=colours, age=ROWS[:, 1])
    assert error.what == "the rows hold the columns color, age; the model was fitted on age, colour"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"rows": ROWS[:, :2]}, "refuses the rows"),
        ({"a": ROWS, "b": ROWS}, "neither one table nor one array a column: a (60, 3), b (60, 3)"),
        ({"rows": ROWS, "expected.y": LABELS}, "the rows bring answers (y)"),
        ({"rows": ROWS * np.float32("nan")}, "not finite in float32"),
        ({"rows": ROWS.astype(str)}, "not numbers"),
        ({"rows": ROWS, "labels": LABELS[1:]}, "rows 60, labels 59"),
    ],
    ids=["too few columns", "two tables", "answers", "NaN", "text", "labels"],
)
def test_rows_that_do_not_fit_have_a_message_each(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    skops.io.dump(FITTED, tmp_path / "model.skops")
    assert said in refusal(source(tmp_path, "model.skops"), **arrays).what


def test_a_gate_without_segments_names_the_rows_that_lack_them(tmp_path: Path) -> None:
    skops.io.dump(FITTED, tmp_path / "model.skops")
    given = replace(source(tmp_path, "model.skops"), quality=QualityGate(metric="accuracy", max_drop=0.01))
    error = refusal(given, rows=ROWS, labels=LABELS)
    assert error.what == "model.quality needs segments, which rows.npz holds none of"
    assert "numpy.savez('rows.npz', …, segments=…)" in error.fix


def test_a_file_that_can_not_be_read_is_named_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.skops")
    (tmp_path / "folder.skops").mkdir()
    for name, said in {
        "absent.skops": "there is no such model file",
        "pipe.skops": "not a regular file",
        "folder.skops": "this is a folder",
    }.items():
        assert said in refusal(source(tmp_path, name)).what
        with pytest.raises(InputError):
            identity(source(tmp_path, name))
    (tmp_path / "model.json").write_text("{}")
    error = refusal(source(tmp_path, "model.json"))
    assert "a file named .json holds no model of source sklearn" in error.what
    assert ".skops, .joblib, .pkl" in error.fix


def test_a_damaged_skops_file_and_a_zip_bomb_are_refused(tmp_path: Path) -> None:
    skops.io.dump(FITTED, tmp_path / "model.skops")
    whole = (tmp_path / "model.skops").read_bytes()
    for n_bytes in range(0, len(whole), len(whole) // 7):
        (tmp_path / "model.skops").write_bytes(whole[:n_bytes])
        refusal(source(tmp_path, "model.skops"))
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", b"small")
    data = (tmp_path / "model.skops").read_bytes()
    assert data.count((5).to_bytes(4, "little") * 2) == 2
    (tmp_path / "model.skops").write_bytes(data.replace((5).to_bytes(4, "little") * 2, b"\xff\xff\xff\xf0" * 2))
    assert "unpacks to 4,043,309,055 bytes" in refusal(source(tmp_path, "model.skops")).what


def test_another_model_or_other_rows_are_another_identity(tmp_path: Path) -> None:
    given = source(tmp_path, "model.skops")
    found = set()
    for model, rows in ((FITTED, ROWS), (LogisticRegression(C=0.1).fit(ROWS, LABELS), ROWS), (FITTED, ROWS[:50])):
        skops.io.dump(model, tmp_path / "model.skops")
        np.savez(tmp_path / "rows.npz", rows=rows)
        found.add(identity(given))
    assert len(found) == 3


@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
def test_xgboosts_own_files_answer_as_the_models_that_were_saved(tmp_path: Path, name: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    lists = np.repeat(np.arange(6), 10)
    matrix = xgboost.DMatrix(ROWS, label=LABELS)
    models = {
        "XGBClassifier": xgboost.XGBClassifier(n_estimators=5).fit(ROWS, GRADES),
        "XGBRegressor": xgboost.XGBRegressor(n_estimators=5).fit(ROWS, ROWS[:, 0]),
        "XGBRanker": xgboost.XGBRanker(n_estimators=5).fit(ROWS, GRADES, qid=lists),
        "XGBClassifier of a Booster": xgboost.train({"objective": "binary:logistic"}, matrix, 5),
    }
    for kind, model in models.items():
        model.save_model(tmp_path / name)
        run, payloads = export(source(tmp_path, name, kind="xgboost"))
        assert f"({kind.partition(' ')[0]}" in run.source
        if "Booster" in kind:
            wanted = np.column_stack((1 - model.predict(matrix), model.predict(matrix)))
        else:
            wanted = model.predict_proba(ROWS) if "Classifier" in kind else model.predict(ROWS).reshape(-1, 1)
        got = list(payloads.expected.values())[-1]
        assert np.allclose(got, wanted, atol=1e-6), kind


def test_lightgbms_own_file_answers_as_the_model_that_was_saved(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    quiet = {"n_estimators": 5, "min_child_samples": 2, "verbose": -1}
    models = [
        lightgbm.LGBMClassifier(**quiet).fit(ROWS, GRADES),
        lightgbm.LGBMClassifier(**quiet).fit(ROWS, LABELS),
        lightgbm.LGBMRegressor(**quiet).fit(ROWS, ROWS[:, 0]),
        lightgbm.LGBMRanker(**quiet).fit(ROWS, GRADES, group=[10] * 6),
        lightgbm.LGBMRegressor(boosting_type="rf", subsample=0.5, subsample_freq=1, **quiet).fit(ROWS, ROWS[:, 0]),
    ]
    for model in models:
        model.booster_.save_model(tmp_path / "model.txt")
        run, payloads = export(source(tmp_path, "model.txt", kind="lightgbm"))
        assert type(model).__name__ in run.source
        is_classifier = isinstance(model, lightgbm.LGBMClassifier)
        wanted = model.predict_proba(ROWS) if is_classifier else model.predict(ROWS).reshape(-1, 1)
        assert np.allclose(list(payloads.expected.values())[-1], wanted, atol=1e-6)


@pytest.mark.parametrize(("kind", "fix"), [("xgboost", "save_model('model.ubj')"), ("lightgbm", "'model.txt'")])
def test_a_pickle_of_trees_names_their_own_format(tmp_path: Path, kind: ModelSourceKind, fix: str) -> None:
    (tmp_path / "model.pkl").write_bytes(b"never read")
    assert fix in refusal(source(tmp_path, "model.pkl", kind=kind)).fix
