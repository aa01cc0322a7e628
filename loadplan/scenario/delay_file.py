"""Delays outside the replica that were measured, from a CSV with the column `delay_ms`: one row for each request."""

import csv
import io
import math
from pathlib import Path

from loadplan.errors import InputError
from loadplan.scenario.outside import RecordedDelay
from loadplan.scenario.text_file import read_text
from loadplan.units import SECONDS_PER_MS

MAX_BYTES = 8_000_000
N_DELAYS_LEAST, N_DELAYS_MOST = 100, 200_000  # fewer than the first say nothing of a p99
_COLUMN = "delay_ms"
_LONGEST_MS = 3_600_000.0


def read_delays(path: Path) -> RecordedDelay:
    """The delays in a file, in any order.

    Raises:
        InputError: when the file can't be read, or with the line that is wrong.
    """
    reader = csv.reader(io.StringIO(read_text(path, max_bytes=MAX_BYTES), newline=""))
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise _refusal(path, f"line {reader.line_num}: this is not a CSV: {error}", "save the file as a CSV") from error
    rows = [(number, cells) for number, cells in rows if any(cells)]
    if not rows or _COLUMN not in rows[0][1]:
        raise _refusal(path, f"line 1: expected a header with the column {_COLUMN}", f"name the column {_COLUMN}")
    place = rows[0][1].index(_COLUMN)
    delays_s = sorted(_delay_s(path, number, cells, place) for number, cells in rows[1:])
    if not N_DELAYS_LEAST <= len(delays_s) <= N_DELAYS_MOST:
        raise _refusal(
            path,
            f"the file holds {len(delays_s):,} delays",
            f"give {N_DELAYS_LEAST} at least, of which a p99 can be told, and {N_DELAYS_MOST:,} at most",
        )
    return RecordedDelay(file=path.name, delays_s=tuple(delays_s))


def _delay_s(path: Path, number: int, cells: list[str], place: int) -> float:
    text = cells[place] if place < len(cells) else ""
    try:
        delay_ms = math.nan if "_" in text else float(text)
    except ValueError:
        delay_ms = math.nan
    if not 0.0 <= delay_ms <= _LONGEST_MS:
        raise _refusal(
            path, f"line {number}: expected milliseconds, read {text!r:.60}", "write numbers of 0 or more, such as 3.5"
        )
    return delay_ms * SECONDS_PER_MS


def _refusal(path: Path, what: str, fix: str) -> InputError:
    return InputError(what=what, where=str(path), fix=fix)
