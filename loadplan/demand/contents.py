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
_P95 = 0.95
_WITH_NAMES = "requests LEFT JOIN named_classes USING (class)"
_OWN_NAME = f"coalesce(name, '{_OTHERS}')"


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
        for _, mean, p95, *_ in database.execute(_figures(f"size{i}", "requests", least=0)).fetchall():
            sizes.append(SizeSeen(column=column, mean_bytes=float(mean), p95_bytes=float(p95)))
    failed = database.execute(
        "SELECT avg(CASE WHEN status >= 500 OR status = 429 THEN 1.0 ELSE 0.0 END) FROM requests "
        "WHERE status IS NOT NULL"
    ).fetchone()
    return Contents(
        classes=_classes(database),
        rows=next((_rows(one) for one in database.execute(_figures("n_rows", "requests", least=1)).fetchall()), None),
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
        f"SELECT {_OWN_NAME} AS own, sum(weight) AS n FROM {_WITH_NAMES} GROUP BY own ORDER BY n DESC, own"
    ).fetchall()
    total = sum(float(n) for _, n in found)
    if len(found) < 2 or total <= 0.0:
        return ()
    told = database.execute(_figures("n_rows", _WITH_NAMES, least=1, of=_OWN_NAME)).fetchall()
    rows = {str(one[0]): _rows(one) for one in told}
    return tuple(
        ClassSeen(name=str(name), share=float(n) / total, n_requests=float(n), rows=rows.get(str(name)))
        for name, n in found
        if n > 0
    )


def _figures(column: str, source: str, *, least: int, of: str = "''") -> str:
    """A query: of each group its name, then the mean, the 95th percentile (nearest rank), the largest and the number.

    Of the values from `least` on, by how often each is there: that spills to disk, a quantile of all values doesn't.
    """
    counted = (
        f"SELECT {of} AS own, {column} AS v, count(*) AS n FROM {source} WHERE {column} >= {least} GROUP BY own, v"
    )
    ranked = (
        "SELECT *, CAST(sum(n) OVER (PARTITION BY own ORDER BY v) AS DOUBLE) AS up_to, "
        f"CAST(sum(n) OVER (PARTITION BY own) AS DOUBLE) AS of_all FROM ({counted})"
    )
    return (
        f"SELECT own, sum(v * n) / sum(n), min(v) FILTER (WHERE up_to >= round({_P95!r} * of_all, 6)), max(v), sum(n) "
        f"FROM ({ranked}) GROUP BY own"
    )


def _named(classes: list[str]) -> dict[str, str]:
    """Names that a scenario takes, by what the log calls the classes: `/v1/predict` becomes `v1-predict`."""
    names: dict[str, str] = {}
    for written in classes:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", written).strip("-._")[:56] or "class"
        taken = {*names.values(), _OTHERS}
        names[written] = next(name for i in range(1, 99) if (name := plain if i == 1 else f"{plain}-{i}") not in taken)
    return names


def _rows(figures: tuple[object, ...]) -> RowsSeen:
    mean, p95, most, n = (float(str(value)) for value in figures[1:])
    return RowsSeen(mean=mean, p95=p95, most=int(most), n_requests=int(n))
