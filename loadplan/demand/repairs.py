"""What is put right in a log once it is read, where that is exact, and what is said of it.

Each repair works on the table `requests` and tells what it did; the order matters, and `repair` holds it.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from loadplan.caveat import Caveat
from loadplan.demand.ingest import Ingested
from loadplan.demand.local_time import into_utc
from loadplan.demand.once import count_once
from loadplan.demand.records import Stamps
from loadplan.demand.sql import number, text
from loadplan.demand.words import moment_text
from loadplan.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNREADABLE_AT_MOST_RATIO = 0.01
_OLDEST_YEARS = 30
_N_ORDERED = 200_000  # lines whose order is looked at
_OUT_OF_ORDER_RATIO = 0.001  # of neighbours, which several writers of one log bring about


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was done to the table `requests`."""

    corrections: tuple[str, ...]
    caveats: tuple[Caveat, ...]
    has_whole_seconds: bool  # the log's times were cut to whole seconds


def repair(log: Ingested, *, now: datetime, time_zone: str | None, stamps: Stamps | None, path: str | None) -> Repaired:
    """Take out what is no request, put times into UTC and to the start of each request, and count each request once.

    Args:
        log: what was read.
        now: nothing can have been recorded later.
        time_zone: of times that name none, such as Europe/Berlin.
        stamps: what the times are of; None: what the log itself says.
        path: beginning of the paths that count; None: all.

    Raises:
        InputError: when too many lines can't be read or lie at an absurd time, when some times have a zone and others
            none, when the zone is unknown, or no request is of the path.
    """
    said: list[str] = []
    caveats: list[Caveat] = []
    said += _drop_unreadable(log, now=now)
    zoned, zone_caveats = into_utc(log, time_zone)
    said += zoned
    caveats += zone_caveats
    once, once_caveats = count_once(log)
    said += once
    caveats += once_caveats
    has_whole_seconds = number(log.database, "SELECT count(*) FROM requests WHERE at_s <> floor(at_s)") == 0
    moved, moved_caveats = _to_the_start(log, stamps, has_whole_seconds=has_whole_seconds)
    said += moved
    caveats += moved_caveats
    if path is not None:
        said += _keep_path(log, path)
    return Repaired(corrections=tuple(said), caveats=tuple(caveats), has_whole_seconds=has_whole_seconds)


def _drop_unreadable(log: Ingested, *, now: datetime) -> list[str]:
    database, said = log.database, []
    n_unread = (
        int(number(database, "SELECT count(*) FROM requests WHERE at_s IS NULL OR weight IS NULL")) + log.n_rejected
    )
    if n_unread > UNREADABLE_AT_MOST_RATIO * log.n_lines:
        raise InputError(
            what=f"{n_unread:,} of {log.n_lines:,} lines can't be read ({n_unread / log.n_lines:.1%}); "
            f"{UNREADABLE_AT_MOST_RATIO:.0%} at most is let pass",
            where="the log",
            fix="see that it is one log of one kind, name that with --format, or take out what is no request",
        )
    database.execute("DELETE FROM requests WHERE at_s IS NULL OR weight IS NULL")
    if n_unread:
        said.append(f"{n_unread:,} of {log.n_lines:,} lines can't be read and are left out")
    if not log.time.has_calendar:
        return said
    latest, earliest = now + timedelta(days=1), now - timedelta(days=365 * _OLDEST_YEARS)
    absurd = f"at_s > {latest.timestamp()!r} OR at_s < {earliest.timestamp()!r}"
    n_absurd = int(number(database, f"SELECT count(*) FROM requests WHERE {absurd}"))
    if n_absurd > UNREADABLE_AT_MOST_RATIO * log.n_lines:
        example = moment_text(number(database, f"SELECT max(at_s) FROM requests WHERE {absurd}"))
        raise InputError(
            what=f"{n_absurd:,} of {log.n_lines:,} requests lie in the future or more than {_OLDEST_YEARS} years ago, "
            f"such as at {example}",
            where=f"the column {log.roles.time}",
            fix="see that it is the time of the request, and in seconds, milliseconds, microseconds or nanoseconds "
            "since 1970",
        )
    database.execute(f"DELETE FROM requests WHERE {absurd}")
    if n_absurd:
        said.append(f"{n_absurd:,} requests at times that can't be are left out")
    return said


