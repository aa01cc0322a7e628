"""The section `model` of a scenario file: what is served, and how far its variants may be from it."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from loadplan.scenario.model_keys import bool_or_types, wrong_keys
from loadplan.scenario.section import Section, contradiction


class ParityLimit(Section):
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


class Parity(Section):
    """The parity limit of each variant."""

    fp32: Fp32Limit = Field(default_factory=Fp32Limit)
    fp32_optimised: Fp32Limit = Field(default_factory=Fp32Limit)
    fp16: Fp16Limit = Field(default_factory=Fp16Limit)
    int8_dynamic: Int8Limit = Field(default_factory=Int8Limit)
    int8_static: Int8Limit = Field(default_factory=Int8Limit)


class QualitySection(Section):
    """A variant is refused when it may have lost more, overall or in any segment of 300 rows or more."""

    metric: Literal["accuracy", "auc", "mae", "ndcg"] = Field(
        description="accuracy: share of right classes; auc: area under the ROC curve, of scores against two classes; "
        "mae: mean absolute error of a number; ndcg: order of a ranker within each list of the factory's groups"
    )
    max_drop: float = Field(
        default=0.005, ge=0, le=1e12, description="0.005 is half a point of accuracy; for mae in the target's unit"
    )


class Model(Section):
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
