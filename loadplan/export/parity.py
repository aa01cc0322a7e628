"""Is the variant still the same model? Its answers against the source framework's own, on real rows.

Several batch sizes, because a graph can be right for one row and wrong for many (a frozen axis, a sum over the wrong
one). Where the two best classes are closer than twice the error allowed, the label may go either way: the answer is
a tie within the tolerance that was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import ObjectiveMissed
from loadplan.export.artifact import ParityCheck
from loadplan.inference import Session, run
from loadplan.scenario.payloads import PayloadSet

# Alone, the smallest batch, an odd one that divides nothing, a usual one; then all rows at once.
BATCH_SIZES = (1, 2, 7, 32)
_MAX_BATCHES = 512  # bounds the time on large sets; the digits have fewer

_Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Miss:
    """The worst disagreement at one batch size. `size`: the error, or inf where the two can't be subtracted."""

    batch_size: int
    output: str
    row: int
    size: float
    detail: str


def check_parity(
    session: Session, payloads: PayloadSet, *, variant: str, max_abs_error_allowed: float
) -> tuple[ParityCheck, ...]:
    """Compare at every batch size; all checks are made before the worst is judged.

    Raises:
        ObjectiveMissed: naming the worst element, its batch size, its input and the size of the error.
    """
    checks: list[ParityCheck] = []
    misses: list[_Miss] = []
    for batch_size in (*(size for size in BATCH_SIZES if size < payloads.n_rows), payloads.n_rows):
        n_rows = min(payloads.n_rows, batch_size * _MAX_BATCHES)
        answers = answer(session, payloads.inputs, batch_size=batch_size, n_rows=n_rows)
        expected = {name: values[:n_rows] for name, values in payloads.expected.items()}
        _require_same_shape(answers, expected, variant)
        checks.append(_summary(answers, expected, batch_size))
        misses += _misses(answers, expected, batch_size=batch_size, allowed=max_abs_error_allowed)
    if misses:
        worst = max(misses, key=lambda miss: miss.size)
        raise _refusal(worst, payloads, variant=variant, allowed=max_abs_error_allowed)
    return tuple(checks)


def answer(session: Session, inputs: _Arrays, *, batch_size: int, n_rows: int) -> dict[str, NDArray[np.generic]]:
    """The variant's answers to the first `n_rows` rows, `batch_size` at a time, joined."""
    parts = [
        run(session, {name: rows[start : min(start + batch_size, n_rows)] for name, rows in inputs.items()})
        for start in range(0, n_rows, batch_size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _summary(answers: _Arrays, expected: _Arrays, batch_size: int) -> ParityCheck:
    errors = np.concatenate([_errors(answers[name], expected[name]).ravel() for name in _continuous(expected)])
    scores = _scores(expected)
    return ParityCheck(
        batch_size=batch_size,
        n_rows=len(next(iter(expected.values()))),
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean()),
        top1_agreement_ratio=None
        if scores is None
        else float(np.mean(answers[scores].argmax(axis=1) == expected[scores].argmax(axis=1))),
        n_not_finite=sum(int((~np.isfinite(answers[name])).sum()) for name in _continuous(expected)),
    )


def _misses(answers: _Arrays, expected: _Arrays, *, batch_size: int, allowed: float) -> list[_Miss]:
    found = []
    for name in expected:
        if name in _continuous(expected):
            errors = _errors(answers[name], expected[name])
            row, *place = (int(index) for index in np.unravel_index(errors.argmax(), errors.shape))
            size = float(errors[(row, *place)])
            is_miss = size > allowed
        else:
            differs = (answers[name] != expected[name]) & ~_ties(expected, allowed)
            row, place, size, is_miss = int(differs.argmax()), [], np.inf, bool(differs.any())
        if is_miss:
            got, wanted = answers[name][(row, *place)], expected[name][(row, *place)]
            element = f"element {place[0]} is " if place else ""
            found.append(
                _Miss(batch_size=batch_size, output=name, row=row, size=size, detail=f"{element}{got}, not {wanted}")
            )
    return found


def _errors(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> NDArray[np.float64]:
    """Absolute differences; anything that is not finite in the variant is infinitely wrong."""
    got64 = got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(got64), np.abs(got64 - wanted.astype(np.float64)), np.inf)


def _ties(expected: _Arrays, allowed: float) -> NDArray[np.bool_]:
    scores = _scores(expected)
    if scores is None:
        return np.zeros(len(next(iter(expected.values()))), dtype=np.bool_)
    best_two = np.sort(expected[scores], axis=1)[:, -2:].astype(np.float64)
    return np.asarray(best_two[:, 1] - best_two[:, 0] <= 2.0 * allowed)


def _continuous(expected: _Arrays) -> list[str]:
    return [name for name, values in expected.items() if np.issubdtype(values.dtype, np.floating)]


def _scores(expected: _Arrays) -> str | None:
    """The output that holds one score for each class, where a label stands beside it."""
    if len(_continuous(expected)) == len(expected):
        return None
    return next((name for name in _continuous(expected) if expected[name].ndim == 2), None)


def _require_same_shape(answers: _Arrays, expected: _Arrays, variant: str) -> None:
    for name, wanted in expected.items():
        if answers[name].shape != wanted.shape:
            raise ObjectiveMissed(
                what=f"variant {variant} answers {name} with the shape {answers[name].shape}, not {wanted.shape}",
                where="the parity check against the source model",
                fix="serve a model whose answers have one row for each input row",
            )


def _shown(value: np.generic) -> str:
    return repr(str(value)) if isinstance(value, str) else f"{value:.3g}"


def _refusal(worst: _Miss, payloads: PayloadSet, *, variant: str, allowed: float) -> ObjectiveMissed:
    size = f"by {worst.size:.3g} (allowed: {allowed:g})" if np.isfinite(worst.size) else "beyond any tolerance"
    segment = payloads.segments[worst.row]
    starts = "; ".join(
        f"{name} starting {', '.join(map(_shown, rows[worst.row].ravel()[:4]))}"
        for name, rows in payloads.inputs.items()
    )
    return ObjectiveMissed(
        what=f"variant {variant} differs from its source {size}: in output {worst.output}, {worst.detail}",
        where=f"evaluation row {worst.row}{f' (segment {segment})' if segment else ''} at batch size "
        f"{worst.batch_size}, {starts}",
        fix=f"mend the conversion, or set model.parity.{variant}.max_abs_error if this difference is acceptable",
    )
