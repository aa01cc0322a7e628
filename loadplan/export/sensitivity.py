"""Which weights would parity notice? Those whose scaling by a hundredth changes no answer to the rows are unproved.

A converter that mixed such a weight up would pass: the rows never use it (an embedding that nobody looks up, a branch
not taken), or it counts for so little that the limit hides it. They are named, so that better rows can be given.

The decision a reader would question: weight tensors become inputs of one session, instead of a session for each, so
that a table of 100 MB costs one multiplication. What an operator holds in its attributes, as trees and linear models
do, can't be fed and gets a session of its own. Tensors without an axis are constants of a formula, no weights, and
tensors of zeros stay what they are.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import Sensitivity
from loadplan.export.company import USUAL_BATCH, alike_batches
from loadplan.export.parity import Tolerance, is_within, tolerance_of
from loadplan.inference import Session, Tensors, open_session, run
from loadplan.scenario.payloads import PayloadSet, inputs_of
from loadplan.scenario.spec import ParityLimits

FACTOR = 1.01
# Most weights show in a few rows; those that don't are looked at again with more, while there is time.
_ROWS_AT_FIRST, _ROWS_AT_MOST = 32, 512
_BUDGET_S = 20.0  # for the first look at all weights, and as long for the second at those that didn't show
_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})
# Learnt numbers among the attributes of ai.onnx.ml; `nodes_hitrates` and labels are none.
_LEARNT = frozenset(
    {
        *("base_values", "class_weights", "coefficients", "intercepts", "nodes_values", "offset", "prob_a", "prob_b"),
        *("rho", "scale", "support_vectors", "target_weights"),
    }
)

_Look = list[tuple[NDArray[np.intp], Tensors]]  # rows of each batch, and the answers to them as the graph stands


@dataclass(frozen=True, slots=True)
class _Weight:
    """One weight, and what to run to see the graph answer with it scaled: a session, and what it is fed besides."""

    name: str
    scaled: Callable[[], tuple[Session, Tensors]]


def sensitivity_of(
    serialised: bytes, payloads: PayloadSet, limits: ParityLimits, *, takes_one_row: bool
) -> Sensitivity | None:
    """What parity would notice of an fp32 graph; None where its limits say nothing of single answers."""
    tolerance = tolerance_of(limits)
    if tolerance is None:
        return None
    return unproved_weights(serialised, payloads, tolerance, takes_one_row=takes_one_row)


def unproved_weights(
    serialised: bytes,
    payloads: PayloadSet,
    tolerance: Tolerance,
    *,
    takes_one_row: bool = False,
    budget_s: float = _BUDGET_S,
) -> Sensitivity:
    """Scale one weight after another, as many as the time allows; none where the runtime takes them as constants only.

    Args:
        serialised: an fp32 graph that answers like its source.
        payloads: the rows.
        tolerance: what parity allows.
        takes_one_row: whether the rows of a batch are fixed at one.
        budget_s: seconds after which no further weight is begun, of each of the two looks.
    """
    model = onnx.load_model_from_string(serialised)
    with tempfile.TemporaryDirectory(prefix="loadplan-sensitivity-") as scratch:
        path = Path(scratch) / "graph.onnx"
        batch_size = 1 if takes_one_row else USUAL_BATCH
        attributes = list(_attributes(model, path))
        n_weights = len(_weight_tensors(model.graph)) + len(attributes)
        try:
            session = _with_weights_as_inputs(model, path)
            look = _look(session, payloads, batch_size=batch_size, n_rows=_ROWS_AT_FIRST)
        except Exception:  # the runtime raises classes of its own; some operators want constants
            return Sensitivity(n_rows=0, n_weights=n_weights, n_examined=0, unproved=())
        weights = [*_tensors(model, session), *attributes]
        seen = _seen(weights, look, payloads, tolerance, budget_s=budget_s)
        hidden = [weight for weight, is_seen in zip(weights, seen, strict=False) if not is_seen]
        n_rows = min(_ROWS_AT_FIRST, payloads.n_rows)
        if hidden and payloads.n_rows > n_rows:
            more = _look(session, payloads, batch_size=batch_size, n_rows=_ROWS_AT_MOST)
            seen_now = _seen(hidden, more, payloads, tolerance, budget_s=budget_s)
            n_rows = min(_ROWS_AT_MOST, payloads.n_rows) if len(seen_now) == len(hidden) else n_rows
            hidden = [weight for weight, is_seen in zip_longest(hidden, seen_now) if not is_seen]
    return Sensitivity(
        n_rows=n_rows,
        n_weights=n_weights,
        n_examined=len(seen),
        unproved=tuple(weight.name for weight in hidden),
    )


def _seen(
    weights: Sequence[_Weight], look: _Look, payloads: PayloadSet, tolerance: Tolerance, *, budget_s: float
) -> list[bool]:
    """Whether each weight changes an answer; as many as the time allows."""
    deadline_s = time.monotonic() + budget_s
    found: list[bool] = []
    for weight in weights:
        if time.monotonic() >= deadline_s:
            break
        session, fed = weight.scaled()
        found.append(
            any(
                not is_within(run(session, {**inputs_of(payloads, rows), **fed}), answers, tolerance)
                for rows, answers in look
            )
        )
    return found


def _look(session: Session, payloads: PayloadSet, *, batch_size: int, n_rows: int) -> _Look:
    batches = alike_batches(payloads, batch_size=batch_size, n_rows=n_rows)
    return [(rows, run(session, inputs_of(payloads, rows))) for rows in batches]


def _with_weights_as_inputs(model: onnx.ModelProto, path: Path) -> Session:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in _weight_tensors(model.graph)
    )
    path.write_bytes(copy.SerializeToString())
    return open_session(path, ExecutionConfig(variant="fp32"))


def _tensors(model: onnx.ModelProto, session: Session) -> Iterator[_Weight]:
    for tensor in _weight_tensors(model.graph):

        def scaled(tensor: onnx.TensorProto = tensor) -> tuple[Session, Tensors]:
            values = numpy_helper.to_array(tensor)
            return session, {tensor.name: (values * FACTOR).astype(values.dtype)}

        yield _Weight(tensor.name, scaled)


def _weight_tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    given = {entry.name for entry in graph.input}
    return [
        tensor
        for tensor in graph.initializer
        if tensor.data_type in _FLOATS and tensor.dims and tensor.name not in given and _is_learnt(tensor)
    ]


def _is_learnt(tensor: onnx.TensorProto) -> bool:
    values = numpy_helper.to_array(tensor)
    return bool(values.any())


def _attributes(model: onnx.ModelProto, path: Path) -> Iterator[_Weight]:
    for i, node in enumerate(model.graph.node):
        for j, attribute in enumerate(node.attribute):
            if node.domain != "ai.onnx.ml" or attribute.name not in _LEARNT or not any(attribute.floats):
                continue

            def scaled(i: int = i, j: int = j) -> tuple[Session, Tensors]:
                copy = onnx.ModelProto()
                copy.CopyFrom(model)
                floats = copy.graph.node[i].attribute[j].floats
                floats[:] = [value * FACTOR for value in floats]
                path.write_bytes(copy.SerializeToString())
                return open_session(path, ExecutionConfig(variant="fp32")), {}

            yield _Weight(f"{node.name or node.op_type}.{attribute.name}", scaled)
