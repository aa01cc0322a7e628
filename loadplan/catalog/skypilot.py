"""Price lists of SkyPilot's catalogue: `vms.csv` of one provider, a row for each type and availability zone.

Its columns: InstanceType, vCPUs, MemoryGiB, AcceleratorName, AcceleratorCount, GpuInfo, Price, SpotPrice, Region and,
of some providers, AvailabilityZone and Arch. The decision a reader would question: GPUs that stand in rows of their
own are never added to a host. Only Google's list has them, and whether a host's own price already holds the GPU differs
from list to list; a host of a GPU series without a GPU in its row is left out rather than offered at half its price.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources.abc import Traversable

from loadplan.catalog.csv_rows import CsvRow, cell_error, decimal_in, float_if_told, place_of, read_rows
from loadplan.catalog.price import PurchaseKind
from loadplan.catalog.price_list import PriceList, Unusable, sieve
from loadplan.catalog.price_rows import PriceRow, Shape

COLUMNS = ("InstanceType", "vCPUs", "MemoryGiB", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region")

# Google's series whose machines come with GPUs.
_GCP_GPU_HOST = re.compile(r"[ag]\d+-")
_GPU_MIB = re.compile(r"'SizeInMiB': (\d{1,9})\b")
_ARCHITECTURES = {"x86_64": "x86_64", "arm64": "arm64", "i386": "x86_64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a list by others doesn't say of itself."""

    provider: str
    seen: date
    source: str


def read_skypilot(path: Traversable, origin: Origin) -> PriceList:
    """The prices of one provider's `vms.csv`.

    Raises:
        InputError: when the file is of another shape, or a cell holds no number where there must be one.
    """
    return sieve(found for row in read_rows(path, COLUMNS) for found in _of_row(row, origin))


def _of_row(row: CsvRow, origin: Origin) -> Iterator[PriceRow | Unusable]:
    name = row.cells["InstanceType"]
    if not name or not row.cells["vCPUs"]:
        yield Unusable(reason="a GPU or TPU without a machine", where=place_of(row))
        return
    shape = _shape(row)
    if origin.provider == "gcp" and _GCP_GPU_HOST.match(name) and shape.accelerator is None:
        yield Unusable(reason="a GPU host whose price leaves out its GPU", where=place_of(row))
        return
    prices: tuple[tuple[PurchaseKind, str], ...] = (("on_demand", "Price"), ("spot", "SpotPrice"))
    for purchase, column in prices:
        if row.cells[column]:
            yield PriceRow(
                provider=origin.provider,
                region=row.cells["Region"] or "any",
                instance_type=name,
                purchase=purchase,
                currency="USD",
                usd_per_unit=Decimal(1),
                price_per_hour=price_in(row, column),
                quality="ok",
                note="",
                source=origin.source,
                date_seen=origin.seen,
                shape=shape,
                where=place_of(row),
            )


def price_in(row: CsvRow, column: str) -> Decimal:
    """The number in a cell, whatever its sign: what a price of nothing means is decided by whoever sieves the rows."""
    try:
        price = Decimal(row.cells[column])
    except InvalidOperation:
        raise cell_error(row, column, f"{row.cells[column]!r} is not a number", "name the right file") from None
    if not price.is_finite() or abs(price.adjusted()) > 15:
        raise cell_error(row, column, f"{price} is not a price", "name the right file")
    return price


def _shape(row: CsvRow) -> Shape:
    accelerator = row.cells["AcceleratorName"] or None
    mib = _GPU_MIB.search(row.cells.get("GpuInfo", ""))
    return Shape(
        architecture=_ARCHITECTURES.get(row.cells.get("Arch", "")),
        n_vcpus=max(1, int(decimal_in(row, "vCPUs"))),
        memory_gib=float(decimal_in(row, "MemoryGiB")),
        accelerator=accelerator,
        n_accelerators=float_if_told(row, "AcceleratorCount") or 1.0 if accelerator else 0.0,
        accelerator_memory_gb=round(int(mib[1]) / 1024) if accelerator and mib else None,
    )
