"""Records of what lies around a plan: other cases, other choices, what runs today, and what would change the answer.

They name fleets by their offers' names, so that they know nothing of how a fleet is sized. Money is `Decimal` in USD.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from loadplan.caveat import Basis
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.cluster import Cluster
from loadplan.plan.records.precomputed import Precomputed
from loadplan.plan.records.time_split import Lever, TimeSplit

CaseKind = Literal["traffic", "price", "objectives", "spares"]
SwitchKind = Literal["traffic", "price", "capacity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The answer to a question that differs in one thing."""

    kind: CaseKind
    changed: str  # what differs, in words, such as `traffic +20 %`
    choice: Choice | None  # None: nothing will do
    same_type: bool  # whether the same type of machine wins
    reason: str  # why nothing will do, or what is to be known of the figure; empty: nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint:
    """The answer with the peak, every limit and the chosen type's price each times a factor; all 1: as asked."""

    traffic_factor: float
    limit_factor: float
    price_factor: Decimal
    choice: Choice | None  # None: nothing will do
    same_type: bool  # whether the type of machine wins that was chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A figure at which another type of machine would win, all else as it is."""

    kind: SwitchKind
    what: str  # whose figure, such as `price of aws/us-east-1/c7i.large/on_demand`
    now: float  # requests per second, or USD an hour
    then: float  # from here on the other wins
    change_ratio: float  # then / now - 1
    winner: str  # name of the offer that would win
    chance_ratio: float | None = None  # that it is so already; None: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """A fleet than which none is both cheaper and faster."""

    choice: Choice
    predicted_p99_s_low: float
    predicted_p99_s_high: float
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """How likely every objective holds at the peak, as far as the law and its interval are right."""

    with_spares_gone_ratio: float
    with_all_ratio: float
    needed_rps: float  # that a replica must carry with the spares gone


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRange:
    """The replicas of the chosen offer that would do at either end of what one of them may carry, all else as it is."""

    n_replicas_low: int  # if each carries the high end
    n_replicas_high: int  # if each carries the low end, on which the fleet is sized: its own count
    usd_per_month_low: Decimal
    usd_per_month_high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What runs now, beside the plan."""

    choice: Choice
    usd_less_per_month: Decimal | None  # of the plan against it; negative: the plan is dearer; None: nothing will do
    holds: bool | None  # whether it carries the peak with the spares gone and the headroom free; None: not known
    reason: str  # why it does or doesn't, or why that isn't known
    carried_rps: float | None  # with the spares gone and the headroom free
    # Of commitments, which are paid for until they end, whatever is bought; None: nothing of it is committed.
    committed_usd_per_month: Decimal | None = None
    # Of the plan until then, which uses them where they are of its own type; None: as above, or nothing will do.
    usd_less_while_committed: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """One rule relaxed, by as little as would do, and what would then be bought."""

    rule: str  # such as `plan.spare_replicas`
    change: str  # such as `0 in place of 1`
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCosts:
    """What a request costs."""

    usd_per_million_requests: Decimal  # by the mean rate over the week
    # What a tenth more traffic costs on top, with the same type of machine; None: there are too few of it.
    usd_per_month_of_more_traffic: Decimal | None
    n_replicas_of_more_traffic: int | None  # that it takes on top


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Energy of the fleet and what it emits, by figures that others published."""

    kwh_per_month: float  # drawn from the grid, the data centre's own share included
    w_per_replica: float  # of the machine that carries most of the traffic, at its mean use
    mean_utilisation_ratio: float  # over the week
    kg_co2e_per_month: float | None  # None: nothing is known of the grid there
    kg_co2e_reason: str  # why not; empty: it is known
    sources: tuple[str, ...]  # each with the day on which its figure was seen


@dataclass(frozen=True, slots=True, kw_only=True)
class PerRequest:
    """A service paid by the request in place of the fleet."""

    service: str  # such as `aws lambda (arm64)`
    usd_per_month: Decimal  # at the mean rate over the week
    usd_per_month_low: Decimal  # if its processor is as much faster than the one measured as may be
    usd_per_month_high: Decimal
    usd_less_per_month: Decimal  # than the fleet; negative: it is dearer
    break_even_rps: float  # mean rate below which it is cheaper than the fleet as it is
    memory_mb: float
    billed_s: float  # of each request
    cold_ratio_at_peak: float  # share of requests that wait for a start
    cold_ratio_when_quiet: float  # in the quietest hour of the week that has any
    allowed_ratio: float | None  # share of requests that may be slow; None: no limit names all requests
    source: str  # with the day on which its price was seen
    break_even_requests_per_month: float | None = None  # the same rate; None: an older file


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Everything around a plan."""

    unit_costs: UnitCosts | None = None  # None: nothing is bought
    chance: Chance | None = None  # None: the capacity was given as one number, or nothing is bought
    size: SizeRange | None = None  # None: as the chance, or an older file
    mixed: Choice | None = None  # of several types, where that is cheaper and the rules ask for one
    cases: tuple[Case, ...] = ()
    grid: tuple[GridPoint, ...] = ()  # empty: nothing is bought, or an older file
    switches: tuple[Switch, ...] = ()
    footprint: Footprint | None = None
    footprint_reason: str = ""  # why there is none; empty: there is one, or nothing is bought
    per_request: tuple[PerRequest, ...] = ()  # cheapest first
    per_request_reason: str = ""  # why there is none; empty: there is one, or nothing is bought
    front: tuple[FrontPoint, ...] = ()  # cheapest first; empty: no latency is predicted
    today: Today | None = None  # None: the scenario doesn't say what runs today
    relaxations: tuple[Relaxation, ...] = ()  # where nothing is within the budget, or nothing will do
    split: TimeSplit | None = None  # of the predicted p99
    split_reason: str = ""  # why there is none; empty: there is one, or nothing is bought
    levers: tuple[Lever, ...] = ()  # one for each part that can be halved
    cluster: Cluster | None = None  # None: nothing is bought
    precomputed: Precomputed | None = None
    precomputed_reason: str = ""  # why there is none; empty: there is one, or nobody asked
