"""Reads a snapshot: a folder with machines, processors, prices and references, each figure with source and date.

The decision a reader would question: a snapshot is read strictly and as a whole, so one bad figure refuses all of it;
half a catalogue would plan without a word on what is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources.abc import Traversable
from typing import Literal, TypeVar

from loadplan.catalog.csv_rows import (
    CsvRow,
    cell_error,
    count_in,
    decimal_in,
    float_if_told,
    place_of,
    read_rows,
    text_in,
)
from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price_rows import PriceRow, read_price_rows
from loadplan.catalog.reference import References
from loadplan.catalog.reference_files import read_references, seen_by
from loadplan.errors import InputError

_FAMILY_COLUMNS = (
    "provider", "family", "cpu_model", "architecture", "vcpu_is", "clock_ghz", "peak_fp32_gflops_per_vcpu", "source",
    "date_seen",
)  # fmt: skip
_INSTANCE_COLUMNS = (
    "provider", "instance_type", "architecture", "n_vcpus", "memory_gib", "accelerator", "n_accelerators",
    "accelerator_memory_gb", "cpu_family", "baseline_ratio", "source", "date_seen",
)  # fmt: skip

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one folder says."""

    version: str
    families: dict[str, CpuFamily]  # by `provider/family`
    types: dict[str, InstanceType]  # by `provider/instance_type`
    prices: tuple[PriceRow, ...]
    references: References


def read_snapshot(folder: Traversable, *, as_of: date) -> Snapshot:
    """The snapshot in a folder.

    Raises:
        InputError: with file and line, for a figure that can't be right or was seen after `as_of`.
    """
    families = _read_families(folder / "cpu_families.csv", as_of)
    return Snapshot(
        version=folder.name,
        families=families,
        types=_read_types(folder / "instances.csv", families, as_of),
        prices=read_price_rows(folder / "prices.csv", as_of=as_of),
        references=read_references(folder, as_of=as_of),
    )


def _read_families(path: Traversable, as_of: date) -> dict[str, CpuFamily]:
    families: dict[str, CpuFamily] = {}
    for row in read_rows(path, _FAMILY_COLUMNS):
        family = CpuFamily(
            name=text_in(row, "family"),
            provider=text_in(row, "provider"),
            cpu_model=text_in(row, "cpu_model"),
            architecture=text_in(row, "architecture"),
            vcpu_is=_core_or_thread(row),
            clock_ghz=float(decimal_in(row, "clock_ghz")),
            peak_fp32_gflops_per_vcpu=float(decimal_in(row, "peak_fp32_gflops_per_vcpu")),
            source=text_in(row, "source"),
            # A snapshot of one's own may know less of its processors.
            peak_int8_gops_per_vcpu=float_if_told(row, "peak_int8_gops_per_vcpu"),
            int8_path=row.cells.get("int8_path") or None,
            memory_gb_per_s_per_vcpu=float_if_told(row, "memory_gb_per_s_per_vcpu"),
            seen=seen_by(row, as_of),
        )
        _add_once(families, f"{family.provider}/{family.name}", family, row)
    return families


def _read_types(path: Traversable, families: Mapping[str, CpuFamily], as_of: date) -> dict[str, InstanceType]:
    types: dict[str, InstanceType] = {}
    for row in read_rows(path, _INSTANCE_COLUMNS):
        accelerator = row.cells["accelerator"] or None
        family = _family_of(row, families)
        instance_type = InstanceType(
            provider=text_in(row, "provider"),
            name=text_in(row, "instance_type"),
            architecture=text_in(row, "architecture"),
            n_vcpus=count_in(row, "n_vcpus"),
            memory_gib=float(decimal_in(row, "memory_gib")),
            accelerator=accelerator,
            n_accelerators=float(decimal_in(row, "n_accelerators")) if accelerator else 0.0,
            accelerator_memory_gb=float(decimal_in(row, "accelerator_memory_gb")) if accelerator else None,
            cpu_family=family,
            baseline_ratio=float_if_told(row, "baseline_ratio"),
            source=text_in(row, "source"),
            vcpu_is=_core_or_thread(row) if row.cells.get("vcpu_is") else None if family is None else family.vcpu_is,
            usable_vcpus=float_if_told(row, "usable_vcpus"),
            usable_memory_gib=float_if_told(row, "usable_memory_gib"),
            surplus_usd_per_vcpu_hour=(
                decimal_in(row, "surplus_usd_per_vcpu_hour") if row.cells.get("surplus_usd_per_vcpu_hour") else None
            ),
            seen=seen_by(row, as_of),
        )
        _add_once(types, f"{instance_type.provider}/{instance_type.name}", instance_type, row)
    return types


def _core_or_thread(row: CsvRow) -> Literal["core", "thread"]:
    match text_in(row, "vcpu_is"):
        case "core":
            return "core"
        case "thread":
            return "thread"
        case other:
            raise cell_error(row, "vcpu_is", f"{other!r} is neither core nor thread", "write core or thread")


def _family_of(row: CsvRow, families: Mapping[str, CpuFamily]) -> CpuFamily | None:
    name = row.cells["cpu_family"]
    key = f"{row.cells['provider']}/{name}"
    if name and key not in families:
        raise cell_error(row, "cpu_family", f"{key} is not in cpu_families.csv", "describe the family there")
    return families[key] if name else None


def _add_once(known: dict[str, _Value], key: str, value: _Value, row: CsvRow) -> None:
    if key in known:
        raise InputError(what=f"{key} stands twice", where=place_of(row), fix="keep one of the two rows")
    known[key] = value
