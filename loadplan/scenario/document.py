"""The shape of a scenario file, as its reader writes it: keys carry their unit (`p99_ms`), everything else defaults.

The one definition behind reading, error messages and the JSON Schema. Every model is strict: no text for numbers,
no true and false for counts, no unknown key. Contradictions between keys raise one error that carries all of them.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from loadplan.scenario.model_keys import bool_or_types, wrong_keys
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.scenario.rows_law import P95_OF_MEAN_AT_MOST, usual_most

# Keys and words of later versions: said to be missing, rather than mistaken for a misspelling. List positions are
# left out of the paths.
NOT_YET: dict[str, str] = {
    "traffic.classes": "not supported yet; all requests are of one class",
    "objectives.class": "not supported yet; an objective holds for all requests",
    "plan.today": "not supported yet; a plan is not compared with what runs now",
}
NOT_YET_WORDS: dict[str, frozenset[str]] = {
    "traffic.arrivals.process": frozenset({"markov", "trace"}),
    "plan.purchase": frozenset({"commit_1y", "commit_3y", "owned"}),
}

# Largest figures that still make sense; beyond them a unit was confused.
_MAX_MS = 3_600_000.0
_MAX_COUNT = 100_000

PositiveInt = Annotated[int, Field(ge=1, le=_MAX_COUNT)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # safe as the name of a folder
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
LimitMs = Annotated[float, Field(gt=0, le=_MAX_MS)]

# Name the branch of a key that takes two shapes in pydantic's errors; no file holds a control character.
NUMBER_TAG, LAW_TAG = "\0number", "\0law"

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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ParityLimit(_Section):
    """How far an ONNX variant may be from its source model."""

    max_abs_error: float | None = Field(
        default=None, gt=0, le=1e6, description="largest difference of any output value from the source model's"
    )
    top1_agreement_ratio: float | None = Field(
        default=None, ge=0, le=1, description="classifiers: least share of rows with the same best class"
    )
    min_cosine: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="other models: least cosine of an answer with the source's; of all answers, less their mean, where "
        "each is one number",
    )
    max_rel_error: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="beside max_abs_error: this share of the source's value is allowed as well",
    )
    min_rank_correlation: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="models that answer one number for each row: least rank correlation (Spearman) with the source's",
    )


class Fp32Limit(ParityLimit):
    """The same arithmetic as the source, so only rounding may differ: by 6e-8 of the value in each operation."""

    max_abs_error: float | None = Field(
        default=1e-5, gt=0, le=1e6, description="largest difference of any output value from the source model's"
    )
    # Beside 1e-5, regressors of scikit-learn on targets near 100 needed up to 4e-6: sums of 500 trees, support vectors.
    max_rel_error: float | None = Field(
        default=1e-5,
        gt=0,
        le=1,
        description="beside max_abs_error: this share of the source's value is allowed as well",
    )


class Fp16Limit(ParityLimit):
    """Ten bits of mantissa: three digits of each number are left."""

    min_rank_correlation: float | None = Field(
        default=0.999, ge=-1, le=1, description="models that answer one number for each row: least rank correlation"
    )

    top1_agreement_ratio: float | None = Field(
        default=0.99, ge=0, le=1, description="classifiers: least share of rows with the same best class"
    )
    min_cosine: float | None = Field(
        default=0.999, ge=-1, le=1, description="other models: least cosine of an answer with the source's"
    )


class Int8Limit(Fp16Limit):
    """Eight bits for each weight and each value between layers."""

    min_rank_correlation: float | None = Field(
        default=0.99, ge=-1, le=1, description="models that answer one number for each row: least rank correlation"
    )

    min_cosine: float | None = Field(
        default=0.99, ge=-1, le=1, description="other models: least cosine of an answer with the source's"
    )


class Parity(_Section):
    """The parity limit of each variant."""

    fp32: Fp32Limit = Field(default_factory=Fp32Limit)
    fp32_optimised: Fp32Limit = Field(default_factory=Fp32Limit)
    fp16: Fp16Limit = Field(default_factory=Fp16Limit)
    int8_dynamic: Int8Limit = Field(default_factory=Int8Limit)
    int8_static: Int8Limit = Field(default_factory=Int8Limit)


class QualitySection(_Section):
    """A variant is refused when it may have lost more, overall or in any segment of 300 rows or more."""

    metric: Literal["accuracy", "auc", "mae", "ndcg"] = Field(
        description="accuracy: share of right classes; auc: area under the ROC curve, of scores against two classes; "
        "mae: mean absolute error of a number; ndcg: order of a ranker within each list of the factory's groups"
    )
    max_drop: float = Field(
        default=0.005, ge=0, le=1e12, description="0.005 is half a point of accuracy; for mae in the target's unit"
    )


class Model(_Section):
    """What is served."""

    source: Literal["sklearn", "xgboost", "lightgbm", "torch", "transformers", "onnx"] = Field(
        description="framework that the model comes from; onnx is a ready file"
    )
    factory: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$",
        description="module:function of a Python file beside this one; naming it is trusting it",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        description="the model file, in place of a factory: .onnx, .skops, XGBoost's .json or .ubj, LightGBM's .txt",
    )
    payload: str | None = Field(
        default=None,
        min_length=1,
        description="the rows of a file: rows.npz with one array for each input of the model, or each column",
    )
    trust: Annotated[bool | list[str], BeforeValidator(bool_or_types)] = Field(
        default=False,
        description="what opening the file may do: true, run whatever code is in it, as a pickle does; or a list of "
        "further types that a .skops file may hold",
    )
    time_limit_s: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="for each step of the export: building the model, converting it, making or checking a variant",
    )
    variants: list[Literal["fp32", "fp32_optimised", "fp16", "int8_dynamic", "int8_static"]] = Field(
        default=["fp32"], min_length=1, description="ONNX variants to export"
    )
    parity: Parity = Field(default_factory=Parity, description="limits of each variant")
    quality: QualitySection | None = Field(
        default=None,
        description="what a variant may lose by the factory's labels and segments, such as {metric: accuracy}",
    )

    @model_validator(mode="after")
    def _source_has_its_keys(self) -> Self:
        wrong = wrong_keys(self.source, self.model_fields_set)
        if wrong:
            raise contradiction(*wrong)
        return self


class ArrivalsSection(_Section):
    """The law of the gaps between requests."""

    process: Literal["constant", "poisson", "gamma"] = "poisson"
    cv: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="coefficient of variation of the gaps; for gamma only, above 1 is bursty",
    )

    @model_validator(mode="after")
    def _cv_belongs_to_gamma(self) -> Self:
        if self.process == "gamma" and self.cv is None:
            raise contradiction((("process",), "gamma needs the key cv as well"))
        if self.process != "gamma" and self.cv is not None:
            raise contradiction((("cv", "process"), f"cv means nothing to {self.process}; use process: gamma"))
        return self


class RowsSection(_Section):
    """Rows that vary from request to request: a lognormal law; each draw is rounded up to whole rows."""

    mean: float = Field(ge=1, le=_MAX_COUNT, description="rows of a request on average")
    p95: float = Field(ge=1, le=_MAX_COUNT, description="rows that one request in twenty exceeds")
    most: PositiveInt | None = Field(
        default=None,
        alias="max",
        description="rows of a request at most; by default what one in a thousand would exceed",
    )

    @model_validator(mode="after")
    def _is_a_law(self) -> Self:
        wrong: list[_Contradiction] = []
        if self.p95 <= self.mean:
            text = f"p95 {self.p95:g} is not above mean {self.mean:g}; where all requests are alike, write their number"
            wrong.append((("p95", "mean"), text))
        elif self.p95 > P95_OF_MEAN_AT_MOST * self.mean:
            text = (
                f"no lognormal law has a p95 of {self.p95 / self.mean:.3g} times its mean; "
                f"{P95_OF_MEAN_AT_MOST:.2f} times is the most"
            )
            wrong.append((("p95", "mean"), text))
        if self.most is not None and self.most < self.p95:
            wrong.append((("max", "p95"), f"max {self.most} is below p95 {self.p95:g}, so p95 can't be reached"))
        if wrong:
            raise contradiction(*wrong)
        return self

    @property
    def largest(self) -> int:
        """Rows of the largest request."""
        return self.most if self.most is not None else min(usual_most(self.mean, self.p95), _MAX_COUNT)


def _kind_of_rows(value: object) -> str:
    return LAW_TAG if isinstance(value, dict | RowsSection) else NUMBER_TAG


class TrafficSection(_Section):
    """What the callers send."""

    peak_rps: float = Field(gt=0, le=1e8, description="requests per second in the busiest hour")
    rows_per_request: Annotated[
        Annotated[PositiveInt, Tag(NUMBER_TAG)] | Annotated[RowsSection, Tag(LAW_TAG)], Discriminator(_kind_of_rows)
    ] = Field(default=1, description="rows that each request carries: a number, or {mean: 120, p95: 300, max: 400}")
    arrivals: ArrivalsSection = Field(default_factory=ArrivalsSection)
    profile: str = Field(
        default="office_hours",
        min_length=1,
        description=f"a named week ({', '.join(WEEK_PROFILES)}) or a CSV with hour_of_week (0 is Monday 00:00 UTC), "
        "share_of_peak",
    )
    growth_per_month_ratio: float = Field(default=0.0, gt=-1, le=1, description="0.03 is 3 % more each month")

    @model_validator(mode="after")
    def _profile_is_a_week(self) -> Self:
        if self.profile not in WEEK_PROFILES and not self.profile.lower().endswith(".csv"):
            named = ", ".join(WEEK_PROFILES)
            raise contradiction(
                (("profile",), f"expected {named} or a path that ends in .csv, read {self.profile!r:.60}")
            )
        return self


class Objective(_Section):
    """One objective: every limit in it must hold at the peak hour, with the spares gone."""

    p50_ms: LimitMs | None = None
    p90_ms: LimitMs | None = None
    p95_ms: LimitMs | None = None
    p99_ms: LimitMs | None = None
    p99_9_ms: LimitMs | None = None
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


class ServingSection(_Section):
    """What the planner may choose from."""

    threads: list[PositiveInt] = Field(
        default=DEFAULT_THREADS, min_length=1, max_length=16, description="threads of one inference session"
    )
    max_batch_size: list[PositiveInt] = Field(
        default=DEFAULT_MAX_BATCH_SIZES, min_length=1, max_length=16, description="rows in one inference at most"
    )
    batch_window_ms: list[Annotated[float, Field(ge=0, le=_MAX_MS)]] = Field(
        default=DEFAULT_BATCH_WINDOWS_MS, min_length=1, max_length=16, description="longest wait to fill a batch"
    )


class BenchSection(_Section):
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
    exhaustive: bool = Field(
        default=False, description="give up no variant, provider, threads and sessions that can't win"
    )


class LoadSection(_Section):
    """The live calibration runs."""

    duration_s: float = Field(default=4.0, gt=0, le=86_400, description="of each run")
    seed: int = Field(default=7, ge=0, le=2**32 - 1, description="draws the arrivals")


class PlanSection(_Section):
    """What the fleet must respect."""

    providers: list[Name] = Field(default=DEFAULT_PROVIDERS, min_length=1, max_length=64)
    regions: list[Name] = Field(default=DEFAULT_REGIONS, min_length=1, max_length=256)
    purchase: list[Literal["on_demand", "spot"]] = Field(default=["on_demand"], min_length=1, max_length=5)
    spare_replicas: int = Field(
        default=1, ge=0, le=_MAX_COUNT, description="N+k: the objectives hold with this many gone"
    )
    min_replicas: PositiveInt = Field(default=1, description="replicas at least, spares included")
    headroom_ratio: float = Field(default=0.2, ge=0, lt=1, description="share of usable capacity kept free at the peak")
    hours_per_month: int = Field(default=730, ge=1, le=744)
    horizon_months: int = Field(default=12, ge=1, le=120)
    budget_usd_per_month: float | None = Field(default=None, gt=0, le=1e12)


class Document(_Section):
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
    serving: ServingSection = Field(default_factory=ServingSection)
    target: Literal["embedded"] = Field(default="embedded", description="what is measured live: loadplan's own server")
    bench: BenchSection = Field(default_factory=BenchSection)
    load: LoadSection = Field(default_factory=LoadSection)
    plan: PlanSection = Field(default_factory=PlanSection)

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        wrong = [*_bench_against_batches(self), *_windows_against_limits(self)]
        if wrong:
            raise contradiction(*wrong)
        return self

    @property
    def largest_request(self) -> int:
        """Rows of the largest request; one of more rows than max_batch_size runs alone."""
        rows = self.traffic.rows_per_request
        return rows if isinstance(rows, int) else rows.largest

    @property
    def largest_batch(self) -> int:
        """Rows of the largest inference that the server will run."""
        return max(*self.serving.max_batch_size, self.largest_request)


_Contradiction = tuple[tuple[str, ...], str]


def contradiction(*found: _Contradiction) -> PydanticCustomError:
    """One error for several contradictions: the keys that disagree, relative to the section, and what is wrong."""
    return PydanticCustomError("contradiction", "keys contradict each other", {"found": list(found)})


def _bench_against_batches(document: Document) -> list[_Contradiction]:
    # How long an inference takes that is larger than any that was timed, nobody knows.
    if document.bench.batch_sizes is None:
        return []
    timed = max(document.bench.batch_sizes)
    served = max(document.serving.max_batch_size)
    wrong: list[_Contradiction] = []
    if timed < served:
        text = f"max_batch_size {served} is above the largest batch that is benchmarked"
        wrong.append((("bench.batch_sizes", "serving.max_batch_size"), text))
    if timed < document.largest_request:
        text = f"a request of {document.largest_request} rows is above the largest batch that is benchmarked"
        wrong.append((("bench.batch_sizes", "traffic.rows_per_request"), text))
    return wrong


def _windows_against_limits(document: Document) -> list[_Contradiction]:
    # A lone request waits for the whole window, so a window as long as a limit misses it by design.
    shortest_ms = min(document.serving.batch_window_ms)
    for index, objective in enumerate(document.objectives):
        for key in QUANTILE_OF_KEY:
            limit_ms = getattr(objective, key)
            if limit_ms is not None and shortest_ms >= limit_ms:
                text = f"every batch window is at least {shortest_ms:g} ms, which leaves nothing of {key} {limit_ms:g}"
                return [(("serving.batch_window_ms", f"objectives.{index}.{key}"), text)]
    return []
