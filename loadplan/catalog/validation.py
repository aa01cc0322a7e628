"""What can be said against prices: of a list before it is imported, and of a catalogue as a whole."""

from collections.abc import Mapping
from datetime import date

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Catalog, Offer
from loadplan.catalog.price_list import Finding, PriceList, Unusable, counted
from loadplan.catalog.price_rows import PriceRow
from loadplan.catalog.reader import described_type, families_by_series, offer_of, shipped_snapshot
from loadplan.catalog.rules import doubts_of, without_false_spot
from loadplan.catalog.series import is_burstable
from loadplan.catalog.snapshot import read_snapshot
from loadplan.errors import InputError


def validated(listed: PriceList, *, as_of: date) -> PriceList:
    """A list with everything that its rows say against each other, and without those that can't be used.

    Rows that are wrong by themselves were told when the list was read. Here are added: types that nobody describes and
    spot above on demand (errors), spot equal to on demand and burstable types without a known baseline (left out), and
    what the family makes doubtful (flagged).
    """
    base = read_snapshot(shipped_snapshot(), as_of=as_of)
    types, families = dict(base.types), families_by_series(base)
    errors: list[Finding] = []
    left_out: list[Unusable] = []
    rows: dict[str, PriceRow] = {}
    offers: dict[str, Offer] = {}
    for row in listed.rows:
        if _has_unknown_baseline(row, types):
            left_out.append(Unusable(reason="burstable, and nothing says its baseline", where=row.where))
            continue
        try:
            offers[row.offer_name] = offer_of(row, _type_of(row, types, families), "")
            rows[row.offer_name] = row
        except InputError as error:
            errors.append(Finding(severity="error", what=f"{error.what}; {error.fix}", where=row.where))
    true = {offer.name: offer for offer in without_false_spot(offers.values())}
    left_out += [
        Unusable(reason="spot equal to on demand: there is no spot market", where=rows[name].where)
        for name in offers
        if name not in true
    ]
    doubts = [_doubt(name, doubt, rows[name]) for name, doubt in doubts_of(true.values()).items()]
    return PriceList(
        rows=tuple(rows[name] for name in true),
        findings=(*listed.findings, *errors, *counted(left_out), *doubts),
    )


def _has_unknown_baseline(row: PriceRow, types: Mapping[str, InstanceType]) -> bool:
    is_told = row.type_name in types or (row.shape is not None and row.shape.baseline_ratio is not None)
    return not is_told and is_burstable(row.provider, row.instance_type)


def _doubt(name: str, doubt: str, row: PriceRow) -> Finding:
    is_error = doubt.startswith("spot above")
    return Finding(severity="error" if is_error else "flagged", what=f"{name}: {doubt}", where=row.where)


def offers_of(listed: PriceList, *, as_of: date) -> tuple[Offer, ...]:
    """The offers that a validated list makes."""
    base = read_snapshot(shipped_snapshot(), as_of=as_of)
    types, families = dict(base.types), families_by_series(base)
    return tuple(offer_of(row, _type_of(row, types, families), "") for row in listed.rows)


def doubts_in(catalog: Catalog) -> tuple[Finding, ...]:
    """The doubtful offers of a catalogue as it is planned with."""
    return tuple(
        Finding(severity="flagged", what=f"{offer.name}: {offer.quality}", where=offer.layer)
        for offer in catalog.offers
        if offer.quality != "ok"
    )


def _type_of(row: PriceRow, types: dict[str, InstanceType], families: Mapping[str, CpuFamily]) -> InstanceType:
    if row.type_name not in types:
        types[row.type_name] = described_type(row, families)
    return types[row.type_name]
