"""What the fit of a service says, what is asked of it, and what it carries: they stand alone."""

from dataclasses import dataclass

from loadplan.caveat import Basis, Caveat
from loadplan.fit.black_box.structures import ServiceLaw
from loadplan.fit.records import Binding, Breakdown, PredictedLatency, Residual
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Arrivals, busiest
from loadplan.scenario.outside import OutsideDelay
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, RowsPerRequest, Scenario

_ONE_ROW = always(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What callers ask of a service, but for how often."""

    arrivals: Arrivals
    rows_per_request: RowsPerRequest = _ONE_ROW
    classes: tuple[RequestClass, ...] = ()  # none: all requests are of one kind
    outside: OutsideDelay | None = None  # beside the service, there and back together; None: nothing


def asked_of(scenario: Scenario) -> Asked:
    """What a plan for this scenario rests on: its busiest moment, seen from where its objectives are measured."""
    traffic = scenario.traffic
    return Asked(
        arrivals=busiest(traffic.arrivals),
        rows_per_request=traffic.rows_per_request,
        classes=traffic.classes,
        outside=scenario.vantage.outside,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSeen:
    """The rows of the requests that a fit rests on."""

    mean: float
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFit:
    """The laws that explain the runs, of one service on one machine."""

    machine: Machine  # of the load generator, which is the service's own where its address is loopback
    laws: tuple[ServiceLaw, ...]  # of every structure that explains the runs about as well as the best, which is first
    plausible: tuple[ServiceLaw, ...]  # drawn from what the runs leave open, of all those structures
    n_at_once: int  # the largest burst that was sent: a limit of slots from there on was not met
    rows: RowsSeen | None  # None: nobody told how many rows the requests had
    counted_s: float | None  # CPU time of a request as the system counted it; None: nobody could look
    residuals: tuple[Residual, ...]  # of the best law
    seed: int
    caveats: tuple[Caveat, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCapacity:
    """What one copy of a service carries within every objective, on the machine on which it was driven."""

    machine: Machine
    n_cores: int | None  # that it works on; None: nobody counted its CPU time, so it may be all that the machine has
    usable_capacity_rps: float  # 0 where the objectives hold at no rate: the first point of the curve says how far off
    usable_capacity_rps_low: float
    usable_capacity_rps_high: float
    saturated_rps: float
    saturated_rps_low: float
    saturated_rps_high: float
    curve: tuple[PredictedLatency, ...]  # from idle to the usable capacity, ascending rate; one point where that is 0
    basis: Basis
    caveats: tuple[Caveat, ...]
    binding: Binding | None = None  # None: every limit holds up to the highest rate that is looked at, or not known
    has_classes: bool = False  # whether the classes of requests are told apart
    # 1st and 99th percentile of what no other machine changes in the waits of the curve: without CPU, or outside.
    unscaled_least_s: float = 0.0
    unscaled_most_s: float = 0.0
    is_bound_by_slots: bool = False  # rather than by its cores: a faster machine carries no more
    breakdown: Breakdown | None = None  # None: no law was fitted, or it carries nothing
