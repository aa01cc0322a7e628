"""A torch.nn.Module as the bytes of one ONNX file: captured by torch.export, translated by torch.onnx.

The capture runs forward() once on a few rows and takes the axis of rows, and that of positions where rows differ in
length, for axes of any size. What forward() decided by their sizes it would keep for all sizes: that is refused.
The exporter's notes, lines and folders of the source among them, are taken out, so that one model gives one file.
"""

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript  # noqa: F401  # torch.onnx needs it, and would say so only after the capture
import torch
from numpy.typing import NDArray

from loadplan.errors import InputError, first_line
from loadplan.export.graph import BATCH_AXIS, OPSET, finish
from loadplan.export.torch_answers import tensors_of
from loadplan.scenario.payloads import PayloadSet, inputs_of

LENGTH_AXIS = "length"

_N_EXAMPLE_ROWS = 3  # the capture takes an axis of 1 for one that is always 1
_UNTOLD = 2  # sizes below are not told apart by it
_ANY = 1 << 40  # as many rows as anybody will send
_UNSUPPORTED = re.compile(r"^- `([\w.:]+)`: +No ", re.MULTILINE)  # a line of the exporter's own report
_FIXED = re.compile(r"size\(\)\[(\d+)\].*?specialized it to be a constant \((\d+)\)", re.DOTALL)
_AXES = ("rows", "positions in a row")


def to_onnx(module: torch.nn.Module, rows: PayloadSet, *, output_names: tuple[str, ...], where: str) -> bytes:
    """The graph with the rows' names for its inputs and `output_names` for its outputs, in their order.

    Raises:
        InputError: when forward() can't be captured for any number of rows and positions, or holds operators that
            have no counterpart in ONNX.
    """
    name = type(module).__name__
    program = _captured(module, rows, name, where)
    model = _translated(program, tuple(rows.inputs), output_names, name, where)
    _require_any_size(model, program, rows, name, where)
    _tidy(model)
    return finish(model)


def _captured(module: torch.nn.Module, rows: PayloadSet, name: str, where: str) -> Any:
    example = tensors_of(inputs_of(rows, _example_rows(rows)))
    any_size = torch.export.Dim.DYNAMIC
    shapes = {
        input_name: dict.fromkeys((0, 1) if input_name in rows.sequences else (0,), any_size) for input_name in example
    }
    try:
        return torch.export.export(module, (), kwargs=example, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # torch raises whatever the module's own code raises under it
        said = str(error)
        fixed = _FIXED.search(said)
        if fixed is not None and int(fixed[1]) < len(_AXES):
            raise InputError(
                what=f"forward() of {name} takes the number of {_AXES[int(fixed[1])]} for the constant {fixed[2]}",
                where=where,
                fix="read it off the tensor, as in x.view(x.shape[0], -1)",
            ) from error
        if "data-dependent" in said:
            raise InputError(
                what=f"forward() of {name} decides by values of its rows, of which an ONNX graph would keep one side",
                where=where,
                fix="choose between two results with torch.where",
            ) from error
        line = first_line(error) or type(error).__name__
        raise InputError(
            what=f"torch.export can't capture {name}: {type(error).__name__}: {line}",
            where=where,
            fix="keep forward() to tensor operations, with no NumPy, files or other Python objects inside",
        ) from error


def _example_rows(rows: PayloadSet) -> NDArray[np.intp]:
    """A few rows of a middling length, which a limit of the model's own is not likely to be."""
    places = np.arange(_N_EXAMPLE_ROWS)
    if rows.lengths is None:
        return places % rows.n_rows
    order = np.argsort(rows.lengths, kind="stable")
    middle = order[(rows.n_rows // 2 + places) % rows.n_rows]
    return middle if rows.lengths[middle].max() >= _UNTOLD else order[-places - 1]


def _translated(
    program: Any, input_names: tuple[str, ...], output_names: tuple[str, ...], name: str, where: str
) -> onnx.ModelProto:
    try:
        translated = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=list(input_names), verbose=False
        )
    except Exception as error:  # the exporter raises whatever its own passes raise
        operators = _unsupported(program)
        if operators:
            raise InputError(
                what=f"torch.onnx can't write {', '.join(operators)} of {name} in ONNX at opset {OPSET}",
                where=where,
                fix="write them with operators that ONNX has, or leave that step to the caller",
            ) from error
        cause = error.__cause__ or error
        raise InputError(
            what=f"torch.onnx can't export {name}: {type(error).__name__}: {first_line(cause) or type(cause).__name__}",
            where=where,
            fix="see whether another version of torch and onnxscript exports it",
        ) from error
    _name_outputs(translated.model.graph, output_names)
    model: onnx.ModelProto = translated.model_proto  # weights included, for no file was asked for
    return model


def _name_outputs(graph: Any, names: tuple[str, ...]) -> None:
    """Given these names, the exporter would not see that an inner result has one of them already."""
    outputs = list(graph.outputs)
    inner = [*graph.initializers.values(), *(value for node in graph.all_nodes() for value in node.outputs)]
    for value in inner:
        if value.name in names or value in outputs:
            value.name = f"{value.name}.inner"
    for value, name in zip(outputs, names, strict=True):
        value.name = name


def _unsupported(program: Any) -> list[str]:
    """The operators without a counterpart, as the exporter's own report lists them; its error names the first only."""
    with tempfile.TemporaryDirectory(prefix="loadplan-torch-") as scratch:
        with suppress(Exception):  # the same as before; only what it wrote is wanted
            torch.onnx.export(
                program, dynamo=True, opset_version=OPSET, verbose=False, report=True, artifacts_dir=scratch
            )
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(Path(scratch).glob("*.md"))]
    return sorted({operator.removesuffix(".default") for text in texts for operator in _UNSUPPORTED.findall(text)})


def _require_any_size(model: onnx.ModelProto, program: Any, rows: PayloadSet, name: str, where: str) -> None:
    """The sizes for which the capture holds are all those that will be sent."""
    holds = {str(symbol): sizes for symbol, sizes in program.range_constraints.items()}
    lengths = np.ones(1) if rows.lengths is None else rows.lengths
    needed = ((1, _ANY), (int(lengths.min()), int(lengths.max())))
    for tensor in model.graph.input:
        axes = tensor.type.tensor_type.shape.dim[: 2 if tensor.name in rows.sequences else 1]
        for what, axis, (least, most) in zip(_AXES, axes, needed, strict=False):
            sizes = holds.get(axis.dim_param)
            if sizes is None or (bool(sizes.lower <= max(least, _UNTOLD)) and bool(sizes.upper >= most)):
                continue
            raise InputError(
                what=f"forward() of {name} decides by the number of {what}, and the capture keeps what it does for "
                f"{sizes.lower} to {sizes.upper if bool(sizes.upper < _ANY) else 'any number'} of them",
                where=where,
                fix="let forward() do the same for every size",
            )


def _tidy(model: onnx.ModelProto) -> None:
    """Axes named by what they are; no notes, which hold folders of this machine and change from run to run."""
    names: dict[str, str] = {}
    for tensor in model.graph.input:
        for axis, dim in zip((BATCH_AXIS, LENGTH_AXIS), tensor.type.tensor_type.shape.dim, strict=False):
            if dim.dim_param:
                names.setdefault(dim.dim_param, axis)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.ClearField("metadata_props")
        for dim in tensor.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = names.setdefault(dim.dim_param, f"axis_{len(names)}")
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    model.graph.ClearField("value_info")  # inner shapes in the exporter's own symbols
