"""Price lists that a user imported: checked, brought into loadplan's own columns, and kept in the user's data folder.

A list is there whole or not at all: it replaces an earlier one of the same name only when it was checked and written.
"""

import os
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from loadplan.catalog.csv_rows import read_header
from loadplan.catalog.gpuhunt import COLUMNS as GPUHUNT_COLUMNS
from loadplan.catalog.gpuhunt import read_gpuhunt
from loadplan.catalog.price_list import PriceList, read_plain
from loadplan.catalog.price_rows import NO_RATES, price_csv
from loadplan.catalog.skypilot import COLUMNS as SKYPILOT_COLUMNS
from loadplan.catalog.skypilot import Origin, read_skypilot
from loadplan.errors import InputError
from loadplan.store.files import write_text

ListFormat = Literal["plain", "skypilot", "gpuhunt"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_BYTES = 20_000_000  # what is read back at most


def data_folder() -> Path:
    """`$XDG_DATA_HOME/loadplan/catalog`, else `~/.local/share/loadplan/catalog`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "loadplan" / "catalog"


def imported_files(folder: Path | None = None) -> tuple[Path, ...]:
    """The price files that were imported, by name; none where nothing ever was."""
    place = data_folder() if folder is None else folder
    return tuple(sorted(place.glob("[!.]*.csv"))) if place.is_dir() else ()


def format_of(path: Traversable) -> ListFormat:
    """Whose columns a price list has; plain where it has nobody's, so that the message names what is missing."""
    header = read_header(path)
    if set(SKYPILOT_COLUMNS) <= set(header):
        return "skypilot"
    return "gpuhunt" if set(GPUHUNT_COLUMNS) <= set(header) else "plain"


def read_list(
    path: Path, *, provider: str | None, seen: date | None, as_of: date, rates: Mapping[str, Decimal] = NO_RATES
) -> PriceList:
    """The price list in a file, whatever its form.

    Args:
        path: the file.
        provider: whose prices they are; lists of SkyPilot and gpuhunt don't say.
        seen: the day these prices were seen; the same lists don't say.
        as_of: today; nothing can have been seen after it.
        rates: USD per unit of other currencies, for rows that state none.

    Raises:
        InputError: when the file can't be read, or what it doesn't say isn't told.
    """
    form = format_of(path)
    if form == "plain":
        return read_plain(path, as_of=as_of, rates=rates)
    origin = _origin(path, form, provider=provider, seen=seen, as_of=as_of)
    return read_skypilot(path, origin) if form == "skypilot" else read_gpuhunt(path, origin)


def keep(listed: PriceList, name: str, *, folder: Path | None = None) -> Path:
    """Write a list into the user's data folder under a name; the earlier one of that name is replaced whole.

    Raises:
        InputError: when there is nothing to keep, a row is wrong, or the name can't be a file's.
        EnvironmentFault: when the disk doesn't take it; the earlier list is still there.
    """
    if not _NAME.fullmatch(name):
        raise InputError(what=f"{name!r} can't name a list", where="--name", fix="use letters, digits, `.`, `_`, `-`")
    if listed.errors:
        first = listed.errors[0]
        others = f" (and {len(listed.errors) - 1} more)" if len(listed.errors) > 1 else ""
        raise InputError(what=f"{first.what}{others}", where=first.where, fix="see `loadplan catalog validate FILE`")
    if not listed.rows:
        raise InputError(what="no row of the list can be used", where=name, fix="see `loadplan catalog validate FILE`")
    text = price_csv(listed.rows)
    if len(text.encode()) > _MAX_BYTES:
        raise InputError(
            what=f"the list has {len(listed.rows):,} usable rows, more than loadplan reads back",
            where=name,
            fix="keep the providers that you use, with --provider",
        )
    path = (data_folder() if folder is None else folder) / f"{name}.csv"
    write_text(path, text)
    return path


def _origin(path: Path, form: ListFormat, *, provider: str | None, seen: date | None, as_of: date) -> Origin:
    if provider is None:
        raise InputError(
            what=f"a list of {form} doesn't say whose prices it holds",
            where=str(path),
            fix="add --provider, such as aws",
        )
    if seen is None:
        raise InputError(
            what=f"a list of {form} doesn't say when its prices were seen",
            where=str(path),
            fix="add --seen with the day on which it was made, such as 2026-08-01",
        )
    if seen > as_of:
        raise InputError(what=f"{seen} is after {as_of}", where="--seen", fix="give the day the prices were seen")
    return Origin(provider=provider, seen=seen, source=f"{form}: {path.name}")
