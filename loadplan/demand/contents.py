"""What requests are: classes, rows, sizes, paths and failures, each by one query over the table `requests`."""

import re
from typing import TYPE_CHECKING

from loadplan.demand.columns import Roles
from loadplan.demand.records import ClassSeen, Contents, PathSeen, RowsSeen, SizeSeen

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_N_PATHS = 10
_N_CLASSES = 12  # and all others together
_SMALLEST_SHARE = 0.001
_OTHERS = "others"
_ROWS = "avg(n_rows), quantile_disc(n_rows, 0.95), max(n_rows), count(n_rows)"


def read_paths(database: "DuckDBPyConnection", *, counted: str | None) -> tuple[PathSeen, ...]:
    """The most frequent paths; `counted` begins those that are part of the demand, None: all are."""
    found = database.execute(
        "SELECT coalesce(method, ''), path, sum(weight) AS n, sum(sum(weight)) OVER () FROM requests "
        f"WHERE path IS NOT NULL GROUP BY ALL ORDER BY n DESC, path LIMIT {_N_PATHS}"
    ).fetchall()
    return tuple(
        PathSeen(method=method, path=path, share=n / of_all, is_counted=counted is None or path.startswith(counted))
        for method, path, n, of_all in found
        if of_all > 0.0
    )


def read_contents(database: "DuckDBPyConnection", roles: Roles, paths: tuple[PathSeen, ...]) -> Contents:
    """All that the log tells of its requests beside when they come."""
    sizes = []
    for i, column in enumerate(roles.sizes):
        row = database.execute(
            f"SELECT avg(size{i}), quantile_disc(size{i}, 0.95) FROM requests WHERE size{i} >= 0"
        ).fetchone()
        if row is not None and row[0] is not None:
            sizes.append(SizeSeen(column=column, mean_bytes=float(row[0]), p95_bytes=float(row[1])))
    failed = database.execute(
        "SELECT avg(CASE WHEN status >= 500 OR status = 429 THEN 1.0 ELSE 0.0 END) FROM requests "
        "WHERE status IS NOT NULL"
    ).fetchone()
    return Contents(
        classes=_classes(database),
        rows=_rows(database.execute(f"SELECT {_ROWS} FROM requests WHERE n_rows >= 1").fetchone()),
        sizes=tuple(sizes),
        paths=paths,
        failed_ratio=None if failed is None or failed[0] is None else float(failed[0]),
    )


def _classes(database: "DuckDBPyConnection") -> tuple[ClassSeen, ...]:
    """The largest classes and all others together; none where the log tells of fewer than two."""
    most = database.execute(
        "SELECT class, n FROM (SELECT class, sum(weight) AS n, sum(sum(weight)) OVER () AS of_all FROM requests "
        f"GROUP BY class) WHERE class IS NOT NULL AND class <> '' AND n >= {_SMALLEST_SHARE!r} * of_all "
        f"ORDER BY n DESC, class LIMIT {_N_CLASSES}"
    ).fetchall()
    if not most:
        return ()
    named = _named([str(name) for name, _ in most])
    database.execute("CREATE OR REPLACE TEMP TABLE named_classes (class VARCHAR, name VARCHAR)")
    database.executemany("INSERT INTO named_classes VALUES (?, ?)", [list(pair) for pair in named.items()])
    found = database.execute(
        f"SELECT coalesce(name, '{_OTHERS}') AS own, sum(weight) AS n, "
        "avg(n_rows) FILTER (WHERE n_rows >= 1), quantile_disc(n_rows, 0.95) FILTER (WHERE n_rows >= 1), "
        "max(n_rows) FILTER (WHERE n_rows >= 1), count(n_rows) FILTER (WHERE n_rows >= 1) "
        "FROM requests LEFT JOIN named_classes USING (class) GROUP BY own ORDER BY n DESC, own"
    ).fetchall()
    total = sum(float(n) for _, n, *_ in found)
    if len(found) < 2 or total <= 0.0:
        return ()
    return tuple(
        ClassSeen(name=str(name), share=float(n) / total, n_requests=float(n), rows=_rows(tuple(rows)))
        for name, n, *rows in found
        if n > 0
    )


def _named(classes: list[str]) -> dict[str, str]:
    """Names that a scenario takes, by what the log calls the classes: `/v1/predict` becomes `v1-predict`."""
    names: dict[str, str] = {}
    for written in classes:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", written).strip("-._")[:56] or "class"
        taken = {*names.values(), _OTHERS}
        names[written] = next(name for i in range(1, 99) if (name := plain if i == 1 else f"{plain}-{i}") not in taken)
    return names


def _rows(row: tuple[object, ...] | None) -> RowsSeen | None:
    if row is None or not row[3]:
        return None
    mean, p95, most, n = (float(str(value)) for value in row)
    return RowsSeen(mean=mean, p95=p95, most=int(most), n_requests=int(n))
