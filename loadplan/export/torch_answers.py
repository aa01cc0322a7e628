"""What a torch.nn.Module answers to the rows: the truth that every variant is held to.

Rows are asked in batches of one length, so none is padded. A module whose answer to a row changes from one time to
the next, or with the rows beside it, has no truth, and is refused.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from loadplan.errors import InputError, first_line
from loadplan.export.company import alike_batches
from loadplan.scenario.payloads import PayloadSet, inputs_of

_ASKED_AT_ONCE = 128  # rows
_COMPANY = 7  # rows asked together to see whether they change each other's answers
# Far above what another order of sums does to float32, far below what a stranger in the batch would do.
_REL_TOLERANCE, _ABS_TOLERANCE = 1e-3, 1e-4

_Answers = dict[str, NDArray[np.generic]]


def own_answers(module: torch.nn.Module, rows: PayloadSet, *, where: str) -> _Answers:
    """By output name: (n_rows, …), in the order of the rows.

    A tensor is named `output`, those of a tuple `output_0` and so on, others as the module names them; where an input
    has that name too, `output_` stands before it.

    Raises:
        InputError: when the module refuses the rows, answers with something else than one row of a tensor for each, or
            answers a row differently from one time to the next or in other company.
    """
    batches = alike_batches(rows, batch_size=_ASKED_AT_ONCE, n_rows=rows.n_rows)
    _require_steady(module, rows, max(batches, key=len)[:_COMPANY], where)
    parts = [_ask(module, rows, batch, where) for batch in batches]
    first = parts[0]
    for part in parts:
        for name, values in first.items():
            if name not in part or part[name].shape[1:] != values.shape[1:]:
                raise InputError(
                    what=f"the output {name!r} is not of one shape for rows of every length: {values.shape[1:]} and "
                    f"{part[name].shape[1:] if name in part else 'none'} for each row",
                    where=where,
                    fix="answer with one vector or number for each row, such as the mean of its positions",
                )
    back = np.argsort(np.concatenate(batches))
    return {name: np.concatenate([part[name] for part in parts])[back] for name in first}


def tensors_of(inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, torch.Tensor]:
    """The same numbers as PyTorch's; copied, for a module may change what it is given."""
    return {name: torch.from_numpy(values.copy()) for name, values in inputs.items()}


def _require_steady(module: torch.nn.Module, rows: PayloadSet, batch: NDArray[np.intp], where: str) -> None:
    together, again = (_ask(module, rows, batch, where) for _ in range(2))
    if not _are_same(together, again):
        raise InputError(
            what=f"{type(module).__name__} answers the same rows differently each time it is asked",
            where=where,
            fix="draw no random numbers in forward(); functional.dropout needs training=self.training",
        )
    fewer = batch[: len(batch) // 2 or 1]
    apart = _ask(module, rows, fewer, where)
    if not _are_same(apart, {name: values[: len(fewer)] for name, values in together.items()}):
        raise InputError(
            what=f"what {type(module).__name__} answers to a row depends on the rows that share its batch",
            where=where,
            fix="compute nothing over the axis of rows; batch normalisation needs track_running_stats=True",
        )


def _are_same(some: _Answers, others: _Answers) -> bool:
    return some.keys() == others.keys() and all(
        some[name].shape == others[name].shape
        and np.allclose(some[name], others[name], rtol=_REL_TOLERANCE, atol=_ABS_TOLERANCE, equal_nan=True)
        for name in some
    )


def _ask(module: torch.nn.Module, rows: PayloadSet, batch: NDArray[np.intp], where: str) -> _Answers:
    inputs = inputs_of(rows, batch)
    try:
        returned = module(**tensors_of(inputs))
    except Exception as error:  # the module is the user's
        said = first_line(error)
        raise InputError(
            what=f"{type(module).__name__} refuses the factory's rows: {type(error).__name__}: {said}",
            where=where,
            fix="return rows of the shapes and types that forward() takes, each input by its name",
        ) from error
    named = _named(returned)
    wrong = next((name for name, value in named.items() if not isinstance(value, torch.Tensor)), None)
    if not named or wrong is not None:
        raise InputError(
            what=f"{type(module).__name__} answers with {type(returned).__name__}"
            + (f" that holds {type(named[wrong]).__name__} as {wrong}" if wrong is not None else ", which is empty"),
            where=where,
            fix="answer with a tensor, or a tuple or dictionary of tensors",
        )
    short = next((name for name, value in named.items() if value.shape[:1] != (len(batch),)), None)
    if short is not None:
        raise InputError(
            what=f"the output {short!r} has the shape {tuple(named[short].shape)} for {len(batch)} rows",
            where=where,
            fix="answer with one row of a tensor for each row",
        )
    return {(f"output_{name}" if name in inputs else name): value.numpy() for name, value in named.items()}


def _named(returned: object) -> dict[str, torch.Tensor]:
    """Values are as the module returns them, tensors or not."""
    if isinstance(returned, Mapping):  # Hugging Face's ModelOutput too
        return {str(name): value for name, value in returned.items() if value is not None}
    if isinstance(returned, tuple) and hasattr(returned, "_asdict"):
        return dict(returned._asdict())
    if isinstance(returned, tuple | list):
        return {f"output_{index}": value for index, value in enumerate(returned)}
    return {"output": returned}
