"""The shape of a scenario file, as its reader writes it: keys carry their unit (`p99_ms`), everything else defaults.

The one definition behind reading, error messages and the JSON Schema. Every model is strict: no text for numbers,
no true and false for counts, no unknown key. Contradictions between keys raise one error that carries all of them.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from loadplan.scenario.fleet_section import FleetSection
from loadplan.scenario.model_section import Model
from loadplan.scenario.precompute_section import PrecomputeSection
from loadplan.scenario.purchase_section import DiscountsSection, OwnedSection, SpotSection, ways_to_pay_mistakes
from loadplan.scenario.scaling_section import ScalingSection, StartUpSection
from loadplan.scenario.section import (
    MAX_COUNT,
    MAX_MS,
    Contradiction,
    LimitMs,
    Name,
    OfferName,
    PositiveInt,
    Section,
    contradiction,
)
from loadplan.scenario.target_section import ServiceSection, TargetKey
from loadplan.scenario.traffic_section import TrafficSection
from loadplan.scenario.vantage_section import VantageSection

# Defaults of lists, which pydantic copies for every scenario.
DEFAULT_THREADS = [1, 2]
DEFAULT_MAX_BATCH_SIZES = [1, 8, 32]
DEFAULT_BATCH_WINDOWS_MS = [0.0, 2.0]
DEFAULT_EXECUTION_PROVIDERS = ["CPU"]
DEFAULT_PROVIDERS = ["aws", "gcp", "azure"]
DEFAULT_REGIONS = ["us-east-1", "us-central1", "eastus"]


def _refuse_true(value: object) -> object:
    """Python takes True for 1, and so does pydantic's Literal."""
    return "true" if value is True else value


class Objective(Section):
    """One objective: every limit in it must hold at the peak hour, with the spares gone."""

    class_name: Name | None = Field(
        default=None, alias="class", description="the class in traffic.classes that it is about; by default all of them"
    )
    p50_ms: LimitMs | None = Field(default=None, description="response time that half of the requests keep")
    p90_ms: LimitMs | None = Field(default=None, description="response time that 90 % of the requests keep")
    p95_ms: LimitMs | None = Field(default=None, description="response time that 95 % of the requests keep")
    p99_ms: LimitMs | None = Field(default=None, description="response time that 99 % of the requests keep")
    p99_9_ms: LimitMs | None = Field(default=None, description="response time that 99.9 % of the requests keep")
    max_failed_ratio: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description="share of requests that may fail or time out; above 0, for no run proves that none ever will",
    )

    @model_validator(mode="after")
    def _limits_ascend(self) -> Self:
        given = [(key, getattr(self, key)) for key in QUANTILE_OF_KEY if getattr(self, key) is not None]
        if not given:
            raise contradiction(((), f"no latency limit; give at least one of {', '.join(QUANTILE_OF_KEY)}"))
        wrong = [
            ((low, high), f"{low} {low_ms:g} is above {high} {high_ms:g}, and a lower percentile never is")
            for (low, low_ms), (high, high_ms) in pairwise(given)
            if low_ms > high_ms
        ]
        if wrong:
            raise contradiction(*wrong)
        return self


# Quantile of each latency key, in ascending order.
QUANTILE_OF_KEY = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99, "p99_9_ms": 0.999}


class ServingSection(Section):
    """What the planner may choose from."""

    threads: list[PositiveInt] = Field(
        default=DEFAULT_THREADS, min_length=1, max_length=16, description="threads of one inference session"
    )
    max_batch_size: list[PositiveInt] = Field(
        default=DEFAULT_MAX_BATCH_SIZES, min_length=1, max_length=16, description="rows in one inference at most"
    )
    batch_window_ms: list[Annotated[float, Field(ge=0, le=MAX_MS)]] = Field(
        default=DEFAULT_BATCH_WINDOWS_MS, min_length=1, max_length=16, description="longest wait to fill a batch"
    )
    extrapolate_batches: float = Field(
        default=1.0,
        ge=1,
        le=64,
        description="up to so many times the largest batch that is benchmarked, larger ones may be guessed by "
        "prolonging the last step; by default none",
    )


