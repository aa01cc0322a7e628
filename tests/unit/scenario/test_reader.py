import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.scenario.arrivals import (
    Arrivals,
    ConstantArrivals,
    GammaArrivals,
    MarkovArrivals,
    PoissonArrivals,
    ProfileArrivals,
    ProfileStep,
    RequestTimes,
    TraceArrivals,
)
from loadplan.scenario.inline_arrivals import read_arrivals
from loadplan.scenario.reader import json_schema, read_scenario
from loadplan.scenario.spec import ParityLimits, QualityGate, RowsPerRequest

MINIMAL = """\
traffic:
  peak_rps: 300
objectives:
  - {p99_ms: 50}
"""
DIGITS = Path(__file__).parents[3] / "scenarios" / "digits.yaml"


def write(folder: Path, text: str | bytes, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the one error, without the path before the line number."""
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        read_scenario(path)
    assert caught.value.where == str(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.what.splitlines()]


def test_peak_and_objectives_are_all_that_is_needed(tmp_path: Path) -> None:
    scenario = read_scenario(write(tmp_path, MINIMAL))
    assert scenario.name == "shop"
    assert scenario.model is None
    assert scenario.traffic.peak_rps == 300.0
    assert scenario.traffic.arrivals == PoissonArrivals()
    assert len(scenario.traffic.week_shares) == 168
    assert scenario.plan.n_spare_replicas == 1
    assert scenario.plan.n_min_replicas == 1
    assert scenario.plan.headroom_ratio == 0.2
    assert scenario.plan.purchases == ("on_demand",)


def test_figures_leave_in_seconds_and_decimal(tmp_path: Path) -> None:
    text = MINIMAL.replace("{p99_ms: 50}", "{p50_ms: 8, p99_9_ms: 120, max_failed_ratio: 0.01}")
    text += "serving: {batch_window_ms: [0, 2.5]}\nplan: {budget_usd_per_month: 1999.99}\n"
    scenario = read_scenario(write(tmp_path, text))
    (slo,) = scenario.objectives
    assert [(limit.quantile, limit.limit_s) for limit in slo.limits] == [(0.5, 0.008), (0.999, 0.12)]
    assert slo.max_failed_ratio == 0.01
    assert scenario.serving.batch_windows_s == (0.0, 0.0025)
    assert scenario.plan.budget_usd_per_month == Decimal("1999.99")


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("{process: constant}", ConstantArrivals()),
        ("{process: gamma, cv: 2}", GammaArrivals(cv=2.0)),
        (
            "{process: markov, busy_ratio: 5, busy_share: 0.2, mean_busy_s: 3}",
            MarkovArrivals(busy_ratio=5.0, busy_share=0.2, mean_busy_s=3.0),
        ),
        (
            "{process: profile, steps: [{for_s: 9, share: 0, to_share: 1}, {for_s: 1, share: 0.5}]}",
            ProfileArrivals(
                steps=(
                    ProfileStep(for_s=9.0, share=0.0, to_share=1.0),
                    ProfileStep(for_s=1.0, share=0.5, to_share=0.5),
                )
            ),
        ),
        (
            "{process: trace, file: log.csv}",
            TraceArrivals(recording=RequestTimes(file="log.csv", times_s=(0.0, 1.0, 3.0), length_s=4.5)),
        ),
    ],
)
def test_each_law_of_arrivals_is_read_here_and_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, law: str, expected: Arrivals
) -> None:
    write(tmp_path, "t\n5\n6\n8\n", "log.csv")
    scenario = read_scenario(write(tmp_path, MINIMAL.replace("300\n", f"300\n  arrivals: {law}\n")))
    assert scenario.traffic.arrivals == expected
    monkeypatch.chdir(tmp_path)
    assert read_arrivals(law, where="--arrivals") == expected


def test_a_recording_that_is_out_of_order_is_named_with_its_own_line(tmp_path: Path) -> None:
    log = write(tmp_path, "t\n5\n4\n", "log.csv")
    text = MINIMAL.replace("300\n", "300\n  arrivals: {process: trace, file: log.csv}\n")
    with pytest.raises(InputError, match="line 3: '4' is earlier") as caught:
        read_scenario(write(tmp_path, text))
    assert caught.value.where == str(log)


def test_a_recording_outside_the_folder_is_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("300\n", "300\n  arrivals: {process: trace, file: ../log.csv}\n")
    with pytest.raises(InputError, match="leads out of the scenario's folder"):
        read_scenario(write(tmp_path, text))


def test_a_bare_name_is_a_law_on_the_command_line_and_a_mistake_is_placed_in_the_option() -> None:
    assert read_arrivals("poisson", where="--arrivals") == PoissonArrivals()
    with pytest.raises(InputError, match=r"--arrivals:1:22 cv: expected a number above 0, read '-1'"):
        read_arrivals("{process: gamma, cv: -1}", where="--arrivals")


def test_the_digits_scenario_reads_as_it_says() -> None:
    scenario = read_scenario(DIGITS)
    assert scenario.model is not None
    assert (scenario.model.factory, scenario.model.folder) == ("digits_model:build", str(DIGITS.parent))
    assert scenario.model.parity == {
        "fp32": ParityLimits(max_abs_error=1e-5, max_rel_error=1e-5, top1_agreement_ratio=None, min_cosine=None)
    }
    assert scenario.model.quality is None
    assert scenario.bench.batch_sizes == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    assert scenario.plan.n_min_replicas == 2


def test_each_variant_has_limits_of_its_own_and_what_is_given_wins(tmp_path: Path) -> None:
    model = """model:
  source: sklearn
  factory: a:b
  variants: [fp32, fp16, int8_dynamic, int8_static]
  parity:
    fp32: {min_cosine: 0.5, max_rel_error: 0.25}
    int8_dynamic: {max_abs_error: 0.1, top1_agreement_ratio: 0.9, min_rank_correlation: 0.5}
  quality: {metric: mae, max_drop: 2}
"""
    scenario = read_scenario(write(tmp_path, MINIMAL + model))
    assert scenario.model is not None
    assert scenario.model.parity == {
        "fp32": ParityLimits(max_abs_error=1e-5, max_rel_error=0.25, top1_agreement_ratio=None, min_cosine=0.5),
        "fp16": ParityLimits(
            max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.999, min_rank_correlation=0.999
        ),
        "int8_dynamic": ParityLimits(
            max_abs_error=0.1, top1_agreement_ratio=0.9, min_cosine=0.99, min_rank_correlation=0.5
        ),
        "int8_static": ParityLimits(
            max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.99, min_rank_correlation=0.99
        ),
    }
    assert scenario.model.quality == QualityGate(metric="mae", max_drop=2.0)


@pytest.mark.parametrize(
    ("written", "rows"),
    [
        ("99", RowsPerRequest(mean=99.0, p95=99.0, most=99)),
        ("{mean: 120, p95: 300, max: 400}", RowsPerRequest(mean=120.0, p95=300.0, most=400)),
        # s = 1.6449 - sqrt(1.6449² - 2 ln 2.5) = 0.7105, so p99.9 is 120 exp(3.0902 s - s² / 2) = 837.9.
        ("{mean: 120, p95: 300}", RowsPerRequest(mean=120.0, p95=300.0, most=838)),
    ],
)
def test_the_rows_of_requests_are_a_number_or_a_law_and_the_largest_is_benchmarked(
    tmp_path: Path, written: str, rows: RowsPerRequest
) -> None:
    scenario = read_scenario(write(tmp_path, MINIMAL.replace("300\n", f"300\n  rows_per_request: {written}\n")))
    assert scenario.traffic.rows_per_request == rows
    assert scenario.bench.batch_sizes[-1] == rows.most


def test_providers_sessions_and_the_whole_grid_are_benchmarked_where_that_is_asked_for(tmp_path: Path) -> None:
    plain = read_scenario(write(tmp_path, MINIMAL)).bench
    assert (plain.providers, plain.side_by_side, plain.exhaustive) == (("CPU",), False, False)
    assert plain.sequence_lengths == ()
    asked = "bench: {providers: [CUDA, CPU], concurrent_sessions: true, exhaustive: true, sequence_lengths: [64, 8]}\n"
    bench = read_scenario(write(tmp_path, MINIMAL + asked)).bench
    assert (bench.providers, bench.side_by_side, bench.exhaustive) == (("CUDA", "CPU"), True, True)
    assert bench.sequence_lengths == (8, 64)


def test_batches_are_benchmarked_up_to_the_largest_that_may_be_served(tmp_path: Path) -> None:
    scenario = read_scenario(write(tmp_path, MINIMAL + "serving: {max_batch_size: [1, 10]}\n"))
    assert scenario.bench.batch_sizes == (1, 2, 3, 4, 5, 6, 7, 8, 10)


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
        ("  peak_rps: 300\n", "  peak_rps: 300\n  classes: []\n", "traffic.classes: not supported yet"),
        ("  - {p99_ms: 50}", "  []", "objectives: expected a list of 1 or more, read an empty list"),
        ("{p99_ms: 50}", "{max_failed_ratio: 0.1}", "no latency limit; give at least one of p50_ms"),
        ("p99_ms: 50", "p99_ms: 0", "expected a number above 0, read '0'"),
        ("p99_ms: 50", "p99_ms: 50, max_failed_ratio: 0", "expected a number above 0, read '0'"),
        ("p99_ms: 50", "p99_ms: 50, p95_ms: ", "4:18 objectives[0].p95_ms: has no value"),
        ("p99_ms: 50", "p99_ms: 50, class: web", "objectives[0].class: not supported yet"),
        ("traffic:", "plan: {headroom_ratio: 1}\ntraffic:", "expected a number below 1, read '1'"),
        ("traffic:", "plan: {horizon_months: 0}\ntraffic:", "expected a number of 1 or more, read '0'"),
        ("traffic:", "plan: {purchase: [commit_1y]}\ntraffic:", "'commit_1y' is not supported yet; expected"),
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
    "data",
    [b"\xef\xbb\xbf" + MINIMAL.encode(), MINIMAL.replace("\n", "\r\n").encode()],
    ids=["byte order mark", "CRLF"],
)
def test_what_editors_on_windows_write_is_read(tmp_path: Path, data: bytes) -> None:
    assert read_scenario(write(tmp_path, data)).traffic.peak_rps == 300.0


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


def test_a_file_name_that_is_no_folder_name_asks_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't name a folder"):
        read_scenario(write(tmp_path, MINIMAL, name="my shop.yaml"))
    assert read_scenario(write(tmp_path, "name: shop\n" + MINIMAL, name="my shop.yaml")).name == "shop"


def test_the_schema_describes_every_key_and_allows_no_other() -> None:
    schema = json_schema()
    assert schema["required"] == ["traffic", "objectives"]
    assert schema["properties"]["schema"]["const"] == 1
    assert schema["$defs"]["Objective"]["properties"]["p99_9_ms"]["exclusiveMinimum"] == 0
    assert schema["$defs"]["PlanSection"]["additionalProperties"] is False
    assert "null" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("written", "trusts_file", "trusted_types"),
    [("true", True, ()), ("false", False, ()), ("[a.B, c.D]", False, ("a.B", "c.D"))],
)
def test_trust_is_the_whole_file_or_a_list_of_types(
    tmp_path: Path, written: str, trusts_file: bool, trusted_types: tuple[str, ...]
) -> None:
    model = f"model: {{source: sklearn, file: m.skops, payload: r.npz, trust: {written}, time_limit_s: 30}}\n"
    found = read_scenario(write(tmp_path, model + MINIMAL)).model
    assert found is not None
    assert (found.trusts_file, found.trusted_types, found.time_limit_s) == (trusts_file, trusted_types, 30.0)
    assert (found.named, found.payload) == ("m.skops", "r.npz")


@pytest.mark.parametrize("key", ["file", "payload"])
def test_a_model_file_of_a_relative_path_stays_in_the_folder(tmp_path: Path, key: str) -> None:
    named = {"file": "model.onnx", "payload": "rows.npz"}
    written = ", ".join(f"{name}: {'../' if name == key else ''}{path}" for name, path in named.items())
    with pytest.raises(InputError, match=rf"model\.{key} '\.\./{named[key]}' leads out of the scenario's folder"):
        read_scenario(write(tmp_path, f"model: {{source: onnx, {written}}}\n" + MINIMAL))
    model = read_scenario(write(tmp_path, f"model: {{source: onnx, file: {tmp_path}/m.onnx}}\n" + MINIMAL)).model
    assert model is not None
    assert (model.factory, model.file, model.payload) == (None, f"{tmp_path}/m.onnx", None)
