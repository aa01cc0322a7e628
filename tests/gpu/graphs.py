"""Networks of the shapes that people put on GPUs, written out node by node with random weights: nothing is fetched.

Their arithmetic and memory traffic are those of the real ones; what they answer means nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

_OPSET, _IR = 17, 9


class _Graph:
    """Nodes and weights as they are added; every node has one output, which is what `add` returns."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        output = name or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def weight(self, *shape: int, n_in: int = 0) -> str:
        """Normal numbers that keep the size of what they multiply, with `n_in` terms to a sum; zeros without."""
        scale = np.sqrt(2.0 / n_in) if n_in else 0.0
        return self.constant(self._random.standard_normal(shape, dtype=np.float32) * np.float32(scale))

    def constant(self, values: ArrayLike) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def save(self, path: Path, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> Path:
        graph = helper.make_graph(self.nodes, path.stem, list(inputs), list(outputs), self.weights)
        opsets = [helper.make_opsetid("", _OPSET)]
        path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=_IR).SerializeToString())
        return path


def resnet(path: Path, *, side: int = 224, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3)) -> Path:
    """ResNet-50 as it is served, its batch norms folded into biases: `x` (n, 3, side, side) to `y` (n, 1000).

    He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, table 1; the stride of a block lies in
    its 3 x 3 convolution. With the defaults 25.5 million weights and 4.1 billion multiplications an image.
    """
    graph = _Graph()

    def conv(x: str, n_in: int, n_out: int, size: int, stride: int = 1) -> str:
        pads = [size // 2] * 4
        inputs = [x, graph.weight(n_out, n_in, size, size, n_in=n_in * size * size), graph.weight(n_out)]
        return graph.add("Conv", inputs, kernel_shape=[size, size], strides=[stride, stride], pads=pads)

    x = graph.add("Relu", [conv("x", 3, width, 7, 2)])
    x = graph.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    n_in = width
    for i, n_blocks in enumerate(blocks):
        inner, n_out = width << i, 4 * (width << i)
        for j in range(n_blocks):
            stride = 2 if i > 0 and j == 0 else 1
            y = graph.add("Relu", [conv(x, n_in, inner, 1)])
            y = graph.add("Relu", [conv(y, inner, inner, 3, stride)])
            y = conv(y, inner, n_out, 1)
            # A tenth of each block's sum, so that numbers don't grow from block to block without batch norms.
            y = graph.add("Mul", [y, graph.constant(np.float32(0.1))])
            short = x if j else conv(x, n_in, n_out, 1, stride)
            x = graph.add("Relu", [graph.add("Add", [y, short])])
            n_in = n_out
    pooled = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])
    graph.add("Gemm", [pooled, graph.weight(n_in, 1000, n_in=n_in), graph.weight(1000)], name="y")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, side, side])
    return graph.save(path, [image], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1000])])


