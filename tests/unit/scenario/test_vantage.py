"""Where the objectives are measured, what lies outside the replica, and how replicas follow the week."""

import math
from pathlib import Path

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.scenario.delay_file import read_delays
from loadplan.scenario.outside import (
    ConstantDelay,
    LognormalDelay,
    RecordedDelay,
    Vantage,
    delay_quantile_s,
    draw_delays_s,
)
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import ScalingRules, StartUpRules
from tests.unit.scenario.files import MINIMAL, mistakes, write


def test_nothing_lies_outside_unless_the_scenario_says_so(tmp_path: Path) -> None:
    assert read_scenario(write(tmp_path, MINIMAL)).vantage == Vantage(at="server", outside=None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{constant_ms: 5}", ConstantDelay(delay_s=0.005)),
        ("{p50_ms: 3, p99_ms: 12}", LognormalDelay(p50_s=0.003, p99_s=0.012)),
    ],
)
def test_a_delay_is_constant_or_lognormal(tmp_path: Path, written: str, expected: object) -> None:
    scenario = read_scenario(write(tmp_path, f"{MINIMAL}slo_measured: {{at: edge, outside: {written}}}\n"))
    assert scenario.vantage == Vantage(at="edge", outside=expected)  # type: ignore[arg-type]  # either law


def test_a_fetch_is_waited_for_wherever_it_is_measured(tmp_path: Path) -> None:
    fetch = LognormalDelay(p50_s=0.003, p99_s=0.012)
    here = read_scenario(write(tmp_path, f"{MINIMAL}slo_measured: {{fetch: {{p50_ms: 3, p99_ms: 12}}}}\n"))
    assert here.vantage == Vantage(at="server", fetch=fetch)
    written = "{at: edge, outside: {constant_ms: 5}, fetch: {p50_ms: 3, p99_ms: 12}}"
    there = read_scenario(write(tmp_path, f"{MINIMAL}slo_measured: {written}\n")).vantage
    assert there.delays == (ConstantDelay(delay_s=0.005), fetch)


def test_what_a_running_service_fetches_counts_once(tmp_path: Path) -> None:
    text = (
        "traffic: {peak_rps: 10}\nobjectives: [{p99_ms: 50}]\ntarget: {url: http://127.0.0.1:1/x, protocol: json}\n"
        "slo_measured: {fetch: {constant_ms: 5}}\n"
    )
    assert any("would count twice" in line for line in mistakes(tmp_path, text))


def test_a_delay_is_read_from_a_file_beside_the_scenario(tmp_path: Path) -> None:
    rows = "\n".join(f"{200 - i},x" for i in range(200))
    (tmp_path / "way.csv").write_text(f"delay_ms,where\n{rows}\n")
    scenario = read_scenario(write(tmp_path, f"{MINIMAL}slo_measured: {{at: caller, outside: {{file: way.csv}}}}\n"))
    outside = scenario.vantage.outside
    assert isinstance(outside, RecordedDelay)
    assert (outside.delays_s[0], outside.delays_s[-1], len(outside.delays_s)) == (0.001, 0.2, 200)
    assert delay_quantile_s(outside, 0.99) == 0.198


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{at: edge}", "at the edge needs the key outside as well"),
        ("{outside: {constant_ms: 5}}", "nothing lies outside at the server"),
        ("{at: edge, outside: {}}", "give exactly one law"),
        ("{fetch: {}}", "give exactly one law"),
        ("{at: edge, outside: {constant_ms: 5, file: way.csv}}", "give exactly one law"),
        ("{at: edge, outside: {p50_ms: 5}}", "needs both p50_ms and p99_ms"),
        ("{at: edge, outside: {p50_ms: 5, p99_ms: 4}}", "p99_ms 4 is below p50_ms 5"),
        ("{at: moon, outside: {constant_ms: 5}}", "slo_measured.at: expected"),
        ("{at: edge, outside: {constant_ms: 0}}", "expected a number above 0"),
    ],
)
def test_what_is_wrong_with_a_vantage_is_named(tmp_path: Path, written: str, expected: str) -> None:
    said = mistakes(tmp_path, f"{MINIMAL}slo_measured: {written}\n")
    assert any(expected in line and line.startswith("5:") for line in said), said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ms\n1\n", "line 1: expected a header with the column delay_ms"),
        ("delay_ms\n" + "1\n" * 99, "the file holds 99 delays"),
        ("delay_ms\n" + "1\n" * 50 + "slow\n" + "1\n" * 50, "line 52: expected milliseconds, read 'slow'"),
        ("delay_ms\n" + "1\n" * 100 + "-1\n", "line 102: expected milliseconds, read '-1'"),
        ("delay_ms\n" + "nan\n", "line 2: expected milliseconds, read 'nan'"),
    ],
)
def test_a_file_of_delays_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "way.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_delays(path)
    assert expected in caught.value.what


@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.99])
def test_draws_have_the_percentiles_that_the_law_names(quantile: float) -> None:
    law = LognormalDelay(p50_s=0.003, p99_s=0.012)
    drawn_s = draw_delays_s(law, 200_000, np.random.default_rng(1))
    assert delay_quantile_s(law, 0.99) == pytest.approx(0.012)
    assert delay_quantile_s(law, 0.01) == pytest.approx(0.003**2 / 0.012)  # as far below the median as the p99 is above
    ratio = float(np.quantile(drawn_s, quantile)) / delay_quantile_s(law, quantile)
    assert math.log(ratio) == pytest.approx(0.0, abs=0.03)


def test_how_replicas_follow_the_week_is_read_with_its_defaults(tmp_path: Path) -> None:
    plain = read_scenario(write(tmp_path, MINIMAL)).plan
    assert (plain.start_up, plain.scaling) == (
        StartUpRules(node_s=None, image_s=None, load_s=None, warm_up_s=None),
        ScalingRules(policy="static", target_ratio=None, stabilisation_s=300.0),
    )
    keys = (
        "plan: {start_up: {node_s: 60, load_s: 2}, scaling: {policy: reactive, target_ratio: 0.7, stabilisation_s: 60}}"
    )
    given = read_scenario(write(tmp_path, f"{MINIMAL}{keys}\n")).plan
    assert (given.start_up, given.scaling) == (
        StartUpRules(node_s=60.0, load_s=2.0),
        ScalingRules(policy="reactive", target_ratio=0.7, stabilisation_s=60.0),
    )
