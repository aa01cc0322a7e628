"""A variant's answers to rows, by the company in which each row is answered.

Rows of different lengths share a batch only where padding was proved to change nothing; else rows of one length do,
as the server will have it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError, ObjectiveMissed
from loadplan.execution import takes_one_row
from loadplan.inference import Session, Tensors, reason_of, run
from loadplan.scenario.payloads import PayloadSet, inputs_of

USUAL_BATCH = 32

Rows = NDArray[np.intp]


def own_answers(session: Session, payloads: PayloadSet, *, n_rows: int | None = None) -> Tensors:
    """The variant's own answers to all rows or the first `n_rows`: each at its own length, in batches of a usual size.

    Raises:
        ObjectiveMissed, InputError: as `answer`.
    """
    batch_size = 1 if takes_one_row(session.inputs) else USUAL_BATCH
    batches = alike_batches(payloads, batch_size=batch_size, n_rows=n_rows or payloads.n_rows)
    return answer(session, payloads, batches)


def alike_batches(payloads: PayloadSet, *, batch_size: int, n_rows: int) -> list[Rows]:
    """The first `n_rows` rows, `batch_size` at a time at most, each batch of one length."""
    if payloads.lengths is None:
        return mixed_batches(payloads, batch_size=batch_size, n_rows=n_rows)
    lengths = payloads.lengths[:n_rows]
    alike = (np.flatnonzero(lengths == length) for length in np.unique(lengths))
    return [rows[start : start + batch_size] for rows in alike for start in range(0, len(rows), batch_size)]


def mixed_batches(payloads: PayloadSet, *, batch_size: int, n_rows: int) -> list[Rows]:
    """The first `n_rows` rows, `batch_size` at a time, as they come, whatever their lengths."""
    n_rows = min(n_rows, payloads.n_rows)
    return [np.arange(start, min(start + batch_size, n_rows)) for start in range(0, n_rows, batch_size)]


def answer(session: Session, payloads: PayloadSet, batches: Sequence[Rows]) -> Tensors:
    """The answers to all rows of the batches, in the order of the rows.

    Raises:
        ObjectiveMissed: when the model fails on a batch.
        InputError: as `joined`.
    """
    whole = joined([_run(session, payloads, rows) for rows in batches])
    back = np.argsort(np.concatenate(batches))
    return {name: values[back] for name, values in whole.items()}


def joined(parts: Sequence[Tensors]) -> Tensors:
    """The answers to several batches as one.

    Raises:
        InputError: when an answer is as long as its row, so that answers to rows of different lengths differ in shape.
    """
    for name, first in parts[0].items():
        other = next((part[name].shape for part in parts if part[name].shape[1:] != first.shape[1:]), None)
        if other is not None:
            raise InputError(
                what=f"the output {name!r} has the shapes {first.shape} and {other}: it is as long as its rows",
                where="the answers to rows of different lengths",
                fix="give rows of one length, or serve a model that answers all alike (the mean of their positions)",
            )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run(session: Session, payloads: PayloadSet, rows: Rows) -> Tensors:
    try:
        answers = run(session, inputs_of(payloads, rows))
    except Exception as error:  # onnxruntime raises its own unrelated classes
        length = "" if payloads.lengths is None else f", {int(payloads.lengths[rows].max())} positions long"
        raise ObjectiveMissed(
            what=f"the model fails on a batch of {len(rows)}{length}: {reason_of(error)}",
            where="the parity check against the source model",
            fix="export it with dynamic axes for the rows and, where they differ in length, for their positions",
        ) from error
    wrong = next((name for name, values in answers.items() if values.shape[:1] != (len(rows),)), None)
    if wrong is not None:
        raise ObjectiveMissed(
            what=f"the model answers {wrong} with the shape {answers[wrong].shape} to {len(rows)} rows",
            where="the parity check against the source model",
            fix="serve a model whose answers have one row for each input row",
        )
    return answers
