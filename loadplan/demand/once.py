"""Requests that stand in a log more than once are counted once, where it is sure that they do."""

from typing import TYPE_CHECKING

from loadplan.caveat import Caveat
from loadplan.demand.ingest import Ingested
from loadplan.demand.sql import number

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ALIKE_RATIO = 0.01


def count_once(log: Ingested) -> tuple[list[str], list[Caveat]]:
    """Leave out lines that repeat the id of a request, or that two files hold; what was done, and what is doubtful.

    Two lines that are the same to the last letter may be two requests, so they are only told of.
    """
    database, said = log.database, []
    if log.roles.request_id is not None:
        n_double = int(number(database, "SELECT count(id) - count(DISTINCT id) FROM requests"))
        if n_double:
            database.execute(
                "DELETE FROM requests WHERE rowid IN (SELECT rowid FROM (SELECT rowid, row_number() OVER (PARTITION BY "
                "id ORDER BY rowid) AS nth FROM requests WHERE id IS NOT NULL) WHERE nth > 1)"
            )
            said.append(f"{n_double:,} lines repeat a {log.roles.request_id} and are left out")
        return said, []
    n_double = _drop_overlaps(database)
    if n_double:
        said.append(f"{n_double:,} lines stand in two of the files, for the same stretch of time, and count once")
    n, n_alike = (
        int(number(database, f"SELECT {what} FROM requests"))
        for what in ("count(*)", "count(line) - count(DISTINCT line)")
    )
    is_fine = number(database, "SELECT count(*) FROM requests WHERE at_s <> floor(at_s)") > 0
    if log.roles.count is not None or not is_fine or n_alike <= _ALIKE_RATIO * n:
        return said, []
    return said, [
        Caveat(
            code="demand.alike_lines",
            what=f"{n_alike:,} of {n:,} lines are the same as another to the last letter, time included: where the log "
            "was shipped twice, the traffic is less by as much",
            fix="log a request_id, by which each request is counted once",
            number=n_alike / n,
        )
    ]


def _drop_overlaps(database: "DuckDBPyConnection") -> int:
    """Where two files hold the very same lines for the time that both span, take them out of the second."""
    spans = database.execute(
        "SELECT file, min(at_s) AS first, max(at_s) FROM requests GROUP BY file ORDER BY first, file"
    ).fetchall()
    n_double = 0
    for i, (file, _, last) in enumerate(spans):
        for other, low, other_last in spans[i + 1 :]:
            if low > last:
                break  # they are in order of time: of rotated logs only neighbours are looked at
            high = min(last, other_last)
            lines, other_lines = (
                f"(SELECT line, count(*) AS n FROM requests WHERE file = {int(each)} "
                f"AND at_s BETWEEN {low!r} AND {high!r} GROUP BY line)"
                for each in (file, other)
            )
            n_other = number(
                database,
                f"SELECT count(*) FROM {lines} AS one FULL JOIN {other_lines} AS two ON one.line = two.line "
                "WHERE one.n IS DISTINCT FROM two.n",
            )
            if n_other:
                continue
            own = f"file = {int(other)} AND at_s BETWEEN {low!r} AND {high!r}"
            n_double += int(number(database, f"SELECT count(*) FROM requests WHERE {own}"))
            database.execute(f"DELETE FROM requests WHERE {own}")
    return n_double
