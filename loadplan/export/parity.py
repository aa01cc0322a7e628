"""Is the variant still the same model? Its answers against the source framework's own, on real rows.

An fp32 variant is held to the source's digits. One that computes with fewer bits can't have them: it is held to the
source's best class where it classifies, else to the direction of the source's answers.

Several batch sizes, because a graph can be right for one row and wrong for many (a frozen axis, a sum over the wrong
one). Where the two best classes are closer than twice the error allowed, the label may go either way: the answer is
a tie within the tolerance that was asked for.

Rows of different lengths are compared alone, each at its own length, and then in company. Whether that may be mixed,
the shorter padded with zeros, is measured on the fp32 graph (`padding_holds`): with an attention mask padding changes
nothing, without one it does, and then rows of one length answer together, as they will be served.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import ObjectiveMissed
from loadplan.execution import takes_one_row
from loadplan.export.artifact import ParityCheck
from loadplan.export.company import USUAL_BATCH, alike_batches, answer, mixed_batches, own_answers
from loadplan.inference import Session
from loadplan.scenario.payloads import PayloadSet, take_rows
from loadplan.scenario.spec import ParityLimits

# Alone, the smallest batch, an odd one that divides nothing, a usual one; then all rows at once.
BATCH_SIZES = (1, 2, 7, 32)
_MAX_BATCHES = 512  # bounds the time on large sets; the digits have fewer
_MAX_POSITIONS = 1 << 15  # of rows with lengths in one inference: more would ask for gigabytes of attention

_Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The comparison at every batch size."""

    checks: tuple[ParityCheck, ...]
    batch_spread: float  # largest difference between the variant's own answers to a row, by the size of its batch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Miss:
    """The worst disagreement at one batch size. `size`: the error, or inf where the two can't be subtracted."""

    batch_size: int
    output: str
    row: int
    size: float
    detail: str


def check_parity(
    session: Session, payloads: PayloadSet, *, variant: str, limits: ParityLimits, pads: bool = False
) -> Parity:
    """Compare at every batch size; all checks are made before the worst is judged.

    Args:
        session: the variant.
        payloads: the rows, with the source's answers to each alone.
        variant: its name, for the message.
        limits: what it is held to.
        pads: whether rows of different lengths are to share a batch, the shorter padded with zeros.

    Raises:
        ObjectiveMissed: naming the worst element, its batch size, its input and the size of the error, or how unlike
            the answers are on the whole; or when the model fails on a batch.
        InputError: when answers to rows of different lengths differ in shape.
    """
    checks: list[ParityCheck] = []
    misses: list[_Miss] = []
    order = _order(payloads)
    rows = payloads if payloads.lengths is None else take_rows(payloads, order)
    usual = own_answers(session, rows, n_rows=min(rows.n_rows, USUAL_BATCH * _MAX_BATCHES))
    spread = 0.0
    sizes = [(1, min(rows.n_rows, _MAX_BATCHES))] if takes_one_row(session.inputs) else _sizes(rows)
    for batch_size, n_rows in sizes:
        answers = _answers(session, rows, batch_size=batch_size, n_rows=n_rows, pads=pads)
        expected = {name: values[:n_rows] for name, values in rows.expected.items()}
        _require_same_shape(answers, expected, variant)
        lengths = None if rows.lengths is None else rows.lengths[:n_rows]
        checks.append(_summary(answers, expected, batch_size, lengths))
        spread = max(spread, _spread(answers, usual))
        if limits.max_abs_error is not None:
            misses += _misses(answers, expected, batch_size=batch_size, allowed=limits.max_abs_error)
    if misses:
        worst = max(misses, key=lambda miss: miss.size)
        worst = replace(worst, row=int(order[worst.row]))
        raise _refusal(worst, payloads, variant=variant, allowed=limits.max_abs_error or 0.0)
    _require_likeness(checks, variant=variant, limits=limits)
    return Parity(checks=tuple(checks), batch_spread=spread)


def padding_holds(session: Session, payloads: PayloadSet, *, allowed: float) -> bool:
    """Whether rows of different lengths get the same answers padded to the longest of their batch as each alone.

    "The same" is within `allowed`, labels but for ties. False where no row is padded, for then nothing was proved.

    Raises:
        ObjectiveMissed, InputError: as `check_parity`.
    """
    if payloads.lengths is None or len(np.unique(payloads.lengths)) == 1:
        return False
    rows = take_rows(payloads, _order(payloads))
    n_rows = min(rows.n_rows, _MAX_BATCHES)
    alone = own_answers(session, rows, n_rows=n_rows)
    return not any(
        _misses(
            _answers(session, rows, batch_size=batch_size, n_rows=n_rows, pads=True),
            alone,
            batch_size=batch_size,
            allowed=allowed,
        )
        for batch_size in (2, min(USUAL_BATCH, _largest(rows)))
    )


def _order(payloads: PayloadSet) -> NDArray[np.intp]:
    """As they are; rows with lengths shuffled, for neighbours in a sorted set would hardly be padded."""
    if payloads.lengths is None:
        return np.arange(payloads.n_rows)
    return np.random.default_rng(0).permutation(payloads.n_rows)


