"""Rows of prices in loadplan's own form, read strictly: of a snapshot, an import, or a project's own file.

A price stays as it was written, with its currency. The decision a reader would question: another currency than USD
needs the rate beside it, stated by whoever wrote the file; a rate that loadplan looked up would change plans silently.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import get_args

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
from loadplan.catalog.price import PurchaseKind
from loadplan.catalog.reference_files import seen_by
from loadplan.errors import InputError

# A table, so that a checked text becomes a member of the Literal.
PURCHASES: Mapping[str, PurchaseKind] = {kind: kind for kind in get_args(PurchaseKind)}
NO_RATES: Mapping[str, Decimal] = MappingProxyType({})
# Price lists write this where a type can't be bought.
SENTINEL_USD_PER_HOUR = Decimal(700)

_REQUIRED = ("provider", "region", "instance_type", "currency", "price_per_hour", "source", "date_seen")
_WRITTEN = (
    "provider", "region", "instance_type", "purchase", "currency", "usd_per_unit", "price_per_hour", "quality", "note",
    "architecture", "n_vcpus", "memory_gib", "accelerator", "n_accelerators", "accelerator_memory_gb",
    "baseline_ratio", "source", "date_seen",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A machine as a row of prices describes it; used where the catalogue doesn't know the type."""

    architecture: str | None  # None: not told
    n_vcpus: int
    memory_gib: float
    accelerator: str | None
    n_accelerators: float  # may be a fraction
    accelerator_memory_gb: float | None
    baseline_ratio: float | None = None  # burstable types: share of a vCPU that is always there


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """One price as it was found."""

    provider: str
    region: str
    instance_type: str
    purchase: PurchaseKind
    currency: str
    usd_per_unit: Decimal  # what one unit of the currency is in USD, as stated; 1 for USD
    price_per_hour: Decimal  # in the currency
    quality: str  # `ok`, or what is doubtful
    note: str
    source: str
    date_seen: date
    shape: Shape | None  # None: the row doesn't describe the machine
    where: str  # file and line

    @property
    def offer_name(self) -> str:
        """`provider/region/instance_type/purchase`."""
        return f"{self.provider}/{self.region}/{self.instance_type}/{self.purchase}"

    @property
    def type_name(self) -> str:
        """`provider/instance_type`."""
        return f"{self.provider}/{self.instance_type}"

    @property
    def usd_per_hour(self) -> Decimal:
        """The price at the stated rate."""
        return self.price_per_hour if self.currency == "USD" else self.price_per_hour * self.usd_per_unit


def read_price_rows(path: Traversable, *, as_of: date, rates: Mapping[str, Decimal] = NO_RATES) -> tuple[PriceRow, ...]:
    """The rows of a price file in order.

    Args:
        path: a CSV file with at least the columns of `_REQUIRED`; `purchase` is on_demand unless told.
        as_of: a price seen after it is an error.
        rates: USD per unit of other currencies, for rows that state none.

    Raises:
        InputError: with file and line, for a cell that can't be right, and for an offer that stands twice.
    """
    rows = []
    for row in parsed_rows(path, as_of=as_of, rates=rates):
        if isinstance(row, InputError):
            raise row
        rows.append(row)
    return tuple(rows)


def parsed_rows(path: Traversable, *, as_of: date, rates: Mapping[str, Decimal]) -> Iterator[PriceRow | InputError]:
    """Each row, or what is wrong with it, so that all mistakes of a file can be told at once.

    Raises:
        InputError: when the file as a whole can't be read.
    """
    lines: dict[str, int] = {}
    for cells in read_rows(path, _REQUIRED):
        try:
            row = _price_row(cells, as_of, rates)
        except InputError as error:
            yield error
            continue
        if row.offer_name in lines:
            yield InputError(
                what=f"{row.offer_name} stands twice, first in line {lines[row.offer_name]}",
                where=row.where,
                fix="keep one of the two rows",
            )
            continue
        lines[row.offer_name] = cells.i_line
        yield row


