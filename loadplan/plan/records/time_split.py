"""Of what the slow requests' time consists, and what half of a part would save: records that a plan carries."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from loadplan.caveat import Basis
from loadplan.plan.records.choice import Choice

TimePart = Literal["outside", "model", "web"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSplit:
    """The predicted p99 in parts that add up to it: the mean shares of the requests around it in a simulated run."""

    p99_s: float  # at the peak with the spares gone
    outside_s: float  # outside the replica, there and back
    waiting_s: float  # for other requests, the batch window, a sleeping server, the end of a pause
    model_s: float  # the inference of the request's batch
    web_s: float  # reading and answering it, handling its batch, the way to the serving core
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
