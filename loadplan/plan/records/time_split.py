"""Of what the slow requests' time consists, and what half of a part would save: records that a plan carries."""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.caveat import Basis
from loadplan.fit.records import TimePart
from loadplan.plan.records.choice import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTime:
    """How long one part of the time is."""

    part: TimePart
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSplit:
    """The predicted p99 in parts that add up to it: the mean shares of the requests around it in a simulated run."""

    p99_s: float  # at the peak with the spares gone
    parts: tuple[PartTime, ...]
    waiting_s: float  # the rest: for other requests, a batch window, a slot, a sleeping server, the end of a pause
    low_quantile: float  # between these two the requests lie
    high_quantile: float
    n_requests: int
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """The plan again, had one part of the time been half as long."""

    part: TimePart
    capacity_ratio: float  # what a replica of the chosen offer would carry, over what it does
    choice: Choice  # the cheapest fleet then
    n_fewer: int | None  # replicas of the chosen offer; None: another offer would be cheapest
    usd_less_per_month: Decimal
