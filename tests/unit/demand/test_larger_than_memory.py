"""A log that doesn't fit into the memory that reading may use."""

from pathlib import Path

import pytest

from loadplan.demand.logs import read_demand
from tests.unit.demand.made import MONDAY, NOW

N = 12_000_000
MEMORY_BYTES = 192 << 20


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_log_larger_than_the_memory_that_is_allowed_is_read_whole(tmp_path: Path) -> None:
    """Twelve million lines, 1.1 GB, ten thousand seconds of 1,200 requests each."""
    log = tmp_path / "access.jsonl"
    with log.open("w", encoding="utf-8") as file:
        for second in range(N // 1200):
            at = MONDAY.timestamp() + second
            file.writelines(
                f'{{"ts": {at + i / 1200:.6f}, "path": "/predict", "status": 200, "rows": {i % 7 + 1}, '
                f'"request_id": "{second:06d}-{i:06d}"}}\n'
                for i in range(1200)
            )
    assert log.stat().st_size > 5 * MEMORY_BYTES
    demand = read_demand([log], now=NOW, memory_bytes=MEMORY_BYTES)
    assert demand.n_requests == N
    assert demand.peak_hour.rate_rps == pytest.approx(1200.0)
    assert demand.contents.rows is not None
    assert demand.contents.rows.n_requests == N
