"""Reads a catalogue snapshot, the shipped one by default, and lays the user's own prices over it.

Prices are USD per hour and stay as they were written. The decision a reader would question: a doubtful price is
still an offer, with its doubt in `quality`; whether it may win is the planner's decision, not the reader's.
"""

import difflib
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Literal, TypeVar, get_args

from loadplan.catalog.csv_rows import CsvRow, cell_error, date_in, decimal_in, read_rows, text_in
from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Catalog, Offer, PurchaseKind
from loadplan.errors import InputError

SHIPPED_VERSION = "2026-11"

_NO_PRICES: Mapping[str, Decimal] = MappingProxyType({})
# Price lists write this where a type can't be bought.
_SENTINEL_USD_PER_HOUR = Decimal(700)
_FAMILY_COLUMNS = (
    "provider", "family", "cpu_model", "architecture", "vcpu_is", "clock_ghz", "peak_fp32_gflops_per_vcpu", "source",
    "date_seen",
)  # fmt: skip
_INSTANCE_COLUMNS = (
    "provider", "instance_type", "architecture", "n_vcpus", "memory_gib", "accelerator", "n_accelerators",
    "accelerator_memory_gb", "cpu_family", "baseline_ratio", "source", "date_seen",
)  # fmt: skip
_PRICE_COLUMNS = (
    "provider", "region", "instance_type", "purchase", "currency", "price_per_hour", "quality", "source", "date_seen",
)  # fmt: skip

# A table, so that a checked text becomes a member of the Literal.
_PURCHASES: Mapping[str, PurchaseKind] = {kind: kind for kind in get_args(PurchaseKind)}
_Value = TypeVar("_Value")


def load_catalog(
    *, as_of: date, overrides: Mapping[str, Decimal] = _NO_PRICES, snapshot: Traversable | None = None
) -> Catalog:
    """All offers of a snapshot, in order of their names.

    Args:
        as_of: the day that the plan is made for; a price seen after it is an error.
        overrides: the user's own prices in USD per hour by `provider/region/type`, on demand unless the name goes on
            with `/spot` or another kind of purchase. They may price a known type in a new region.
        snapshot: a folder with `instances.csv`, `prices.csv` and `cpu_families.csv`; None: the shipped one.

    Raises:
        InputError: for a figure that can't be right (with its file and line), and for a price of an unknown type.
    """
    folder = files("loadplan.catalog") / "snapshots" / SHIPPED_VERSION if snapshot is None else snapshot
    families = _read_families(folder / "cpu_families.csv")
    types = _read_types(folder / "instances.csv", families)
    layer = f"shipped {SHIPPED_VERSION}" if snapshot is None else f"snapshot {folder.name}"
    offers = _read_prices(folder / "prices.csv", types, layer=layer, as_of=as_of)
    offers.update({offer.name: offer for offer in _user_offers(overrides, types, as_of)})
    return Catalog(
        version=folder.name,
        offers=tuple(offers[name] for name in sorted(offers)),
        cpu_families=tuple(families[name] for name in sorted(families)),
    )


def _read_families(path: Traversable) -> dict[str, CpuFamily]:
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
            peak_int8_gops_per_vcpu=_if_told(row, "peak_int8_gops_per_vcpu"),
            int8_path=row.cells.get("int8_path") or None,
            memory_gb_per_s_per_vcpu=_if_told(row, "memory_gb_per_s_per_vcpu"),
        )
        _add_once(families, f"{family.provider}/{family.name}", family, row)
    return families


def _read_types(path: Traversable, families: Mapping[str, CpuFamily]) -> dict[str, InstanceType]:
    types: dict[str, InstanceType] = {}
    for row in read_rows(path, _INSTANCE_COLUMNS):
        accelerator = row.cells["accelerator"] or None
        instance_type = InstanceType(
            provider=text_in(row, "provider"),
            name=text_in(row, "instance_type"),
            architecture=text_in(row, "architecture"),
            n_vcpus=_n_vcpus(row),
            memory_gib=float(decimal_in(row, "memory_gib")),
            accelerator=accelerator,
            n_accelerators=float(decimal_in(row, "n_accelerators")) if accelerator else 0.0,
            accelerator_memory_gb=float(decimal_in(row, "accelerator_memory_gb")) if accelerator else None,
            cpu_family=_family_of(row, families),
            baseline_ratio=float(decimal_in(row, "baseline_ratio")) if row.cells["baseline_ratio"] else None,
            source=text_in(row, "source"),
        )
        _add_once(types, f"{instance_type.provider}/{instance_type.name}", instance_type, row)
    return types


def _read_prices(path: Traversable, types: Mapping[str, InstanceType], *, layer: str, as_of: date) -> dict[str, Offer]:
    offers: dict[str, Offer] = {}
    rows: dict[str, CsvRow] = {}
    for row in read_rows(path, _PRICE_COLUMNS):
        offer = _offer(row, types, layer, as_of)
        _add_once(offers, offer.name, offer, row)
        rows[offer.name] = row
    return {name: offer for name, offer in offers.items() if _is_bought_so(offer, offers, rows[name])}


