"""The shapes that a graph's tensors really take, read off inferences over real rows.

Not inferred: ONNX's rules know nothing of a runtime's own operators, nor of shapes that come from values. A copy of the
graph answers with the shape of each of its tensors, a few numbers, so that none has to be kept.
"""

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from loadplan.execution import OPTIMISED_OFFLINE, ExecutionConfig
from loadplan.inference import Session, open_session, run

_PREFIX = "loadplan.shape/"
_BYTES_OF_A_WORD = 32  # an ONNX Runtime text is a C++ string: its handle, with short words inside
# Nothing is optimised away: only looked at.
_AS_IT_IS = ExecutionConfig(variant=OPTIMISED_OFFLINE)


@dataclass(frozen=True, slots=True)
class Tensor:
    """Size of one tensor."""

    shape: tuple[int, ...]
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A graph that answers with the shapes of its tensors."""

    session: Session
    element_bytes: Mapping[str, int]  # by tensor name

    def sizes(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
        """Sizes of the inputs and of what every node gives, in one inference over these rows."""
        found = {name: _tensor(values.shape, self.element_bytes[name]) for name, values in inputs.items()}
        for name, shape in run(self.session, inputs).items():
            tensor = name.removeprefix(_PREFIX)
            found[tensor] = _tensor(tuple(shape.astype(int).tolist()), self.element_bytes[tensor])
        return found


@contextmanager
def probing(model: onnx.ModelProto) -> Iterator[Probe]:
    """A probe of the model, whose graph is left as it was.

    Raises:
        EnvironmentFault, InputError: what opening a session raises; a graph of sequences or maps can't be probed.
    """
    names = [name for node in model.graph.node for name in node.output if name]
    with tempfile.TemporaryDirectory(prefix="loadplan-probe-") as scratch:
        path = Path(scratch) / "probe.onnx"
        _write(model, path, outputs=names, nodes=())
        typed = open_session(path, _AS_IT_IS)
        widths = {spec.name: element_bytes(spec.dtype) for spec in (*typed.inputs, *typed.outputs)}
        del typed  # it holds all weights
        shapes = [onnx.helper.make_node("Shape", [name], [_PREFIX + name]) for name in names]
        _write(model, path, outputs=[_PREFIX + name for name in names], nodes=shapes)
        yield Probe(session=open_session(path, _AS_IT_IS), element_bytes=widths)


def _write(model: onnx.ModelProto, path: Path, *, outputs: list[str], nodes: tuple[()] | list[onnx.NodeProto]) -> None:
    """The graph with more nodes and these outputs, whose types the runtime finds."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not any(entry.domain in {"", "ai.onnx"} for entry in copy.opset_import):
        copy.opset_import.append(onnx.helper.make_opsetid("", 13))
    copy.graph.node.extend(nodes)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    path.write_bytes(copy.SerializeToString())


def _tensor(shape: tuple[int, ...], element_bytes: int) -> Tensor:
    return Tensor(shape=shape, n_bytes=math.prod(shape) * element_bytes)


def element_bytes(dtype: np.dtype[Any] | str) -> int:
    """Bytes of one element of this NumPy type; of a text its handle only."""
    return _BYTES_OF_A_WORD if np.dtype(dtype) == object else np.dtype(dtype).itemsize
