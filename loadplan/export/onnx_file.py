"""A ready ONNX file as a source: looked at by the guard, copied into one file, and fed with rows.

Where the user brings no rows they are made up, and where the rows bring no answers the model's own at batch 1 stand
in. Both prove less than a framework's answers to real rows would, and a caveat says so all the way into the report.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, TensorSpec, takes_one_row
from loadplan.export.company import joined
from loadplan.export.guard import ModelFile, inspect_model
from loadplan.export.source import Conversion, TrainedModel
from loadplan.inference import Tensors, open_session, reason_of, run
from loadplan.scenario.payloads import PayloadSet, filled_beyond, inputs_of
from loadplan.scenario.rows_file import read_rows
from loadplan.scenario.spec import ModelSource
from loadplan.scenario.synthetic import synthetic_payloads

PACKAGES = ("onnx", "numpy")

_N_MADE_UP = 256
_MADE_UP = Caveat(
    code="export.made_up_rows",
    what="no rows were given, so they were made up: the times may differ on real ones, and nothing is said about how "
    "good the answers are",
    fix="give real rows: model.payload: rows.npz, with one array for each input of the model",
)
_OWN_ANSWERS = Caveat(
    code="export.own_answers",
    what="no right answers were given, so every variant was compared with the file's own answers to single rows: that "
    "proves that batching changes nothing, not that the model is right",
    fix="put the source framework's answers into model.payload as expected.OUTPUT",
)
_ONE_ROW = Caveat(
    code="export.fixed_batch",
    what="the model's first axis is fixed at 1 row, so it was checked and timed at batch 1 only, and its requests "
    "can't be batched",
    fix="export the model with a dynamic first axis (torch: dynamic_shapes; onnx: onnx.tools.update_model_dims)",
)


def read_model(source: ModelSource) -> tuple[TrainedModel, Conversion, tuple[Caveat, ...]]:
    """The file as a graph with all its data in it, the rows to judge it by, and what is doubtful about them.

    Raises:
        InputError: when the file is no model or a hostile one, its batch axis is fixed, or the rows don't fit it.
        EnvironmentFault: when it needs a newer onnx or ONNX Runtime.
    """
    model = _path(source)
    with tempfile.TemporaryDirectory(prefix="loadplan-export-") as scratch:
        copy = Path(scratch) / "model.onnx"
        given = inspect_model(model, copy_to=copy)
        _require_rows(given, model)
        payloads, caveats = _rows(source, given)
        if takes_one_row(given.inputs):
            caveats = (*caveats, _ONE_ROW)
        if not payloads.expected:
            payloads = replace(payloads, expected=_own_answers(copy, payloads, model))
            caveats = (*caveats, _OWN_ANSWERS)
        serialised = copy.read_bytes()
    conversion = Conversion(
        onnx=serialised,
        inputs=dict(payloads.inputs),
        answers=dict(payloads.expected),
        label_output=_label_output(payloads),
        takes_one_row=takes_one_row(given.inputs),
        lengths=payloads.lengths,
        sequences=payloads.sequences,
    )
    segments = payloads.segments if any(payloads.segments) else None
    rows = next(iter(payloads.inputs.values()))
    groups = None if payloads.groups is None else payloads.groups.tolist()
    trained = TrainedModel(estimator=None, rows=rows, labels=payloads.labels, segments=segments, groups=groups)
    return trained, conversion, caveats


def identity(source: ModelSource) -> bytes:
    """What decides which model and which rows they are: the hashes of the file, of its data and of the rows.

    Raises:
        InputError, EnvironmentFault: as `read_model`.
    """
    given = inspect_model(_path(source))
    hashes = [given.sha256, *(file.sha256 for file in given.external)]
    if source.payload is not None:
        read_rows(Path(source.folder) / source.payload)
        hashes.append(hashlib.sha256((Path(source.folder) / source.payload).read_bytes()).hexdigest())
    return "\n".join(hashes).encode()


def _path(source: ModelSource) -> Path:
    assert source.file is not None  # noqa: S101 -- the scenario's reader sees to it
    return Path(source.folder) / source.file


def _require_rows(given: ModelFile, model: Path) -> None:
    """A first axis of any length, or of 1: then rows are answered one by one."""
    lengths = {None, 1} if takes_one_row(given.inputs) else {None}
    specs = (*given.inputs, *given.outputs)
    fixed = next((spec for spec in specs if not spec.shape or spec.shape[0] not in lengths), None)
    if fixed is None:
        return
    if not fixed.shape:
        what = f"{fixed.name!r} has no axis of rows"
    else:
        what = f"the first axis of {fixed.name!r} is fixed at {fixed.shape[0]} rows, so requests can't be batched"
    raise InputError(
        what=what,
        where=str(model),
        fix="export it with a dynamic first axis (torch: dynamic_shapes; onnx: onnx.tools.update_model_dims), or with "
        "one of length 1, which is benchmarked at batch 1",
    )


def _rows(source: ModelSource, given: ModelFile) -> tuple[PayloadSet, tuple[Caveat, ...]]:
    if source.payload is None:
        rng = np.random.default_rng(0)
        return synthetic_payloads(given.inputs, n_rows=_N_MADE_UP, rng=rng), (_MADE_UP,)
    path = Path(source.folder) / source.payload
    payloads = read_rows(path)
    _require_names(payloads.inputs, given.inputs, "inputs", path)
    if payloads.expected:
        _require_names(payloads.expected, given.outputs, "outputs", path)
    for spec in given.inputs:
        _require_fit(spec, payloads, path)
    order = [spec.name for spec in given.inputs]
    payloads = replace(payloads, inputs={name: payloads.inputs[name] for name in order})
    return payloads if payloads.lengths is None else _with_lengths(payloads, payloads.lengths, given, path), ()


def _with_lengths(payloads: PayloadSet, lengths: NDArray[np.int64], given: ModelFile, path: Path) -> PayloadSet:
    """The rows, knowing which of the model's inputs run along their positions."""
    sequences = tuple(spec.name for spec in given.inputs if spec.shape[1:2] == (None,))
    longest, problem = int(lengths.max()), None
    if not sequences:
        problem = "lengths of the rows are given, but no input of the model has a free second axis"
    for name in sequences:
        width, filled = payloads.inputs[name].shape[1], filled_beyond(payloads.inputs[name], lengths)
        if width < longest:
            problem = f"the rows of the input {name!r} have {width} positions, the longest is said to have {longest}"
        elif filled is not None:
            problem = f"row {filled} of the input {name!r} is not zero beyond its length, {lengths[filled]}"
    if problem is not None:
        raise InputError(
            what=problem,
            where=str(path),
            fix="give in `lengths` how many positions of each row are real, and zeros beyond them in every input",
        )
    cut = {name: rows[:, :longest] if name in sequences else rows for name, rows in payloads.inputs.items()}
    return replace(payloads, inputs=cut, sequences=sequences)


