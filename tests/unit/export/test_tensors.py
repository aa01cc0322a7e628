"""Rows of any shape and length, as a factory of torch or transformers returns them. No framework is needed for that."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.export.factory import build_model
from loadplan.export.source import TrainedModel
from loadplan.export.tensors import as_served, label_output, sequences_of
from loadplan.scenario.spec import ModelSource, ModelSourceKind

HEADER = """\
import numpy as np
from loadplan.export.source import TrainedModel
lengths = np.array([3, 1, 2])
ids = np.array([[4, 5, 6], [7, 0, 0], [8, 9, 0]])
dense = np.ones((3, 2), np.float32)
"""


def build(folder: Path, kind: ModelSourceKind, arguments: str) -> TrainedModel:
    (folder / "shop_model.py").write_text(
        f"{HEADER}\ndef build():\n    return TrainedModel(estimator=None, {arguments})\n"
    )
    return build_model(
        ModelSource(kind=kind, factory="shop_model:build", folder=str(folder), variants=("fp32",), parity={})
    )


@pytest.mark.parametrize(
    ("arguments", "n_rows"),
    [
        ("rows=dense", 3),
        ("rows=np.ones((4, 3, 8, 8))", 4),
        ("rows=np.arange(5)", 5),
        ("rows={'ids': ids, 'dense': dense}", 3),
        ("rows={'ids': ids, 'dense': dense}, lengths=lengths, segments=['a'] * 3, labels=[1, 0, 1]", 3),
        ("rows={'ids': ids, 'mask': ids > 0}, lengths=lengths.astype(np.int32)", 3),
    ],
)
def test_tensors_of_any_shape_are_rows(tmp_path: Path, arguments: str, n_rows: int) -> None:
    assert build(tmp_path, "torch", arguments).n_rows == n_rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("rows=dense * np.nan", "6 values of the array of rows are not finite"),
        ("rows={'x': dense.astype(np.float64) * 1e39}", "6 values of the input 'x' are not finite in float32"),
        ("rows=np.array(['a', 'b'])", "the array of rows is of the type <U1"),
        ("rows={'x': dense.astype(np.uint8)}", "the input 'x' is of the type uint8, not float32, int64, int32 or bool"),
        ("rows={}", "a mapping without names of inputs"),
        ("rows={1: dense}", "a mapping without names of inputs"),
        ("rows={'x': dense, 'y': dense[:2]}", "the inputs differ in their rows: x 3, y 2"),
        ("rows={'x': dense[:0]}", "the input 'x' has the shape (0, 2)"),
        ("rows=np.float32(1)", "the array of rows has the shape ()"),
        ("rows={'x': dense}, segments=['a']", "3 rows and 1 segments"),
        ("rows={'ids': ids}, lengths=lengths[:2]", "the lengths have the shape (2,)"),
        ("rows={'ids': ids}, lengths=lengths / 1", "the lengths have the shape (3,) and the type float64"),
        ("rows={'ids': ids}, lengths=lengths - 1", "the lengths run from 0 to 2"),
        ("rows={'ids': ids[:, :1]}, lengths=[1, 1, 1]", "the lengths run from 1 to 1"),
        ("rows={'ids': np.hstack([ids, ids * 0])}, lengths=lengths", "no input has a second axis of 3"),
        (
            "rows={'ids': ids + 1}, lengths=lengths",
            "the input 'ids' is not zero beyond the length of row 1, which is 1",
        ),
    ],
)
def test_tensors_that_cannot_be_sent_have_a_message_each(tmp_path: Path, arguments: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        build(tmp_path, "torch", arguments)
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("transformers", "rows='one sentence'", "of the type str, not a list of sentences"),
        ("transformers", "rows=dense", "of the type ndarray, not a list of sentences"),
        ("transformers", "rows=[]", "there are no rows"),
        ("transformers", "rows=['a', 7]", "row 1 is 7, not a sentence"),
        ("transformers", "rows=['a', ' ']", "row 1 is ' ', not a sentence"),
        (
            "transformers",
            "rows=['a', 'b', 'c'], lengths=lengths",
            "lengths of rows mean nothing to source transformers",
        ),
        ("sklearn", "rows=dense, lengths=lengths", "lengths of rows mean nothing to source sklearn"),
        ("sklearn", "rows=['a', 'b']", "the rows have the shape (2,)"),
        ("sklearn", "rows={'x': dense}", "the rows have the shape ()"),
        ("xgboost", "rows=np.ones((4, 3, 8, 8))", "the rows have the shape (4, 3, 8, 8)"),
    ],
)
def test_each_source_takes_its_own_kind_of_rows(
    tmp_path: Path, kind: ModelSourceKind, arguments: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        build(tmp_path, kind, arguments)
    assert said in caught.value.what


def test_sentences_are_rows(tmp_path: Path) -> None:
    assert build(tmp_path, "transformers", "rows=['a', 'b']").n_rows == 2


@pytest.mark.parametrize(
    ("given", "served"),
    [("float64", "float32"), ("float16", "float32"), ("float32", "float32"), ("int64", "int64"), ("bool", "bool")],
)
def test_fractions_are_served_as_float32_and_whole_numbers_as_they_are(given: str, served: str) -> None:
    assert as_served(np.ones(2, dtype=given)).dtype == served


def test_inputs_as_wide_as_the_longest_row_run_along_its_positions() -> None:
    arrays = {"ids": np.ones((2, 5)), "user": np.ones((2, 3)), "age": np.ones(2), "vectors": np.ones((2, 5, 4))}
    assert sequences_of(arrays, np.array([2, 5])) == ("ids", "vectors")
    assert sequences_of(arrays, None) == ()


def test_a_class_is_a_whole_number_for_each_row_where_the_truth_is_known() -> None:
    scores: NDArray[np.generic] = np.ones((3, 2), np.float32)
    answers = {"scores": scores, "class": np.ones((3, 1), np.int64)}
    assert label_output(answers, np.ones(3)) == "class"
    assert label_output(answers, None) is None
    assert label_output({"scores": scores}, np.ones(3)) is None
