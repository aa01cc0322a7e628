"""What a log tells of its requests beside when they came: whether it has their paths, and the bodies that were sent.

The decision a reader would question: bodies are a sample of all of them, each as often as it was sent, so that long and
dear ones are as frequent as they were; those that are not JSON are left out.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadplan.demand.columns import body_column, path_column
from loadplan.demand.ingest import columns_of
from loadplan.demand.log_file import LogFile, open_logs
from loadplan.demand.reading import reading
from loadplan.demand.source import relation
from loadplan.demand.sql import quoted, text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    database: "DuckDBPyConnection"
    files: tuple[LogFile, ...]
    columns: tuple[str, ...]  # of the first; none of an access log


def tells_paths(paths: Sequence[Path]) -> bool:
    """Whether the logs hold the path that each request asked for.

    Raises:
        InputError: when one can't be read, is empty, or is of another kind than the first.
        EnvironmentFault: when memory or disk has no room for it.
    """
    with _opened(paths) as log:
        return log.files[0].kind == "access" or path_column(log.columns) is not None


def read_bodies(paths: Sequence[Path], *, path: str | None, most: int = 256) -> tuple[str, ...]:
    """Bodies that callers sent, each JSON in one line; none where the log has no column of them.

    Args:
        paths: files of one service, of one kind.
        path: beginning of the paths that count; None: all.
        most: bodies at most, drawn from all files alike.

    Raises:
        InputError: when a log can't be read.
        EnvironmentFault: when memory or disk has no room for it.
    """
    with _opened(paths) as log:
        body, asked = body_column(log.columns), path_column(log.columns)
        if body is None:
            return ()
        is_counted = "" if path is None or asked is None else f" AND starts_with({quoted(asked)}, {text(path)})"
        names = [body] if asked is None else [body, asked]
        own = " UNION ALL ".join(
            f"(SELECT {quoted(body)} AS body FROM {relation(file, names)} WHERE {quoted(body)} <> ''{is_counted})"
            for file in log.files
        )
        found = log.database.execute(
            f"SELECT body FROM ({own}) USING SAMPLE reservoir({most} ROWS) REPEATABLE ({_SEED})"
        ).fetchall()
    return tuple(line for (one,) in found if (line := _one_line(str(one))) is not None)


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[_Opened]:
    import duckdb

    with reading(paths), open_logs(paths, log_format=None) as files, duckdb.connect() as database:
        columns = () if files[0].kind == "access" else columns_of(database, files[0])
        yield _Opened(database=database, files=files, columns=columns)


def _one_line(body: str) -> str | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else None