def _offer(row: CsvRow, types: Mapping[str, InstanceType], layer: str, as_of: date) -> Offer:
    key = f"{text_in(row, 'provider')}/{text_in(row, 'instance_type')}"
    if key not in types:
        raise cell_error(row, "instance_type", f"{key} is not in instances.csv", "describe the type there")
    if text_in(row, "currency") != "USD":
        raise cell_error(row, "currency", f"{row.cells['currency']} is not USD", "convert the price to USD")
    price = decimal_in(row, "price_per_hour")
    if price == _SENTINEL_USD_PER_HOUR:
        raise cell_error(row, "price_per_hour", "700 stands for `no price` in price lists", "leave the row out")
    price_date = date_in(row, "date_seen")
    if price_date > as_of:
        raise cell_error(
            row,
            "date_seen",
            f"this price was seen on {price_date}, after {as_of}, the day to plan for",
            "plan for a later day with --as-of, or correct the date where the file is your own",
        )
    return Offer(
        instance_type=types[key],
        region=text_in(row, "region"),
        purchase=_purchase_in(row),
        usd_per_hour=price,
        price_date=price_date,
        source=text_in(row, "source"),
        quality=text_in(row, "quality"),
        layer=layer,
    )


def _is_bought_so(offer: Offer, offers: Mapping[str, Offer], row: CsvRow) -> bool:
    """Whether a spot price is one: a list repeats the on-demand price where there is no spot market."""
    on_demand = offers.get(offer.name.removesuffix("spot") + "on_demand") if offer.purchase == "spot" else None
    if on_demand is None:
        return True
    if offer.usd_per_hour > on_demand.usd_per_hour:
        raise cell_error(
            row,
            "price_per_hour",
            f"the spot price {offer.usd_per_hour} is above the on-demand price {on_demand.usd_per_hour}",
            "correct one of the two",
        )
    return offer.usd_per_hour < on_demand.usd_per_hour


def _user_offers(overrides: Mapping[str, Decimal], types: Mapping[str, InstanceType], as_of: date) -> Iterable[Offer]:
    for name, usd_per_hour in overrides.items():
        key, region, purchase = _parse_offer_name(name)
        if key not in types:
            raise _price_error(name, "names a type that is not in the catalogue", _nearest_type(key, types))
        if not usd_per_hour.is_finite() or usd_per_hour <= 0:
            raise _price_error(name, f"sets {usd_per_hour} USD per hour", "give a price above 0")
        yield Offer(
            instance_type=types[key],
            region=region,
            purchase=purchase,
            usd_per_hour=usd_per_hour,
            price_date=as_of,
            source="given by the user",
            quality="ok",
            layer="--price",
        )


def _parse_offer_name(name: str) -> tuple[str, str, PurchaseKind]:
    """`provider/type`, region and kind of purchase."""
    parts = name.split("/")
    if len(parts) not in (3, 4) or not all(parts):
        raise _price_error(name, "is not provider/region/type", "write it as aws/us-east-1/c7i.xlarge=0.15")
    purchase = parts[3] if len(parts) == 4 else "on_demand"
    if purchase not in _PURCHASES:
        raise _price_error(name, f"names {purchase!r} as a kind of purchase", f"use one of {', '.join(_PURCHASES)}")
    return f"{parts[0]}/{parts[2]}", parts[1], _PURCHASES[purchase]


def _purchase_in(row: CsvRow) -> PurchaseKind:
    text = text_in(row, "purchase")
    if text not in _PURCHASES:
        raise cell_error(row, "purchase", f"{text!r} is not known", f"use one of {', '.join(_PURCHASES)}")
    return _PURCHASES[text]


def _price_error(name: str, what: str, fix: str) -> InputError:
    return InputError(what=f"{name} {what}", where="--price", fix=fix)


def _nearest_type(key: str, types: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(key, types, n=1)
    return (
        f"did you mean {nearest[0]}?" if nearest else "name a type of the catalogue, such as aws/us-east-1/c7i.xlarge"
    )


def _core_or_thread(row: CsvRow) -> Literal["core", "thread"]:
    match text_in(row, "vcpu_is"):
        case "core":
            return "core"
        case "thread":
            return "thread"
        case other:
            raise cell_error(row, "vcpu_is", f"{other!r} is neither core nor thread", "write core or thread")


def _if_told(row: CsvRow, column: str) -> float | None:
    return float(decimal_in(row, column)) if row.cells.get(column) else None


def _n_vcpus(row: CsvRow) -> int:
    number = decimal_in(row, "n_vcpus")
    if number != number.to_integral_value():
        raise cell_error(row, "n_vcpus", f"{number} is not a whole number", "write a whole number")
    return int(number)


def _family_of(row: CsvRow, families: Mapping[str, CpuFamily]) -> CpuFamily | None:
    name = row.cells["cpu_family"]
    key = f"{row.cells['provider']}/{name}"
    if name and key not in families:
        raise cell_error(row, "cpu_family", f"{key} is not in cpu_families.csv", "describe the family there")
    return families[key] if name else None


def _add_once(known: dict[str, _Value], key: str, value: _Value, row: CsvRow) -> None:
    if key in known:
        raise InputError(
            what=f"{key} stands twice", where=f"{row.file}, line {row.i_line}", fix="keep one of the two rows"
        )
    known[key] = value
