"""The ONNX graph as a file format: finishing touches, validity, and what can be read off it. Owns the package onnx."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from loadplan.execution import EXAMPLE_TEXT_KEY

# Every ONNX Runtime since 1.18 (2024) reads these; the newest that onnx can write is often ahead of the runtime.
OPSET = 21
ML_OPSET = 3
IR_VERSION = 10

BATCH_AXIS = "batch"

# Constants of these types are shapes, indices and class names; weights are floats or quantised bytes.
_SHAPES_AND_INDICES = frozenset(
    {onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.STRING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """What a graph says about itself."""

    opset: int
    ir_version: int
    n_parameters: int  # numbers in weight tensors and in the float attributes of tree and linear operators


def finish(
    model: onnx.ModelProto, *, example_text: Mapping[str, str] | None = None, takes_one_row: bool = False
) -> bytes:
    """Name the first axis of every input and output `batch`, fix the file version, check all, and serialise.

    `example_text` holds a word that the model knows for each text input, for a server to warm up with. Of a model that
    takes one row at a time the axes stay as they are.

    Raises:
        onnx.checker.ValidationError: when the graph is not valid ONNX.
    """
    model.ir_version = IR_VERSION
    for tensor in () if takes_one_row else (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH_AXIS
    words = sorted((example_text or {}).items())
    model.metadata_props.extend(
        onnx.StringStringEntryProto(key=EXAMPLE_TEXT_KEY + name, value=word) for name, word in words
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]  # onnx has no types


def read_facts(serialised: bytes) -> GraphFacts:
    """Versions and size of a graph that this process has made, or that the guard has looked at."""
    return facts_of(onnx.load_model_from_string(serialised))


def facts_of(model: onnx.ModelProto) -> GraphFacts:
    """Versions and size of a parsed model."""
    opset = max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=1)
    weights = [tensor for tensor in model.graph.initializer if tensor.data_type not in _SHAPES_AND_INDICES]
    n_weights = sum(math.prod(tensor.dims) for tensor in weights)
    n_attributes = sum(len(attribute.floats) for node in model.graph.node for attribute in node.attribute)
    return GraphFacts(opset=opset, ir_version=model.ir_version, n_parameters=n_weights + n_attributes)
