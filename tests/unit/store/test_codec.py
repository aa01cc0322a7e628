"""Records and columns come back as they went, and nothing else is taken for them."""

import json
import os
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, CellRound, CellSummary
from loadplan.catalog.price import Catalog
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadSpec, LoadVerdict
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.spec import ModelSource, Scenario
from loadplan.store import codec
from loadplan.store.manifest import Artifact, Manifest

SCHEMA = "loadplan.test/1"
RECORDS = (
    Scenario,
    ExportRun,
    Machine,
    CellSummary,
    LoadSpec,
    LoadVerdict,
    CapacityFit,
    Catalog,
    Plan,
    Manifest,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    n: int
    x_s: float
    usd: Decimal
    day: date
    moment: datetime
    is_on: bool
    name: str | None = None


SMALL = Small(
    n=1,
    x_s=0.1,
    usd=Decimal("0.10"),
    day=date(2026, 11, 24),
    moment=datetime.fromisoformat("2026-11-24T09:00:00+00:00"),
    is_on=True,
)


NARROWED: dict[Any, st.SearchStrategy[Any]] = {
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Artifact: st.builds(Artifact, path=st.just("models/é.onnx"), sha256=st.text(), n_bytes=st.integers()),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Every value that a field of this type may have."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind) and kind not in NARROWED:
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{field.name: any_of(hints[field.name]) for field in fields(kind)})
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(any_of, arguments))
    if origin is tuple:
        return st.lists(any_of(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(any_of(arguments[0]), any_of(arguments[1]), max_size=2)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(any_of, arguments))
    return NARROWED.get(kind, st.from_type(kind))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_record_comes_back_equal(kind: type) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(any_of(kind))
    def come_back(record: object) -> None:
        assert codec.loads(codec.dumps(record), kind, where="here") == record

    come_back()


@pytest.mark.parametrize("text", ["<f8", "<f4", "<i8", "<i4", "<i2", "|u1", "|b1", "<U5"])
def test_arrays_in_a_record_come_back_bit_by_bit(text: str) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(st_numpy.arrays(np.dtype(text), st.integers(0, 20)))
    def come_back(values: NDArray[Any]) -> None:
        cell = BenchCell(execution=ExecutionConfig(variant="fp32"), batch_size=1)
        visit = CellRound(cell=cell, i_round=0, service_times_s=values, lost_ratio=0.0, dropped_ratio=0.0)
        back = codec.loads(codec.dumps(visit), CellRound, where="here").service_times_s
        assert (back.dtype, back.tobytes()) == (values.dtype, values.tobytes())
        assert back.flags.writeable

    come_back()


def test_a_path_that_is_not_unicode_comes_back(tmp_path: Path) -> None:
    folder = os.fsdecode(b"/models/\xff")
    source = ModelSource(kind="sklearn", factory="m:build", folder=folder, variants=("fp32",), parity={})
    codec.write_record(tmp_path / "a.json", source, schema=SCHEMA)
    assert codec.read_record(tmp_path / "a.json", ModelSource, schema=SCHEMA) == source


def test_a_record_reads_as_documented(tmp_path: Path) -> None:
    codec.write_record(tmp_path / "a.json", SMALL, schema=SCHEMA)
    text = (tmp_path / "a.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "schema": SCHEMA,
        "sha256": json.loads(text)["sha256"],
        "record": {
            "day": "2026-11-24",
            "is_on": True,
            "moment": "2026-11-24T09:00:00+00:00",
            "n": 1,
            "name": None,
            "usd": "0.10",
            "x_s": 0.1,
        },
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_never_written(number: float, tmp_path: Path) -> None:
    cell = LoadVerdict(
        valid=True,
        invalid_reasons=(),
        achieved_rate_rps=number,
        throughput_rps=1.0,
        late_ratio=0.0,
        clean_ratio=1.0,
        n_failed=0,
        saturation_ratio=0.0,
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.write_record(tmp_path / "a.json", cell, schema=SCHEMA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"n": "1"},
        {"n": True},
        {"n": 1.5},
        {"x_s": "0.1"},
        {"usd": 0.1},
        {"usd": "NaN"},
        {"usd": "free"},
        {"day": "yesterday"},
        {"is_on": 1},
        {"name": 7},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_refused(changed: dict[str, object]) -> None:
    plain = json.loads(codec.dumps(SMALL)) | changed
    with pytest.raises(InputError, match="can't be read"):
        codec.loads(json.dumps(plain), Small, where="here")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '{"n": 1}', '{"n": 1e999}', "[" * 100_000], ids=lambda text: repr(text[:12])
)
def test_a_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="can't be read"):
        codec.loads(text, Small, where="here")


