"""Units at the edges: inside loadplan everything is seconds, bytes, ratios and counts, and money is exact.

Half a cent is rounded up, as bills and spreadsheets do it, and only where money is shown. Durations are written
`500ms`, `60s`, `5m` on the command line; milliseconds and percent exist only there, in scenario files and in
`report.view`.
"""

import re
from decimal import ROUND_HALF_UP, Decimal

from loadplan.errors import InputError

HOURS_PER_WEEK = 168
SECONDS_PER_MS = 1e-3
CENT = Decimal("0.01")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
_SECONDS_PER = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def in_cents(usd: Decimal) -> Decimal:
    """Rounded to the cent, half a cent away from zero."""
    return usd.quantize(CENT, rounding=ROUND_HALF_UP)


def usd_text(usd: Decimal) -> str:
    """Dollars with two decimals and thousands parted, such as `$1,234.50`."""
    return f"${in_cents(usd):,.2f}"


def parse_duration(text: str) -> float:
    """Seconds in a duration such as `500ms`, `60s` or `5m`.

    Raises:
        InputError: when the text is anything else, a bare number included.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InputError(
            what=f"{text!r} is not a duration",
            where="the command line",
            fix="write a number and a unit, such as 500ms, 60s or 5m",
        )
    return float(match[1]) * _SECONDS_PER[match[2]]


def parse_percent(text: str) -> float:
    """The ratio in a share such as `3%` or `2.5%`.

    Raises:
        InputError: when the text is anything else, a bare number included.
    """
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise InputError(what=f"{text!r} is not a share", where="the command line", fix="write it like 3% or 2.5%")
    return float(match[1]) / 100.0
