"""What one inference asks of a machine: arithmetic and memory traffic, read off the graph.

Bytes are those of the graph as it is written: every stored weight once for each inference, of a table only the rows
that are looked up and of a decision tree only the nodes on the path; and what nodes hand to each other, as if nothing
stayed in a cache. Kernels that fuse several operators move less. So operations per byte, the arithmetic intensity of
the roofline model (Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009), is a low one.

The decision a reader would question: what depends on weights alone is taken to be done once, when the model is opened,
and weighs what it is made of, as ONNX Runtime does with eight-bit weights that the graph turns into floats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx.inliner import inline_local_functions

from loadplan.export.artifact import ModelCost
from loadplan.export.operations import Call, operations_of
from loadplan.export.shapes import Tensor, element_bytes, probing
from loadplan.inference import reason_of
from loadplan.scenario.payloads import PayloadSet, inputs_of

BATCH_SIZES = (1, 2, 4, 8, 16, 32)

# They look at their input in another way and touch none of it.
_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Shape", "Size"})
# They read as much of their first input as they write.
_PICKING = frozenset({"Gather", "GatherElements", "GatherND", "ArrayFeatureExtractor", "Slice"})
# ONNX Runtime's embedding of words, positions and segments: the inputs that are tables.
_TABLES = {"EmbedLayerNormalization": (2, 3, 4)}
_TREE_NODE_BYTES = 8 + 4 + 8  # which feature, the threshold, the node that follows


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The cost at each batch size, or why none is known."""

    by_batch_size: tuple[ModelCost, ...]
    unknown: str | None


def model_costs(serialised: bytes, payloads: PayloadSet, *, batch_sizes: Sequence[int] = BATCH_SIZES) -> Costs:
    """Cost of the graph at each batch size, for a row of the median length where rows have lengths.

    What can't be probed costs nothing but the knowledge: the reason is in the answer.
    """
    model = inline_local_functions(onnx.load_model_from_string(serialised))
    row = _usual_row(payloads)
    rows = np.arange(payloads.n_rows) if row is None else np.array([row])
    try:
        with probing(model) as probe:
            sizes = [probe.sizes(inputs_of(payloads, np.resize(rows, batch_size))) for batch_size in batch_sizes]
    except Exception as error:  # the runtime raises classes of its own; a cost that isn't known must not fail an export
        return Costs(by_batch_size=(), unknown=reason_of(error))
    n_positions = None if row is None or payloads.lengths is None else int(payloads.lengths[row])
    costs = (
        _cost(model.graph, found, batch_size, n_positions) for batch_size, found in zip(batch_sizes, sizes, strict=True)
    )
    return Costs(by_batch_size=tuple(costs), unknown=None)


def _cost(graph: onnx.GraphProto, sizes: Mapping[str, Tensor], batch_size: int, n_positions: int | None) -> ModelCost:
    tally = _tally(graph, sizes)
    return ModelCost(
        batch_size=batch_size,
        n_positions=n_positions,
        flops_per_row=tally.n_operations / batch_size,
        weight_bytes=tally.weight_bytes,
        activation_bytes_per_row=tally.activation_bytes / batch_size,
        unknown_operators=tuple(sorted(tally.unknown)),
    )


def _usual_row(payloads: PayloadSet) -> int | None:
    """A row of the median length; None where all are alike."""
    return None if payloads.lengths is None else int(np.argsort(payloads.lengths, kind="stable")[payloads.n_rows // 2])


@dataclass(slots=True)
class _Tally:
    """What has been counted of one inference."""

    n_operations: int = 0
    activation_bytes: int = 0
    attribute_bytes: int = 0  # weights that nodes hold themselves: linear models, scalers
    weights: dict[str, int] = field(default_factory=dict)  # bytes of each stored tensor that was read
    unknown: set[str] = field(default_factory=set)

    @property
    def weight_bytes(self) -> int:
        return self.attribute_bytes + sum(self.weights.values())


def _tally(graph: onnx.GraphProto, sizes: Mapping[str, Tensor]) -> _Tally:
    stored = {tensor.name: _stored(tensor) for tensor in graph.initializer}
    known = {**sizes, **stored}
    # Of what each tensor that depends on weights alone is made, by its stored tensors.
    made_of = {name: frozenset({name}) for name in stored}
    tally = _Tally()
    for node in graph.node:
        taken = [name for name in node.input if name]
        if node.op_type == "Constant":
            (name,) = node.output
            stored[name] = known[name]
            made_of[name] = frozenset({name})
        elif taken and all(name in made_of for name in taken):
            sources = frozenset().union(*(made_of[name] for name in taken))
            made_of |= {name: sources for name in node.output if name}
        else:
            _count(node, known, stored, made_of, tally)
    return tally


def _count(
    node: onnx.NodeProto,
    known: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    made_of: Mapping[str, frozenset[str]],
    tally: _Tally,
) -> None:
    call = Call(node, _shapes(node.input, known), _shapes(node.output, known))
    n_operations = operations_of(call)
    if n_operations is None:
        tally.unknown.add(node.op_type)
    tally.n_operations += n_operations or 0
    if node.op_type in _VIEWS:
        return
    tables = _tables(node)
    written = sum(known[name].n_bytes for name in node.output if name in known)
    tally.activation_bytes += written + sum(_read(known[name], known, node) for name in tables if name in known)
    for name in node.input:
        if name in made_of and name not in tables:
            tally.weights |= {source: stored[source].n_bytes for source in made_of[name]}
        elif name in known and name not in tables:
            tally.activation_bytes += known[name].n_bytes
    held = sum(4 * len(each.floats) + 8 * len(each.ints) for each in node.attribute)
    if node.op_type.startswith("TreeEnsemble"):
        tally.activation_bytes += min((n_operations or 0) * _TREE_NODE_BYTES, held)
    elif node.domain == "ai.onnx.ml":
        tally.attribute_bytes += held


def _tables(node: onnx.NodeProto) -> list[str]:
    """The inputs of which only those rows are read that are asked for."""
    places = (0,) if node.op_type in _PICKING else _TABLES.get(node.op_type, ())
    return [node.input[place] for place in places if place < len(node.input) and node.input[place]]


def _read(table: Tensor, known: Mapping[str, Tensor], node: onnx.NodeProto) -> int:
    """Bytes read of a table: as many elements as are written, at the table's own width, and never more than all."""
    n_elements = int(np.prod(known[node.output[0]].shape, dtype=np.int64))
    width = table.n_bytes / max(int(np.prod(table.shape, dtype=np.int64)), 1)
    return min(table.n_bytes, int(n_elements * width))


def _shapes(names: Sequence[str], known: Mapping[str, Tensor]) -> list[tuple[int, ...] | None]:
    return [known[name].shape if name in known else None for name in names]


def _stored(tensor: onnx.TensorProto) -> Tensor:
    shape = tuple(tensor.dims)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return Tensor(shape=shape, n_bytes=int(np.prod(shape, dtype=np.int64)) * element_bytes(dtype))