def test_infinity_is_refused_when_read() -> None:
    text = codec.dumps(SMALL).replace("0.1,", "1e999,").replace('"x_s":0.1', '"x_s":1e999')
    with pytest.raises(InputError, match="can't be read"):
        codec.loads(text, Small, where="here")


def test_a_file_of_another_schema_is_refused_and_named(tmp_path: Path) -> None:
    codec.write_record(tmp_path / "a.json", SMALL, schema="loadplan.test/2")
    with pytest.raises(InputError, match=r"loadplan\.test/2.*loadplan\.test/1"):
        codec.read_record(tmp_path / "a.json", Small, schema=SCHEMA)


def test_every_changed_byte_of_a_record_file_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    codec.write_record(file, SMALL, schema=SCHEMA)
    whole = file.read_bytes()
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with suppress(InputError):  # a space between two tokens may change without a consequence
            assert codec.read_record(file, Small, schema=SCHEMA) == SMALL


COLUMNS: dict[str, NDArray[Any]] = {
    "f8": np.array([0.1, np.nan, -0.0, np.inf, 5e-324]),
    "f4": np.array([0.1, np.nan, 1, 2, 3], dtype=np.float32),
    "i8": np.array([-(2**63), 2**63 - 1, 0, 1, 2]),
    "i4": np.arange(5, dtype=np.int32),
    "i2": np.arange(5, dtype=np.int16),
    "u1": np.array([0, 255, 1, 2, 3], dtype=np.uint8),
    "b": np.array([True, False, True, True, False]),
    "text": np.array(["", "é", "x'y", '"', "\n"]),
    'odd "name" é': np.arange(5.0),
}


@pytest.mark.parametrize("n_rows", [5, 0], ids=["rows", "no rows"])
def test_columns_come_back_with_order_types_and_values(n_rows: int, tmp_path: Path) -> None:
    columns = {name: values[:n_rows] for name, values in COLUMNS.items()}
    codec.write_columns(tmp_path / "a.parquet", columns, metadata={"it's": 'a "text"\n', "é": ""})
    back, metadata = codec.read_columns(tmp_path / "a.parquet")
    assert metadata == {"it's": 'a "text"\n', "é": ""}
    assert list(back) == list(columns)
    for name, values in columns.items():
        assert back[name].dtype.kind == values.dtype.kind
        if values.dtype.kind == "U":
            assert list(back[name]) == list(values)
        else:
            assert (back[name].dtype, back[name].tobytes()) == (values.dtype, values.tobytes())


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(300_000)
    codec.write_columns(tmp_path / "a.parquet", {"order": order}, metadata={})
    assert np.array_equal(codec.read_columns(tmp_path / "a.parquet")[0]["order"], order)


def test_the_same_columns_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        codec.write_columns(tmp_path / name, COLUMNS, metadata={"a": "1"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_folder_with_pattern_characters_is_taken_by_its_name(tmp_path: Path) -> None:
    for folder, value in (("a[b]*'", 1), ("ab'", 2)):
        codec.write_columns(tmp_path / folder / "x.parquet", {"n": np.array([value])}, metadata={})
    assert codec.read_columns(tmp_path / "a[b]*'" / "x.parquet")[0]["n"].tolist() == [1]


def write_foreign(file: Path) -> None:
    duckdb.execute(f"COPY (SELECT 1 AS n) TO '{file}' (FORMAT parquet)")


def write_renamed(file: Path) -> None:
    """Our metadata over a column that it doesn't describe."""
    metadata = """{'loadplan.columns/1': '{"n": "int64"}'}"""
    duckdb.execute(f"COPY (SELECT 1.5::DOUBLE AS n) TO '{file}' (FORMAT parquet, KV_METADATA {metadata})")


UNREADABLE: Mapping[str, Callable[[Path], object]] = {
    "missing": lambda file: None,
    "0 bytes": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("due_s,sent_s\n1,2\n"),
    "of a foreign writer": write_foreign,
    "column of another type": write_renamed,
    "a folder": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_not_ours_is_refused(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="can't be read"):
        codec.read_columns(tmp_path / "a.parquet")


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    codec.write_columns(file, COLUMNS, metadata={})
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match="can't be read"):
        codec.read_columns(file)
