"""The other variants of an fp32 graph: optimised offline, fp16, and int8 scaled on the fly or by calibration rows.

The one module beside `inference` that imports onnxruntime, for its quantiser and its fp16 converter.

The decision a reader would question: int8 weights use seven of their eight bits, a scale for each channel. Processors
without VNNI add products of eight-bit numbers in sixteen bits and clip what is beyond, so a graph that passes parity
on one machine would answer otherwise on another that the plan may buy; with seven bits nothing can clip. On the digits
and such a processor the largest error fell from 0.22 to 0.03.

For the same reason the graph that is optimised offline goes no further than ORT_ENABLE_EXTENDED. The last level lays
convolutions out for the processor at hand, and such a file runs only where its layout does (ONNX Runtime's page on
graph optimisations, offline mode). Convolutions do without that layout then: the benchmark says what it costs. The
fused operators are ONNX Runtime's own, for the CPU: another runtime, a much older one or a GPU may refuse them.
"""

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.execution import OPTIMISED_OFFLINE
from loadplan.export.graph import finish
from loadplan.inference import load_runtime
from loadplan.scenario.payloads import PayloadSet, inputs_of

Tensors = Mapping[str, NDArray[np.generic]]

_CALIBRATION_RATIO = 0.2
_CALIBRATION_MOST = 512  # rows; ranges hardly move beyond
_CALIBRATION_BATCH = 32

_TensorProto = onnx.TensorProto
_LOW_TYPES = {
    "fp16": frozenset({_TensorProto.FLOAT16}),
    "int8_dynamic": frozenset({_TensorProto.INT8, _TensorProto.UINT8}),
    "int8_static": frozenset({_TensorProto.INT8, _TensorProto.UINT8}),
}
# Where weights are multiplied; trees and scalers of ai.onnx.ml keep theirs in attributes that nothing converts.
_MULTIPLYING = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", "Gather", "LSTM", "GRU"})


def calibration_rows(n_rows: int) -> NDArray[np.intp]:
    """The rows that calibrate int8_static and therefore don't judge it: a fifth, drawn; none of fewer than five."""
    n_chosen = min(int(n_rows * _CALIBRATION_RATIO), _CALIBRATION_MOST)
    return np.sort(np.random.default_rng(0).permutation(n_rows)[:n_chosen])


def calibration_batches(payloads: PayloadSet, *, takes_one_row: bool = False) -> list[Tensors]:
    """The inputs of the calibrating rows, in batches as long as their longest row, or one by one."""
    rows = calibration_rows(payloads.n_rows)
    batch_size = 1 if takes_one_row else _CALIBRATION_BATCH
    starts = range(0, len(rows), batch_size)
    return [inputs_of(payloads, rows[start : start + batch_size]) for start in starts]


def make_variant(variant: str, fp32: bytes, *, calibration: Sequence[Tensors]) -> bytes:
    """The graph in another precision, with the inputs and outputs of the fp32 one. The same input, the same bytes.

    `calibration` holds the inputs of one inference after another.

    Raises:
        InputError: when the graph holds nothing that this variant would change, or there is nothing to calibrate with.
        EnvironmentFault: when no usable ONNX Runtime is installed.
        Exception: whatever else the converters raise.
    """
    source = onnx.load_model_from_string(fp32)
    if variant == OPTIMISED_OFFLINE:
        return finish(_optimised_offline(source), takes_one_row=_takes_one_row(source))
    if not _multiplies_weights(source.graph):
        raise _unsuitable(variant, f"the model has no weights of {', '.join(sorted(_MULTIPLYING))} to convert")
    if variant == "int8_static" and not calibration:
        raise InputError(
            what="int8_static has no rows to calibrate with",
            where="model.variants",
            fix="bring at least five rows; a fifth of them calibrates",
        )
    with _own_imports():
        model = _MAKERS[variant](source, calibration)
    if not any(tensor.data_type in _LOW_TYPES[variant] for tensor in model.graph.initializer):
        raise _unsuitable(variant, "the converter left every weight as it was")
    return finish(model, takes_one_row=_takes_one_row(source))


