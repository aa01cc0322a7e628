"""The one place that reads the calendar; whatever needs a date is handed one, so that tests and `--as-of` can.

Import the module, not the function: who sets another day here sets it for all.
"""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment in UTC, to the second: it names folders and dates, it never times anything."""
    return datetime.now(UTC).replace(microsecond=0)
