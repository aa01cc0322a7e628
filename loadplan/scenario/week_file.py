"""A week of traffic from a CSV with the columns `hour_of_week` (0 is Monday 00:00 UTC) and `share_of_peak`.

Hours are UTC, so no hour is missing or doubled by summer time; a gap, a double or a wrong order is a mistake of the
file and refused with its rows, never repaired in silence. Rows count from 1 and the header is row 1, as a
spreadsheet shows them.
"""

import csv
import io
import math
from pathlib import Path

from loadplan.errors import InputError
from loadplan.scenario.text_file import read_text
from loadplan.units import HOURS_PER_WEEK

_COLUMNS = ["hour_of_week", "share_of_peak"]
_MAX_LINES_SHOWN = 12


def read_week(path: Path) -> tuple[float, ...]:
    """The 168 shares of the peak, by hour of the week.

    Raises:
        InputError: with every row that is wrong.
    """
    try:
        rows = list(csv.reader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise _refusal(path, [f"this is not a CSV: {error}"]) from error
    if not rows or [cell.strip() for cell in rows[0]] != _COLUMNS:
        found = ",".join(rows[0]) if rows else ""
        raise _refusal(path, [f"row 1: expected the header {','.join(_COLUMNS)}, read {found!r:.60}"])
    row_of_hour: dict[int, int] = {}
    share_of_hour: dict[int, float] = {}
    mistakes: list[str] = []
    for number, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue  # a blank line
        hour, share = _read_row(cells)
        if hour is None or share is None:
            mistakes.append(f"row {number}: expected an hour 0 to 167 and a share 0 to 1, read {','.join(cells)!r:.60}")
        elif hour in row_of_hour:
            mistakes.append(f"row {number}: hour {hour} is given twice, first in row {row_of_hour[hour]}")
        if hour is not None and hour not in row_of_hour:
            row_of_hour[hour] = number
            share_of_hour[hour] = share or 0.0
    mistakes += _gaps(row_of_hour) or _disorder(row_of_hour)
    if mistakes:
        raise _refusal(path, mistakes)
    busiest = max(share_of_hour, key=lambda hour: share_of_hour[hour])
    if share_of_hour[busiest] != 1.0:
        text = f"the largest share is {share_of_hour[busiest]:g}, and the busiest hour must have the share 1"
        raise _refusal(path, [f"row {row_of_hour[busiest]}: {text}"])
    return tuple(share_of_hour[hour] for hour in range(HOURS_PER_WEEK))


def _read_row(cells: list[str]) -> tuple[int | None, float | None]:
    if len(cells) != len(_COLUMNS):
        return None, None
    hour_text, share_text = (cell.strip() for cell in cells)
    if not (hour_text.isascii() and hour_text.isdecimal() and int(hour_text[:4]) < HOURS_PER_WEEK):
        return None, None
    try:
        share = float(share_text) if "_" not in share_text else math.nan
    except ValueError:
        return int(hour_text), None
    return int(hour_text), share if 0.0 <= share <= 1.0 else None


def _gaps(row_of_hour: dict[int, int]) -> list[str]:
    missing = [hour for hour in range(HOURS_PER_WEEK) if hour not in row_of_hour]
    if not missing:
        return []
    shown = ", ".join(map(str, missing[:_MAX_LINES_SHOWN]))
    return [f"missing hours: {shown}{' …' if len(missing) > _MAX_LINES_SHOWN else ''} ({len(missing)} of 168)"]


def _disorder(row_of_hour: dict[int, int]) -> list[str]:
    hours = list(row_of_hour)
    later = next((i for i in range(1, len(hours)) if hours[i] < hours[i - 1]), None)
    if later is None:
        return []
    return [f"row {row_of_hour[hours[later]]}: hour {hours[later]} stands after {hours[later - 1]}; sort by hour"]


def _refusal(path: Path, mistakes: list[str]) -> InputError:
    shown = mistakes[:_MAX_LINES_SHOWN]
    if len(mistakes) > len(shown):
        shown.append(f"and {len(mistakes) - len(shown)} more")
    return InputError(
        what="\n".join(shown),
        where=str(path),
        fix="write 168 rows hour_of_week,share_of_peak in order, shares from 0 to 1, the busiest hour 1",
    )