def _optimised_offline(source: onnx.ModelProto) -> onnx.ModelProto:
    ort = load_runtime()

    def optimise(before: str, after: str) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = after
        options.log_severity_level = 4  # errors are raised
        ort.InferenceSession(before, sess_options=options, providers=["CPUExecutionProvider"])

    model = _through_files(source, optimise)
    if [node.op_type for node in model.graph.node] == [node.op_type for node in source.graph.node]:
        raise _unsuitable(OPTIMISED_OFFLINE, "ONNX Runtime finds nothing to optimise in the graph")
    return model


def _fp16(source: onnx.ModelProto, _: Sequence[Tensors]) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model: onnx.ModelProto = convert_float_to_float16(source, keep_io_types=True)
    _sort_nodes(model.graph)
    return model


def _int8_dynamic(source: onnx.ModelProto, _: Sequence[Tensors]) -> onnx.ModelProto:
    from onnxruntime.quantization import quantize_dynamic

    return _through_files(
        source, lambda before, after: quantize_dynamic(before, after, per_channel=True, reduce_range=True)
    )


def _int8_static(source: onnx.ModelProto, calibration: Sequence[Tensors]) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Rows(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        """Hands the quantiser one batch after another, then None."""

        def __init__(self) -> None:
            self._batches = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.generic]] | None:
            """The next batch."""
            batch = next(self._batches, None)
            return None if batch is None else dict(batch)

    def quantise(before: str, after: str) -> None:
        quantize_static(before, after, Rows(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True)

    return _through_files(source, quantise)


_MAKERS: dict[str, Callable[[onnx.ModelProto, Sequence[Tensors]], onnx.ModelProto]] = {
    "fp16": _fp16,
    "int8_dynamic": _int8_dynamic,
    "int8_static": _int8_static,
}


def _takes_one_row(model: onnx.ModelProto) -> bool:
    return any(tensor.type.tensor_type.shape.dim[0].dim_value == 1 for tensor in model.graph.input)


def _through_files(source: onnx.ModelProto, change: Callable[[str, str], None]) -> onnx.ModelProto:
    """The runtime's tools work from file to file, the quantiser on a graph whose inner shapes are known."""
    with tempfile.TemporaryDirectory(prefix="loadplan-variant-") as scratch, _quiet():
        before, after = (str(Path(scratch) / f"{name}.onnx") for name in ("before", "after"))
        onnx.save(onnx.shape_inference.infer_shapes(source), before)
        change(before, after)
        made: onnx.ModelProto = onnx.load(after)
        return made


def _multiplies_weights(graph: onnx.GraphProto) -> bool:
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == _TensorProto.FLOAT}
    return any(node.op_type in _MULTIPLYING and weights & set(node.input) for node in graph.node)


def _unsuitable(variant: str, reason: str) -> InputError:
    return InputError(
        what=f"{variant} would be fp32 under another name: {reason}",
        where="model.variants",
        fix=f"leave out {variant}",
    )


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put each node after those whose results it takes, as ONNX demands; the fp16 converter appends its casts."""
    made_by = {name: node for node in graph.node for name in node.output if name}
    ordered: list[onnx.NodeProto] = []
    seen: set[int] = set()
    for last in graph.node:
        waiting = [last]
        while waiting:
            node = waiting[-1]
            missing = [made_by[name] for name in _taken(node) if name in made_by and id(made_by[name]) not in seen]
            if id(node) in seen or not missing:
                waiting.pop()
                if id(node) not in seen:
                    seen.add(id(node))
                    ordered.append(node)
            else:
                waiting += missing
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _taken(node: onnx.NodeProto) -> Iterator[str]:
    """The results that a node takes, those of its branches and loop bodies included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for child in inner.node:
                yield from _taken(child)


@contextmanager
def _own_imports() -> Iterator[None]:
    """The converters import from their own folder, and leave it, with modules of common names, where Python looks."""
    before = list(sys.path)
    sys.path.append(str(Path(str(load_runtime().__file__)).parent / "transformers"))
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises every caller, through the root logger, to optimise first; here the session does that."""

    def keep(_: Any) -> bool:
        return False

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)