def price_csv(rows: Iterable[PriceRow]) -> str:
    """The text of a price file with these rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_WRITTEN)
    writer.writerows(_cells(row) for row in rows)
    return text.getvalue()


def _price_row(row: CsvRow, as_of: date, rates: Mapping[str, Decimal]) -> PriceRow:
    purchase = _purchase_in(row)
    currency = text_in(row, "currency")
    return PriceRow(
        provider=text_in(row, "provider"),
        region=text_in(row, "region"),
        instance_type=text_in(row, "instance_type"),
        purchase=purchase,
        currency=currency,
        usd_per_unit=_rate_in(row, currency, rates),
        price_per_hour=_price_in(row, purchase),
        quality=row.cells.get("quality") or "ok",
        note=row.cells.get("note", ""),
        source=text_in(row, "source"),
        date_seen=seen_by(row, as_of),
        shape=_shape_in(row) if row.cells.get("n_vcpus") else None,
        where=place_of(row),
    )


def _purchase_in(row: CsvRow) -> PurchaseKind:
    text = row.cells.get("purchase") or "on_demand"
    if text not in PURCHASES:
        raise cell_error(row, "purchase", f"{text!r} is not known", f"use one of {', '.join(PURCHASES)}")
    return PURCHASES[text]


def _rate_in(row: CsvRow, currency: str, rates: Mapping[str, Decimal]) -> Decimal:
    if currency == "USD":
        return Decimal(1)
    if row.cells.get("usd_per_unit"):
        return decimal_in(row, "usd_per_unit")
    if currency not in rates:
        raise cell_error(
            row,
            "currency",
            f"{currency} is not USD, and nothing states what one {currency} is in USD",
            f"add a column usd_per_unit, or import the file with --fx {currency}=RATE",
        )
    return rates[currency]


def _price_in(row: CsvRow, purchase: PurchaseKind) -> Decimal:
    # Machines that stand there already may cost nothing by the hour; nothing else does.
    if purchase == "owned" and _is_zero(row.cells["price_per_hour"]):
        return Decimal(0)
    price = decimal_in(row, "price_per_hour")
    if price == SENTINEL_USD_PER_HOUR:
        raise cell_error(row, "price_per_hour", "700 stands for `no price` in price lists", "leave the row out")
    return price


def _is_zero(text: str) -> bool:
    try:
        return Decimal(text) == 0
    except InvalidOperation:
        return False


def _shape_in(row: CsvRow) -> Shape:
    accelerator = row.cells.get("accelerator") or None
    return Shape(
        architecture=row.cells.get("architecture") or None,
        n_vcpus=count_in(row, "n_vcpus"),
        memory_gib=float(decimal_in(row, "memory_gib")) if "memory_gib" in row.cells else _no_memory(row),
        accelerator=accelerator,
        n_accelerators=(float_if_told(row, "n_accelerators") or 1.0) if accelerator else 0.0,
        accelerator_memory_gb=float_if_told(row, "accelerator_memory_gb") if accelerator else None,
        baseline_ratio=float_if_told(row, "baseline_ratio"),
    )


def _no_memory(row: CsvRow) -> float:
    raise cell_error(row, "memory_gib", "is missing beside n_vcpus", "describe the machine whole, or not at all")


def _cells(row: PriceRow) -> tuple[str, ...]:
    shape = row.shape
    return (
        row.provider,
        row.region,
        row.instance_type,
        row.purchase,
        row.currency,
        "" if row.currency == "USD" else str(row.usd_per_unit),
        f"{row.price_per_hour:f}",
        row.quality,
        row.note,
        *(("",) * 7 if shape is None else _shape_cells(shape)),
        row.source,
        row.date_seen.isoformat(),
    )


def _shape_cells(shape: Shape) -> tuple[str, ...]:
    return (
        shape.architecture or "",
        str(shape.n_vcpus),
        f"{shape.memory_gib:.12g}",
        shape.accelerator or "",
        f"{shape.n_accelerators:.12g}",
        "" if shape.accelerator_memory_gb is None else f"{shape.accelerator_memory_gb:.12g}",
        "" if shape.baseline_ratio is None else f"{shape.baseline_ratio:.12g}",
    )
