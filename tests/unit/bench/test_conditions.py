"""What the system did meanwhile, from fake `/proc` and `/sys` trees."""

from pathlib import Path

import pytest

from loadplan.bench.conditions import Conditions, conditions_now, conditions_since
from loadplan.machine import usable_cores


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_quota_counts_microseconds_in_version_2_and_nanoseconds_in_version_1(tmp_path: Path) -> None:
    write(tmp_path / "2", "sys/fs/cgroup/cpu.stat", "usage_usec 9\nnr_throttled 4\nthrottled_usec 1500000\n")
    write(tmp_path / "1", "sys/fs/cgroup/cpu/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 250000000\n")
    assert conditions_now(tmp_path / "2").throttled_s == pytest.approx(1.5)
    assert conditions_now(tmp_path / "1").throttled_s == pytest.approx(0.25)
    assert conditions_now(tmp_path / "nothing").throttled_s is None


def test_only_what_was_added_since_counts(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "throttled_usec 1000000\n")
    before = conditions_now(tmp_path)
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "throttled_usec 1400000\n")
    since = conditions_since(before, tmp_path)
    assert since.throttled_s == pytest.approx(0.4)
    assert 0 <= since.n_preempted <= conditions_now(tmp_path).n_preempted


def test_without_a_counter_before_nothing_is_known_of_the_time_since(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "throttled_usec 1000000\n")
    before = Conditions(n_preempted=0, throttled_s=None, frequency_hz=None)
    assert conditions_since(before, tmp_path).throttled_s is None


def test_the_clock_is_the_mean_of_the_cores_that_may_be_used(tmp_path: Path) -> None:
    cores = usable_cores()
    for i, core in enumerate(cores):
        write(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", f"{2_000_000 + 1000 * i}\n")
    mean_hz = 2e9 + 1e6 * sum(range(len(cores))) / len(cores)
    assert conditions_now(tmp_path).frequency_hz == pytest.approx(mean_hz)
    assert conditions_now(tmp_path / "nothing").frequency_hz is None
