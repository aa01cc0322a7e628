"""PyTorch to ONNX: a torch.nn.Module with any named inputs and outputs. Owns torch, as do its two neighbours.

What is silently wrong elsewhere is refused or said: a branch on the number of rows, of which a capture keeps one side;
random numbers; answers that depend on the rows beside; weights in half precision. A module left in training mode, in
which dropout and batch normalisation answer otherwise, is put into evaluation mode, and the report says so.
"""

import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout

import numpy as np
import torch
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.export.source import Conversion, TrainedModel
from loadplan.export.tensors import as_served, label_output, sequences_of
from loadplan.export.torch_answers import own_answers
from loadplan.export.torch_graph import to_onnx
from loadplan.scenario.payloads import PayloadSet

PACKAGES = ("torch", "onnxscript", "onnx", "numpy")  # what decides the bytes of the graph

_MOST_BYTES = 2**31 - 2**20  # protobuf's limit for a file without a second one beside it, less the graph's own share
# What hides the module that is to be exported, and where it is then found.
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
_NOISY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
_NAMED = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})


def convert(trained: TrainedModel, *, where: str) -> Conversion:
    """The module as an fp32 graph, beside its own answers to the rows, each computed at its own length.

    Raises:
        InputError: when it is no module on the CPU in float32, doesn't take the rows, answers with something else than
            one row of a tensor for each, or can't be captured or converted.
    """
    module, note = _servable(trained.estimator, where)
    inputs = _inputs(module, trained, where)
    lengths = None if trained.lengths is None else np.asarray(trained.lengths, dtype=np.int64)
    rows = PayloadSet(
        inputs=inputs,
        expected={},
        segments=("",) * trained.n_rows,
        labels=None,
        lengths=lengths,
        sequences=sequences_of(inputs, lengths),
    )
    with torch.no_grad(), _silent():
        answers = own_answers(module, rows, where=where)
        serialised = to_onnx(module, rows, output_names=tuple(answers), where=where)
    return Conversion(
        onnx=serialised,
        inputs=inputs,
        answers=answers,
        label_output=label_output(answers, trained.labels),
        note=note,
        lengths=lengths,
        sequences=rows.sequences,
    )


def _servable(estimator: object, where: str) -> tuple[torch.nn.Module, str | None]:
    """The module in evaluation mode, and what was done to it."""
    name = type(estimator).__name__
    if name in _WRAPPERS:
        raise InputError(
            what=f"the model is wrapped in {name}",
            where=where,
            fix=f"return TrainedModel(estimator=model.{_WRAPPERS[name]}, …)",
        )
    if not isinstance(estimator, torch.nn.Module) or isinstance(estimator, torch.jit.ScriptModule):
        raise InputError(
            what=f"{name} is not a torch.nn.Module that can be captured",
            where=where,
            fix="return the module itself in TrainedModel.estimator, with its weights loaded",
        )
    _require_float32(estimator, where)
    if not any(module.training for module in estimator.modules()):
        return estimator, None
    return estimator.eval(), "put from training into evaluation mode"


def _require_float32(module: torch.nn.Module, where: str) -> None:
    tensors = dict(module.state_dict(keep_vars=True))
    for name, tensor in tensors.items():
        if tensor.device.type != "cpu":
            raise InputError(
                what=f"the weight {name} lies on the device {tensor.device}", where=where, fix="return model.cpu()"
            )
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise InputError(
                what=f"the weight {name} is of the type {tensor.dtype}, and the variant fp32 is made from float32",
                where=where,
                fix="return model.float(), and ask for smaller numbers in model.variants",
            )
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if n_bytes > _MOST_BYTES:
        raise InputError(
            what=f"the weights take {n_bytes / 1e9:.1f} GB, and an ONNX file by itself holds 2 at most",
            where=where,
            fix="serve a smaller model, or an ONNX file with external data (model.source: onnx)",
        )


def _inputs(module: torch.nn.Module, trained: TrainedModel, where: str) -> dict[str, NDArray[np.generic]]:
    """By the names that forward() gives them."""
    parameters = inspect.signature(module.forward).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind in _NAMED]
    needed = {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty} & set(known)
    rows = trained.rows
    given = dict(rows) if isinstance(rows, Mapping) else {known[0] if known else "input": rows}
    if not set(given) <= set(known) or not needed <= set(given):
        raise InputError(
            what=f"forward() of {type(module).__name__} takes {', '.join(known) or 'no inputs by name'}; the rows hold "
            f"{', '.join(given) if isinstance(rows, Mapping) else 'one array'}",
            where=where,
            fix="return TrainedModel(rows={…}) with one array for each input, by the name that forward() gives it",
        )
    return {name: as_served(values) for name, values in given.items()}


@contextmanager
def _silent() -> Iterator[None]:
    """What torch, its exporter and the user's module print or log is not the user's to act on; errors are raised."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
