"""Named weeks: the share of the peak in each of 168 hours, where hour 0 is Monday 00:00 UTC and the largest is 1.

These are stated assumptions, not measurements of anybody's traffic. Whoever has a log should use its own week
(a CSV); a named week only has to be plain enough to be argued with.
"""

from collections.abc import Callable, Mapping

from loadplan.units import HOURS_PER_WEEK

# Share of the peak by hour of the day.
_WORKING_DAY = (
    *(0.08,) * 6,  # 00 to 06: scheduled jobs and other time zones
    *(0.15, 0.35, 0.70),  # 06 to 09: people arrive
    *(0.95, 1.00, 0.95, 0.80, 0.90, 1.00, 0.95, 0.85),  # 09 to 17: two humps with a lunch dip
    *(0.60, 0.35, 0.20, 0.15, 0.12, 0.10, 0.08),  # 17 to 24: people leave
)
_WEEKEND_OF_OFFICE = (0.08,) * 8 + (0.15,) * 12 + (0.08,) * 4
_EVENING = (
    *(0.40, 0.25, 0.15, 0.10, 0.08, 0.10),  # 00 to 06: the night
    *(0.15, 0.25, 0.35, 0.40, 0.42, 0.45),  # 06 to 12
    *(0.50, 0.48, 0.45, 0.48, 0.55, 0.65),  # 12 to 18
    *(0.78, 0.90, 1.00, 0.98, 0.80, 0.58),  # 18 to 24: the evening, highest from 20 to 21
)


def constant() -> tuple[float, ...]:
    """The same rate in every hour: a machine calls, or nothing better is known and the caution is meant."""
    return (1.0,) * HOURS_PER_WEEK


def office_hours() -> tuple[float, ...]:
    """People at work in one time zone near UTC: two humps on Monday to Friday, a twelfth of it at night.

    Assumed: every working day is alike; Saturday and Sunday reach 0.15 of the peak.
    """
    return _WORKING_DAY * 5 + _WEEKEND_OF_OFFICE * 2


def evening_peak() -> tuple[float, ...]:
    """People at leisure in one time zone near UTC: highest from 20:00 to 21:00, lowest before dawn.

    Assumed: every day is alike but for Saturday and Sunday, whose hours before 18:00 are a fifth busier.
    """
    weekend = tuple(share * 1.2 if hour < 18 else share for hour, share in enumerate(_EVENING))
    return _EVENING * 5 + weekend * 2


WEEK_PROFILES: Mapping[str, Callable[[], tuple[float, ...]]] = {
    "constant": constant,
    "evening_peak": evening_peak,
    "office_hours": office_hours,
}
