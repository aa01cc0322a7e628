"""What is put right in a log: each case has a truth beside it that was written down before it was spoiled."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadplan.demand.columns import LogColumns
from loadplan.demand.logs import read_demand
from loadplan.demand.records import Absent, Demand, Dispersion
from loadplan.errors import InputError
from loadplan.scenario.arrivals import RequestTimes
from tests.unit.demand.made import MONDAY, NOW, access_line, moments, write_csv, write_json, write_lines

RNG = np.random.default_rng(7)
STARTS_S = np.cumsum(RNG.exponential(0.5, size=4000))  # 2 a second for half an hour
TOOK_S = RNG.exponential(3.0, size=4000)


def codes(demand: Demand) -> list[str]:
    return [caveat.code for caveat in demand.caveats]


def replayed_s(demand: Demand) -> list[float]:
    assert isinstance(demand.recording, RequestTimes)
    return list(demand.recording.times_s)


def true_s() -> list[float]:
    return list(np.round(STARTS_S - STARTS_S[0], 6))


def test_times_of_the_end_are_put_back_to_the_start(tmp_path: Path) -> None:
    ends_s = STARTS_S + TOOK_S
    order = np.argsort(ends_s)  # as a server writes them
    rows = [{"ts": moments([ends_s[i]])[0].isoformat(), "duration_ms": TOOK_S[i] * 1e3} for i in order]
    demand = read_demand([write_json(tmp_path / "a.jsonl", rows)], now=NOW)
    assert replayed_s(demand) == pytest.approx(true_s(), abs=1e-5)
    assert "times are of the end of requests" in demand.corrections[0]
    left = read_demand([tmp_path / "a.jsonl"], columns=LogColumns(stamps="start"), now=NOW)
    assert not left.corrections


@pytest.mark.parametrize(
    ("column", "told"), [("duration_ms", ""), ("duration", "tells no unit")], ids=["empty", "without a unit"]
)
def test_times_of_the_end_without_a_duration_are_a_doubt(tmp_path: Path, column: str, told: str) -> None:
    rows = ((moment.isoformat(), "" if column == "duration_ms" else 7) for moment in moments(range(4000)))
    log = write_csv(tmp_path / "a.csv", f"end_time,{column}", rows)
    demand = read_demand([log], now=NOW)
    assert "demand.stamped_at_the_end" in [caveat.code for caveat in demand.caveats]
    assert not any("put back" in line or "nan" in line for line in demand.corrections)
    assert told in " ".join(demand.corrections)


def test_times_of_the_start_stay_where_the_order_of_the_log_says_so(tmp_path: Path) -> None:
    order = np.argsort(STARTS_S + TOOK_S)
    rows = [{"ts": moments([STARTS_S[i]])[0].isoformat(), "duration_ms": TOOK_S[i] * 1e3} for i in order]
    demand = read_demand([write_json(tmp_path / "a.jsonl", rows)], now=NOW)
    assert replayed_s(demand) == pytest.approx(true_s(), abs=1e-5)
    assert not demand.corrections


@pytest.mark.parametrize(("server", "is_moved"), [("nginx", True), ("apache", False)])
def test_nginx_writes_the_end_and_apache_the_start(tmp_path: Path, server: str, is_moved: bool) -> None:
    """A request a second that takes 100 s; nginx tells seconds with a point, Apache whole microseconds."""
    after = " 100.000" if server == "nginx" else " 100000000"
    log = write_lines(tmp_path / "a.log", (access_line(moment, after=after) for moment in moments(range(1000))))
    demand = read_demand([log], log_format="nginx" if server == "nginx" else "apache", now=NOW)
    began = MONDAY.timestamp() - (100.0 if is_moved else 0.0)
    assert demand.began_at_s == began


def test_a_repeated_request_id_counts_once(tmp_path: Path) -> None:
    rows = [(moment.isoformat(), f"id-{i}") for i, moment in enumerate(moments(STARTS_S))]
    doubled = sorted([*rows, *rows[1000:1500]])
    demand = read_demand([write_csv(tmp_path / "a.csv", "time,request_id", doubled)], now=NOW)
    assert demand.n_requests == 4000
    assert demand.corrections == ("500 lines repeat a request_id and are left out",)


def test_what_two_files_both_hold_counts_once(tmp_path: Path) -> None:
    lines = [access_line(moment, f"/p/{i}") for i, moment in enumerate(moments(range(3000)))]
    one, two = write_lines(tmp_path / "a", lines[:2000]), write_lines(tmp_path / "b", lines[1500:])
    demand = read_demand([one, two], now=NOW)
    assert demand.n_requests == 3000
    assert "500 lines stand in two of the files" in demand.corrections[0]


def test_two_servers_of_one_time_are_both_counted(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "a", (access_line(moment, "/a") for moment in moments(range(2000))))
    two = write_lines(tmp_path / "b", (access_line(moment, "/b") for moment in moments(range(2000))))
    assert read_demand([one, two], now=NOW).n_requests == 4000


def test_lines_that_are_alike_are_told_of_and_stay(tmp_path: Path) -> None:
    lines = [(moment.isoformat(), "x") for moment in moments(np.repeat(STARTS_S, 2))]
    demand = read_demand([write_csv(tmp_path / "a.csv", "time,client", lines)], now=NOW)
    assert demand.n_requests == 8000
    caveat = next(caveat for caveat in demand.caveats if caveat.code == "demand.alike_lines")
    assert caveat.number == pytest.approx(0.5)


def test_a_gap_of_the_recording_is_in_no_mean(tmp_path: Path) -> None:
    at_s = STARTS_S[(STARTS_S < 600.0) | (STARTS_S > 1200.0)]
    demand = read_demand(
        [write_csv(tmp_path / "a.csv", "time", ((moment.isoformat(),) for moment in moments(at_s)))], now=NOW
    )
    assert demand.missing_s == pytest.approx(600.0, abs=6.0)
    assert demand.mean_rps == pytest.approx(at_s.size / (STARTS_S[-1] - 600.0), rel=0.01)
    assert "a silence of 10 min is taken for a gap of the recording" in " ".join(demand.corrections)
    index = demand.dispersion[1]
    assert isinstance(index, Dispersion)
    assert index.index == pytest.approx(1.0, abs=0.5)  # 190 windows stray by sqrt(2 / 189) = 10 %


def test_traffic_that_comes_in_turns_with_silence_has_no_gap(tmp_path: Path) -> None:
    """A job that asks for a minute every ten: its silences are its nature."""
    at_s = [600.0 * turn + 0.25 * i for turn in range(40) for i in range(240)]
    demand = read_demand(
        [write_csv(tmp_path / "a.csv", "time", ((moment.isoformat(),) for moment in moments(at_s)))], now=NOW
    )
    assert demand.missing_s == 0.0


@pytest.mark.parametrize("given", ["by the user", "by the log", "by the log, as a share"])
def test_a_sample_is_scaled_up_and_its_bursts_are_corrected(tmp_path: Path, given: str) -> None:
    """Batches of 10 at once, at random: I = 10 in any window. Of a tenth of them I_thinned = 1 + 0.1 · 9 = 1.9."""
    rng = np.random.default_rng(3)
    batches_s = np.sort(rng.uniform(0.0, 7200.0, size=20_000))
    kept_s = np.repeat(batches_s, 10)[rng.random(200_000) < 0.1]
    column = {"by the user": "", "by the log": ",10", "by the log, as a share": ",0.1"}[given]
    lines = ["time,sample_rate" if column else "time", *(f"{MONDAY.timestamp() + at:.6f}{column}" for at in kept_s)]
    demand = read_demand([write_lines(tmp_path / "a.csv", lines)], sampled_ratio=None if column else 0.1, now=NOW)
    assert demand.n_requests == pytest.approx(10.0 * kept_s.size)
    assert demand.mean_rps == pytest.approx(10.0 * kept_s.size / 7200.0, rel=1e-3)
    index = demand.dispersion[0]
    assert isinstance(index, Dispersion)
    assert index.index == pytest.approx(10.0, rel=0.06)  # 7,200 windows: sqrt(2 / 7200) = 1.7 % of 1.9, ten times that
    assert isinstance(demand.recording, Absent)
    assert "demand.sampled" in codes(demand)


def test_local_times_are_put_into_utc_and_a_repeated_hour_is_told_apart(tmp_path: Path) -> None:
    """Summer time ends in Berlin at 01:00 UTC: a request every ten seconds, every twenty in the second pass."""
    zone = ZoneInfo("Europe/Berlin")
    begin = datetime(2025, 10, 25, 22, 0, tzinfo=UTC)
    second_pass = range(3 * 3600, 4 * 3600)
    seconds = [s for s in range(0, 6 * 3600, 10) if s not in second_pass or s % 20 == 0]
    moments_utc = [begin + timedelta(seconds=s) for s in seconds]
    local = [(moment.astimezone(zone).replace(tzinfo=None).isoformat(),) for moment in moments_utc]
    log = write_csv(tmp_path / "a.csv", "time", local)
    now = datetime(2025, 12, 1, tzinfo=UTC)
    demand = read_demand([log], time_zone="Europe/Berlin", now=now)
    assert demand.began_at_s == begin.timestamp()
    assert demand.span_s == 6 * 3600.0
    assert demand.peak_hour.rate_rps == pytest.approx(0.1)
    assert demand.n_requests == len(seconds)
    assert demand.corrections[:2] == (
        "local times of Europe/Berlin are put into UTC",
        "180 requests of the hour that summer time repeats are told apart by the log's order",
    )
    naive = read_demand([log], now=now)
    assert naive.peak_hour.rate_rps == pytest.approx(0.15)  # that hour counts twice
    assert "demand.no_time_zone" in codes(naive)


def test_a_repeated_hour_that_is_out_of_order_is_left_out(tmp_path: Path) -> None:
    zone = ZoneInfo("Europe/Berlin")
    moments_utc = [datetime(2025, 10, 25, 22, 0, tzinfo=UTC) + timedelta(seconds=10 * i) for i in range(6 * 360)]
    local = sorted((moment.astimezone(zone).replace(tzinfo=None).isoformat(),) for moment in moments_utc)
    demand = read_demand(
        [write_csv(tmp_path / "a.csv", "time", local)], time_zone="Europe/Berlin", now=datetime(2025, 12, 1, tzinfo=UTC)
    )
    caveat = next(caveat for caveat in demand.caveats if caveat.code == "demand.repeated_hour")
    assert caveat.number == 720.0
    assert demand.n_requests == 4 * 360
    assert demand.peak_hour.rate_rps == pytest.approx(0.1)


def test_the_spring_that_skips_an_hour_leaves_no_gap(tmp_path: Path) -> None:
    zone = ZoneInfo("America/New_York")
    begin = datetime(2025, 3, 9, 5, 0, tzinfo=UTC)
    local = [
        ((begin + timedelta(seconds=10 * i)).astimezone(zone).replace(tzinfo=None).isoformat(),) for i in range(6 * 360)
    ]
    demand = read_demand([write_csv(tmp_path / "a.csv", "time", local)], time_zone="America/New_York", now=NOW)
    assert (demand.span_s, demand.missing_s) == (6 * 3600.0, 0.0)
    assert demand.began_at_s == begin.timestamp()


def test_an_unknown_zone_and_an_impossible_share_are_refused(tmp_path: Path) -> None:
    log = write_csv(tmp_path / "a.csv", "time", [("2025-03-03T00:00:00",), ("2025-03-03T00:01:00",)])
    with pytest.raises(InputError, match="no time zone that this machine knows"):
        read_demand([log], time_zone="Mars/Base", now=NOW)
    with pytest.raises(InputError, match="can't have been kept"):
        read_demand([log], sampled_ratio=1.5, now=NOW)


def test_seconds_from_any_start_tell_no_week(tmp_path: Path) -> None:
    demand = read_demand([write_lines(tmp_path / "a.csv", [f"{at:.6f}" for at in STARTS_S])], now=NOW)
    assert replayed_s(demand) == pytest.approx(true_s(), abs=1e-5)
    assert isinstance(demand.week, Absent)
    assert demand.began_at_s is None
