"""Logs as real files of every kind, made of one list of requests whose times are known."""

import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
NOW = datetime(2025, 9, 1, tzinfo=UTC)
_BERLIN_WINTER = timedelta(hours=1)


def moments(at_s: Iterable[float], *, origin: datetime = MONDAY) -> list[datetime]:
    """Seconds after the origin as moments, to the microsecond."""
    return [origin + timedelta(seconds=float(second)) for second in at_s]


def access_line(moment: datetime, path: str = "/predict", *, status: int = 200, after: str = "") -> str:
    """A line of the combined format, with its time in Berlin."""
    local = (moment + _BERLIN_WINTER).strftime("%d/%b/%Y:%H:%M:%S +0100")
    return f'10.0.0.1 - - [{local}] "POST {path} HTTP/1.1" {status} 512 "-" "agent/1.0 (x 2.5)"{after}'


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """A text, packed where its name ends in gz."""
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_csv(path: Path, header: str, rows: Iterable[Sequence[object]], *, delimiter: str = ",") -> Path:
    """A CSV."""
    lines = [header, *(delimiter.join(map(str, row)) for row in rows)]
    return write_lines(path, lines)


def write_json(path: Path, objects: Iterable[dict[str, object]]) -> Path:
    """JSON lines."""
    return write_lines(path, map(json.dumps, objects))


def write_parquet(path: Path, columns: dict[str, NDArray[np.generic]], *, select: str) -> Path:
    """Parquet, by a SELECT over the columns, so that they may have any type."""
    with duckdb.connect() as database:
        database.register("made", columns)
        database.execute(f"COPY (SELECT {select} FROM made) TO '{path}' (FORMAT parquet)")
    return path
