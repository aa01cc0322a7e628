"""What an export leaves behind: the ONNX files, described, with the proof that they answer like their source."""

from dataclasses import dataclass
from typing import Literal

from loadplan.caveat import Caveat
from loadplan.execution import OPTIMISED_OFFLINE, TensorSpec
from loadplan.scenario.spec import ParityLimits, QualityMetric

# Within the limit, beyond it, too few rows to tell, or no limit was set.
QualityVerdict = Literal["held", "lost", "too_few", "not_judged"]
LOWER_IS_BETTER = frozenset({"mae"})
RefusalCause = Literal["unsuitable", "making", "parity", "quality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """One comparison of the variant with its source framework at one batch size, over all its outputs."""

    batch_size: int  # rows in one inference
    n_rows: int  # rows compared in all
    max_abs_error: float
    mean_abs_error: float
    # Errors as shares of the source's value, or of a thousandth of its largest where that is more: near 0 a share of
    # the value itself says nothing.
    max_rel_error: float
    mean_rel_error: float
    # Likeness of two answers as directions, row by row; of all answers at once, less the source's mean, where each is
    # one number. None where the source's answers have no direction (all the same, or 0).
    min_cosine: float | None
    mean_cosine: float | None
    # Spearman's, over all rows; the lowest of all outputs that are one number for each row, None where none is.
    rank_correlation: float | None
    top1_agreement_ratio: float | None  # None where no output is a row of class scores
    n_not_finite: int  # NaN and Inf in the variant's answers
    # Positions of the shortest and the longest row that was compared; None where all rows are alike.
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentQuality:
    """How right the variant is about one segment of the labelled rows."""

    segment: str  # "" is all rows
    n_rows: int
    metric: QualityMetric
    # A share of right answers, an area, a gain, or an error in the target's unit. None where the metric isn't defined
    # on these rows: auc of one class, ndcg of lists without a relevant row.
    value: float | None
    source_value: float | None  # the same, of the source model
    # Upper end of the one-sided 95 % interval of what was lost; below 0 where it surely got better.
    drop_bound: float | None
    verdict: QualityVerdict

    @property
    def dropped(self) -> float | None:
        """What these rows lost, in the metric's unit; below 0 where they gained."""
        if self.value is None or self.source_value is None:
            return None
        gain = self.value - self.source_value
        return gain if self.metric in LOWER_IS_BETTER else -gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Which weights parity would notice: each was scaled by 1.01, and the answers compared within the limit."""

    n_rows: int  # on which every unproved one was looked at
    n_weights: int  # tensors of learnt numbers that aren't all 0
    n_examined: int  # fewer where the time was up
    unproved: tuple[str, ...]  # whose scaling changed no answer beyond the limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """What one inference asks of a machine, by the graph; `export.cost` says how it is counted."""

    batch_size: int  # rows in the inference
    n_positions: int | None  # length of each row, the median of all; None where rows have no lengths
    flops_per_row: float  # operations, of floats or integers; a multiplication and an addition count one each
    weight_bytes: int  # read once for the whole batch
    activation_bytes_per_row: float  # read and written between operators, rows of looked-up tables included
    unknown_operators: tuple[str, ...]  # whose operations aren't known and aren't in flops_per_row

    @property
    def flops_per_byte(self) -> float:
        """Arithmetic intensity: operations for each byte of memory traffic."""
        n_bytes = self.weight_bytes + self.batch_size * self.activation_bytes_per_row
        return self.batch_size * self.flops_per_row / n_bytes if n_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningTime:
    """How long a session takes to open on the file, one thread, the file in the page cache."""

    n_samples: int
    median_s: float
    low_s: float  # the fastest and the slowest of the samples
    high_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """One variant that passed its parity check and the quality gate."""

    variant: str
    path: str  # inside the run folder, such as `models/fp32.onnx`
    sha256: str
    n_bytes: int
    opset: int
    ir_version: int
    n_parameters: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    limits: ParityLimits
    parity: tuple[ParityCheck, ...]
    batch_spread: float  # largest difference between its own answers to a row in batches of different sizes
    quality: tuple[SegmentQuality, ...]
    # Whether rows of different lengths may share a batch, the shorter padded with zeros: measured on the fp32 graph.
    pads: bool = False
    sensitivity: Sensitivity | None = None  # of fp32 alone: other variants are made from it
    costs: tuple[ModelCost, ...] = ()  # by batch size; empty where they could not be read
    costs_unknown: str | None = None  # why not
    opening: OpeningTime | None = None  # None until all variants are there to be timed in turn

    @property
    def is_lossy(self) -> bool:
        """Whether it computes with fewer bits than its source, so that the source's digits aren't its own."""
        return self.variant not in {"fp32", OPTIMISED_OFFLINE}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedVariant:
    """A variant that was asked for and can be neither benchmarked nor planned on."""

    variant: str
    cause: RefusalCause
    reason: str  # one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRun:
    """All variants of one model and the versions of what made them."""

    source: str  # such as `sklearn digits_model:build (MLPClassifier)`
    versions: dict[str, str]  # package name -> version
    models: tuple[ExportedModel, ...]
    refused: tuple[RefusedVariant, ...]
    caveats: tuple[Caveat, ...]