class BenchSection(Section):
    """How much of the micro-benchmark is wanted."""

    batch_sizes: list[PositiveInt] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="rows; by default each to 8, every second to 16, every fourth to 32, then 48, 64, 96, 128 and so "
        "on, up to the largest max_batch_size or request",
    )
    budget_s: float = Field(default=15.0, gt=0, le=86_400, description="time for all of it")
    providers: list[Name] = Field(
        default=DEFAULT_EXECUTION_PROVIDERS,
        min_length=1,
        max_length=16,
        description="execution providers of ONNX Runtime, such as CUDA or OpenVINO; one that can't run here is an "
        "error, and of several GPUs each is measured",
    )
    concurrent_sessions: bool = Field(
        default=False,
        description="time as many sessions side by side as the cores hold, too; the embedded server has one",
    )
    sequence_lengths: list[PositiveInt] = Field(
        default=[],
        max_length=16,
        description="of rows that differ in length: lengths to time the smallest and the largest batch at, beside the "
        "mix of all of them",
    )
    exhaustive: bool = Field(
        default=False, description="give up no variant, provider, threads and sessions that can't win"
    )


class LoadSection(Section):
    """The live calibration runs."""

    duration_s: float = Field(default=4.0, gt=0, le=86_400, description="of each run")
    seed: int = Field(default=7, ge=0, le=2**32 - 1, description="draws the arrivals")


class PlanSection(Section):
    """What the fleet must respect."""

    providers: list[Name] = Field(
        default=DEFAULT_PROVIDERS, min_length=1, max_length=64, description="whose machines may be bought"
    )
    regions: list[Name] = Field(
        default=DEFAULT_REGIONS, min_length=1, max_length=256, description="where they may stand"
    )
    purchase: list[Literal["on_demand", "spot", "commit_1y", "commit_3y", "owned"]] = Field(
        default=["on_demand"],
        min_length=1,
        max_length=5,
        description="spot is only bought above a floor of replicas that stay",
    )
    owned: list[OwnedSection] = Field(default=[], max_length=64, description="machines of one's own")
    commitment_discounts: DiscountsSection = Field(default_factory=DiscountsSection)
    spot: SpotSection = Field(default_factory=SpotSection)
    spare_replicas: int = Field(
        default=1, ge=0, le=MAX_COUNT, description="N+k: the objectives hold with this many gone"
    )
    zones: int | None = Field(
        default=None,
        ge=2,
        le=64,
        description="that the replicas are dealt out to evenly: the objectives hold with any one of them gone; by "
        "default the loss of a zone is not reckoned with",
    )
    min_replicas: PositiveInt = Field(default=1, description="replicas at least, spares included")
    headroom_ratio: float = Field(default=0.2, ge=0, lt=1, description="share of usable capacity kept free at the peak")
    hours_per_month: int = Field(default=730, ge=1, le=744, description="that a month is billed for")
    horizon_months: int = Field(default=12, ge=1, le=120, description="months that the bill covers")
    budget_usd_per_month: float | None = Field(
        default=None, gt=0, le=1e12, description="what the fleet may cost at most"
    )
    prices: str | None = Field(
        default=None, min_length=1, description="CSV of the project's own prices, over the catalogue's"
    )
    start_up: StartUpSection = Field(default_factory=StartUpSection, description="how soon a new replica serves")
    scaling: ScalingSection = Field(default_factory=ScalingSection, description="replicas that follow the week")
    instance_types: Literal["one", "several"] = Field(
        default="one", description="of which a fleet may be made; several where that is cheaper"
    )
    today: dict[OfferName, PositiveInt] = Field(
        default={}, max_length=64, description="what runs now, {provider/region/type/purchase: replicas}"
    )
    proposal: dict[OfferName, PositiveInt] = Field(
        default={},
        max_length=64,
        description="what somebody would buy instead, written as today: what of it stands idle",
    )
    precompute: PrecomputeSection | None = Field(
        default=None, description="answers worked out beforehand, beside the fleet; by default not looked at"
    )

    @model_validator(mode="after")
    def _can_be_paid(self) -> Self:
        wrong = ways_to_pay_mistakes(list(self.purchase), self.owned)
        if self.zones is not None and self.instance_types == "several":
            text = "the loss of a zone is reckoned with for fleets of one type; ask for one of the two"
            wrong.append((("zones", "instance_types"), text))
        if wrong:
            raise contradiction(*wrong)
        return self


