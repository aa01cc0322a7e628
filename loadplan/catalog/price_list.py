"""A price list as a whole: the rows that can be used, and what is to be said of those that can't.

The decision a reader would question: a list by others with one wrong price among thousands is still of use, so its bad
rows are left out and counted; in a file by hand a bad row is an error, since somebody meant it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from importlib.resources.abc import Traversable
from statistics import median
from typing import Literal

from loadplan.catalog.price_rows import SENTINEL_USD_PER_HOUR, PriceRow, parsed_rows
from loadplan.catalog.rules import is_local_zone
from loadplan.errors import InputError

Severity = Literal["error", "left out", "flagged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that validation has to say of one row, or of all rows with the same reason."""

    severity: Severity
    what: str
    where: str  # file and line, of the first where there are several
    n_rows: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What a file of prices holds."""

    rows: tuple[PriceRow, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What makes the list unusable as it is."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A row of somebody's list that can't become an offer."""

    reason: str  # the same words for the same reason, so that rows can be counted
    where: str


def read_plain(path: Traversable, *, as_of: date, rates: Mapping[str, Decimal]) -> PriceList:
    """A file in loadplan's own columns, with all its mistakes.

    Raises:
        InputError: when the file as a whole can't be read.
    """
    rows, findings = [], []
    for row in parsed_rows(path, as_of=as_of, rates=rates):
        if isinstance(row, InputError):
            findings.append(Finding(severity="error", what=f"{row.what}; {row.fix}", where=row.where))
        elif is_local_zone(row.provider, row.region):
            findings.append(Finding(severity="left out", what=_LOCAL_ZONE, where=row.where))
        else:
            rows.append(row)
    return PriceList(rows=tuple(rows), findings=tuple(findings))


def sieve(found: Iterable[PriceRow | Unusable]) -> PriceList:
    """The usable rows of a list by others: one for each offer, those of several zones joined.

    A spot price is the median over the zones of its region; an on-demand price must be the same in all of them.
    """
    left_out: list[Unusable] = []
    by_offer: dict[str, list[PriceRow]] = defaultdict(list)
    for row in found:
        unusable = row if isinstance(row, Unusable) else _unusable(row)
        if unusable is not None:
            left_out.append(unusable)
        elif isinstance(row, PriceRow):
            by_offer[row.offer_name].append(row)
    rows: dict[str, PriceRow] = {}
    for name, zones in by_offer.items():
        joined = _joined(zones)
        if isinstance(joined, Unusable):
            left_out.append(joined)
        else:
            rows[name] = joined
    kept = []
    for row in rows.values():
        unusable = _false_spot(row, rows)
        if unusable is None:
            kept.append(row)
        else:
            left_out.append(unusable)
    return PriceList(rows=tuple(kept), findings=counted(left_out))


_LOCAL_ZONE = "a local zone: it has few types, prices of its own and no spares"


def _unusable(row: PriceRow) -> Unusable | None:
    if row.price_per_hour <= 0:
        return Unusable(reason="a price of nothing", where=row.where)
    if row.price_per_hour == SENTINEL_USD_PER_HOUR:
        return Unusable(reason="700 stands for `no price` in price lists", where=row.where)
    if is_local_zone(row.provider, row.region):
        return Unusable(reason=_LOCAL_ZONE, where=row.where)
    return None


def _joined(zones: list[PriceRow]) -> PriceRow | Unusable:
    first = zones[0]
    prices = {row.price_per_hour for row in zones}
    if len(prices) == 1:
        return first
    if first.purchase != "spot" or len({row.shape for row in zones}) > 1:
        return Unusable(reason="several prices or machines under one name", where=first.where)
    source = f"{first.source} (median of {len(zones)} zones, {min(prices)} to {max(prices)})"
    return replace(first, price_per_hour=median(row.price_per_hour for row in zones), source=source)


def _false_spot(row: PriceRow, rows: Mapping[str, PriceRow]) -> Unusable | None:
    on_demand = rows.get(row.offer_name.removesuffix("spot") + "on_demand") if row.purchase == "spot" else None
    if on_demand is None or row.price_per_hour < on_demand.price_per_hour:
        return None
    if row.price_per_hour == on_demand.price_per_hour:
        return Unusable(reason="spot equal to on demand: there is no spot market", where=row.where)
    return Unusable(reason="spot above on demand", where=row.where)


def counted(left_out: Iterable[Unusable]) -> tuple[Finding, ...]:
    """One finding for each reason, with how many rows it is and where the first of them stands."""
    places: dict[str, list[str]] = defaultdict(list)
    for one in left_out:
        places[one.reason].append(one.where)
    return tuple(
        Finding(severity="left out", what=reason, where=where[0], n_rows=len(where)) for reason, where in places.items()
    )
