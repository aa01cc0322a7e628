"""The section that is written is one that a scenario takes, and says what the log said."""

from pathlib import Path

import numpy as np
import pytest

from loadplan.demand.business import demand_from_users
from loadplan.demand.logs import read_demand
from loadplan.demand.records import Absent, Demand, WeekSeen
from loadplan.demand.traffic_block import traffic_block, write_traffic
from loadplan.errors import InputError
from loadplan.scenario.arrivals import GammaArrivals, IntervalCounts, PoissonArrivals, RequestTimes, TraceArrivals
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import Traffic
from tests.unit.demand.made import MONDAY, NOW, access_line, moments, write_csv, write_lines

OBJECTIVES = "objectives:\n  - {p99_ms: 50}\n"
RNG = np.random.default_rng(11)


def as_read(demand: Demand, folder: Path) -> Traffic:
    """The traffic of a scenario with the section as it was written."""
    files = write_traffic(demand, folder / "traffic.yaml", may_replace=False)
    scenario = folder / "service.yaml"
    scenario.write_text(files[0].read_text() + OBJECTIVES)
    return read_scenario(scenario).traffic


def test_the_busiest_hour_is_replayed_request_by_request(tmp_path: Path) -> None:
    at_s = np.sort(RNG.uniform(0.0, 7200.0, size=9000))
    log = write_csv(tmp_path / "a.csv", "time", ((moment.isoformat(),) for moment in moments(at_s)))
    demand = read_demand([log], now=NOW)
    traffic = as_read(demand, tmp_path)
    assert traffic.peak_rps == pytest.approx(demand.peak_hour.rate_rps, rel=1e-5)
    assert isinstance(traffic.arrivals, TraceArrivals)
    replayed = traffic.arrivals.recording
    assert isinstance(replayed, RequestTimes)
    assert isinstance(demand.recording, RequestTimes)
    assert replayed.times_s == pytest.approx(demand.recording.times_s, abs=1e-6)
    assert replayed.length_s == pytest.approx(demand.recording.length_s)
    assert replayed.length_s == pytest.approx(3600.0, rel=0.01)


def test_a_log_of_whole_seconds_is_replayed_by_its_counts_and_brings_its_week(tmp_path: Path) -> None:
    """Eight days with a request a minute, and from 12 to 13 one every ten seconds; one more shows the clock's step."""
    seconds = sorted([s for s in range(0, 8 * 86_400, 10) if s % 60 == 0 or s // 3600 % 24 == 12] + [1])
    log = write_lines(tmp_path / "access.log", map(access_line, moments(seconds)))
    demand = read_demand([log], log_format="apache", now=NOW)
    traffic = as_read(demand, tmp_path)
    assert traffic.peak_rps == pytest.approx(0.1)
    assert isinstance(traffic.arrivals, TraceArrivals)
    assert isinstance(traffic.arrivals.recording, IntervalCounts)
    assert traffic.arrivals.recording.interval_s == 1.0
    assert traffic.arrivals.recording.counts == (1, *(0,) * 9) * 360
    assert traffic.week_shares[12] == 1.0
    assert traffic.week_shares[1:12] == (0.166667,) * 11
    assert traffic.growth_per_month_ratio == 0.0
    assert demand.peak_hour.interval is not None


def test_classes_with_hostile_names_and_rows_are_taken(tmp_path: Path) -> None:
    names = ["/v1/predict", "'; DROP TABLE requests; --", "a: [b]\u202e", "null", "x" * 90]
    rows = [
        (moment.isoformat(), f'"{names[i % 5]}"', 1 + (i % 5) * (i % 7))
        for i, moment in enumerate(moments(range(4000)))
    ]
    log = write_csv(tmp_path / "a.csv", "time,class,rows", rows)
    traffic = as_read(read_demand([log], now=NOW), tmp_path)
    assert len(traffic.classes) == 5
    assert sum(one.share for one in traffic.classes) == pytest.approx(1.0)
    by_name = {one.name: one for one in traffic.classes}
    assert by_name["v1-predict"].rows_per_request.is_constant
    assert by_name["null"].rows_per_request.mean == pytest.approx(1.0 + 3.0 * 3.0, rel=0.01)


@pytest.mark.parametrize(
    ("rows", "mean", "most"),
    [([1], 1.0, 1), ([20], 20.0, 20), ([1] * 99 + [900], 10.0, 10), ([1] * 90 + [90] * 10, 9.9, 90)],
    ids=["one", "constant", "a rare giant", "a p95 that no law has"],
)
def test_rows_become_a_law_that_the_scenario_has(tmp_path: Path, rows: list[int], mean: float, most: int) -> None:
    lines = ((moment.isoformat(), rows[i % len(rows)]) for i, moment in enumerate(moments(range(2000))))
    log = write_csv(tmp_path / "a.csv", "time,rows", lines)
    found = as_read(read_demand([log], now=NOW), tmp_path).rows_per_request
    assert found.mean == pytest.approx(mean, rel=0.02)
    assert found.most == most


@pytest.mark.parametrize(("size", "law"), [(1, PoissonArrivals()), (10, GammaArrivals(cv=3.16))])
def test_a_sample_has_a_law_in_the_place_of_a_replay(
    tmp_path: Path, size: int, law: PoissonArrivals | GammaArrivals
) -> None:
    """Batches of ten at once have an index of 10, as gamma gaps have whose cv is its root."""
    at_s = np.repeat(np.sort(RNG.uniform(0.0, 7200.0, size=40_000 // size)), size)
    kept = at_s[RNG.random(at_s.size) < 0.5]
    log = write_lines(tmp_path / "a.csv", (f"{MONDAY.timestamp() + at:.6f}" for at in kept))
    demand = read_demand([log], sampled_ratio=0.5, now=NOW)
    assert isinstance(demand.recording, Absent)
    arrivals = as_read(demand, tmp_path).arrivals
    assert type(arrivals) is type(law)
    if isinstance(arrivals, GammaArrivals) and isinstance(law, GammaArrivals):
        assert arrivals.cv == pytest.approx(law.cv, rel=0.15)


def test_figures_of_a_business_make_a_section_too(tmp_path: Path) -> None:
    traffic = as_read(demand_from_users(daily_users=36_000), tmp_path)
    assert traffic.peak_rps == pytest.approx(1.0)
    assert (traffic.arrivals, traffic.profile) == (PoissonArrivals(), "evening_peak")


def test_every_doubt_stands_in_the_section(tmp_path: Path) -> None:
    demand = demand_from_users(daily_users=36_000)
    text = traffic_block(demand, trace_file=None)
    for caveat in demand.caveats:
        assert f"# doubt: {caveat.what}" in text


def test_a_file_that_is_there_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    demand = demand_from_users(daily_users=36_000)
    write_traffic(demand, tmp_path / "traffic.yaml", may_replace=False)
    with pytest.raises(InputError, match="there already"):
        write_traffic(demand, tmp_path / "traffic.yaml", may_replace=False)
    write_traffic(demand, tmp_path / "traffic.yaml", may_replace=True)


def test_the_week_keeps_the_volume_of_the_log(tmp_path: Path) -> None:
    seconds = [s for s in range(0, 14 * 86_400, 20) if s // 3600 % 24 < 18 or s % 60 == 0]
    log = write_csv(tmp_path / "a.csv", "time", ((moment.isoformat(),) for moment in moments(seconds)))
    demand = read_demand([log], now=NOW)
    assert isinstance(demand.week, WeekSeen)
    mean_rps = demand.peak_hour.rate_rps * sum(demand.week.shares) / 168
    assert mean_rps == pytest.approx(demand.mean_rps, rel=0.01)
