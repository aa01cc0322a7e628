"""What the fit says: the laws with their parameters, and the usable capacity of every setting.

The records stand alone: a planner reads them without simulating anything.
"""

from dataclasses import dataclass
from typing import Literal

from loadplan.caveat import Basis, Caveat
from loadplan.execution import Balancing, ExecutionConfig, Setting
from loadplan.fit.ledger import LedgerFindings
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Arrivals
from loadplan.scenario.outside import AT_THE_SERVER, Vantage
from loadplan.scenario.spec import RequestClass, RowsPerRequest
from loadplan.slo import LatencyLimit
from loadplan.speed import ProbeResult
from loadplan.stats import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRatios:
    """How many times as long an inference takes whose rows all have one length, against rows as they come."""

    length: int  # positions
    batch_sizes: tuple[int, ...]  # rows, ascending: those at which the length was timed
    ratio: tuple[float, ...]  # over S(b) of the mix


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimes:
    """How a process of an execution started in the benchmark: medians over its starts, the file in the page cache."""

    load_s: float  # opening all its sessions
    first_inference_s: float
    n_starts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimeFit:
    """S(b): the time of one inference of b rows, as a table that is interpolated, never a line."""

    execution: ExecutionConfig
    batch_sizes: tuple[int, ...]  # rows, ascending
    mean_s: tuple[float, ...]
    mean_s_low: tuple[float, ...]  # 95 % interval of each mean
    mean_s_high: tuple[float, ...]
    spread_ratio: tuple[float, ...]  # standard deviation of ln(time): how much single inferences scatter
    process_ratio: tuple[float, ...] = ()  # standard deviation of ln(mean of a process): how much one is off another
    by_length: tuple[LengthRatios, ...] = ()  # ascending length; empty: no length was timed on its own
    server_bytes: int | None = None  # resident memory of one server process at its most; None: nobody looked
    start: StartTimes | None = None  # None: no start was measured
    extrapolated_at_most: float = 2.0  # times the largest batch timed, up to which the last step may be prolonged


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """One calibration run as it was measured and as the fitted law gives it."""

    run: str  # name of the load run
    offered_rate_rps: float
    quantile: float | None  # None: this is a throughput in requests per second, not a latency in seconds
    measured: float
    predicted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadFit:
    """What the server adds to an inference, in CPU seconds on the serving core, and how well that explains the runs.

    See `fit.simulate` for the order in which these costs fall due.
    """

    request_s: float  # per request, before inference: read, parse, enqueue
    response_s: float  # per request, after inference: encode, send
    batch_s: float  # per batch: dispatch and bookkeeping
    wake_s: float  # from an arrival at an idle, sleeping server to its first instruction
    transfer_s: float  # spent outside the serving core: the client's own sending and receiving, the network between
    cold_ratio: float  # how much slower work is after a long pause, 0 for not at all
    spread_ratio: float  # standard deviation of ln(cost) of the request and response work
    stall_s: float  # mean length of the rare pauses (scheduler, kernel, neighbours), before the longest are cut
    stall_rate_per_s: float
    residuals: tuple[Residual, ...]
    row_s: float = 0.0  # per row, before inference; 0 where all requests were alike: it is then part of request_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLatency:
    """The response times of one class of requests among all the others."""

    name: str
    p50_s: float
    p95_s: float
    p99_s: float
    p50_interval: Interval
    p95_interval: Interval
    p99_interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedLatency:
    """The response time distribution at one rate, with the interval in which a run of a few seconds will find it.

    It holds what the fit's uncertainty and a short run's own luck leave open.
    """

    offered_rate_rps: float
    utilisation_ratio: float
    p50_s: float
    p95_s: float
    p99_s: float
    p50_interval: Interval
    p95_interval: Interval
    p99_interval: Interval
    classes: tuple[ClassLatency, ...] = ()  # where they differ in rows; else the figures above are those of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The limit that the simulated requests come nearest to, at the usable capacity."""

    class_name: str | None  # None: it is about all requests
    limit: LatencyLimit | None  # None: it is the share that may fail


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCapacity:
    """The highest rate of all requests together at which every objective holds, of equal replicas behind a balancer."""

    n_server_processes: int  # of each replica
    n_replicas: int
    usable_capacity_rps: float
    usable_capacity_rps_low: float
    usable_capacity_rps_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """How the requests of the fleets in a fit find their process."""

    balancing: Balancing
    connections_per_process: int  # on average


# Of the time of a request. What lies outside the replica and a fetch take as long on any machine. `work` is model and
# web work together, of a service into which nobody can look.
TimePart = Literal["outside", "fetch", "model", "web", "work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideSpan:
    """How long requests are delayed beside the server, of which a faster or slower machine changes nothing."""

    least_s: float  # 1st percentile
    most_s: float  # 99th percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRatio:
    """A ratio that one part of the time has."""

    part: TimePart
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeShares:
    """Of the time of the requests around the p99, at one rate: the mean share of each part; the rest is waiting."""

    usable_ratio: float  # the rate, over the usable capacity
    parts: tuple[PartRatio, ...]  # those that there are
    n_requests: int  # around the p99


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Where the time of slow requests goes, and what a server carries with one part of it halved; by the best law."""

    shares: tuple[TimeShares, ...]  # ascending rate
    halved: tuple[PartRatio, ...]  # the usable capacity with the part halved, over what it is now; 1: no more


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingCapacity:
    """The highest offered rate at which every objective holds, of one server process with this setting."""

    setting: Setting
    usable_capacity_rps: float  # 0 where the objectives can't be met at any rate
    usable_capacity_rps_low: float
    usable_capacity_rps_high: float
    saturated_rps: float  # the rate at which the queue grows without end
    saturated_rps_low: float  # and what the measurements leave open about it
    saturated_rps_high: float
    curve: tuple[PredictedLatency, ...]  # from idle to the usable capacity, ascending rate
    binding: Binding | None = None  # None: every limit holds up to the highest rate that is looked at
    # By processes of a replica, then by replicas, ascending; none: it isn't the best setting of its device.
    fleets: tuple[FleetCapacity, ...] = ()
    # What it carries of arrivals in clusters by the best law; None: arrivals aren't Poisson, or it carries nothing.
    overdispersed_rps: float | None = None
    outside: OutsideSpan | None = None  # in the times of the curve; None: nothing is
    breakdown: Breakdown | None = None  # None: it isn't the best setting of its device, or carries nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityFit:
    """Everything the planner needs of one machine."""

    machine: Machine
    basis: Basis
    arrivals: Arrivals
    rows_per_request: RowsPerRequest  # of all the requests that the overhead was fitted on
    service_times: tuple[ServiceTimeFit, ...]
    overhead: OverheadFit
    plausible: tuple[OverheadFit, ...]  # other overheads that explain the runs about as well, without residuals
    capacities: tuple[SettingCapacity, ...]
    seed: int
    caveats: tuple[Caveat, ...]
    # What the machine attains whatever the model: what carries a time to a machine with other cores. None: not probed.
    probe: ProbeResult | None = None
    classes: tuple[RequestClass, ...] = ()  # of the requests that it is about; none: they are all of one kind
    ledger: LedgerFindings | None = None  # what widened the intervals; None: no ledger was asked
    balancer: Balancer | None = None  # of the fleets; None: no fleet was simulated
    vantage: Vantage = AT_THE_SERVER  # from where the capacities and curves are seen, with all delays until there
    begun_at: str | None = None  # the run at whose costs the search for this one's began; None: at the usual ones
