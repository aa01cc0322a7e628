"""The store under fire: killed at every change of the disk, on disks that fail, and with rivals for its folder."""

import errno
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadplan.errors import EnvironmentFault
from loadplan.store.run_folder import open_run_folder

NOW = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
# Fewer changes than this would mean that the faults don't reach the store.
N_CHANGES_AT_LEAST = 60

HOLDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from loadplan.store.run_folder import open_run_folder
now = datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC)
with open_run_folder(Path(sys.argv[1]), name="digits", run_hash="aaaa", now=now) as folder:
    folder.journal("bench", "key")
    print("held", flush=True)
    time.sleep(60)
"""


def sweep(name: str, folder: Path) -> list[dict[str, Any]]:
    script = Path(__file__).with_name("store_sweep.py")
    root = str(script.parents[2])
    done = subprocess.run(
        [sys.executable, str(script), name, str(folder / "sweep")],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return reports


def assert_nothing_was_lost(reports: list[dict[str, Any]]) -> None:
    assert [report for report in reports if report["torn"]] == []
    assert [report for report in reports if report["repeated"]] == []
    assert [report for report in reports if report["last_exit"] != 0 or not report["same"]] == []


def test_a_kill_at_any_change_of_the_disk_loses_nothing_finished(tmp_path: Path) -> None:
    reports = sweep("kills", tmp_path)
    assert len(reports) >= N_CHANGES_AT_LEAST
    assert {report["exit"] for report in reports} == {-signal.SIGKILL}
    assert_nothing_was_lost(reports)


@pytest.mark.nightly
def test_a_kill_during_the_recovery_of_a_kill_loses_nothing_finished(tmp_path: Path) -> None:
    reports = sweep("pairs", tmp_path)
    assert len(reports) >= 50
    assert {report["exit"] for report in reports} | {report["first_exit"] for report in reports} == {-signal.SIGKILL}
    assert_nothing_was_lost(reports)


@pytest.mark.parametrize(
    ("number", "duration"),
    [
        (errno.ENOSPC, "for_ever"),
        pytest.param(errno.ENOSPC, "once", marks=pytest.mark.nightly),
        pytest.param(errno.EIO, "once", marks=pytest.mark.nightly),
        pytest.param(errno.EIO, "for_ever", marks=pytest.mark.nightly),
        pytest.param(errno.EROFS, "for_ever", marks=pytest.mark.nightly),
    ],
    ids=["disk full for ever", "disk full once", "disk error once", "disk error for ever", "read-only from then on"],
)
def test_a_disk_that_fails_at_any_change_is_a_message_and_the_next_run_goes_on(
    number: int, duration: str, tmp_path: Path
) -> None:
    reports = sweep(f"errors {number} {duration}", tmp_path)
    assert len(reports) >= N_CHANGES_AT_LEAST
    assert {report["exit"] for report in reports} == {EnvironmentFault.exit_code}
    assert [report for report in reports if os.strerror(number) not in report["message"]] == []
    assert [report for report in reports if "then run the same command again" not in report["message"]] == []
    assert [report for report in reports if report["left"]] == []
    assert_nothing_was_lost(reports)


def test_of_runs_that_begin_at_once_one_works_and_the_others_say_so(tmp_path: Path) -> None:
    reports = sweep("races", tmp_path)
    assert {code for report in reports for code in report["exits"]} == {0, EnvironmentFault.exit_code}
    assert all(0 in report["exits"] for report in reports)
    assert_nothing_was_lost(reports)


def test_the_lock_of_a_killed_run_is_taken_over_without_a_flag(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            with (
                pytest.raises(EnvironmentFault, match=f"process {holder.pid} on .* since 2026-11-24T08:00:00"),
                open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW),
            ):
                pass
        finally:
            holder.kill()
        assert holder.wait() == -signal.SIGKILL
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW) as folder:
        assert folder.path.name == "20261124T080000Z-aaaa"
        assert (folder.path / "journal" / "bench.jsonl").exists()