class Document(Section):
    """The whole question on one page: what is served, the traffic, the objectives, and what may be bought."""

    schema_version: Annotated[Literal[1], BeforeValidator(_refuse_true)] = Field(
        default=1, alias="schema", description="version of this file's shape"
    )
    name: Name | None = Field(default=None, description="names the folder of results; by default the file's name")
    model: Model | None = Field(default=None, description="left out only to plan on given capacities")
    traffic: TrafficSection = Field(description="what the callers send, at least {peak_rps: 300}")
    objectives: list[Objective] = Field(
        min_length=1, max_length=64, description="limits that must all hold, such as [{p99_ms: 50}]"
    )
    slo_measured: VantageSection = Field(
        default_factory=VantageSection, description="where the objectives are measured: by default at the server"
    )
    serving: ServingSection = Field(default_factory=ServingSection)
    target: TargetKey = Field(
        default="embedded", description="what is driven live: loadplan's own server, or {url: …} of a service"
    )
    bench: BenchSection = Field(default_factory=BenchSection)
    load: LoadSection = Field(default_factory=LoadSection)
    plan: PlanSection = Field(default_factory=PlanSection)
    fleet: FleetSection = Field(default_factory=FleetSection)

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        wrong = [
            *_bench_against_batches(self),
            *_windows_against_limits(self),
            *_target_without_rows(self),
            *_fetch_of_a_service(self),
            *_unknown_classes(self),
            *_payloads_of_nobody(self),
        ]
        if wrong:
            raise contradiction(*wrong)
        return self

    @property
    def largest_request(self) -> int:
        """Rows of the largest request; one of more rows than max_batch_size runs alone."""
        return self.traffic.largest_request

    @property
    def largest_batch(self) -> int:
        """Rows of the largest inference that the server will run."""
        return max(*self.serving.max_batch_size, self.largest_request)


def _bench_against_batches(document: Document) -> list[Contradiction]:
    # How long an inference takes that is larger than any that was timed, nobody knows.
    if document.bench.batch_sizes is None:
        return []
    timed = max(document.bench.batch_sizes) * document.serving.extrapolate_batches
    served = max(document.serving.max_batch_size)
    wrong: list[Contradiction] = []
    if timed < served:
        text = f"max_batch_size {served} is above the largest batch that is benchmarked"
        wrong.append((("bench.batch_sizes", "serving.max_batch_size"), text))
    if timed < document.largest_request:
        text = f"a request of {document.largest_request} rows is above the largest batch that is benchmarked"
        wrong.append((("bench.batch_sizes", "traffic.rows_per_request"), text))
    return wrong


def _windows_against_limits(document: Document) -> list[Contradiction]:
    # A lone request waits for the whole window, so a window as long as a limit misses it by design.
    shortest_ms = min(document.serving.batch_window_ms)
    for index, objective in enumerate(document.objectives):
        for key in QUANTILE_OF_KEY:
            limit_ms = getattr(objective, key)
            if limit_ms is not None and shortest_ms >= limit_ms:
                text = f"every batch window is at least {shortest_ms:g} ms, which leaves nothing of {key} {limit_ms:g}"
                return [(("serving.batch_window_ms", f"objectives.{index}.{key}"), text)]
    return []


def _target_without_rows(document: Document) -> list[Contradiction]:
    target = document.target
    if document.model is not None or not isinstance(target, ServiceSection) or target.protocol == "json":
        return []
    text = f"{target.protocol} sends the rows of a model, and the scenario has none; add `model`"
    return [(("target.protocol",), text)]


def _fetch_of_a_service(document: Document) -> list[Contradiction]:
    is_service = document.model is None and isinstance(document.target, ServiceSection)
    if not is_service or document.slo_measured.fetch is None:
        return []
    text = "what a running service fetches is in the times that it answers in, and would count twice; leave it out"
    return [(("slo_measured.fetch",), text)]


def _unknown_classes(document: Document) -> list[Contradiction]:
    known = [one.name for one in document.traffic.classes]
    said = f"; traffic.classes has {', '.join(known)}" if known else "; traffic.classes names none"
    return [
        ((f"objectives.{i}.class",), f"there is no class {objective.class_name}{said}")
        for i, objective in enumerate(document.objectives)
        if objective.class_name is not None and objective.class_name not in known
    ]


def _payloads_of_nobody(document: Document) -> list[Contradiction]:
    """Bodies that no target is sent, and segments of rows that no model has."""
    target = document.target
    takes_bodies = isinstance(target, ServiceSection) and target.protocol == "json"
    wrong: list[Contradiction] = []
    for i, one in enumerate(document.traffic.classes):
        if one.has_bodies and not takes_bodies:
            text = "only a target of the protocol json is sent bodies from a file; name a segment of the model's rows"
            wrong.append(((f"traffic.classes.{i}.payload",), text))
        elif one.payload is not None and not one.has_bodies and document.model is None:
            text = "a segment of a model's rows, and the scenario has no model; write a .json or .jsonl with bodies"
            wrong.append(((f"traffic.classes.{i}.payload",), text))
    return wrong