def encoder(path: Path, *, n_layers: int = 6, width: int = 384, n_heads: int = 12, n_words: int = 30522) -> Path:
    """A text encoder of MiniLM's shape: `ids` and `mask`, both (n, length), to `y` (n, width), the mean of positions.

    Shapes are read off the input and worked out as exporters write it, so that a GPU leaves them to the CPU.
    """
    graph = _Graph()
    one_head = width // n_heads

    def dense(x: str, n_in: int, n_out: int) -> str:
        product = graph.add("MatMul", [x, graph.weight(n_in, n_out, n_in=2 * n_in)])
        return graph.add("Add", [product, graph.weight(n_out)])

    def norm(x: str) -> str:
        ones, zeros = graph.constant(np.ones(width, np.float32)), graph.weight(width)
        return graph.add("LayerNormalization", [x, ones, zeros], axis=-1, epsilon=1e-12)

    def reshaped(x: str, *last: int) -> str:
        shape = graph.add("Shape", ["ids"])
        inner = [graph.constant(np.array([size], np.int64)) for size in last]
        return graph.add("Reshape", [x, graph.add("Concat", [shape, *inner], axis=0)])

    def heads(x: str) -> str:
        return graph.add("Transpose", [reshaped(x, n_heads, one_head)], perm=[0, 2, 1, 3])

    x = norm(graph.add("Gather", [graph.weight(n_words, width, n_in=2), "ids"]))
    seen = graph.add("Cast", ["mask"], to=TensorProto.FLOAT)
    axes = graph.constant(np.array([1, 2], np.int64))
    hidden = graph.add("Sub", [graph.constant(np.float32(1.0)), graph.add("Unsqueeze", [seen, axes])])
    penalty = graph.add("Mul", [hidden, graph.constant(np.float32(-1e4))])
    for _ in range(n_layers):
        query, key, value = (heads(dense(x, width, width)) for _ in range(3))
        scores = graph.add("MatMul", [query, graph.add("Transpose", [key], perm=[0, 1, 3, 2])])
        scores = graph.add("Mul", [scores, graph.constant(np.float32(one_head**-0.5))])
        weights = graph.add("Softmax", [graph.add("Add", [scores, penalty])], axis=-1)
        mixed = graph.add("Transpose", [graph.add("MatMul", [weights, value])], perm=[0, 2, 1, 3])
        x = norm(graph.add("Add", [x, dense(reshaped(mixed, width), width, width)]))
        inner = dense(x, width, 4 * width)
        bent = graph.add("Erf", [graph.add("Mul", [inner, graph.constant(np.float32(0.5**0.5))])])
        half = graph.add("Mul", [inner, graph.constant(np.float32(0.5))])
        gelu = graph.add("Mul", [half, graph.add("Add", [bent, graph.constant(np.float32(1.0))])])
        x = norm(graph.add("Add", [x, dense(gelu, 4 * width, width)]))
    last = graph.constant(np.array([2], np.int64))
    counted = graph.add("Mul", [x, graph.add("Unsqueeze", [seen, last])])
    one = graph.constant(np.array([1], np.int64))
    total = graph.add("ReduceSum", [counted, one], keepdims=0)
    graph.add("Div", [total, graph.add("ReduceSum", [seen, one], keepdims=1)], name="y")
    tensors = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"]) for name in ("ids", "mask")]
    return graph.save(path, tensors, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])])


def small(path: Path) -> Path:
    """Some 10 microseconds on a core: 64 inputs, 64 hidden units, 10 classes."""
    graph = _Graph()
    hidden = graph.add("Relu", [graph.add("MatMul", ["x", graph.weight(64, 64, n_in=64)])])
    graph.add("MatMul", [hidden, graph.weight(64, 10, n_in=64)], name="y")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", n]) for name, n in (("x", 64), ("y", 10)))
    return graph.save(path, [x], [y])


def hungry(path: Path) -> Path:
    """Each row takes 256 MiB: its sum times a column times a row of 8,192, of which the largest is the answer."""
    graph = _Graph()
    total = graph.add("ReduceSum", ["x", graph.constant(np.array([1], np.int64))], keepdims=1)
    first = graph.add("Unsqueeze", [total, graph.constant(np.array([1], np.int64))])
    column = graph.add("Mul", [first, graph.constant(np.ones((8192, 1), np.float32))])
    table = graph.add("Mul", [column, graph.constant(np.ones((1, 8192), np.float32))])
    largest = graph.add("ReduceMax", [table], axes=[1, 2], keepdims=0)
    graph.add("Unsqueeze", [largest, graph.constant(np.array([1], np.int64))], name="y")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", n]) for name, n in (("x", 16), ("y", 1)))
    return graph.save(path, [x], [y])


def only_on_cpu(path: Path) -> Path:
    """A product, and a scaling for which no GPU provider has a kernel."""
    graph = _Graph()
    product = graph.add("MatMul", ["x", graph.weight(16, 16, n_in=16)])
    graph.add("Scaler", [product], name="y", domain="ai.onnx.ml", offset=[0.0] * 16, scale=[2.0] * 16)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 16]) for name in "xy")
    path = graph.save(path, [x], [y])
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    path.write_bytes(model.SerializeToString())
    return path
