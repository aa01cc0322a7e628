"""Made-up input rows for a model that came without data. Good for timing dense models, never for judging answers."""

from collections.abc import Sequence

import numpy as np

from loadplan.errors import InputError
from loadplan.execution import TensorSpec
from loadplan.scenario.payloads import PayloadSet


def synthetic_payloads(inputs: Sequence[TensorSpec], *, n_rows: int, rng: np.random.Generator) -> PayloadSet:
    """`n_rows` random rows of the model's own shapes and types: normal floats, whole numbers 0 and 1, booleans.

    A model whose first axis is fixed at 1 gets them too; it takes them one at a time.

    Raises:
        InputError: when an axis other than the first is dynamic, the first is fixed at several rows, or an input holds
            text: then only real samples say what a row is.
    """
    rows = {}
    for spec in inputs:
        if spec.dtype == "object" or any(axis is None for axis in spec.shape[1:]) or not spec.shape:
            raise InputError(
                what=f"rows can't be made up for the input {spec.name!r}: shape {list(spec.shape)}, type {spec.dtype}",
                where="the model's signature",
                fix="bring rows in a scenario: as model.payload: rows.npz, with `lengths` where they differ in it, or "
                "by a factory",
            )
        if spec.shape[0] not in {None, 1}:
            raise InputError(
                what=f"the first axis of the input {spec.name!r} is fixed at {spec.shape[0]} rows",
                where="the model's signature",
                fix="export the model with a dynamic first axis, so that requests can be batched",
            )
        shape = (n_rows, *(axis for axis in spec.shape[1:] if axis is not None))
        dtype = np.dtype(spec.dtype)
        rows[spec.name] = (
            rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else rng.integers(0, 2, shape).astype(dtype)
        )
    return PayloadSet(inputs=rows, expected={}, segments=("",) * n_rows, labels=None)
