import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.scenario.payload_file import load_payloads, save_payloads
from loadplan.scenario.payloads import PayloadSet, inputs_of, inputs_of_length, take_rows

PAYLOADS = PayloadSet(
    inputs={"input": np.arange(6, dtype=np.float32).reshape(3, 2)},
    expected={"label": np.array([1, 0, 1]), "probabilities": np.ones((3, 2), dtype=np.float32) / 2},
    segments=("light", "heavy", ""),
    labels=np.array(["a", "b", "ö"]),
    groups=np.array([0, 0, 1]),
)


def test_payloads_come_back_as_they_were_written(tmp_path: Path) -> None:
    save_payloads(tmp_path / "rows.npz", PAYLOADS)
    back = load_payloads(tmp_path / "rows.npz")
    for written, read in ((PAYLOADS.inputs, back.inputs), (PAYLOADS.expected, back.expected)):
        assert list(written) == list(read)
        for name in written:
            assert read[name].dtype == written[name].dtype
            assert np.array_equal(read[name], written[name])
    assert back.segments == PAYLOADS.segments
    assert back.labels is not None
    assert back.labels.tolist() == ["a", "b", "ö"]
    assert back.groups is not None
    assert back.groups.tolist() == [0, 0, 1]


def test_rows_without_labels_stay_without(tmp_path: Path) -> None:
    save_payloads(tmp_path / "rows.npz", replace(PAYLOADS, labels=None))
    assert load_payloads(tmp_path / "rows.npz").labels is None


def test_the_same_payloads_are_the_same_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    for name in ("first.npz", "second.npz"):
        save_payloads(tmp_path / name, PAYLOADS)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.npz", "second.npz"]


def test_python_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    hostile = {"input": np.array([print, print, print], dtype=object)}
    with pytest.raises(InputError, match="holds Python objects"):
        save_payloads(tmp_path / "rows.npz", replace(PAYLOADS, inputs=hostile))
    members: dict[str, Any] = {"inputs.input": hostile["input"], "segments": np.array(["", "", ""])}
    np.savez(tmp_path / "rows.npz", **members)
    with pytest.raises(InputError, match="can't be read"):
        load_payloads(tmp_path / "rows.npz")


def test_a_damaged_file_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    save_payloads(path, PAYLOADS)
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole), 37):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match="can't be read"):
            load_payloads(path)
    with pytest.raises(InputError, match="can't be read"):
        load_payloads(tmp_path / "none.npz")


def test_a_changed_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    save_payloads(path, PAYLOADS)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        with contextlib.suppress(InputError):
            back = load_payloads(path)
            assert all(np.array_equal(rows, PAYLOADS.inputs["input"]) for rows in back.inputs.values())


def test_arrays_that_differ_in_length_are_refused(tmp_path: Path) -> None:
    save_payloads(tmp_path / "rows.npz", replace(PAYLOADS, segments=("light",)))
    with pytest.raises(InputError, match="differ in length"):
        load_payloads(tmp_path / "rows.npz")


def test_rows_of_unequal_length_come_back_and_are_cut_to_the_longest_of_a_batch(tmp_path: Path) -> None:
    given = PayloadSet(
        inputs={"ids": np.array([[5, 0, 0], [6, 7, 8], [9, 4, 0]]), "age": np.array([[1.0], [2.0], [3.0]])},
        expected={},
        segments=("", "", ""),
        labels=None,
        lengths=np.array([1, 3, 2]),
        sequences=("ids",),
    )
    save_payloads(tmp_path / "rows.npz", given)
    back = load_payloads(tmp_path / "rows.npz")
    batch = inputs_of(back, np.array([0, 2]))
    assert batch["ids"].tolist() == [[5, 0], [9, 4]]
    assert batch["age"].tolist() == [[1.0], [3.0]]
    assert inputs_of(take_rows(back, np.array([1, 0])), np.array([1]))["ids"].tolist() == [[5]]


def test_rows_of_one_length_are_the_beginnings_of_those_that_are_long_enough() -> None:
    ids = np.array([[1, 2, 3, 4], [5, 0, 0, 0], [6, 7, 8, 0], [9, 9, 0, 0]])
    payloads = PayloadSet(
        inputs={"ids": ids, "age": np.array([[10], [20], [30], [40]])},
        expected={},
        segments=("",) * 4,
        labels=None,
        lengths=np.array([4, 1, 3, 2]),
        sequences=("ids",),
    )
    inputs = inputs_of_length(payloads, 3, 3)
    assert inputs["ids"].tolist() == [[1, 2, 3], [6, 7, 8], [1, 2, 3]]
    assert inputs["age"].tolist() == [[10], [30], [10]]
    assert inputs_of_length(payloads, 1, 2, start=2)["ids"].tolist() == [[9, 9]]
