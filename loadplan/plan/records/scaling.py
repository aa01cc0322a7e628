"""What scaling with the week would cost: records that a plan carries. Rates are requests per second, money is USD."""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.caveat import Basis
from loadplan.scenario.spec import ScalingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUpPart:
    """One of the things that pass between the wish for a replica and its first answer."""

    name: str
    time_s: float
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledMonth:
    """One month of a policy, whose week has grown with the traffic."""

    i_month: int  # 0 is the first month
    peak_rps: float
    n_most: int  # replicas wanted at once
    mean_replicas: float  # paid for, over the week
    usd: Decimal
    violation_minutes: int  # of a week, in which the rate is above what the ready replicas carry
    thin_minutes: int  # of a week, in which headroom or spares are not all there


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCost:
    """One policy in the first month's week, and month by month."""

    policy: ScalingPolicy
    usd_per_month: Decimal
    n_least: int  # replicas wanted in the quietest minute
    n_most: int
    mean_replicas: float
    violation_minutes: int  # of a week
    thin_minutes: int  # of a week
    hourly_ready: tuple[int, ...]  # (168,) the fewest ready replicas in each hour; hour 0 is Monday 00:00 UTC
    hourly_carried_rps: tuple[float, ...]  # (168,) what those carry within every objective
    months: tuple[ScaledMonth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledOffer:
    """An offer that is not the recommended one, and cheaper than that once both are scaled by a schedule."""

    offer_name: str
    n_least: int
    n_most: int
    usd_per_month: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Static, scheduled and reactive scaling of the recommended offer over the week."""

    start_up: tuple[StartUpPart, ...]
    start_up_s: float
    chosen: ScalingPolicy  # by the scenario
    policies: tuple[PolicyCost, ...]  # static, scheduled, reactive
    cheapest_scheduled: ScheduledOffer | None  # None: the recommended offer is cheapest by a schedule as well
