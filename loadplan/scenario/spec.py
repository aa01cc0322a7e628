"""The scenario as the rest of loadplan sees it: resolved, in seconds and ratios, every default filled in."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from loadplan.catalog.price import PurchaseKind
from loadplan.execution import Balancing
from loadplan.scenario.arrivals import Arrivals
from loadplan.scenario.outside import AT_THE_SERVER, Vantage
from loadplan.scenario.purchase_rules import (
    ASSUMED_DISCOUNTS,
    ASSUMED_SPOT,
    CommitmentDiscounts,
    OwnedMachine,
    SpotRules,
)
from loadplan.slo import Slo

ModelSourceKind = Literal["sklearn", "xgboost", "lightgbm", "torch", "transformers", "onnx"]
QualityMetric = Literal["accuracy", "auc", "mae", "ndcg"]
HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
TargetProtocol = Literal["json", "v2", "v2_binary", "v2_grpc"]
ScalingPolicy = Literal["static", "scheduled", "reactive"]
StageName = Literal["scenario", "export", "bench", "load", "fit", "plan", "verify", "report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityLimits:
    """How far a variant's answers may be from the source model's; None is no limit."""

    # Of any value; where an error is limited, labels must be the same but for ties within it.
    max_abs_error: float | None
    top1_agreement_ratio: float | None  # least share of rows with the same best class; judges classifiers only
    min_cosine: float | None  # least likeness of two answers as directions; judges all others only
    max_rel_error: float | None = None  # beside max_abs_error: this share of the source's value is allowed as well
    min_rank_correlation: float | None = None  # Spearman's; judges what answers one number for each row


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityGate:
    """What a variant may lose against the source model, overall and in each segment."""

    metric: QualityMetric
    max_drop: float  # in the metric's own unit: a share of right answers, or the target's unit


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where the model comes from and what an ONNX variant of it must fulfil."""

    kind: ModelSourceKind
    factory: str | None  # `module:function`, the module beside the scenario file; naming it is trusting it
    folder: str  # absolute folder of the scenario file, where the module or the file is looked up
    variants: tuple[str, ...]
    parity: dict[str, ParityLimits]  # by variant
    quality: QualityGate | None = None  # None: quality is measured where there are labels, but refuses nothing
    file: str | None = None  # the model's file, in place of a factory
    payload: str | None = None  # the rows to feed the file with; None: they are made up
    trusts_file: bool = False  # the file may run whatever code is in it
    trusted_types: tuple[str, ...] = ()  # what a .skops file may hold besides the types that skops trusts
    time_limit_s: float = 600.0  # of each step of the export

    @property
    def named(self) -> str:
        """The factory or the file, as the user named it."""
        return self.factory or self.file or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsPerRequest:
    """How many rows a request carries: always as many, or a lognormal law fixed by its mean and its p95."""

    mean: float  # of the law, before its draws are rounded up and cut
    p95: float  # equal to the mean where all requests are alike
    most: int  # no request carries more

    @property
    def is_constant(self) -> bool:
        """Whether all requests are alike."""
        return self.p95 == self.mean == self.most


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClass:
    """The requests of one segment of users."""

    name: str
    share: float  # of all requests, 0 to 1
    rows_per_request: RowsPerRequest
    segment: str | None = None  # its rows are those of this segment of the model's rows; None: all of them
    body: str | None = None  # of a service that is sent fixed bodies: a file with its own; None: the target's


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the callers send."""

    peak_rps: float  # requests per second in the busiest hour
    # Of all requests together. Where classes differ it sums them up, and requests are drawn class by class.
    rows_per_request: RowsPerRequest
    arrivals: Arrivals
    profile: str  # name of the week profile, or the file it was read from
    week_shares: tuple[float, ...]  # 168 shares of the peak; hour 0 is Monday 00:00 UTC; the largest is 1
    growth_per_month_ratio: float
    classes: tuple[RequestClass, ...] = ()  # their shares sum to 1; none: all requests are of one kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingChoices:
    """What the planner may choose from."""

    n_threads: tuple[int, ...]
    max_batch_sizes: tuple[int, ...]
    batch_windows_s: tuple[float, ...]
    extrapolate_batches: float = 1.0  # times the largest batch timed, up to which larger ones may be guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchBudget:
    """How much of the micro-benchmark is wanted."""

    batch_sizes: tuple[int, ...]  # rows
    budget_s: float
    providers: tuple[str, ...] = ("CPU",)  # execution providers of ONNX Runtime, as the user spells them
    side_by_side: bool = False  # several sessions at once are timed as well
    exhaustive: bool = False  # nothing is given up because it can't win
    sequence_lengths: tuple[int, ...] = ()  # positions, at which rows of one length are timed as well


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBudget:
    """How long each live calibration run lasts; the seed draws its arrivals."""

    duration_s: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUpRules:
    """What passes until a new replica serves, as far as the scenario says it; None: measured, or assumed."""

    node_s: float | None = None
    image_s: float | None = None
    load_s: float | None = None
    warm_up_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """Which way of scaling the months are shown for, and how the reactive one decides."""

    policy: ScalingPolicy = "static"
    target_ratio: float | None = None  # share of a replica's usable capacity; None: 1 - headroom
    stabilisation_s: float = 300.0  # replicas go only after so long without need of them


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecomputeRules:
    """Answers that are worked out beforehand, again and again, for all that may be asked about."""

    n_entities: int
    rows_per_entity: float | None  # None: as many as a request has on average
    every_s: float  # from the start of one run over all of them to that of the next
    within_s: float  # that a run may last


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRules:
    """What the fleet must respect."""

    providers: tuple[str, ...]
    regions: tuple[str, ...]
    purchases: tuple[PurchaseKind, ...]
    n_spare_replicas: int  # the objectives hold with this many gone
    n_min_replicas: int
    headroom_ratio: float  # share of usable capacity kept free at the peak
    hours_per_month: int
    horizon_months: int
    budget_usd_per_month: Decimal | None
    owned: tuple[OwnedMachine, ...] = ()
    commitment_discounts: CommitmentDiscounts = ASSUMED_DISCOUNTS
    spot: SpotRules = ASSUMED_SPOT
    price_file: str | None = None  # the project's own prices, beside the scenario's file; None: it has none
    start_up: StartUpRules = StartUpRules()
    scaling: ScalingRules = ScalingRules()
    instance_types: Literal["one", "several"] = "one"  # of which a fleet may be made
    today: tuple[tuple[str, int], ...] = ()  # what runs now: names of offers, and replicas of each
    proposal: tuple[tuple[str, int], ...] = ()  # what somebody would buy instead, written alike
    precompute: PrecomputeRules | None = None  # None: not asked about
    n_zones: int | None = None  # that replicas are dealt out to evenly, and any of which may be gone; None: none may


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRules:
    """How the loss of a replica is found out, and how long it may be felt. The defaults are assumed."""

    # So long the balancer still sends to it. Assumed: a probe every five seconds that may fail once.
    detected_after_s: float = 10.0
    noticed_after_s: float = 1.0  # by the client of a request that it held or is sent; 0: its connection is reset
    n_retries: int = 1  # after the first attempt
    retry_backoff_s: float = 0.1  # before the second attempt, doubled for each that follows
    recovers_within_s: float = 30.0  # from the loss until every objective holds again


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRules:
    """What lies between callers and replicas. The defaults are assumed."""

    balancing: Balancing = "round_robin"
    connections_per_process: int = 32  # on average, of each server process; nginx and others keep so many open
    loss: LossRules = LossRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service of the user's own, and how it is asked."""

    url: str
    protocol: TargetProtocol
    folder: str  # absolute folder of the scenario file, where the request is looked up
    request: str | None  # of `json`: a file with the body, or with one body a line; None: there is no body
    method: HttpMethod | None  # of `json`; None: POST with a body, GET without
    answers: dict[str, str]  # of `json`: JSON pointer by output; by "": of the only one; none: only the status counts
    model: str  # of the others: the model's name there
    # As written: they name variables of the environment, never their values.
    headers: tuple[tuple[str, str], ...]
    allow_remote: tuple[str, ...]  # hosts beside this machine that may be driven
    instance_type: str | None = None  # `provider/type` of its machine; None: nobody said
    may_check: bool | None = None  # whether it may be driven near its capacity; None: where it runs on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The whole question."""

    name: str
    model: ModelSource | None  # None: used for planning on given capacities only
    traffic: Traffic
    objectives: tuple[Slo, ...]
    serving: ServingChoices
    bench: BenchBudget
    load: LoadBudget
    plan: PlanRules
    target: Service | None = None  # None: the embedded server
    fleet: FleetRules = FleetRules()
    vantage: Vantage = AT_THE_SERVER  # where the objectives are measured
