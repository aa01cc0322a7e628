import json
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
from tests.unit.scenario.files import MINIMAL, write

DIGITS = Path(__file__).parents[3] / "scenarios" / "digits.yaml"


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
    "data",
    [b"\xef\xbb\xbf" + MINIMAL.encode(), MINIMAL.replace("\n", "\r\n").encode()],
    ids=["byte order mark", "CRLF"],
)
def test_what_editors_on_windows_write_is_read(tmp_path: Path, data: bytes) -> None:
    assert read_scenario(write(tmp_path, data)).traffic.peak_rps == 300.0


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
