"""Is it still the same model? How far each ONNX variant is from its source, and how right it is, segment by segment.

The decision a reader would question: the worst segment is named, not the average, since an average hides the group of
users for whom a variant got worse.
"""

import math
from collections.abc import Callable

from loadplan.export.artifact import (
    LOWER_IS_BETTER,
    ExportedModel,
    ExportRun,
    ParityCheck,
    RefusedVariant,
    SegmentQuality,
)
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Section, Table, Text, number, text
from loadplan.report.sections.model_signature import signature_blocks
from loadplan.report.view import counted, digits, percent

_Z_95 = 1.959964  # two-sided 95 % of the normal distribution
_VERDICTS = {"held": "within the limit", "lost": "beyond the limit", "too_few": "can't tell", "not_judged": "no limit"}
_METRICS = {
    "accuracy": "share of right answers",
    "auc": "area under the ROC curve",
    "mae": "mean absolute error",
    "ndcg": "NDCG",
}


def same_model_section(known: Findings) -> Section | None:
    """Parity and quality of every variant, and why others were refused."""
    if known.export is None:
        return None
    blocks: list[Block] = [Text(text=f"Source: {known.export.source}.")]
    for model in known.export.models:
        blocks += [_summary(model), *_lengths(model), _parity(model)]
        if model.quality:
            blocks.append(_quality(model))
        blocks += _sensitivity(model)
    blocks += signature_blocks(known.export.models)
    blocks += [_refused(refusal) for refusal in known.export.refused]
    return Section(name="same-model", title="", blocks=tuple(blocks))


def _summary(model: ExportedModel) -> Text:
    error = f"{_likeness(model)} (measured)" if model.parity else "its answers were not compared"
    said = f"Variant {model.variant}: {error}"
    measured = [quality for quality in model.quality if quality.value is not None]
    segments = [quality for quality in measured if quality.segment] or measured
    if not segments:
        return Text(text=f"{said}; {_nothing_known(model)}, so nothing is known of its quality.", tone="doubt")
    worst = max(segments, key=lambda one: (one.dropped or 0.0, -_goodness(one)))
    is_worse = (worst.dropped or 0.0) > 0.0
    found = _accuracy_of(worst) if worst.metric == "accuracy" else _figure_of(worst)
    return Text(text=f"{said}; {_moved(worst)} {_named(worst)}: {found}.", tone="doubt" if is_worse else "plain")


def worst_segment_text(export: ExportRun, *, of: str | None) -> str | None:
    """The segment of users for whom a variant fares worst, in one line; None where its quality isn't known by segment.

    Args:
        export: every variant.
        of: the variant that is served.
    """
    model = next((one for one in export.models if one.variant == of), None)
    segments = [one for one in model.quality if one.segment and one.value is not None] if model else []
    if not segments:
        return None
    worst = max(segments, key=lambda one: (one.dropped or 0.0, -_goodness(one)))
    found = _accuracy_of(worst) if worst.metric == "accuracy" else _figure_of(worst)
    return f"{of}: {_moved(worst)} {_named(worst)}: {found}"


def _nothing_known(model: ExportedModel) -> str:
    if model.quality:
        return f"{model.quality[0].metric} isn't defined on its rows"
    return "the rows carry no labels that its answers could be compared with"


def _moved(worst: SegmentQuality) -> str:
    """What changed in the segment that fared worst, up to its name."""
    dropped = worst.dropped or 0.0
    if worst.metric == "accuracy":
        lost = f"it lost most, {percent(dropped)} of its rows, in"
        return lost if dropped > 0.0 else "no segment lost accuracy; the weakest is"
    if worst.metric in LOWER_IS_BETTER:
        return "its error grew most in" if dropped > 0.0 else "no segment's error grew; the largest is"
    noun = _METRICS[worst.metric]
    return f"its {noun} fell most in" if dropped > 0.0 else f"no segment's {noun} fell; the lowest is"


def _accuracy_of(quality: SegmentQuality) -> str:
    return (
        f"right in {_value(quality, quality.value)} ({_span(quality)}) of {quality.n_rows:,} rows, the source model in "
        f"{_value(quality, quality.source_value)}"
    )


def _figure_of(quality: SegmentQuality) -> str:
    return (
        f"{_value(quality, quality.value)} over {quality.n_rows:,} rows, the source model's "
        f"{_value(quality, quality.source_value)}"
    )


def _lengths(model: ExportedModel) -> list[Text]:
    """How long the rows were, and in what company they were compared; nothing where all rows are alike."""
    shortest = min((check.shortest for check in model.parity if check.shortest is not None), default=None)
    longest = max((check.longest for check in model.parity if check.longest is not None), default=None)
    if shortest is None or longest is None:
        return []
    company = "padded in batches of mixed lengths" if model.pads else "with rows of its own length, as it is served"
    return [
        Text(
            text=f"Variant {model.variant} was compared on rows of {shortest:,} to {longest:,} positions: each alone "
            f"at its own length, and {company} (measured)."
        )
    ]


