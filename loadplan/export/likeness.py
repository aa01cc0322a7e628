"""How alike two models' answers to the same rows are: errors, directions, order, best classes.

Everything is computed in float64. An output of floats is a value; any other names a class.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.export.artifact import ParityCheck

Arrays = Mapping[str, NDArray[np.generic]]
Floats = NDArray[np.float64]


def likeness(answers: Arrays, expected: Arrays, batch_size: int, lengths: NDArray[np.int64] | None) -> ParityCheck:
    """The comparison over all outputs, of rows answered `batch_size` at a time."""
    names = float_outputs(expected)
    errors = joined([absolute_errors(answers[name], expected[name]) for name in names])
    shares = joined([_relative_errors(answers[name], expected[name]) for name in names])
    cosines = np.concatenate([np.zeros(0), *(_cosines(answers[name], expected[name]) for name in names)])
    correlations = [_rank_correlation(answers[name], expected[name]) for name in names]
    return ParityCheck(
        batch_size=batch_size,
        n_rows=len(next(iter(expected.values()))),
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean()),
        max_rel_error=float(shares.max()),
        mean_rel_error=float(shares.mean()),
        min_cosine=float(cosines.min()) if len(cosines) else None,
        mean_cosine=float(cosines.mean()) if len(cosines) else None,
        rank_correlation=min((each for each in correlations if each is not None), default=None),
        top1_agreement_ratio=_agreement_ratio(answers, expected),
        n_not_finite=sum(int((~np.isfinite(answers[name])).sum()) for name in names),
        shortest=None if lengths is None else int(lengths.min()),
        longest=None if lengths is None else int(lengths.max()),
    )


def float_outputs(expected: Arrays) -> list[str]:
    """Names of the outputs that hold values."""
    return [name for name, values in expected.items() if np.issubdtype(values.dtype, np.floating)]


def scores_output(expected: Arrays) -> str | None:
    """The output that holds one score for each class, where a label stands beside it."""
    if len(float_outputs(expected)) == len(expected):
        return None
    return next((name for name in float_outputs(expected) if expected[name].ndim == 2), None)


def absolute_errors(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> Floats:
    """Absolute differences; anything that is not finite in either is infinitely wrong."""
    got64, wanted64 = got.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(got64) & np.isfinite(wanted64), np.abs(got64 - wanted64), np.inf)


def joined(parts: Sequence[Floats]) -> Floats:
    """All values of all outputs; one 0 where no output holds any."""
    return np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(1)


def _relative_errors(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> Floats:
    size = np.abs(wanted.astype(np.float64))
    least = 1e-3 * float(size.max(initial=0.0)) or 1.0
    return np.asarray(absolute_errors(got, wanted) / np.maximum(size, least))


def _cosines(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> Floats:
    """One for each row that has a direction; one in all where a row is a single number, whose sign would say little."""
    left = np.nan_to_num(got.astype(np.float64).reshape(len(got), -1))
    right = wanted.astype(np.float64).reshape(len(wanted), -1)
    if right.shape[1] == 1:
        left, right = (left - right.mean()).T, (right - right.mean()).T
    sizes = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    has_direction = sizes[1] > 0.0
    products = np.maximum(sizes[0] * sizes[1], np.finfo(np.float64).tiny)
    return np.asarray(((left * right).sum(axis=1) / products)[has_direction])


def _rank_correlation(got: NDArray[np.generic], wanted: NDArray[np.generic]) -> float | None:
    """Spearman's: the correlation of the rows' ranks by each model, where a row is a single number.

    Equal numbers share the mean of their ranks (Spearman, American Journal of Psychology 15, 1904; with ties the
    product-moment correlation of the ranks). None where a row is no single number, or the source ranks all alike.
    """
    if wanted.size != len(wanted) or len(np.unique(wanted)) == 1:
        return None
    left, right = (_ranks(np.nan_to_num(values.astype(np.float64).ravel())) for values in (got, wanted))
    left, right = left - left.mean(), right - right.mean()
    size = np.linalg.norm(left) * np.linalg.norm(right)
    return float((left * right).sum() / size) if size else 0.0  # a variant that ranks all alike keeps no order


def _ranks(values: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[places])


def _agreement_ratio(answers: Arrays, expected: Arrays) -> float | None:
    """By the largest score and by the label that stands beside it, whichever agrees less."""
    scores = scores_output(expected)
    if scores is None:
        return None
    labels = [name for name in expected if name not in float_outputs(expected)]
    agreed = [answers[scores].argmax(axis=1) == expected[scores].argmax(axis=1)]
    agreed += [answers[name] == expected[name] for name in labels]
    return min(float(np.mean(each)) for each in agreed)
