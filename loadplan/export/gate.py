"""The quality gate of an export: which metric fits the answers, and which variant it refuses.

The decision a reader would question: of a model that answers one number, only what the truth allows is measured. A
ranker with its lists is judged by order; against labels of 0 and 1 alone a number is a score, whose distance from the
label says nothing; else it is near or far.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError, ObjectiveMissed
from loadplan.export.artifact import SegmentQuality
from loadplan.export.company import own_answers
from loadplan.export.quality import Judged, segment_quality
from loadplan.export.source import Conversion, TrainedModel
from loadplan.inference import Session
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, QualityGate, QualityMetric

_BY_PREFERENCE: tuple[QualityMetric, ...] = ("accuracy", "ndcg", "auc", "mae")
_MAX_GRADE = 30  # LightGBM's limit as well; beyond, one row's gain of 2^grade drowns all others

_Answers = Mapping[str, NDArray[np.generic]]


def require_judgeable(source: ModelSource, trained: TrainedModel, conversion: Conversion, payloads: PayloadSet) -> None:
    """A quality gate needs the truth, segments, and answers that its metric is made for.

    Raises:
        InputError: when one of them is missing, or the metric isn't defined on these answers and labels.
    """
    if source.quality is None:
        return
    missing = [name for name in ("labels", "segments") if getattr(trained, name) is None]
    if missing:
        raise InputError(
            what=f"model.quality needs {' and '.join(missing)}, {_lacking(source)}",
            where=source.named,
            fix=f"give them: {_given_as(source, missing)}; or remove model.quality",
        )
    problem = _problem(source.quality.metric, conversion, payloads)
    if problem is not None:
        metric = _metric(conversion, payloads)
        raise InputError(
            what=f"model.quality.metric {source.quality.metric} doesn't fit what the model answers: {problem}",
            where=source.named,
            fix="remove model.quality" if metric is None else f"use the metric {metric}, or mend what is said",
        )


def _lacking(source: ModelSource) -> str:
    if source.factory is not None:
        return "which the factory returned none of"
    return "and made-up rows have none" if source.payload is None else f"which {source.payload} holds none of"


def _given_as(source: ModelSource, missing: Sequence[str]) -> str:
    named = ", ".join(f"{name}=…" for name in missing)
    return f"TrainedModel({named})" if source.factory else f"numpy.savez('rows.npz', …, {named}) as model.payload"


def quality_of(
    session: Session, source: ModelSource, conversion: Conversion, judged: PayloadSet
) -> tuple[SegmentQuality, ...]:
    """The variant's own quality by segment, in the gate's metric or in the one that fits; empty where none does."""
    metric = source.quality.metric if source.quality is not None else _metric(conversion, judged)
    if judged.labels is None or metric is None:
        return ()
    labels = judged.labels.reshape(judged.n_rows)
    return segment_quality(
        Judged(
            metric=metric,
            answers=_judged_answers(metric, conversion, own_answers(session, judged)),
            source_answers=_judged_answers(metric, conversion, judged.expected),
            labels=labels == np.unique(labels)[-1] if metric == "auc" else labels,
            segments=np.asarray(judged.segments, dtype=np.str_),
            groups=judged.groups,
        ),
        gate=source.quality,
        generator=np.random.default_rng(0),
    )


def lost_quality(variant: str, quality: Sequence[SegmentQuality], gate: QualityGate | None) -> ObjectiveMissed | None:
    """Why the gate refuses the variant; None where it doesn't."""
    lost = [part for part in quality if part.verdict == "lost" and part.drop_bound is not None]
    if not lost or gate is None:
        return None
    worst = max(lost, key=lambda part: part.drop_bound or 0.0)
    where = f"segment {worst.segment}" if worst.segment else "all rows"
    return ObjectiveMissed(
        what=f"variant {variant} may have lost {worst.drop_bound:.2g} of {worst.metric} in {where} (one-sided 95 % "
        f"bound on {worst.n_rows} rows; {gate.max_drop:g} may be lost): {worst.value:.4g}, its source "
        f"{worst.source_value:.4g}",
        where="the quality gate",
        fix=f"leave out {variant}, or raise model.quality.max_drop if this loss is acceptable",
    )


def _metric(conversion: Conversion, payloads: PayloadSet) -> QualityMetric | None:
    """The first that fits; None where there is no truth that the answers could be compared with."""
    if payloads.labels is None:
        return None
    return next((metric for metric in _BY_PREFERENCE if _problem(metric, conversion, payloads) is None), None)


def _problem(metric: QualityMetric, conversion: Conversion, payloads: PayloadSet) -> str | None:
    """Why this metric can't be measured on these answers and labels."""
    labels = payloads.labels
    if labels is None or labels.size != payloads.n_rows:
        return "there is not one label for each row"
    if metric == "accuracy":
        return None if conversion.label_output is not None else "accuracy needs a model that names a class"
    if metric == "auc":
        return _problem_of_auc(conversion, labels)
    if _number_output(conversion) is None:
        return f"{metric} needs a model that answers one number for each row"
    if labels.dtype.kind not in "biuf" or not np.isfinite(labels.astype(np.float64)).all():
        return f"{metric} needs labels that are finite numbers"
    return _problem_of_ndcg(payloads, labels) if metric == "ndcg" else None


def _problem_of_auc(conversion: Conversion, labels: NDArray[np.generic]) -> str | None:
    if _score_output(conversion) is None:
        return "auc needs scores of two classes, or one number for each row"
    classes = np.unique(labels)
    if len(classes) == 1:
        return f"all labels are {classes[0]}, and the area under the curve isn't defined for one class"
    if len(classes) > 2:
        return f"auc needs labels of two classes, and there are {len(classes)}"
    if conversion.label_output is None and not np.isin(classes, (0, 1)).all():
        return f"auc needs the labels 0 and 1, and they are {classes[0]} and {classes[1]}"
    return None


def _problem_of_ndcg(payloads: PayloadSet, labels: NDArray[np.generic]) -> str | None:
    if payloads.groups is None:
        return "ndcg needs groups, the list in which each row was ranked: TrainedModel(groups=…)"
    least, most = float(labels.min()), float(labels.max())
    if least < 0 or most > _MAX_GRADE:
        return f"ndcg needs grades from 0 to {_MAX_GRADE}, and they run from {least:g} to {most:g}"
    return None if most > 0 else "all grades are 0, so every order is as good"


def _number_output(conversion: Conversion) -> str | None:
    """The one output, where it is one number for each row."""
    if len(conversion.answers) != 1 or conversion.label_output is not None:
        return None
    return next((name for name, values in conversion.answers.items() if values.size == len(values)), None)


def _score_output(conversion: Conversion) -> str | None:
    """The output that orders the rows from the first class to the second."""
    for name, values in conversion.answers.items():
        if values.dtype.kind == "f" and values.shape[1:] == (2,):
            return name
    return _number_output(conversion)


def _judged_answers(metric: QualityMetric, conversion: Conversion, answers: _Answers) -> NDArray[np.generic]:
    """(n_rows,): what the metric looks at; of two scores, how far the second class is ahead."""
    if metric == "accuracy" and conversion.label_output is not None:
        values = answers[conversion.label_output]
    else:
        name = _score_output(conversion) if metric == "auc" else _number_output(conversion)
        assert name is not None  # noqa: S101 -- the metric fits
        values = answers[name]
    if values.shape[1:] == (2,):
        return np.asarray(values[:, 1].astype(np.float64) - values[:, 0].astype(np.float64))
    return values.reshape(len(values))