def _largest(payloads: PayloadSet) -> int:
    """Rows in the largest batch compared: all, or of those with lengths as many as memory surely holds."""
    if payloads.lengths is None:
        return payloads.n_rows
    return min(payloads.n_rows, max(_MAX_POSITIONS // int(payloads.lengths.max()), 1))


def _sizes(payloads: PayloadSet) -> list[tuple[int, int]]:
    """Each batch size and how many rows are compared at it; of the largest one batch."""
    largest = _largest(payloads)
    sizes = [(size, min(payloads.n_rows, size * _MAX_BATCHES)) for size in BATCH_SIZES if size < largest]
    return [*sizes, (largest, largest)]


def _answers(session: Session, payloads: PayloadSet, *, batch_size: int, n_rows: int, pads: bool) -> _Arrays:
    make = mixed_batches if pads else alike_batches
    return answer(session, payloads, make(payloads, batch_size=batch_size, n_rows=n_rows))


def _summary(answers: _Arrays, expected: _Arrays, batch_size: int, lengths: NDArray[np.int64] | None) -> ParityCheck:
    names = _continuous(expected)
    errors = _joined([_errors(answers[name], expected[name]) for name in names])
    shares = _joined([_relative_errors(answers[name], expected[name]) for name in names])
    cosines = np.concatenate([np.zeros(0), *(_cosines(answers[name], expected[name]) for name in names)])
    return ParityCheck(
        batch_size=batch_size,
        n_rows=len(next(iter(expected.values()))),
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean()),
        max_rel_error=float(shares.max()),
        mean_rel_error=float(shares.mean()),
        min_cosine=float(cosines.min()) if len(cosines) else None,
        mean_cosine=float(cosines.mean()) if len(cosines) else None,
        top1_agreement_ratio=_agreement_ratio(answers, expected),
        n_not_finite=sum(int((~np.isfinite(answers[name])).sum()) for name in names),
        shortest=None if lengths is None else int(lengths.min()),
        longest=None if lengths is None else int(lengths.max()),
    )


def _agreement_ratio(answers: _Arrays, expected: _Arrays) -> float | None:
    """By the largest score and by the label that stands beside it, whichever agrees less."""
    scores = _scores(expected)
    if scores is None:
        return None
    labels = [name for name in expected if name not in _continuous(expected)]
    agreed = [answers[scores].argmax(axis=1) == expected[scores].argmax(axis=1)]
    agreed += [answers[name] == expected[name] for name in labels]
    return min(float(np.mean(each)) for each in agreed)


def _relative_errors(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> NDArray[np.float64]:
    size = np.abs(wanted.astype(np.float64))
    least = 1e-3 * float(size.max(initial=0.0)) or 1.0
    return np.asarray(_errors(got, wanted) / np.maximum(size, least))


def _cosines(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> NDArray[np.float64]:
    """One for each row that has a direction; one in all where a row is a single number, whose sign would say little."""
    left = np.nan_to_num(got.astype(np.float64).reshape(len(got), -1))
    right = wanted.astype(np.float64).reshape(len(wanted), -1)
    if right.shape[1] == 1:
        left, right = (left - right.mean()).T, (right - right.mean()).T
    sizes = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    has_direction = sizes[1] > 0.0
    products = np.maximum(sizes[0] * sizes[1], np.finfo(np.float64).tiny)
    return np.asarray(((left * right).sum(axis=1) / products)[has_direction])


def _spread(answers: _Arrays, usual: _Arrays) -> float:
    n_rows = min(len(next(iter(answers.values()))), len(next(iter(usual.values()))))
    errors = [_errors(answers[name][:n_rows], usual[name][:n_rows]) for name in _continuous(usual)]
    return float(_joined(errors).max())


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All values of all outputs; one 0 where no output is continuous."""
    return np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(1)


def _require_likeness(checks: list[ParityCheck], *, variant: str, limits: ParityLimits) -> None:
    for check in checks:
        if check.n_not_finite:
            raise _unlike(check, variant, f"answers {check.n_not_finite} times with NaN or Inf", "")
        agreed, cosine = check.top1_agreement_ratio, check.min_cosine
        if agreed is not None:
            least = limits.top1_agreement_ratio
            if least is not None and agreed < least:
                said = f"has its source's best class in {agreed:.2%} of the rows (at least {least:.2%} must be)"
                raise _unlike(check, variant, said, "top1_agreement_ratio")
        elif cosine is not None and limits.min_cosine is not None and cosine < limits.min_cosine:
            said = (
                f"has an answer whose cosine with its source's is {cosine:.4f} (at least {limits.min_cosine:g} must be)"
            )
            raise _unlike(check, variant, said, "min_cosine")


def _unlike(check: ParityCheck, variant: str, said: str, key: str) -> ObjectiveMissed:
    return ObjectiveMissed(
        what=f"variant {variant} {said}",
        where=f"{check.n_rows} evaluation rows at batch size {check.batch_size}",
        fix=f"leave out {variant}" + (f", or lower model.parity.{variant}.{key} if this is acceptable" if key else ""),
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
    """Absolute differences; anything that is not finite in either is infinitely wrong."""
    got64, wanted64 = got.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(got64) & np.isfinite(wanted64), np.abs(got64 - wanted64), np.inf)


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
