"""Local times of a log put into UTC, with the hour that comes twice when summer time ends."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from loadplan.caveat import Caveat
from loadplan.demand.ingest import Ingested
from loadplan.demand.sql import number
from loadplan.demand.words import moment_text
from loadplan.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HOUR_S = 3600.0
_BACKWARDS_S = 1800.0  # a log that jumps back by so much has met the hour that summer time repeats


def into_utc(log: Ingested, time_zone: str | None) -> tuple[list[str], list[Caveat]]:
    """Times without a zone are of `time_zone`, or of UTC where none is given; what was done, and what is doubtful.

    Raises:
        InputError: when some times name a zone and others don't, or there is no such zone.
    """
    if not log.time.has_calendar:
        return [], []
    n_zoned, n = (
        int(number(log.database, f"SELECT count(*) FROM requests{where}")) for where in (" WHERE is_zoned", "")
    )
    if 0 < n_zoned < n:
        raise InputError(
            what=f"{n_zoned:,} of {n:,} times name a time zone, and the others don't",
            where=f"the column {log.roles.time}",
            fix="read logs of one kind at a time",
        )
    if n_zoned:
        return [], []
    if time_zone is None:
        return [], [
            Caveat(
                code="demand.no_time_zone",
                what="the log's times name no time zone and are taken to be UTC: the hours of the week may be shifted, "
                "and where summer time ended an hour counts twice",
                fix="name the zone, such as --time-zone Europe/Berlin",
            )
        ]
    return _from_zone(log.database, time_zone)


def _from_zone(database: "DuckDBPyConnection", name: str) -> tuple[list[str], list[Caveat]]:
    """Local times to UTC; in an hour that summer time repeats, a jump back in the file tells the second pass."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            what=f"{name!r:.60} is no time zone that this machine knows",
            where="--time-zone",
            fix="write it like Europe/Berlin or UTC",
        ) from error
    first, last = (number(database, f"SELECT {which}(at_s) FROM requests") for which in ("min", "max"))
    changes, offset_s = _changes(zone, first, last)
    cases = "".join(f"WHEN at_s < {one.local_s!r} THEN {one.before_s!r} " for one in changes)
    database.execute(f"UPDATE requests SET at_s = at_s - (CASE {cases}WHEN true THEN {offset_s!r} END)")
    said, caveats = [f"local times of {name} are put into UTC"], []
    for change in changes:
        if change.after_s >= change.before_s:
            continue
        n_moved, n_unclear = _second_pass(database, change)
        if n_moved:
            said.append(f"{n_moved:,} requests of the hour that summer time repeats are told apart by the log's order")
        if n_unclear:
            caveats.append(
                Caveat(
                    code="demand.repeated_hour",
                    what=f"{n_unclear:,} lines lie in the hour before {moment_text(change.at_s)}, which summer time "
                    "repeats, and the log's order doesn't tell its two passes apart: they are left out, or the hour "
                    "would count twice",
                    fix="read the log in the order in which it was written, or log in UTC",
                    number=float(n_unclear),
                )
            )
    return said, caveats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """The clock is put forward or back."""

    at_s: float  # UTC
    before_s: float  # ahead of UTC
    after_s: float

    @property
    def local_s(self) -> float:
        """Up to here by the local clock the old offset holds, the first pass of an hour that comes twice included."""
        return self.at_s + self.before_s


def _changes(zone: ZoneInfo, first: float, last: float) -> tuple[list[_Change], float]:
    """The changes of the clock in a span of local times and a day around it, and the offset after the last of them."""
    hours = range(int(first // _HOUR_S) - 24, int(last // _HOUR_S) + 25)
    moments = [datetime.fromtimestamp(hour * _HOUR_S, UTC) for hour in hours]
    offsets = [(at.astimezone(zone).utcoffset() or timedelta(0)).total_seconds() for at in moments]
    changes = [
        _Change(at_s=at.timestamp(), before_s=before_s, after_s=after_s)
        for at, (before_s, after_s) in zip(moments[1:], pairwise(offsets), strict=True)
        if before_s != after_s
    ]
    return changes, offsets[-1]


def _second_pass(database: "DuckDBPyConnection", change: _Change) -> tuple[int, int]:
    """Move the second pass of a repeated hour behind the first, file by file; how many moved and how many were dropped.

    All of the hour was taken for its first pass. Where a file jumps back once by more than half an hour within it, what
    follows is the second; what a file without such a jump holds of the hour may be of both, and is left out.
    """
    repeated_s = change.before_s - change.after_s
    hour = f"at_s >= {change.at_s - repeated_s!r} AND at_s < {change.at_s!r}"
    jumps = database.execute(
        "SELECT file, min(rowid), count(*) FROM (SELECT file, rowid, at_s - lag(at_s) OVER (PARTITION BY file "
        f"ORDER BY rowid) AS step_s FROM requests WHERE {hour}) WHERE step_s < {-_BACKWARDS_S!r} GROUP BY file"
    ).fetchall()
    told = {int(file): int(row) for file, row, n in jumps if n == 1}
    others = " AND ".join([hour, *(f"file <> {file}" for file in told)])
    n_unclear = int(number(database, f"SELECT count(*) FROM requests WHERE {others}"))
    database.execute(f"DELETE FROM requests WHERE {others}")
    n_moved = 0
    for file, row in told.items():
        second = f"{hour} AND file = {file} AND rowid >= {row}"
        n_moved += int(number(database, f"SELECT count(*) FROM requests WHERE {second}"))
        database.execute(f"UPDATE requests SET at_s = at_s + {repeated_s!r} WHERE {second}")
    return n_moved, n_unclear
