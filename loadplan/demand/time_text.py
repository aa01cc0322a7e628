"""How a log writes its times, and the SQL that turns them into seconds.

Three ways: ISO 8601 with or without a zone, the stamp of access logs, and a number that counts from 1970 (in seconds,
milliseconds, microseconds or nanoseconds, told by its size) or from any start. Below 1e8, which is 1973 in seconds, a
number counts from any start: then nothing is known of hours and weekdays.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TimeKind = Literal["iso", "access", "number"]

_ISO = (
    r"^\s*(\d{4}[-/]\d\d[-/]\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s*(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?)?\s*$"
)
_ACCESS = r"^(\d\d/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d{4})$"
_FROM_ANY_START_BELOW = 1e8
# The largest number of each unit, some thousand years after 1970, with the seconds of the unit.
_UNITS = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6), (math.inf, 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeText:
    """How the times of a log are written."""

    kind: TimeKind
    unit_s: float = 1.0  # of a number
    has_calendar: bool = True  # whether it is known when it was


def time_text_of(samples: Sequence[str]) -> TimeText | None:
    """What most of the samples are; None where they are no times."""
    numbers = [value for text in samples if (value := _number(text)) is not None]
    n_iso = sum(re.match(_ISO, text) is not None for text in samples)
    n_access = sum(re.match(_ACCESS, text) is not None for text in samples)
    most = max(len(numbers), n_iso, n_access)
    if not most or most < 0.5 * len(samples):
        return None
    if most == n_iso:
        return TimeText(kind="iso")
    if most == n_access:
        return TimeText(kind="access")
    middle = sorted(map(abs, numbers))[len(numbers) // 2]
    unit_s = next(unit_s for limit, unit_s in _UNITS if middle < limit)
    return TimeText(kind="number", unit_s=unit_s, has_calendar=middle >= _FROM_ANY_START_BELOW)


def seconds_sql(time: TimeText, column: str) -> tuple[str, str]:
    """Expressions over a quoted column of text: its seconds, NULL where it is no time, and whether it tells a zone."""
    if time.kind == "number":
        value = f"TRY_CAST({column} AS DOUBLE)"
        return f"CASE WHEN isfinite({value}) THEN {value} * {time.unit_s!r} END", "true"
    if time.kind == "access":
        parts = f"regexp_extract({column}, '{_ACCESS}', ['moment', 'fraction', 'zone'])"
        moment = f"epoch(try_strptime({parts}.moment, '%d/%b/%Y:%H:%M:%S'))"
    else:
        parts = f"regexp_extract({column}, '{_ISO}', ['day', 'clock', 'fraction', 'zone'])"
        text = f"trim(replace({parts}.day, '/', '-') || ' ' || {parts}.clock)"
        moment = f"epoch(TRY_CAST({text} AS TIMESTAMP))"
    fraction = f"coalesce(TRY_CAST('0.' || nullif({parts}.fraction, '') AS DOUBLE), 0.0)"
    return f"({moment} + {fraction} - {_zone_sql(f'{parts}.zone')})", f"({parts}.zone <> '')"


def _zone_sql(zone: str) -> str:
    """Seconds that a zone such as +0200 or +02:00 is ahead of UTC; 0 for Z, and where there is none."""
    hours = f"TRY_CAST(substr({zone}, 2, 2) AS INTEGER)"
    minutes = f"CASE WHEN length({zone}) > 3 THEN TRY_CAST(right({zone}, 2) AS INTEGER) ELSE 0 END"
    sign = f"CASE WHEN starts_with({zone}, '-') THEN -1 ELSE 1 END"
    return f"coalesce(({sign}) * (3600 * {hours} + 60 * ({minutes})), 0)"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
