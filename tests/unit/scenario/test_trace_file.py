"""Recordings of real arrivals: what they say, and what is wrong with those that can't be read."""

import os
from pathlib import Path

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.scenario.arrivals import IntervalCounts, RequestTimes, n_recorded, recorded_s
from loadplan.scenario.burstiness import index_of_dispersion
from loadplan.scenario.trace_file import read_trace


def write(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "0\n0.5\n0.5\n3\n",
        "time\n100\n100.5\n100.5\n103\n",
        (
            "TIMESTAMP,ContextTokens\n2023-11-16 18:15:46.6805900,9\n2023-11-16 18:15:47.1805900,9\n"
            "2023-11-16 18:15:47.1805900,9\n2023-11-16 18:15:49.6805900,9\n"
        ),
        (
            "t,client\r\n2025-03-30T00:59:59Z,a\r\n2025-03-30T01:59:59.5+01:00,b\r\n\r\n"
            "2025-03-30T02:59:59.5+02:00,b\r\n2025-03-30T01:00:02Z,c\r\n"
        ),
    ],
    ids=["bare seconds", "seconds", "dates", "time zones"],
)
def test_a_row_for_each_request_gives_their_times(tmp_path: Path, text: str) -> None:
    recording = read_trace(write(tmp_path, text))
    assert isinstance(recording, RequestTimes)
    assert recording.times_s == (0.0, 0.5, 0.5, 3.0)
    assert recording.length_s == 4.0  # one mean gap after the last
    assert recording.file == "log.csv"


def test_a_column_of_counts_makes_it_counts_and_intervals_left_out_had_none(tmp_path: Path) -> None:
    text = "timestamp,value\n2014-04-10 00:00:00,94.0\n2014-04-10 00:05:00,0\n2014-04-10 00:20:00,7\n"
    recording = read_trace(write(tmp_path, text))
    assert recording == IntervalCounts(file="log.csv", interval_s=300.0, counts=(94, 0, 0, 0, 7))
    assert (n_recorded(recording), recorded_s(recording)) == (101, 1500.0)


def test_counts_of_the_same_time_add_up(tmp_path: Path) -> None:
    recording = read_trace(write(tmp_path, "t,path,requests\n0,/a,1\n0,/b,2\n60,/a,4\n"))
    assert recording == IntervalCounts(file="log.csv", interval_s=60.0, counts=(3, 4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t\n1\n2\n1.5\n", "line 4: '1.5' is earlier than the row before"),
        ("t,count\n60,1\n0,1\n", "line 3: '0' is earlier"),
        ("t\n1\nsoon\n", "line 3: expected a time, read 'soon'"),
        ("t\n1\n2024-01-01\n", "line 3: '2024-01-01' is of another kind"),
        ("t\n2024-01-01T00:00:00\n2024-01-01T00:00:01Z\n", "line 3: '2024-01-01T00:00:01Z' is of another kind"),
        ("t\n1700000000000\n1700000000001\n", "line 2: '1700000000000' is no time in seconds"),
        ("t\nnan\n1\n", "line 2: expected a time"),
        ("", "fewer than two rows"),
        ("t\n", "fewer than two rows"),
        ("t\n1\n", "fewer than two rows"),
        ("t\n1\n1\n1\n", "at the same time"),
        ("1,2\n3,4\n", "line 1: expected a header"),
        ("t,count\n0,1\n60,-1\n", "line 3: expected a count of requests, read '-1'"),
        ("t,count\n0,1\n60,1.5\n", "line 3: expected a count of requests, read '1.5'"),
        ("t,count\n0,1\n60\n", "line 3: expected a count of requests, read ''"),
        ("t,count\n0,0\n60,0\n", "all counts are 0"),
        ("t,count\n0,1\n60,1\n150,1\n", "line 4: '150' is not a whole number of intervals of 60 s"),
        ("t,count\n0,1\n1,1\n1000000,1\n", "the file spans 1,000,001 intervals of 1 s"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert expected in caught.value.what
    assert caught.value.where == str(path)


def test_more_requests_than_are_replayed_one_by_one_are_refused_with_a_way_out(tmp_path: Path) -> None:
    path = write(tmp_path, "t\n" + "\n".join(map(str, range(200_001))))
    with pytest.raises(InputError, match="200,001 requests") as caught:
        read_trace(path)
    assert "counts per second" in caught.value.fix


@pytest.mark.skipif("LOADPLAN_TRACES" not in os.environ, reason="LOADPLAN_TRACES names no folder of real traces")
def test_real_traces_are_read_as_they_are() -> None:
    folder = Path(os.environ["LOADPLAN_TRACES"])
    requests = read_trace(folder / "azure_llm_2023_conversation.csv")
    assert isinstance(requests, RequestTimes)
    assert n_recorded(requests) == 19_366
    found = [
        index_of_dispersion(np.array(requests.times_s), window_s=window_s, duration_s=requests.length_s)
        for window_s in (1.0, 10.0, 60.0)
    ]
    # As its description says: far from Poisson's 1, and the further the longer the window.
    np.testing.assert_allclose(found, [1.4, 3.9, 16.0], rtol=0.05)
    counts = read_trace(folder / "elb_request_count_5min.csv")
    assert isinstance(counts, IntervalCounts)
    assert (counts.interval_s, len(counts.counts), sum(counts.counts)) == (300.0, 4040, 249_327)
