"""Which metric judges which model, and what is said where one doesn't fit."""

from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.export.artifact import ExportedModel
from loadplan.export.runner import export_model
from loadplan.scenario.spec import ModelSource, ParityLimits, QualityGate, QualityMetric

HEADER = """\
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from loadplan.export.source import TrainedModel
rows = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
score = rows[:, 0] + 0.1 * rows[:, 1] * rows[:, 2]
two, words, three = (score > 0).astype(int), np.where(score > 0, "yes", "no"), np.digitize(score, [-1, 1])
grades, lists, segments = np.digitize(score, [-1, 0, 1]), np.arange(400) // 10, ["all"] * 400
"""
CLASSES = "estimator=LogisticRegression().fit(rows, two)"
WORDS = "estimator=LogisticRegression().fit(rows, words)"
NUMBER = "estimator=LinearRegression().fit(rows, score)"


def export(folder: Path, given: str, *, metric: QualityMetric | None) -> ExportedModel:
    (folder / "shop_model.py").write_text(f"{HEADER}\ndef build():\n    return TrainedModel(rows=rows, {given})\n")
    source = ModelSource(
        kind="sklearn",
        factory="shop_model:build",
        folder=str(folder),
        variants=("fp32",),
        parity={"fp32": ParityLimits(max_abs_error=1e-4, top1_agreement_ratio=None, min_cosine=None)},
        quality=None if metric is None else QualityGate(metric=metric, max_drop=0.1),
    )
    (folder / "models").mkdir()
    return export_model(source, models_folder=folder / "models")[0].models[0]


@pytest.mark.parametrize(
    ("given", "metric"),
    [
        pytest.param(f"{CLASSES}, labels=two", "accuracy", id="classes"),
        pytest.param(f"{NUMBER}, labels=score", "mae", id="a number against a number"),
        pytest.param(f"{NUMBER}, labels=two", "auc", id="a number against 0 and 1"),
        pytest.param(f"{NUMBER}, labels=grades, groups=lists", "ndcg", id="a number in a list"),
    ],
)
def test_without_a_gate_the_metric_that_fits_is_measured(tmp_path: Path, given: str, metric: str) -> None:
    quality = export(tmp_path, given, metric=None).quality
    assert [(part.metric, part.verdict) for part in quality] == [(metric, "not_judged")]


@pytest.mark.parametrize(
    ("given", "metric", "value"),
    [
        pytest.param(f"{CLASSES}, labels=two", "auc", 1.0, id="scores of two classes"),
        pytest.param(f"{WORDS}, labels=words", "auc", 1.0, id="classes named in words"),
        pytest.param(f"{NUMBER}, labels=two", "auc", 1.0, id="a number"),
        pytest.param(f"{NUMBER}, labels=grades, groups=lists", "ndcg", 1.0, id="a ranker"),
        pytest.param(f"{NUMBER}, labels=-score, groups=lists", "mae", 1.6, id="groups that nobody asked about"),
    ],
)
def test_the_gates_own_metric_is_judged(tmp_path: Path, given: str, metric: QualityMetric, value: float) -> None:
    quality = export(tmp_path, f"{given}, segments=segments", metric=metric).quality
    assert [(part.segment, part.metric, part.verdict) for part in quality] == [
        ("", metric, "held"),
        ("all", metric, "held"),
    ]
    assert quality[0].value == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize(
    ("given", "metric", "said"),
    [
        (f"{CLASSES}, labels=two * 0", "auc", "all labels are 0, and the area under the curve isn't defined"),
        (f"{NUMBER}, labels=three", "auc", "auc needs labels of two classes, and there are 3"),
        (f"{NUMBER}, labels=two + 1", "auc", "auc needs the labels 0 and 1, and they are 1 and 2"),
        (f"{NUMBER}, labels=two", "accuracy", "accuracy needs a model that names a class"),
        (f"{CLASSES}, labels=two", "mae", "mae needs a model that answers one number for each row"),
        (f"{NUMBER}, labels=np.full(400, np.nan)", "mae", "mae needs labels that are finite numbers"),
        (f"{NUMBER}, labels=grades", "ndcg", "ndcg needs groups, the list in which each row was ranked"),
        (f"{NUMBER}, labels=grades - 1, groups=lists", "ndcg", "grades from 0 to 30, and they run from -1 to 2"),
        (f"{NUMBER}, labels=grades * 0, groups=lists", "ndcg", "all grades are 0"),
    ],
)
def test_a_metric_that_does_not_fit_is_one_clear_message(
    tmp_path: Path, given: str, metric: QualityMetric, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        export(tmp_path, f"{given}, segments=segments", metric=metric)
    assert f"model.quality.metric {metric} doesn't fit what the model answers: " in caught.value.what
    assert said in caught.value.what
    assert caught.value.fix.startswith(("use the metric", "remove model.quality"))


def test_groups_of_another_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="returned 400 rows and 40 groups"):
        export(tmp_path, f"{NUMBER}, labels=grades, groups=np.arange(40)", metric=None)
