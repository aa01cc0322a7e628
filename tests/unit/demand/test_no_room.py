"""A disk that is too full to read a log is the machine's fault, not the log's."""

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.demand.made import MONDAY

# No file may grow beyond a megabyte, which the system tells as it tells of a full disk.
_CRAMPED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
from loadplan.__main__ import main
sys.exit(main())
"""


def test_a_full_disk_is_told_as_such_and_the_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    with log.open("w", encoding="utf-8") as file:
        for i in range(200_000):
            line = {"ts": MONDAY.timestamp() + i / 100, "path": f"/predict/{i}", "status": 200, "request_id": f"r-{i}"}
            file.write(f"{json.dumps(line)}\n")
    size = log.stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", _CRAMPED, "demand", str(log), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "there is no room to read the log" in done.stderr
    assert str(log) in done.stderr
    assert "Traceback" not in done.stderr
    assert log.stat().st_size == size
