"""Is it still the same model? How far each ONNX variant is from its source, and how right it is, segment by segment.

The decision a reader would question: the worst segment is named, not the average, since an average hides the group of
users for whom a variant got worse.
"""

import math

from loadplan.export.artifact import ExportedModel, SegmentQuality
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Section, Table, Text, number, text
from loadplan.report.view import percent

_Z_95 = 1.959964  # two-sided 95 % of the normal distribution


def same_model_section(known: Findings) -> Section | None:
    """Parity and quality of every variant."""
    if known.export is None:
        return None
    blocks: list[Block] = [Text(text=f"Source: {known.export.source}.")]
    for model in known.export.models:
        blocks += [_summary(model), _parity(model)]
        if model.quality:
            blocks.append(_quality(model))
    return Section(name="same-model", title="Is it still the same model?", blocks=tuple(blocks))


def _summary(model: ExportedModel) -> Text:
    worst = max((check.max_abs_error for check in model.parity), default=None)
    error = (
        "its answers were not compared"
        if worst is None
        else f"largest error {worst:.1e} where {model.max_abs_error_allowed:.1e} is allowed (measured)"
    )
    segments = [quality for quality in model.quality if quality.segment] or list(model.quality)
    said = f"Variant {model.variant}: {error}"
    if not segments:
        return Text(text=f"{said}; the rows carry no labels, so nothing is known of its quality.", tone="doubt")
    lost = max(segments, key=lambda one: (one.source_accuracy_ratio - one.accuracy_ratio, -one.accuracy_ratio))
    change = lost.source_accuracy_ratio - lost.accuracy_ratio
    moved = "no segment lost accuracy" if change <= 0.0 else f"it lost most, {percent(change)} of its rows, in"
    where = f"the weakest is {_named(lost)}" if change <= 0.0 else _named(lost)
    joined = f"{moved}; {where}" if change <= 0.0 else f"{moved} {where}"
    return Text(
        text=f"{said}; {joined}: right in {percent(lost.accuracy_ratio)} ({_span(lost)}) of {lost.n_rows:,} rows, the "
        f"source model in {percent(lost.source_accuracy_ratio)}.",
        tone="plain" if change <= 0.0 else "doubt",
    )


def _parity(model: ExportedModel) -> Table:
    return Table(
        caption=f"{model.variant}: answers against the source (measured)",
        columns=(
            number("rows in a batch"),
            number("rows compared"),
            number("largest error"),
            number("mean error"),
            number("same top class"),
            number("not finite"),
        ),
        rows=tuple(
            (
                str(check.batch_size),
                f"{check.n_rows:,}",
                f"{check.max_abs_error:.1e}",
                f"{check.mean_abs_error:.1e}",
                "no classes" if check.top1_agreement_ratio is None else percent(check.top1_agreement_ratio),
                f"{check.n_not_finite:,}",
            )
            for check in model.parity
        ),
    )


def _quality(model: ExportedModel) -> Table:
    return Table(
        caption=f"{model.variant}: share of right answers by segment (measured)",
        columns=(text("segment"), number("rows"), number("right"), number("95 % interval"), number("source right")),
        rows=tuple(
            (
                _named(quality),
                f"{quality.n_rows:,}",
                percent(quality.accuracy_ratio),
                _span(quality),
                percent(quality.source_accuracy_ratio),
            )
            for quality in model.quality
        ),
    )


def _named(quality: SegmentQuality) -> str:
    return quality.segment or "all rows"


def _span(quality: SegmentQuality) -> str:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927), which stays inside 0 to 1."""
    n, share, square = quality.n_rows, quality.accuracy_ratio, _Z_95 * _Z_95
    if n == 0:
        return "no rows"
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z_95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return f"{percent(max(middle - half, 0.0))} to {percent(min(middle + half, 1.0))}"