def _likeness(model: ExportedModel) -> str:
    """The worst of what the variant was judged by."""
    worst = max(check.max_abs_error for check in model.parity)
    limits = model.limits
    if limits.max_abs_error is not None:
        share = "" if limits.max_rel_error is None else f" and {limits.max_rel_error:.1e} of the answer besides"
        return f"largest error {worst:.1e} where {limits.max_abs_error:.1e}{share} is allowed"
    agreed = _least(model, lambda check: check.top1_agreement_ratio)
    if agreed is not None and limits.top1_agreement_ratio is not None:
        return (
            f"the same best class in {percent(agreed)} of the rows where {percent(limits.top1_agreement_ratio)} is "
            f"asked for, largest error {worst:.1e}"
        )
    cosine = _least(model, lambda check: check.min_cosine)
    if cosine is not None and limits.min_cosine is not None:
        order = _order(model)
        return f"least cosine {cosine:.5f} where {limits.min_cosine:g} is asked for{order}, largest error {worst:.1e}"
    return f"largest error {worst:.1e}, without a limit"


def _order(model: ExportedModel) -> str:
    correlation, limit = _least(model, lambda check: check.rank_correlation), model.limits.min_rank_correlation
    if correlation is None or limit is None:
        return ""
    return f", rank correlation {correlation:.5f} where {limit:g} is"


def _sensitivity(model: ExportedModel) -> list[Text]:
    """How many of the weights the rows say something about; nothing where that was not looked at."""
    found = model.sensitivity
    if found is None or found.n_weights == 0:
        return []
    said = f"Of {counted(found.n_weights, 'weight tensor')} of {model.variant}, {found.n_examined:,} were looked at"
    if not found.unproved:
        held = "every one that was looked at changes an answer beyond the limit when it is scaled by 1.01"
        return [Text(text=f"{said}, on {found.n_rows:,} rows: {held} (measured).")] if found.n_examined else []
    named = ", ".join(found.unproved)
    return [
        Text(
            text=f"{said}: scaling {len(found.unproved):,} of them by 1.01 changes no answer to {found.n_rows:,} rows "
            f"beyond the limit, so nothing is known of {named} (measured).",
            tone="doubt",
        )
    ]


def _least(model: ExportedModel, figure: Callable[[ParityCheck], float | None]) -> float | None:
    return min((value for check in model.parity if (value := figure(check)) is not None), default=None)


def _refused(refusal: RefusedVariant) -> Text:
    return Text(text=f"Variant {refusal.variant} was refused and is no choice here: {refusal.reason}.", tone="doubt")


def _goodness(quality: SegmentQuality) -> float:
    value = quality.value or 0.0
    return -value if quality.metric in LOWER_IS_BETTER else value


def _parity(model: ExportedModel) -> Table:
    return Table(
        caption=f"{model.variant}: answers against the source (measured)",
        columns=(
            number("rows in a batch"),
            number("rows compared"),
            number("largest error"),
            number("mean error"),
            number("largest relative error"),
            number("mean relative error"),
            number("least cosine"),
            number("mean cosine"),
            number("rank correlation"),
            number("same top class"),
            number("not finite"),
        ),
        rows=tuple(
            (
                str(check.batch_size),
                f"{check.n_rows:,}",
                f"{check.max_abs_error:.1e}",
                f"{check.mean_abs_error:.1e}",
                f"{check.max_rel_error:.1e}",
                f"{check.mean_rel_error:.1e}",
                "none" if check.min_cosine is None else f"{check.min_cosine:.6f}",
                "none" if check.mean_cosine is None else f"{check.mean_cosine:.6f}",
                "none" if check.rank_correlation is None else f"{check.rank_correlation:.6f}",
                "no classes" if check.top1_agreement_ratio is None else percent(check.top1_agreement_ratio),
                f"{check.n_not_finite:,}",
            )
            for check in model.parity
        ),
    )


def _quality(model: ExportedModel) -> Table:
    return Table(
        caption=f"{model.variant}: {_METRICS[model.quality[0].metric]} by segment (measured)",
        columns=(
            text("segment"),
            number("rows"),
            number("variant"),
            number("95 % interval"),
            number("source"),
            number("lost at most (95 %)"),
            text("verdict"),
        ),
        rows=tuple(
            (
                _named(quality),
                f"{quality.n_rows:,}",
                _value(quality, quality.value),
                _span(quality),
                _value(quality, quality.source_value),
                _value(quality, None if quality.drop_bound is None else max(quality.drop_bound, 0.0)),
                _VERDICTS[quality.verdict],
            )
            for quality in model.quality
        ),
    )


def _value(quality: SegmentQuality, value: float | None) -> str:
    if value is None:
        return "not defined"
    if quality.metric in {"auc", "ndcg"}:
        return f"{value:.4f}"  # a limit on them is in thousandths
    return percent(value) if quality.metric == "accuracy" else digits(value)


def _named(quality: SegmentQuality) -> str:
    return quality.segment or "all rows"


def _span(quality: SegmentQuality) -> str:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927), which stays inside 0 to 1."""
    n, share, square = quality.n_rows, quality.value, _Z_95 * _Z_95
    if quality.metric != "accuracy":
        return "not a share"
    if n == 0 or share is None:
        return "no rows"
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z_95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return f"{percent(max(middle - half, 0.0))} to {percent(min(middle + half, 1.0))}"
