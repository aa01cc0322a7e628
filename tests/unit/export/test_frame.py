"""Models fed from a DataFrame: numbers and words, one named input for each column."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from loadplan.errors import InputError, ObjectiveMissed
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportRun
from loadplan.export.runner import export_model
from loadplan.inference import example_text, open_session
from loadplan.load.messages.requests import v2_requests
from loadplan.scenario.payload_file import load_payloads, save_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import ModelSource, ParityLimits

HEADER = """\
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from loadplan.export.source import TrainedModel
rng = np.random.default_rng(0)
rows = pd.DataFrame({
    "age (years)": rng.normal(40, 10, 120),
    "visits": rng.integers(0, 5, 120),
    "city": rng.choice(["oslo", "rome", "bonn"], 120),
    "ignored": rng.normal(size=120),
})
labels = ((rows["age (years)"] > 40) ^ (rows["city"] == "rome")).astype(int)
encode = ColumnTransformer(
    [("numbers", StandardScaler(), ["age (years)", "visits"]), ("words", OneHotEncoder(), ["city"])]
)
"""
MIXED = "model = make_pipeline(encode, LogisticRegression()).fit(rows, labels)"
RETURN = "return TrainedModel(estimator=model, rows=rows, labels=labels, segments=list(rows['city']))"


def export(folder: Path, *body: str, max_abs_error: float = 1e-5) -> tuple[ExportRun, PayloadSet]:
    """Export what `build` with this body returns; the frame, its labels and the encoder above are at hand."""
    lines = "\n".join(f"    {line}" for line in ("global rows, labels", *body))
    (folder / "shop_model.py").write_text(f"{HEADER}\ndef build():\n{lines}\n")
    models = folder / "models"
    models.mkdir(exist_ok=True)
    source = ModelSource(
        kind="sklearn",
        factory="shop_model:build",
        folder=str(folder),
        variants=("fp32",),
        parity={"fp32": ParityLimits(max_abs_error=max_abs_error, top1_agreement_ratio=None, min_cosine=None)},
    )
    return export_model(source, models_folder=models)


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_each_column_is_an_input_of_its_own_and_words_stay_words(tmp_path: Path, dtype: str) -> None:
    run, payloads = export(tmp_path, f"rows['city'] = rows['city'].astype({dtype!r})", MIXED, RETURN)
    (model,) = run.models
    assert [(spec.name, spec.dtype, spec.shape) for spec in model.inputs] == [
        ("age__years_", "float32", (None, 1)),
        ("visits", "float32", (None, 1)),
        ("city", "object", (None, 1)),
        ("ignored", "float32", (None, 1)),
    ]
    assert all(check.max_abs_error <= 1e-5 and check.top1_agreement_ratio == 1.0 for check in model.parity)
    assert [part.segment for part in model.quality] == ["", "bonn", "oslo", "rome"]
    assert payloads.inputs["city"].dtype.kind == "U"
    assert tuple(payloads.inputs["city"].ravel()) == payloads.segments
    assert payloads.inputs["visits"].dtype == np.float32


def test_the_requests_of_mixed_columns_can_be_stored_and_sent(tmp_path: Path) -> None:
    _, payloads = export(tmp_path, MIXED, RETURN)
    save_payloads(tmp_path / "samples.npz", payloads)
    stored = load_payloads(tmp_path / "samples.npz")
    body = v2_requests(stored, model="shop", rows_per_request=always(2)).bodies[0].decode()
    words = list(payloads.segments[:2])
    assert f'{{"name":"city","datatype":"BYTES","shape":[2,1],"data":["{words[0]}","{words[1]}"]}}' in body
    assert '{"name":"visits","datatype":"FP32","shape":[2,1],"data":[' in body


def test_the_file_names_a_word_that_its_encoder_knows(tmp_path: Path) -> None:
    _, payloads = export(tmp_path, MIXED, RETURN)
    session = open_session(tmp_path / "models" / "fp32.onnx", ExecutionConfig(variant="fp32"))
    assert example_text(session) == {"city": payloads.segments[0]}


@pytest.mark.parametrize(
    "body",
    [
        "model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)",
        "rows = rows.astype({'visits': 'Int64'}); model = LogisticRegression().fit(rows, labels)",
    ],
    ids=["pipeline", "nullable numbers"],
)
def test_a_frame_of_numbers_enters_as_one_tensor(tmp_path: Path, body: str) -> None:
    numbers = "rows = rows[['visits', 'ignored']]"
    run, _ = export(tmp_path, numbers, body, "return TrainedModel(estimator=model, rows=rows, labels=labels)")
    assert [(spec.name, spec.shape) for spec in run.models[0].inputs] == [("input", (None, 2))]


def test_labels_in_words_of_a_series_are_stored_as_text(tmp_path: Path) -> None:
    body = "labels = labels.map({0: 'no', 1: 'yes'})"
    run, payloads = export(tmp_path, body, MIXED, RETURN)
    assert payloads.labels is not None
    assert payloads.labels.dtype.kind == "U"
    assert (run.models[0].quality[0].value or 0.0) > 0.5


def test_a_failed_check_shows_the_words_of_the_row(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveMissed) as caught:
        export(tmp_path, MIXED, RETURN, max_abs_error=1e-12)
    assert any(f"city starting '{city}'" in caught.value.where for city in ("oslo", "rome", "bonn"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("rows.loc[[3, 5], 'city'] = None", "the column 'city' lacks 2 of 120 values"),
        ("rows.loc[3, 'ignored'] = np.nan", "the column 'ignored' lacks 1 of 120 values"),
        ("rows['ignored'] = np.inf", "the column 'ignored' holds values that are not finite"),
        ("rows['visits'] += 2**24 + 1", "the column 'visits' holds whole numbers beyond 2^24"),
        ("rows['city'] = pd.Series(['oslo', 7] * 60, dtype=object)", "holds int, neither numbers nor text only"),
        ("rows['city'] = pd.Timestamp('2026-01-01')", "holds Timestamp, neither numbers nor text only"),
        ("rows.loc[3, 'city'] = 'os\\0lo'", "the column 'city' holds text with a NUL character"),
        ("rows.columns = ['a', 'b', 'c', 4]", "the column name 4 is no text"),
        ("rows.columns = ['a', 'b', 'c', 'a']", "the column name 'a' is no text, or given twice"),
        ("rows = rows[:0]", "the rows have the shape (0, 4)"),
        ("rows = rows.drop(columns='city')", "refuses the rows"),
    ],
)
def test_a_frame_that_cannot_be_sent_has_a_message_of_its_own(tmp_path: Path, body: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        export(tmp_path, MIXED, body, "return TrainedModel(estimator=model, rows=rows)")
    assert expected in caught.value.what
    assert list((tmp_path / "models").iterdir()) == []


def test_names_of_inputs_and_outputs_do_not_clash(tmp_path: Path) -> None:
    renamed = "rows = rows.rename(columns={'ignored': 'probabilities'})"
    run, payloads = export(tmp_path, renamed, MIXED, RETURN)
    assert len({*payloads.inputs, *payloads.expected}) == 6
    assert {tensor.name for tensor in onnx.load(tmp_path / "models" / "fp32.onnx").graph.input} == set(payloads.inputs)
    assert run.models[0].parity
