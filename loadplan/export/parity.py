"""Is the variant still the same model? Its answers against the source framework's own, on real rows.

An fp32 variant is held to the source's digits. One that computes with fewer bits can't have them: it is held to the
source's best class where it classifies, else to the direction of the source's answers and to their order.

Several batch sizes, because a graph can be right for one row and wrong for many (a frozen axis, a sum over the wrong
one). Where the two best classes are closer than twice the error allowed, the label may go either way: the answer is
a tie within the tolerance that was asked for.

Rows of different lengths are compared alone, each at its own length, and then in company. Whether that may be mixed,
the shorter padded with zeros, is measured on the fp32 graph (`padding_holds`): with an attention mask padding changes
nothing, without one it does, and then rows of one length answer together, as they will be served.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import ObjectiveMissed
from loadplan.execution import takes_one_row
from loadplan.export.artifact import ParityCheck
from loadplan.export.company import USUAL_BATCH, alike_batches, answer, mixed_batches, own_answers
from loadplan.export.likeness import Arrays, Floats, absolute_errors, float_outputs, joined, likeness, scores_output
from loadplan.inference import Session
from loadplan.scenario.payloads import PayloadSet, take_rows
from loadplan.scenario.spec import ParityLimits

# Alone, the smallest batch, an odd one that divides nothing, a usual one; then all rows at once.
BATCH_SIZES = (1, 2, 7, 32)
_MAX_BATCHES = 512  # bounds the time on large sets; the digits have fewer
_MAX_POSITIONS = 1 << 15  # of rows with lengths in one inference: more would ask for gigabytes of attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far an answer may be from the source's: absolute + relative · |source's|, as numpy.isclose has it."""

    absolute: float
    relative: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The comparison at every batch size."""

    checks: tuple[ParityCheck, ...]
    batch_spread: float  # largest difference between the variant's own answers to a row, by the size of its batch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Miss:
    """The worst disagreement at one batch size."""

    batch_size: int
    output: str
    row: int
    error: float  # inf where the two can't be subtracted
    allowed: float
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
    tolerance = tolerance_of(limits)
    sizes = [(1, min(rows.n_rows, _MAX_BATCHES))] if takes_one_row(session.inputs) else _sizes(rows)
    for batch_size, n_rows in sizes:
        answers = _answers(session, rows, batch_size=batch_size, n_rows=n_rows, pads=pads)
        expected = {name: values[:n_rows] for name, values in rows.expected.items()}
        _require_same_shape(answers, expected, variant)
        lengths = None if rows.lengths is None else rows.lengths[:n_rows]
        checks.append(likeness(answers, expected, batch_size, lengths))
        spread = max(spread, _spread(answers, usual))
        if tolerance is not None:
            misses += _misses(answers, expected, batch_size=batch_size, tolerance=tolerance)
    if misses:
        worst = max(misses, key=lambda miss: miss.error - miss.allowed)
        worst = replace(worst, row=int(order[worst.row]))
        raise _refusal(worst, payloads, variant=variant)
    _require_likeness(checks, variant=variant, limits=limits)
    return Parity(checks=tuple(checks), batch_spread=spread)


def tolerance_of(limits: ParityLimits) -> Tolerance | None:
    """What the limits say of single answers; None where they say nothing."""
    if limits.max_abs_error is None and limits.max_rel_error is None:
        return None
    return Tolerance(absolute=limits.max_abs_error or 0.0, relative=limits.max_rel_error or 0.0)


def is_within(answers: Arrays, expected: Arrays, tolerance: Tolerance) -> bool:
    """Whether every answer is near enough, labels the same but for ties."""
    return not _misses(answers, expected, batch_size=0, tolerance=tolerance)


def padding_holds(session: Session, payloads: PayloadSet, *, tolerance: Tolerance) -> bool:
    """Whether rows of different lengths get the same answers padded to the longest of their batch as each alone.

    "The same" is within the tolerance, labels but for ties. False where no row is padded, for then nothing was proved.

    Raises:
        ObjectiveMissed, InputError: as `check_parity`.
    """
    if payloads.lengths is None or len(np.unique(payloads.lengths)) == 1:
        return False
    rows = take_rows(payloads, _order(payloads))
    n_rows = min(rows.n_rows, _MAX_BATCHES)
    alone = own_answers(session, rows, n_rows=n_rows)
    return all(
        is_within(_answers(session, rows, batch_size=batch_size, n_rows=n_rows, pads=True), alone, tolerance)
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


def _answers(session: Session, payloads: PayloadSet, *, batch_size: int, n_rows: int, pads: bool) -> Arrays:
    make = mixed_batches if pads else alike_batches
    return answer(session, payloads, make(payloads, batch_size=batch_size, n_rows=n_rows))


def _spread(answers: Arrays, usual: Arrays) -> float:
    n_rows = min(len(next(iter(answers.values()))), len(next(iter(usual.values()))))
    errors = [absolute_errors(answers[name][:n_rows], usual[name][:n_rows]) for name in float_outputs(usual)]
    return float(joined(errors).max())


def _require_likeness(checks: list[ParityCheck], *, variant: str, limits: ParityLimits) -> None:
    for check in checks:
        if check.n_not_finite:
            raise _unlike(check, variant, f"answers {check.n_not_finite} times with NaN or Inf", "")
        agreed, cosine, correlation = check.top1_agreement_ratio, check.min_cosine, check.rank_correlation
        if agreed is not None:
            least = limits.top1_agreement_ratio
            if least is not None and agreed < least:
                said = f"has its source's best class in {agreed:.2%} of the rows (at least {least:.2%} must be)"
                raise _unlike(check, variant, said, "top1_agreement_ratio")
            continue
        if cosine is not None and limits.min_cosine is not None and cosine < limits.min_cosine:
            said = (
                f"has an answer whose cosine with its source's is {cosine:.4f} (at least {limits.min_cosine:g} must be)"
            )
            raise _unlike(check, variant, said, "min_cosine")
        least = limits.min_rank_correlation
        if correlation is not None and least is not None and correlation < least:
            said = f"ranks the rows otherwise: Spearman's correlation is {correlation:.4f} (at least {least:g} must be)"
            raise _unlike(check, variant, said, "min_rank_correlation")


def _unlike(check: ParityCheck, variant: str, said: str, key: str) -> ObjectiveMissed:
    return ObjectiveMissed(
        what=f"variant {variant} {said}",
        where=f"{check.n_rows} evaluation rows at batch size {check.batch_size}",
        fix=f"leave out {variant}" + (f", or lower model.parity.{variant}.{key} if this is acceptable" if key else ""),
    )


def _misses(answers: Arrays, expected: Arrays, *, batch_size: int, tolerance: Tolerance) -> list[_Miss]:
    """The worst of each output that is beyond the tolerance."""
    found = []
    for name, wanted in expected.items():
        if name in float_outputs(expected):
            errors, allowed = absolute_errors(answers[name], wanted), _allowed(tolerance, wanted)
            row, *place = (int(index) for index in np.unravel_index((errors - allowed).argmax(), errors.shape))
            error, limit = float(errors[(row, *place)]), float(allowed[(row, *place)])
        else:
            differs = (answers[name] != wanted) & ~_ties(expected, tolerance)
            row, place, error, limit = int(differs.argmax()), [], np.inf if differs.any() else 0.0, 0.0
        if error > limit:
            element = f"element {place[0]} is " if place else ""
            detail = f"{element}{answers[name][(row, *place)]}, not {wanted[(row, *place)]}"
            found.append(_Miss(batch_size=batch_size, output=name, row=row, error=error, allowed=limit, detail=detail))
    return found


def _allowed(tolerance: Tolerance, wanted: NDArray[np.generic]) -> Floats:
    return np.asarray(tolerance.absolute + tolerance.relative * np.abs(np.nan_to_num(wanted.astype(np.float64))))


def _ties(expected: Arrays, tolerance: Tolerance) -> NDArray[np.bool_]:
    scores = scores_output(expected)
    if scores is None:
        return np.zeros(len(next(iter(expected.values()))), dtype=np.bool_)
    best_two = np.sort(expected[scores], axis=1)[:, -2:].astype(np.float64)
    return np.asarray(best_two[:, 1] - best_two[:, 0] <= 2.0 * _allowed(tolerance, best_two[:, 1]))


def _require_same_shape(answers: Arrays, expected: Arrays, variant: str) -> None:
    for name, wanted in expected.items():
        if answers[name].shape != wanted.shape:
            raise ObjectiveMissed(
                what=f"variant {variant} answers {name} with the shape {answers[name].shape}, not {wanted.shape}",
                where="the parity check against the source model",
                fix="serve a model whose answers have one row for each input row",
            )


def _shown(value: np.generic) -> str:
    return repr(str(value)) if isinstance(value, str) else f"{value:.3g}"


def _refusal(worst: _Miss, payloads: PayloadSet, *, variant: str) -> ObjectiveMissed:
    is_near = np.isfinite(worst.error)
    size = f"by {worst.error:.3g} (allowed: {worst.allowed:.3g})" if is_near else "beyond any tolerance"
    segment = payloads.segments[worst.row]
    starts = "; ".join(
        f"{name} starting {', '.join(map(_shown, rows[worst.row].ravel()[:4]))}"
        for name, rows in payloads.inputs.items()
    )
    return ObjectiveMissed(
        what=f"variant {variant} differs from its source {size}: in output {worst.output}, {worst.detail}",
        where=f"evaluation row {worst.row}{f' (segment {segment})' if segment else ''} at batch size "
        f"{worst.batch_size}, {starts}",
        fix=f"mend the conversion, or set model.parity.{variant}.max_abs_error, or max_rel_error for a share of each "
        "answer, if this difference is acceptable",
    )
