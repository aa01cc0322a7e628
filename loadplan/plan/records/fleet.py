"""Fleets: what can be bought for the demand, what it would cost, how it would run, and why each other one lost."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from loadplan.catalog.price import Offer
from loadplan.caveat import Basis, Caveat
from loadplan.execution import Setting
from loadplan.fit.records import Binding
from loadplan.plan.records.loss import LossOutcome
from loadplan.plan.records.outlook import Outlook
from loadplan.plan.records.overdispersed import OverdispersedCase
from loadplan.plan.records.purchase import PurchaseMix
from loadplan.plan.records.scaling import Scaling


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What so many replicas carry together behind the balancer."""

    n_replicas: int
    multiple: float  # of what one replica carries, by the low ends


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaCapacity:
    """What one replica of an offer can carry within every objective, and how that is known."""

    usable_capacity_rps: float
    usable_capacity_rps_low: float
    usable_capacity_rps_high: float
    setting: Setting | None  # None where the capacity was given, not derived
    speed_ratio: float  # speed of one server process against the machine that was measured; 1: the same
    n_server_processes: int
    basis: Basis
    # `provider/type`, else the GPU, whose profile it rests on; None: this machine, or none at all
    measured_on: str | None = None
    overdispersed_ratio: float | None = None  # of all that, where arrivals come in clusters; None: nobody looked
    binding: Binding | None = None  # which limit it comes nearest to; None: not known, or all requests are of one kind
    # Of a burstable type: its capacity is that at its baseline, or its price holds the surplus credits of full speed.
    burst: Literal["baseline", "surplus"] | None = None
    # Ascending, never falling, from one replica on; none: n replicas carry n times what one does.
    rungs: tuple[Rung, ...] = ()
    n_more: int = 0  # replicas beyond those that carry the peak, without which the loss of the spares isn't borne


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetItem:
    """So many replicas of one offer."""

    offer: Offer
    n_replicas: int
    capacity: ReplicaCapacity | None = None  # of one replica of it; None: the fleet is of one kind and says it itself
    traffic_share: float = 1.0  # of all requests, in proportion to what its replicas carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A candidate answer."""

    items: tuple[FleetItem, ...]
    capacity: ReplicaCapacity  # of one replica; of several kinds, of the one that carries most of the traffic
    usd_per_hour: Decimal
    usd_per_month: Decimal
    utilisation_ratio: float  # peak / capacity of all replicas, by the low end, on which fleets are sized
    utilisation_ratio_degraded: float  # the same with the spares gone
    predicted_p99_s: float | None  # at the peak with the spares gone; None where capacities were given or the fit ends
    predicted_p99_s_low: float | None
    predicted_p99_s_high: float | None
    basis: Basis
    reason: str  # why it won, or why it lost, in one line


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOffered:
    """An offer that was not considered, and why."""

    offer_name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthCost:
    """One month of the horizon."""

    i_month: int  # 0 is the first month
    peak_rps: float
    n_replicas: int
    usd: Decimal
    n_of_each: tuple[int, ...] = ()  # in the order of the recommended fleet's items; empty: it has one


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A number that nobody measured here, on which the answer rests."""

    name: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorthMeasuring:
    """An instance type that was not measured, and what is to be expected of measuring it."""

    type_name: str  # `provider/type`
    offer_name: str
    chance_ratio: float  # that the fleet becomes cheaper than the chosen one
    expected_saving_usd_per_month: Decimal
    best_usd_per_month: Decimal  # of the fleet at the high end of what it may carry
    minutes: int  # that measuring takes
    measuring_usd: Decimal  # what the machine costs meanwhile
    command: str  # says what to run there
    reason: str  # how its interval overlaps what the chosen fleet is sized on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer: what to buy, or why nothing will do."""

    feasible: bool
    recommended: Fleet | None
    runners_up: tuple[Fleet, ...]  # cheapest first
    nearest_miss: Fleet | None  # where nothing is feasible
    binding_constraint: str | None  # what decides the size, or what nothing meets
    not_offered: tuple[NotOffered, ...]
    peak_rps: float
    mean_rps: float  # over the week
    hours_per_month: int
    n_spare_replicas: int
    headroom_ratio: float
    months: tuple[MonthCost, ...]
    oldest_price_date: date | None
    catalog_version: str
    assumptions: tuple[Assumption, ...]
    caveats: tuple[Caveat, ...]
    overdispersed: OverdispersedCase | None = None  # None: arrivals aren't assumed, or capacities were given
    scaling: Scaling | None = None  # None: nothing is feasible, or the fleet is of several types
    outlook: Outlook | None = None  # what lies around it; None: nobody looked
    loss: LossOutcome | None = None  # of the recommended fleet; None: nothing is spare, or it was not simulated
    worth_measuring: tuple[WorthMeasuring, ...] = ()  # by what it is expected to save, best first
    purchase_mix: PurchaseMix | None = None  # of the recommended fleet; None: the scenario allows only one way to pay
    n_zones: int | None = None  # any of which may be gone with its share of the replicas; None: not asked for
