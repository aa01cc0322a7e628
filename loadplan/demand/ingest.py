"""A log in a data base of its own on disk: one narrow row for each line, whatever the log is written in.

Each file is read once. The data base spills to disk what doesn't fit into its share of memory, so that a log may be
larger than that; nothing here makes a Python object of each request.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from loadplan import sysfs
from loadplan.demand.columns import LogColumns, Roles, find_roles
from loadplan.demand.log_file import LogFile
from loadplan.demand.reading import reading
from loadplan.demand.source import ACCESS_COLUMNS, WHOLE_LINE, relation
from loadplan.demand.sql import number, quoted
from loadplan.demand.time_text import TimeText, seconds_sql, time_text_of
from loadplan.errors import InputError
from loadplan.machine import usable_cores
from loadplan.scratch import scratch_folder
from loadplan.system import system_fault

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_N_SAMPLES = 500
_MEMORY_RATIO = 0.25  # of what is there, so that whatever else runs goes on
_LEAST_MEMORY_BYTES = 256 << 20
_WHOLE_MICROSECONDS = 1_000  # a median duration below it may be in any unit

_TABLE = """CREATE TABLE requests (
    file USMALLINT, at_s DOUBLE, is_zoned BOOLEAN, duration_s DOUBLE, status DOUBLE, method VARCHAR, path VARCHAR,
    class VARCHAR, n_rows DOUBLE, weight DOUBLE, id UBIGINT, line UBIGINT"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What went into the table `requests`, a row for each line."""

    database: "DuckDBPyConnection"
    roles: Roles
    time: TimeText
    n_lines: int  # that are not blank
    n_rejected: int  # of them that the reader could make nothing of


@contextmanager
def ingest(files: Sequence[LogFile], *, chosen: LogColumns, memory_bytes: int | None = None) -> Iterator[Ingested]:
    """Read the files into a data base that is gone when the block ends.

    Args:
        files: open logs of one kind.
        chosen: columns that the user names.
        memory_bytes: what the data base may use; by default a quarter of what is free.

    Raises:
        InputError: when no column holds the time, or the log can't be read.
        EnvironmentFault: when memory or disk has no room for it.
    """
    import duckdb

    limit = memory_bytes or max(int(_MEMORY_RATIO * _free_bytes()), _LEAST_MEMORY_BYTES)
    with scratch_folder() as folder:
        options: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{limit >> 20}MiB",
            "temp_directory": str(folder),
        }
        if system_fault() is None:  # elsewhere DuckDB counts the cores by itself
            options["threads"] = str(len(usable_cores()))
        with (
            reading([file.path for file in files]),
            duckdb.connect(folder / "log.duckdb", config=options) as database,
        ):
            database.execute("SET TimeZone = 'UTC'")  # in which it writes the times of parquet
            database.execute("PRAGMA disable_checkpoint_on_shutdown")  # nobody opens it again
            yield _filled(database, files, chosen)


def _free_bytes() -> int:
    """What the system has to give and the limit of a container allows: the system alone doesn't see that one."""
    free, limit = int(psutil.virtual_memory().available), sysfs.read_memory_limit_bytes(Path("/"))
    return free if limit is None else min(free, limit)


def _filled(database: "DuckDBPyConnection", files: Sequence[LogFile], chosen: LogColumns) -> Ingested:
    roles, time = _understood(database, files[0], chosen)
    sizes = "".join(f", size{i} DOUBLE" for i in range(len(roles.sizes)))
    database.execute(f"{_TABLE}{sizes})")
    for i, file in enumerate(files):
        own = file if i == 0 else _alike(file, files[0], roles)
        database.execute(f"INSERT INTO requests SELECT {_values(i, roles, time)} FROM {relation(own, roles.used)}")
    n_rejected = (
        number(database, "SELECT count(DISTINCT (scan_id, file_id, line)) FROM reject_errors")
        if _rejects(database)
        else 0
    )
    return Ingested(
        database=database,
        roles=roles,
        time=time,
        n_lines=int(number(database, "SELECT count(*) FROM requests")) + int(n_rejected),
        n_rejected=int(n_rejected),
    )


def _understood(database: "DuckDBPyConnection", file: LogFile, chosen: LogColumns) -> tuple[Roles, TimeText]:
    """The columns by purpose and how times are written, by the first lines."""
    if file.kind == "access":
        roles = _access_roles(database, file, chosen)
    else:
        columns = columns_of(database, file)
        first = _samples(database, file, columns[0])
        roles = find_roles(columns, chosen, first_is_time=time_text_of(first) is not None, where=str(file.path))
    texts = _samples(database, file, roles.time)
    time = time_text_of(texts)
    if time is None and file.kind == "access":
        raise InputError(
            what="no line is one of an access log",
            where=str(file.path),
            fix='leave out --format; a format of your own needs the parts [time] "request" status bytes in this order',
        )
    if time is None:
        shown = f"{texts[0]!r:.60}" if texts else "nothing"
        raise InputError(
            what=f"the column {roles.time} holds no times, but {shown}",
            where=str(file.path),
            fix="name the column with --time-column; times are read as 2025-03-01T12:00:00.5+01:00 or as a number "
            "since 1970",
        )
    return roles, time


