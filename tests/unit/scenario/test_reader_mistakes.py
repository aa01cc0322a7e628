"""What is wrong in a file is named with its place, all of it at once, and nothing hostile is run."""

import os
from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.scenario.reader import read_scenario
from tests.unit.scenario.files import MINIMAL, mistakes


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("p99_ms", "p99_m", "4:6 objectives[0].p99_m: unknown key; did you mean p99_ms?"),
        ("peak_rps: 300", "peak_rps: 1_000", "2:13 traffic.peak_rps: expected a number, read '1_000'"),
        ("peak_rps: 300", "peak_rps: 0x1F", "2:13 traffic.peak_rps: expected a number, read '0x1F'"),
        ("peak_rps: 300", "peak_rps: 12:30:00", "2:13 traffic.peak_rps: expected a number, read '12:30:00'"),
        ("peak_rps: 300", "peak_rps: 2026-01-01", "2:13 traffic.peak_rps: expected a number, read '2026-01-01'"),
        ("peak_rps: 300", "peak_rps: 007", "2:13 traffic.peak_rps: expected a number, read '007'"),
        ("peak_rps: 300", "peak_rps: '300'", "2:13 traffic.peak_rps: expected a number, read '300'"),
        ("peak_rps: 300", "peak_rps: true", "2:13 traffic.peak_rps: expected a number, read 'true'"),
        ("peak_rps: 300", "peak_rps: .nan", "2:13 traffic.peak_rps: expected a number, read '.nan'"),
        ("peak_rps: 300", "peak_rps: 1e309", "2:13 traffic.peak_rps: expected a finite number, read '1e309'"),
        ("peak_rps: 300", "peak_rps: -3", "2:13 traffic.peak_rps: expected a number above 0, read '-3'"),
        ("peak_rps: 300", "peak_rps: [3]", "2:13 traffic.peak_rps: expected a number, read a list"),
        ("peak_rps: 300", "peak_rps:", "2:3 traffic.peak_rps: expected a number, read nothing"),
        ("peak_rps: 300", "profile: constant", "2:3 traffic.peak_rps: missing; expected requests per second"),
        ("  peak_rps: 300\n", "  peak_rps: 300\n  rows_per_request: yes\n", "expected a whole number, read 'yes'"),
        ("  peak_rps: 300\n", "  peak_rps: 300\n  rows_per_request: 1.5\n", "expected a whole number, read '1.5'"),
        (
            "peak_rps: 300",
            "rows_per_request: {mean: 9, p95: 20, mx: 30}\n  peak_rps: 3",
            "mx: unknown key; did you mean max?",
        ),
        ("peak_rps: 300", "rows_per_request: {mean: 9}\n  peak_rps: 3", "p95: missing; expected rows that one"),
        (
            "peak_rps: 300",
            "rows_per_request: {mean: 9, p95: x}\n  peak_rps: 3",
            "2:36 traffic.rows_per_request.p95: expected",
        ),
        ("  peak_rps: 300\n", "  peak_rps: 300\n  profile: ofice_hours\n", "read 'ofice_hours'"),
        ("  peak_rps: 300\n", "  peak_rps: 300\n  arrivals: {process: poison}\n", "did you mean poisson?"),
        ("  peak_rps: 300\n", "  peak_rps: 300\n  arrivals: {process: gamma}\n", "gamma needs the key cv"),
        *(
            ("  peak_rps: 300\n", f"  peak_rps: 300\n  arrivals: {law}\n", expected)
            for law, expected in (
                ("{process: markov, busy_ratio: 3, busy_share: 0.2}", "markov needs the key mean_busy_s as well"),
                (
                    "{process: markov, busy_ratio: 6, busy_share: 0.2, mean_busy_s: 1}",
                    "busy_ratio 6 in 0.2 of the time is 1.2 times the mean rate",
                ),
                ("{process: trace}", "trace needs the key file as well"),
                ("{process: trace, file: x.csv, cv: 2}", "3:47 traffic.arrivals.cv: cv means nothing to trace"),
                ("{process: profile}", "profile needs the key steps as well"),
                ("{process: profile, steps: []}", "steps: expected a list of 1 or more"),
                ("{process: profile, steps: [{for_s: 1}]}", "steps[0].share: missing"),
                ("{process: profile, steps: [{for_s: 0, share: 1}]}", "steps[0].for_s: expected a number above 0"),
                ("{process: profile, steps: [{for_s: 1, share: 1, fors: 2}]}", "unknown key; did you mean for_s?"),
                ("{process: profile, steps: [{for_s: 1, share: 0.5}]}", "the largest share is 0.5"),
            )
        ),
        ("  - {p99_ms: 50}", "  []", "objectives: expected a list of 1 or more, read an empty list"),
        ("{p99_ms: 50}", "{max_failed_ratio: 0.1}", "no latency limit; give at least one of p50_ms"),
        ("p99_ms: 50", "p99_ms: 0", "expected a number above 0, read '0'"),
        ("p99_ms: 50", "p99_ms: 50, max_failed_ratio: 0", "expected a number above 0, read '0'"),
        ("p99_ms: 50", "p99_ms: 50, p95_ms: ", "4:18 objectives[0].p95_ms: has no value"),
        ("traffic:", "plan: {headroom_ratio: 1}\ntraffic:", "expected a number below 1, read '1'"),
        ("traffic:", "plan: {horizon_months: 0}\ntraffic:", "expected a number of 1 or more, read '0'"),
        ("traffic:", "plan: {regions: [eastus, eastus]}\ntraffic:", "'eastus' stands in this list twice"),
        ("traffic:", "name: ../etc\ntraffic:", "name: expected letters, digits"),
        ("traffic:", "schema: true\ntraffic:", "schema: expected 1, read 'true'"),
        (
            "traffic:",
            "model: {source: onnx, file: a.onnx, factory: 'a:b'}\ntraffic:",
            "factory means nothing to source onnx",
        ),
        ("traffic:", "model: {source: onnx}\ntraffic:", "onnx needs the key file as well"),
        ("traffic:", "model: {source: sklearn}\ntraffic:", "sklearn needs the key factory as well"),
        ("traffic:", "model: {source: sklearn, factory: 'a:b', payload: a.npz}\ntraffic:", "payload means nothing to"),
        (
            "traffic:",
            "model: {source: sklearn, payload: a.npz}\ntraffic:",
            "the key factory as well, or file and payload",
        ),
        (
            "traffic:",
            "model: {source: sklearn, file: a.skops}\ntraffic:",
            "a file holds no rows; name them with the key",
        ),
        (
            "traffic:",
            "model: {source: xgboost, file: a.json, factory: 'a:b'}\ntraffic:",
            "from a factory or from a file; remove one of the two",
        ),
        ("traffic:", "model: {source: sklearn, factory: 'a:b', trust: true}\ntraffic:", "trust is about a file"),
        (
            "traffic:",
            "model: {source: onnx, file: a.onnx, trust: true}\ntraffic:",
            "trust means nothing to source onnx",
        ),
        (
            "traffic:",
            "model: {source: torch, file: a.pt, factory: 'a:b', trust: true}\ntraffic:",
            "trust means nothing to a file of weights",
        ),
        (
            "traffic:",
            "model: {source: transformers, factory: 'a:b', file: a.pt}\ntraffic:",
            "file means nothing to source transformers",
        ),
        *(
            (
                "traffic:",
                f"model: {{source: sklearn, file: a.skops, payload: a.npz, trust: {trust}}}\ntraffic:",
                "model.trust: expected true, or a list of types such as [sklearn.tree._tree.Tree]",
            )
            for trust in ("yes", "[]", "[1]", "['os system']", "{a: b}", "1")
        ),
        (
            "traffic:",
            "model: {source: sklearn, factory: 'a:b', time_limit_s: 0}\ntraffic:",
            "model.time_limit_s: expected a number above 0",
        ),
        ("traffic:", "model: {source: sklearn, factory: a.b}\ntraffic:", "expected module:function"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_value_as_read(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    (line,) = mistakes(tmp_path, MINIMAL.replace(old, new))
    assert expected in line


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "trafic: {}\ntraffic:\n  peak_rps: fast\nobjectives:\n  - {p99_m: 50, max_failed_ratio: 2}\nload: {seed: x}\n"
    )
    assert [line.split(" ")[0] for line in mistakes(tmp_path, text)] == ["1:1", "3:13", "5:6", "5:35", "6:14"]


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        (MINIMAL.replace("{p99_ms: 50}", "p99_ms: 50\n    p50_ms: 80"), "5:13 ", "in line 4"),
        (MINIMAL.replace("300\n", "300\n  arrivals:\n    process: poisson\n    cv: 2\n"), "5:9 ", "in line 4"),
        (MINIMAL + "serving:\n  max_batch_size: [8]\nbench:\n  batch_sizes: [4]\n", "8:16 ", "in line 6"),
        (MINIMAL + "serving:\n  batch_window_ms: [60]\n", "6:20 ", "in line 4"),
        (
            MINIMAL.replace("300\n", "300\n  rows_per_request: 99\n") + "bench: {batch_sizes: [32]}\n",
            "6:22 ",
            "in line 3",
        ),
        (MINIMAL.replace("300\n", "300\n  rows_per_request: {mean: 9, p95: 8}\n"), "3:36 ", "mean in line 3"),
        (MINIMAL.replace("300\n", "300\n  rows_per_request: {mean: 9, p95: 40}\n"), "3:36 ", "3.87 times is the most"),
        (MINIMAL.replace("300\n", "300\n  rows_per_request: {mean: 9, p95: 20, max: 19}\n"), "3:45 ", "p95 in line 3"),
        (MINIMAL + "traffic: {peak_rps: 4}\n", "5:1 ", "first in line 1"),
    ],
    ids=[
        "p50 above p99",
        "cv of a Poisson process",
        "batches served but not benchmarked",
        "window as long as the limit",
        "requests larger than any batch that is benchmarked",
        "a p95 below the mean",
        "a p95 that no lognormal law has",
        "a largest request below the p95",
        "key given twice",
    ],
)
def test_two_keys_that_contradict_are_named_with_both_lines(tmp_path: Path, text: str, first: str, second: str) -> None:
    (line,) = mistakes(tmp_path, text)
    assert line.startswith(first)
    assert second in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!python/object/apply:os.system [touch canary]\n", "tags are not allowed"),
        ("a: !x 1\n", "tags are not allowed"),
        ("a: &x [1]\n", "anchors are not allowed"),
        ("a: &x [1]\nb: [*x, *x]\n", "anchors are not allowed"),
        ("a: *x\n", "aliases are not allowed"),
        ("a: " + "[" * 200 + "]" * 200, "nested deeper than 20"),
        ("a: [" + "1,\n " * 30_000 + "]", "more than 20,000 values"),
        ("a: !" + "x" * 90_000, "1:20001 a line of more than 20,000 characters"),
        ("%YAML 1.1\n---\na: yes\n", "directives are not allowed"),
        (MINIMAL + "---\n" + MINIMAL, "a second document"),
        ("? [a]\n: 1\n", "a key must be plain text"),
        ("a: [1\n", "not valid YAML"),
        ("a:\n\t- b\n", "not valid YAML"),
        ("a: \x00\n", "1:4 a control character"),
        (MINIMAL.replace("traffic:", "name: a\u202eb\ntraffic:"), "1:8 a control character"),
        (MINIMAL.replace("traffic:", 'name: "a\\u202eb"\ntraffic:'), r"'a\u202eb'"),
        ('a: "\\UFFFFFFFF"\n', "not valid YAML"),
        ("- 1\n", "expected a mapping"),
        ("", "traffic: missing"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in "\n".join(mistakes(tmp_path, text))
    assert not (tmp_path / "canary").exists()


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    (line,) = mistakes(tmp_path, bomb)
    assert line.startswith("1:5 ")


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"name: \xff\n", "not UTF-8"), (b"#" * 1_000_001, "larger than 1 MB"), (b"\xff\xfea\x00", "not UTF-8")],
    ids=["latin-1", "too large", "UTF-16"],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    assert expected in mistakes(tmp_path, data)[0]


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, expected in [("none.yaml", "no such file"), ("", "a folder"), ("pipe.yaml", "not a regular file")]:
        with pytest.raises(InputError, match=expected):
            read_scenario(tmp_path / name)
