"""The one place of loadplan that fetches prices: gpuhunt's catalogue, which needs no credentials and says its date.

What comes is a file with the version, `YYYYMMDD-…`, and a zip archive of that version with a CSV file for each
provider. The decision a reader would question: the archive is read and sieved as a whole in memory before anything is
written, so a broken connection, an error page or half a file leaves the catalogue as it was.
"""

import http.client
import io
import re
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from loadplan.catalog.gpuhunt import PROVIDERS, read_gpuhunt
from loadplan.catalog.imported import keep
from loadplan.catalog.price_list import Finding, PriceList
from loadplan.catalog.price_rows import PriceRow
from loadplan.catalog.skypilot import Origin
from loadplan.catalog.validation import validated
from loadplan.errors import EnvironmentFault, InputError

SOURCE_URL = "https://dstack-gpu-pricing.s3.eu-west-1.amazonaws.com/v2"
LIST_NAME = "gpuhunt"

_TIMEOUT_S = 30.0  # without a byte
_MAX_BYTES = 50_000_000  # of the archive, and of everything in it
_VERSION = re.compile(r"(\d{4})(\d{2})(\d{2})(-\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What was fetched and kept."""

    version: str
    path: Path
    listed: PriceList


def update_catalog(
    *, today: date, url: str = SOURCE_URL, providers: Collection[str] = (), folder: Path | None = None
) -> Update:
    """Fetch the newest list and keep it in place of the last one that was fetched.

    Args:
        today: nothing can have been seen after it.
        url: where `version` and `<version>/catalog.zip` lie.
        providers: whose prices are kept, as loadplan names them; none: all.
        folder: where imports are kept; None: the user's data folder.

    Raises:
        EnvironmentFault: when the source doesn't answer, or with something else than a catalogue.
        InputError: when the URL can't be one, or nothing is left of the list.
    """
    if not url.startswith(("https://", "http://")):
        raise InputError(what=f"{url!r} is no web address", where="--url", fix="write it as https://…")
    version = _fetched(f"{url}/version", 100).decode("ascii", "replace").strip()
    seen = _date_of(version, url, today)
    archive = _fetched(f"{url}/{version}/catalog.zip", _MAX_BYTES)
    listed = _read_archive(archive, version=version, seen=seen, providers=providers, url=url)
    checked = validated(listed, as_of=today)
    return Update(version=version, path=keep(checked, LIST_NAME, folder=folder), listed=checked)


def _fetched(url: str, max_bytes: int) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 -- the scheme was looked at
            data = bytes(answer.read(max_bytes + 1))
            n_missing = answer.length or 0  # reading so many at most says nothing of a connection that broke off
    except urllib.error.HTTPError as error:
        error.close()
        raise _fault(f"the prices can't be fetched: {error}", url) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise _fault(f"the prices can't be fetched: {error}", url) from error
    if len(data) > max_bytes:
        raise _fault(f"the answer is larger than {max_bytes:,} bytes", url)
    if n_missing:
        raise _fault(f"the prices can't be fetched: the connection broke off {n_missing:,} bytes before the end", url)
    return data


def _date_of(version: str, url: str, today: date) -> date:
    match = _VERSION.fullmatch(version)
    try:
        seen = date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        seen = None
    if seen is None:
        raise _fault(f"the answer is no version of a catalogue: {version[:40]!r}", f"{url}/version")
    if seen > today:
        raise _fault(f"the catalogue is of {seen}, after {today}", f"{url}/version")
    return seen


def _read_archive(data: bytes, *, version: str, seen: date, providers: Collection[str], url: str) -> PriceList:
    rows: list[PriceRow] = []
    findings: list[Finding] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.filename = "catalog.zip"  # names the places of findings
            if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise _fault(f"the archive unpacks to more than {_MAX_BYTES:,} bytes", url)
            for member in zipfile.Path(archive).iterdir():
                stem = member.name.removesuffix(".csv")
                provider = PROVIDERS.get(stem, stem)
                if member.name == stem or (providers and provider not in providers):
                    continue
                origin = Origin(provider=provider, seen=seen, source=f"gpuhunt catalogue {version}")
                listed = read_gpuhunt(member, origin)
                rows += listed.rows
                findings += listed.findings
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
        raise _fault(f"the answer is no zip archive: {error}", f"{url}/{version}/catalog.zip") from error
    except InputError as error:
        raise _fault(f"the catalogue holds something else than prices: {error.what}", error.where) from error
    return PriceList(rows=tuple(rows), findings=tuple(findings))


def _fault(what: str, where: str) -> EnvironmentFault:
    return EnvironmentFault(
        what=what,
        where=where,
        fix="try again later; the catalogue is as it was. Prices can also come from a file: `loadplan catalog import`",
    )
