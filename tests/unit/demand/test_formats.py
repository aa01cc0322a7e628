"""The same ninety minutes as a log of every kind: what comes out is the same."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadplan.demand.columns import LogColumns
from loadplan.demand.logs import read_demand
from loadplan.demand.records import Absent, Demand, Peak, RowsSeen
from loadplan.errors import InputError
from loadplan.scenario.arrivals import IntervalCounts, RequestTimes
from tests.unit.demand.made import (
    MONDAY,
    NOW,
    access_line,
    moments,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)

# Ninety minutes with a request every second; in the second hour's first minute 5 a second, in one second of it 9.
AT_S = (
    np.sort(np.concatenate([np.arange(5400.0), np.repeat(np.arange(3600.0, 3660.0), 4), np.repeat(3630.0, 4)])) + 0.25
)
N = 5400 + 240 + 4
ISO = [moment.isoformat() for moment in moments(AT_S)]
EPOCH_S = np.array([moment.timestamp() for moment in moments(AT_S)])

WRITERS: dict[str, Callable[[Path], Path]] = {
    "nginx": lambda folder: write_lines(folder / "access.log", map(access_line, moments(AT_S))),
    "nginx, packed": lambda folder: write_lines(folder / "access.log.2.gz", map(access_line, moments(AT_S))),
    "csv": lambda folder: write_csv(folder / "a.csv", "ts,path", ((at, "/predict") for at in ISO)),
    "csv, semicolons": lambda folder: write_csv(
        folder / "a.txt", "client;timestamp", (("x", at) for at in ISO), delimiter=";"
    ),
    "csv, no header": lambda folder: write_lines(folder / "a.csv", (f"{at:.6f}" for at in EPOCH_S)),
    "json, milliseconds": lambda folder: write_json(
        folder / "a.json", ({"@timestamp": int(at * 1000), "http": {"path": "/predict"}} for at in EPOCH_S)
    ),
    "json, nested time": lambda folder: write_json(folder / "a", ({"event": {"time": at}} for at in ISO)),
    "parquet": lambda folder: write_parquet(
        folder / "a [1].parquet", {"moment": EPOCH_S}, select="to_timestamp(moment) AS received_at"
    ),
    "parquet, nanoseconds": lambda folder: write_parquet(
        folder / "a.bin", {"moment": (EPOCH_S * 1e9).astype(np.int64)}, select="moment AS time"
    ),
}


def rate(peak: Peak | Absent) -> float:
    assert isinstance(peak, Peak)
    return peak.rate_rps


def read(*paths: Path, columns: LogColumns | None = None, path: str | None = None) -> Demand:
    return read_demand(paths, columns=columns or LogColumns(), path=path, now=NOW)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_requests_give_the_same_figures_whatever_the_log_is(tmp_path: Path, kind: str) -> None:
    demand = read(WRITERS[kind](tmp_path))
    assert demand.n_requests == N
    # The busiest 3,600 seconds hold the busy minute: 3600 + 244 requests. It can begin anywhere before it.
    assert demand.peak_hour.rate_rps == pytest.approx(3844 / 3600)
    assert rate(demand.peak_minute) == pytest.approx(304 / 60)
    assert rate(demand.peak_second) == 9.0
    assert isinstance(demand.peak_second, Peak)
    assert demand.peak_second.at_s == MONDAY.timestamp() + 3630
    assert demand.span_s == 5400.0
    assert demand.mean_rps == pytest.approx(N / 5400)
    assert demand.began_at_s == MONDAY.timestamp()
    has_whole_seconds = kind.startswith("nginx")
    assert isinstance(demand.recording, IntervalCounts if has_whole_seconds else RequestTimes)


def test_rotated_logs_are_one_whatever_their_order(tmp_path: Path) -> None:
    lines = [access_line(moment) for moment in moments(AT_S)]
    files = [
        write_lines(tmp_path / "access.log", lines[4000:]),
        write_lines(tmp_path / "access.log.1", lines[2000:4000]),
        write_lines(tmp_path / "access.log.2.gz", lines[:2000]),
    ]
    demand = read(*files)
    assert demand.n_requests == N
    assert demand.peak_hour.rate_rps == pytest.approx(3844 / 3600)


def test_counts_per_interval_tell_no_peak_that_is_shorter(tmp_path: Path) -> None:
    rows = [
        (moment.isoformat(), count) for moment, count in zip(moments([0, 300, 600, 1500]), (30, 60, 0, 90), strict=True)
    ]
    demand = read(write_csv(tmp_path / "counts.csv", "timestamp,value", rows))
    assert demand.n_requests == 180
    assert demand.span_s == 1800.0  # the last interval is as long as the others
    assert demand.peak_hour.rate_rps == pytest.approx(0.1)
    assert isinstance(demand.peak_minute, Absent)
    assert "steps of 300 s" in demand.peak_minute.reason


def test_rows_classes_sizes_and_paths_are_told(tmp_path: Path) -> None:
    objects: list[dict[str, object]] = [
        {"ts": at, "path": "/rank?u=1", "method": "post", "class": "web" if i % 4 else "Batch job", "rows": 1 + i % 10,
         "response_bytes": 100, "status": 503 if i % 50 == 0 else 200}
        for i, at in enumerate(ISO[:1000])
    ]  # fmt: skip
    contents = read(write_json(tmp_path / "a.jsonl", objects)).contents
    assert [(one.name, one.share) for one in contents.classes] == [("web", 0.75), ("Batch-job", 0.25)]
    assert contents.rows is not None
    assert (contents.rows.mean, contents.rows.p95, contents.rows.most) == (5.5, 10.0, 10)
    assert contents.failed_ratio == pytest.approx(0.02)
    assert [(size.column, size.mean_bytes) for size in contents.sizes] == [("response_bytes", 100.0)]
    assert [(one.method, one.path, one.share) for one in contents.paths] == [("POST", "/rank", 1.0)]


def test_only_the_paths_that_count_count(tmp_path: Path) -> None:
    lines = [access_line(moment, "/predict" if i % 3 else "/health") for i, moment in enumerate(moments(AT_S[:3000]))]
    demand = read(write_lines(tmp_path / "a.log", lines), path="/predict")
    assert demand.n_requests == 2000
    assert [one.is_counted for one in demand.contents.paths] == [True, False]
    assert "1,000 of 3,000 requests ask for other paths" in " ".join(demand.corrections)
    everything = read(tmp_path / "a.log")
    assert "demand.many_paths" in [caveat.code for caveat in everything.caveats]


# What can't be used: one message, with what would do


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the log is empty"),
        ("\n\n", "the log is empty"),
        ("user,item\nanna,7\nbert,9\n", "no column holds the time of a request; the log has user, item"),
        ("[1, 2]\n", "no line holds a JSON object"),
        ("time,x\n" + "soon,1\n" * 100, "the column time holds no times, but 'soon'"),
        ("time,x\n" + "2093-01-01T00:00:00Z,1\n" * 100, "100 of 100 requests lie in the future"),
        ("time\n" + "\n".join(ISO[:100]) + "\nnonsense" * 2 + "\n", "2 of 102 lines can't be read (2.0%)"),
        ("time\n" + "2025-03-03T00:00:00Z\n" * 100, "all requests of the log came in the same second"),
        ("time\n" + "2025-03-03T00:00:00Z\n2025-03-03T00:00:01\n" * 50, "50 of 100 times name a time zone"),
    ],
    ids=["empty", "blank", "no time", "a list", "no times", "future", "unreadable", "one second", "mixed zones"],
)  # fmt: skip
def test_a_log_that_cant_be_used_is_refused_with_why(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "log"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    assert what in caught.value.what


def test_a_log_of_another_service_is_told_by_its_paths(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "a.log", (access_line(moment, "/shop/cart") for moment in moments(AT_S[:100])))
    with pytest.raises(InputError, match=r"none of 100 requests asks for /predict; .* /shop/cart \(100%\)"):
        read(log, path="/predict")


def test_logs_of_two_kinds_are_refused(tmp_path: Path) -> None:
    one = WRITERS["csv"](tmp_path)
    with pytest.raises(InputError, match="a log of another kind"):
        read(one, WRITERS["nginx"](tmp_path))


def test_a_missing_file_a_folder_and_a_column_that_isnt_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.log")
    with pytest.raises(InputError, match="a folder, not a log"):
        read(tmp_path)
    with pytest.raises(InputError, match="there is no column when; the log has ts, path"):
        read(WRITERS["csv"](tmp_path), columns=LogColumns(time="when"))


def test_a_format_that_it_isnt_and_a_damaged_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no line is one of an access log"):
        read_demand([WRITERS["csv"](tmp_path)], log_format="nginx", now=NOW)
    packed = WRITERS["nginx, packed"](tmp_path)
    packed.write_bytes(packed.read_bytes()[:300])
    with pytest.raises(InputError, match="the file can't be read"):
        read(packed)


def test_a_few_lines_that_cant_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = [access_line(moment) for moment in moments(AT_S)]
    lines[7:7] = ["", "worker process 12 exited", '10.0.0.1 - - [x] "" 400 0 "-" "-"']
    demand = read(write_lines(tmp_path / "a.log", lines))
    assert demand.n_requests == N
    assert demand.corrections[0] == f"2 of {N + 2:,} lines can't be read and are left out"


@pytest.mark.skipif("LOADPLAN_TRACES" not in os.environ, reason="LOADPLAN_TRACES names no folder of real traces")
def test_real_traffic_is_as_its_readme_says() -> None:
    """Of the Azure hour: 19,366 requests; an index of dispersion of 1.4 in 1 s, 3.9 in 10 s, 16 in a minute."""
    folder = Path(os.environ["LOADPLAN_TRACES"])
    demand = read_demand([folder / "azure_llm_2023_conversation.csv"])
    assert demand.n_requests == 19_366
    found = [round(one.index, 1) for one in demand.dispersion if not isinstance(one, Absent)]
    assert found == pytest.approx([1.4, 3.9, 16.0], rel=0.1)
    taxi = read_demand([folder / "nyc_taxi_30min.csv"], time_zone="America/New_York")
    assert taxi.peak_hour.interval is not None
    assert not isinstance(taxi.week, Absent)
    assert taxi.week.n_hours_seen == 168


def test_rows_are_told_by_nearest_rank_for_all_and_for_each_class(tmp_path: Path) -> None:
    """A hundred times 1 to 20 rows, the upper half of class b: the 95th of 100 is 19, of 11 to 20 it is 20."""
    rows = (
        (moment.isoformat(), "a" if i % 20 < 10 else "b", i % 20 + 1) for i, moment in enumerate(moments(range(2000)))
    )
    contents = read_demand([write_csv(tmp_path / "a.csv", "time,class,rows", rows)], now=NOW).contents
    assert contents.rows == RowsSeen(mean=10.5, p95=19.0, most=20, n_requests=2000)
    assert [(one.name, one.share, one.rows) for one in contents.classes] == [
        ("a", 0.5, RowsSeen(mean=5.5, p95=10.0, most=10, n_requests=1000)),
        ("b", 0.5, RowsSeen(mean=15.5, p95=20.0, most=20, n_requests=1000)),
    ]