# Start or end

_OF_THE_END = Caveat(
    code="demand.stamped_at_the_end",
    what="the log's times are of the end of requests, and it doesn't tell how long they took: busy seconds are those "
    "of the answers",
    fix="log the duration of each request as well",
)


def _to_the_start(log: Ingested, stamps: Stamps | None, *, has_whole_seconds: bool) -> tuple[list[str], list[Caveat]]:
    """Where times are of the end of requests, put each back by how long the request took.

    Who doesn't know which they are can ask the file: a server writes a line when a request ends. Where times ascend and
    would not with the durations added, they are of the end; where it is the other way round, of the start.
    """
    database, roles = log.database, log.roles
    known = stamps or roles.stamps
    mean_s = number(database, "SELECT avg(duration_s) FROM requests")
    if roles.count is not None or math.isnan(mean_s):
        has_unit = roles.duration is None or roles.duration_unit_s is not None
        said = (
            []
            if has_unit
            else [f"{roles.duration} tells no unit in its name, such as {roles.duration}_ms, and is not used"]
        )
        return said, [_OF_THE_END] if known == "end" else []
    if known is None:
        known = _read_from_order(database, has_whole_seconds=has_whole_seconds)
    if known != "end":
        return [], []
    # A time that was cut to the second is half a second too early on average.
    middle_s = 0.5 if has_whole_seconds else 0.0
    database.execute(f"UPDATE requests SET at_s = at_s + {middle_s!r} - duration_s WHERE duration_s IS NOT NULL")
    return [
        f"times are of the end of requests; each is put back by how long the request took, {mean_s:.3g} s on average"
    ], []


def _read_from_order(database: "DuckDBPyConnection", *, has_whole_seconds: bool) -> Stamps | None:
    cut_s = 1.0 if has_whole_seconds else 1e-3
    first, ended = (
        number(
            database,
            f"SELECT avg(CASE WHEN step_s < {-tolerance_s!r} THEN 1.0 ELSE 0.0 END) FROM (SELECT {at} - lag({at}) "
            "OVER (PARTITION BY file ORDER BY rowid) AS step_s FROM requests WHERE duration_s IS NOT NULL AND "
            f"rowid < {_N_ORDERED})",
        )
        for at, tolerance_s in (("at_s", 0.0), ("(at_s + duration_s)", cut_s))
    )
    if first <= _OUT_OF_ORDER_RATIO < ended:
        return "end"
    return "start" if ended <= _OUT_OF_ORDER_RATIO < first else None


def _keep_path(log: Ingested, path: str) -> list[str]:
    database = log.database
    n, n_of_any, n_of_it = (
        int(number(database, f"SELECT count({what}) FROM requests"))
        for what in ("*", "path", f"CASE WHEN starts_with(path, {text(path)}) THEN 1 END")
    )
    if not n_of_any:
        raise InputError(
            what="the log doesn't tell which path was asked for", where="--path", fix="leave it out, or log the path"
        )
    if not n_of_it:
        most = database.execute(
            "SELECT path, count(*) AS n FROM requests WHERE path IS NOT NULL GROUP BY path ORDER BY n DESC, path "
            "LIMIT 5"
        ).fetchall()
        shown = ", ".join(f"{one:.60} ({count / n:.0%})" for one, count in most)
        raise InputError(
            what=f"none of {n:,} requests asks for {path}; the most frequent paths are {shown}",
            where="--path",
            fix="name the beginning of the paths that count; where none of these is yours, it is another service's log",
        )
    database.execute(f"DELETE FROM requests WHERE path IS NULL OR NOT starts_with(path, {text(path)})")
    return (
        [f"{n - n_of_it:,} of {n:,} requests ask for other paths than {path} and are left out"] if n > n_of_it else []
    )
