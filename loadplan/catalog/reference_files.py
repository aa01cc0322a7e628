"""Reads the tables of a snapshot that hold neither machines nor prices; a snapshot of one's own may leave them out."""

from collections.abc import Callable
from datetime import date
from importlib.resources.abc import Traversable
from typing import Literal, TypeVar

from loadplan.catalog.csv_rows import CsvRow, cell_error, date_in, decimal_in, float_if_told, read_rows, text_in
from loadplan.catalog.reference import Accelerator, Facility, GridIntensity, PayPerRequest, PowerRange, References

_Record = TypeVar("_Record")

_ALWAYS = ("source", "date_seen")
_ACCELERATOR_COLUMNS = ("accelerator", "memory_gb", *_ALWAYS)
_POWER_COLUMNS = ("device", "unit", "min_w", "max_w", "basis", *_ALWAYS)
_GRID_COLUMNS = ("provider", "region", "grid", "kg_co2e_per_kwh", "method", *_ALWAYS)
_FACILITY_COLUMNS = ("provider", "pue", *_ALWAYS)
_SERVICE_COLUMNS = (
    "provider", "service", "architecture", "usd_per_million_requests", "usd_per_gb_second", "memory_mb_per_vcpu",
    "billing_step_ms", *_ALWAYS,
)  # fmt: skip


def read_references(folder: Traversable, *, as_of: date) -> References:
    """The tables of a snapshot's folder; those that it lacks are empty.

    Raises:
        InputError: for a figure that can't be right, with its file and line, or one that was seen after `as_of`.
    """

    def table(name: str, columns: tuple[str, ...], read: Callable[[CsvRow, date], _Record]) -> tuple[_Record, ...]:
        path = folder / name
        if not path.is_file():
            return ()
        return tuple(read(row, seen_by(row, as_of)) for row in read_rows(path, columns))

    return References(
        accelerators=table("accelerators.csv", _ACCELERATOR_COLUMNS, _accelerator),
        power=table("power.csv", _POWER_COLUMNS, _power),
        grids=table("grid_intensity.csv", _GRID_COLUMNS, _grid),
        facilities=table("facilities.csv", _FACILITY_COLUMNS, _facility),
        services=table("pay_per_request.csv", _SERVICE_COLUMNS, _service),
    )


def seen_by(row: CsvRow, as_of: date) -> date:
    """The day a figure was seen. Raises InputError for one after `as_of`, the day to plan for."""
    seen = date_in(row, "date_seen")
    if seen > as_of:
        raise cell_error(
            row,
            "date_seen",
            f"this figure was seen on {seen}, after {as_of}, the day to plan for",
            "plan for a later day with --as-of, or correct the date where the file is your own",
        )
    return seen


def _accelerator(row: CsvRow, seen: date) -> Accelerator:
    return Accelerator(
        name=text_in(row, "accelerator"),
        memory_gb=float(decimal_in(row, "memory_gb")),
        bandwidth_gb_per_s=float_if_told(row, "bandwidth_gb_per_s"),
        fp32_tflops=float_if_told(row, "fp32_tflops"),
        fp16_dense_tflops=float_if_told(row, "fp16_dense_tflops"),
        int8_dense_tops=float_if_told(row, "int8_dense_tops"),
        tdp_w=float_if_told(row, "tdp_w"),
        source=text_in(row, "source"),
        seen=seen,
    )


def _power(row: CsvRow, seen: date) -> PowerRange:
    low_w, high_w = float(decimal_in(row, "min_w")), float(decimal_in(row, "max_w"))
    if low_w > high_w:
        raise cell_error(row, "min_w", f"{low_w:g} W is above max_w, {high_w:g} W", "correct one of the two")
    return PowerRange(
        device=text_in(row, "device"),
        unit=_gpu_or_vcpu(row),
        min_w=low_w,
        max_w=high_w,
        basis=_published_or_derived(row),
        source=text_in(row, "source"),
        seen=seen,
    )


def _grid(row: CsvRow, seen: date) -> GridIntensity:
    return GridIntensity(
        provider=text_in(row, "provider"),
        region=text_in(row, "region"),
        grid=text_in(row, "grid"),
        kg_co2e_per_kwh=float(decimal_in(row, "kg_co2e_per_kwh")),
        method=text_in(row, "method"),
        source=text_in(row, "source"),
        seen=seen,
    )


def _facility(row: CsvRow, seen: date) -> Facility:
    pue = float(decimal_in(row, "pue"))
    if pue < 1.0:
        raise cell_error(row, "pue", f"{pue:g} is below 1", "write the power drawn over the power of the machines")
    return Facility(provider=text_in(row, "provider"), pue=pue, source=text_in(row, "source"), seen=seen)


def _service(row: CsvRow, seen: date) -> PayPerRequest:
    return PayPerRequest(
        provider=text_in(row, "provider"),
        service=text_in(row, "service"),
        architecture=text_in(row, "architecture"),
        usd_per_million_requests=decimal_in(row, "usd_per_million_requests"),
        usd_per_gb_second=decimal_in(row, "usd_per_gb_second"),
        memory_mb_per_vcpu=float(decimal_in(row, "memory_mb_per_vcpu")),
        billing_step_s=float(decimal_in(row, "billing_step_ms") / 1000),
        source=text_in(row, "source"),
        seen=seen,
    )


def _gpu_or_vcpu(row: CsvRow) -> Literal["gpu", "vcpu"]:
    match text_in(row, "unit"):
        case "gpu":
            return "gpu"
        case "vcpu":
            return "vcpu"
        case other:
            raise cell_error(row, "unit", f"{other!r} is neither gpu nor vcpu", "write gpu or vcpu")


def _published_or_derived(row: CsvRow) -> Literal["published", "derived"]:
    match text_in(row, "basis"):
        case "published":
            return "published"
        case "derived":
            return "derived"
        case other:
            raise cell_error(row, "basis", f"{other!r} is neither published nor derived", "write one of the two")
