"""Which calendar month is which month of the horizon; every one begins at 00:00 UTC on its first day."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from loadplan.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Month:
    """A calendar month."""

    year: int
    number: int  # 1 is January

    @property
    def name(self) -> str:
        """Such as `2027-01`."""
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def start(self) -> str:
        """Its first instant: UTC, ISO 8601."""
        return f"{self.name}-01T00:00:00Z"

    def later(self, n_months: int) -> "Month":
        """The month so many months on."""
        years, index = divmod(self.number - 1 + n_months, 12)
        return Month(year=self.year + years, number=index + 1)


def month_of(day: date) -> Month:
    """The month of a day."""
    return Month(year=day.year, number=day.month)


def first_month(text: str | None, *, created_at: str) -> Month:
    """The first month of a budget: as it is written, such as `2027-01`, else the one after the run was begun.

    Raises:
        InputError: when the text is no month.
    """
    if text is None:
        return month_of(datetime.fromisoformat(created_at).date()).later(1)
    match = re.fullmatch(r"(2\d{3})-(0[1-9]|1[0-2])", text)
    if match is None:
        raise InputError(what=f"{text!r} is no month", where="--from", fix="write it like 2027-01")
    return Month(year=int(match[1]), number=int(match[2]))