def _require_names(found: Iterable[str], wanted: tuple[TensorSpec, ...], kind: str, path: Path) -> None:
    names = [spec.name for spec in wanted]
    if sorted(found) != sorted(names):
        raise InputError(
            what=f"the rows hold the {kind} {', '.join(sorted(found))}; the model has {', '.join(names)}",
            where=str(path),
            fix=f"name the arrays as the model names its {kind}"
            + (", each after `expected.`" if kind == "outputs" else ""),
        )


def _require_fit(spec: TensorSpec, payloads: PayloadSet, path: Path) -> None:
    rows = payloads.inputs[spec.name]
    is_text = rows.dtype.kind == "U"
    if (spec.dtype == "object") != is_text or (not is_text and rows.dtype != np.dtype(spec.dtype)):
        wanted = "text" if spec.dtype == "object" else spec.dtype
        raise InputError(
            what=f"the rows of the input {spec.name!r} are of the type {rows.dtype}, the model takes {wanted}",
            where=str(path),
            fix="write them as text" if spec.dtype == "object" else f"convert them: rows.astype(numpy.{spec.dtype})",
        )
    fits = rows.ndim == len(spec.shape) and all(
        axis in {None, length} for axis, length in zip(spec.shape[1:], rows.shape[1:], strict=True)
    )
    if not fits:
        shape = ", ".join(["any", *("any" if axis is None else str(axis) for axis in spec.shape[1:])])
        raise InputError(
            what=f"the rows of the input {spec.name!r} have the shape {rows.shape}, the model takes ({shape})",
            where=str(path),
            fix="give rows of the model's own shape, the rows along the first axis",
        )


def _own_answers(copy: Path, payloads: PayloadSet, model: Path) -> Tensors:
    session = open_session(copy, ExecutionConfig(variant="fp32"))
    parts: list[Tensors] = []
    for row in range(payloads.n_rows):
        try:
            answers = run(session, inputs_of(payloads, np.array([row])))
        except Exception as error:  # onnxruntime raises its own unrelated classes
            raise InputError(
                what=f"the model fails on row {row}: {reason_of(error)}",
                where=str(model),
                fix="give rows that it answers: model.payload: rows.npz",
            ) from error
        wrong = next((name for name, values in answers.items() if values.shape[:1] != (1,)), None)
        if wrong is not None:
            raise InputError(
                what=f"the output {wrong!r} has the shape {answers[wrong].shape} for one row, not one answer",
                where=str(model),
                fix="serve a model whose answers have one row for each input row",
            )
        parts.append(answers)
    return joined(parts)


def _label_output(payloads: PayloadSet) -> str | None:
    """The output that names the class of each row, where the truth was given to compare it with."""
    if payloads.labels is None:
        return None
    return next(
        (name for name, rows in payloads.expected.items() if rows.dtype.kind in "iuUO" and rows.size == len(rows)),
        None,
    )
