"""The catalogue that a plan is made on: a snapshot, and what was imported, written for a project or given laid over it.

Prices are USD per hour. The decision a reader would question: a doubtful price is still an offer, with its doubt in
`quality`; whether it may win is the planner's decision, not the reader's. The layer above always wins, however old it
is: `--price` over a project's file over what was imported over what was shipped.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Catalog, Offer, PurchaseKind
from loadplan.catalog.price_rows import PURCHASES, PriceRow, Shape, read_price_rows
from loadplan.catalog.rules import doubts_of, without_false_spot
from loadplan.catalog.series import architecture_of, is_burstable, series_of
from loadplan.catalog.snapshot import Snapshot, read_snapshot
from loadplan.errors import InputError

SHIPPED_VERSION = "2026-11"
UNKNOWN_ARCHITECTURE = "unknown"

NO_PRICES: Mapping[str, Decimal] = MappingProxyType({})


def load_catalog(
    *,
    as_of: date,
    overrides: Mapping[str, Decimal] = NO_PRICES,
    snapshot: Traversable | None = None,
    imported: Sequence[Traversable] = (),
    project: Traversable | None = None,
) -> Catalog:
    """All offers, in order of their names, each from the uppermost layer that has it.

    Args:
        as_of: the day that the plan is made for; a price seen after it is an error.
        overrides: the user's own prices in USD per hour by `provider/region/type`, on demand unless the name goes on
            with `/spot` or another kind of purchase. They may price a known type in a new region.
        snapshot: a folder with `instances.csv`, `prices.csv` and `cpu_families.csv`; None: the shipped one.
        imported: price files laid over it; where several have an offer, the price that was seen last is taken.
        project: a project's own price file, laid over those.

    Raises:
        InputError: for a figure that can't be right (with its file and line), and for a price of an unknown type.
    """
    base = read_snapshot(shipped_snapshot() if snapshot is None else snapshot, as_of=as_of)
    layer = f"shipped {SHIPPED_VERSION}" if snapshot is None else f"snapshot {base.version}"
    types, families = dict(base.types), families_by_series(base)
    offers = _offers(base.prices, types, families, layer)
    for file in imported:
        name = f"imported {file.name.removesuffix('.csv')}"
        for offer in _offers(read_price_rows(file, as_of=as_of), types, families, name).values():
            known = offers.get(offer.name)
            if known is None or not known.layer.startswith("imported") or known.price_date < offer.price_date:
                offers[offer.name] = offer
    if project is not None:
        rows = read_price_rows(project, as_of=as_of)
        offers.update(_offers(rows, types, families, f"project {project.name}"))
    judged = {offer.name: offer for offer in _judged(offers.values())}
    judged.update({offer.name: offer for offer in _user_offers(overrides, types, as_of)})
    above = [
        *(["imported"] if imported else []),
        *(["project"] if project else []),
        *(["--price"] if overrides else []),
    ]
    return Catalog(
        version=" + ".join([base.version, *above]),
        offers=tuple(judged[name] for name in sorted(judged)),
        cpu_families=tuple(base.families[name] for name in sorted(base.families)),
        references=base.references,
    )


def shipped_snapshot() -> Traversable:
    """The folder of the snapshot that comes with loadplan."""
    return files("loadplan.catalog") / "snapshots" / SHIPPED_VERSION


def _offers(
    rows: Iterable[PriceRow], types: dict[str, InstanceType], families: Mapping[str, CpuFamily], layer: str
) -> dict[str, Offer]:
    """The offers of one layer by name; types that it describes are added to those known."""
    offers: dict[str, Offer] = {}
    for row in rows:
        if row.type_name not in types:
            types[row.type_name] = described_type(row, families)
        offers[row.offer_name] = offer_of(row, types[row.type_name], layer)
    _require_spot_below(rows, offers)
    return offers


def offer_of(row: PriceRow, instance_type: InstanceType, layer: str) -> Offer:
    """The offer that a row of prices makes of a type."""
    stated = "" if row.currency == "USD" else f"; {row.price_per_hour} {row.currency} at {row.usd_per_unit} USD"
    return Offer(
        instance_type=instance_type,
        region=row.region,
        purchase=row.purchase,
        usd_per_hour=row.usd_per_hour,
        price_date=row.date_seen,
        source=f"{row.source}{stated}",
        quality=row.quality,
        layer=layer,
    )


def described_type(row: PriceRow, families: Mapping[str, CpuFamily]) -> InstanceType:
    """A type that the snapshot doesn't know, as its row describes it; its processor is that of its series.

    Raises:
        InputError: when the row doesn't describe the machine, or not what a burstable one has for good.
    """
    shape = row.shape
    if shape is None:
        raise InputError(
            what=f"instance_type: {row.type_name} is not in instances.csv, and the row doesn't describe it",
            where=row.where,
            fix="describe it with the columns architecture, n_vcpus, memory_gib, accelerator, n_accelerators and "
            "accelerator_memory_gb",
        )
    if shape.baseline_ratio is None and is_burstable(row.provider, row.instance_type):
        raise InputError(
            what=f"instance_type: {row.type_name} is burstable, and nothing says which share of a vCPU is always there",
            where=row.where,
            fix="write the share into a column baseline_ratio, such as 0.2",
        )
    family = families.get(_series(row.provider, row.instance_type))
    return InstanceType(
        provider=row.provider,
        name=row.instance_type,
        architecture=_architecture(row, shape, family),
        n_vcpus=shape.n_vcpus,
        memory_gib=shape.memory_gib,
        accelerator=shape.accelerator,
        n_accelerators=shape.n_accelerators,
        accelerator_memory_gb=shape.accelerator_memory_gb,
        cpu_family=family,
        baseline_ratio=shape.baseline_ratio,
        source=row.source,
        vcpu_is=None if family is None else family.vcpu_is,
        seen=row.date_seen,
    )


def _architecture(row: PriceRow, shape: Shape, family: CpuFamily | None) -> str:
    by_name = architecture_of(row.provider, row.instance_type)
    return shape.architecture or (None if family is None else family.architecture) or by_name or UNKNOWN_ARCHITECTURE


def families_by_series(base: Snapshot) -> dict[str, CpuFamily]:
    """The processor that all known types of a series have, by `provider/series`; none where they differ."""
    found: dict[str, set[CpuFamily | None]] = defaultdict(set)
    for one in base.types.values():
        found[_series(one.provider, one.name)].add(one.cpu_family)
    return {name: family for name, alike in found.items() if len(alike) == 1 for family in alike if family is not None}


def _series(provider: str, name: str) -> str:
    return f"{provider}/{series_of(provider, name)}"


def _require_spot_below(rows: Iterable[PriceRow], offers: Mapping[str, Offer]) -> None:
    for row in rows:
        on_demand = offers.get(row.offer_name.removesuffix("spot") + "on_demand") if row.purchase == "spot" else None
        if on_demand is not None and row.usd_per_hour > on_demand.usd_per_hour:
            raise InputError(
                what=f"price_per_hour: the spot price {row.usd_per_hour} is above the on-demand price "
                f"{on_demand.usd_per_hour}",
                where=row.where,
                fix="correct one of the two",
            )


def _judged(offers: Iterable[Offer]) -> Iterable[Offer]:
    """With the doubt that other prices throw on each, where the source has none of its own."""
    true = without_false_spot(offers)
    doubts = doubts_of(true)
    for offer in true:
        doubt = doubts.get(offer.name)
        yield replace(offer, quality=doubt) if doubt is not None and offer.quality == "ok" else offer


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
    if purchase not in PURCHASES:
        raise _price_error(name, f"names {purchase!r} as a kind of purchase", f"use one of {', '.join(PURCHASES)}")
    return f"{parts[0]}/{parts[2]}", parts[1], PURCHASES[purchase]


def _price_error(name: str, what: str, fix: str) -> InputError:
    return InputError(what=f"{name} {what}", where="--price", fix=fix)


def _nearest_type(key: str, types: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(key, types, n=1)
    return (
        f"did you mean {nearest[0]}?" if nearest else "name a type of the catalogue, such as aws/us-east-1/c7i.xlarge"
    )
