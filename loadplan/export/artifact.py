"""What an export leaves behind: the ONNX files, described, with the proof that they answer like their source."""

from dataclasses import dataclass

from loadplan.execution import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """One comparison of the variant with its source framework at one batch size, over all its outputs."""

    batch_size: int  # rows in one inference
    n_rows: int  # rows compared in all
    max_abs_error: float
    mean_abs_error: float
    top1_agreement_ratio: float | None  # None where no output is a row of class scores
    n_not_finite: int  # NaN and Inf in the variant's answers


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentQuality:
    """How often the variant is right about one segment of the labelled rows."""

    segment: str  # "" is all rows
    n_rows: int
    accuracy_ratio: float
    source_accuracy_ratio: float  # the same, of the source model


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """One variant that passed its parity check."""

    variant: str
    path: str  # inside the run folder, such as `models/fp32.onnx`
    sha256: str
    n_bytes: int
    opset: int
    ir_version: int
    n_parameters: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_abs_error_allowed: float
    parity: tuple[ParityCheck, ...]
    quality: tuple[SegmentQuality, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRun:
    """All variants of one model and the versions of what made them."""

    source: str  # such as `sklearn digits_model:build (MLPClassifier)`
    versions: dict[str, str]  # package name -> version
    models: tuple[ExportedModel, ...]
