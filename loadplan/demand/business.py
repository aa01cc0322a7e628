"""The figures of a business as the demand to plan for: users are not requests, and days have busy hours.

peak = users a day × requests of each × share of the day in its busiest hour × busiest day over a usual one / 3600 s.
What isn't given is assumed, and each assumption is a caveat and a doubt whose price can be told.
"""

import math
from dataclasses import dataclass

from loadplan.caveat import Caveat
from loadplan.demand.records import Absent, Contents, Demand, Doubt, Peak
from loadplan.demand.words import rate_text
from loadplan.errors import InputError

_SECONDS_PER_HOUR = 3600.0
_SECONDS_PER_DAY = 86_400.0
_MOST = 1e12

# Where nothing is known. A day of the named weeks, office_hours and evening_peak, has 9 % of its requests in its
# busiest hour; a shop that sells at noon, or an app that wakes everybody with one message, has twice as many.
_PEAK_SHARE, _OTHER_PEAK_SHARE = 0.1, 0.2
_REQUESTS_PER_USER, _OTHER_REQUESTS_PER_USER = 1.0, 10.0
_BUSIEST_DAY_RATIO, _OTHER_BUSIEST_DAY_RATIO = 1.0, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Factor:
    """One of the figures that the peak is a product of."""

    code: str
    name: str
    used: float
    is_given: bool
    other: float  # what it may be as well, where it isn't given
    as_percent: bool
    why: str
    fix: str

    def text(self, value: float) -> str:
        """The figure as people write it."""
        return f"{value:.3g}" if not self.as_percent else f"{100.0 * value:.3g} %"


def demand_from_users(
    *,
    daily_users: float,
    requests_per_user: float | None = None,
    peak_share: float | None = None,
    busiest_day_ratio: float | None = None,
) -> Demand:
    """The demand that so many users make.

    Args:
        daily_users: people, or devices, that ask on a usual day.
        requests_per_user: requests to the model of each of them on such a day; None: 1, with a doubt.
        peak_share: share of a day's requests in its busiest hour, 1/24 to 1; None: 0.1, with a doubt.
        busiest_day_ratio: requests of the busiest day over those of a usual one, 1 and up; None: 1, with a doubt.

    Raises:
        InputError: when a figure can't be.
    """
    _require("--daily-users", daily_users, least=1.0, most=_MOST)
    if requests_per_user is not None:
        _require("--requests-per-user", requests_per_user, least=1e-6, most=_MOST)
    if peak_share is not None:
        _require("--peak-share", peak_share, least=1.0 / 24.0, most=1.0)
    if busiest_day_ratio is not None:
        _require("--busiest-day", busiest_day_ratio, least=1.0, most=1_000.0)
    factors = _factors(requests_per_user, peak_share, busiest_day_ratio)
    peak_rps = daily_users / _SECONDS_PER_HOUR * math.prod(factor.used for factor in factors)
    per_day = daily_users * factors[0].used
    if peak_rps > 1e8:
        raise InputError(
            what=f"the peak would be {peak_rps:.3g} requests/s",
            where="--daily-users",
            fix="check the figures: no service has more than 100 million a second",
        )
    assumed = [factor for factor in factors if not factor.is_given]
    nothing = Absent(reason="there is no log")
    return Demand(
        source=f"{daily_users:,.0f} users a day",
        basis="assumed" if assumed else "given",
        peak_hour=Peak(
            window_s=int(_SECONDS_PER_HOUR),
            rate_rps=peak_rps,
            at_s=None,
            interval=None,
            interval_reason="nothing was recorded; the doubts say what else it may be",
        ),
        peak_minute=nothing,
        peak_second=nothing,
        mean_rps=per_day / _SECONDS_PER_DAY,
        n_requests=per_day,
        span_s=0.0,
        missing_s=0.0,
        began_at_s=None,
        dispersion=(nothing, nothing, nothing),
        week=nothing,
        growth=nothing,
        contents=Contents(),
        recording=nothing,
        corrections=(),
        doubts=tuple(_doubt(factor, peak_rps) for factor in assumed),
        caveats=tuple(_caveat(factor, peak_rps) for factor in assumed),
    )


def _factors(
    requests_per_user: float | None, peak_share: float | None, busiest_day_ratio: float | None
) -> tuple[_Factor, _Factor, _Factor]:
    return (
        _Factor(
            code="demand.users_are_not_requests",
            name="the number of requests of a user",
            used=_REQUESTS_PER_USER if requests_per_user is None else requests_per_user,
            is_given=requests_per_user is not None,
            other=_OTHER_REQUESTS_PER_USER,
            as_percent=False,
            why="users are not requests: a page may ask the model many times, and an app ask again by itself",
            fix="count the requests of a day in any log and divide, then give --requests-per-user",
        ),
        _Factor(
            code="demand.peak_share",
            name="the peak share",
            used=_PEAK_SHARE if peak_share is None else peak_share,
            is_given=peak_share is not None,
            other=_OTHER_PEAK_SHARE,
            as_percent=True,
            why="the busiest hour decides, not the day: a usual day has a tenth of its requests in it, others a fifth",
            fix="give --peak-share, such as 15% of the day",
        ),
        _Factor(
            code="demand.busiest_day",
            name="the busiest day over a usual one",
            used=_BUSIEST_DAY_RATIO if busiest_day_ratio is None else busiest_day_ratio,
            is_given=busiest_day_ratio is not None,
            other=_OTHER_BUSIEST_DAY_RATIO,
            as_percent=False,
            why="all days are taken to be alike, and a Monday, a campaign or a holiday is not",
            fix="give --busiest-day, such as 1.5 for half as much again",
        ),
    )


def _doubt(factor: _Factor, peak_rps: float) -> Doubt:
    what = f"{factor.name} is {factor.text(factor.other)} and not {factor.text(factor.used)}"
    return Doubt(code=factor.code, what=what, peak_rps=peak_rps * factor.other / factor.used)


def _caveat(factor: _Factor, peak_rps: float) -> Caveat:
    other_rps = peak_rps * factor.other / factor.used
    return Caveat(
        code=factor.code,
        what=f"{factor.name} is assumed to be {factor.text(factor.used)}; were it {factor.text(factor.other)}, the "
        f"peak would be {rate_text(other_rps)} requests/s ({factor.why})",
        fix=factor.fix,
        number=factor.used,
    )


def _require(name: str, value: float, *, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(
            what=f"{value:g} is out of range", where=name, fix=f"give a number from {least:.3g} to {most:.3g}"
        )
