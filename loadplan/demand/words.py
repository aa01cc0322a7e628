"""Rates, spans and moments as people read them."""

from datetime import UTC, datetime

_LAST_S = 253_402_300_800.0  # the year 10000


def rate_text(rate_rps: float) -> str:
    """Four digits of a rate, and all of one that has more before its point."""
    return f"{rate_rps:,.0f}" if rate_rps >= 1_000.0 else f"{rate_rps:.4g}"


def span_text(span_s: float) -> str:
    """Such as `13 d 4 h`, `58 min` or `40 s`."""
    if span_s >= 86_400:
        days, rest = divmod(round(span_s / 3600), 24)
        return f"{days} d {rest} h" if rest else f"{days} d"
    if span_s >= 3600:
        hours, rest = divmod(round(span_s / 60), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(span_s / 60)} min" if span_s >= 120 else f"{span_s:.0f} s"


def moment_text(at_s: float) -> str:
    """Such as `Tue 2025-03-04 14:00 UTC`; seconds where no calendar holds the moment."""
    if not 0.0 <= at_s < _LAST_S:
        return f"{at_s:.4g} s after the beginning of 1970"
    return datetime.fromtimestamp(at_s, UTC).strftime("%a %Y-%m-%d %H:%M UTC")