def _access_roles(database: "DuckDBPyConnection", file: LogFile, chosen: LogColumns) -> Roles:
    """$request_time of nginx has a decimal point and is in seconds, %D of Apache has none and is in microseconds."""
    if chosen.time is not None or chosen.rows is not None or chosen.class_name not in {None, "path", "method"}:
        raise InputError(
            what="an access log has no columns to name but path and method",
            where=str(file.path),
            fix="write --class-column path, or write the log as JSON lines with what you need",
        )
    roles = replace(ACCESS_COLUMNS, class_name=chosen.class_name)
    found = _samples(database, file, "duration")
    if not found:
        return replace(roles, duration=None)
    if any("." in text for text in found):
        return replace(roles, duration_unit_s=1.0)
    middle = sorted(map(float, found))[len(found) // 2]
    return replace(roles, duration_unit_s=1e-6 if middle >= _WHOLE_MICROSECONDS else None)


def columns_of(database: "DuckDBPyConnection", file: LogFile) -> tuple[str, ...]:
    """As a log that is no access log calls them."""
    if file.kind != "parquet":
        return file.columns
    described = database.execute("SELECT * FROM read_parquet(?) LIMIT 0", [file.opened]).description
    return tuple(str(name) for name, *_ in described or ())


def _alike(file: LogFile, first: LogFile, roles: Roles) -> LogFile:
    """The same, a further file, which must have the columns that the first one is read by."""
    missing = [name for name in roles.used if name not in file.columns]
    if file.kind == "csv" and missing:
        raise InputError(
            what=f"this log has no column {missing[0]}, which {first.path} has",
            where=str(file.path),
            fix="read logs with the same columns together, and others by themselves",
        )
    return file


def _samples(database: "DuckDBPyConnection", file: LogFile, column: str) -> list[str]:
    """The first values of a column that are not empty."""
    found = relation(file, ACCESS_COLUMNS.used if file.kind == "access" else (column,))
    name = quoted(column)
    rows = database.execute(f"SELECT {name} FROM {found} WHERE {name} <> '' LIMIT {_N_SAMPLES}").fetchall()
    if _rejects(database):
        database.execute("DELETE FROM reject_errors")
    return [str(text) for (text,) in rows]


def _values(i_file: int, roles: Roles, time: TimeText) -> str:
    """The expressions of the table's columns, in their order."""
    at_s, is_zoned = seconds_sql(time, quoted(roles.time))
    method, path = _asked(roles)
    duration = "NULL"
    if roles.duration is not None and roles.duration_unit_s is not None:
        took = _as_number(roles.duration)
        duration = f"CASE WHEN {took} >= 0 THEN {took} * {roles.duration_unit_s!r} END"
    return ", ".join(
        [
            str(i_file),
            at_s,
            is_zoned,
            duration,
            "NULL" if roles.status is None else _as_number(roles.status),
            method,
            path,
            _class(roles, method=method, path=path),
            "NULL" if roles.rows is None else _as_number(roles.rows),
            _weight(roles),
            "NULL" if roles.request_id is None else _hash(f"nullif(nullif({quoted(roles.request_id)}, ''), '-')"),
            _hash(WHOLE_LINE),
            *(_as_number(name) for name in roles.sizes),
        ]
    )


def _asked(roles: Roles) -> tuple[str, str]:
    """Method and path, each an expression; what follows a question mark says nothing of which path it is."""
    if roles.path is not None:
        method = "NULL" if roles.method is None else f"upper({quoted(roles.method)})"
        return method, f"split_part({quoted(roles.path)}, '?', 1)"
    if roles.request is None:
        return "NULL" if roles.method is None else f"upper({quoted(roles.method)})", "NULL"
    request = quoted(roles.request)
    whole = f"{request} LIKE '% %'"
    return (
        f"CASE WHEN {whole} THEN split_part({request}, ' ', 1) END",
        f"CASE WHEN {whole} THEN split_part(split_part({request}, ' ', 2), '?', 1) END",
    )


def _class(roles: Roles, *, method: str, path: str) -> str:
    if roles.class_name is None:
        return "NULL"
    if roles.request is not None and roles.class_name in {"path", "method"}:
        return path if roles.class_name == "path" else method
    return quoted(roles.class_name)


def _weight(roles: Roles) -> str:
    """How many requests a line stands for: the count of its interval, or one over the share that was kept."""
    count = "1.0"
    if roles.count is not None:
        told = _as_number(roles.count)
        count = f"CASE WHEN {told} >= 0 THEN {told} END"
    if roles.weight is None:
        return count
    rate = _as_number(roles.weight)
    return f"({count}) * CASE WHEN {rate} >= 1 THEN {rate} WHEN {rate} > 0 THEN 1.0 / {rate} END"


def _hash(text: str) -> str:
    """Of sixty-four bits, so that ten million texts have two alike in one case of four hundred thousand."""
    return f"CASE WHEN {text} IS NOT NULL THEN hash({text}) END"


def _as_number(name: str) -> str:
    """A column as a number; NULL where it holds none, or one that is not finite."""
    value = f"TRY_CAST({quoted(name)} AS DOUBLE)"
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def _rejects(database: "DuckDBPyConnection") -> bool:
    found = number(database, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'")
    return found > 0
