"""What a log holds of the requests themselves: their paths and their bodies."""

import json
from collections import Counter
from pathlib import Path

from loadplan.demand.bodies import read_bodies, tells_paths

ACCESS = '10.0.0.7 - - [02/Nov/2026:08:00:00 +0000] "POST /score HTTP/1.1" 200 12 "-" "client/1.0"\n'


def json_lines(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps({"time": 1_700_000_000 + i, **one}) + "\n" for i, one in enumerate(records)))
    return path


def test_an_access_log_tells_paths_and_no_bodies(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(3 * ACCESS)
    assert tells_paths([log])
    assert read_bodies([log], path="/score") == ()


def test_times_alone_tell_neither(tmp_path: Path) -> None:
    log = tmp_path / "times.csv"
    log.write_text("timestamp\n1700000000\n1700000001\n")
    assert not tells_paths([log])
    assert read_bodies([log], path=None) == ()


def test_bodies_are_those_of_the_path_one_a_line_and_only_json(tmp_path: Path) -> None:
    log = json_lines(
        tmp_path / "log.jsonl",
        {"path": "/score", "body": {"rows": [[1, 2]]}},
        {"path": "/score", "body": '{"rows":\n [[3, 4]]}'},
        {"path": "/score", "body": "user=5"},
        {"path": "/score", "body": None},
        {"path": "/other", "body": {"x": 1}},
    )
    assert tells_paths([log])
    assert sorted(read_bodies([log], path="/score")) == ['{"rows":[[1,2]]}', '{"rows":[[3,4]]}']
    assert len(read_bodies([log], path=None)) == 3


def test_a_csv_and_several_files_are_sampled_alike_and_the_same_each_time(tmp_path: Path) -> None:
    logs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for i, log in enumerate(logs):
        rows = "".join(f'1700000000,"{{""file"": {i}, ""n"": {n}}}"\n' for n in range(400))
        log.write_text(f"timestamp,request_body\n{rows}")
    bodies = read_bodies(logs, path=None, most=100)
    assert bodies == read_bodies(logs, path=None, most=100)
    counted = Counter(json.loads(body)["file"] for body in bodies)
    assert sum(counted.values()) == 100
    assert min(counted[0], counted[1]) >= 30  # of 50 each; fewer come once in 20,000 draws
